package backend

import (
	"context"
	"errors"
	"net"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// ConnectOptions say what a request needs of its connection.
type ConnectOptions struct {
	// Session is the client connection's own store of connections to servers, for http-reuse never; nil is allowed.
	Session *Session
	// First is set for the first request of a client connection: under http-reuse safe it does not travel on a connection
	// that others have used, because nobody could retry it.
	First bool
	// Fresh asks for a new connection, for a retry after an idle one turned out to be closed.
	Fresh bool
	// Avoid is a server that just failed this request, taken only when no other can be.
	Avoid *Server
	// Server is the one that the request belongs to, whatever the balance algorithm would say; nil: that one chooses. The request
	// leaves it only by option redispatch.
	Server *Server
	// MayRedirect says that the client may be sent to a server with `redir` instead: then the error is Redirected.
	MayRedirect bool
	// Force is force-persist: the request does not leave Server at all.
	Force bool
}

// patience bounds a wait the configuration left without a timeout. TCP itself gives up at about this time.
const patience = 2 * time.Minute

// turnAround is how long to wait before the same server is tried again after it refused (HAProxy: one second, or
// `timeout connect` when that is shorter).
const turnAround = time.Second

// Connect chooses a server for s and returns a connection to it, holding one of the server's slots until Release. It
// fills s.Server and, in s.Log, Queued, Connected, Retries, Redispatched, SrvQueue, BckQueue and SrvConn. Errors are *Error.
// ctx ends every wait. Taking an idle connection allocates nothing.
func (b *Backend) Connect(ctx context.Context, s *stream.Stream, o ConnectOptions) (*Conn, error) {
	avoid := o.Avoid
	for {
		var srv *Server
		var err error
		if o.Server != nil {
			if srv, err = b.assigned(ctx, s, &o); srv == nil && err == nil {
				o.Server = nil
				continue
			}
		} else {
			srv, err = b.assign(ctx, s, avoid)
		}
		if err != nil {
			return nil, err
		}
		switch {
		case avoid == nil:
		case srv.life != avoid.life:
			s.Log.Redispatched = true
			b.counters.Redispatches.Add(1)
			avoid.life.counters.Redispatches.Add(1)
		default: // there is no other
			b.counters.Retries.Add(1)
			srv.life.counters.Retries.Add(1)
		}
		if to := srv.o.Line.Redir; to != "" && o.MayRedirect {
			srv.leave()
			return nil, &Error{Kind: Redirected, Status: 302, Term: [2]byte{'L', 'C'}, Server: srv.Name(), Redir: to}
		}
		c, err := b.onServer(ctx, s, srv, &o)
		if err == nil {
			return c, nil
		}
		srv.leave()
		var e *Error
		if !errors.As(err, &e) || e.Kind == Aborted || s.Log.Retries >= s.Limits.Retries(b.o.Retries) || b.o.NoConnectRetry {
			return nil, err
		}
		s.Log.Retries++
		if active, _ := b.Usable(); active <= 1 && e.Kind != ConnectTimeout && !b.rest(ctx) {
			return nil, &Error{Kind: Aborted, Term: [2]byte{'C', 'C'}, Server: srv.Name(), Err: context.Cause(ctx)}
		}
		avoid, o.Server = srv, nil
	}
}

// assign chooses a server and takes its slot, waiting in the queue when all are full.
func (b *Backend) assign(ctx context.Context, s *stream.Stream, avoid *Server) (*Server, error) {
	srv, full := b.take(avoid)
	switch {
	case srv != nil:
		s.Log.Queued = time.Now()
	case !full:
		return nil, errNoServer
	default:
		var err error
		srv, s.Log.BckQueue, err = b.wait(ctx, &waiter{avoid: avoid}, b.queueTimeout(s))
		s.Log.Queued = time.Now()
		if err != nil {
			return nil, err
		}
	}
	b.serving(s, srv, avoid == nil || srv.life != avoid.life)
	return srv, nil
}

// leave gives up the slot that assign took.
func (s *Server) leave() {
	s.life.counters.Leave()
	s.freeSlot()
}

// onServer gets a connection to srv, trying it again as long as retries are left and option redispatch does not send the
// request elsewhere. The returned error is final for this server.
func (b *Backend) onServer(ctx context.Context, s *stream.Stream, srv *Server, o *ConnectOptions) (*Conn, error) {
	w := srv.wish(s)
	if !o.Fresh {
		if c := b.reused(srv, &w, o); c != nil {
			s.BackTLS, s.BackErr, s.BackConn = c.facts, 0, true
			s.Log.Connected = s.Log.Queued
			return c, nil
		}
	}
	for {
		c, err := srv.open(ctx, s, &w)
		if err == nil {
			s.Log.Connected = time.Now()
			c.session = o.Session
			s.BackTLS = c.facts
			return c, nil
		}
		last := s.Log.Retries >= s.Limits.Retries(b.o.Retries) || b.o.NoConnectRetry
		if err.Kind == Aborted || last {
			if last {
				srv.life.counters.ErrConn.Add(1)
				b.counters.ErrConn.Add(1)
			}
			return nil, err
		}
		if b.redispatches(srv, s.Log.Retries+1, s.Limits.Retries(b.o.Retries), o) {
			return nil, err
		}
		s.Log.Retries++
		srv.life.counters.Retries.Add(1)
		b.counters.Retries.Add(1)
		if err.Kind != ConnectTimeout && !b.rest(ctx) {
			return nil, &Error{Kind: Aborted, Term: [2]byte{'C', 'C'}, Server: srv.Name(), Err: context.Cause(ctx)}
		}
	}
}

// redispatches reports whether retry number n of as many as are allowed leaves the server: with option redispatch, when the server went
// down, at the
// retries the option names, and always when several servers are up and the algorithm does not care which one serves.
func (b *Backend) redispatches(srv *Server, n, retries int, o *ConnectOptions) bool {
	if b.o.Redispatch == nil || o.Force {
		return false
	}
	every := *b.o.Redispatch
	if every <= 0 { // counted from the end: -1 is the last retry
		every = retries + 1 + min(every, -1)
	}
	if !srv.usable.Load() || (every > 0 && n%every == 0) {
		return true
	}
	active, _ := b.Usable()
	return o.Server == nil && active > 1
}

// rest waits before the same server is asked again; false when ctx ended.
func (b *Backend) rest(ctx context.Context) bool {
	d := turnAround
	if b.o.ConnectTimeout > 0 {
		d = min(d, b.o.ConnectTimeout)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// open makes a new connection to the server, TLS included, within `timeout connect`.
func (s *Server) open(ctx context.Context, st *stream.Stream, w *wish) (*Conn, *Error) {
	limit := s.backend.o.ConnectTimeout
	if st != nil {
		limit = st.Limits.Timeout(stream.TimeoutConnect, limit)
	}
	if limit <= 0 {
		limit = patience
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.life.counters.Connects.Add(1)
	s.backend.counters.Connects.Add(1)
	if st != nil {
		st.BackTLS, st.BackErr, st.BackConn = nil, 0, true
	}
	raw, err := s.backend.dial(withPackets(within, w.packets), s.place().network, s.addressFor(clientPort(st)))
	if err != nil {
		s.failed(st, nil, connectErr(err), 0)
		return nil, s.failure(ctx, within, ConnectFailed, err)
	}
	c := newConn(s, raw, w)
	if err := c.greet(within); err != nil {
		c.close()
		s.failed(st, c, connectErr(err), 0)
		return nil, s.failure(ctx, within, ConnectFailed, err)
	}
	if t := s.client(); t != nil {
		if err := c.handshake(within, t); err != nil {
			c.close()
			bc, packed := handshakeErr(err)
			s.failed(st, c, bc, packed)
			s.life.counters.SSLFailed.Add(1)
			return nil, s.failure(ctx, within, HandshakeFailed, err)
		}
	}
	return c, nil
}

// failure names what went wrong with an attempt to connect.
func (s *Server) failure(ctx, within context.Context, kind Kind, err error) *Error {
	e := &Error{Kind: kind, Status: 503, Term: [2]byte{'S', 'C'}, Server: s.Name(), Err: err}
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		e.Kind, e.Status, e.Term, e.Err = Aborted, 0, [2]byte{'C', 'C'}, context.Cause(ctx)
	case within.Err() != nil || (errors.As(err, &timeout) && timeout.Timeout()):
		e.Kind, e.Term = ConnectTimeout, [2]byte{'s', 'C'}
	}
	return e
}

func clientPort(st *stream.Stream) uint16 {
	if st == nil || st.Conn == nil {
		return 0
	}
	return st.Dst().Port()
}

// dialer opens connections as the kernel likes them; probes are HAProxy's `option srvtcpka`, off by default there.
func dialer(keepAlive bool, p config.Probes) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{KeepAlive: -1, ControlContext: markPackets}
	if keepAlive {
		d.KeepAlive = 0
	}
	if keepAlive && p != (config.Probes{}) {
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: orSystem(p.Idle), Interval: orSystem(p.Interval), Count: orSystem(p.Count)}
	}
	return d.DialContext
}

// orSystem makes a keepalive parameter that was not given one that is not touched.
func orSystem[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
