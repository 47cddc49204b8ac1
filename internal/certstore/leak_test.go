package certstore

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestMemoryDoesNotGrowWithCommits commits ten versions of every certificate and wants the heap to be as large as before.
func TestMemoryDoesNotGrowWithCommits(t *testing.T) {
	const n, rounds = 500, 10
	dir := fillDir(t, n)
	s, bind := loadDir(t, dir, false)
	round := func() {
		for i := range n {
			name := filepath.Join(dir, fmt.Sprintf("%06d.pem", i))
			p := pairFor(t, testKey(), fmt.Sprintf("www%d.example.com", i), fmt.Sprintf("host%d.example.net", i))
			if _, _, err := s.Set(name, []byte(p.pem()), "test"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Commit(name, "test", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	round() // what a first commit of a name costs for good
	before := heap()
	for range rounds {
		round()
	}
	after := heap()
	t.Logf("heap %d KiB before, %d KiB after %d commits", before>>10, after>>10, n*rounds)
	if after > before+before/10 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if bind.index.Len() != n {
		t.Errorf("%d entries, want %d", bind.index.Len(), n)
	}
}
