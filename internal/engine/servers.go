package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/backend"
	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// server makes the options of one server line; false when it cannot be used.
func (b *builder) server(g *proxyGen, s *config.Server, c *rule.Compiler) (backend.ServerOptions, bool) {
	o := backend.ServerOptions{Line: *s}
	if s.Addr.Network == "tcp" && !s.Addr.IP.IsValid() && s.Addr.Host != "" {
		ip, err := host.Resolve(b.ctx, b.e.o.Host, s.Addr.Host, s.Addr.Family)
		switch {
		case err == nil:
			o.IP = ip
		case b.e.o.Limits.IgnoreUnresolved || strings.Contains(s.InitAddr, "none"):
			o.Line.Disabled = true
			b.diags.Notice(s.Pos, "'server %s' : could not resolve address '%s', disabling server.", s.Name, s.Addr.Host)
		default:
			b.diags.Alert(s.Pos, "'server %s' : could not resolve address '%s'.", s.Name, s.Addr.Host)
			return o, false
		}
	}
	if s.SSL && !s.NoSSL {
		var ok bool
		if o.TLS, ok = b.serverTLS(g, s); !ok {
			return o, false
		}
		if s.SNI != "" {
			x := c.Expr(s.SNI, s.Pos)
			if x == nil {
				return o, false
			}
			env := b.e.env()
			o.SNI = func(dst []byte, st *stream.Stream) []byte {
				text, _ := x.Text(st, env)
				return append(dst, text...)
			}
		}
	}
	return o, true
}

// serverTLS reads the TLS words of a server line: its own, over the ssl-default-server ones.
func (b *builder) serverTLS(x *proxyGen, s *config.Server) (*backend.TLSOptions, bool) {
	g := &b.cfg.Global
	opts := &cert.Options{Ciphers: g.DefaultServerCiphers, Ciphersuites: g.DefaultServerCiphersuites, Curves: g.DefaultServerCurves}
	t := &backend.TLSOptions{VerifyHost: s.VerifyHost}
	ok := true
	for _, set := range append(append([]config.Setting{}, g.DefaultServerOptions...), s.TLS...) {
		if set.Name == "no-ssl-reuse" {
			t.NoReuse = true
			continue
		}
		if err := opts.Set(set.Name, set.Args); err != nil {
			b.diags.Alert(set.Pos, "'server %s' : '%s' : %v", s.Name, set.Name, err)
			ok = false
		}
	}
	var err error
	if t.MinVersion, t.MaxVersion, err = opts.VersionRange(); err != nil {
		b.diags.Alert(s.Pos, "'server %s' : %v", s.Name, err)
		ok = false
	}
	if opts.Ciphers != "" {
		if t.CipherSuites, err = cert.CipherSuites(opts.Ciphers); err != nil {
			b.diags.Alert(s.Pos, "'server %s' : unable to set SSL cipher list to '%s'.", s.Name, opts.Ciphers)
			ok = false
		}
	}
	if opts.Curves != "" {
		if t.Curves, err = cert.CurveIDs(opts.Curves); err != nil {
			b.diags.Alert(s.Pos, "'server %s' : unable to set SSL curves list to '%s'.", s.Name, opts.Curves)
			ok = false
		}
	}
	for _, proto := range opts.ALPN { // HTTP/2 towards servers does not exist yet: offer what we speak
		if proto != "h2" {
			t.ALPN = append(t.ALPN, proto)
		}
	}
	verify := s.Verify
	if verify == "" && (g.ServerVerifyNone || b.e.o.Limits.ServerVerifyNone) {
		verify = "none"
	}
	t.Verify = verify != "none"
	var ca *cert.CAFile
	var crl *cert.CRLFile
	if t.Verify {
		if s.CAFile == "" {
			b.diags.Alert(s.Pos, "'server %s/%s' : verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.", x.cfg.Name, s.Name)
			return nil, false
		}
		if ca, crl = b.serverTrust(s, t); ca == nil || s.CRLFile != "" && crl == nil {
			return nil, false
		}
	}
	if s.Crt != "" {
		name := b.certPath(s.Crt)
		if ok = b.declare(name, name, s.Pos, nil) && ok; ok {
			x.crts = append(x.crts, name)
			store := b.e.o.Store
			t.Certificate = func() *tls.Certificate {
				bundle := store.Bundle(name)
				if bundle == nil {
					return nil
				}
				c, err := bundle.TLS()
				if err != nil {
					return nil
				}
				return c
			}
		}
	}
	t.Key = fmt.Sprint(t.MinVersion, t.MaxVersion, t.CipherSuites, t.Curves, t.ALPN, verify, trustSum(ca, crl), s.VerifyHost, s.Crt, s.SNI, t.NoReuse)
	return t, ok
}

