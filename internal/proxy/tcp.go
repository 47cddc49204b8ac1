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

// serveTCP serves one connection in mode tcp: a server is connected and bytes pass both ways until both sides have ended.
func serveTCP(ctx context.Context, f *Frontend, nc net.Conn, c *stream.Conn) {
	cl := &client{conn: c}
	defer cl.session.Close()
	cl.wire.Init(nc)
	cl.in.Init(&cl.wire, f.pool)
	defer cl.in.Release()
	x := exchanges.Get().(*exchange)
	defer x.giveBack()
	x.cl, x.f, x.b = cl, f, nil
	x.out.Init(&cl.wire, f.pool)
	x.silent, x.logged, x.tunnelled = false, false, 0
	s := &x.s
	s.Reset()
	s.Conn, s.Frontend = c, f.o.Name
	s.Slots, s.NewID = f.o.Captures, f.newID
	s.Log.Start = c.Accepted
	if s.Log.Start.IsZero() {
		s.Log.Start = time.Now()
	}
	x.own, x.inBackend = false, false
	x.tcp(context.WithoutCancel(ctx)) // a soft stop lets the session end by itself
	x.leaveBackend()
	s.Log.End = time.Now()
	x.log()
}

// tcp chooses the backend, connects and tunnels.
func (x *exchange) tcp(ctx context.Context) {
	s, o := &x.s, &x.f.o
	if !x.passes(x.inspectRequest(o.TCPContent, o.InspectDelay)) {
		return
	}
	x.b = o.choose(s)
	if x.b == nil || x.b.o.Servers == nil {
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
	x.addresses(c)
	var wire h1.Conn
	wire.Init(c.Conn)
	if o.Log.ASAP {
		s.Log.Early, s.Log.End, x.logged = true, time.Now(), true
		x.writeLog()
	}
	limit, cause := tunnelLimit(o, b)
	t := &tunnel{client: &x.cl.wire, server: &wire, pool: x.f.pool, limit: limit, cause: cause,
		clientFin: o.Timeouts.ClientFin, serverFin: b.Timeouts.ServerFin}
	if b.TCPResponse != nil {
		x.srv.Init(&wire, x.f.pool)
		t.judge = x.judgeResponse
	}
	switch cause = t.run(x.cl.in.Unread()); cause {
	case '-':
	case 'P':
		o.Counters.DeniedRes.Add(1)
		b.Counters.DeniedRes.Add(1)
		c.Server.Counters().DeniedRes.Add(1)
		fallthrough
	default:
		x.term(cause, 'D')
	}
	s.Log.BytesIn = t.in.Load()
	x.tunnelled = t.out.Load()
	sc := c.Server.Counters()
	sc.BytesIn.Add(s.Log.BytesIn)
	sc.BytesOut.Add(x.tunnelled)
	x.silent = o.Log.DontLogNull && s.Log.BytesIn == 0 && x.tunnelled == 0
}

// addresses notes the two ends of the server connection for the log.
func (x *exchange) addresses(c *backend.Conn) {
	if x.f.o.Log.Format == nil {
		return
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
	if v.Kind == rule.VerdictGo || v.Kind == rule.VerdictAllow {
		return true
	}
	x.f.o.Counters.DeniedReq.Add(1)
	x.term('P', 'R')
	x.cl.dropUnread()
	return false
}

// judgeResponse runs the tcp-response content rules on what the server has sent, and returns what is to be passed on then.
func (x *exchange) judgeResponse() ([]byte, bool) {
	v := x.inspect(x.b.o.TCPResponse, x.b.o.ResponseDelay, &x.srv, &x.s.ResData, never)
	return x.srv.Unread(), v.Kind == rule.VerdictGo || v.Kind == rule.VerdictAllow
}

func never() bool { return false }
