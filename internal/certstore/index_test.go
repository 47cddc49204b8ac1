package certstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// indexed loads a directory with an index in state and waits until the index was written, if it is to be.
func indexed(t *testing.T, dir, state string) (*Store, *facts) {
	t.Helper()
	s := New(Options{Host: host.Direct{}, StateDir: state, State: func() (storage.Store, string, error) { return nil, state, nil }})
	p := s.Plan(LoadRules{})
	if _, errs := p.DeclareDir(dir, true); len(errs)+len(p.Problems()) > 0 {
		t.Fatal(errs, p.Problems())
	}
	f := p.loader.facts
	s.Apply(p, nil)
	s.chores(context.Background())
	return s, f
}

func TestTheSecondStartTakesFromTheIndexWhatTheFirstFoundOut(t *testing.T) {
	dir, state := fillDir(t, indexFrom), t.TempDir()
	first, _ := indexed(t, dir, state)
	second, f := indexed(t, dir, state)
	if f.met != indexFrom || len(f.learned) != 0 {
		t.Errorf("of %d files %d were in the index and %d were not", indexFrom, f.met, len(f.learned))
	}
	_, names := first.Names()
	for _, name := range names {
		a, b := first.Bundle(name), second.Bundle(name)
		if !a.Equal(b) || fmt.Sprint(a.Names, a.NotBefore, a.NotAfter, a.KeyType, a.KeyBits, a.Fingerprint) != fmt.Sprint(b.Names, b.NotBefore, b.NotAfter, b.KeyType, b.KeyBits, b.Fingerprint) {
			t.Fatalf("%s: from the index %v, parsed %v", name, b, a)
		}
		if _, err := b.TLS(); err != nil {
			t.Fatalf("%s cannot serve: %v", name, err)
		}
	}
}

func TestTheIndexSaysNothingOfFilesThatChanged(t *testing.T) {
	dir, state := fillDir(t, indexFrom), t.TempDir()
	indexed(t, dir, state)
	path := filepath.Join(dir, "000003.pem")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	p := newPair(t, "changed.example")
	if err := os.WriteFile(path, []byte(p.pem()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil { // as a careless copy would
		t.Fatal(err)
	}
	s, f := indexed(t, dir, state)
	if got := s.Bundle(path).Names; len(got) != 1 || got[0] != "changed.example" {
		t.Errorf("the changed file serves %v", got)
	}
	if len(f.learned) != 1 {
		t.Errorf("%d files were parsed, want 1", len(f.learned))
	}
	if _, f = indexed(t, dir, state); len(f.learned) != 0 {
		t.Error("the index was not written anew")
	}
}

// TestADamagedIndexCountsAsNone flips a bit in every part of an index, and cuts it everywhere.
func TestADamagedIndexCountsAsNone(t *testing.T) {
	list := map[digest]*cert.Facts{}
	for i := range 3 {
		list[digest{byte(i)}] = &cert.Facts{Names: []string{fmt.Sprint("a", i), "b"}, NotAfter: time.Now().Unix(), KeyType: cert.KeyECDSA, KeyBits: 256}
	}
	whole := encodeIndex(list)
	equal := func(a, b *cert.Facts) bool { return fmt.Sprint(*a) == fmt.Sprint(*b) }
	if got := decodeIndex(whole); !maps.EqualFunc(got, list, equal) {
		t.Fatalf("written %v, read %v", list, got)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 4
		if decodeIndex(bad) != nil || decodeIndex(whole[:i]) != nil {
			t.Fatalf("an index damaged at byte %d was used", i)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(encodeIndex(map[digest]*cert.Facts{{1}: {Names: []string{"a.example"}}}))
	f.Add([]byte(indexHead))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := indexReader{rest: data}
		for !r.short {
			r.bytes(int(r.number()))
			r.signed()
		}
		decodeIndex(data)
	})
}
