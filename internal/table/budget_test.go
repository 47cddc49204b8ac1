package table

import (
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/stream"
)

// drain passes total bytes in pieces of at most piece and returns how long it took.
func drain(b *Budget, total, piece int64) time.Duration {
	begin := time.Now()
	for total > 0 {
		n, wait := b.Take(min(total, piece))
		total -= n
		if total > 0 && wait > 0 {
			time.Sleep(wait)
		}
	}
	return time.Since(begin)
}

func TestBudgetKeepsItsLimitEvenly(t *testing.T) {
	for name, tc := range map[string]struct {
		o           BudgetOptions
		total       int64
		least, most time.Duration
	}{
		"ten periods":            {BudgetOptions{Limit: 10 << 10, Period: time.Second}, 100 << 10, 8500 * time.Millisecond, 11 * time.Second},
		"short period":           {BudgetOptions{Limit: 1 << 10, Period: 100 * time.Millisecond}, 100 << 10, 9700 * time.Millisecond, 11 * time.Second},
		"least size":             {BudgetOptions{Limit: 10 << 10, Period: time.Second, MinSize: 3000}, 100 << 10, 8500 * time.Millisecond, 12 * time.Second},
		"least size above limit": {BudgetOptions{Limit: 100, Period: time.Second, MinSize: 3000}, 1000, 8 * time.Second, 400 * time.Second},
		"all at once":            {BudgetOptions{Limit: 1 << 20, Period: time.Second}, 10 << 10, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(tc.o)
				defer b.Release()
				if took := drain(b, tc.total, 16<<10); took < tc.least || took > tc.most {
					t.Errorf("%d bytes took %v, want %v to %v", tc.total, took, tc.least, tc.most)
				}
			})
		})
	}
}

// TestBudgetOfAnEntryIsSharedEqually has two streams count on one entry: each gets half, and the table shows what passed.
func TestBudgetOfAnEntryIsSharedEqually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := New(Options{Name: "t", Key: stream.KindInt, Size: 10, Store: []Store{{Type: BytesOutRate, Period: time.Second}}})
		key := []byte{1, 0, 0, 0}
		took := make(chan time.Duration)
		for range 2 {
			b := NewBudget(BudgetOptions{Limit: 10 << 10, Entry: tab.Get(key), Rate: BytesOutRate})
			go func() {
				d := drain(b, 50<<10, 16<<10)
				b.Release()
				took <- d
			}()
		}
		for range 2 {
			if d := <-took; d < 6*time.Second || d > 12*time.Second {
				t.Errorf("50 KiB at half of 10 KiB a second took %v", d)
			}
		}
		e := tab.Lookup(key)
		defer e.Release()
		if n, _ := e.Value(BytesOutRate, 0); n < 5<<10 || n > 11<<10 {
			t.Errorf("the rate is %d", n)
		}
		if n := e.Holders(); n != 1 {
			t.Errorf("%d hold the entry", n)
		}
	})
}

// TestBudgetSaysHowLongToWait: who asks too early gets nothing and the rest of the wait.
func TestBudgetSaysHowLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetOptions{Limit: 1000, Period: time.Second})
		defer b.Release()
		if n, wait := b.Take(400); n != 400 || wait != 0 {
			t.Fatalf("first: %d, %v", n, wait)
		}
		n, wait := b.Take(400)
		if n != 0 || wait != 400*time.Millisecond {
			t.Fatalf("too soon: %d, %v", n, wait)
		}
		time.Sleep(100 * time.Millisecond)
		if n, wait = b.Take(400); n != 0 || wait != 300*time.Millisecond {
			t.Fatalf("while it waits: %d, %v", n, wait)
		}
		time.Sleep(wait)
		if n, wait = b.Take(400); n != 400 || wait != 0 {
			t.Fatalf("afterwards: %d, %v", n, wait)
		}
		if n, wait = b.Take(0); n != 0 || wait != 0 {
			t.Fatalf("nothing: %d, %v", n, wait)
		}
	})
}
