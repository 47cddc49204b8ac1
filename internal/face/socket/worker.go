package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/internal/engine"
	"gatehouse/internal/pattern"
	"gatehouse/internal/runtimeapi"
	"gatehouse/internal/table"
)

// Options of a worker's server. Process is required; without Certificates or ACME their commands do not exist.
type Options struct {
	Process      Process
	Certificates Certificates
	ACME         ACME
	// Staples and OCSP are behind the commands on OCSP responses; without them these do not exist.
	Staples Staples
	OCSP    OCSP
	// Patterns returns the ACLs and maps of the configuration that serves, or nil; without it there are no commands for them.
	Patterns func() *pattern.Refs
	// SavePattern makes the file of a changed set hold what the set holds, and says what keeps it from being on disk; nil saves nothing.
	SavePattern func(ref *pattern.Ref) (warning string)
	// Sockets lists the stats sockets of the configuration, in order, for show cli sockets; nil shows none.
	Sockets func() []SocketOptions
	// GetSocks sends the listening sockets over c for _getsocks; nil refuses.
	GetSocks func(c *net.UnixConn) error
	// Var shows a variable of the process, as its type and its text in angle brackets; nil: there is no command for it.
	Var func(name string) (kind, text string, found bool)
	// SetVar sets a variable of the process to what an expression, or a format, makes; errors have HAProxy's texts. It is there where Var is.
	SetVar func(name, text string, format bool) error
	// Tables lists the stick tables, in the order in which they are shown; nil: there are no commands for them.
	Tables func() []*table.Table
	// Names tells which names lead to which certificate; nil: there are no commands for them.
	Names Names
	// ECH lists the TLS bind lines with their keys of Encrypted ClientHello; nil: there are no commands for them.
	ECH func() []engine.ECHBind
	// Tickets lists the tls-ticket-keys files; nil: there are no commands for them.
	Tickets func() []*engine.TicketFile
	// Sinks lists the places that events go to, for show events; nil: there is no such command.
	Sinks func() []engine.Sink
	// Extra are commands of other rooms.
	Extra []Command
	// Failed is told of a session that panicked; nil drops it. The session ends, others go on.
	Failed func(by string, reason any)
}

// Settings are what the configuration says about all stats sockets. Zero values are the defaults. They can change at any time.
type Settings struct {
	Timeout    time.Duration  // stats timeout; 0 is 10 s
	MaxConn    int            // stats maxconn; 0 is 10
	MaxPayload int            // bytes, tune.cli.max-payload-size; 0 is 16 MiB
	BufSize    int            // bytes, tune.bufsize; 0 is 16384
	AdminFrom  []netip.Prefix // admin-from: who besides loopback may have level admin over TCP
	CrtBase    string         // crt-base, for add ssl crt-list
}

// SocketOptions are one stats socket line.
type SocketOptions struct {
	Addr     string // as show cli sockets prints it: unix@/path, ipv4@127.0.0.1:9999, abns@name, sockpair@5
	Level    Level
	Severity Severity
	ExposeFD bool // expose-fd listeners
}

// Worker answers the stats sockets of a worker. It lives as long as the process, across reloads.
type Worker struct {
	o        Options
	table    *Table
	settings atomic.Pointer[Settings]
	gate     gate
}

// NewWorker checks the options and the table of commands.
func NewWorker(o Options) (*Worker, error) {
	if o.Process == nil {
		return nil, errors.New("socket.Options.Process is missing")
	}
	w := &Worker{o: o}
	t, err := NewTable(false, w.commands(), o.Extra)
	if err != nil {
		return nil, err
	}
	w.table = t
	w.Update(Settings{})
	return w, nil
}

// Table is the table of commands, for documents and tests.
func (w *Worker) Table() *Table { return w.table }

// Update changes the settings. Connections accepted from now on see them.
func (w *Worker) Update(n Settings) {
	if n.Timeout <= 0 {
		n.Timeout = 10 * time.Second
	}
	if n.MaxConn <= 0 {
		n.MaxConn = 10
	}
	w.settings.Store(&n)
	w.gate.setLimit(n.MaxConn)
}

