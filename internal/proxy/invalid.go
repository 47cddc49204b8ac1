package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"gatehouse/internal/h1"
)

// Invalid is one message that could not be parsed, for `show errors`.
type Invalid struct {
	Proxy    string // the frontend of a request, the backend of a response
	Backend  string // "" when none was chosen
	Server   string
	Response bool
	Src      netip.AddrPort
	At       time.Time
	Reason   string
	Data     []byte // what had been received, at most one buffer; a copy
}

// captureRequest keeps a request head that was refused.
func (x *exchange) captureRequest(err *h1.Error) {
	if x.f.o.Invalid == nil {
		return
	}
	x.f.o.Invalid(Invalid{
		Proxy: x.f.o.Name, Src: x.cl.conn.Src, At: time.Now(), Reason: err.Reason, Data: bytes.Clone(x.cl.in.Unread()),
	})
}

// captureResponse keeps a response head that was refused.
func (x *exchange) captureResponse(err error) {
	e, ok := err.(*h1.Error)
	if !ok || e == h1.ErrTruncated || x.f.o.Invalid == nil {
		return
	}
	x.f.o.Invalid(Invalid{
		Proxy: x.b.o.Name, Backend: x.b.o.Name, Server: x.s.Server, Response: true, Src: x.cl.conn.Src, At: time.Now(),
		Reason: e.Reason, Data: bytes.Clone(x.srv.Unread()),
	})
}
