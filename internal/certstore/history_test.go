package certstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

// historyWorld keeps five versions.
func historyWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, oneFile)
	w.history = HistoryRules{Versions: 5}
	return w
}

func mustHistory(t *testing.T, r *running, name string) []Version {
	t.Helper()
	list, err := r.History(name)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mustBeWhole is store check as the oracle.
func mustBeWhole(t *testing.T, r *running, severities ...string) {
	t.Helper()
	p := r.Plan(r.world.rules)
	if errs := r.world.plan(p); len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, f := range p.Check(CheckOptions{DB: r.world.db}).Findings {
		if f.Severity == "error" || len(severities) > 0 {
			t.Fatalf("store check: %+v", f)
		}
	}
}

func TestEveryServedVersionIsKeptWithWhoAndWhen(t *testing.T) {
	w := historyWorld(t)
	name := w.path("one.pem")
	var served []pair
	for range 4 {
		served = append(served, newPair(t, "a.example"))
	}
	w.write("one.pem", served[0].pem())
	r := w.start()
	for _, p := range served[1:] {
		r.mustDeploy(name, p.pem())
	}
	r.mustDeploy(name, served[3].pem()) // the same again is no version
	for _, r := range []*running{r, w.start()} {
		list := mustHistory(t, r, name)
		if len(list) != 4 || list[0].By != "file" || list[1].By != "test" || list[1].N != 2 || list[1].When.IsZero() || !list[3].Current || list[0].Current {
			t.Fatalf("the history is %+v", list)
		}
	}
	mustBeWhole(t, r, "warning")
	checkModes(t, w.state)
	if fmt.Sprintf("%+v", mustHistory(t, r, name)) == "" || strings.Contains(fmt.Sprintf("%+v", mustHistory(t, r, name)), "PRIVATE") {
		t.Error("a key stands in the history's answer")
	}
	// back one, then to the first, then it restarts
	if v, _, err := r.Rollback(name, 0, "admin", nil); err != nil || v.N != 3 {
		t.Fatalf("rollback: %+v, %v", v, err)
	}
	r.serves("a.example", served[2])
	if v, _, err := r.Rollback(name, 1, "admin", nil); err != nil || v.N != 1 {
		t.Fatalf("rollback to 1: %+v, %v", v, err)
	}
	w.start().serves("a.example", served[0])
	if list := mustHistory(t, r, name); len(list) != 5 || list[4].By != "admin, rollback to version 1" || !list[4].Current {
		t.Errorf("after two rollbacks the history is %+v", list)
	}
	mustBeWhole(t, r, "warning")
	for want, n := range map[string]int{"there is no version 99": 99} {
		if _, _, err := r.Rollback(name, n, "admin", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rollback to %d: %v", n, err)
		}
	}
	if _, _, err := r.Rollback("unknown", 0, "admin", nil); err == nil {
		t.Error("an unknown name was rolled back")
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	w := historyWorld(t)
	w.history = HistoryRules{Versions: 3, Age: time.Hour}
	name := w.path("one.pem")
	w.write("one.pem", newPair(t, "a.example").pem())
	now := time.Now()
	r := w.start()
	r.o.Now = func() time.Time { return now }
	for range 6 {
		r.mustDeploy(name, newPair(t, "a.example").pem())
	}
	if list := mustHistory(t, r, name); len(list) != 3 || list[2].N != 7 {
		t.Errorf("of 7 versions these are kept: %+v", list)
	}
	now = now.Add(2 * time.Hour)
	r.mustDeploy(name, newPair(t, "a.example").pem())
	if list := mustHistory(t, r, name); len(list) != 1 || list[0].N != 8 {
		t.Errorf("after two hours these are kept: %+v", list)
	}
	if files, _ := filepath.Glob(w.state + "/history/*/*.pem"); len(files) != 1 {
		t.Errorf("files of versions that are gone: %v", files)
	}
	mustBeWhole(t, r, "warning")
}

func TestPersistOffKeepsNoHistory(t *testing.T) {
	w := historyWorld(t)
	w.persist = false
	w.write("one.pem", newPair(t, "a.example").pem())
	r := w.start()
	r.mustDeploy(w.path("one.pem"), newPair(t, "a.example").pem())
	if list := mustHistory(t, r, w.path("one.pem")); len(list) != 0 {
		t.Errorf("the history is %+v", list)
	}
	if _, err := os.Stat(w.state); err == nil {
		t.Error("a state directory was made")
	}
}

// TestFirstVersionsAreRecordedInTheBackground: not at the start, and each file once.
func TestFirstVersionsAreRecordedInTheBackground(t *testing.T) {
	w := newWorld(t, oneDir)
	w.history = HistoryRules{Versions: 5}
	const n = historyBatch + 10
	for i := range n {
		w.write(fmt.Sprintf("%04d.pem", i), pairFor(t, testKey(), fmt.Sprintf("n%d.example", i)).pem())
	}
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		r := w.start()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, err := os.Stat(w.state); err == nil {
			t.Error("the state directory was made at the start")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		items, err := w.db.List(t.Context(), "history/")
		if err != nil || len(items) != n {
			t.Errorf("%d versions are recorded, %v; want %d", len(items), err, n)
		}
		stop()
		<-done
	})
	w.t = t
	mustBeWhole(t, w.start())
}

func TestAHistoryThatCannotBeWrittenHoldsNothingUp(t *testing.T) {
	w := historyWorld(t)
	first, second := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", first.pem())
	r := w.start()
	w.fault = func(_ host.Step, name string) error {
		if strings.HasPrefix(name, w.state) {
			return syscall.ENOSPC
		}
		return nil
	}
	r.mustDeploy(w.path("one.pem"), second.pem())
	r.flushHistory(t.Context())
	if n := count(w.events, event.CertUnsaved); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	w.fault = nil
	if list := mustHistory(t, r, w.path("one.pem")); len(list) != 2 || list[0].By != "file" {
		t.Errorf("once there is room the history is %+v", list)
	}
}

// TestNoCrashDamagesTheHistory fails or kills at every step of commits and rollbacks with history, with store check as the oracle: the certificate is
// the old or the new one, every record has its file, and the version that was replaced can be gone back to.
func TestNoCrashDamagesTheHistory(t *testing.T) {
	points := 0
	for _, failure := range []error{host.ErrKilled, syscall.ENOSPC, syscall.EIO} {
		for n := 1; ; n++ {
			if n > 500 {
				t.Fatal("no end of steps")
			}
			w := historyWorld(t)
			first, second := newPair(t, "a.example"), newPair(t, "a.example")
			name := w.path("one.pem")
			w.write("one.pem", first.pem())
			r := w.start()
			steps, dead := 0, false
			w.fault = func(host.Step, string) error {
				steps++
				if steps == n || dead {
					dead = errors.Is(failure, host.ErrKilled)
					return failure
				}
				return nil
			}
			answer := r.deploy(name, second.pem())
			r.flushHistory(t.Context())
			_, _, rerr := r.Rollback(name, 1, "test", nil)
			r.flushHistory(t.Context())
			w.fault = nil
			after := w.start()
			mustBeWhole(t, after)
			b := after.Bundle(name)
			if key := string(b.KeyPEM()); key != first.key && key != second.key {
				t.Fatalf("%v at step %d: a third certificate is served", failure, n)
			}
			if debt := strings.Contains(answer, "is not on disk yet"); rerr == nil && !debt && r.Unsaved() == 0 && string(b.KeyPEM()) != first.key {
				t.Fatalf("%v at step %d: a rollback was answered and is lost", failure, n)
			}
			if string(b.KeyPEM()) == second.key && !errors.Is(failure, syscall.ENOSPC) && !errors.Is(failure, syscall.EIO) {
				if _, _, err := after.Rollback(name, 1, "test", nil); err != nil {
					t.Fatalf("%v at step %d: the version that was replaced is lost: %v", failure, n, err)
				}
				after.serves("a.example", first)
			}
			if steps < n {
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
