package backend

import "fmt"

// Kind says why no connection to a server could be had.
type Kind uint8

// The ways Connect fails.
const (
	NoServer        Kind = iota // no server is up, or there is none
	QueueTimeout                // all stayed full for `timeout queue`
	ConnectTimeout              // the last attempt took longer than `timeout connect`
	ConnectFailed               // the last attempt was refused or broken
	HandshakeFailed             // the last attempt failed in the TLS handshake
	Aborted                     // the caller's context ended first
	Redirected                  // the server wants clients to come by themselves
)

// Error is the only error type Connect returns. Term are the two letters of the log's termination state (surface 4.19) and Status
// is the response HAProxy sends.
type Error struct {
	Kind   Kind
	Status int
	Term   [2]byte
	Server string // the last server tried, "" when none was
	Redir  string // of Redirected: where clients are sent, in front of the path; "/" is nothing
	Err    error  // cause, may be nil; holds no secrets
}

// errNoServer is shared because a backend without servers may be asked often.
var errNoServer = &Error{Kind: NoServer, Status: 503, Term: [2]byte{'S', 'C'}}

func (e *Error) Error() string {
	text := [...]string{"no server available", "queue timeout", "connection timeout", "connection failed", "TLS handshake failed", "aborted", "redirected"}[e.Kind]
	if e.Server != "" {
		text = "server " + e.Server + ": " + text
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", text, e.Err)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }
