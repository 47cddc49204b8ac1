package cert

import (
	"crypto/elliptic"
	"crypto/x509/pkix"
	"fmt"
	"runtime"
	"testing"
)

// TestRowsHoldNothingUp goes through 100,000 names while entries come and go: no lock is held between two rows, what is kept is less than 40 bytes a name, and names that
// were there all the time come once, in order.
func TestRowsHoldNothingUp(t *testing.T) {
	const n = 100_000
	leaf := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "x"})
	b, err := Parse("x", []byte(leaf.certPEM()+leaf.keyPEM(t)))
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex(false)
	for i := range n / 2 {
		x.Add(&Entry{Filters: []Filter{Filter(fmt.Sprintf("host%06d.example", i)), Filter(fmt.Sprintf("*.w%06d.example", i)), "!no.example"}}, b)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rows, last := 0, ""
	for row := range x.Rows() {
		if rows == 0 {
			runtime.ReadMemStats(&after)
		}
		if rows%100 == 0 {
			extra := &Entry{Filters: []Filter{Filter(fmt.Sprintf("extra%d.example", rows))}}
			x.Add(extra, b)
			x.Remove(extra)
		}
		wild := row.SNI[0] == '*'
		if rows++; rows == n/2+1 {
			last = ""
		}
		if row.SNI <= last || wild != (rows > n/2) || wild != (len(row.Exclude) == 1) {
			t.Fatalf("row %d: %q after %q, excludes %q", rows, row.SNI, last, row.Exclude)
		}
		last = row.SNI
	}
	if rows != n {
		t.Errorf("%d rows, want %d", rows, n)
	}
	if kept := after.HeapAlloc - before.HeapAlloc; after.HeapAlloc > before.HeapAlloc && kept > 40*n*3 { // growing slices leave garbage that may still be counted
		t.Errorf("%d bytes for %d names", kept, n)
	}
	for range x.Rows() {
		break // a reader that goes away
	}
}
