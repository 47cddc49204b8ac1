package proxy

import (
	"bytes"

	"gatehouse/internal/stream"
)

// misdirected answers 421 (RFC 9110 section 15.5.20) to a request for a host whose handshake would have demanded a client certificate that
// this connection's did not: rules that trust `verify required` must hold whatever name the handshake was made for.
func (x *exchange) misdirected() bool {
	t := x.s.Conn.TLS
	if t == nil || t.Names == nil || !t.Misdirected(string(hostName(stream.Get(x.s.Req.Fields, "host")))) {
		return false
	}
	x.f.o.Counters.DeniedReq.Add(1)
	x.term('P', 'R')
	x.fail(421)
	return true
}

// hostName is a Host field without its port.
func hostName(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}
