package backend

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"gatehouse/internal/sock"
	"gatehouse/internal/stream"
)

// Conn is one connection to a server. Connect hands it to one request, whose goroutine alone may use it until Release; while it
// is idle the server's pool owns it. Its deadlines are the user's: a reused connection comes with whatever was last set.
type Conn struct {
	net.Conn         // *net.TCPConn, *net.UnixConn, *tls.Conn, or what the test's dial gave
	Server   *Server // of the generation whose request holds the connection
	Reused   bool    // taken idle: the server may have closed it just now
	Requests int     // requests begun on it, this one included
	TLS      bool
	SNI      string // server name presented in the handshake
	// Codec is the user's state that must live as long as the connection, such as a reader with bytes in it. A connection is
	// only reusable with nothing unread in it.
	Codec any

	raw     net.Conn
	peek    *peek
	private bool        // never shared between clients
	facts   *stream.TLS // of its handshake
	name    string      // what idle connections are told apart by: pool-conn-name, else SNI
	// greeting is the PROXY header it began with, and port where it leads to when that is the client's choice. Only requests with
	// the same may follow on it.
	greeting string
	port     uint16
	as       *kept  // whose TLS it speaks, nil in clear
	epoch    uint32 // of the server's address when it was opened
	packets  stream.Packets
	session  *Session // whose connection a private one is
	held     bool     // holds a slot
}

func newConn(s *Server, raw net.Conn, w *wish) *Conn {
	c := &Conn{Conn: raw, raw: raw, Server: s, SNI: string(w.sni), Requests: 1, held: true, greeting: string(w.greeting), port: w.port, packets: w.packets, epoch: s.epoch.Load()}
	if c.name = c.SNI; s.o.PoolName != nil {
		c.name = string(w.name)
	}
	c.private = s.backend.reuse == reuseNever
	c.peek = newPeek(raw)
	s.life.open.add(c)
	return c
}

// wish is what a request needs of its connection: only one that was opened alike can stand for it. Its slices die with the stream's
// next Reset.
type wish struct {
	sni      []byte // server name to present
	name     []byte // what idle connections are told apart by
	greeting []byte // PROXY header
	port     uint16 // where the client decides on it
	packets  stream.Packets
}

// wish gathers what st needs of a connection to s.
func (s *Server) wish(st *stream.Stream) wish {
	w := wish{sni: s.serverName(st), packets: st.BackPackets}
	w.name = w.sni
	if s.o.PoolName != nil {
		w.name = st.Return(s.o.PoolName(st.Work(), st))
	}
	if s.o.Line.SendProxy != 0 {
		w.greeting = st.Return(s.greeting(st.Work(), st))
	}
	if s.place().relative {
		w.port = clientPort(st)
	}
	return w
}

// fits reports whether c was opened as s would open a connection for w.
func (c *Conn) fits(s *Server, w *wish) bool {
	return c.as == s.identity() && c.epoch == s.epoch.Load() && c.name == string(w.name) && c.greeting == string(w.greeting) && c.port == w.port && c.packets == w.packets
}

// close closes the connection for good.
func (c *Conn) close() {
	c.Server.life.open.remove(c)
	c.Conn.Close()
}

// handshake puts TLS on the connection. The deadline of ctx bounds it.
func (c *Conn) handshake(ctx context.Context, as *client) error {
	t := tls.Client(c.raw, as.config(c.SNI))
	c.Conn = t
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.facts = factsOf(t.ConnectionState())
	c.TLS, c.as = true, as.kept
	c.Server.life.counters.SSLConns.Add(1)
	if t.ConnectionState().DidResume {
		c.Server.life.counters.SSLResumed.Add(1)
	}
	return nil
}

// factsOf are what rules and logs ask of the TLS session with a server. They are made once per connection.
func factsOf(state tls.ConnectionState) *stream.TLS {
	return &stream.TLS{SNI: state.ServerName, ALPN: state.NegotiatedProtocol, Version: state.Version, Cipher: state.CipherSuite, Curve: state.CurveID,
		Resumed: state.DidResume, ClientCert: state.PeerCertificates, Unique: state.TLSUnique}
}

// State returns what the TLS handshake with the server settled, nil on a clear connection.
func (c *Conn) State() *tls.ConnectionState {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// Release ends the request's hold on the connection and frees the server's slot. reusable says that the last response was read
// to its end, that both sides want to go on, and that no byte is left unread; otherwise the connection is closed.
// A second call does nothing.
func (c *Conn) Release(reusable bool) {
	if !c.held {
		return
	}
	c.held = false
	s := c.Server
	if !reusable || !s.keep(c) {
		c.close()
	}
	s.leave()
}

// alive reports whether an idle connection still can carry a request: the server neither closed it nor sent anything.
func (c *Conn) alive() bool { return c.peek == nil || c.peek.quiet() }

// peek looks at a socket without reading and without waiting. Its callback is made once, so that a look costs no memory.
type peek struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	ok   bool
	buf  [1]byte
}

// newPeek returns nil for a connection that is no socket.
func newPeek(c net.Conn) *peek {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &peek{raw: raw}
	p.look = func(fd uintptr) {
		p.ok = sock.Quiet(fd, &p.buf)
	}
	return p
}

// quiet is true when nothing waits in the socket. A byte there is as bad as the end: on HTTP/1 a server that speaks between
// requests answers something nobody asked, and on TLS it is the close_notify.
func (p *peek) quiet() bool {
	p.ok = false
	return p.raw.Control(p.look) == nil && p.ok
}

// Session keeps the connections that belong to one client connection, under http-reuse never. The zero value is ready. It may be closed while a request still holds a connection of it.
type Session struct {
	mu     sync.Mutex
	idle   []*Conn
	closed bool
}

// sessionConns bounds what one client connection keeps, as HAProxy's tune.max-session-srv-conns does.
const sessionConns = 5

// Close closes what the session keeps.
func (x *Session) Close() {
	x.mu.Lock()
	idle := x.idle
	x.idle, x.closed = nil, true
	x.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

func (x *Session) put(c *Conn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || len(x.idle) >= sessionConns {
		return false
	}
	x.idle = append(x.idle, c)
	return true
}

// Last returns a usable server of b that the session keeps a connection to: the one used last. nil when there is none.
func (x *Session) Last(b *Backend) *Server {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.idle) - 1; i >= 0; i-- {
		if s := x.idle[i].Server; s.backend == b && s.usable.Load() {
			return s
		}
	}
	return nil
}

func (x *Session) get(s *Server, w *wish) *Conn {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.idle) - 1; i >= 0; i-- {
		if c := x.idle[i]; c.Server.life == s.life && c.fits(s, w) {
			x.idle = append(x.idle[:i], x.idle[i+1:]...)
			return c
		}
	}
	return nil
}

// greet sends what must precede everything else on a new connection: the PROXY header.
func (c *Conn) greet(ctx context.Context) error {
	if c.greeting == "" {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.raw.SetWriteDeadline(deadline)
		defer c.raw.SetWriteDeadline(time.Time{})
	}
	_, err := io.WriteString(c.raw, c.greeting)
	return err
}
