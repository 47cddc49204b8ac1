package proxy

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// exchange is one request and its response on their way through. It is borrowed for that time and belongs to the goroutine that
// serves the connection.
type exchange struct {
	s       stream.Stream
	cl      *client
	f       *Frontend
	b       *Backend
	out     h1.Writer // to the client
	up      h1.Writer // to the server
	srv     h1.Reader // from the server
	away    absence   // of the client, while a server is sought
	send    sender    // the request body, when it does not fit into one write
	to      belonging // the server the request belongs to
	squeeze squeeze   // the response's compression
	press   squeeze   // the request's compression
	paces   [2]pace   // bandwidth limits by direction
	kept    replay    // the request body, for retry-on
	server  net.Conn  // the connection to the server, for rules that ask; nil before
	stuck   rule.Kept // where to remember the server that it gets

	keep    bool // the client connection goes on after this exchange
	head    bool // the client sent HEAD, whatever rules made of it: no body goes back
	connect bool // the client sent CONNECT
	silent  bool // no log line
	logged  bool

	inspected   bool  // the frontend's content rules have seen this request, when it was no request yet
	sawContinue bool  // a 100 response was forwarded
	hinted      int64 // bytes sent when a rule had sent a 103 response, 0: none did
	meant       int   // the status for which an error page was asked, which the log shows; 0 is the page's own
	own         bool  // the answer is ours, which the log counts as no bytes
	inBackend   bool  // counted as a session of the backend
	cutShort    bool  // the client stopped sending while rules waited for its body
	reqBody     bodyCopy
	resBody     bodyCopy
	tunnelled   int64 // bytes to the client after an upgrade, or in mode tcp
}

// exchanges are ready for use: giveBack clears what a request left behind.
var exchanges = sync.Pool{New: func() any {
	x := new(exchange)
	x.s.Reset()
	return x
}}

// begin makes x ready for the next request of cl.
func (x *exchange) begin(cl *client) {
	x.cl, x.f, x.b = cl, cl.handle.Frontend(), nil
	if x.f == nil { // removed while the request was arriving: nothing can answer it
		x.f = gone
	}
	s := &x.s
	s.Conn, s.HTTP, s.Frontend = cl.conn, true, x.f.o.Name
	s.Slots, s.NewID, s.Exchange = x.f.o.Captures, x.f.newID, x
	now := time.Now()
	s.Log.Start = now
	s.Log.Idle = now.Sub(cl.ended)
	x.out.Init(&cl.wire, x.f.pool)
	x.out.Case = x.f.o.HeaderCase
	x.meant, x.hinted = 0, 0
	x.keep, x.silent, x.logged, x.sawContinue, x.own = true, false, false, false, false
	x.send.cause, x.tunnelled = 0, 0
	cl.wire.WriteWithin(x.f.o.Timeouts.Client)
}

// gone stands for a frontend that does not exist any more.
var gone = NewFrontend(FrontendOptions{HTTP: true})

// giveBack ends the exchange; nothing of it may be used afterwards.
func (x *exchange) giveBack() {
	x.out.Release()
	x.up.Release()
	x.srv.Release()
	x.paces[toServer].end()
	x.paces[toClient].end()
	x.s.Reset()
	x.s.Conn = nil
	x.cl, x.f, x.b, x.inspected, x.server = nil, nil, nil, false, nil
	x.reqBody, x.resBody, x.cutShort = bodyCopy{}, bodyCopy{}, false // a session in mode tcp that becomes an HTTP one begins with them
	exchanges.Put(x)
}

// serve handles the request whose first byte is in the client's reader, and reports whether the connection goes on.
func (x *exchange) serve() bool {
	if !x.readHead() {
		return false
	}
	x.route()
	x.finish()
	if !x.keep || x.cl.isStopping() && !x.f.o.IdleCloseOnResponse {
		if !x.cl.in.Done() || x.cl.in.Buffered() > 0 {
			x.cl.closeGently()
		}
		return false
	}
	x.cl.served++
	return true
}

