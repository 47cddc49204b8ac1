package listener

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/sock"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// wire is the socket below a TLS connection. While the handshake runs it also is where the choices made in crypto/tls's callbacks,
// which know only the connection, are noted; only the handshake's goroutine touches that part.
type wire struct {
	net.Conn
	io    io.ReadWriter // what carries the bytes: the socket itself, at less cost than through Conn
	notes *notes        // nil after the handshake
}

func newWire(nc net.Conn) *wire {
	w := &wire{Conn: nc, io: nc, notes: new(notes)}
	if s := sock.New(nc); s != nil {
		w.io = s
	}
	return w
}

// notes are what a handshake tells on its way.
type notes struct {
	sni      string
	crt      string
	own      []byte // DER of the certificate
	hello    *stream.Hello
	against  string // what a client certificate is verified against
	read     bool   // anything came from the client
	greeted  bool   // a whole ClientHello
	offered  uint16 // the newest version that it offered
	shown    []*x509.Certificate
	verified verdict
	refused  bool // a fatal alert has been sent
}

// SyscallConn lets others wait for the socket without reading from it.
func (w *wire) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := w.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.New("not a socket")
}

// Read notes that the client said something at all: one that did not is no failed handshake.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.io.Read(p)
	if n > 0 && w.notes != nil {
		w.notes.read = true
	}
	return n, err
}

// Write drops what crypto/tls says after refuse.
func (w *wire) Write(p []byte) (int, error) {
	if w.notes != nil && w.notes.refused {
		return len(p), nil
	}
	return w.io.Write(p)
}

func (w *wire) seen(hello *tls.ClientHelloInfo) {
	w.notes.sni, w.notes.greeted, w.notes.offered = hello.ServerName, true, newest(hello.SupportedVersions)
}

func (w *wire) chose(name string, own []byte) { w.notes.crt, w.notes.own = name, own }

// alertUnrecognizedName is the alert for a server name that is not served here (RFC 6066 section 3).
const alertUnrecognizedName = 112

// refuse sends a fatal alert of our choice before anything was encrypted, in place of the internal_error that crypto/tls would send.
func (w *wire) refuse(alert byte) {
	w.Conn.Write([]byte{21, 3, 3, 0, 2, 2, alert}) // the handshake's deadline bounds it
	w.notes.refused = true
}

// verify judges a client certificate and notes what was found.
func (w *wire) verify(t *trust, o *cert.Options, certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return nil // RequireAnyClientCert has seen to it where one is required
	}
	w.notes.verified, w.notes.shown = t.judge(certs, o, time.Now()), certs
	return w.notes.verified.err()
}

// shake reads the PROXY header where one is due, runs the handshake, and starts the goroutine that serves. A handshake needs some 20 KiB of stack, which ends with this goroutine
// instead of staying with an idle connection.
func (l *Listener) shake(ctx context.Context, s *settings, nc net.Conn, c *stream.Conn) {
	served := false
	defer func() {
		if !served {
			l.end(s, nc, c)
		}
	}()
	defer l.survive(s)
	if c.ExpectCIP && !l.expectCIP(s, nc, c) {
		return
	}
	if c.ExpectProxy && !l.expectProxy(s, nc, c) {
		return
	}
	if s.tls == nil {
		served = true
		go l.serve(ctx, s, nc, nc, c)
		return
	}
	limit := s.HandshakeTimeout
	if limit <= 0 {
		limit = DefaultHandshakeTimeout
	}
	nc.SetDeadline(c.Accepted.Add(limit))
	w := newWire(nc)
	t := tls.Server(w, s.tls.base)
	growStack()
	err := t.Handshake()
	c.Handshake = time.Since(c.Accepted)
	if err != nil {
		state := t.ConnectionState()
		failed(s, c, w.notes, &state, err)
		return
	}
	nc.SetDeadline(time.Time{})
	state := t.ConnectionState()
	c.TLS = settled(&state, w.notes)
	if s.Index.Mixed() {
		c.TLS.Names, c.TLS.Against = s.tls, w.notes.against
	}
	w.notes = nil
	s.Rates.shaken(state.DidResume, time.Now())
	for _, n := range [...]*stats.Counters{s.Counters, s.Own} {
		if n != nil {
			n.SSLConns.Add(1)
			if state.DidResume {
				n.SSLResumed.Add(1)
			}
		}
	}
	served = true
	go l.serve(ctx, s, nc, t, c)
}

// growStack makes the goroutine's stack as large as a handshake needs while there is next to nothing on it: growing in steps
// copies ever deeper stacks, a twentieth of the CPU of a handshake.
//
//go:noinline
func growStack() {
	var room [14 << 10]byte
	keep(&room)
}

//go:noinline
func keep(*[14 << 10]byte) {}

// settled are the facts of a finished handshake.
func settled(state *tls.ConnectionState, n *notes) *stream.TLS {
	facts := &stream.TLS{
		SNI:        n.sni,
		ALPN:       state.NegotiatedProtocol,
		Version:    state.Version,
		Cipher:     state.CipherSuite,
		Curve:      state.CurveID,
		Resumed:    state.DidResume,
		Crt:        n.crt,
		OwnCert:    n.own,
		ClientCert: state.PeerCertificates,
		ClientRoot: n.verified.root,
		Unique:     state.TLSUnique,
		Hello:      n.hello,
		VerifyErr:  int16(n.verified.last),
	}
	if !state.DidResume {
		n.verified.tell(facts)
	}
	return facts
}

// tell notes what a verification that just took place has found.
func (v *verdict) tell(t *stream.TLS) {
	t.VerifyErr, t.CrtErr, t.CAErr, t.CAErrDepth = int16(v.last), int16(v.crt), int16(v.ca), int16(v.caDepth)
}

