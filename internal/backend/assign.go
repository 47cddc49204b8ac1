package backend

import (
	"context"
	"time"

	"gatehouse/internal/stream"
)

// Alive reports whether the server may be asked for a request that something else than the balance algorithm sends to it: a
// cookie, a use-server rule, a table. Unlike a server that may be chosen, one that drains or has weight 0 is alive.
func (s *Server) Alive() bool { return s.life.alive.Load() }

// Persists reports whether a request that belongs to s goes there: s is alive, or `option persist` or force-persist says that
// it does not matter.
func (b *Backend) Persists(s *Server, force bool) bool {
	return s.Alive() || b.o.Persist || force
}

// assigned takes a slot of the server that a request belongs to, waiting in that server's queue when it is full. nil without an
// error says that the request may be served by another one: `maxqueue` is reached and option redispatch is set.
func (b *Backend) assigned(ctx context.Context, s *stream.Stream, o *ConnectOptions) (*Server, error) {
	srv := o.Server
	s.Log.Queued = time.Now()
	if !srv.acquire() {
		if limit := int64(srv.o.Line.MaxQueue); limit > 0 && srv.life.counters.QCur.Load() >= limit {
			if b.o.Redispatch != nil && !o.Force {
				return nil, nil
			}
			srv.life.counters.ErrConn.Add(1)
			b.counters.ErrConn.Add(1)
			return nil, &Error{Kind: QueueTimeout, Status: 503, Term: [2]byte{'S', 'Q'}, Server: srv.Name()}
		}
		got, position, err := b.wait(ctx, &waiter{want: srv, force: o.Force}, b.queueTimeout(s))
		s.Log.Queued, s.Log.SrvQueue = time.Now(), position
		if err != nil {
			return nil, err
		}
		srv = got
	}
	b.serving(s, srv, false)
	return srv, nil
}

// serving counts the request as one of srv's. chosen says that the balance algorithm gave it there.
func (b *Backend) serving(s *stream.Stream, srv *Server, chosen bool) {
	s.Server = srv.o.Line.Name
	s.Log.SrvConn = int(srv.life.counters.Enter())
	if chosen {
		srv.life.counters.Chosen.Add(1)
		b.counters.Chosen.Add(1)
	}
	now := s.Log.Queued
	srv.life.counters.LastSess.Store(now.UnixNano())
	b.counters.LastSess.Store(now.UnixNano())
	srv.life.counters.SessRate.Add(now)
}

// RetriesLeft reports whether a request may be tried once more.
func (b *Backend) RetriesLeft(s *stream.Stream) bool {
	return s.Log.Retries < s.Limits.Retries(b.o.Retries)
}

// Retry counts one more attempt after srv failed to answer, and says in o where it goes: to srv again, or elsewhere by option
// redispatch.
func (b *Backend) Retry(s *stream.Stream, srv *Server, o *ConnectOptions) {
	s.Log.Retries++
	srv.life.counters.Retries.Add(1)
	b.counters.Retries.Add(1)
	if b.redispatches(srv, s.Log.Retries, s.Limits.Retries(b.o.Retries), o) {
		o.Server, o.Avoid = nil, srv
		return
	}
	o.Server = srv
}
