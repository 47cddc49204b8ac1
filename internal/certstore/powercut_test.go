package certstore

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/host"
	"gatehouse/internal/host/hosttest"
)

// operation is one change that is tried at every step. It returns whether it was answered as done.
type operation struct {
	name string
	// do runs on a machine of powerWorld; old and next are its pairs.
	do func(r *running, next []pair) error
	// is tells what a process has: "old", "new", or "" for a mixture.
	is func(r *running, old, next []pair) string
}

const (
	powerDir = "/c"
	listText = "# sites\na.pem a.example\n\nb.pem b.example # the second\n"
)

// powerWorld is a machine in memory with files of every kind.
func powerWorld(t *testing.T, old []pair) *world {
	t.Helper()
	w := newWorld(t, func(w *world, p *Plan) []error {
		errs := splitFiles(w, p)
		_, lerrs := p.DeclareList(w.path("sites.list"), w.dir, true)
		return append(errs, lerrs...)
	})
	w.mem, w.dir, w.state, w.history = hosttest.NewMemory(), powerDir, "/s", HistoryRules{Versions: 3}
	w.write("a.pem", old[0].pem())
	w.write("b.pem", old[1].pem())
	w.write("one.crt", old[2].cert)
	w.write("one.key", old[2].key)
	w.write("sites.list", listText)
	w.write("hosts.map", "# hosts\na 1\nb 2\n")
	return w
}

func keysAre(r *running, want []pair, names ...string) bool {
	for i, name := range names {
		b := r.Bundle(name)
		if b == nil || string(b.KeyPEM()) != want[i].key || b.CheckKey() != nil {
			return false
		}
	}
	return true
}

// certsAre makes an is of names and the pairs they have by default and afterwards.
func certsAre(pick []int, names ...string) func(r *running, old, next []pair) string {
	return func(r *running, old, next []pair) string {
		var was, will []pair
		for _, i := range pick {
			was, will = append(was, old[i]), append(will, next[i])
		}
		switch {
		case keysAre(r, was, names...):
			return "old"
		case keysAre(r, will, names...):
			return "new"
		}
		return ""
	}
}

func said(answer string) error {
	if strings.HasSuffix(answer, "Success!") && !strings.Contains(answer, "is not on disk yet") || strings.Contains(answer, "deleted in crtlist") {
		return nil
	}
	return errors.New(answer)
}

// fileIs makes an is of a file's content.
func fileIs(path, was, will string) func(r *running, old, next []pair) string {
	return func(r *running, _, _ []pair) string {
		data, err := r.ReadFile(path, 1<<20)
		switch {
		case err == nil && string(data) == was:
			return "old"
		case err == nil && string(data) == will:
			return "new"
		}
		return ""
	}
}

func operations() []operation {
	a, b := powerDir+"/a.pem", powerDir+"/b.pem"
	list := powerDir + "/sites.list"
	all := []string{a, b, "@s/one"}
	return []operation{
		{"commit", func(r *running, next []pair) error { return said(r.deploy(a, next[0].pem())) }, certsAre([]int{0}, a)},
		{"commit of split files", func(r *running, next []pair) error { return said(r.deploy("@s/one", next[2].pem())) }, certsAre([]int{2}, "@s/one")},
		{"commit of many", func(r *running, next []pair) error {
			if err := r.Begin("t", "test"); err != nil {
				return err
			}
			for i, name := range all {
				if _, err := r.SetIn("t", name, []byte(next[i].pem())); err != nil {
					return err
				}
			}
			_, err := r.CommitGroup("t", "test", nil)
			return err
		}, certsAre([]int{0, 1, 2}, all...)},
		{"rollback", func(r *running, next []pair) error {
			// from next to old and back: what is answered last counts
			if err := said(r.deploy(a, next[0].pem())); err != nil {
				return err
			}
			if _, _, err := r.Rollback(a, 1, "test", nil); err != nil || r.Unsaved() > 0 {
				return fmt.Errorf("rollback: %w", errors.Join(err, ErrUnsaved))
			}
			_, _, err := r.Rollback(a, 2, "test", nil)
			if r.Unsaved() > 0 {
				return ErrUnsaved
			}
			return err
		}, certsAre([]int{0}, a)},
		{"add ssl crt-list", func(r *running, _ []pair) error {
			return said(r.face.run("add ssl crt-list "+list, []byte(a+" new.example")))
		}, fileIs(list, listText, listText+a+" new.example\n")},
		{"del ssl crt-list", func(r *running, _ []pair) error { return said(r.face.run("del ssl crt-list "+list+" "+a, nil)) },
			fileIs(list, listText, strings.Replace(listText, "a.pem a.example\n", "", 1))},
		{"set map", func(r *running, _ []pair) error {
			warning, err := r.SaveFile(powerDir+"/hosts.map", func([]byte) []byte { return []byte("# hosts\na 3\n") })
			if warning != "" {
				return errors.New(warning)
			}
			return err
		}, fileIs(powerDir+"/hosts.map", "# hosts\na 1\nb 2\n", "# hosts\na 3\n")},
	}
}

