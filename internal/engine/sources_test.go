package engine

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/internal/config"
)

func handshake(addr string, conf *tls.Config) (tls.ConnectionState, error) {
	conf = conf.Clone()
	conf.InsecureSkipVerify = true
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, conf)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	return c.ConnectionState(), nil
}

func (e *edge) file(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(strings.ReplaceAll(text, "DIR", e.dir)), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func TestNoStrictSNIOfABindLineGoesBeforeTheDefaultOptions(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("a.pem", 1, "a.test")
	strict, lax := freePort(t), freePort(t)
	e.mustApply(fmt.Sprintf("global\n    ssl-default-bind-options strict-sni\n"+base+"frontend f\n    bind %s ssl crt DIR/a.pem\n    bind %s ssl no-strict-sni crt DIR/a.pem\n", strict, lax))
	e.run()
	if _, err := handshake(strict, &tls.Config{ServerName: "nobody.test"}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("strict-sni: %v", err)
	}
	if _, err := handshake(lax, &tls.Config{ServerName: "nobody.test"}); err != nil {
		t.Errorf("no-strict-sni: %v", err)
	}
}

func TestSSLFUseLinesAreACrtListOfTheFrontendInReverseOrder(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("a.pem", 1, "a.test")
	e.certificate("b.pem", 2, "b.test")
	e.certificate("c.pem", 3, "c.test")
	addr := freePort(t)
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s ssl\n    ssl-f-use crt DIR/a.pem ssl-max-ver TLSv1.2\n    ssl-f-use crt DIR/b.pem alpn http/1.0\n", addr))
	e.run()
	var listed strings.Builder
	err := e.store.ShowList(&listed, "@f", false)
	text := listed.String()
	want := strings.ReplaceAll("# @f\nDIR/b.pem [alpn http/1.0]\nDIR/a.pem [ssl-max-ver TLSv1.2]\n", "DIR", e.dir)
	if err != nil || text != want {
		t.Errorf("show ssl crt-list: %v\ngot  %q\nwant %q", err, text, want)
	}
	if n := serialOf(t, addr, "nobody.test"); n != 2 {
		t.Errorf("the default is serial %d, want that of the last line", n)
	}
	if s, err := handshake(addr, &tls.Config{ServerName: "a.test"}); err != nil || s.Version != tls.VersionTLS12 {
		t.Errorf("a.test: version %x, %v", s.Version, err)
	}
	if _, err := e.store.AddLine("@f", e.dir+"/c.pem", "test", "", nil); err == nil {
		t.Error("a certificate that is not in the store was added")
	}
}

// The rows are HAProxy's table of what may be said of one name twice (surface 2.3).
func TestDeclaringACertificateTwice(t *testing.T) {
	for _, row := range []struct {
		name, store, list, binds string
		want                     string // "": allowed
	}{
		{"store, then plain", "crt-store\n    load crt DIR/a.pem\n", "", "crt DIR/a.pem", ""},
		{"plain twice", "", "", "crt DIR/a.pem crt DIR/a.pem", ""},
		{"plain, then keywords", "", "DIR/a.pem [ocsp-update on]\n", "crt DIR/a.pem crt-list DIR/list",
			"Can't use the certificate previously defined without any keyword with these keywords:\n- different parameter 'ocsp-update' : previously 'default' (ocsp-update.mode off) vs 'on'"},
		{"keywords, then plain", "", "DIR/a.pem [ocsp-update on]\n", "crt-list DIR/list crt DIR/a.pem",
			"Can't load 'DIR/a.pem', is already defined with incompatible parameters:\n Can't use the certificate previously defined with keywords without these keywords:\n" +
				"- different parameter 'ocsp-update' : previously 'on' vs 'default' (ocsp-update.mode off)"},
		{"keywords that agree", "", "DIR/a.pem [ocsp-update on] a.test\nDIR/a.pem [ocsp-update on] b.test\n", "crt-list DIR/list", ""},
		{"keywords that differ", "", "DIR/a.pem [key DIR/a.pem] a.test\nDIR/a.pem [key DIR/b.pem] b.test\n", "crt-list DIR/list",
			"'DIR/a.pem' in crt-list 'DIR/list' line 2, is already defined with incompatible parameters:\n - different parameter 'key' : previously 'DIR/a.pem' vs 'DIR/b.pem'"},
	} {
		e := newEdge(t, true)
		e.certificate("a.pem", 1, "a.test")
		e.file("list", row.list)
		e.file("b.pem", "")
		diags := e.load(row.store + base + "frontend f\n    bind 127.0.0.1:1 ssl " + row.binds + "\n")
		want := strings.ReplaceAll(row.want, "DIR", e.dir)
		said := slices.ContainsFunc(diags, func(d config.Diag) bool { return d.Level == config.LevelAlert && strings.Contains(d.Text, want) })
		if (want == "" && diags.HasErrors()) || (want != "" && !said) {
			t.Errorf("%s: got %v\nwant %q", row.name, diags, want)
		}
	}
}

func TestAClientWithoutACommonProtocolGoesOnWithoutALPN(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("a.pem", 1, "a.test")
	addr := freePort(t)
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/a.pem alpn http/1.1\n", addr))
	e.run()
	for offered, want := range map[string]string{"acme-tls/1": "", "h2": "", "http/1.1": "http/1.1"} {
		s, err := handshake(addr, &tls.Config{ServerName: "a.test", NextProtos: []string{offered}})
		if err != nil || s.NegotiatedProtocol != want {
			t.Errorf("offered %s: got %q, %v, want %q", offered, s.NegotiatedProtocol, err, want)
		}
	}
}

func TestTheCiphersOfTheBindLineDecideWhetherAClientCanDoECDSA(t *testing.T) {
	e := newEdge(t, false)
	w := &world{dir: e.dir}
	names := func(c *x509.Certificate) { c.DNSNames = []string{"one.test"} }
	root := w.issue(t, nil, name("Root"), func(c *x509.Certificate) { c.IsCA = true })
	w.save(t, "ecdsa.pem", w.issue(t, root, name("one.test"), names), true)
	w.save(t, "rsa.pem", w.issueRSA(t, root, name("one.test"), names), true)
	both, onlyRSA := freePort(t), freePort(t)
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/ecdsa.pem crt DIR/rsa.pem ssl-max-ver TLSv1.2\n"+
		"    bind %s ssl crt DIR/ecdsa.pem crt DIR/rsa.pem ssl-max-ver TLSv1.2 ciphers aRSA\n", both, onlyRSA))
	e.run()
	for _, row := range []struct {
		addr   string
		suites []uint16
		want   x509.PublicKeyAlgorithm
	}{
		{both, nil, x509.ECDSA}, {onlyRSA, nil, x509.RSA},
		{both, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA},
		{both, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA}, // kRSA alone: OpenSSL's default has it too
	} {
		s, err := handshake(row.addr, &tls.Config{ServerName: "one.test", CipherSuites: row.suites, MaxVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("suites %x: %v", row.suites, err)
		} else if a := s.PeerCertificates[0].PublicKeyAlgorithm; a != row.want {
			t.Errorf("suites %x: %v, want %v", row.suites, a, row.want)
		}
	}
}

func TestACommittedClientCertificateIsShownToTheServerByTheNextRequest(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("client.pem", 7, "client.test")
	var shown atomic.Int64
	pem := bundle(t, 1, "s.test")
	key, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{key}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(s tls.ConnectionState) error {
			shown.Store(s.PeerCertificates[0].SerialNumber.Int64())
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	addr := freePort(t)
	e.mustApply(fmt.Sprintf(base+"listen f\n    bind %s\n    http-reuse always\n    server s %s ssl verify none crt DIR/client.pem\n", addr, ln.Addr()))
	e.run()
	c := dial(t, addr)
	for range 2 {
		if status, body := c.get(); status != 200 || shown.Load() != 7 {
			t.Fatalf("got %d %q, the server saw serial %d", status, body, shown.Load())
		}
	}
	name := e.dir + "/client.pem"
	if _, _, err := e.store.Set(name, bundle(t, 8, "client.test"), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.Commit(name, "test", nil); err != nil {
		t.Fatal(err)
	}
	if status, body := c.get(); status != 200 || shown.Load() != 8 {
		t.Errorf("after the commit: got %d %q, the server saw serial %d, want 8", status, body, shown.Load())
	}
}
