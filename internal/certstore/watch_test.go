package certstore

import (
	"os"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

// watched is a store whose watcher the test moves by hand.
type watched struct {
	*running
	t   *testing.T
	w   *watcher
	now time.Time
}

func watchWorld(t *testing.T, w *world) *watched {
	t.Helper()
	w.watch = true
	r := &watched{running: w.start(), t: t, now: time.Now()}
	r.o.Now = func() time.Time { return r.now }
	r.w = &watcher{store: r.Store, events: make(chan []string), dirty: map[string]time.Time{}}
	r.w.follow(t.Context())
	clear(r.w.dirty) // the files of a test are all young
	t.Cleanup(r.w.stop)
	return r
}

// told waits until something is marked as changed.
func (r *watched) told() {
	r.t.Helper()
	deadline := time.After(10 * time.Second)
	for len(r.w.dirty) == 0 {
		select {
		case paths := <-r.w.events:
			r.w.changed(paths)
		case <-deadline:
			r.t.Fatal("no event came")
		}
	}
}

// rest lets two quiet seconds pass.
func (r *watched) rest() {
	for more := true; more; {
		select {
		case paths := <-r.w.events:
			r.w.changed(paths)
		default:
			more = false
		}
	}
	r.now = r.now.Add(quiet)
	r.w.quietOnes()
}

func TestAnEditOfALoadedFileServesAfterTwoQuietSeconds(t *testing.T) {
	w := historyWorld(t)
	old, edit, renamed := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := watchWorld(t, w)
	w.write("one.pem", edit.pem())
	r.told()
	r.now = r.now.Add(quiet / 2)
	r.w.quietOnes()
	r.serves("a.example", old) // not yet
	r.rest()
	r.serves("a.example", edit)
	w.write(".new", renamed.pem())
	must(t, os.Rename(w.path(".new"), w.path("one.pem")))
	r.told()
	r.rest()
	r.serves("a.example", renamed)
	if list := mustHistory(t, r.running, w.path("one.pem")); len(list) != 3 || list[2].By != "file" || !list[2].Current {
		t.Errorf("the history is %+v", list)
	}
	w.start().serves("a.example", renamed)
}

func TestAnInvalidEditIsToldOnceAndTheGoodOneServes(t *testing.T) {
	w := historyWorld(t)
	old := newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := watchWorld(t, w)
	for _, bad := range []string{"nothing", old.cert, old.cert + newPair(t, "a.example").key} {
		w.write("one.pem", bad)
		r.told()
		r.rest()
		r.serves("a.example", old)
	}
	if n := count(w.events, event.CertUnusable); n != 1 {
		t.Errorf("it was told %d times: %v", n, w.events)
	}
	good := newPair(t, "a.example")
	w.write("one.pem", good.pem())
	r.told()
	r.rest()
	r.serves("a.example", good)
	must(t, os.Remove(w.path("one.pem")))
	r.told()
	r.rest()
	r.serves("a.example", good)
	if n := count(w.events, event.CertUnusable); n != 2 {
		t.Errorf("after a good one, a removed file was told %d times in all", n)
	}
}

func TestOurOwnCommitIsNoEdit(t *testing.T) {
	w := historyWorld(t)
	w.write("one.pem", newPair(t, "a.example").pem())
	r := watchWorld(t, w)
	next := newPair(t, "a.example")
	r.mustDeploy(w.path("one.pem"), next.pem())
	before := r.Bundle(w.path("one.pem"))
	r.told()
	r.rest()
	if r.Bundle(w.path("one.pem")) != before || count(w.events, event.CertCommitted) != 1 {
		t.Error("a commit was taken for an edit")
	}
}

func TestSplitFilesAndSwitchedLinksAreFollowed(t *testing.T) {
	w := newWorld(t, splitFiles)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.crt", old.cert)
	w.write("one.key", old.key)
	r := watchWorld(t, w)
	w.write("one.crt", next.cert)
	r.told()
	r.rest() // half: the old pair serves
	r.serves("a.example", old)
	w.write("one.key", next.key)
	r.told()
	r.rest()
	r.serves("a.example", next)

	// a Kubernetes volume: one.pem -> ..data/one.pem, ..data -> ..1
	w = newWorld(t, oneFile)
	must(t, os.Mkdir(w.path("..1"), 0o755))
	must(t, os.Mkdir(w.path("..2"), 0o755))
	w.write("..1/one.pem", old.pem())
	w.write("..2/one.pem", next.pem())
	must(t, os.Symlink("..1", w.path("..data")))
	must(t, os.Symlink("..data/one.pem", w.path("one.pem")))
	r = watchWorld(t, w)
	must(t, os.Symlink("..2", w.path("..tmp")))
	must(t, os.Rename(w.path("..tmp"), w.path("..data")))
	r.told()
	r.rest()
	r.serves("a.example", next)
}

// blind is a host without inotify.
type blind struct{ host.Host }

func (blind) Watch([]string) (*os.File, []int32, error) { return nil, nil, syscall.ENOSYS }

func TestWithoutInotifyFilesAreLookedAt(t *testing.T) {
	w := historyWorld(t)
	old, edit := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := watchWorld(t, w)
	r.w.stop()
	r.o.Host = blind{r.o.Host}
	r.w.generation = 0
	r.w.follow(t.Context())
	clear(r.w.dirty)
	w.write("one.pem", edit.pem())
	r.w.poll()
	if len(r.w.dirty) != 0 {
		t.Error("it was looked at too often")
	}
	r.now = r.now.Add(pollEvery)
	r.w.poll()
	r.rest()
	r.serves("a.example", edit)
}

// TestAnEditBetweenReadingAndWatchingIsNotMissed edits before the watch begins.
func TestAnEditBetweenReadingAndWatchingIsNotMissed(t *testing.T) {
	w := historyWorld(t)
	w.write("one.pem", newPair(t, "a.example").pem())
	w.watch = true
	r := &watched{running: w.start(), t: t, now: time.Now()}
	edit := newPair(t, "a.example")
	w.write("one.pem", edit.pem())
	r.o.Now = func() time.Time { return r.now }
	r.w = &watcher{store: r.Store, events: make(chan []string), dirty: map[string]time.Time{}}
	defer r.w.stop()
	r.w.follow(t.Context())
	r.rest()
	r.serves("a.example", edit)
}

func TestAnEditBackToWhatTheFileHeldBeforeACommitIsRead(t *testing.T) {
	w := historyWorld(t)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := watchWorld(t, w)
	r.mustDeploy(w.path("one.pem"), next.pem())
	r.told()
	r.rest()
	w.write("one.pem", old.pem())
	r.told()
	r.rest()
	r.serves("a.example", old)
}

func TestATouchedFileDoesNotUndoACommitUnderPersistOff(t *testing.T) {
	w := historyWorld(t)
	w.persist = false
	old, next, edit := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := watchWorld(t, w)
	r.mustDeploy(w.path("one.pem"), next.pem())
	w.write("one.pem", old.pem())
	r.told()
	r.rest()
	r.serves("a.example", next)
	w.write("one.pem", edit.pem())
	r.told()
	r.rest()
	r.serves("a.example", edit)
}

func TestWatchOffReadsNothing(t *testing.T) {
	w := historyWorld(t)
	w.write("one.pem", newPair(t, "a.example").pem())
	r := watchWorld(t, w)
	r.SetWatch(false)
	r.w.follow(t.Context())
	if r.w.file != nil || len(r.w.polled) != 0 {
		t.Error("files are still watched")
	}
}
