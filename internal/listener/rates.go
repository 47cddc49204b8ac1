package listener

import (
	"sync/atomic"
	"time"

	"gatehouse/internal/stats"
)

// Limited is something that the process counts per second and may have to hold back: at Limit a second no listener that would add to it
// accepts. The zero value counts and holds nothing back. Both may be used by many goroutines.
type Limited struct {
	stats.Rate
	Limit atomic.Int64 // a second, 0: none (maxconnrate, maxsessrate and maxsslrate of HAProxy, `set rate-limit`)
}

// wait is how long it takes until there is room again, 0 when there is.
func (l *Limited) wait(now time.Time) time.Duration {
	limit := l.Limit.Load()
	if limit <= 0 || l.PerSecond(now) < limit {
		return 0
	}
	return max(time.Second/time.Duration(limit), time.Millisecond)
}

// Rates are what the process counts of the connections that its listeners accept.
type Rates struct {
	Conns    Limited
	Sessions Limited // connections that the `tcp-request connection` rules let in
	TLS      Limited // connections to bind lines with TLS
	Keys     stats.Rate
	TLSNow   atomic.Int64 // connections with TLS now
}

// wait is how long a listener of settings s has to wait before it accepts again.
func (r *Rates) wait(s *settings, now time.Time) time.Duration {
	if r == nil {
		return 0
	}
	d := max(r.Conns.wait(now), r.Sessions.wait(now))
	if s.tls != nil {
		d = max(d, r.TLS.wait(now))
	}
	return d
}

// accepted counts a connection; let in, a session.
func (r *Rates) accepted(tls bool, now time.Time) {
	if r == nil {
		return
	}
	r.Conns.Add(now)
	if tls {
		r.TLS.Add(now)
		r.TLSNow.Add(1)
	}
}

func (r *Rates) letIn(now time.Time) {
	if r != nil {
		r.Sessions.Add(now)
	}
}

// shaken counts a handshake that resumed no session: it cost a signature.
func (r *Rates) shaken(resumed bool, now time.Time) {
	if r != nil && !resumed {
		r.Keys.Add(now)
	}
}

func (r *Rates) ended(tls bool) {
	if r != nil && tls {
		r.TLSNow.Add(-1)
	}
}
