package proxy

import (
	"io"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// exchange is the stream's Exchange: what rules may ask while they run.
var _ stream.Exchange = (*exchange)(nil)

// clientTimeout is timeout client, unless a rule changed it.
func (x *exchange) clientTimeout() time.Duration {
	return x.s.Limits.Timeout(stream.TimeoutClient, x.f.o.Timeouts.Client)
}

// serverTimeout is timeout server, unless a rule changed it.
func (x *exchange) serverTimeout() time.Duration {
	return x.s.Limits.Timeout(stream.TimeoutServer, x.b.o.Timeouts.Server)
}

// rearm puts the client's timeout into force that rules have chosen.
func (x *exchange) rearm() {
	if d := x.clientTimeout(); d != x.f.o.Timeouts.Client {
		x.cl.wire.ReadWithin(d)
		x.cl.wire.WriteWithin(d)
	}
}

// TCPInfo asks the kernel.
func (x *exchange) TCPInfo(server bool) (stream.TCPInfo, bool) {
	if !server {
		return backend.TCPInfo(x.cl.wire.NetConn())
	}
	return backend.TCPInfo(x.server)
}

// Timeout tells what was configured.
func (x *exchange) Timeout(ofBackend bool, t stream.Timeout) (time.Duration, bool) {
	if !ofBackend {
		switch t {
		case stream.TimeoutClient:
			return x.f.o.Timeouts.Client, true
		case stream.TimeoutTarpit:
			return x.f.o.Timeouts.Tarpit, true
		}
		return 0, false
	}
	if x.b == nil {
		return 0, false
	}
	b := &x.b.o.Timeouts
	switch t {
	case stream.TimeoutConnect:
		return b.Connect, true
	case stream.TimeoutQueue:
		return b.Queue, true
	case stream.TimeoutServer:
		return b.Server, true
	case stream.TimeoutTarpit:
		return b.Tarpit, true
	case stream.TimeoutTunnel:
		return b.Tunnel, true
	}
	return 0, false
}

// WaitBody waits for a body within the buffer that holds its head.
func (x *exchange) WaitBody(response bool, limit time.Duration, atLeast int64) bool {
	in := &x.cl.in
	usual := x.clientTimeout()
	if response {
		in, usual = &x.srv, x.serverTimeout()
	} else if !x.askForBody() {
		return true
	}
	in.Conn().ReadUntil(time.Now().Add(limit))
	defer in.Conn().ReadWithin(usual)
	for !in.Done() && !in.Whole() && (atLeast == 0 || int64(in.BodyReceived()) < atLeast) {
		switch err := in.More(); {
		case err == nil:
		case err == io.ErrShortBuffer:
			return true
		case isTimeout(err):
			return false
		default:
			x.cutShort = !response
			return true // who reads on sees that the peer stopped
		}
	}
	return true
}

// bodyCopy is what was received of a body, put together for rules. It is a copy even where the body lies in one piece: a variable may
// keep it after the buffer has taken the next request.
type bodyCopy struct {
	data     []byte
	buffered int // how much was in the reader's buffer then
}

// Body returns what was received.
func (x *exchange) Body(response bool) ([]byte, int64) {
	in, kind, length, kept := &x.cl.in, x.s.Req.Body, x.s.Req.Length, &x.reqBody
	if response {
		in, kind, length, kept = &x.srv, x.s.Res.Body, x.s.Res.Length, &x.resBody
	}
	if in.Chunked() {
		if kept.data == nil || kept.buffered != in.Buffered() {
			kept.data, kept.buffered = x.s.Return(in.Peek(x.s.Work())), in.Buffered()
		}
		return kept.data, int64(len(kept.data))
	}
	if p := in.Peek(nil); kept.data == nil || len(kept.data) != len(p) {
		kept.data = x.s.Scratch(p)
	}
	if kind != stream.BodyLength {
		length = int64(len(kept.data))
	}
	return kept.data, length
}

// EarlyHints sends a 103 response.
func (x *exchange) EarlyHints(fields []stream.Field) {
	x.interim(103, "Early Hints", fields)
	x.hinted = x.out.Sent()
}

// Pause holds the request, or the response.
func (x *exchange) Pause(d time.Duration) {
	if x.send.running || x.s.Res.Status != 0 {
		rest(d) // the client's bytes are read, or are the next request
		return
	}
	x.hold(d)
	x.cl.wire.ReadWithin(x.clientTimeout())
}

// bound says how much rules may add to a head: what its buffer has left, and always tune.maxrewrite.
func (x *exchange) bound(in *h1.Reader) {
	o := &x.f.o
	x.s.Room.Bound(max(o.BufSize-in.HeadSize()-in.Buffered(), o.MaxRewrite))
}
