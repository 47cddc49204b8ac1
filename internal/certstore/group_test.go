package certstore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/host"
)

// manyDir writes n certificates into the world's directory and returns the store that runs on it.
func manyDir(t testing.TB, n int) (*world, *running, []string) {
	t.Helper()
	w := newWorld(t, oneDir)
	var names []string
	for i := range n {
		file := fmt.Sprintf("n%05d.pem", i)
		w.write(file, pairFor(t, testKey(), fmt.Sprintf("n%d.example", i)).pem())
		names = append(names, w.path(file))
	}
	return w, w.start(), names
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestATransactionOverManyNamesIsOneChange(t *testing.T) {
	w, r, names := manyDir(t, 3)
	must(t, r.Begin("t", "test"))
	next := make([]pair, 4)
	for i := range next {
		next[i] = newPair(t, fmt.Sprintf("n%d.example", i))
	}
	before := r.bind.serving("n0.example")
	for i, name := range names {
		if target, err := r.SetIn("t", name, []byte(next[i].pem())); err != nil || target != name {
			t.Fatal(target, err)
		}
	}
	made := w.path("made.pem")
	must(t, r.NewIn("t", made))
	if _, err := r.SetIn("t", made, []byte(next[3].cert)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.SetIn("t", made+".key", []byte(next[3].key)); err != nil {
		t.Fatal(err)
	}
	if got := r.bind.serving("n0.example"); got != before {
		t.Error("something is served before the commit")
	}
	if _, err := r.Show(made); err == nil {
		t.Error("a name made in the transaction exists before the commit")
	}
	if got := r.Groups(); len(got) != 1 || len(got[0].Members) != 4 || got[0].Members[3] != (GroupMember{made, "New"}) || got[0].Members[0].State != "Changed" {
		t.Errorf("show tells %+v", got)
	}
	if _, err := r.CommitGroup("t", "test", nil); err != nil {
		t.Fatal(err)
	}
	if len(r.Groups()) != 0 {
		t.Error("the transaction is still open")
	}
	for _, run := range []*running{r, w.start()} {
		for i := range names {
			run.serves(fmt.Sprintf("n%d.example", i), next[i])
		}
		if b := run.Bundle(made); b == nil || string(b.KeyPEM()) != next[3].key {
			t.Error("the name made in the transaction has no certificate")
		}
	}
	if names, _ := os.ReadDir(w.dir); len(names) != 4 {
		t.Errorf("files are left: %v", names)
	}
	checkModes(t, w.state)
}

func TestATransactionThatCannotBeCommittedChangesNothing(t *testing.T) {
	w, r, names := manyDir(t, 2)
	good, other := newPair(t, "n0.example"), newPair(t, "n1.example")
	old := w.read("n00000.pem")
	fill := func(second string) {
		t.Helper()
		must(t, r.Begin("t", "test"))
		_, err := r.SetIn("t", names[0], []byte(good.pem()))
		must(t, err)
		_, err = r.SetIn("t", names[1], []byte(second))
		must(t, err)
	}
	fails := func(want string, open bool) {
		t.Helper()
		_, err := r.CommitGroup("t", "test", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("commit answers %v, want %q", err, want)
		}
		if got := r.Bundle(names[0]); string(got.KeyPEM()) == good.key || w.read("n00000.pem") != old {
			t.Error("one of the certificates was changed")
		}
		if (len(r.Groups()) == 1) != open {
			t.Errorf("the transaction is open: %v, want %v", !open, open)
		}
		if open {
			must(t, r.AbortGroup("t"))
		}
	}
	fill(other.cert + good.key)
	fails("inconsistencies between private key and certificate loaded '"+names[1]+"'.\nCan't commit 't'!", true)
	fill(other.cert)
	fails("No Private Key found in '"+names[1]+"'.\nFailed!", false)
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO} {
		fill(other.pem())
		w.fault = func(host.Step, string) error { return errno }
		fails("stays open\nFailed!", true)
		w.fault = nil
	}
	fill(other.pem())
	r.bind.refuse = errors.New("this bind line does not take it")
	fails(r.bind.refuse.Error()+"\nFailed!", false)
	r.bind.refuse = nil
	w.locked = true
	r = w.start()
	fill(other.pem())
	fails("cannot be committed together", true)
}

func TestNamesOfOneTransactionAreClosedToOthers(t *testing.T) {
	_, r, names := manyDir(t, 2)
	p := newPair(t, "n0.example")
	must(t, r.Begin("a", "test"))
	must(t, r.Begin("b", "test"))
	_, err := r.SetIn("a", names[0], []byte(p.pem()))
	must(t, err)
	r.face.run("set ssl cert "+names[1], []byte(p.pem()))
	free := "free"
	must(t, r.NewIn("b", free))
	for what, err := range map[string]error{
		"is in the open transaction 'a'":             second(r.SetIn("b", names[0], []byte(p.pem()))),
		"has a transaction of its own":               second(r.SetIn("a", names[1], []byte(p.pem()))),
		"ongoing transaction for the certificate":    r.Delete(names[0]),
		"certificate 'free' is in the open":          r.NewCert(free),
		"Transaction 'a' already exists":             r.Begin("a", "test"),
		"1 to 64 letters":                            r.Begin("a b", "test"),
		"No such transaction 'c'":                    r.AbortGroup("c"),
		"not referenced by the configuration":        second(r.SetIn("a", "/elsewhere.pem", []byte(p.pem()))),
		"no start line":                              second(r.SetIn("a", names[0], []byte("nothing"))),
		"cannot be the name of a certificate":        r.NewIn("a", "x\ny"),
		"Certificate '" + names[1] + "' already exi": r.NewIn("a", names[1]),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
	if got := r.face.run("set ssl cert "+names[0], []byte(p.pem())); !strings.Contains(got, "is in the open transaction 'a'!\nCan't update") {
		t.Error(got)
	}
	if got := r.face.run("show ssl cert *"+names[0], nil); !strings.Contains(got, "Status: Uncommitted") {
		t.Error(got)
	}
	must(t, r.AbortGroup("a"))
	if _, _, err := r.Set(names[0], []byte(p.pem()), "test"); err != nil {
		t.Errorf("after the abort: %v", err)
	}
}

func second(_ string, err error) error { return err }

func TestATransactionIsBoundedAndExpires(t *testing.T) {
	w, _, _ := manyDir(t, 1)
	now := time.Now()
	r := &running{Store: New(Options{Host: host.Direct{}, StateDir: w.state, State: opened(w.state), Now: func() time.Time { return now },
		Emit: w.emit}), world: w}
	must(t, r.Begin("t", "somebody"))
	for i := range maxGroupNames {
		must(t, r.NewIn("t", fmt.Sprint(i)))
	}
	if err := r.NewIn("t", "more"); err == nil || !strings.Contains(err.Error(), "as many as it can have") {
		t.Error(err)
	}
	r.groups["t"].bytes = maxGroupBytes
	if _, err := r.SetIn("t", "1", []byte(newPair(t, "x").pem())); err == nil || !strings.Contains(err.Error(), "cannot hold more than") {
		t.Error(err)
	}
	for i := range maxGroups - 1 {
		must(t, r.Begin(fmt.Sprint("g", i), ""))
	}
	if err := r.Begin("more", ""); err == nil || !strings.Contains(err.Error(), "16 transactions are open") {
		t.Error(err)
	}
	now = now.Add(groupLife - time.Second)
	if len(r.Groups()) != maxGroups {
		t.Error("a transaction ended too early")
	}
	now = now.Add(time.Second)
	if len(r.Groups()) != 0 {
		t.Error("transactions did not expire")
	}
	said := 0
	for _, e := range w.events {
		if strings.Contains(e.Text, "ssl transaction 't' of somebody over 10000 certificates expired") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("it was said %d times", said)
	}
	must(t, r.NewCert("1"))
}

// TestNoCrashLeavesHalfATransaction fails or kills at every step of a commit over names in files, in split files, behind a link, in
// the state directory and over a kept version.
func TestNoCrashLeavesHalfATransaction(t *testing.T) {
	points := 0
	for _, failure := range []error{host.ErrKilled, syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			if n > 500 {
				t.Fatal("no end of steps")
			}
			w, names, old, next := mixedWorld(t)
			r := w.start()
			must(t, r.Begin("t", "test"))
			for i, name := range names {
				if _, err := r.SetIn("t", name, []byte(next[i].pem())); err != nil {
					t.Fatal(err)
				}
			}
			count, dead := 0, false
			w.fault = func(host.Step, string) error {
				count++
				if count == n || dead {
					dead = errors.Is(failure, host.ErrKilled)
					return failure
				}
				return nil
			}
			_, err := r.CommitGroup("t", "test", nil)
			w.fault = nil
			if !dead {
				if got := whole(t, r, names, old, next); (got == "new") != (err == nil) {
					t.Fatalf("%v at step %d: memory has the %s certificates, answer %v", failure, n, got, err)
				}
			}
			got := whole(t, w.start(), names, old, next)
			if got == "" || err == nil && got != "new" {
				t.Fatalf("%v at step %d: after a restart the certificates are %q, answer %v", failure, n, got, err)
			}
			if err != nil && !dead && got != "old" {
				t.Fatalf("%v at step %d: answer %v and the disk has the %s certificates", failure, n, err, got)
			}
			if count < n {
				break
			}
			points++
		}
	}
	t.Logf("%d points", points)
	if points < 60 {
		t.Errorf("only %d points were tried", points)
	}
}

// mixedWorld has certificates of every kind of place.
func mixedWorld(t *testing.T) (w *world, names []string, old, next []pair) {
	t.Helper()
	for i := range 5 {
		old = append(old, pairFor(t, newKey(), fmt.Sprintf("n%d.example", i)))
		next = append(next, pairFor(t, newKey(), fmt.Sprintf("n%d.example", i)))
	}
	w = newWorld(t, func(w *world, p *Plan) []error {
		errs := splitFiles(w, p)
		for _, f := range []string{"a.pem", "link.pem", "over.pem"} {
			if err := p.Declare(Source{Name: w.path(f), File: w.path(f), Persist: true, Pos: "cfg:1"}); err != nil {
				errs = append(errs, err)
			}
		}
		return errs
	})
	w.write("a.pem", old[0].pem())
	w.write("one.crt", old[1].cert)
	w.write("one.key", old[1].key)
	w.write("real.pem", old[2].pem())
	must(t, os.Symlink("real.pem", w.path("link.pem")))
	w.write("over.pem", newPair(t, "n3.example").pem())
	names = []string{w.path("a.pem"), "@s/one", w.path("link.pem"), w.path("over.pem"), "free"}
	w.fault = refuseIn(w.dir, syscall.EROFS)
	r := w.start()
	r.mustDeploy(w.path("over.pem"), old[3].pem())
	must(t, r.NewCert("free"))
	r.mustDeploy("free", old[4].pem())
	w.fault = nil
	return w, names, old, next
}

// whole tells which certificates a process has: "old", "new", or "" when they are mixed.
func whole(t *testing.T, r *running, names []string, old, next []pair) string {
	t.Helper()
	is := func(want []pair) bool {
		for i, name := range names {
			b := r.Bundle(name)
			if b == nil || string(b.KeyPEM()) != want[i].key || b.CheckKey() != nil {
				return false
			}
		}
		return true
	}
	switch {
	case is(old):
		return "old"
	case is(next):
		return "new"
	}
	return ""
}

// BenchmarkTransaction is 5,000 names in one durable commit; set is part of it.
func BenchmarkTransaction(b *testing.B) {
	const n = 5000
	_, r, names := manyDir(b, n)
	pems := make([][2][]byte, n)
	for i := range names {
		for j := range 2 {
			pems[i][j] = []byte(pairFor(b, testKey(), fmt.Sprintf("n%d.example", i)).pem())
		}
	}
	round := 0
	r.running.Store(true) // the files follow the answer
	for b.Loop() {
		must(b, r.Begin("t", "bench"))
		for i, name := range names {
			_, err := r.SetIn("t", name, pems[i][round%2])
			must(b, err)
		}
		_, err := r.CommitGroup("t", "bench", nil)
		must(b, err)
		round++
		b.StopTimer()
		r.write.Lock()
		must(b, r.finishLeft())
		r.write.Unlock()
		b.StartTimer()
	}
	b.ReportMetric(float64(n*round)/b.Elapsed().Seconds(), "certs/s")
}
