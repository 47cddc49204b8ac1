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
	for offered, want := range map[string]string{"http/1.0": "", "h2": "", "http/1.1": "http/1.1"} {
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
	both, onlyRSA, exchange := freePort(t), freePort(t), freePort(t)
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s ssl crt DIR/ecdsa.pem crt DIR/rsa.pem ssl-max-ver TLSv1.2\n"+
		"    bind %s ssl crt DIR/ecdsa.pem crt DIR/rsa.pem ssl-max-ver TLSv1.2 ciphers aRSA\n"+
		"    bind %s ssl crt DIR/ecdsa.pem crt DIR/rsa.pem ssl-max-ver TLSv1.2 ciphers ECDHE:kRSA\n", both, onlyRSA, exchange))
	e.run()
	for _, row := range []struct {
		addr   string
		suites []uint16
		want   x509.PublicKeyAlgorithm
	}{
		{both, nil, x509.ECDSA}, {onlyRSA, nil, x509.RSA},
		{both, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA},
		{exchange, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA}, // RSA key exchange has to be named
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

func TestNamesWithoutCertificateGetOneMadeForThem(t *testing.T) {
	e := newEdge(t, false)
	w := &world{dir: e.dir}
	root := w.issue(t, nil, name("Signer"), func(c *x509.Certificate) { c.IsCA = true })
	w.save(t, "ca.pem", root, true)
	e.certificate("site.pem", 5, "site.test")
	addr, strict := freePort(t), freePort(t)
	e.mustApply(fmt.Sprintf("global\n    ca-base DIR\n"+base+"frontend f\n    bind %s ssl crt DIR/site.pem generate-certificates ca-sign-file ca.pem alpn http/1.1\n"+
		"    bind %s ssl crt DIR/site.pem strict-sni generate-certificates ca-sign-file ca.pem\n", addr, strict))
	e.run()
	pool := x509.NewCertPool()
	pool.AddCert(root.crt)
	for _, addr := range []string{addr, strict} {
		if n := serialOf(t, addr, "site.test"); n != 5 {
			t.Errorf("site.test: serial %d", n)
		}
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "new.test", RootCAs: pool})
		if err != nil {
			t.Errorf("new.test: %v", err)
			continue
		}
		c.Close()
	}
	s, err := handshake(addr, &tls.Config{ServerName: "New.test", NextProtos: []string{"http/1.1"}})
	if err != nil || s.NegotiatedProtocol != "http/1.1" {
		t.Errorf("ALPN %q, %v", s.NegotiatedProtocol, err)
	}
	again, err := handshake(addr, &tls.Config{ServerName: "new.test"})
	if err != nil || !again.PeerCertificates[0].Equal(s.PeerCertificates[0]) {
		t.Errorf("the second handshake gets another certificate: %v", err)
	}
	if s, err := handshake(addr, &tls.Config{ServerName: "bad_name.test"}); err != nil || s.PeerCertificates[0].SerialNumber.Int64() != 5 {
		t.Errorf("a name that is no host name: %v", err)
	}
	if _, err := handshake(strict, &tls.Config{ServerName: "bad_name.test"}); err == nil {
		t.Error("a name that is no host name, strict-sni: no error")
	}
	if s, err := handshake(addr, &tls.Config{}); err != nil || s.PeerCertificates[0].SerialNumber.Int64() != 5 {
		t.Errorf("without a name: %v", err)
	}
}

