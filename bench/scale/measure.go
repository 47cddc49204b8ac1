package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// few is a directory of ten, to take away what the program costs without certificates.
func (w *world) few() (string, error) {
	dir := filepath.Join(w.dir, "few-"+w.key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for i := range 10 {
		text, err := os.ReadFile(w.path(i))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(w.path(i))), text, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (w *world) last() string { return site(w.n - 1) }

// measureStart starts without an index and then with the one that the first start left, from a warm page cache.
func measureStart(ctx context.Context, w *world) error {
	state := filepath.Join(w.dir, "state")
	for round := range 4 {
		what := "with an index"
		if round < 2 {
			what = "without an index"
			if err := os.RemoveAll(state); err != nil {
				return err
			}
		}
		e, err := w.start(ctx, w.certs(), w.last(), "on")
		if err != nil {
			return err
		}
		cpu, err := e.cpu()
		if round == 1 && err == nil {
			err = waitForIndex(ctx, state)
		}
		fmt.Printf("  %-18s %8.2f s   %.2f s of CPU\n", what, e.took.Seconds(), cpu.Seconds())
		e.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// waitForIndex waits until the index is written, which happens in the background.
func waitForIndex(ctx context.Context, state string) error {
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		if _, err := os.Stat(filepath.Join(state, "index")); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("no index came within a minute")
}

// measureMemory compares resident memory with ten certificates and with all, and after handshakes for a tenth of the names.
func measureMemory(ctx context.Context, w *world) error {
	dir, err := w.few()
	if err != nil {
		return err
	}
	e, err := w.start(ctx, dir, site(9), "on")
	if err != nil {
		return err
	}
	empty, err := e.settled(ctx)
	e.stop()
	if err != nil {
		return err
	}
	if e, err = w.start(ctx, w.certs(), w.last(), "on"); err != nil {
		return err
	}
	defer e.stop()
	unused, err := e.settled(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  unused %8.2f KiB each\n", float64(unused-empty)/1024/float64(w.n))
	used := min(w.n/10, 10_000)
	if err := spread(used, func(i int) error { return shake(site(i)) }); err != nil {
		return err
	}
	after, err := e.settled(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  used   %8.2f KiB each (%d of them, the whole of a used one)\n", float64(after-unused)/1024/float64(used)+float64(unused-empty)/1024/float64(w.n), used)
	return nil
}

const mostCommits = 5000

// measureCommits renews one name after another.
func measureCommits(ctx context.Context, w *world) error {
	commits := min(mostCommits, w.n)
	texts := make([]string, commits)
	err := spread(commits, func(i int) error {
		text, err := w.issue(i)
		texts[i] = string(text)
		return err
	})
	if err != nil {
		return err
	}
	one := func(e *edge, t *talk, n int) error {
		began := time.Now()
		for i := range n {
			if err := t.renew(w.path(i), texts[i]); err != nil {
				return err
			}
		}
		fmt.Printf("%8.0f /s", float64(n)/time.Since(began).Seconds())
		return nil
	}
	fmt.Printf("  in memory (persist off)         ")
	if err := w.with(ctx, "off", func(e *edge, t *talk) error { return one(e, t, commits) }); err != nil {
		return err
	}
	fmt.Printf("\n  durable, one by one             ")
	raw, err := w.rawWrites(texts[:1000])
	if err != nil {
		return err
	}
	if err := w.with(ctx, "on", func(e *edge, t *talk) error { return one(e, t, 1000) }); err != nil {
		return err
	}
	fmt.Printf("  beside %.0f /s of a program that only writes, fsyncs, renames and fsyncs the directory\n", raw)
	fmt.Printf("  durable, %d in one transaction", commits)
	return w.with(ctx, "on", func(e *edge, t *talk) error {
		if err := spread(commits, func(i int) error {
			text, err := w.issue(i)
			texts[i] = string(text)
			return err
		}); err != nil {
			return err
		}
		began := time.Now()
		if _, err := t.ask("begin ssl transaction scale", ""); err != nil {
			return err
		}
		for i := range commits {
			if _, err := t.ask("set ssl cert "+w.path(i)+" txn scale <<\n"+texts[i], "Transaction"); err != nil {
				return err
			}
		}
		set := time.Since(began)
		if _, err := t.ask("commit ssl transaction scale", "Success!"); err != nil {
			return err
		}
		all := time.Since(began)
		fmt.Printf("   %8.0f /s  (the commit alone %.0f /s)\n", float64(commits)/all.Seconds(), float64(commits)/(all-set).Seconds())
		return nil
	})
}

// with starts the program on all certificates and opens its socket.
func (w *world) with(ctx context.Context, persist string, f func(*edge, *talk) error) error {
	e, err := w.start(ctx, w.certs(), w.last(), persist)
	if err != nil {
		return err
	}
	defer e.stop()
	t, err := e.talk()
	if err != nil {
		return err
	}
	defer t.c.Close()
	return f(e, t)
}

// rawWrites is how many files per second a program replaces that does nothing else.
func (w *world) rawWrites(texts []string) (float64, error) {
	dir := filepath.Join(w.dir, "raw")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	began := time.Now()
	for i, text := range texts {
		name := filepath.Join(dir, site(i))
		f, err := os.OpenFile(name+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(name+".tmp", name), d.Sync()); err != nil {
			return 0, err
		}
	}
	return float64(len(texts)) / time.Since(began).Seconds(), nil
}

// measureShow dumps everything while handshakes go on, and looks what memory that takes.
func measureShow(ctx context.Context, w *world) error {
	return w.with(ctx, "off", func(e *edge, t *talk) error {
		before, err := e.settled(ctx)
		if err != nil {
			return err
		}
		for _, command := range []string{"show ssl cert", "show ssl sni", "show ssl crt-list -n " + w.certs()} {
			most := before
			done := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if now, err := e.rss(); err == nil {
						most = max(most, now)
					}
					select {
					case <-done:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
			began := time.Now()
			n, err := t.ask(command, filepath.Base(w.path(w.n-1)))
			took := time.Since(began)
			close(done)
			wg.Wait()
			if err != nil {
				return err
			}
			fmt.Printf("  %-40.40s %6.1f MiB in %6.2f s, memory at most %+.1f MiB\n", command, float64(n)/(1<<20), took.Seconds(), float64(most-before)/(1<<20))
		}
		return nil
	})
}

// measureSwap takes the 99th percentile of handshakes at a third of what one client can make, without and with 100 commits per second.
func measureSwap(ctx context.Context, w *world) error {
	texts := make([]string, 100)
	for i := range texts {
		text, err := w.issue(i)
		if err != nil {
			return err
		}
		texts[i] = string(text)
	}
	return w.with(ctx, "off", func(e *edge, t *talk) error {
		pace, err := paceFor(ctx)
		if err != nil {
			return err
		}
		var quiet, busy []float64
		for range 5 {
			p, err := percentile(ctx, w, pace)
			if err != nil {
				return err
			}
			quiet = append(quiet, p)
			stop, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- t.keepRenewing(w, texts, stop) }()
			p, err = percentile(ctx, w, pace)
			close(stop)
			if err := errors.Join(err, <-ended); err != nil {
				return err
			}
			busy = append(busy, p)
		}
		slices.Sort(quiet)
		slices.Sort(busy)
		fmt.Printf("  p99 of handshakes, one every %s: %.2f ms, with 100 commits per second %.2f ms: %+.2f ms (medians of five)\n", pace, quiet[2], busy[2], busy[2]-quiet[2])
		return nil
	})
}

// paceFor is the pause between handshakes at which the machine is busy with them for 30 % of its time.
func paceFor(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	const n = 500
	for i := range n {
		if err := shake(site(i % 10)); err != nil {
			return 0, err
		}
	}
	return time.Since(began) / n * 10 / 3, ctx.Err()
}

// percentile makes 2,000 handshakes for many names, one per pace, and returns the 99th percentile in milliseconds.
func percentile(ctx context.Context, w *world, pace time.Duration) (float64, error) {
	const n = 2000
	took := make([]float64, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		wg.Go(func() {
			began := time.Now()
			errs[i] = shake(site(i * 7919 % w.n))
			took[i] = float64(time.Since(began).Microseconds()) / 1000
		})
		if ctx.Err() != nil {
			break
		}
	}
	wg.Wait()
	slices.Sort(took)
	return took[n*99/100], errors.Join(errs...)
}

// keepRenewing commits a hundred certificates per second until told to stop.
func (t *talk) keepRenewing(w *world, texts []string, stop <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if err := t.renew(w.path(i%len(texts)), texts[i%len(texts)]); err != nil {
			return err
		}
	}
}

// measureSoak renews 10,000 names ten times over and looks at the memory when it is over.
func measureSoak(ctx context.Context, w *world) error {
	names := min(10_000, w.n)
	var texts [2][]string
	for v := range texts {
		texts[v] = make([]string, names)
		if err := spread(names, func(i int) error {
			text, err := w.issue(i)
			texts[v][i] = string(text)
			return err
		}); err != nil {
			return err
		}
	}
	return w.with(ctx, "off", func(e *edge, t *talk) error {
		before, err := e.settled(ctx)
		if err != nil {
			return err
		}
		for i := range 10 * names {
			if err := t.renew(w.path(i%names), texts[i/names%2][i%names]); err != nil {
				return err
			}
		}
		after, err := e.settled(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("  %.1f MiB before, %.1f MiB after: %+.1f %%\n", float64(before)/(1<<20), float64(after)/(1<<20), 100*(float64(after)/float64(before)-1))
		return nil
	})
}
