package certstore

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// fillDir writes n certificates, each with its own names and a chain that they share.
func fillDir(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	chain := newPair(t, "Intermediate CA").cert + newPair(t, "Root CA").cert
	for i := range n {
		p := pairFor(t, testKey(), fmt.Sprintf("www%d.example.com", i), fmt.Sprintf("host%d.example.net", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%06d.pem", i)), []byte(p.cert+chain+p.key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadDir starts a store with a bind line on the directory.
func loadDir(t testing.TB, dir string, persist bool) (*Store, *bindLine) {
	t.Helper()
	s := New(Options{Host: host.Direct{}})
	p := s.Plan(LoadRules{})
	lines, errs := p.DeclareDir(dir, persist)
	if problems := p.Problems(); len(errs)+len(problems) > 0 {
		t.Fatal(errs, problems)
	}
	bind := newBind(s, "cfg:1", true)
	s.Apply(p, func() { bind.follow(dir, lines) })
	return s, bind
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryPerCertificate: what one of many certificates costs, with its place in the store, in a list, and in the index of a bind line.
func TestMemoryPerCertificate(t *testing.T) {
	const n, limit = 1500, 2765 // 2.7 KiB
	dir := fillDir(t, n)
	before := heap()
	s, bind := loadDir(t, dir, true)
	per := (heap() - before) / n
	t.Logf("%d bytes per certificate", per)
	if per > limit {
		t.Errorf("a loaded certificate takes %d bytes, want at most %d", per, limit)
	}
	_, all := s.Names()
	if len(all) != n || bind.index.Len() != n {
		t.Fatalf("%d certificates and %d entries, want %d", len(all), bind.index.Len(), n)
	}
}

func TestAReloadKeepsTheBundlesOfUnchangedFiles(t *testing.T) {
	dir := fillDir(t, 20)
	s, _ := loadDir(t, dir, true)
	changed := filepath.Join(dir, "000007.pem")
	before := map[string]*cert.Bundle{}
	_, all := s.Names()
	for _, name := range all {
		before[name] = s.Bundle(name)
	}
	p := newPair(t, "www7.example.com")
	if err := os.WriteFile(changed, []byte(p.pem()), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := s.Plan(LoadRules{})
	plan.DeclareDir(dir, true)
	s.Apply(plan, nil)
	for _, name := range all {
		if same := s.Bundle(name) == before[name]; same == (name == changed) {
			t.Errorf("%s: bundle kept is %v", name, same)
		}
	}
}

// TestAReloadNeverUndoesACommit commits between reading the disk and applying the plan.
func TestAReloadNeverUndoesACommit(t *testing.T) {
	for _, persist := range []bool{true, false} {
		dir := fillDir(t, 3)
		s, bind := loadDir(t, dir, persist)
		name := filepath.Join(dir, "000001.pem")
		p := newPair(t, "www1.example.com")
		plan := s.Plan(LoadRules{})
		plan.DeclareDir(dir, persist)
		stale := plan.Bundle(name)
		if _, _, err := s.Set(name, []byte(p.pem()), "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(name, "test", nil); err != nil {
			t.Fatal(err)
		}
		committed := s.Bundle(name)
		s.Apply(plan, func() {
			if got := s.Bundle(name); got != committed {
				t.Error("inside swap the store has the version that the plan read")
			}
		})
		if s.Bundle(name) != committed || committed == stale {
			t.Error("the reload put the version back that it had read before the commit")
		}
		if e := bind.index.Select("www1.example.com", cert.Caps{ECDSA: true}); e == nil || e.Instance().Bundle != committed {
			t.Error("the bind line was not told")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := fillDir(b, 2000)
	b.ReportAllocs()
	for b.Loop() {
		loadDir(b, dir, true)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/2000, "µs/cert")
}

// BenchmarkCommit is one set and commit over a store of 10,000, in memory as HAProxy does it.
func BenchmarkCommit(b *testing.B) {
	s, _ := loadDir(b, fillDir(b, 10000), false)
	_, all := s.Names()
	pems := make([][]byte, 100)
	for i := range pems {
		pems[i] = s.Bundle(all[i*97]).PEM()
	}
	b.ReportAllocs()
	i := 0
	start := time.Now()
	for b.Loop() {
		name := all[(i%100)*97]
		if _, _, err := s.Set(name, pems[i%100], "bench"); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Commit(name, "bench", nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(i)/time.Since(start).Seconds(), "commits/s")
}

func TestKeysNeverStandInErrorsAndEvents(t *testing.T) {
	w := newWorld(t, oneFile)
	p, other := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", p.pem())
	r := w.start()
	secret := strings.Split(other.key, "\n")[1]
	answers := []string{
		r.deploy(w.path("one.pem"), p.cert+other.key),
		r.face.run("abort ssl cert "+w.path("one.pem"), nil),
		r.deploy(w.path("one.pem"), p.cert+strings.Replace(other.key, secret, secret[:30]+"!"+secret[31:], 1)),
		r.deploy(w.path("one.pem"), other.key),
		r.deploy(w.path("one.pem"), other.pem()),
		fmt.Sprintf("%v %+v %#v", r.Bundle(w.path("one.pem")), r.entries, w.events),
	}
	for _, a := range append(answers, fmt.Sprint(w.events)) {
		if strings.Contains(a, secret[:20]) {
			t.Errorf("a key stands in %q", a)
		}
	}
}
