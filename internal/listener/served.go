package listener

import (
	"net"
	"net/netip"
	"time"

	"gatehouse/internal/stream"
)

// Served is one connection that is open.
type Served struct {
	ID       uint64
	Src      netip.AddrPort // as a PROXY header told; zero for unix sockets
	Unix     bool
	Frontend string
	Accepted time.Time
}

// note keeps what Served and CutBefore tell of a connection; the stream.Conn itself belongs to the connection's goroutine.
func (l *Listener) note(nc net.Conn, c *stream.Conn) {
	seen := &Served{ID: c.ID, Src: c.Src, Unix: c.SrcUnix, Frontend: c.Frontend, Accepted: c.Accepted}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[nc] = seen
}

// Served lists the open connections, in no order.
func (l *Listener) Served() []Served {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Served, 0, len(l.conns))
	for _, seen := range l.conns {
		if seen != nil {
			out = append(out, *seen)
		}
	}
	return out
}

// CloseConn closes the connection with a number; false when there is none.
func (l *Listener) CloseConn(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for nc, c := range l.conns {
		if c != nil && c.ID == id {
			nc.Close()
			return true
		}
	}
	return false
}

// CutBefore closes the connections that were accepted before t.
func (l *Listener) CutBefore(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for nc, c := range l.conns {
		if c != nil && c.Accepted.Before(t) {
			nc.Close()
		}
	}
}