// finish flushes what is left of the answer and writes the log line.
func (x *exchange) finish() {
	if x.out.Pending() > 0 {
		x.flushClient()
	}
	x.leaveBackend()
	x.endPress()
	x.countBytes()
	x.s.Log.End = time.Now()
	x.cl.ended = x.s.Log.End
	x.log()
}

// leaveBackend ends the backend's session: before the log line, which shows who else is there.
func (x *exchange) leaveBackend() {
	if x.inBackend {
		x.inBackend = false
		x.b.o.Counters.Leave()
	}
}

// flushClient writes what is pending for the client and notes when the client is gone.
func (x *exchange) flushClient() bool {
	if err := x.out.Flush(); err != nil {
		x.keep = false
		x.termIfNone(clientCause(err), 'D')
		return false
	}
	return true
}

// readHead reads the request head within `timeout http-request`.
func (x *exchange) readHead() bool {
	cl := x.cl
	x.head = false
	from := x.s.Log.Start
	if cl.served == 0 {
		from = cl.ended
	}
	cl.wire.ReadBy(from, x.f.o.Timeouts.HTTPRequest)
	if err := cl.in.ReadRequest(&x.s.Req, &x.f.limits); err != nil {
		x.badHead(err)
		return false
	}
	if x.s.Req.Body == stream.BodyChunked && cl.in.Malformed() {
		x.badHead(h1.ErrChunk)
		return false
	}
	cl.wire.ReadWithin(x.f.o.Timeouts.Client)
	s := &x.s
	s.Log.ReqDone = time.Now()
	s.Log.RequestLine = x.requestLine()
	s.Req.ViaProxy = x.f.o.ProxyHeader && s.Req.Target[0] != '/' && s.Req.Target[0] != '*'
	cl.conn.Requests++
	x.head, x.connect = string(s.Req.Method) == "HEAD", string(s.Req.Method) == "CONNECT"
	x.keep = s.Req.KeepAlive && !x.f.o.HTTPClose
	x.f.requests.Add(1)
	c := x.f.o.Counters
	c.Reqs.Add(1)
	c.ReqRate.Add(s.Log.ReqDone)
	s.CaptureFields(false)
	return true
}

// requestLine is what the log shows: the line as it was received, but with one space between its words.
func (x *exchange) requestLine() []byte {
	line, req := x.cl.in.Line(), &x.s.Req
	if len(line) == len(req.Method)+len(req.Target)+len("  HTTP/1.1") {
		return line
	}
	return x.s.Build(func(b []byte) []byte {
		b = append(b, req.Method...)
		b = append(b, ' ')
		b = append(b, req.Target...)
		b = append(b, " HTTP/1."...)
		return append(b, '0'+byte(req.Minor))
	})
}

// badHead answers a request that has no head we could use. Rules do not see it.
func (x *exchange) badHead(err error) {
	x.keep = false
	c := x.f.o.Counters
	c.ErrReq.Add(1)
	c.Reqs.Add(1)
	status, cause := 400, byte('P')
	e, refused := err.(*h1.Error)
	switch {
	case refused && err != h1.ErrTruncated:
		status = e.Status
		x.captureRequest(e)
	case isTimeout(err):
		status, cause = 408, 'c'
	default:
		cause = 'C'
	}
	x.countRequest()
	if status == 400 {
		x.countError()
	}
	x.term(cause, 'R')
	x.s.Log.RequestLine, x.s.Slots = nil, nil // nothing of it is known or captured
	x.emit(x.page(status), false)
	x.flushClient()
	if refused {
		x.cl.closeGently()
	}
	x.finish()
}

