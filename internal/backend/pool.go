package backend

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// reuse is the http-reuse policy, ordered by daring.
type reuse uint8

const (
	reuseNever reuse = iota
	reuseSafe
	reuseAggressive
	reuseAlways
)

func parseReuse(word string) (reuse, error) {
	switch word {
	case "never":
		return reuseNever, nil
	case "", "safe":
		return reuseSafe, nil
	case "aggressive":
		return reuseAggressive, nil
	case "always":
		return reuseAlways, nil
	}
	return 0, fmt.Errorf("unknown http-reuse policy %q", word)
}

// allows reports whether a request may take an idle connection, and whether only one that has been reused before (HAProxy
// calls those safe: a server that closed after one response has shown itself by now).
func (r reuse) allows(first bool) (any, proven bool) {
	switch {
	case r == reuseNever:
		return false, false
	case !first || r == reuseAlways:
		return true, false
	}
	return r == reuseAggressive, true
}

// pool holds a server's idle connections. The last one released is the first one taken, so that those no one needs stay at the
// bottom until they are closed.
type pool struct {
	mu   sync.Mutex
	idle []*Conn
	low  int // fewest idle connections since the last purge: so many were not needed

	busy, before int // most connections in use at once since the last purge, and between that and the one before
}

// put keeps c; false when max (negative: unlimited) is reached, or when there would be more connections than were lately needed
// at once: a first request that may not share opens a connection of its own, and a burst of those must not pile up. used is how
// many are in use, c included; low (pool-low-conn) are kept beyond need.
func (p *pool) put(c *Conn, used, limit, low int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = max(p.busy, used)
	if p.full(used, limit, low) && !p.dropDead() {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

func (p *pool) full(used, limit, low int) bool {
	return limit >= 0 && len(p.idle) >= limit || len(p.idle)+used > max(p.busy, p.before)+low
}

// dropDead makes room by closing one connection that the server has closed meanwhile: it must not keep a living one out.
func (p *pool) dropDead() bool {
	for i, c := range p.idle {
		if !c.alive() {
			c.close()
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.low = min(p.low, len(p.idle))
			return true
		}
	}
	return false
}

// take returns the connection released last that was opened as s opens them for w.
func (p *pool) take(s *Server, w *wish, proven bool) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		c := p.idle[i]
		if !c.fits(s, w) || (proven && c.Requests < 2) {
			continue
		}
		copy(p.idle[i:], p.idle[i+1:])
		p.idle[len(p.idle)-1] = nil
		p.idle = p.idle[:len(p.idle)-1]
		p.low = min(p.low, len(p.idle))
		return c
	}
	return nil
}

// len is the number of idle connections.
func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// purge closes half of the connections that were not needed since the last purge (manual, `pool-purge-delay`), and those the
// servers have closed meanwhile. all closes every one.
func (p *pool) purge(all bool) {
	p.mu.Lock()
	drop := (p.low + 1) / 2
	if all {
		drop = len(p.idle)
	}
	var dead []*Conn
	kept := p.idle[:0]
	for i, c := range p.idle {
		if i < drop || !c.alive() {
			dead = append(dead, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.low = len(kept)
	p.busy, p.before = 0, p.busy
	p.mu.Unlock()
	for _, c := range dead {
		c.close()
	}
}

// reused takes an idle connection for a request, nil when none may or can be had.
func (b *Backend) reused(srv *Server, w *wish, o *ConnectOptions) *Conn {
	for {
		c := b.idle(srv, w, o)
		if c == nil {
			return nil
		}
		if !c.alive() {
			c.close()
			continue
		}
		c.Server, c.session = srv, o.Session
		c.Reused, c.held = true, true
		c.Requests++
		srv.life.counters.Reuses.Add(1)
		b.counters.Reuses.Add(1)
		return c
	}
}

func (b *Backend) idle(srv *Server, w *wish, o *ConnectOptions) *Conn {
	if o.Session != nil {
		if c := o.Session.get(srv, w); c != nil {
			return c
		}
	}
	if ok, proven := b.reuse.allows(o.First); ok {
		return srv.pool.take(srv, w, proven)
	}
	return nil
}

// keep puts a connection that can carry another request where the next one finds it; false when it must be closed.
func (s *Server) keep(c *Conn) bool {
	line := &s.o.Line
	if !s.backend.o.HTTP || (line.MaxReuse != nil && *line.MaxReuse >= 0 && c.Requests > *line.MaxReuse) {
		return false
	}
	if c.private {
		return c.session != nil && c.session.put(c)
	}
	if line.PoolPurge < 0 || !s.poolable() {
		return false
	}
	limit := -1
	if line.PoolMaxConn != nil {
		limit = *line.PoolMaxConn
	}
	return s.pool.put(c, int(s.life.counters.Cur.Load()), limit, line.PoolLowConn)
}

// poolable is false for a server in maintenance, whose connections must end.
func (s *Server) poolable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admin&Maint == 0
}

// IdleConns is how many idle connections the server has.
func (s *Server) IdleConns() int { return s.pool.len() }

// PurgeDelay is `pool-purge-delay`.
func (s *Server) PurgeDelay() time.Duration { return firstSet(s.o.Line.PoolPurge, defaultPurge) }

// defaultPurge is `pool-purge-delay` when unset.
const defaultPurge = 5 * time.Second

// leave lets a life go out of b. Idle connections stay for the next generation; those of a server that it does not have are closed.
func (l *life) leave(b *Backend) {
	l.detach(b)
	if len(l.generations()) == 0 {
		l.pool.purge(true)
	}
}

// purgeEvery closes idle connections that are not needed, at the server's own delay, until ctx is done or the server is removed.
func (s *Server) purgeEvery(ctx context.Context) {
	t := time.NewTicker(s.PurgeDelay())
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.gone:
			return
		case <-t.C:
			s.pool.purge(false)
		}
	}
}
