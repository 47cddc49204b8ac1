package proxy

import (
	"context"
	"sync"
	"time"

	"gatehouse/internal/log"
)

// absence is the context of a search for a server: it ends when the client leaves. Looking at the client costs a goroutine, so it
// begins only when somebody asks for Done, which package backend does when it has to wait: most requests find an idle
// connection and never ask. It lives from begin to end; both are called by the goroutine that serves the request.
type absence struct {
	cl      *client
	halfToo bool          // a half-closed client has left
	limit   time.Duration // `timeout client`, in force again afterwards

	mu      sync.Mutex
	done    chan struct{}   // guarded by mu; nil until somebody asks
	ended   chan struct{}   // guarded by mu: the watching goroutine is over
	left    bool            // guarded by mu
	waiting map[*func()]any // guarded by mu: what to call when the client leaves
}

func (a *absence) begin(cl *client, halfToo bool, limit time.Duration) {
	a.cl, a.halfToo, a.limit = cl, halfToo, limit
}

// end stops looking.
func (a *absence) end() {
	a.mu.Lock()
	ended := a.ended
	a.mu.Unlock()
	if ended != nil {
		a.cl.wire.Interrupt()
		<-ended
		a.cl.wire.Resume()
		a.cl.wire.ReadWithin(a.limit)
	}
	a.mu.Lock()
	a.done, a.ended, a.waiting, a.left = nil, nil, nil, false
	a.mu.Unlock()
	a.cl = nil
}

func (a *absence) Deadline() (time.Time, bool) { return time.Time{}, false }
func (a *absence) Value(any) any               { return nil }

// Err is context.Canceled once the client has left.
func (a *absence) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left {
		return context.Canceled
	}
	return nil
}

// Done begins to look at the client.
func (a *absence) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
		a.ended = make(chan struct{})
		go a.look(a.cl, a.ended)
	}
	return a.done
}

func (a *absence) look(cl *client, ended chan struct{}) {
	defer close(ended)
	if !cl.hasLeft(a.halfToo) {
		return
	}
	a.mu.Lock()
	a.left = true
	waiting := a.waiting
	a.waiting = nil
	close(a.done)
	a.mu.Unlock()
	for f := range waiting {
		(*f)()
	}
}

// AfterFunc lets package context derive contexts from a without a goroutine for each.
func (a *absence) AfterFunc(f func()) (stop func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left {
		go f()
		return func() bool { return false }
	}
	if a.waiting == nil {
		a.waiting = map[*func()]any{}
	}
	key := &f
	a.waiting[key] = nil
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		_, there := a.waiting[key]
		delete(a.waiting, key)
		return there
	}
}

// guard ends a connection whose handling panicked: that is a fault of ours, which must cost nobody else. What was being handled is not
// logged, since it may hold secrets.
func (h *Handle) guard() {
	r := recover()
	if r == nil {
		return
	}
	h.panics.Add(1)
	if f := h.current.Load(); f != nil {
		f.o.Log.Logger.Send(log.Crit, []byte("internal error: a connection of frontend "+f.o.Name+" was closed"))
	}
}

// Panics counts connections that an internal error ended.
func (h *Handle) Panics() int64 { return h.panics.Load() }