// route is the walk of a request: our own answers, the frontend's rules, the choice of a backend, its rules, a server.
func (x *exchange) route() {
	s, o := &x.s, &x.f.o
	if x.challenge() || x.misdirected() {
		return
	}
	if o.TCPContent != nil && !x.inspected && !x.decide(x.inspectRequest(o.TCPContent, o.InspectDelay), false) {
		if s.Log.Term[0] == 'P' && s.Log.Status == 0 { // rejected before it was looked at as a request
			s.Log.RequestLine, s.Log.ReqDone = nil, time.Time{}
			s.ForgetFields()
		}
		return
	}
	x.countRequest()
	if x.monitor() {
		return
	}
	if o.BufferRequest && !x.bufferBody() {
		return
	}
	x.bound(&x.cl.in)
	if (o.HTTP || x.cl.switched) && !x.decide(o.HTTPRequest.Run(s, o.Env), false) {
		return
	}
	if x.showStats(o.Stats, false) || !x.decide(o.HTTPRequest.Redirects(s, o.Env), false) || !x.restrictNames(o.RestrictNames) {
		return
	}
	if x.b == nil { // else it was chosen before the session became an HTTP one
		x.b = o.choose(s)
	}
	if x.b != nil && !x.b.o.HTTP { // what was parsed as messages can't be passed on as bytes
		x.b, x.keep = nil, false
		x.term('I', 'C')
		return
	}
	if x.b == nil {
		x.term('S', 'C')
		x.fail(503)
		return
	}
	b := &x.b.o
	s.Backend = b.Name
	s.Log.BeConn = int(b.Counters.Enter())
	x.inBackend = true
	b.Counters.Reqs.Add(1)
	b.Counters.ReqRate.Add(s.Log.ReqDone)
	b.Counters.SessRate.Add(s.Log.ReqDone)
	x.persistRules()
	if b.TCPContent != nil && !x.decide(x.inspectRequest(b.TCPContent, b.InspectDelay), false) {
		return
	}
	if !x.decide(b.HTTPRequest.Run(s, o.Env), true) || x.showStats(b.Stats, true) || !x.decide(b.HTTPRequest.Redirects(s, o.Env), true) {
		return
	}
	if !x.restrictNames(b.RestrictNames) {
		return
	}
	if b.BufferRequest && !o.BufferRequest && !x.bufferBody() {
		return
	}
	if x.abandoned() {
		return
	}
	x.rearm()
	s.CaptureCookie(false)
	x.belongs()
	x.agree()
	x.stick()
	x.addFields()
	x.compressRequest()
	if b.Servers == nil {
		x.term('S', 'C')
		x.fail(503)
		return
	}
	x.forward()
}

// choose picks the backend of a request by the use_backend rules (surface 4.8).
func (o *FrontendOptions) choose(s *stream.Stream) *Backend {
	for i := range o.UseBackend {
		u := &o.UseBackend[i]
		if u.Cond != nil && !u.Cond.Eval(s, o.Env) {
			continue
		}
		if u.Name == nil {
			return u.Backend
		}
		// A dynamic name that matches nothing ends the search.
		var tmp [128]byte
		if o.Lookup != nil {
			if b := o.Lookup(u.Name.Append(tmp[:0], s, o.Env)); b != nil {
				return b
			}
		}
		break
	}
	return o.Default
}

// challengePrefix is where HTTP-01 asks (RFC 8555 section 8.3).
var challengePrefix = []byte("/.well-known/acme-challenge/")

// challenge answers HTTP-01 for a token of our own orders, before any rule; all other tokens go their way.
func (x *exchange) challenge() bool {
	lookup := x.f.o.Challenge
	if lookup == nil {
		return false
	}
	path := x.s.Req.Path()
	if !bytes.HasPrefix(path, challengePrefix) || string(x.s.Req.Method) != "GET" && string(x.s.Req.Method) != "HEAD" {
		return false
	}
	proof := lookup(path[len(challengePrefix):])
	if proof == nil {
		return false
	}
	x.term('L', 'R')
	x.f.o.Counters.Intercepted.Add(1)
	x.emit(&stream.Reply{Status: 200, Body: proof, Fields: []stream.Field{
		{Name: []byte("content-type"), Value: []byte("application/octet-stream")},
		{Name: []byte("cache-control"), Value: []byte("no-cache")},
	}}, false)
	return true
}

// monitor answers monitor-uri, which is compared with path and query when it begins with a slash, and else with the whole target.
func (x *exchange) monitor() bool {
	o := &x.f.o
	if o.MonitorURI == "" || string(x.s.Req.Target) != o.MonitorURI && (o.MonitorURI[0] != '/' || string(x.s.Req.PathQuery()) != o.MonitorURI) {
		return false
	}
	x.silent = true // HAProxy logs no monitor requests
	o.Counters.Intercepted.Add(1)
	status := 200
	for _, c := range o.MonitorFail {
		if c.Eval(&x.s, o.Env) {
			status = 503
			break
		}
	}
	x.term('L', 'R')
	x.fail(status)
	return true
}

