package engine

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/backend"
	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// server makes the options of one server line; false when it cannot be used.
func (b *builder) server(g *proxyGen, s *config.Server, c *rule.Compiler, saved *stats.ServerState) (backend.ServerOptions, bool) {
	o := backend.ServerOptions{Line: *s, Saved: saved, NoAutoSNI: s.SNIAuto != nil && !*s.SNIAuto}
	if s.Addr.Network == "tcp" && !s.Addr.IP.IsValid() && s.Addr.Host != "" {
		last, known := lastAddress(s, saved)
		ip, err := last, error(nil)
		if !known {
			ip, err = host.Resolve(b.ctx, b.e.o.Host, s.Addr.Host, s.Addr.Family)
		}
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
	if !b.greeting(s, c, &o) {
		return o, false
	}
	if s.SSL && !s.NoSSL || s.NoSSL && s.DefaultSSL {
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

// greeting compiles what PROXY headers tell and what idle connections are told apart by.
func (b *builder) greeting(s *config.Server, c *rule.Compiler, o *backend.ServerOptions) bool {
	env := b.e.env()
	if s.PoolName != "" {
		x := c.Expr(s.PoolName, s.Pos)
		if x == nil {
			return false
		}
		o.PoolName = func(dst []byte, st *stream.Stream) []byte {
			text, _ := x.Text(st, env)
			return append(dst, text...)
		}
	}
	for _, t := range s.ProxyTLVs {
		field := backend.TLV{Type: t.Type}
		if t.Format != "" {
			f := c.Text(t.Format, t.Pos)
			if f == nil {
				return false
			}
			field.Value = func(dst []byte, st *stream.Stream) []byte { return f.Append(dst, st, env) }
		}
		o.TLVs = append(o.TLVs, field)
	}
	return true
}

// serverTLS reads the TLS words of a server line: its own, over the ssl-default-server ones.
func (b *builder) serverTLS(x *proxyGen, s *config.Server) (*backend.TLSOptions, bool) {
	t := &backend.TLSOptions{VerifyHost: s.VerifyHost}
	ok := b.serverWords(s, t)
	t.Verify = b.verifies(s)
	var trust string
	if t.Verify {
		if s.CAFile == "" {
			b.diags.Alert(s.Pos, "'server %s/%s' : verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.", x.cfg.Name, s.Name)
			return nil, false
		}
		ca, crl := b.serverTrust(x, s, t)
		if ca == nil || s.CRLFile != "" && crl == nil {
			return nil, false
		}
		trust = trustSum(ca, crl)
	}
	if s.Crt != "" {
		ok = b.clientCert(x, s, t) && ok
	}
	t.Key = fmt.Sprintf("%d %d %d %d %q %v %s %q %q %q %v",
		t.MinVersion, t.MaxVersion, t.CipherSuites, t.Curves, t.ALPN, t.Verify, trust, s.VerifyHost, s.Crt, s.SNI, t.NoReuse)
	return t, ok
}

// serverWords reads versions, ciphers, curves and protocols.
func (b *builder) serverWords(s *config.Server, t *backend.TLSOptions) bool {
	g := &b.cfg.Global
	opts := &cert.Options{Ciphers: g.DefaultServerCiphers, Ciphersuites: g.DefaultServerCiphersuites, Curves: g.DefaultServerCurves}
	ok := true
	wrong := func(pos config.Pos, format string, args ...any) {
		b.diags.Alert(pos, "'server %s' : "+format, append([]any{s.Name}, args...)...)
		ok = false
	}
	for _, set := range slices.Concat(g.DefaultServerOptions, s.TLS) {
		if set.Name == "no-ssl-reuse" {
			t.NoReuse = true
			continue
		}
		if err := opts.Set(set.Name, set.Args); err != nil {
			wrong(set.Pos, "'%s' : %v", set.Name, err)
		}
	}
	var err error
	if t.MinVersion, t.MaxVersion, err = opts.VersionRange(); err != nil {
		wrong(s.Pos, "%v", err)
	}
	if opts.Ciphers != "" {
		if t.CipherSuites, err = cert.CipherSuites(opts.Ciphers); err != nil {
			wrong(s.Pos, "unable to set SSL cipher list to '%s'.", opts.Ciphers)
		}
	}
	if opts.Curves != "" {
		if t.Curves, err = cert.CurveIDs(opts.Curves); err != nil {
			wrong(s.Pos, "unable to set SSL curves list to '%s'.", opts.Curves)
		}
	}
	for _, proto := range opts.ALPN { // HTTP/2 towards servers does not exist yet: offer what we speak
		if proto != "h2" {
			t.ALPN = append(t.ALPN, proto)
		}
	}
	return ok
}

// verifies says whether a server's certificate is verified: as its line says, else as the process does.
func (b *builder) verifies(s *config.Server) bool {
	if s.Verify == "" {
		return !b.cfg.Global.ServerVerifyNone && !b.e.o.Limits.ServerVerifyNone
	}
	return s.Verify != "none"
}

// clientCert lets the server be shown the certificate that its line names, as the store has it at each handshake.
func (b *builder) clientCert(x *proxyGen, s *config.Server, t *backend.TLSOptions) bool {
	name := b.certPath(s.Crt)
	if b.plan.certs != nil && !b.declare(name, name, s.Pos, nil) {
		return false
	}
	x.crts = append(x.crts, serverCrt{s.Name, name})
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
	return true
}

// serverTrust declares ca-file and crl-file of a server line; what cannot be read is nil and was told. The server asks the store for them at each handshake.
func (b *builder) serverTrust(x *proxyGen, s *config.Server, t *backend.TLSOptions) (*cert.CAFile, *cert.CRLFile) {
	ca := b.caFile(s.CAFile, s.Pos)
	if ca == nil {
		return nil, nil
	}
	store, base := b.e.o.Store, b.cfg.Global.CABase
	names := serverTrust{under(base, s.CAFile)}
	t.Trust = func() (roots, between *x509.CertPool) {
		if ca := store.CA(names[0]); ca != nil {
			return ca.Pool()
		}
		return nil, nil
	}
	if s.CRLFile == "" {
		x.trusts = append(x.trusts, serverTrustOf{s.Name, names})
		return ca, nil
	}
	names[1] = under(base, s.CRLFile)
	x.trusts = append(x.trusts, serverTrustOf{s.Name, names})
	crl := b.crlFile(s.CRLFile, s.Pos)
	t.Revoked = func(chain []*x509.Certificate) error {
		crl := store.CRL(names[1])
		if crl == nil {
			return fmt.Errorf("there is no crl-file %s", names[1])
		}
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
