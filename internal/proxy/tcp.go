package proxy

import (
	"context"
	"net"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// serveTCP serves one connection in mode tcp: rules look at what the client sends first, a server is connected, and bytes pass both ways
// until both sides have ended. Rules, or a backend in mode http, may turn the session into an HTTP connection instead.
func serveTCP(ctx context.Context, h *Handle, f *Frontend, nc net.Conn, c *stream.Conn) {
	cl := &client{handle: h, conn: c}
	defer cl.session.Close()
	cl.wire.Init(nc)
	cl.in.Init(&cl.wire, f.pool)
	defer cl.in.Release()
	x := exchanges.Get().(*exchange)
	x.beginTCP(cl, f)
	if !x.tcp(context.WithoutCancel(ctx)) { // a soft stop lets the session end by itself
		defer x.giveBack()
		x.endPeek()
		x.leaveBackend()
		x.s.Log.BytesIn += int64(cl.in.Buffered()) // read, looked at, and gone no further
		x.countBytes()
		x.s.Log.End = time.Now()
		x.log()
		return
	}
	x.upgradeSession(ctx)
}

// beginTCP makes x ready for a session in mode tcp.
func (x *exchange) beginTCP(cl *client, f *Frontend) {
	x.cl, x.f, x.b = cl, f, nil
	x.out.Init(&cl.wire, f.pool)
	x.silent, x.logged, x.tunnelled = false, false, 0
	x.own, x.inBackend = false, false
	s := &x.s
	s.Conn, s.HTTP, s.Frontend = cl.conn, false, f.o.Name
	s.Slots, s.NewID, s.Exchange = f.o.Captures, f.newID, x
	s.Log.Start = cl.conn.Accepted
	if s.Log.Start.IsZero() {
		s.Log.Start = time.Now()
	}
}

// tcp chooses the backend, connects and tunnels. True says that the session goes on in mode http.
func (x *exchange) tcp(ctx context.Context) (upgrade bool) {
	s, o := &x.s, &x.f.o
	switch v := x.inspectRequest(o.TCPContent, o.InspectDelay); {
	case v.Kind == rule.VerdictUpgrade:
		x.cl.switched = true
		return true
	case !x.passes(v):
		return false
	}
	if x.f.peeks {
		x.peekHead()
	}
	x.b = o.choose(s)
	if x.b == nil {
		x.term('S', 'C')
		return false
	}
	if x.b.o.HTTP {
		return true
	}
	x.connectTCP(ctx)
	return false
}

// connectTCP runs the rules of the chosen backend, connects and tunnels.
func (x *exchange) connectTCP(ctx context.Context) {
	s, o := &x.s, &x.f.o
	if x.b.o.Servers == nil {
		x.term('S', 'C')
		return
	}
	b := &x.b.o
	s.Backend = b.Name
	s.Log.BeConn = int(b.Counters.Enter())
	x.inBackend = true
	b.Counters.SessRate.Add(time.Now())
	x.persistRules()
	if !x.passes(x.inspectRequest(b.TCPContent, b.InspectDelay)) {
		return
	}
	x.useServer()
	x.stick()
	s.EndRequest()
	c, err := b.Servers.Connect(ctx, s, backend.ConnectOptions{Session: &x.cl.session, Fresh: true, Server: x.to.server, Force: x.to.force})
	if err != nil {
		x.term('S', 'C')
		x.connectFailed(err)
		x.cl.dropUnread()
		return
	}
	defer func() {
		c.Release(false)
		s.Log.SrvConn = int(c.Server.Counters().Cur.Load())
	}()
	x.remember()
	x.addresses(c)
	x.endPeek()
	var wire h1.Conn
	wire.Init(c.Conn)
	if o.Log.ASAP {
		s.Log.Early, s.Log.End, x.logged = true, time.Now(), true
		x.writeLog()
	}
	limit, cause := x.tunnelLimit()
	t := &tunnel{client: &x.cl.wire, server: &wire, pool: x.f.pool, limit: limit, cause: cause,
		clientFin: o.Timeouts.ClientFin, serverFin: b.Timeouts.ServerFin}
	t.upPace, t.downPace = x.tunnelPace(toServer), x.tunnelPace(toClient)
	if b.TCPResponse != nil {
		x.srv.Init(&wire, x.f.pool)
		t.judge = x.judgeResponse
	}
	switch cause = t.run(&x.cl.in); cause {
	case '-':
	case 'P':
		o.Counters.DeniedRes.Add(1)
		b.Counters.DeniedRes.Add(1)
		c.Server.Counters().DeniedRes.Add(1)
		fallthrough
	default:
		x.term(cause, 'D')
	}
	x.took(c.Server)
	s.Log.BytesIn = t.in.Load()
	x.tunnelled = t.out.Load() + int64(x.srv.Buffered()) // what a rule kept back was read too
	sc := c.Server.Counters()
	sc.BytesIn.Add(s.Log.BytesIn)
	sc.BytesOut.Add(x.tunnelled)
	x.silent = o.Log.DontLogNull && s.Log.BytesIn == 0 && x.tunnelled == 0
}

// addresses notes the two ends of the server connection for the log.
func (x *exchange) addresses(c *backend.Conn) {
	x.s.Log.Reused = c.Reused
	x.server = c.Conn
	if x.b.o.NoLinger {
		noLinger(c.Conn)
	}
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		x.s.Log.SrvSrc = a.AddrPort()
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		x.s.Log.SrvDst = a.AddrPort()
	}
}

// passes acts on the verdict of a session's content rules and reports whether the session goes on.
func (x *exchange) passes(v rule.Verdict) bool {
	switch v.Kind {
	case rule.VerdictGo, rule.VerdictAllow:
		return true
	case rule.VerdictDrop:
		dropQuietly(x.cl.wire.NetConn(), v.Status)
	default:
		x.cl.dropUnread()
	}
	x.f.o.Counters.DeniedReq.Add(1)
	x.term('P', 'R')
	return false
}

// judgeResponse runs the tcp-response content rules on what the server has sent.
func (x *exchange) judgeResponse() (*h1.Reader, rule.VerdictKind) {
	v := x.inspect(x.b.o.TCPResponse, x.b.o.ResponseDelay, &x.srv, &x.s.ResData)
	x.s.ResData = nil
	if v.Kind == rule.VerdictDrop {
		dropQuietly(x.cl.wire.NetConn(), v.Status)
	}
	return &x.srv, v.Kind
}

// upgradeSession serves the connection in mode http from here on. What was read of it is its first request, which the frontend's content
// rules have seen and whose stream this is: variables that they set stay.
func (x *exchange) upgradeSession(ctx context.Context) {
	cl := x.cl
	x.endPeek()
	if !cl.handle.add(cl) {
		x.giveBack()
		return
	}
	defer cl.handle.remove(cl)
	defer context.AfterFunc(ctx, cl.stop)()
	cl.ended = time.Now()
	if !cl.await() {
		x.giveBack()
		return
	}
	x.s.HTTP, x.inspected = true, true
	x.keep, x.sawContinue = true, false
	x.send.cause = 0
	cl.wire.WriteWithin(x.f.o.Timeouts.Client)
	goOn := x.serve()
	x.giveBack()
	for goOn && cl.await() {
		goOn = cl.request()
	}
}
