package engine

import (
	"errors"
	"iter"
	"net/netip"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/listener"
	"gatehouse/internal/stats"
)

// Without a maxconn from the configuration or the command line the process takes as many connections as its descriptors carry: two
// each, one to the client and one to the server, less those that listeners, checks, the Runtime API, logs and the store need even
// when all connections are taken (threat N09). More than mostConns has to be asked for.
const (
	mostConns     = 100_000
	reservedFiles = 64
)

func connsFor(files int) int {
	if files <= 0 {
		return mostConns
	}
	return min(mostConns, max(1, (files-reservedFiles)/2))
}

// Started is when the engine was made.
func (e *Engine) Started() time.Time { return e.started }

// processLimit is the process's limit of connections: -n, else the configuration's, else a default.
func (e *Engine) processLimit(cfg *config.Config) int {
	switch {
	case e.o.Limits.MaxConn > 0:
		return e.o.Limits.MaxConn
	case cfg.Global.MaxConn > 0:
		return cfg.Global.MaxConn
	}
	return connsFor(e.o.Limits.Files)
}

func (e *Engine) setMaxConn(cfg *config.Config) {
	n := e.processLimit(cfg)
	e.hardMax.Store(int64(n))
	e.limit.Set(n)
}

// SetMaxConn changes the process's limit; 0 is the one it started with, more than that is refused.
func (e *Engine) SetMaxConn(n int) error {
	hard := int(e.hardMax.Load())
	switch {
	case n == 0:
		n = hard
	case n < 0 || n > hard:
		return errors.New("Value out of range.") //nolint:staticcheck // HAProxy's text
	}
	e.limit.Set(n)
	return nil
}

// FillInfo adds what the engine knows to the facts about the process.
func (e *Engine) FillInfo(i *stats.Info) {
	g := e.gen.Load()
	i.UlimitN, i.Maxsock = int64(e.o.Limits.Files), int64(e.o.Limits.Files)
	i.Maxconn, i.HardMax, i.CurrConns = int64(e.limit.Max()), e.hardMax.Load(), int64(e.limit.Len())
	i.CumConns = int64(e.ids.Load())
	e.mu.Lock()
	i.Listeners, i.Stopping = int64(len(e.sockets)), e.stopped
	for _, t := range e.logs {
		i.DroppedLogs += int64(t.Dropped())
	}
	for _, r := range e.rings {
		i.DroppedLogs += int64(r.dropped())
	}
	e.mu.Unlock()
	i.Jobs = i.Listeners + i.CurrConns
	if g == nil {
		return
	}
	now := time.Now()
	var resumed int64
	for _, p := range g.proxies {
		if p.front == nil {
			continue
		}
		c := &p.front.counters
		i.CumReq += c.Reqs.Load()
		i.CumSSL += c.SSLConns.Load()
		resumed += c.SSLResumed.Load()
		i.BytesOut += c.BytesOut.Load()
	}
	e.fillRates(i, now)
	i.CumStreams = i.CumReq
	i.SSLCacheLookups, i.SSLCacheMisses = e.sessions.Counts()
	if i.CumSSL > 0 {
		i.SSLReusePercent = 100 * resumed / i.CumSSL
	}
}

// Session is one connection that is being served.
type Session struct {
	ID       uint64
	Src      netip.AddrPort
	Unix     bool
	Frontend string
	Accepted time.Time
}

// Sessions yields the client connections of the process.
func (e *Engine) Sessions() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		var all []Session
		_ = e.Listeners(func(l *listener.Listener) error {
			for _, c := range l.Served() {
				all = append(all, Session(c))
			}
			return nil
		})
		for _, s := range all {
			if !yield(s) {
				return
			}
		}
	}
}

// CloseSession closes the client connection with a number; false when there is none.
func (e *Engine) CloseSession(id uint64) (found bool) {
	_ = e.Listeners(func(l *listener.Listener) error {
		found = found || l.CloseConn(id)
		return nil
	})
	return found
}

// FrontendControl is one frontend as commands change it.
type FrontendControl struct {
	e    *Engine
	name string
}

// Frontend finds a frontend or listen; nil when there is none.
func (e *Engine) Frontend(name string) *FrontendControl {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.front[name] == nil {
		return nil
	}
	return &FrontendControl{e, name}
}

func (c *FrontendControl) with(f func(*front) error) error {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	x := c.e.front[c.name]
	if x == nil {
		return errors.New("No such frontend.") //nolint:staticcheck // HAProxy's text
	}
	return f(x)
}

// sockets calls f with the listeners of the frontend. The engine's mu is held.
func (c *FrontendControl) sockets(f func(s *socket) error) error {
	for _, s := range c.e.sockets {
		if s.bind.front.name == c.name {
			if err := f(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Disable stops accepting until Enable.
func (c *FrontendControl) Disable() error {
	return c.with(func(x *front) error {
		switch {
		case x.shut:
			return errors.New("Frontend was previously shut down, cannot disable.") //nolint:staticcheck // HAProxy's text
		case x.paused:
			return errors.New("All sockets are already disabled.") //nolint:staticcheck // HAProxy's text
		}
		x.paused = true
		return c.sockets(func(s *socket) error { return s.Pause() })
	})
}

// Enable accepts again.
func (c *FrontendControl) Enable() error {
	return c.with(func(x *front) error {
		switch {
		case x.shut:
			return errors.New("Frontend was previously shut down, cannot enable.") //nolint:staticcheck // HAProxy's text
		case !x.paused:
			return errors.New("All sockets are already enabled.") //nolint:staticcheck // HAProxy's text
		}
		x.paused = false
		return c.sockets(func(s *socket) error { return s.Resume() })
	})
}

// Shutdown closes the frontend's sockets for good; its connections go on.
func (c *FrontendControl) Shutdown() error {
	return c.with(func(x *front) error {
		if x.shut {
			return errors.New("Frontend was already shut down.") //nolint:staticcheck // HAProxy's text
		}
		x.shut = true
		return c.sockets(func(s *socket) error { c.e.group.stop(s.task); return nil })
	})
}

// SetMaxConn changes the frontend's limit of connections.
func (c *FrontendControl) SetMaxConn(n int) error {
	return c.with(func(x *front) error {
		if n < 0 {
			return errors.New("Value out of range.") //nolint:staticcheck // HAProxy's text
		}
		x.limit.Set(n)
		return nil
	})
}

// Log sends a line to the global log targets.
func (e *Engine) Log(level, text string) {
	if g := e.gen.Load(); g != nil && g.logger != nil {
		g.logger.SendText(level, text)
	}
}
