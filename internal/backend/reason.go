package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"gatehouse/internal/cert"
	"gatehouse/internal/stream"
)

// The bc_err numbers of connections to servers that failed, besides those of the system's errors (surface 4.13).
const (
	bcSocket      = 6
	bcMismatch    = 32
	bcMismatchSNI = 33
	bcHandshake   = 34
)

// bcErrno are the numbers of errors that the system returns.
var bcErrno = map[syscall.Errno]int{
	syscall.ECONNREFUSED: 47, syscall.ECONNRESET: 48, syscall.EHOSTUNREACH: 49, syscall.ENETUNREACH: 49, syscall.ENOMEM: 50,
	syscall.EBADF: 51, syscall.EFAULT: 52, syscall.EINVAL: 53, syscall.ENOTCONN: 54, syscall.ENOTSOCK: 55, syscall.ENOBUFS: 56, syscall.EPIPE: 57,
}

// connectErr is bc_err of a connection that was not established, or on which the PROXY header could not be sent. Running out of time has no
// number, as in HAProxy.
func connectErr(err error) int {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return 0
	case errors.As(err, &errno) && bcErrno[errno] != 0:
		return bcErrno[errno]
	}
	return bcSocket
}

// verifyError is a server certificate that was refused, with its bc_err number.
type verifyError struct {
	bc  int
	err error
}

func (e *verifyError) Error() string { return e.err.Error() }
func (e *verifyError) Unwrap() error { return e.err }

// handshakeErr is bc_err and ssl_bc_err of a TLS handshake with a server that failed.
func handshakeErr(err error) (bc, packed int) {
	var refused *verifyError
	var header tls.RecordHeaderError
	var errno syscall.Errno
	switch {
	case errors.As(err, &refused):
		return refused.bc, cert.SSLCode(cert.ReasonVerifyFailed)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return 0, 0
	case errors.As(err, &header):
		return bcHandshake, cert.SSLCode(cert.ReasonWrongVersion)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return bcHandshake, 0
	}
	if alert := cert.AlertOf(err); alert >= 0 {
		return bcHandshake, cert.SSLCode(cert.ReasonAlert + alert)
	}
	if errors.As(err, &errno) {
		return bcHandshake, 0
	}
	if strings.HasPrefix(err.Error(), "tls: server selected unsupported protocol version") {
		return bcHandshake, cert.SSLCode(cert.ReasonUnsupported)
	}
	return bcHandshake, cert.SSLCode(cert.ReasonAlert + 40)
}

// failed notes on the stream why a connection came to nothing, for bc_err and ssl_bc_err. st is nil in a health check, state before a handshake.
func (s *Server) failed(st *stream.Stream, c *Conn, bc, packed int) {
	if st == nil {
		return
	}
	st.BackErr = bc
	as := s.client()
	if as == nil {
		return
	}
	t := &stream.TLS{Failed: true, Err: packed, Version: as.newest()}
	if c != nil {
		t.SNI = c.SNI
		if x, ok := c.Conn.(*tls.Conn); ok {
			state := x.ConnectionState()
			if state.Version != 0 {
				t.Version = state.Version
			}
			if state.Version >= tls.VersionTLS13 { // up to TLS 1.2 these count once the handshake is over
				t.Cipher, t.Curve = state.CipherSuite, state.CurveID
			}
		}
	}
	st.BackTLS = t
}

// newest is the newest version of TLS that the server may speak.
func (c *client) newest() uint16 {
	if c.o.MaxVersion != 0 {
		return c.o.MaxVersion
	}
	return tls.VersionTLS13
}
