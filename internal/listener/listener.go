// Package listener is the client side of the house: one Listener per listening socket of a bind line. It accepts, shakes
// hands with the certificate that the bind line's index selects (HAProxy's configuration manual, section 5.1), and hands
// the connection, with what is known of it, to the function that serves it. It knows no HTTP and no backend.
//
// What always holds: the accept loop never waits for a client; every connection has its deadline before its handshake begins;
// a handshake reads immutable values only, so that no change of a certificate can hold it up; and a session is resumed only
// where its certificate, its entry and its client authorities are still the same. Goroutines: Run is the accept loop; each
// connection has one, and another before it for its handshake, whose large stack is given back when it ends.
package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// Options say what becomes of the connections of a socket. A Listener takes them whole: Update replaces them for the connections that
// come after.
type Options struct {
	Frontend string
	Name     string // of the bind line: its `name`, or its number
	ID       int

	Index *cert.Index   // nil: clear connections. An index belongs to one set of TLS options: when those change, so must the index.
	TLS   *cert.Options // of the bind line
	HTTP  bool          // mode http: ALPN defaults to http/1.1
	// Forge makes a certificate for a server name that no entry is for (generate-certificates), with the private key of base; nil makes none.
	Forge func(name string, base *cert.Bundle) (*cert.Bundle, error)
	// SkipSelfIssuedCA leaves self-issued authorities at the end of chains out (ssl-skip-self-issued-ca).
	SkipSelfIssuedCA bool
	// AcceptProxy demands a PROXY header, of version 1 or 2, before anything else.
	AcceptProxy bool
	// AcceptCIP demands NetScaler's client address header before anything else, CIPMagic is the number it begins with.
	AcceptCIP bool
	CIPMagic  uint32
	// Tickets are the keys of session tickets, the process's or those of the line's tls-ticket-keys; nil sends no tickets.
	Tickets *Tickets
	// Sessions keep sessions where tickets are off; nil keeps none.
	Sessions *Sessions
	// ECH are the keys of Encrypted ClientHello; nil has none.
	ECH *ECH
	// CA and CRL return the files that verification names, as they are now. nil, or a nil result, refuses every client certificate.
	CA  func(name string) *cert.CAFile
	CRL func(name string) *cert.CRLFile
	// Default* are the global ssl-default-bind-* words, for entries and bind lines without their own.
	DefaultCiphers, DefaultCurves string

	CaptureHello     int           // tune.ssl.capture-buffer-size: bytes to keep of each ClientHello
	HandshakeTimeout time.Duration // timeout client-hs, else timeout client; 0: DefaultHandshakeTimeout
	DontLogNull      bool          // option dontlognull: no error line for a client that said nothing
	KeepAlive        bool          // option tcpka or clitcpka: TCP keepalive probes

	Probes config.Probes // their parameters
	// SessionLimit is `rate-limit sessions`: no connection is accepted as long as the frontend had so many in a second; 0: no limit.
	SessionLimit int

	Rates  *Rates         // of the process; nil counts nothing
	Limits []*Limit       // maxconn of the bind line, the frontend and the process
	IDs    *atomic.Uint64 // numbers the connections of the process; nil numbers those of the listener

	// Counters are the frontend's; Own the bind line's row of option socket-stats, may be nil.
	Counters, Own *stats.Counters

	// Admit decides on a connection that was just accepted, before its handshake: false closes it. It must not wait. nil admits all.
	Admit func(nc net.Conn, c *stream.Conn) bool
	// Serve owns the connection and returns when it is over. A done ctx asks it to end after the current request.
	Serve func(ctx context.Context, nc net.Conn, c *stream.Conn)
	// ErrorLog hears of connections that failed before anything could be served, with HAProxy's text for it. May be nil.
	ErrorLog func(c *stream.Conn, text string)
	// Log hears of troubles of the socket itself, rarely. May be nil.
	Log func(level, text string)
}

// DefaultHandshakeTimeout bounds handshakes where the configuration has no timeout that would.
const DefaultHandshakeTimeout = 30 * time.Second

// settings are one version of the options, ready for use.
type settings struct {
	Options
	tls *server // nil: clear
}

// Listener accepts the connections of one socket.
type Listener struct {
	socket   net.Listener
	settings atomic.Pointer[settings]
	ids      atomic.Uint64

	mu     sync.Mutex           // guards what follows
	conns  map[net.Conn]*Served // what is known of each; nil until it was described
	paused chan struct{}        // non-nil while paused; closed by Resume
	killed bool
	wg     sync.WaitGroup
}

// New makes a listener of a listening socket, which it then owns.
func New(socket net.Listener, o Options) (*Listener, error) {
	l := &Listener{socket: socket, conns: map[net.Conn]*Served{}}
	if err := l.Update(o); err != nil {
		return nil, err
	}
	return l, nil
}

// FromFile makes a socket of a descriptor, which it takes over.
func FromFile(f *os.File) (net.Listener, error) {
	defer f.Close() // net keeps a duplicate
	socket, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listening on descriptor %s: %w", f.Name(), err)
	}
	return socket, nil
}

// Update gives connections accepted from now on new options.
func (l *Listener) Update(o Options) error {
	s := &settings{Options: o}
	if s.Counters == nil {
		s.Counters = new(stats.Counters)
	}
	if s.Index != nil {
		var err error
		if s.tls, err = newServer(&s.Options); err != nil {
			return fmt.Errorf("bind %s of frontend %s: %w", o.Name, o.Frontend, err)
		}
	}
	l.settings.Store(s)
	return nil
}

// Addr is the address the socket is bound to.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// File returns a duplicate of the socket, for handing it to another process.
func (l *Listener) File() (*os.File, error) {
	f, ok := l.socket.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.New("not a socket")
	}
	return f.File()
}

// Conns is how many connections are open.
func (l *Listener) Conns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Run accepts until ctx is done; then it serves what the kernel had already accepted, closes the socket, and returns
// when the last connection has ended. Kill cuts that wait short.
func (l *Listener) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, l.interrupt)
	err := l.acceptAll(ctx)
	stop()
	l.drain(ctx)
	l.socket.Close()
	l.wg.Wait()
	return err
}

// Kill closes every connection at once, as hard-stop-after demands. Connections that come later are closed too.
func (l *Listener) Kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.killed = true
	for c := range l.conns {
		c.Close()
	}
}

// interrupt makes a blocked Accept return.
func (l *Listener) interrupt() {
	if d, ok := l.socket.(interface{ SetDeadline(time.Time) error }); ok {
		d.SetDeadline(time.Unix(1, 0))
		return
	}
	l.socket.Close()
}

// Pause stops accepting until Resume. Like HAProxy it lets the kernel refuse TCP connections meanwhile; a unix socket keeps them waiting.
func (l *Listener) Pause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		return nil
	}
	l.paused = make(chan struct{})
	l.interrupt()
	if _, ok := l.socket.(*net.TCPListener); !ok {
		return nil
	}
	return l.control(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RD) })
}

// Resume accepts again after Pause.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		return nil
	}
	if _, ok := l.socket.(*net.TCPListener); ok {
		if err := l.control(func(fd int) error { return syscall.Listen(fd, syscall.SOMAXCONN) }); err != nil {
			return fmt.Errorf("listening on %s again: %w", l.Addr(), err)
		}
	}
	if d, ok := l.socket.(interface{ SetDeadline(time.Time) error }); ok {
		d.SetDeadline(time.Time{})
	}
	close(l.paused)
	l.paused = nil
	return nil
}

func (l *Listener) control(f func(fd int) error) error {
	sc, ok := l.socket.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
