package proxy

import "net"

// noLinger makes the kernel forget a connection as soon as it is closed: what is unsent is dropped and the peer sees a reset
// (option nolinger).
func noLinger(nc net.Conn) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0) // a connection that is gone already needs none
	}
}