func TestWhoSignsMustBeThere(t *testing.T) {
	for words, want := range map[string]string{
		"generate-certificates":                              "Proxy 'f': cannot enable certificate generation, no CA certificate File configured at [test.cfg:7].",
		"generate-certificates ca-sign-file DIR/none.pem":    "Proxy 'f': Failed to read CA certificate file 'DIR/none.pem' at [test.cfg:7]. Chain loading failed: unable to stat",
		"generate-certificates ca-sign-file DIR/nokey.pem":   "Proxy 'f': Failed to read CA certificate file 'DIR/nokey.pem' at [test.cfg:7]. Chain loading failed: No Private Key found",
		"strict-sni generate-certificates ca-sign-file DIR/": "Proxy 'f': Failed to read CA certificate file 'DIR/'",
	} {
		e := newEdge(t, true)
		e.certificate("site.pem", 5, "site.test")
		w := &world{dir: e.dir}
		w.save(t, "nokey.pem", w.issue(t, nil, name("Signer"), nil), false)
		diags := e.load(base + "frontend f\n    bind 127.0.0.1:1 ssl crt DIR/site.pem " + words + "\n")
		want := strings.ReplaceAll(want, "DIR", e.dir)
		if !slices.ContainsFunc(diags, func(d config.Diag) bool { return d.Level == config.LevelAlert && strings.Contains(d.Text, want) }) {
			t.Errorf("%s: got %v\nwant %q", words, diags, want)
		}
	}
}

func TestEncryptedKeysAreOpenedByTheCommandOfTheConfiguration(t *testing.T) {
	e := newEdge(t, true)
	for file, from := range map[string][]string{"a.pem": {"cert.pem", "pbkdf2-aes256.pem"}, "b.crt": {"cert.pem"}, "b.crt.key": {"traditional-aes192.pem"}} {
		var text []byte
		for _, f := range from {
			part, err := os.ReadFile(filepath.Join("../cert/testdata/sealed", f))
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, part...)
		}
		e.file(file, string(text))
	}
	e.file("ask", "#!/bin/sh\necho \"$1 $2\" >> DIR/asked\nprintf correct\n")
	if err := os.Chmod(filepath.Join(e.dir, "ask"), 0o700); err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	cfg := base + fmt.Sprintf("frontend f\n    bind %s ssl crt DIR/a.pem crt DIR/b.crt\n", addr)
	if diags := e.load(cfg); !slices.ContainsFunc(diags, func(d config.Diag) bool {
		return strings.Contains(d.Text, "Trying to load a passphrase-protected private key without an 'ssl-passphrase-cmd' defined.")
	}) {
		t.Errorf("without ssl-passphrase-cmd: %v", diags)
	}
	e.mustApply("global\n    ssl-passphrase-cmd DIR/ask word\n" + cfg)
	e.run()
	if s, err := handshake(addr, &tls.Config{ServerName: "sealed.test"}); err != nil || s.PeerCertificates[0].Subject.CommonName != "sealed.test" {
		t.Errorf("handshake: %v", err)
	}
	asked, err := os.ReadFile(filepath.Join(e.dir, "asked"))
	if err != nil || strings.Count(string(asked), "\n") != 1 || !strings.HasSuffix(string(asked), " word\n") {
		t.Errorf("the command was asked %q, %v; a known passphrase is tried first", asked, err)
	}
	if _, err := e.store.Dump(e.dir + "/a.pem"); err == nil || !strings.Contains(err.Error(), "Can't display the contents of an encrypted certificate!") {
		t.Errorf("dump: %v", err)
	}
}

func TestSelfIssuedAuthoritiesAreLeftOutOfChainsOnDemand(t *testing.T) {
	for words, want := range map[string]int{"": 3, "    ssl-skip-self-issued-ca\n": 2} {
		e := newEdge(t, false)
		w := &world{dir: e.dir}
		isCA := func(c *x509.Certificate) { c.IsCA = true }
		root := w.issue(t, nil, name("Root"), isCA)
		between := w.issue(t, root, name("Between"), isCA)
		leaf := w.issue(t, between, name("a.test"), func(c *x509.Certificate) { c.DNSNames = []string{"a.test"} })
		w.save(t, "a.pem", leaf, true)
		text := e.read("a.pem")
		for _, file := range []struct {
			name string
			x    *issuer
		}{{"between.pem", between}, {"root.pem", root}} {
			w.save(t, file.name, file.x, false)
			text += e.read(file.name)
		}
		e.file("a.pem", text)
		addr := freePort(t)
		e.mustApply("global\n    log-tag x\n" + words + base + fmt.Sprintf("frontend f\n    bind %s ssl crt DIR/a.pem\n", addr))
		e.run()
		s, err := handshake(addr, &tls.Config{ServerName: "a.test"})
		if err != nil || len(s.PeerCertificates) != want {
			t.Errorf("%q: %d certificates, %v, want %d", words, len(s.PeerCertificates), err, want)
		}
	}
}

