package engine

import (
	"context"
	"sync"
)

// group runs the goroutines of the engine. What is added before run waits for it; run returns when all have returned.
type group struct {
	mu      sync.Mutex
	ctx     context.Context // of run; nil before it
	waiting []func(context.Context)
	wg      sync.WaitGroup
	ended   bool // nothing can be added any more
}

// task is one goroutine that can be stopped by itself.
type task struct {
	cancel context.CancelFunc // guarded by the group's mu until the task runs
	off    bool
	done   chan struct{}
}

// start runs f until its context ends, which is when stop is called or run's context is done.
func (g *group) start(f func(context.Context)) *task {
	t := &task{done: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	body := func(ctx context.Context) {
		defer close(t.done)
		f(ctx)
	}
	switch {
	case g.ended:
		close(t.done)
	case g.ctx == nil:
		g.waiting = append(g.waiting, func(ctx context.Context) {
			if t.off {
				close(t.done)
				return
			}
			g.goLocked(ctx, t, body)
		})
	default:
		g.goLocked(g.ctx, t, body)
	}
	return t
}

func (g *group) goLocked(ctx context.Context, t *task, body func(context.Context)) {
	ctx, t.cancel = context.WithCancel(ctx)
	g.wg.Go(func() {
		defer t.cancel()
		body(ctx)
	})
}

// stop ends a task without waiting for it.
func (g *group) stop(t *task) {
	if t == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t.off = true
	if t.cancel != nil {
		t.cancel()
	}
}

// over reports whether the task has returned.
func (t *task) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// run starts what waits and returns when ctx is done and every task has returned.
func (g *group) run(ctx context.Context) {
	g.mu.Lock()
	g.ctx = ctx
	for _, f := range g.waiting {
		f(ctx)
	}
	g.waiting = nil
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.wg.Wait()
}

// hard is the context of run: done when everything must end at once. A task may call it.
func (g *group) hard() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ctx
}