// failed counts and tells a handshake that came to nothing.
func failed(s *settings, c *stream.Conn, n *notes, state *tls.ConnectionState, err error) {
	c.TLS = &stream.TLS{SNI: n.sni, Hello: n.hello, Crt: n.crt, OwnCert: n.own, Failed: true, ClientCert: n.shown, ClientRoot: n.verified.root, Version: state.Version}
	n.verified.tell(c.TLS)
	switch {
	case state.Version >= tls.VersionTLS13:
		c.TLS.Cipher = state.CipherSuite // up to TLS 1.2 it counts once the handshake is over
	case state.Version == 0 && n.offered != 0:
		c.TLS.Version = min(n.offered, tls.VersionTLS13)
	case state.Version == 0:
		c.TLS.Version = tls.VersionTLS13 // what OpenSSL calls a session about which nothing is settled
	}
	c.FcErr, c.TLS.Err = reason(n, err)
	for _, k := range [...]*stats.Counters{s.Counters, s.Own} {
		if k != nil {
			k.SSLFailed.Add(1)
		}
	}
	if s.ErrorLog != nil && !(s.DontLogNull && c.FcErr == fcEmpty) {
		text := FcErrText(c.FcErr)
		if c.FcErr == fcHandshake && c.TLS.Err != 0 {
			text += " (" + cert.SSLError(c.TLS.Err) + ")"
		}
		s.ErrorLog(c, text)
	}
}

// The fc_err numbers of failed handshakes (surface 4.13).
const (
	fcEmpty     = 24
	fcAbort     = 25
	fcTimeout   = 26
	fcCAFail    = 30
	fcCrtFail   = 31
	fcHandshake = 34
)

// fcErrTexts are HAProxy's texts of the fc_err numbers that a listener can set.
var fcErrTexts = map[int]string{
	fcProxyEmpty:     "Connection closed while waiting for PROXY protocol header",
	fcProxyAbort:     "Connection error while waiting for PROXY protocol header",
	fcProxyTimeout:   "Timeout while waiting for PROXY protocol header",
	fcProxyTruncated: "Truncated PROXY protocol header received",
	fcProxyNot:       "Received something which does not look like a PROXY protocol header",
	fcProxyBad:       "Received an invalid PROXY protocol header",
	fcProxyUnhandled: "Received an unhandled protocol in the PROXY protocol header",
	fcCIPEmpty:       "Connection closed while waiting for NetScaler Client IP header",
	fcCIPAbort:       "Connection error while waiting for NetScaler Client IP header",
	fcCIPTimeout:     "Timeout while waiting for a NetScaler Client IP header",
	fcCIPTruncated:   "Truncated NetScaler Client IP header received",
	fcCIPMagic:       "Received an invalid NetScaler Client IP magic number",
	fcCIPProto:       "Received an unhandled protocol in the NetScaler Client IP header",
	fcEmpty:          "Connection closed during SSL handshake",
	fcAbort:          "Connection error during SSL handshake",
	fcTimeout:        "Timeout during SSL handshake",
	fcCAFail:         "SSL client CA chain cannot be verified",
	fcCrtFail:        "SSL client certificate not trusted",
	fcHandshake:      "SSL handshake failure",
}

// FcErrText is HAProxy's text of an fc_err number that a listener can set, "" for others.
func FcErrText(n int) string { return fcErrTexts[n] }

// reason turns crypto/tls's error into fc_err and ssl_fc_err.
func reason(n *notes, err error) (fc, packed int) {
	var header tls.RecordHeaderError
	switch {
	case n.verified.bad && n.verified.badDepth > 0:
		return fcCAFail, cert.SSLCode(cert.ReasonVerifyFailed)
	case n.verified.bad:
		return fcCrtFail, cert.SSLCode(cert.ReasonVerifyFailed)
	case errors.Is(err, errUnrecognized):
		return fcHandshake, cert.SSLCode(cert.ReasonCallbackFailed)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fcTimeout, 0
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if n.greeted {
			return fcHandshake, 0
		}
		return fcEmpty, 0
	case errors.As(err, &header):
		if looksHTTP(header.RecordHeader[:]) {
			return fcHandshake, cert.SSLCode(cert.ReasonHTTPRequest)
		}
		return fcHandshake, cert.SSLCode(cert.ReasonWrongVersion)
	}
	if alert := cert.AlertOf(err); alert >= 0 {
		return fcHandshake, cert.SSLCode(cert.ReasonAlert + alert)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if n.greeted {
			return fcHandshake, 0
		}
		return fcAbort, 0
	}
	return fcHandshake, cert.SSLCode(reasonOf(err.Error()))
}

func looksHTTP(b []byte) bool {
	for _, method := range []string{"GET ", "POST ", "HEAD ", "PUT "} {
		if len(b) >= 4 && string(b[:4]) == method[:4] {
			return true
		}
	}
	return false
}

// reasonOf maps the errors that crypto/tls keeps as texts; 40, as in handshake_failure, stands for the rest.
func reasonOf(text string) int {
	for _, r := range [...]struct {
		begin  string
		reason int
	}{
		{"tls: client didn't provide a certificate", cert.ReasonNoClientCert},
		{"tls: no cipher suite supported by both client and server", cert.ReasonNoSharedCipher},
		{"tls: no key exchanges supported by both client and server", cert.ReasonNoSharedGroups},
		{"tls: no ECDHE curve supported by both client and server", cert.ReasonNoSharedGroups},
		{"tls: client offered only unsupported versions", cert.ReasonUnsupported},
	} {
		if strings.HasPrefix(text, r.begin) {
			return r.reason
		}
	}
	return cert.ReasonAlert + 40
}
