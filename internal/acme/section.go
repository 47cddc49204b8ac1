package acme

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// Bounds of files an operator names.
const (
	maxKeyFile = 64 << 10
	maxCAFile  = 8 << 20
)

// section is one acme section with the global settings that concern it. It is immutable and comparable: two equal sections
// are the same client.
type section struct {
	name       string
	directory  string // without fragment
	plain      bool   // http:// to loopback is allowed
	accountKey string // path
	contact    string
	keyType    string // "RSA" or "ECDSA"
	bits       int
	curves     string
	profile    string
	reuseKey   bool
	caFile     string // path; "" for the system's roots
	insecure   bool   // httpclient.ssl.verify none
}

// systemCA is what HAProxy calls the system's own roots in httpclient.ssl.ca-file.
const systemCA = "@system-ca"

// newSection takes one section out of a configuration. A directory that cannot be used is an error; Check reports it with its place.
func newSection(c *config.Config, a *config.ACME) (*section, error) {
	u, err := url.Parse(a.Directory)
	switch {
	case a.Directory == "":
		return nil, said("No directory defined in ACME section '%s'.", a.Name)
	case err != nil:
		return nil, fmt.Errorf("the directory of ACME section '%s' is not a URL", a.Name)
	}
	u.Fragment = ""
	s := &section{
		name: a.Name, directory: u.String(), plain: u.Scheme == "http",
		accountKey: underBase(c.Global.CrtBase, a.AccountKey), contact: a.Contact,
		keyType: a.KeyType, bits: a.Bits, curves: a.Curves, profile: a.Profile, reuseKey: a.ReuseKey,
		caFile: underBase(c.Global.CABase, a.CAFile),
	}
	if a.AccountKey == "" {
		s.accountKey = underBase(c.Global.CrtBase, a.Name+".account.key")
	}
	if a.CAFile == "" {
		s.insecure = c.Global.HTTPClientVerifyNone
		s.caFile = underBase(c.Global.CABase, c.Global.HTTPClientCA)
	}
	if err := checkScheme(u, s.plain); err != nil {
		return nil, fmt.Errorf("the directory of ACME section '%s': %w", a.Name, err)
	}
	return s, nil
}

// underBase completes a relative path with crt-base or ca-base. "@system-ca" becomes empty.
func underBase(base, name string) string {
	switch {
	case name == "" || name == systemCA:
		return ""
	case base == "" || filepath.IsAbs(name) || strings.HasPrefix(name, "@"):
		return name
	}
	return filepath.Join(base, name)
}

// network opens the way to the section's CA.
func (s *section) network(h host.Host) (*http.Transport, error) {
	roots, err := s.roots(h)
	if err != nil {
		return nil, err
	}
	return newTransport(roots, s.insecure), nil
}

// roots reads the section's ca-file; nil stands for the system's roots.
func (s *section) roots(h host.Host) (*x509.CertPool, error) {
	if s.caFile == "" {
		return nil, nil
	}
	data, err := h.ReadFile(s.caFile, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading ca-file: no certificate in '%s'", s.caFile)
	}
	return pool, nil
}
