package backend

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"gatehouse/internal/stream"
)

// TLSOptions say how to speak TLS to a server.
type TLSOptions struct {
	MinVersion, MaxVersion uint16 // 0: TLS 1.2 and the newest
	CipherSuites           []uint16
	Curves                 []tls.CurveID
	ALPN                   []string
	Verify                 bool   // verify required
	VerifyHost             string // verifyhost: the name to check unless `sni` gave one
	// Trust returns the certificates of ca-file, asked at each handshake so that an update takes effect: those that end a chain and those that only
	// help to build one. nil, or no roots, with Verify refuses every server.
	Trust func() (roots, between *x509.CertPool)
	// Revoked, of crl-file, refuses a verified chain; may be nil.
	Revoked func(chain []*x509.Certificate) error
	// Certificate is the client certificate to present, asked at each handshake; nil presents none.
	Certificate func() *tls.Certificate
	NoReuse     bool // no-ssl-reuse: no session resumption
	// Key names all of the above: generations with equal keys share sessions and idle connections.
	Key string
}

// same reports whether two generations speak TLS alike.
func same(a, b *TLSOptions) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Key == b.Key
}

// client makes the TLS configurations for one server in one generation. It is immutable.
type client struct {
	named bool // the server name comes from `sni`, not from the request's Host
	o     *TLSOptions
	kept  *kept
}

// kept is what generations with equal keys share: the sessions, and the identity by which idle connections are recognised. The options themselves are always
// the generation's own, so that authorities that were read anew are asked.
type kept struct {
	sessions atomic.Pointer[tls.ClientSessionCache] // nil: none
}

// sessionNames bounds the server names whose last session is remembered.
const sessionNames = 256

func newClient(o *TLSOptions, named bool) *client {
	k := new(kept)
	if !o.NoReuse {
		k.forget()
	}
	return &client{o: o, named: named, kept: k}
}

// forget drops the sessions.
func (k *kept) forget() {
	fresh := tls.NewLRUClientSessionCache(sessionNames)
	k.sessions.Store(&fresh)
}

// Renew lets neither connections nor TLS sessions that exist be used for further requests: what the server is told of us has changed.
func (s *Server) Renew() {
	s.epoch.Add(1)
	s.pool.purge(true)
	if s.tls != nil && !s.tls.o.NoReuse {
		s.tls.kept.forget()
	}
}

// identity tells connections that may stand for each other from those that may not: nil for clear ones.
func (s *Server) identity() *kept {
	if t := s.client(); t != nil {
		return t.kept
	}
	return nil
}

// config is the configuration of a handshake that presents name. Verification is ours: Go's would need a name even where
// HAProxy checks the chain alone, and would not run again on resumption against updated roots.
func (c *client) config(name string) *tls.Config {
	o := c.o
	cfg := &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,
		MinVersion:         max(o.MinVersion, tls.VersionTLS10),
		MaxVersion:         o.MaxVersion,
		CipherSuites:       o.CipherSuites,
		CurvePreferences:   o.Curves,
		NextProtos:         o.ALPN,
	}
	if sessions := c.kept.sessions.Load(); sessions != nil {
		cfg.ClientSessionCache = *sessions
	}
	if o.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if o.Verify {
		cfg.VerifyConnection = func(state tls.ConnectionState) error { return o.verify(state, name, c.named) }
	}
	if o.Certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if crt := o.Certificate(); crt != nil {
				return crt, nil
			}
			return new(tls.Certificate), nil
		}
	}
	return cfg
}

// verify checks the server's chain against the roots, its revocation, and the name: verifyhost when set, else the one presented
// (manual, `verifyhost`). Without either the chain alone decides, as HAProxy does.
func (o *TLSOptions) verify(state tls.ConnectionState, presented string, chosen bool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server presented no certificate")
	}
	leaf := state.PeerCertificates[0]
	roots, between := o.pools()
	for _, crt := range state.PeerCertificates[1:] {
		between.AddCert(crt)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return &verifyError{bcHandshake, err}
	}
	if o.Revoked != nil {
		if err := o.Revoked(chains[0]); err != nil {
			return &verifyError{bcHandshake, err}
		}
	}
	// A name from `sni` goes before verifyhost (manual, "verifyhost"). One that was only taken from the client's Host does not:
	// the client must not choose whom we trust.
	name := presented
	if name == "" || !chosen && o.VerifyHost != "" {
		name = o.VerifyHost
	}
	if name == "" || named(leaf, name) {
		return nil
	}
	bc := bcMismatch
	if presented != "" {
		bc = bcMismatchSNI
	}
	return &verifyError{bc, fmt.Errorf("the server's certificate is not for %q", name)}
}

// pools are what chains end at, and the beginning of what they go through.
func (o *TLSOptions) pools() (roots, between *x509.CertPool) {
	if o.Trust != nil {
		roots, between = o.Trust()
	}
	if roots == nil {
		roots = x509.NewCertPool() // nil would be the system's
	}
	if between == nil {
		return roots, x509.NewCertPool()
	}
	return roots, between.Clone()
}

// named reports whether a certificate is for name. Names with control bytes never match; a wildcard stands for exactly one label.
// Certificates without any DNS name are matched by their common name, as HAProxy still does for private authorities.
func named(leaf *x509.Certificate, name string) bool {
	if ip, err := netip.ParseAddr(name); err == nil {
		for _, x := range leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(x); ok && a.Unmap() == ip.Unmap() {
				return true
			}
		}
	}
	for _, pattern := range leaf.DNSNames {
		if nameMatches(pattern, name) {
			return true
		}
	}
	return len(leaf.DNSNames) == 0 && nameMatches(leaf.Subject.CommonName, name)
}

func nameMatches(pattern, name string) bool {
	if pattern == "" || strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, domain, found := strings.Cut(name, ".")
		return found && name[0] != '.' && strings.EqualFold(rest, domain)
	}
	return !strings.Contains(pattern, "*") && strings.EqualFold(pattern, name)
}

// serverName is the name to present for a request, "" on clear connections: what `sni` computes, or the Host header without its
// port for HTTP backends. The result dies with the stream's next Reset.
func (s *Server) serverName(st *stream.Stream) []byte {
	switch {
	case s.client() == nil:
		return nil
	case s.o.SNI != nil:
		return plainName(st.Build(func(dst []byte) []byte { return s.o.SNI(dst, st) }))
	case !s.backend.o.HTTP || s.o.NoAutoSNI:
		return nil
	}
	host, _, _ := bytes.Cut(stream.Get(st.Req.Fields, "host"), []byte(":"))
	return plainName(host)
}

// plainName drops what cannot be a server name (RFC 6066 section 3 allows host names only): too long, bracketed, or an address.
func plainName(name []byte) []byte {
	if len(name) == 0 || len(name) > 253 || name[0] == '[' {
		return nil
	}
	digits := true
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == '/' {
			return nil
		}
		digits = digits && (c == '.' || (c >= '0' && c <= '9'))
	}
	if digits {
		return nil
	}
	return name
}
