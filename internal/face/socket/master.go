package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/runtimeapi"
)

// MasterProcess is what the commands of the master's socket ask; the process half of app implements it. Every method may be
// called by many sessions at a time.
type MasterProcess interface {
	Version() string
	Start() time.Time // of the master
	Env() []string    // NAME=value
	StartupLogs() string
	Procs() Procs
	// Reload loads the configuration again and returns when the outcome is known: success, and the diagnostics of the attempt. With
	// hard, connections of the old generation are cut.
	Reload(ctx context.Context, hard bool) (ok bool, logs string)
	// Dial connects to the Runtime API of one worker, which serves it at level admin.
	Dial(ctx context.Context, pid int) (net.Conn, error)
}

// Procs are the processes of show proc.
type Procs struct {
	Master         Proc
	Failed         int    // reloads that failed since the last that did not
	Workers        []Proc // the current one, if it is ready
	Old            []Proc // of earlier generations, still draining
	MasterReloaded int    // reloads since start
}

// Proc is one process.
type Proc struct {
	PID     int
	Reloads int // that it has lived through
	Start   time.Time
	Version string
}

// worker finds the worker that a word such as @1 or @!PID names: 0 is the master, ok false is nobody.
func (p *Procs) worker(prefix string) (pid int, ok bool) {
	name := strings.TrimPrefix(prefix, "@")
	if name == "" || name == "master" {
		return 0, true
	}
	all := slices.Concat(p.Workers, p.Old)
	if name, absolute := strings.CutPrefix(name, "!"); absolute {
		n := decimal(name)
		return n, slices.ContainsFunc(all, func(w Proc) bool { return w.PID == n })
	}
	switch n := decimal(name); {
	case n == 0:
		return 0, true
	case n != 1 || len(all) == 0:
		return 0, false
	}
	return slices.MinFunc(all, func(a, b Proc) int { return a.Reloads - b.Reloads }).PID, true
}

// decimal reads digits only; anything else is -1.
func decimal(text string) int {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return -1
	}
	return leadingInt(text)
}

// MasterOptions configure the master's server. Process is required.
type MasterOptions struct {
	Process MasterProcess
	// Sockets lists the master's sockets for show cli sockets; nil shows none.
	Sockets func() []SocketOptions
	// Timeout ends connections that say nothing and commands of workers that answer nothing; 0 is an hour.
	Timeout time.Duration
	MaxConn int // connections at a time; 0 is 10
	// MaxPayload bounds payloads on their way to a worker, in bytes; 0 is 16 MiB.
	MaxPayload int
	// AdminFrom tells who besides loopback may have level admin over TCP (admin-from); nil is nobody.
	AdminFrom func() []netip.Prefix
	Failed    func(by string, reason any)
}

// Master answers the master's socket: its own commands, and @PREFIX commands by handing them to a worker. It is always
// interactive: a connection lasts until the peer closes it.
type Master struct {
	o     MasterOptions
	table *Table
	gate  gate
}

// NewMaster checks the options and the table of commands.
func NewMaster(o MasterOptions) (*Master, error) {
	if o.Process == nil {
		return nil, errors.New("socket.MasterOptions.Process is missing")
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Hour
	}
	m := &Master{o: o}
	t, err := NewTable(true, sessionCommands(), m.commands())
	if err != nil {
		return nil, err
	}
	m.table = t
	limit := o.MaxConn
	if limit <= 0 {
		limit = 10
	}
	m.gate.setLimit(limit)
	return m, nil
}

// Table is the table of commands, for documents and tests.
func (m *Master) Table() *Table { return m.table }

// Serve accepts connections on ln until ctx ends, as Worker.Serve.
func (m *Master) Serve(ctx context.Context, ln net.Listener, so SocketOptions) error {
	return serve(ctx, ln, &m.gate, func(nc net.Conn) { m.ServeConn(ctx, nc, so) })
}