// serverTrust reads ca-file and crl-file of a server line; what cannot be read is nil and was told.
func (b *builder) serverTrust(s *config.Server, t *backend.TLSOptions) (*cert.CAFile, *cert.CRLFile) {
	ca := b.caFile(s.CAFile, s.Pos)
	if ca == nil {
		return nil, nil
	}
	roots, between := ca.Pool()
	t.Roots = func() *x509.CertPool { return roots }
	t.Between = func() *x509.CertPool { return between }
	if s.CRLFile == "" {
		return ca, nil
	}
	crl := b.crlFile(s.CRLFile, s.Pos)
	if crl == nil {
		return ca, nil
	}
	t.Revoked = func(chain []*x509.Certificate) error {
		for _, c := range chain {
			if crl.Revoked(c) {
				return fmt.Errorf("certificate %s is revoked", cert.Serial(c.SerialNumber))
			}
		}
		return nil
	}
	return ca, crl
}

// trustSum is a checksum of what a server line trusts, so that generations with the same trust share connections.
func trustSum(ca *cert.CAFile, crl *cert.CRLFile) string {
	h := sha256.New()
	if ca != nil {
		for _, c := range ca.Certs {
			h.Write(c.Raw)
		}
	}
	if crl != nil {
		for _, l := range crl.Lists {
			h.Write(l.Raw)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

const maxCAFile = 16 << 20

// under puts a global base directory before a relative name.
func under(base, name string) string {
	if base == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@") {
		return name
	}
	return base + "/" + name
}

// certPath is the store's name of a certificate given on a bind, server or crt-list line (surface 2.1).
func (b *builder) certPath(name string) string { return under(b.cfg.Global.CrtBase, name) }

// caFile reads a ca-file once per plan; nil after an error was told.
func (b *builder) caFile(name string, pos config.Pos) *cert.CAFile {
	name = under(b.cfg.Global.CABase, name)
	if ca, ok := b.plan.cas[name]; ok {
		return ca
	}
	data, err := b.trustFile(name)
	var ca *cert.CAFile
	if err == nil {
		ca, err = cert.ParseCAs(name, data)
	}
	if err != nil {
		b.diags.Alert(pos, "unable to load %s: %s.", name, host.Strerror(err))
		ca = nil
	}
	b.plan.cas[name] = ca
	return ca
}

// crlFile reads a crl-file once per plan; nil after an error was told.
func (b *builder) crlFile(name string, pos config.Pos) *cert.CRLFile {
	name = under(b.cfg.Global.CABase, name)
	if crl, ok := b.plan.crls[name]; ok {
		return crl
	}
	data, err := b.trustFile(name)
	var crl *cert.CRLFile
	if err == nil {
		crl, err = cert.ParseCRLs(name, data)
	}
	if err != nil {
		b.diags.Alert(pos, "unable to load %s: %s.", name, host.Strerror(err))
		crl = nil
	}
	b.plan.crls[name] = crl
	return crl
}

// systemBundles are where distributions keep the system's own roots.
var systemBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

// trustFile reads a file of CA certificates or revocation lists, all such files of a directory, or the system's roots.
func (b *builder) trustFile(name string) ([]byte, error) {
	h := b.e.o.Host
	if name == "@system-ca" {
		for _, file := range systemBundles {
			if data, err := h.ReadFile(file, maxCAFile); err == nil {
				return data, nil
			}
		}
		return nil, errors.New("the system has no CA certificates")
	}
	info, err := h.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsDir() {
		return h.ReadFile(name, maxCAFile)
	}
	names, err := h.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, file := range names {
		if !cert.IsCAFileName(file) {
			continue
		}
		data, err := h.ReadFile(name+"/"+file, maxCAFile)
		if err != nil {
			return nil, err
		}
		all = append(append(all, data...), '\n')
	}
	return all, nil
}
