package certstore

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// TestAFullDiskServesAtOnceAndIsPaidLater: the certificate serves, the debt is shown and told once, and is paid within a minute of there being room.
func TestAFullDiskServesAtOnceAndIsPaidLater(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		w := newWorld(t, oneFile)
		old, next := newPair(t, "a.example"), newPair(t, "a.example")
		w.write("one.pem", old.pem())
		name := w.path("one.pem")
		synctest.Test(t, func(t *testing.T) {
			w.t, w.events = t, nil
			r := w.start()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			w.fault = refuseIn(w.dir, errno)
			got := r.deploy(name, next.pem())
			if want := "cannot write '" + name + "': " + errno.Error() + "; this is tried again until it is\nSuccess!"; !strings.Contains(got, "is not on disk yet") || !strings.HasSuffix(got, want) {
				t.Errorf("commit on a full disk answers %q", got)
			}
			r.serves("a.example", next)
			shown, _ := r.Show(name)
			if !strings.Contains(shown, "\nOn disk: no, since 20") || !strings.Contains(shown, errno.Error()) || r.Unsaved() != 1 {
				t.Errorf("the debt is shown as\n%s", shown)
			}
			b, err := cert.Parse("", []byte(next.pem()))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Put(t.Context(), name, b, "acme"); err == nil || !strings.Contains(err.Error(), ErrUnsaved.Error()) {
				t.Errorf("Put of the same says %v", err)
			}
			time.Sleep(10 * time.Minute) // attempts go on
			synctest.Wait()
			if n := count(w.events, event.CertUnsaved); n != 1 {
				t.Errorf("it was told %d times", n)
			}
			w.fault = nil
			since := time.Now()
			for r.Unsaved() > 0 && time.Since(since) < time.Minute {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if r.Unsaved() != 0 || count(w.events, event.CertSaved) != 1 {
				t.Errorf("a minute after there was room %d debts are left, events %v", r.Unsaved(), w.events)
			}
			if shown, _ := r.Show(name); !strings.HasSuffix(shown, "On disk: yes\n") {
				t.Errorf("afterwards it shows\n%s", shown)
			}
			if err := r.Put(t.Context(), name, b, "acme"); err != nil {
				t.Errorf("Put afterwards: %v", err)
			}
			stop()
			<-done
		})
		w.t = t
		w.start().serves("a.example", next)
	}
}

func count(events []event.Event, kind event.Kind) (n int) {
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestAnOperatorsFileWinsOverADebt(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next, edit := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := w.start()
	w.fault = refuseIn(w.dir, syscall.ENOSPC)
	r.deploy(w.path("one.pem"), next.pem())
	w.fault = nil
	w.write("one.pem", edit.pem())
	r.payDebts()
	if w.read("one.pem") != edit.pem() || r.Unsaved() != 0 {
		t.Error("the operator's file was overwritten")
	}
	r.reload()
	r.serves("a.example", edit)
}

// listWorld has a crt-list with comments, options and two lines that read the same.
func listWorld(t *testing.T) (*world, *running) {
	t.Helper()
	w := newWorld(t, func(w *world, p *Plan) []error {
		_, errs := p.DeclareList(w.path("sites.list"), w.dir, w.persist)
		return errs
	})
	for _, n := range []string{"a", "b"} {
		w.write(n+".pem", newPair(t, n+".example").pem())
	}
	w.write("sites.list", "# the sites\na.pem [alpn h2] a.example   # not a comment\n\n# twice\nb.pem b1.example\nb.pem b1.example\n# the end")
	return w, w.start()
}

func TestEditsOfACrtListAreInItsFile(t *testing.T) {
	w, r := listWorld(t)
	r.face.run("new ssl cert "+w.path("c.pem"), nil)
	r.mustDeploy(w.path("c.pem"), newPair(t, "c.example").pem())
	list := w.path("sites.list")
	if got := r.face.run("add ssl crt-list "+list, []byte(w.path("c.pem")+" [alpn http/1.1] c.example *.c.example")); !strings.HasSuffix(got, "Success!") {
		t.Fatal(got)
	}
	if got := r.face.run("del ssl crt-list "+list+" "+w.path("b.pem")+":6", nil); !strings.Contains(got, "deleted in crtlist") {
		t.Fatal(got)
	}
	want := "# the sites\na.pem [alpn h2] a.example   # not a comment\n\n# twice\nb.pem b1.example\n# the end\n" + w.path("c.pem") + " [alpn http/1.1] c.example *.c.example\n"
	if got := w.read("sites.list"); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	before := r.face.run("show ssl crt-list "+list, nil)
	again := w.start()
	if after := again.face.run("show ssl crt-list "+list, nil); after != before {
		t.Errorf("after a restart the list is\n%s\nit was\n%s", after, before)
	}
	if got := again.face.run("del ssl crt-list "+list+" "+w.path("c.pem"), nil); !strings.Contains(got, "deleted in crtlist") {
		t.Fatal(got)
	}
	if got := w.read("sites.list"); strings.Contains(got, "c.pem") {
		t.Errorf("a line of an earlier process is still there:\n%s", got)
	}
}

func TestEditsOfACrtListWithPersistOffLeaveItsFileAlone(t *testing.T) {
	w, _ := listWorld(t)
	w.persist = false
	r, before := w.start(), w.read("sites.list")
	if got := r.face.run("del ssl crt-list "+w.path("sites.list")+" "+w.path("a.pem"), nil); !strings.Contains(got, "deleted in crtlist") {
		t.Fatal(got)
	}
	if w.read("sites.list") != before {
		t.Error("the file was changed")
	}
}

func TestEditsOfACrtListBehindALinkAreInTheStateDirectory(t *testing.T) {
	w, _ := listWorld(t)
	list := w.path("sites.list")
	must(t, os.Rename(list, w.path("real.list")))
	must(t, os.Symlink("real.list", list))
	before := w.read("real.list")
	r := w.start()
	if got := r.face.run("del ssl crt-list "+list+" "+w.path("a.pem"), nil); !strings.Contains(got, "deleted in crtlist") {
		t.Fatal(got)
	}
	if w.read("real.list") != before {
		t.Error("the file behind the link was changed")
	}
	if got := w.start().face.run("show ssl crt-list "+list, nil); strings.Contains(got, "a.pem") {
		t.Errorf("after a restart the line is back:\n%s", got)
	}
	w.write("real.list", "a.pem a.example\n")
	if got := w.start().face.run("show ssl crt-list "+list, nil); !strings.Contains(got, "a.pem") || strings.Contains(got, "b.pem") {
		t.Errorf("the operator's later edit does not count:\n%s", got)
	}
	checkModes(t, w.state)
}

func TestACrtListThatCannotBeWrittenIsNotChanged(t *testing.T) {
	w, r := listWorld(t)
	list := w.path("sites.list")
	before, file := r.face.run("show ssl crt-list "+list, nil), w.read("sites.list")
	w.fault = refuseIn(w.dir, syscall.ENOSPC)
	for _, got := range []string{
		r.face.run("add ssl crt-list "+list+" "+w.path("a.pem"), nil),
		r.face.run("del ssl crt-list "+list+" "+w.path("a.pem"), nil),
	} {
		if !strings.Contains(got, "no space left on device") || strings.Contains(got, "Success!") || strings.Contains(got, "deleted") {
			t.Errorf("answer %q", got)
		}
	}
	if r.face.run("show ssl crt-list "+list, nil) != before || w.read("sites.list") != file {
		t.Error("the list was changed")
	}
}
