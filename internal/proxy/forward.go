package proxy

import (
	"errors"
	"io"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// maxInterim bounds the 1xx responses before a final one.
const maxInterim = 32

// watchAfter is how long a server may take before somebody looks whether the client is still there. Most answers are faster, so
// that most requests cost no second goroutine.
const watchAfter = 25 * time.Millisecond

// forward gets a connection to a server and moves request and response. A request without a body whose reused connection turned
// out to be closed is sent once more on a fresh one.
func (x *exchange) forward() {
	x.s.EndRequest()
	x.kept.whole, x.kept.again, x.kept.body, x.kept.trailers = false, false, x.kept.body[:0], x.kept.trailers[:0]
	o := backend.ConnectOptions{
		Session:     &x.cl.session,
		First:       x.cl.served == 0,
		MayRedirect: x.redirectable(),
		Server:      x.to.server,
		Force:       x.to.force,
	}
	if x.b.o.PreferLast && o.Server == nil {
		o.Server = x.cl.session.Last(x.b.o.Servers)
	}
	for {
		x.away.begin(x.cl, !x.b.o.NoAbortOnClose, x.clientTimeout())
		c, err := x.b.o.Servers.Connect(&x.away, &x.s, o)
		x.away.end()
		x.left()
		if err != nil {
			x.noServer(err)
			return
		}
		switch x.onServer(c, !o.Fresh) {
		case answered:
			return
		case resend:
			o.Fresh = true
		case retry:
			x.againOn(c, &o)
		}
	}
}

// noServer answers a request that got no connection.
func (x *exchange) noServer(err error) {
	status := x.connectFailed(err)
	if status == 302 {
		x.sendElsewhere(err)
		return
	}
	if status == 0 { // the client left; nobody is there to be answered
		x.keep = false
		x.b.o.Counters.CliAborts.Add(1)
		x.f.o.Counters.CliAborts.Add(1)
		return
	}
	x.fail(status)
}

// connectFailed notes why there is no server connection and returns the status to answer with, 0 when the client left.
func (x *exchange) connectFailed(err error) int {
	x.term('S', 'C')
	var e *backend.Error
	if !errors.As(err, &e) {
		return 503
	}
	x.s.Log.Term = e.Term
	if srv := x.b.o.Servers.Server(e.Server); srv != nil {
		x.s.Log.SrvConn = int(srv.Counters().Cur.Load())
	}
	return e.Status
}

// onServer serves the request on c and gives c back. It says whether the request has to be sent again.
func (x *exchange) onServer(c *backend.Conn, mayResend bool) outcome {
	wire, ok := c.Codec.(*h1.Conn)
	if !ok {
		wire = new(h1.Conn)
		wire.Init(c.Conn)
		c.Codec = wire
	}
	wire.WriteWithin(x.serverTimeout())
	x.srv.Release()
	x.up.Release()
	x.srv.Init(wire, x.f.pool)
	x.up.Init(wire, x.f.pool)
	x.up.Case = x.b.o.HeaderCase
	x.addresses(c)

	noBody := x.cl.in.Done()
	if !x.sendRequest(c) {
		return answered
	}
	err := x.awaitResponse(wire)
	if err != nil {
		stale := c.Reused && x.srv.Buffered() == 0 && (isEnd(err) || !isTimeout(err) && !isProtocol(err))
		x.stopSending()
		c.Release(false)
		x.s.Log.SrvConn = int(c.Server.Counters().Cur.Load())
		if stale && noBody && mayResend && !x.cl.gone.Load() && idempotent(x.s.Req.Method) {
			x.s.Log.BytesIn = 0
			return resend
		}
		if x.retryAfter(err) {
			return retry
		}
		x.noResponse(err, stale)
		return answered
	}
	if x.retryAfter(nil) {
		c.Release(false)
		return retry
	}
	x.countStatus()
	if x.s.Res.Status == 101 || x.s.Res.Body == stream.BodyTunnel {
		x.upgrade(c, wire)
		return answered
	}
	x.respond(c)
	return answered
}

// idempotent methods may be sent twice (RFC 9110 section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

func isProtocol(err error) bool {
	var e *h1.Error
	return errors.As(err, &e)
}

// sendRequest puts the head and what is there of the body on the wire in one write, and leaves the rest to the sender. False
// means that the request was answered already.
func (x *exchange) sendRequest(c *backend.Conn) bool {
	s := &x.s
	if !x.connect && string(s.Req.Method) == "CONNECT" {
		// A rule made it of a method whose answer is no tunnel: what the client sends next are requests, which rules have to see.
		c.Release(true)
		x.term('P', 'R')
		x.fail(500)
		return false
	}
	if err := x.up.Request(&s.Req, h1.RequestOptions{Unsafe: x.f.o.Unsafe, Close: x.tellsClose()}); err != nil {
		// Rules made something of the request that may not leave (threat H13); the server saw nothing of it.
		c.Release(true)
		x.term('P', 'R')
		x.fail(500)
		return false
	}
	if x.press.algo != "" {
		x.press.start(&x.up)
		x.press.through = x.behind(toServer)
	}
	if x.kept.again {
		x.sendAgain()
		return true
	}
	in := &x.cl.in
	whole := true
	for !in.Done() && !x.paces[toServer].on.Load() { // who has to wait does it while the answer may come
		p, err := in.Ready()
		if err != nil {
			c.Release(true)
			x.f.o.Counters.ErrReq.Add(1)
			x.term('P', 'R')
			x.keep = false
			x.fail(400)
			return false
		}
		if len(p) == 0 {
			break
		}
		x.kept.keep(x.b.o.RetryOn, p)
		if err := x.toServer(p); err != nil {
			whole = false
			break // the server may have answered before it closed: that answer is worth reading
		}
	}
	x.kept.whole = whole && in.Done()
	if in.Done() {
		trailers := x.requestTrailers()
		x.keepTrailers(trailers)
		_ = x.endServer(trailers) // what was announced was parsed by the same rules
	}
	_ = x.flushServer() // as above
	s.Log.BytesIn = x.up.Sent()
	if !in.Done() {
		x.send.start(x)
	}
	return true
}

// tellsClose reports whether the server is told that its connection ends after the answer. Since 2.8 option httpclose of a frontend is about
// its clients only (manual, option httpclose).
func (x *exchange) tellsClose() bool {
	f, b := &x.f.o, &x.b.o
	return !b.PretendKeepAlive && (b.HTTPClose || b.ServerClose || f.ServerClose)
}

// requestTrailers are those that go to the server.
func (x *exchange) requestTrailers() []stream.Field {
	if x.b.o.DropTrailers {
		return nil
	}
	return x.cl.in.Trailers()
}

// awaitResponse reads the response head into the stream, forwarding interim ones.
func (x *exchange) awaitResponse(wire *h1.Conn) error {
	s := &x.s
	bodyless, connect := string(s.Req.Method) == "HEAD", string(s.Req.Method) == "CONNECT"
	for n := 0; ; n++ {
		if err := x.awaitByte(wire); err != nil {
			return err
		}
		wire.ReadWithin(x.serverTimeout())
		limits := &x.f.resLimits
		if x.b.o.Unsafe {
			limits = &x.f.resUnsafe
		}
		if err := x.srv.ReadResponse(&s.Res, limits, bodyless, connect); err != nil {
			x.captureResponse(err)
			return err
		}
		if s.Res.Status >= 200 || s.Res.Status == 101 {
			if s.Res.Status == 101 && s.Req.Upgrade == nil {
				return h1.ErrSyntax // nobody asked to switch
			}
			s.Log.ResHead, s.Log.ServerStatus = time.Now(), s.Res.Status
			if bodyless && !x.head {
				// A rule made HEAD of a method whose answer has a body: the client must not wait for the one announced.
				s.Res.Body, s.Res.Length = stream.BodyNone, 0
			}
			return nil
		}
		if n >= maxInterim {
			return h1.ErrSyntax
		}
		if s.Req.Major == 1 && s.Req.Minor == 0 {
			continue // HTTP/1.0 knows no interim responses
		}
		x.sawContinue = x.sawContinue || s.Res.Status == 100
		if _, err := x.out.Response(&s.Res, h1.ResponseOptions{}); err != nil {
			x.out.Release()
			return err
		}
		if !x.flushClient() {
			x.cl.gone.Store(true)
			return io.ErrUnexpectedEOF
		}
	}
}

// awaitByte waits for the server to begin its answer.
func (x *exchange) awaitByte(wire *h1.Conn) error {
	if x.srv.Buffered() > 0 {
		return nil
	}
	if x.send.running {
		return x.awaitDuringUpload(wire, x.serverTimeout())
	}
	_, err := x.fromServer(wire, waitFirst)
	return err
}

// waitFirst and nextPiece are what fromServer can wait for.
func waitFirst(r *h1.Reader) ([]byte, error) { return nil, r.Wait() }
func nextPiece(r *h1.Reader) ([]byte, error) { return r.Body() }

// fromServer waits for the server, for at most `timeout server`, and watches the client when that takes long.
func (x *exchange) fromServer(wire *h1.Conn, read func(*h1.Reader) ([]byte, error)) ([]byte, error) {
	limit := x.serverTimeout()
	if limit > 0 && limit <= 2*watchAfter || x.send.running {
		wire.ReadWithin(limit)
		return read(&x.srv)
	}
	begin := time.Now()
	wire.ReadAround(watchAfter)
	p, err := read(&x.srv)
	if err == nil || !isTimeout(err) {
		return p, err
	}
	wire.ReadUntil(deadline(begin, limit))
	if x.cl.in.Buffered() > 0 { // pipelined requests: the client cannot be watched without reading further
		return read(&x.srv)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x.cl.watch(wire, !x.b.o.NoAbortOnClose)
	}()
	p, err = read(&x.srv)
	x.cl.wire.Interrupt()
	<-ended
	x.cl.wire.Resume()
	return p, err
}

// awaitDuringUpload is awaitByte while the request body is still being sent. The server is late only from the end of that on;
// until then the client's own timeout and the server's for writes bound the wait.
func (x *exchange) awaitDuringUpload(wire *h1.Conn, limit time.Duration) error {
	for {
		from := time.Now()
		if at := x.send.finished.Load(); at > 0 {
			from = time.Unix(0, at)
		}
		wire.ReadUntil(deadline(from, limit))
		err := x.srv.Wait()
		if err == nil || !isTimeout(err) {
			return err
		}
		if x.send.ended() && (x.send.cause != 0 || time.Since(time.Unix(0, x.send.finished.Load())) >= limit) {
			return err
		}
	}
}

// watch waits for the client to leave and then ends the wait for the server.
func (cl *client) watch(server *h1.Conn, halfToo bool) {
	if cl.hasLeft(halfToo) {
		cl.gone.Store(true)
		server.Interrupt()
	}
}

// hasLeft waits until the client leaves, speaks, or the wait is interrupted. halfToo says that a client that shut its sending side
// has left as well, as HAProxy's option abortonclose has it. A client that speaks is there, and is not looked at any more: its
// bytes have to wait for their turn.
func (cl *client) hasLeft(halfToo bool) bool {
	cl.wire.ReadUntil(time.Time{})
	err := cl.in.More()
	return err != nil && !isTimeout(err) && err != io.ErrShortBuffer && (err != io.EOF || halfToo)
}

// noResponse answers a request whose server gave no usable response head.
func (x *exchange) noResponse(err error, stale bool) {
	c := x.b.o.Counters
	x.send.wait()
	switch cause := x.send.cause; {
	case x.cl.gone.Load():
		x.term('C', 'H')
		c.CliAborts.Add(1)
		x.f.o.Counters.CliAborts.Add(1)
		x.keep = false
		x.fail(400)
	case cause == 'C' || cause == 'c' || cause == 'P':
		x.term(cause, 'H')
		if cause != 'P' {
			c.CliAborts.Add(1)
			x.f.o.Counters.CliAborts.Add(1)
		}
		x.keep = false
		x.fail(400)
	case isTimeout(err):
		x.term('s', 'H')
		c.ErrRes.Add(1)
		x.countFailure()
		x.fail(504)
	case isProtocol(err) && err != h1.ErrTruncated:
		x.term('P', 'H')
		c.ErrRes.Add(1)
		x.countFailure()
		x.fail(502)
	case stale && x.cl.served > 0:
		// The server closed a connection it had kept, and the request cannot be sent twice. The client is told the same way: it
		// knows whether it may try again (RFC 9112 section 9.3.1).
		x.term('S', 'H')
		c.SrvAborts.Add(1)
		x.keep = false
	default:
		x.term('S', 'H')
		c.ErrRes.Add(1)
		c.SrvAborts.Add(1)
		x.countFailure()
		x.fail(502)
	}
}
