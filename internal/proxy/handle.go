package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// Handle is the frontend as listeners know it, whatever its generation. A reload swaps what it points to.
type Handle struct {
	current atomic.Pointer[Frontend]
	panics  atomic.Int64

	mu     sync.Mutex
	conns  map[*client]struct{} // guarded by mu: connections in mode http
	closed bool                 // guarded by mu
}

// NewHandle makes a handle for f.
func NewHandle(f *Frontend) *Handle {
	h := &Handle{conns: map[*client]struct{}{}}
	h.current.Store(f)
	return h
}

// Swap puts f in the place of the running generation. Requests that have begun end with the one they began with.
func (h *Handle) Swap(f *Frontend) { h.current.Store(f) }

// Frontend returns the current generation.
func (h *Handle) Frontend() *Frontend { return h.current.Load() }

// Close says that the frontend is gone: idle connections close at once, the others after their current request.
func (h *Handle) Close() {
	h.mu.Lock()
	h.closed = true
	conns := make([]*client, 0, len(h.conns))
	for cl := range h.conns {
		conns = append(conns, cl)
	}
	h.mu.Unlock()
	for _, cl := range conns {
		cl.stop()
	}
}

// Conns returns how many connections are being served in mode http.
func (h *Handle) Conns() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *Handle) add(cl *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.conns[cl] = struct{}{}
	return true
}

func (h *Handle) remove(cl *client) {
	h.mu.Lock()
	delete(h.conns, cl)
	h.mu.Unlock()
}

// Serve serves one connection and closes it. nc is a socket or a *tls.Conn after its handshake; c is filled. ctx done means soft
// stop: an idle connection closes, a busy one after its current request.
func (h *Handle) Serve(ctx context.Context, nc net.Conn, c *stream.Conn) {
	defer nc.Close()
	defer h.guard()
	f := h.current.Load()
	if f == nil {
		return
	}
	if !f.admitSession(nc, c) {
		return
	}
	if f.o.NoLinger {
		noLinger(nc)
	}
	table.CountSession(c)
	if !f.o.HTTP {
		serveTCP(ctx, h, f, nc, c)
		return
	}
	cl := &client{handle: h, conn: c}
	cl.wire.Init(nc)
	cl.in.Init(&cl.wire, f.pool)
	if !h.add(cl) {
		return
	}
	defer h.remove(cl)
	defer context.AfterFunc(ctx, cl.stop)()
	cl.serve()
}

// pools holds one pool per buffer size, shared by all frontends and generations. Sizes come from the configuration, so they
// are few.
var pools sync.Map

func poolOf(size int) *h1.Pool {
	if p, ok := pools.Load(size); ok {
		return p.(*h1.Pool)
	}
	p, _ := pools.LoadOrStore(size, h1.NewPool(size))
	return p.(*h1.Pool)
}
