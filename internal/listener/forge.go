package listener

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"

	"gatehouse/internal/cert"
)

// forgedEntry stands for the certificates of generate-certificates, which no line of a list is about: the bind line's words apply.
var forgedEntry = &cert.Entry{Name: "@generated"}

// choose finds the certificate for a ClientHello: by name, else one made for the name, else the default; nil when the handshake is to be refused
// (surface 2.5).
func (s *server) choose(hello *tls.ClientHelloInfo) (*cert.Entry, *cert.Instance) {
	caps := s.caps(hello)
	e := s.o.Index.Named(hello.ServerName, caps)
	if e == nil {
		if inst := s.forge(hello.ServerName); inst != nil {
			return forgedEntry, inst
		}
		if e = s.o.Index.Fallback(caps); e == nil {
			return nil, nil
		}
	}
	return e, e.Instance()
}

// forge makes a certificate with the key of the default one. nil leaves the name to what else there is: without a name, with one that is no host
// name, and without generate-certificates.
func (s *server) forge(name string) *cert.Instance {
	if s.o.Forge == nil || name == "" {
		return nil
	}
	base := s.o.Index.Default(cert.Caps{ECDSA: true, RSA: true})
	if base == nil {
		return nil
	}
	b, err := s.o.Forge(name, base.Instance().Bundle)
	if err != nil {
		return nil
	}
	return &cert.Instance{Bundle: b}
}

// withoutRoot is a certificate without the self-issued authorities that end its chain (ssl-skip-self-issued-ca): clients have them or do not trust them.
func withoutRoot(crt *tls.Certificate) *tls.Certificate {
	n := len(crt.Certificate)
	for ; n > 1; n-- {
		c, err := x509.ParseCertificate(crt.Certificate[n-1])
		if err != nil || !bytes.Equal(c.RawSubject, c.RawIssuer) {
			break
		}
	}
	if n == len(crt.Certificate) {
		return crt
	}
	short := *crt
	short.Certificate = crt.Certificate[:n:n]
	return &short
}
