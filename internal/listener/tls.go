package listener

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
)

// server is the TLS side of one version of a listener's options. It is immutable but for the cache of trust.
type server struct {
	o      *Options
	base   *tls.Config // what every connection starts with; an entry's own replaces it once the ClientHello is read
	min    uint16      // of the bind line, for what clients can do
	max    uint16
	suites []uint16 // of the bind line up to TLS 1.2
	trusts trustCache
}

// newServer checks the bind line's options and those of the entries, so that no handshake finds a mistake.
func newServer(o *Options) (*server, error) {
	s := &server{o: o}
	var err error
	if s.min, s.max, err = o.TLS.VersionRange(); err != nil {
		return nil, err
	}
	if s.suites, err = s.cipherSuites(o.TLS); err != nil {
		return nil, err
	}
	if err := s.Check(&cert.Entry{}); err != nil { // what the bind line itself says
		return nil, err
	}
	if err := o.Index.Check(s.Check); err != nil {
		return nil, err
	}
	s.base = &tls.Config{
		// The ClientHello is parsed with these; the entry's own range is applied after selection (surface 2.5 step 6).
		MinVersion:             tls.VersionTLS10,
		SessionTicketsDisabled: true,
		GetConfigForClient:     s.configFor,
	}
	s.hideNames(s.base)
	return s, nil
}

// Check reports whether an entry's options can be served.
func (s *server) Check(e *cert.Entry) error {
	_, err := s.template(e)
	return err
}

// errUnrecognized ends a handshake that no certificate is for. crypto/tls answers it with internal_error; refuse has told the client
// better before.
var errUnrecognized = errors.New("no certificate for this server name")

// configFor chooses the certificate and, with it, all that the entry's line and the bind line say about the handshake.
func (s *server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	w, _ := hello.Conn.(*wire)
	w.seen(hello)
	if s.o.CaptureHello > 0 {
		w.notes.hello = helloOf(hello, s.o.CaptureHello)
	}
	e, inst := s.choose(hello)
	if e == nil {
		w.refuse(alertUnrecognizedName)
		return nil, errUnrecognized
	}
	cfg := inst.Value.Load()
	if cfg == nil {
		var err error
		if cfg, err = s.build(e, inst); err != nil {
			return nil, err
		}
		// Two handshakes may both have built it; both results are the same.
		inst.Value.Store(cfg)
	}
	if inst.Bundle.Stapling() {
		cfg = s.staple(hello, cfg, inst)
	}
	w.chose(e.Name, inst.Bundle.Leaf())
	if cfg.ClientAuth != tls.NoClientCert {
		if s.o.Index.Mixed() {
			o := e.Options.Merge(s.o.TLS)
			w.notes.against = against(&o)
		}
		cfg = s.verifying(cfg, e, inst, w)
	}
	return s.withoutStrangers(cfg, hello), nil
}

// withoutStrangers lets a client go on without ALPN when it speaks HTTP but in none of our versions, as HAProxy does: crypto/tls would end the handshake
// with no_application_protocol (RFC 7301 section 3.2). That stays the end of clients that came for another protocol (threat T05).
func (s *server) withoutStrangers(cfg *tls.Config, hello *tls.ClientHelloInfo) *tls.Config {
	if !slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return p == "h2" || strings.HasPrefix(p, "http/") }) {
		return cfg
	}
	if len(cfg.NextProtos) == 0 || len(hello.SupportedProtos) == 0 ||
		slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(cfg.NextProtos, p) }) {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.NextProtos = nil
	return cfg
}

// against names what client certificates are verified against.
func against(o *cert.Options) string { return o.CAFile + "\x00" + o.CAVerifyFile + "\x00" + o.CRLFile }

// Demands implements stream.Authority: what a handshake with this server name would have asked of the client.
func (s *server) Demands(name string) (string, bool) {
	caps := cert.Caps{ECDSA: true, RSA: true}
	e := s.o.Index.Named(name, caps)
	switch {
	case e == nil && s.o.Forge != nil:
		e = forgedEntry
	case e == nil:
		e = s.o.Index.Fallback(caps)
	}
	if e == nil {
		return "", false
	}
	o := e.Options.Merge(s.o.TLS)
	return against(&o), o.Verify == "required"
}

