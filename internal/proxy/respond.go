package proxy

import (
	"io"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// respond runs the response rules and moves the response to the client.
func (x *exchange) respond(c *backend.Conn) {
	s, o := &x.s, &x.f.o
	if !x.judged(c) {
		return
	}
	x.remember()
	s.CaptureFields(true)
	x.bound(&x.srv)
	x.judge()
	for _, set := range [2]*rule.Set{x.b.o.HTTPResponse, o.HTTPResponse} {
		if v := set.Run(s, o.Env); v.Kind != rule.VerdictGo && v.Kind != rule.VerdictAllow {
			x.refuseResponse(c, v)
			return
		}
	}
	x.markPackets()
	s.CaptureCookie(true)
	if p := x.b.o.Persistence; p != nil && p.Cookie != nil {
		p.Cookie.write(x, c.Server)
	}
	x.b.o.AfterResponse.Run(s, o.Env)
	o.AfterResponse.Run(s, o.Env)
	x.rearm()
	x.compress()
	defer x.compressed()
	uploading := !x.send.ended()
	if uploading && s.Req.Expect100 && !x.sawContinue {
		// The server answers instead of asking for the body. Whether the client sends it nevertheless is open, so nothing can
		// follow on either connection (threat H11).
		x.keep = false
	}
	closes, err := x.out.Response(&s.Res, h1.ResponseOptions{
		Close:    !x.keep || x.cl.isStopping(),
		HTTP10:   s.Req.Major == 1 && s.Req.Minor == 0,
		Bodyless: x.head || x.srv.Done() && s.Res.Status == 304,
	})
	// A rule that made it a status without a body takes the server's away.
	x.head = x.head || s.Res.Status == 204 || s.Res.Status == 304
	if err != nil {
		x.out.Release()
		x.stopSending()
		c.Release(false)
		x.term('P', 'H')
		x.fail(502)
		return
	}
	if closes {
		x.keep = false
	}
	x.note(s.Res.Status)
	if o.Log.ASAP && !x.silent {
		s.Log.Early = true
		s.Log.End = time.Now()
		s.Log.BytesOut = x.out.Sent() + int64(x.out.Pending())
		x.logged = true
		x.writeLog()
	}
	done := x.pump(c)
	x.afterBody(c, done)
}

// judged runs the tcp-response content rules on a response whose head is there; false: they cut it.
func (x *exchange) judged(c *backend.Conn) bool {
	if x.b.o.TCPResponse == nil {
		return true
	}
	v := x.inspect(x.b.o.TCPResponse, x.b.o.ResponseDelay, &x.srv, &x.s.ResData)
	x.s.ResData = nil
	if v.Kind != rule.VerdictGo && v.Kind != rule.VerdictAllow {
		x.cutResponse(c, v)
		return false
	}
	return true
}

// refuseResponse answers in the stead of a response that a rule denied.
func (x *exchange) refuseResponse(c *backend.Conn, v rule.Verdict) {
	x.stopSending()
	c.Release(false)
	x.s.Log.SrvConn = int(c.Server.Counters().Cur.Load())
	x.s.Log.Compression = "" // our own answer is not compressed
	x.term('P', 'H')
	switch v.Kind {
	case rule.VerdictTimeout:
		x.term('s', 'H')
		x.b.o.Counters.ErrRes.Add(1)
		x.fail(v.Status)
		return
	case rule.VerdictReturn, rule.VerdictRedirect:
		x.term('L', 'H')
	default:
		x.f.o.Counters.DeniedRes.Add(1)
		x.b.o.Counters.DeniedRes.Add(1)
	}
	switch v.Kind {
	case rule.VerdictReject:
		x.keep = false
		return
	case rule.VerdictDrop:
		x.keep = false
		dropQuietly(x.cl.wire.NetConn(), v.Status)
		return
	}
	x.reply(v)
}

// cutResponse ends both connections in the place of a response that a tcp-response rule does not let pass.
func (x *exchange) cutResponse(c *backend.Conn, v rule.Verdict) {
	x.stopSending()
	c.Release(false)
	x.keep = false
	if x.s.Res.Status != 101 { // which is passed on when the rules have run
		x.s.Log.Status = x.s.Res.Status
	}
	x.term('P', 'D')
	if v.Kind == rule.VerdictDrop {
		dropQuietly(x.cl.wire.NetConn(), v.Status)
	}
	for _, n := range [...]*stats.Counters{x.f.o.Counters, x.b.o.Counters, c.Server.Counters()} {
		n.DeniedRes.Add(1)
	}
}

// pump moves the response body, and reports whether it came to its end.
func (x *exchange) pump(c *backend.Conn) bool {
	wire := x.srv.Conn()
	flushed := false
	for !x.srv.Done() {
		p, err := x.srv.Ready()
		if err == nil && len(p) == 0 && !x.srv.Done() {
			if x.squeeze.active() && x.squeeze.flush() != nil {
				return x.clientLeft()
			}
			if x.out.Pending() > 0 {
				flushed = true
				if !x.flushClient() {
					return x.clientLeft()
				}
			}
			p, err = x.fromServer(wire, nextPiece)
			if err == io.EOF {
				break
			}
		}
		if err != nil {
			return x.brokenBody(err, flushed)
		}
		if x.head {
			continue // the server sends one that rules gave no place
		}
		if err := x.toClient(p); err != nil {
			x.keep = false
			x.termIfNone(clientCause(err), 'D')
			return x.clientLeft()
		}
	}
	trailers := x.srv.Trailers()
	if x.head || x.f.o.DropTrailers {
		trailers = nil
	}
	if err := x.endClient(trailers); err != nil {
		x.keep = false
		x.termIfNone(clientCause(err), 'D')
		return x.clientLeft()
	}
	return true
}

// toClient passes a piece of the body on, compressed or not, at the pace that is allowed.
func (x *exchange) toClient(p []byte) error {
	if x.paces[toClient].on.Load() {
		return x.paced(toClient, p, false)
	}
	if x.squeeze.active() {
		return x.squeeze.body(p)
	}
	return x.out.Body(p)
}

// endClient finishes the body towards the client.
func (x *exchange) endClient(trailers []stream.Field) error {
	if x.squeeze.active() {
		if err := x.squeeze.end(); err != nil {
			return err
		}
	}
	return x.out.End(trailers)
}

func (x *exchange) clientLeft() bool {
	x.b.o.Counters.CliAborts.Add(1)
	x.f.o.Counters.CliAborts.Add(1)
	return false
}

// brokenBody ends a response whose body cannot be completed: the client sees its connection close before the announced end. When
// nothing was sent yet it gets a 502 instead.
func (x *exchange) brokenBody(err error, flushed bool) bool {
	protocol := isProtocol(err) && err != h1.ErrTruncated
	x.keep = false
	x.b.o.Counters.ErrRes.Add(1)
	if protocol && !flushed && x.out.Sent() == 0 {
		x.f.o.Counters.HTTP[x.s.Res.Status/100%6].Add(-1)
		x.b.o.Counters.HTTP[x.s.Res.Status/100%6].Add(-1)
		x.keep = x.s.Req.KeepAlive
		x.s.Log.ResHead = time.Time{}
		x.term('P', 'H')
		x.countFailure()
		x.fail(502)
		return false
	}
	switch {
	case protocol:
		x.countFailure()
		x.term('P', 'D')
	case x.cl.gone.Load():
		x.term('C', 'D')
		x.clientLeft()
	default:
		x.countFailure()
		x.term(serverCause(err), 'D')
		x.b.o.Counters.SrvAborts.Add(1)
	}
	// What is pending is the beginning of something that has no end: it is flushed as it is, without a last chunk.
	return false
}

// afterBody gives the server connection back and settles what became of the request body.
func (x *exchange) afterBody(c *backend.Conn, done bool) {
	s := &x.s
	if !x.send.ended() {
		if !done || !x.keep {
			x.flushClient()
			x.stopSending()
		} else {
			// An early answer: the client may go on sending what it announced, and then its next request.
			x.flushClient()
			x.send.wait()
		}
	}
	if x.send.cause != 0 {
		x.keep = false
		if done && (x.send.cause == 'C' || x.send.cause == 'c') && s.Log.Term[0] == '-' {
			x.term(x.send.cause, 'L')
		}
	}
	s.Log.BytesIn = x.up.Sent()
	reusable := done && x.send.cause == 0 && x.cl.in.Done() && x.srv.Buffered() == 0 && s.Res.KeepAlive &&
		!x.f.o.ServerClose && !x.b.o.ServerClose && !x.f.o.HTTPClose && !x.b.o.HTTPClose
	x.took(c.Server)
	sc := c.Server.Counters()
	sc.Status(s.Res.Status)
	sc.BytesIn.Add(s.Log.BytesIn)
	sc.BytesOut.Add(x.out.Sent() + int64(x.out.Pending()))
	c.Release(reusable)
	s.Log.SrvConn = int(sc.Cur.Load())
}