// ServeConn serves one connection and closes it.
func (m *Master) ServeConn(ctx context.Context, nc net.Conn, so SocketOptions) {
	s := newSession(m.table, nc, runtimeapi.Options{Timeout: m.o.Timeout, MaxPayload: m.o.MaxPayload}, so)
	s.by, s.started = describe(so, nc), m.o.Process.Start()
	if so.Level == Admin {
		var from []netip.Prefix
		if m.o.AdminFrom != nil {
			from = m.o.AdminFrom()
		}
		if text := refuseAdmin(nc.RemoteAddr(), from); text != "" {
			s.level, s.noAdmin = Operator, text
		}
	}
	l := &masterSession{session: s, m: m}
	s.serve(ctx, m.o.Failed, l.run)
}

func (m *Master) commands() []Command {
	p := m.o.Process
	prefix := func(word, help string) Command {
		return Command{Words: []string{word}, Level: User, Modes: MasterOnly, Usage: word, Help: help,
			Run: func(_ context.Context, r *Request) { r.Msg(m.table.usage(r.Args, r.session)) }}
	}
	return []Command{
		prefix("@<relative pid>", "send a command to the <relative pid> process"),
		prefix("@!<pid>", "send a command to the <pid> process"),
		prefix("@master", "send a command to the master process"),
		{Words: []string{"show", "proc"}, Level: Operator, Modes: MasterOnly, Usage: "show proc",
			Help: "show processes status", Run: m.showProc},
		{Words: []string{"reload"}, Level: Operator, Modes: MasterOnly, Usage: "reload",
			Help: "achieve a soft-reload (-sf) of haproxy", Run: m.reload(false)},
		{Words: []string{"hard-reload"}, Level: Operator, Modes: MasterOnly, Usage: "hard-reload",
			Help: "achieve a hard-reload (-st) of haproxy", Run: m.reload(true)},
		{Words: []string{"show", "version"}, Level: User, Modes: InMaster, Usage: "show version",
			Help: "show version of the current process",
			Run:  func(_ context.Context, r *Request) { r.Msg(p.Version()) }},
		{Words: []string{"show", "env"}, Level: Operator, Modes: InMaster, Usage: "show env [var]",
			Help: "dump environment variables known to the process", Run: showEnv(p.Env)},
		{Words: []string{"show", "startup-logs"}, Level: Operator, Modes: InMaster, Usage: "show startup-logs",
			Help: "report logs emitted during HAProxy startup",
			Run:  func(_ context.Context, r *Request) { r.Print(lines(p.StartupLogs())) }},
		{Words: []string{"show", "cli", "sockets"}, Level: User, Modes: InMaster, Usage: "show cli sockets",
			Help: "dump list of cli sockets", Run: showSockets(m.o.Sockets)},
	}
}

func (m *Master) showProc(_ context.Context, r *Request) {
	p := m.o.Process.Procs()
	now := time.Now()
	row := func(pid int, kind, reloads string, w Proc) {
		r.Print(fmt.Sprintf("%-15d %-15s %-15s %-15s %-15s\n", pid, kind, reloads, uptime(now.Sub(w.Start)), w.Version))
	}
	r.Print(fmt.Sprintf("#%-14s %-15s %-15s %-15s %-15s\n", "<PID>", "<type>", "<reloads>", "<uptime>", "<version>"))
	row(p.Master.PID, "master", fmt.Sprintf("%d [failed: %d]", p.MasterReloaded, p.Failed), p.Master)
	r.Print("# workers\n")
	for _, w := range p.Workers {
		row(w.PID, "worker", fmt.Sprint(w.Reloads), w)
	}
	if len(p.Old) > 0 {
		r.Print("# old workers\n")
	}
	for _, w := range p.Old {
		row(w.PID, "worker", fmt.Sprint(w.Reloads), w)
	}
}

// uptime prints a duration as show proc does: 0d00h00m02s.
func uptime(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	return fmt.Sprintf("%dd%02dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}

// reload answers when the outcome is known, and ends the connection.
func (m *Master) reload(hard bool) func(context.Context, *Request) {
	return func(ctx context.Context, r *Request) {
		ok, logs := m.o.Process.Reload(ctx, hard)
		verdict := "Success=0\n"
		if ok {
			verdict = "Success=1\n"
		}
		r.Print(verdict + "--\n" + lines(logs) + "\n")
		r.session.quit = true
	}
}