// caps says which kinds of certificate a client can verify (surface 2.5 step 3). Like HAProxy it looks at the kind of signature only, not at the hash.
func (s *server) caps(hello *tls.ClientHelloInfo) (c cert.Caps) {
	for _, scheme := range hello.SignatureSchemes {
		switch kind := byte(scheme); {
		case kind == 3:
			c.ECDSA = true
		case kind == 1, scheme>>8 == 8 && (kind >= 4 && kind <= 6 || kind >= 9 && kind <= 11): // RSA, rsa_pss_rsae_*, rsa_pss_pss_*
			c.RSA = true
		}
	}
	if len(hello.SignatureSchemes) == 0 {
		c.RSA = true
	}
	c.ECDSA = c.ECDSA && slices.ContainsFunc(hello.CipherSuites, s.carriesECDSA)
	return c
}

// carriesECDSA reports whether a suite can be used with an ECDSA certificate on this bind line.
func (s *server) carriesECDSA(suite uint16) bool {
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256:
		return s.max >= tls.VersionTLS13
	}
	return cert.SignsECDSA(suite) && slices.Contains(s.suites, suite)
}

// cipherSuites are those that options allow up to TLS 1.2.
func (s *server) cipherSuites(o *cert.Options) ([]uint16, error) {
	list := s.o.DefaultCiphers
	if o != nil {
		list = first(o.Ciphers, list)
	}
	if list == "" {
		return cert.DefaultSuites, nil
	}
	return cert.CipherSuites(list)
}

