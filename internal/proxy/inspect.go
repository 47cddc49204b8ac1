package proxy

import (
	"net"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// Admit runs the tcp-request connection rules on a connection that was just accepted, and reports whether it may go on. It never
// waits, so that an accept loop can call it: a connection that is refused costs no goroutine.
func (h *Handle) Admit(nc net.Conn, c *stream.Conn) bool {
	f := h.current.Load()
	if f == nil || f.o.TCPConnection == nil {
		return true
	}
	switch v := f.judge(f.o.TCPConnection, nc, c); v.Kind {
	case rule.VerdictGo, rule.VerdictAllow:
		return true
	case rule.VerdictDrop:
		f.o.Counters.DeniedReq.Add(1)
		dropQuietly(nc, v.Status)
	default:
		f.o.Counters.DeniedConn.Add(1)
	}
	return false
}

// admitSession runs the tcp-request session rules.
func (f *Frontend) admitSession(nc net.Conn, c *stream.Conn) bool {
	if f.o.TCPSession == nil {
		return true
	}
	switch v := f.judge(f.o.TCPSession, nc, c); v.Kind {
	case rule.VerdictGo, rule.VerdictAllow:
		return true
	case rule.VerdictDrop:
		f.o.Counters.DeniedReq.Add(1)
		dropQuietly(nc, v.Status)
	default:
		f.o.Counters.DeniedSess.Add(1)
	}
	return false
}

// judge runs a set for which there is a connection and nothing else yet.
func (f *Frontend) judge(set *rule.Set, nc net.Conn, c *stream.Conn) rule.Verdict {
	x := exchanges.Get().(*exchange)
	defer x.giveBack()
	s := &x.s
	s.Conn, s.HTTP, s.Frontend = c, f.o.HTTP, f.o.Name
	s.Log.Start = c.Accepted
	v := set.Run(s, f.o.Env)
	backend.SetPackets(nc, s.FrontPackets)
	return v
}

// maxInspected bounds what the runs of one set may leave in the stream's memory: a client that sends byte by byte has the rules run
// for each. Past it the set is told that no more will come.
const maxInspected = 64 << 10

// inspectRequest runs a set of tcp-request content rules on what the client has sent.
func (x *exchange) inspectRequest(set *rule.Set, delay time.Duration) rule.Verdict {
	if set == nil {
		return rule.Verdict{}
	}
	return x.inspect(set, delay, &x.cl.in, &x.s.ReqData)
}

// inspect runs set on what in holds, and again whenever more came, until no rule waits any longer or delay has passed. As in HAProxy it
// does so too when a message is already whole: a rule that waits for the end waits for all of the delay.
func (x *exchange) inspect(set *rule.Set, delay time.Duration, in *h1.Reader, data *[]byte) rule.Verdict {
	s := &x.s
	var end time.Time
	s.Waiting = delay > 0
	for {
		*data = in.Unread()
		if set.ReadsHead() {
			x.peekHead()
		}
		v := set.Run(s, x.f.o.Env)
		if v.Kind != rule.VerdictWait {
			s.Waiting = false
			x.markPackets()
			return v
		}
		if end.IsZero() {
			end = time.Now().Add(delay)
			in.Conn().ReadUntil(end)
		}
		s.Waiting = in.More() == nil && s.Size() < maxInspected
	}
}

// markPackets does to the client's connection what the rules that have run asked for.
func (x *exchange) markPackets() {
	if x.s.FrontPackets.Any() {
		backend.SetPackets(x.cl.wire.NetConn(), x.s.FrontPackets)
		x.s.FrontPackets = stream.Packets{}
	}
}

// peekHead seeks a request head in what the client of a session in mode tcp has sent, for rules that look at one. The bytes stay as they
// are: they are not ours to change.
func (x *exchange) peekHead() {
	s := &x.s
	if s.HTTP {
		return
	}
	s.ReqData = x.cl.in.Unread()
	limits := x.f.limits
	limits.NoHostOK, limits.ConnectOK = true, true
	whole, open := h1.PeekRequest(s.ReqData, &s.Req, &limits, s.Scratch)
	s.HTTP, s.Peeked, s.HeadOpen = whole, whole, open
}

// endPeek takes the client's bytes away from the rules again.
func (x *exchange) endPeek() {
	s := &x.s
	if s.Peeked {
		s.HTTP, s.Peeked = false, false
		s.Req.Reset()
	}
	s.ReqData, s.HeadOpen = nil, false
}