// TestNoPowerCutLosesWhatWasAnswered stops the machine before every step of every operation and after its answer, and starts it again from every content
// that the disk may then have: the change is there whole or not at all, it is there if it was answered, and store check finds no error.
func TestNoPowerCutLosesWhatWasAnswered(t *testing.T) {
	var old, next []pair
	for i := range 3 {
		old, next = append(old, newPair(t, fmt.Sprintf("%c.example", 'a'+i))), append(next, newPair(t, fmt.Sprintf("%c.example", 'a'+i)))
	}
	steps, states := 0, 0
	for _, op := range operations() {
		for n := 1; ; n++ {
			if n > 500 {
				t.Fatal("no end of steps")
			}
			w := powerWorld(t, old)
			r := w.start()
			count, dead := 0, false
			w.fault = func(host.Step, string) error {
				if count++; count == n || dead {
					dead = true
					return host.ErrKilled
				}
				return nil
			}
			err := op.do(r, next)
			r.flushHistory(t.Context())
			w.fault = nil
			before := w.mem
			for after := range before.PowerCuts() {
				states++
				w.mem = after
				again := w.start()
				got := op.is(again, old, next)
				if got == "" || err == nil && got != "new" {
					t.Fatalf("%s, dead at step %d: answer %v, and after the power is back it is %q", op.name, n, err, got)
				}
				if len(fatal(again.plan)) > 0 {
					t.Fatalf("%s, dead at step %d: %v", op.name, n, fatal(again.plan))
				}
				mustBeWhole(t, again)
			}
			if !dead {
				break
			}
			steps++
		}
	}
	t.Logf("%d steps, %d states", steps, states)
	if steps < 100 || states < 1000 {
		t.Errorf("only %d steps and %d states were tried", steps, states)
	}
}

// TestNoErrorOfTheDiskIsSilent has every step of every operation fail once, with every error that a disk has: what is answered as done is on disk, what is
// refused changed nothing, and the next attempt works.
func TestNoErrorOfTheDiskIsSilent(t *testing.T) {
	var old, next []pair
	for i := range 3 {
		old, next = append(old, newPair(t, fmt.Sprintf("%c.example", 'a'+i))), append(next, newPair(t, fmt.Sprintf("%c.example", 'a'+i)))
	}
	points := 0
	for _, op := range operations() {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS, syscall.EMFILE, syscall.EDQUOT} {
			for n := 1; ; n++ {
				if n > 500 {
					t.Fatal("no end of steps")
				}
				w := powerWorld(t, old)
				r := w.start()
				count := 0
				w.fault = func(host.Step, string) error {
					if count++; count == n {
						return errno
					}
					return nil
				}
				err := op.do(r, next)
				w.fault = nil
				r.flushHistory(t.Context())
				if got := op.is(w.start(), old, next); got == "" || err == nil && got != "new" {
					t.Fatalf("%s, %v at step %d: answer %v, and after a restart it is %q", op.name, errno, n, err, got)
				}
				r.payDebts()
				if n := r.Unsaved(); n != 0 {
					t.Fatalf("%s, %v at step %d: %d debts are left on a disk that is well", op.name, errno, n, n)
				}
				mustBeWhole(t, w.start())
				if count < n {
					break
				}
				points++
			}
		}
	}
	t.Logf("%d points", points)
	if points < 500 {
		t.Errorf("only %d points were tried", points)
	}
}
