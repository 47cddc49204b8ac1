package backend

import "sync"

// connSet is the connections of a server that exist, in use or idle. It changes when one is opened or closed, not per request.
type connSet struct {
	mu    sync.Mutex
	conns map[*Conn]struct{}
}

func (x *connSet) add(c *Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conns == nil {
		x.conns = map[*Conn]struct{}{}
	}
	x.conns[c] = struct{}{}
}

func (x *connSet) remove(c *Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.conns, c)
}

// CloseConns closes every connection to the server, in use or idle (`shutdown sessions server`). Requests on them end as when the
// server closes.
func (s *Server) CloseConns() {
	x := &s.life.open
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		c.raw.Close() // its user notices and gives it up
	}
}