// decide acts on the verdict of a request rule set and reports whether the request goes on.
func (x *exchange) decide(v rule.Verdict, atBackend bool) bool {
	c := x.f.o.Counters
	x.markPackets()
	switch v.Kind {
	case rule.VerdictGo, rule.VerdictAllow:
		return true
	case rule.VerdictReturn, rule.VerdictRedirect:
		c.Intercepted.Add(1)
		x.term('L', 'R')
		if v.Reply != nil && v.Reply.Challenge != nil {
			x.countError() // of a 401 too: one more for a browser, very many for who guesses
		}
	case rule.VerdictTimeout:
		x.f.o.Counters.ErrReq.Add(1)
		x.term('c', 'R')
		x.keep = false
		x.s.Log.ReqDone = time.Time{}
		x.fail(v.Status)
		return false
	case rule.VerdictTarpit:
		c.DeniedReq.Add(1)
		x.term('P', 'T')
		x.countError()
		x.refusedCookies()
		x.tarpit()
		x.neverWhole()
	case rule.VerdictReject:
		c.DeniedReq.Add(1)
		x.rejected()
		return false
	case rule.VerdictDrop:
		c.DeniedReq.Add(1)
		x.rejected()
		dropQuietly(x.cl.wire.NetConn(), v.Status)
		return false
	default:
		c.DeniedReq.Add(1)
		x.term('P', 'R')
		switch v.Kind {
		case rule.VerdictDeny:
			x.countError()
		case rule.VerdictError:
			x.neverWhole()
		}
		x.refusedCookies()
	}
	if atBackend && v.Kind != rule.VerdictReturn && v.Kind != rule.VerdictRedirect {
		x.b.o.Counters.DeniedReq.Add(1)
	}
	x.reply(v)
	return false
}

// refusedCookies reads the cookies of a request that goes no further, for the log: the server it would have gone to is shown.
func (x *exchange) refusedCookies() {
	x.s.CaptureCookie(false)
	if x.b == nil || x.b.o.Persistence == nil || x.b.o.Persistence.Cookie == nil || x.b.o.Servers == nil {
		return
	}
	x.b.o.Persistence.Cookie.read(x)
	if x.to.server != nil {
		x.s.Server = x.to.server.Name()
	}
}

// rejected ends a request to which nothing is answered. The log shows it as one that was never received whole.
func (x *exchange) rejected() {
	x.term('P', 'R')
	x.keep = false
	x.neverWhole()
}

// neverWhole makes the log show a request as one whose end was not seen, unless its body was waited for.
func (x *exchange) neverWhole() {
	if !x.f.o.BufferRequest && (x.b == nil || !x.b.o.BufferRequest) {
		x.s.Log.ReqDone = time.Time{}
	}
}

// addFields puts our own fields behind those of the client, after the rules and after hop-by-hop fields were dropped.
func (x *exchange) addFields() {
	s, o := &x.s, &x.f.o
	if id, ok := s.UniqueID(); ok && o.UniqueIDHeader != "" {
		s.Req.Fields = append(s.Req.Fields, stream.Field{Name: s.ScratchString(o.UniqueIDHeader), Value: id})
	}
	x.forwardedFields()
}

// appendAddr writes an address into the stream's memory.
func appendAddr(s *stream.Stream, a netip.Addr) []byte {
	var tmp [64]byte
	return s.Scratch(a.AppendTo(tmp[:0]))
}

// term notes how the exchange ended, once.
func (x *exchange) term(cause, state byte) {
	x.s.Log.Term = [2]byte{cause, state}
}

func (x *exchange) termIfNone(cause, state byte) {
	if x.s.Log.Term[0] == '-' {
		x.term(cause, state)
	}
}

// clientCause tells a client that was too slow from one that left.
func clientCause(err error) byte {
	if isTimeout(err) {
		return 'c'
	}
	return 'C'
}

func serverCause(err error) byte {
	if isTimeout(err) {
		return 's'
	}
	return 'S'
}
