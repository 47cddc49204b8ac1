package socket

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/netip"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/certstore"
	"gatehouse/internal/stats"
)

// Process is what the worker's commands ask of the running process; engine implements it. Every method may be called by many
// sessions at a time and sees the newest generation.
type Process interface {
	Version() string  // of HAProxy that is spoken, such as 3.4.0
	Start() time.Time // of this process
	Info() *stats.Info
	// Rows yields the table in its order: per proxy FRONTEND, its listeners (option socket-stats), its servers, BACKEND. The row
	// may be the same one each time; who keeps it copies it.
	Rows() iter.Seq[*stats.Row]
	// ServerStates yields every server in the order of the configuration, as Rows with regard to reuse.
	ServerStates() iter.Seq[*stats.ServerState]
	Backends() []string  // names of backends and listens, in order
	Env() []string       // NAME=value
	StartupLogs() string // the diagnostics of the last start or reload
	// CapturedErrors are the invalid messages kept for show errors: how many there were, and those still kept as text.
	CapturedErrors() (total uint64, dumps []CapturedError)
	Sessions() iter.Seq[Stream]
	// ClearCounters resets maxima, with all every counter that is not a gauge.
	ClearCounters(all bool)
	// Server finds one server. The error is ErrNoBackend or ErrNoServer.
	Server(backend, server string) (Server, error)
	// ServerConns yields what show servers conn prints of each server, in the order of the configuration.
	ServerConns() iter.Seq[*stats.ServerConns]
	// AddServer makes a server; words are its address and keywords. Errors are answered as they are.
	AddServer(ctx context.Context, backend, name string, words []string) error
	DelServer(backend, name string) error
	// Removable says why a server cannot be deleted now; wait says that it may be later.
	Removable(backend, name string) (wait bool, err error)
	// CloseSession closes the client connection with a number of Sessions; false when there is none.
	CloseSession(id string) bool
	// Frontend finds one frontend or listen; the error is ErrNoFrontend.
	Frontend(name string) (Frontend, error)
	// SetMaxconn changes the process's limit of connections; 0 sets the one it started with. More than that is an error.
	SetMaxconn(n int) error
	// SetRateLimit limits "connections", "sessions", "ssl-sessions" or KiB of "http-compression" per second, 0 for no limit.
	SetRateLimit(what string, n int) error
}

// Errors of looking up. Their texts are the answers.
var (
	ErrNoBackend  = errors.New("No such backend.")
	ErrNoServer   = errors.New("No such server.")
	ErrNoFrontend = errors.New("No such frontend.")
)

// Server is one server of a backend, as commands change it. Errors are answered as they are.
type Server interface {
	Weight() (now, initial int)
	// SetWeight sets 0 to 256. Algorithms that cannot follow refuse all but 0 and the initial weight.
	SetWeight(n int) error
	SetState(state string) error   // ready, drain or maint
	SetHealth(health string) error // up, stopping or down
	SetChecks(on bool) error       // enable health, disable health
	SetMaxConn(n int) error
	SetCheckAddr(ip netip.Addr) error
	SetCheckPort(n int) error
	SetAgent(word string) error   // up or down
	SetAgentChecks(on bool) error // enable agent, disable agent
	SetAgentAddr(ip netip.Addr) error
	SetAgentPort(n int) error
	SetAgentSend(text string) error
	SetTLS(word string) error // on or off
	// SetAddr changes the address (a bare IP) and, unless "", the port (N, +N or -N); the answer says what changed.
	SetAddr(addr, port string) (answer string, err error)
	KillSessions()
}

// Frontend is one frontend, as commands change it. Errors are answered as they are.
type Frontend interface {
	Enable() error
	Disable() error
	Shutdown() error
	SetMaxConn(n int) error
}

// CapturedError is one invalid request or response kept for show errors.
type CapturedError struct {
	Proxy    string
	Response bool
	Text     string // as printed, ending in LF
}

// Stream is one line of show sess.
type Stream struct {
	ID                        string // hexadecimal, without 0x
	Proto, Src                string // tcpv4 127.0.0.1:1234
	Frontend, Backend, Server string // "" is none
	Age                       time.Duration
}

// Certificates is the part of *certstore.Store that commands call. Its errors are *certstore.Error.
type Certificates interface {
	NewCert(name string) error
	Set(name string, payload []byte, by string) (created bool, target string, err error)
	Commit(name, by string, dot func()) (warnings []string, err error)
	Abort(name string) error
	Delete(name string) error
	Names() (pending, all []string)
	Show(name string) (string, error)
	Dump(name string) ([]byte, error)
	Lists() []string
	ShowList(w io.Writer, name string, lineNumbers bool) error
	AddLine(list, text, by, crtBase string, dot func()) (printed string, err error)
	DelLine(list, arg string) error

	NewTrust(kind certstore.TrustKind, name string) error
	SetTrust(kind certstore.TrustKind, name string, payload []byte, add bool) (created bool, err error)
	CommitTrust(kind certstore.TrustKind, name, by string, dot func()) (warnings []string, err error)
	AbortTrust(kind certstore.TrustKind, name string) error
	DeleteTrust(kind certstore.TrustKind, name string) error
	ListTrust(w io.Writer, kind certstore.TrustKind)
	ShowTrust(w io.Writer, kind certstore.TrustKind, arg string) error

	SetJWT(name string, on bool) error
	JWTNames() []string

	Transactions
	Versions
}

// ACME is the part of *acme.Manager that commands call.
type ACME interface {
	Renew(name string) error // errors are answered as they are
	Status() []acme.Row
}
