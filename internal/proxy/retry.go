package proxy

import (
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// RetryOn says after which answers a request is sent again (manual section 4.2, "retry-on"), as long as `retries` are left and the
// whole request came within one buffer. Failed connections are package backend's.
type RetryOn struct {
	Empty    bool // the server closed before its response head was complete
	Junk     bool // the response head cannot be parsed
	Timeout  bool // no response head within `timeout server`
	Statuses map[int]bool
}

// outcome is what became of a request that was sent to a server.
type outcome uint8

const (
	answered outcome = iota
	resend           // a kept connection was closed: nothing of the request was seen
	retry            // retry-on
)

// replay is a request body kept to be sent again.
type replay struct {
	body     []byte // at most one buffer
	trailers []stream.Field
	whole    bool // it is all of the body
	again    bool // it is what has to be sent
}

// keep copies a piece of the body: waiting for the client reuses the buffer it lies in.
func (r *replay) keep(on *RetryOn, p []byte) {
	if on != nil {
		r.body = append(r.body, p...)
	}
}

// keepTrailers copies those that go to the server: they lie where the body lay.
func (x *exchange) keepTrailers(fields []stream.Field) {
	if x.b.o.RetryOn == nil {
		return
	}
	for _, f := range fields {
		x.kept.trailers = append(x.kept.trailers, stream.Field{Name: x.s.Scratch(f.Name), Value: x.s.Scratch(f.Value)})
	}
}

// sendAgain sends the body that was kept.
func (x *exchange) sendAgain() {
	if len(x.kept.body) > 0 && x.toServer(x.kept.body) != nil {
		return // as in sendRequest
	}
	_ = x.endServer(x.kept.trailers)
	_ = x.up.Flush()
	x.s.Log.BytesIn = x.up.Sent()
}

// retryAfter reports whether the request is to be sent again after err, or after the response whose head is in the stream. Nothing
// may have reached the client but the early hints of rules.
func (x *exchange) retryAfter(err error) bool {
	on := x.b.o.RetryOn
	if on == nil || x.s.Limits.Once || !x.kept.whole || x.out.Sent() > x.hinted || x.cl.gone.Load() || !x.b.o.Servers.RetriesLeft(&x.s) {
		return false
	}
	switch {
	case err == nil:
		return on.Statuses[x.s.Res.Status]
	case isTimeout(err):
		return on.Timeout
	case isProtocol(err) && err != h1.ErrTruncated:
		return on.Junk
	}
	return on.Empty
}

// againOn chooses where a request goes that retry-on sends again.
func (x *exchange) againOn(c *backend.Conn, o *backend.ConnectOptions) {
	x.kept.again = true
	s := &x.s
	s.Res.Reset()
	s.Log.ResHead = time.Time{}
	s.Log.Term = [2]byte{'-', '-'}
	o.Server = x.to.server
	x.b.o.Servers.Retry(s, c.Server, o)
	o.Fresh = true
}