func (e *edge) read(name string) string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, name))
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

func TestWhatMeansLessThanItsAuthorThinksIsSaid(t *testing.T) {
	e := newEdge(t, true)
	e.certificate("a.pem", 1, "a.test")
	e.file("list", "DIR/a.pem [allow-0rtt] a.test !b.test\nDIR/a.pem [allow-0rtt] c.test\nDIR/a.pem x.test [verify none]\n")
	diags := e.load(base + "frontend f\n    bind 127.0.0.1:1 ssl strict-sni default-crt DIR/a.pem crt-list DIR/list sigalgs RSA+SHA256\n")
	for _, row := range []struct {
		level string
		text  string
	}{
		{config.LevelWarning, "crt-list: negative filters on crt-list line \"DIR/a.pem\" without a positive wildcard filter won't do anything!"},
		{config.LevelWarning, "malformated line, filters can't be between filename and options!"},
		{config.LevelWarning, "both 'default-crt' and 'strict-sni' keywords are used in bind '127.0.0.1:1' at [test.cfg:7], certificates won't be used as fallback (use 'crt' instead)."},
		{config.LevelNotice, "'allow-0rtt' in crt-list 'DIR/list' line 1 is accepted without effect."},
		{config.LevelNotice, "'sigalgs' is accepted without effect."},
	} {
		text := strings.ReplaceAll(row.text, "DIR", e.dir)
		count := 0
		for _, d := range diags {
			if d.Level == row.level && strings.Contains(d.Text, text) {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%q is said %d times, want once, in %v", text, count, diags)
		}
	}
	if diags.HasErrors() {
		t.Errorf("errors: %v", diags)
	}
}

func TestALineThatLeavesNoVersionIsAnError(t *testing.T) {
	e := newEdge(t, false)
	e.certificate("a.pem", 1, "a.test")
	e.file("list", "DIR/a.pem\nDIR/a.pem [ssl-min-ver TLSv1.3] a.test\n")
	diags := e.load(base + "frontend f\n    bind 127.0.0.1:1 ssl ssl-max-ver TLSv1.2 crt-list DIR/list\n")
	if !diags.HasErrors() || !strings.Contains(fmt.Sprint(diags), "all SSL/TLS versions are disabled for bind '127.0.0.1:1' at [test.cfg:7].") {
		t.Errorf("got %v", diags)
	}
}

func TestADummyServesUntilACommitAndAcrossReloads(t *testing.T) {
	e := newEdge(t, false)
	addr := freePort(t)
	cfg := "crt-store s\n    load crt DIR/later.pem alias later generate-dummy on keytype ECDSA curves P-256\n" + base + fmt.Sprintf("frontend f\n    bind %s ssl crt @s/later\n", addr)
	e.mustApply(cfg)
	e.run()
	shown := func() string {
		t.Helper()
		s, err := handshake(addr, &tls.Config{ServerName: "later.test"})
		if err != nil {
			t.Fatal(err)
		}
		return s.PeerCertificates[0].SerialNumber.String()
	}
	dummy := shown()
	e.mustApply(cfg)
	if again := shown(); again != dummy {
		t.Errorf("a reload shows serial %s, before it was %s", again, dummy)
	}
	if _, _, err := e.store.Set("@s/later", bundle(t, 9, "later.test"), "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.Commit("@s/later", "test", nil); err != nil {
		t.Fatal(err)
	}
	// Another process reads what was committed.
	next := newEdge(t, false)
	next.dir = e.dir
	other := freePort(t)
	next.mustApply(strings.ReplaceAll(cfg, addr, other))
	next.run()
	if n := serialOf(t, other, "later.test"); n != 9 {
		t.Errorf("the next start shows serial %d, want the committed 9", n)
	}
}