// template is an entry's configuration without its certificate.
func (s *server) template(e *cert.Entry) (*tls.Config, error) {
	o := e.Options.Merge(s.o.TLS)
	cfg := &tls.Config{NextProtos: s.alpn(&o)}
	var err error
	if cfg.MinVersion, cfg.MaxVersion, err = o.VersionRange(); err != nil {
		return nil, err
	}
	if cfg.CipherSuites, err = s.cipherSuites(&o); err != nil {
		return nil, err
	}
	if cfg.CurvePreferences, err = s.curves(&o); err != nil {
		return nil, err
	}
	switch o.Verify {
	case "optional":
		cfg.ClientAuth = tls.RequestClientCert
	case "required":
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	cfg.SessionTicketsDisabled = s.keeper(&o) == nil
	s.hideNames(cfg)
	return cfg, nil
}

// keeper is what carries the sessions of an entry to later connections; nil: nothing does. Where tickets are off, sessions stay in memory and the client gets their
// number. TLS 1.2 clients get it in a ticket too, because crypto/tls knows no session ids.
func (s *server) keeper(o *cert.Options) keeper {
	switch {
	case o.TLSTickets != nil && !*o.TLSTickets:
		if s.o.Sessions.On() {
			return s.o.Sessions
		}
	case s.o.Tickets != nil:
		return s.o.Tickets
	}
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// alpn lists the protocols to offer. HTTP/2 is not served yet, so it is left out of what the configuration names.
func (s *server) alpn(o *cert.Options) []string {
	switch {
	case o.NoALPN:
		return nil
	case !s.o.HTTP: // in mode tcp the bytes are the server's, and so are the protocols
		return o.ALPN
	case o.ALPN == nil:
		return []string{"http/1.1"}
	}
	var list []string
	for _, p := range o.ALPN {
		if p == "http/1.1" || p == "http/1.0" {
			list = append(list, p)
		}
	}
	return list
}

// defaultCurves is what OpenSSL 3.0 offers HAProxy by default, as far as crypto/tls has it. Go's own default would put
// X25519MLKEM768 first, which every current browser sends along: BenchmarkHandshake shows a quarter more CPU for both sides
// together, half as much garbage again, and 1.1 KiB more in the answer. Those who want it name it: `curves X25519MLKEM768:X25519`.
var defaultCurves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

func (s *server) curves(o *cert.Options) ([]tls.CurveID, error) {
	switch list := first(o.Curves, first(o.ECDHE, s.o.DefaultCurves)); list {
	case "":
		return defaultCurves, nil
	default:
		return cert.CurveIDs(list)
	}
}

// build makes the configuration that all handshakes with one version of an entry's certificate share.
func (s *server) build(e *cert.Entry, inst *cert.Instance) (*tls.Config, error) {
	cfg, err := s.template(e)
	if err != nil {
		return nil, err
	}
	crt, err := inst.Bundle.TLS()
	if err != nil {
		return nil, err
	}
	if s.o.SkipSelfIssuedCA {
		crt = withoutRoot(crt)
	}
	cfg.Certificates = []tls.Certificate{*crt}
	cfg.Certificates[0].OCSPStaple = inst.Bundle.Staple(time.Now())
	if cfg.ClientAuth == tls.NoClientCert {
		o := e.Options.Merge(s.o.TLS)
		s.resumable(cfg, &o, e, inst, nil)
	}
	return cfg, nil
}

// resumable lets sessions of cfg be resumed in their context, where anything carries them.
func (s *server) resumable(cfg *tls.Config, o *cert.Options, e *cert.Entry, inst *cert.Instance, t *trust) {
	k := s.keeper(o)
	if cfg.SessionTicketsDisabled = k == nil; k != nil {
		bind(cfg, k, s.context(e, inst, t))
	}
}

// verifying is the configuration of one handshake that asks for a client certificate. It is the connection's own, because
// crypto/tls does not tell VerifyConnection which connection it is about, and because ca-file and crl-file are looked at anew.
func (s *server) verifying(shared *tls.Config, e *cert.Entry, inst *cert.Instance, w *wire) *tls.Config {
	o := e.Options.Merge(s.o.TLS)
	key := trustKey{ca: s.ca(o.CAFile), verify: s.ca(o.CAVerifyFile), crl: s.crl(o.CRLFile)}
	key.broken = (o.CAFile != "" && key.ca == nil) || (o.CAVerifyFile != "" && key.verify == nil) || (o.CRLFile != "" && key.crl == nil)
	t := s.trusts.get(key)
	cfg := shared.Clone()
	if !o.NoCANames {
		cfg.ClientCAs = t.names
	}
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		return w.verify(t, &o, state.PeerCertificates)
	}
	s.resumable(cfg, &o, e, inst, t)
	return cfg
}

func (s *server) ca(name string) *cert.CAFile {
	if name == "" || s.o.CA == nil {
		return nil
	}
	return s.o.CA(name)
}

func (s *server) crl(name string) *cert.CRLFile {
	if name == "" || s.o.CRL == nil {
		return nil
	}
	return s.o.CRL(name)
}

// context is all that must be the same for a session to be resumed: the bind line, the entry and its options, the certificate, and
// what client certificates are verified against. A ticket carries it as authenticated data, so any difference makes a full handshake.
func (s *server) context(e *cert.Entry, inst *cert.Instance, t *trust) []byte {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
	o := e.Options.Merge(s.o.TLS)
	for _, text := range []string{s.o.Frontend, s.o.Name, e.Name, e.List, e.Options.Words(), o.Verify, o.CAFile, o.CAVerifyFile, o.CRLFile,
		fmt.Sprint(e.Line, s.o.ID, o.CAIgnoreErr, o.CrtIgnoreErr)} {
		field([]byte(text))
	}
	field(inst.Bundle.Fingerprint[:])
	if t != nil {
		field(t.digest[:])
	}
	return h.Sum(nil)
}

// trustKey is what a trust is made of; values of CAFile and CRLFile never change, so pointers name contents.
type trustKey struct {
	ca, verify *cert.CAFile
	crl        *cert.CRLFile
	broken     bool // a file that the line names is missing: no certificate is good (threat T04)
}

// trust is what client certificates are verified against.
type trust struct {
	key    trustKey
	roots  *x509.CertPool
	others *x509.CertPool
	names  *x509.CertPool      // authorities to name to the client
	certs  []*x509.Certificate // all of both files
	digest [32]byte            // of all of it, for tickets
}

func newTrust(key trustKey) *trust {
	t := &trust{key: key, roots: x509.NewCertPool(), others: x509.NewCertPool(), names: x509.NewCertPool()}
	h := sha256.New()
	for i, f := range []*cert.CAFile{key.ca, key.verify} {
		if f == nil {
			continue
		}
		for _, c := range f.Certs {
			t.certs = append(t.certs, c)
			if bytes.Equal(c.RawSubject, c.RawIssuer) {
				t.roots.AddCert(c)
			} else {
				t.others.AddCert(c)
			}
			if i == 0 {
				t.names.AddCert(c)
			}
			h.Write(c.Raw)
		}
		h.Write([]byte{byte(i)})
	}
	if key.crl != nil {
		for _, list := range key.crl.Lists {
			h.Write(list.Raw)
		}
	}
	h.Sum(t.digest[:0])
	return t
}