// Serve accepts connections on ln until ctx ends, then closes ln and returns once its sessions are over: those that wait for input
// end at once, a running command ends first. Any other error of ln is returned.
func (w *Worker) Serve(ctx context.Context, ln net.Listener, so SocketOptions) error {
	return serve(ctx, ln, &w.gate, func(nc net.Conn) { w.ServeConn(ctx, nc, so) })
}

// ServeConn serves one connection and closes it; the master's connections to a worker come this way too.
func (w *Worker) ServeConn(ctx context.Context, nc net.Conn, so SocketOptions) {
	set := w.settings.Load()
	sess := newSession(w.table, nc, runtimeapi.Options{BufSize: set.BufSize, MaxPayload: set.MaxPayload, Timeout: set.Timeout}, so)
	sess.by = describe(so, nc)
	sess.started = w.o.Process.Start()
	if so.Level == Admin {
		if text := refuseAdmin(nc.RemoteAddr(), set.AdminFrom); text != "" {
			sess.level, sess.noAdmin = Operator, text
		}
	}
	sess.serve(ctx, w.o.Failed, sess.run)
}

// serve runs a session and closes its connection. A panic ends this session alone.
func (s *session) serve(ctx context.Context, failed func(string, any), run func(context.Context) error) {
	defer s.conn.Close()
	defer func() {
		if reason := recover(); reason != nil && failed != nil {
			failed(s.by, reason)
		}
	}()
	stop := context.AfterFunc(ctx, s.conn.Interrupt)
	defer stop()
	_ = run(ctx) // the peer went away, or was told
}

// describe says who talks through which socket.
func describe(so SocketOptions, nc net.Conn) string {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return fmt.Sprintf("stats socket %s from %s", so.Addr, a)
	}
	return fmt.Sprintf("stats socket %s level %s%s", so.Addr, so.Level, peerUser(nc))
}

// refuseAdmin says why a peer on a socket of level admin does not get it, "" if it does: over TCP only loopback and the
// networks of admin-from are trusted.
func refuseAdmin(peer net.Addr, from []netip.Prefix) string {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return ""
	}
	for _, p := range from {
		if p.Contains(ip) {
			return ""
		}
	}
	return fmt.Sprintf("Permission denied: level admin over TCP is only for loopback, not for %s."+
		" To allow it, add this line to the 'gatehouse' section:\n    admin-from %s", ip, ip)
}

// serve is the accept loop of both servers. A connection too many waits, accepted, for its turn, and those behind it wait in
// the listen queue.
func serve(ctx context.Context, ln net.Listener, g *gate, handle func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil && g.enter(ctx):
			sessions.Go(func() {
				defer g.leave()
				handle(nc)
			})
		case err == nil:
			_ = nc.Close()
			return nil
		case ctx.Err() != nil:
			return nil
		case !passes(err):
			_ = ln.Close()
			return fmt.Errorf("accepting on %s: %w", ln.Addr(), err)
		default:
			pause(ctx, 100*time.Millisecond)
		}
	}
}

// passes says whether an accept error is about one connection or a shortage, not about the socket.
func passes(err error) bool {
	for _, e := range []syscall.Errno{syscall.ECONNABORTED, syscall.EINTR, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause waits for d or the end of ctx, whichever is first, and says whether it was d.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// gate lets a limited number of sessions in; others wait in the listen queue. The limit can change.
type gate struct {
	mu    sync.Mutex
	n     int
	limit int
	wake  chan struct{} // closed when something changed, made by the first who waits
}

func (g *gate) setLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = n
	g.changedLocked()
}

func (g *gate) changedLocked() {
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}

// enter waits for room and takes it; false when ctx ended.
func (g *gate) enter(ctx context.Context) bool {
	for {
		g.mu.Lock()
		if ctx.Err() != nil {
			g.mu.Unlock()
			return false
		}
		if g.n < g.limit {
			g.n++
			g.mu.Unlock()
			return true
		}
		if g.wake == nil {
			g.wake = make(chan struct{})
		}
		wake := g.wake
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return false
		case <-wake:
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	g.changedLocked()
}
