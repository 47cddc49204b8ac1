package proxy

import (
	"cmp"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// pace is what limits the bandwidth of one direction of a stream (manual section 9.7). The zero value limits nothing and costs nothing.
// Rules of the response may set limits on a request that is still on its way, in another goroutine.
type pace struct {
	on     atomic.Bool
	mu     sync.Mutex
	limits []throttle // guarded by mu; in the order of their filters
}

// throttle is one limit of a pace, and what it lets pass that those behind it have kept so far.
type throttle struct {
	stream.Throttle
	granted int64
}

// The directions of a stream.
const (
	toServer = iota
	toClient
)

// Limit brings a bandwidth limit into force.
func (x *exchange) Limit(t stream.Throttle) {
	p := &x.paces[toClient]
	if t.Request {
		p = &x.paces[toServer]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on.Store(true)
	if i := slices.IndexFunc(p.limits, func(o throttle) bool { return o.Of == t.Of }); i >= 0 {
		p.limits[i].Budget.Release()
		p.limits[i] = throttle{Throttle: t}
		return
	}
	p.limits = append(p.limits, throttle{Throttle: t})
	slices.SortStableFunc(p.limits, func(a, b throttle) int { return cmp.Compare(a.Order, b.Order) })
}

// end takes all limits away.
func (p *pace) end() {
	if !p.on.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.limits {
		p.limits[i].Budget.Release()
		p.limits[i] = throttle{}
	}
	p.limits = p.limits[:0]
	p.on.Store(false)
}

// coded reports whether a limit counts what compression makes.
func (p *pace) coded() bool {
	if !p.on.Load() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.limits, func(t throttle) bool { return t.Coded })
}

// take says how many of n bytes may pass now, and when that are fewer, when to ask again. coded says that compression made them; without
// compression the bytes pass both kinds of limits.
func (p *pace) take(n int64, coded, plain bool) (int64, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wait time.Duration
	pass := n
	in := func(t *throttle) bool { return t.Coded && coded || !t.Coded && plain }
	for i := range p.limits {
		t := &p.limits[i]
		if !in(t) {
			continue
		}
		if want := pass - t.granted; want > 0 {
			taken, after := t.Budget.Take(want)
			t.granted += taken
			if after > 0 && (wait == 0 || after < wait) {
				wait = after
			}
		}
		pass = min(pass, t.granted)
	}
	for i := range p.limits {
		if t := &p.limits[i]; in(t) {
			t.granted -= pass
		}
	}
	return pass, max(wait, time.Millisecond)
}

// paced passes b on through the limits of a direction. What passed is flushed before anybody waits. press is the direction's
// compression, whose limits b has behind it when made is set.
func (x *exchange) paced(direction int, b []byte, made bool) error {
	p := &x.paces[direction]
	w, press := &x.out, &x.squeeze
	if direction == toServer {
		w, press = &x.up, &x.press
	}
	compressed := press.active()
	for len(b) > 0 {
		n, wait := p.take(int64(len(b)), made || !compressed, !made)
		if n > 0 {
			put := w.Body
			if compressed && !made {
				put = press.body
			}
			if err := put(b[:n]); err != nil {
				return err
			}
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		if compressed && !made {
			if err := press.flush(); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := x.waitPace(direction, wait); err != nil {
			return err
		}
	}
	return nil
}

// behind is where compression puts what it makes when a limit counts it; nil when none does.
func (x *exchange) behind(direction int) func([]byte) error {
	if !x.paces[direction].coded() {
		return nil
	}
	return func(b []byte) error { return x.paced(direction, b, true) }
}

// paceTick is how often a wait of a limit looks whether it is over for another reason.
const paceTick = 100 * time.Millisecond

// waitPace waits for a limit, unless the exchange ends or the client leaves that would get the bytes.
func (x *exchange) waitPace(direction int, d time.Duration) error {
	for ; d > 0; d -= paceTick {
		rest(min(d, paceTick))
		switch {
		case x.cl.wire.Stopped() || x.srv.Conn().Stopped():
			return os.ErrDeadlineExceeded
		case direction == toClient && !x.b.o.NoAbortOnClose && x.cl.wire.Left():
			return io.ErrClosedPipe
		}
	}
	return nil
}

// slowly is pass, or a Write, through the limits of a tunnel's direction.
func (t *tunnel) slowly(dst *h1.Conn, b []byte, p *pace) error {
	for len(b) > 0 {
		n, wait := p.take(int64(len(b)), true, true)
		if n > 0 {
			if _, err := dst.Write(b[:n]); err != nil {
				return sideError{err: err, write: true}
			}
			t.last.Store(time.Now().UnixNano())
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		for ; wait > 0; wait -= paceTick {
			rest(min(wait, paceTick))
			if t.client.Stopped() || t.server.Stopped() {
				return os.ErrDeadlineExceeded
			}
			t.last.Store(time.Now().UnixNano()) // who has to wait is not idle
		}
	}
	return nil
}

// tunnelPace is what limits a direction of a tunnel. As long as rules are to come that may set limits, it is there wherever the
// configuration has filters.
func (x *exchange) tunnelPace(direction int) *pace {
	if p := &x.paces[direction]; p.on.Load() || x.f.o.Filters || x.b.o.Filters {
		return p
	}
	return nil
}
