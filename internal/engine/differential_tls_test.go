package engine

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Samples that HAProxy and we must agree on. X stands for c, f and s.
const (
	sessionSamples = `%ST %ts %sslv %sslc fc_err fc_err_str ssl_fc ssl_fc_sni ssl_fc_alpn ssl_fc_protocol ssl_fc_cipher ssl_fc_alg_keysize ssl_fc_use_keysize ` +
		`ssl_fc_is_resumed ssl_fc_unique_id,hex,length ssl_fc_err ssl_fc_err_str ssl_fc_has_sni ssl_fc_has_crt ssl_c_used ssl_c_verify ssl_c_err ssl_c_ca_err ` +
		`ssl_c_ca_err_depth ssl_fc_cipherlist_bin(1),hex ssl_fc_cipherlist_hex(1) ssl_fc_cipherlist_xxh ssl_fc_extlist_bin(1),hex ` +
		`ssl_fc_eclist_bin(1),hex ssl_fc_ecformats_bin,hex ssl_fc_protocol_hello_id ssl_c_chain_der,sha1,hex ssl_s_chain_der,sha1,hex ` +
		`bc_err bc_err_str ssl_bc ssl_bc_alpn ssl_bc_protocol ssl_bc_cipher ssl_bc_alg_keysize ssl_bc_use_keysize ssl_bc_is_resumed ssl_bc_unique_id,hex,length ssl_bc_err ssl_bc_err_str`
	certSamples = `ssl_X_der,sha1,hex ssl_X_serial,hex ssl_X_sha1,hex ssl_X_notbefore ssl_X_notafter ssl_X_version ssl_X_key_alg ssl_X_sig_alg ssl_X_i_dn ssl_X_i_dn(CN) ` +
		`ssl_X_i_dn(,0,rfc2253) ssl_X_s_dn,hex ssl_X_s_dn(CN) ssl_X_s_dn(cn) ssl_X_s_dn(CN,2) ssl_X_s_dn(CN,-1) ssl_X_s_dn(CN,-2) ssl_X_s_dn(CN,-3) ssl_X_s_dn(CN,0) ssl_X_s_dn(OU) ssl_X_s_dn(OU,2) ssl_X_s_dn(OU,3) ` +
		`ssl_X_s_dn(emailAddress) ssl_X_s_dn(1.2.3.4.5) ssl_X_s_dn(O) ssl_X_s_dn(L),hex ssl_X_s_dn(UID) ssl_X_s_dn(GN) ssl_X_s_dn(NOPE) ssl_X_s_dn(,0,rfc2253) ssl_X_s_dn(CN,1,rfc2253) ssl_X_s_dn(OU,2,rfc2253)`
	newerSamples = `fc_err_name bc_err_name ssl_bc_sni ssl_fc_crtname ssl_fc_sigalgs_bin(1),hex ssl_fc_supported_versions_bin(1),hex ssl_c_r_dn ssl_c_r_dn(CN) ssl_c_san`
)

// tlsDifference is where we differ, as "CASE SAMPLE", and from which versions; all when there are none.
type tlsDifference struct {
	where, versions, why string
	sometimes            bool
}

var tlsDifferences = []tlsDifference{
	{`.* ssl_[fb]c_unique_id,hex,length`, ``, "TLS 1.3 has no tls-unique (RFC 8446 appendix C.5); HAProxy gives the Finished message", false},
	{`(err-old|new-old|strict-bad) ssl_fc_(has_)?sni`, ``, "OpenSSL gives up before it looks at the name or keeps it", false},
	{`lenient-twice-1[23] ssl_(fc_is_resumed|fc_has_crt|c_err)`, ``, "crypto/tls does not resume a session whose client certificate has expired", false},
	{`to-again ssl_bc_is_resumed`, `2\..*`, "sessions with a server name are not resumed before 3.0", false},
	{`to-refused bc_err(_str)?`, `2\..*`, "errors of the system have no number, and the connection is gone", false},
	{`.*-twice-1[23] ssl_c_r_dn(\(CN\))?`, `3\..*`, "OpenSSL does not keep the chain with a session", false},
	{`lenient-(alone|stranger|selfsigned)-1[23] ssl_c_r_dn(\(CN\))?`, `3\..*`, "anybody can choose the end of a chain that leads to no known authority", false},
	{`err-untrusted-1[23] ssl_fc_err(_str)?`, ``, "an alert followed by a reset may be lost", true},
	{`to-again ssl_s_chain_der,sha1,hex`, `3\..*`, "OpenSSL keeps no chain with a session, crypto/tls does", false},
}

func tlsSamples(newer bool) []string {
	list := strings.Fields(sessionSamples)
	for _, x := range "cfs" {
		list = append(list, strings.Fields(strings.ReplaceAll(certSamples, "X", string(x)))...)
	}
	if newer {
		list = append(list, strings.Fields(newerSamples)...)
	}
	return list
}

func tlsFormat(samples []string) string {
	var b strings.Builder
	for _, s := range samples {
		if s[0] == '%' {
			fmt.Fprintf(&b, "%s@@", s)
		} else {
			fmt.Fprintf(&b, "%%[%s]@@", s)
		}
	}
	return b.String()
}

const tlsConfig = `global
    log LOG len 60000 format raw local0
    tune.ssl.capture-buffer-size 2048
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
    ca-base DIR
    crt-base DIR
defaults
    mode http
    log global
    retries 0
    timeout connect 10s
    timeout client 20s
    timeout server 20s
    http-reuse never
    log-format "FORMAT"
    error-log-format "FORMAT"
frontend plain
    bind 127.0.0.1:PORT0 ssl crt rsa.pem crt ecdsa.pem alpn http/1.1
    use_backend %[path,field(2,/)]
frontend optional
    bind 127.0.0.1:PORT1 ssl crt rsa.pem ca-file ca.pem verify optional
    default_backend tls
frontend required
    bind 127.0.0.1:PORT2 ssl crt rsa.pem ca-file ca.pem verify required
    default_backend tls
frontend lenient
    bind 127.0.0.1:PORT3 ssl crt rsa.pem ca-file ca.pem verify optional crt-ignore-err all ca-ignore-err all
    default_backend tls
frontend revoking
    bind 127.0.0.1:PORT4 ssl crt rsa.pem ca-file ca.pem verify required crl-file crl.pem
    default_backend tls
frontend some
    bind 127.0.0.1:PORT5 ssl crt rsa.pem ca-file ca.pem verify required crl-file crl.pem crt-ignore-err 10,23 ca-ignore-err 10
    default_backend tls
frontend strict
    bind 127.0.0.1:PORT6 ssl crt rsa.pem strict-sni
    default_backend tls
frontend new
    bind 127.0.0.1:PORT7 ssl crt rsa.pem ssl-min-ver TLSv1.3
    default_backend tls
defaults
    mode http
    log global
    option httplog
    timeout client 20s
frontend legacy
    bind 127.0.0.1:PORT8 ssl crt rsa.pem ca-file ca.pem verify required name tls
    http-request return status 200
frontend proxied
    bind 127.0.0.1:PORT9 ssl crt rsa.pem accept-proxy
    http-request return status 200
frontend clearly
    bind 127.0.0.1:PORTA accept-proxy
    http-request return status 200
frontend ready
    no log
    bind READY
defaults
    mode http
    log global
    retries 0
    timeout connect 10s
    timeout server 20s
    http-reuse never
backend clear
    server s CLEAR
backend tls
    server s SECURE ssl verify required ca-file ca.pem sni str(srv.test) no-ssl-reuse
backend old
    server s SECURE ssl verify none ssl-max-ver TLSv1.2 no-ssl-reuse
backend again
    server s SECURE ssl verify required ca-file ca.pem sni str(srv.test)
backend wrongca
    server s SECURE ssl verify required ca-file other.pem no-ssl-reuse
backend wrongca12
    server s SECURE ssl verify required ca-file other.pem no-ssl-reuse ssl-max-ver TLSv1.2
backend wrongname
    server s SECURE ssl verify required ca-file ca.pem sni str(nope.test) no-ssl-reuse
backend wronghost
    server s SECURE ssl verify required ca-file ca.pem verifyhost nope.test no-sni-auto no-ssl-reuse
backend refused
    server s REFUSED
backend notls
    server s CLEAR ssl verify none no-ssl-reuse
backend tooold
    server s NEW ssl verify none ssl-max-ver TLSv1.2 no-ssl-reuse
backend gone
    server s GONE ssl verify none no-ssl-reuse
`

// tlsCase is one client. The zero value asks the frontend plain for /tls.
type tlsCase struct {
	name  string
	port  int
	path  string
	conf  *tls.Config
	crt   string // client certificate shown, by its name
	times int    // connections, with one memory of sessions; 0: 1
	raw   string // sent instead of TLS
	roots bool   // the client verifies us, and trusts nobody
	leave bool   // the client ends the connection after its first message
}

func tlsCases() []tlsCase {
	v12 := func(suites ...uint16) *tls.Config {
		if suites == nil {
			suites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}
		return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: suites}
	}
	list := []tlsCase{
		{name: "default"}, {name: "rsa", conf: &tls.Config{ServerName: "r.test"}}, {name: "other", conf: &tls.Config{ServerName: "nobody.test"}},
		{name: "nosni", conf: &tls.Config{ServerName: "127.0.0.1"}},
		{name: "alpn", conf: &tls.Config{NextProtos: []string{"x", "http/1.1"}}},
		{name: "p384", conf: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}},
		{name: "12-ecdsa", conf: v12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)}, {name: "12-rsa", conf: v12(tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)},
		{name: "12-chacha", conf: v12(tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)}, {name: "12-cbc", conf: v12(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)},
		{name: "12-p521", conf: &tls.Config{ServerName: "r.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, CurvePreferences: []tls.CurveID{tls.CurveP521}}},
		{name: "13-twice", times: 2}, {name: "12-twice", times: 2, conf: v12()},
		{name: "to-old", path: "/old"}, {name: "to-clear", path: "/clear"}, {name: "to-again", path: "/again", times: 2},
		{name: "to-wrongca", path: "/wrongca"}, {name: "to-wrongca12", path: "/wrongca12"}, {name: "to-wrongname", path: "/wrongname"}, {name: "to-wronghost", path: "/wronghost"},
		{name: "to-refused", path: "/refused"}, {name: "to-notls", path: "/notls"}, {name: "to-tooold", path: "/tooold"}, {name: "to-gone", path: "/gone"},
		{name: "err-http", raw: "GET / HTTP/1.1\r\n\r\n"}, {name: "err-text", raw: "hello, is it me\r\n\r\n"},
		{name: "err-half", raw: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}, {name: "err-nothing", raw: "-"},
		{name: "err-left-12", leave: true, conf: v12()}, {name: "err-left-13", leave: true},
		{name: "err-old", conf: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}, {name: "err-cipher", conf: v12(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA)},
		{name: "err-untrusted-12", roots: true, conf: v12()}, {name: "err-untrusted-13", roots: true},
		{name: "strict-good", port: 6, conf: &tls.Config{ServerName: "r.test"}}, {name: "strict-bad", port: 6, conf: &tls.Config{ServerName: "nobody.test"}}, {name: "strict-none", port: 6, conf: &tls.Config{ServerName: "127.0.0.1"}},
		{name: "new-old", port: 7, conf: v12()}, {name: "new-good", port: 7},
		{name: "optional-none", port: 1}, {name: "required-none-12", port: 2, conf: v12()}, {name: "required-none-13", port: 2},
		{name: "optional-twice-12", port: 1, crt: "good", times: 2, conf: v12()}, {name: "optional-twice-13", port: 1, crt: "good", times: 2},
		{name: "lenient-twice-12", port: 3, crt: "expired", times: 2, conf: v12()}, {name: "lenient-twice-13", port: 3, crt: "expired", times: 2},
	}
	for _, crt := range []string{"good", "expired", "oldca", "selfsigned"} {
		list = append(list, tlsCase{name: "legacy-" + crt, port: 8, crt: crt})
	}
	for port := 8; port <= 10; port++ {
		for _, raw := range []string{"-", "hello, is it me you are looking for", "GET / HTTP/1.0\r\n\r\n", "PROXY ", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
			"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.0\r\n\r\n"} {
			list = append(list, tlsCase{name: fmt.Sprintf("raw-%d %q", port, raw), port: port, raw: raw})
		}
	}
	for _, crt := range []string{"good", "goodrsa", "odd", "long", "late", "early", "sans", "between", "alone", "expired", "future", "stranger", "selfsigned", "revoked", "server", "oldca", "noca"} {
		for port, name := range []string{1: "optional", 2: "required", 3: "lenient", 4: "revoking", 5: "some"} {
			if name == "" {
				continue
			}
			list = append(list, tlsCase{name: name + "-" + crt + "-13", port: port, crt: crt}, tlsCase{name: name + "-" + crt + "-12", port: port, crt: crt, conf: v12()})
		}
	}
	return list
}

// TestTLSSamplesAreHAProxys has the same clients ask HAProxy and us under the same configuration, and compares the log lines.
func TestTLSSamplesAreHAProxys(t *testing.T) {
	program := needHAProxy(t)
	version, err := exec.Command(program, "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`version (\S+)`).FindSubmatch(version)
	if number == nil {
		t.Fatalf("%s -v said %q", program, version)
	}
	newer := number[1][0] != '2'
	samples := tlsSamples(newer)
	world := newWorld(t)
	ours, theirs := world.ours(t, samples), world.theirs(t, program, samples)
	used := map[int]bool{}
	for k, d := range tlsDifferences {
		if regexp.MustCompile("^("+d.versions+")$").Match(number[1]) || d.versions == "" {
			used[k] = false
		}
	}
	for _, c := range tlsCases() {
		a, b := ours.ask(t, &c), theirs.ask(t, &c)
		for n := range b {
			x, y := strings.Split(a[n], "@@"), strings.Split(b[n], "@@")
			if !strings.Contains(b[n], "@@") {
				if x, y := withoutEnds(a[n], newer), withoutEnds(b[n], newer); x != y {
					t.Errorf("%s: we log %q, HAProxy logs %q", c.name, x, y)
				}
				continue
			}
			if len(x) != len(samples)+1 || len(y) != len(samples)+1 {
				t.Errorf("%s: lines of %d and %d parts: %q, HAProxy %q", c.name, len(x), len(y), a[n], b[n])
				continue
			}
			for i, s := range samples {
				if x[i] == y[i] {
					continue
				}
				where := fmt.Sprintf("%s %s", c.name, s)
				k := slices.IndexFunc(tlsDifferences, func(d tlsDifference) bool {
					return regexp.MustCompile("^(" + d.where + ")$").MatchString(where)
				})
				if k < 0 {
					t.Errorf("%s #%d: %s: we say %q, HAProxy says %q", c.name, n, s, x[i], y[i])
					if i == 0 {
						break // another outcome: the rest follows from it
					}
					continue
				}
				used[k] = true
			}
		}
	}
	for k, u := range used {
		if !u && !tlsDifferences[k].sometimes {
			t.Errorf("no difference %q any more", tlsDifferences[k].where)
		}
	}
}

// httpTimers are the five durations of a line of option httplog; a phase that was not reached says -1.
var httpTimers = regexp.MustCompile(`/(<NOSRV>|\S+) -?\d+/-?\d+/-?\d+/-?\d+/\+?\d+ `)

// withoutEnds is a log line without what differs from run to run, the durations, the bytes sent, and OpenSSL's error, which 3.0 and newer tell.
func withoutEnds(line string, newer bool) string {
	line = httpTimers.ReplaceAllStringFunc(line, func(timers string) string {
		server, durations, _ := strings.Cut(timers, " ")
		return server + " " + regexp.MustCompile(`(^|/|\+)\d+`).ReplaceAllString(durations, "${1}N")
	})
	line = regexp.MustCompile(`127\.0\.0\.1:\d+|\[.*\]| 200 \d+`).ReplaceAllString(line, "")
	if !newer {
		line = regexp.MustCompile(` \(error:.*\)`).ReplaceAllString(line, "")
	}
	return line
}

// needHAProxy returns the program to compare with: $GATEHOUSE_TEST_HAPROXY or the one in the path.
func needHAProxy(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("GATEHOUSE_TEST_HAPROXY"); program != "" {
		return program
	}
	if program, err := exec.LookPath("haproxy"); err == nil {
		return program
	}
	for _, p := range []string{"/usr/sbin/haproxy", "/usr/local/sbin/haproxy"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
		t.Fatal("needs haproxy: install the package haproxy")
	}
	t.Skip("needs haproxy: install the package haproxy")
	return ""
}

// world is what both products share: certificates and servers.
type world struct {
	dir     string
	clients map[string]*tls.Certificate
	places  *strings.Replacer
}

// party is one of the two products.
type party struct {
	name  string
	ports []string
	ready string // address that logs nothing
	sink  net.PacketConn
	world *world
}

// issuer is a certificate and its key.
type issuer struct {
	crt *x509.Certificate
	key crypto.Signer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), clients: map[string]*tls.Certificate{}}
	ca := w.issue(t, nil, name("Root"), func(c *x509.Certificate) { c.IsCA = true })
	other := w.issue(t, nil, name("Other"), func(c *x509.Certificate) { c.IsCA = true })
	between := w.issue(t, ca, name("Between"), func(c *x509.Certificate) { c.IsCA = true })
	oldCA := w.issue(t, ca, name("Old"), func(c *x509.Certificate) {
		c.IsCA, c.NotBefore, c.NotAfter = true, time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	})
	noCA := w.issue(t, ca, name("NoCA"), nil)
	w.save(t, "ca.pem", ca, false)
	w.save(t, "other.pem", other, false)
	dns := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = names, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
	}
	w.save(t, "rsa.pem", w.issueRSA(t, ca, name("r.test"), dns("a.test", "r.test")), true)
	w.save(t, "ecdsa.pem", w.issue(t, ca, oddName(), dns("a.test")), true)
	w.show("good", w.issue(t, ca, name("good"), forClients))
	w.show("goodrsa", w.issueRSA(t, ca, name("goodrsa"), forClients))
	w.show("odd", w.issue(t, ca, oddName(), forClients))
	w.show("long", w.issue(t, ca, name("long"), func(c *x509.Certificate) {
		c.SerialNumber = new(big.Int).SetBytes([]byte("\xf1234567890123456789"))
	}))
	w.show("late", w.issue(t, ca, name("late"), func(c *x509.Certificate) { c.NotAfter = time.Date(2071, 2, 3, 4, 5, 6, 0, time.UTC) }))
	w.show("early", w.issue(t, ca, name("early"), func(c *x509.Certificate) { c.NotBefore = time.Date(1961, 2, 3, 4, 5, 6, 0, time.UTC) }))
	w.show("sans", w.issue(t, ca, name("sans"), func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"x.test", "*.y.test"}, []string{"a@x.test"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1:2")}
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "x.test", Path: "/y"}}
	}))
	w.show("between", w.issue(t, between, name("leaf"), forClients), between)
	w.show("alone", w.issue(t, between, name("alone"), forClients))
	w.show("expired", w.issue(t, ca, name("expired"), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	}))
	w.show("future", w.issue(t, ca, name("future"), func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(1, 0, 0) }))
	w.show("stranger", w.issue(t, other, name("stranger"), forClients))
	w.show("selfsigned", w.issue(t, nil, name("selfsigned"), forClients))
	revoked := w.issue(t, ca, name("revoked"), forClients)
	w.show("revoked", revoked)
	w.show("server", w.issue(t, ca, name("server"), dns("server.test")))
	w.show("oldca", w.issue(t, oldCA, name("leaf"), forClients), oldCA)
	w.show("noca", w.issue(t, noCA, name("leaf"), forClients), noCA)
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked.crt.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)}}}, ca.crt, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))

	srv := w.issue(t, ca, oddName(), dns("srv.test"))
	pair := tls.Certificate{Certificate: [][]byte{srv.crt.Raw, ca.crt.Raw}, PrivateKey: srv.key}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone.Close() })
	go func() {
		for {
			c, err := gone.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			c.Read(make([]byte, 1))
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	w.places = strings.NewReplacer("DIR", w.dir, "CLEAR", webServer(t, "clear"), "SECURE", secureServer(t, &tls.Config{Certificates: []tls.Certificate{pair}}),
		"NEW", secureServer(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}), "REFUSED", freePort(t), "GONE", gone.Addr().String())
	return w
}

func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

func name(cn string) pkix.RDNSequence {
	return pkix.Name{Country: []string{"FR"}, Organization: []string{"Example"}, CommonName: cn}.ToRDNSequence()
}

// oddName has what names seldom have.
func oddName() pkix.RDNSequence {
	at := func(value any, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	raw := func(tag int, b string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(b)} }
	return pkix.RDNSequence{
		{at("FR", 2, 5, 4, 6)},
		{at("Caf\u00e9, \"quoted\" + more; <x>", 2, 5, 4, 10)},
		{at("first", 2, 5, 4, 11), at("second", 2, 5, 4, 11), at("#given ", 2, 5, 4, 42)},
		{at(" third\\ ", 2, 5, 4, 11)},
		{at(raw(30, "\x00B\x00M\x00P\x20\xac"), 2, 5, 4, 7)},
		{at(raw(22, "who@example.com"), 1, 2, 840, 113549, 1, 9, 1)},
		{at("unknown", 1, 2, 3, 4, 5)},
		{at("user", 0, 9, 2342, 19200300, 100, 1, 1), at("dc", 0, 9, 2342, 19200300, 100, 1, 25)},
		{at(raw(20, "T61\xe9"), 2, 5, 4, 3)},
		{at("last/CN=x", 2, 5, 4, 3)},
	}
}

func (w *world) issue(t *testing.T, by *issuer, subject pkix.RDNSequence, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return w.sign(t, by, key, subject, change)
}

func (w *world) issueRSA(t *testing.T, by *issuer, subject pkix.RDNSequence, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return w.sign(t, by, key, subject, change)
}

func (w *world) sign(t *testing.T, by *issuer, key crypto.Signer, subject pkix.RDNSequence, change func(*x509.Certificate)) *issuer {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	if c.RawSubject, err = asn1.Marshal(subject); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c)
	}
	if c.IsCA {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if by == nil {
		by = &issuer{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.crt, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{made, key}
}

func (w *world) show(name string, x *issuer, chain ...*issuer) {
	c := &tls.Certificate{Certificate: [][]byte{x.crt.Raw}, PrivateKey: x.key}
	for _, y := range chain {
		c.Certificate = append(c.Certificate, y.crt.Raw)
	}
	w.clients[name] = c
}

func (w *world) save(t *testing.T, file string, x *issuer, key bool) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.crt.Raw})
	if key {
		der, err := x509.MarshalPKCS8PrivateKey(x.key)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	w.write(t, file, text)
}

func (w *world) write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, file), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func secureServer(t *testing.T, conf *tls.Config) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// party prepares the configuration of one product.
func (w *world) party(t *testing.T, samples []string) (*party, string) {
	t.Helper()
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	p := &party{sink: sink, world: w}
	text := w.places.Replace(tlsConfig)
	p.ready = freePort(t)
	text = strings.NewReplacer("READY", p.ready, "LOG", sink.LocalAddr().String(), "FORMAT", tlsFormat(samples)).Replace(text)
	for i := range strings.Count(text, "PORT") {
		p.ports = append(p.ports, freePort(t))
		text = strings.Replace(text, "127.0.0.1:PORT"+strings.ToUpper(strconv.FormatInt(int64(i), 36)), p.ports[i], 1)
	}
	return p, text
}

func (w *world) ours(t *testing.T, samples []string) *party {
	t.Helper()
	p, text := w.party(t, samples)
	p.name = "gatehouse"
	e := newEdge(t, false)
	e.mustApply(text)
	e.run()
	return p
}

func (w *world) theirs(t *testing.T, program string, samples []string) *party {
	t.Helper()
	p, text := w.party(t, samples)
	p.name = "haproxy"
	if out, err := exec.Command(program, "-v").Output(); err == nil && strings.Contains(string(out), "version 2.") {
		text = strings.ReplaceAll(text, " no-sni-auto", "") // there is no automatism before 3.3
	}
	runHAProxy(t, program, w, text, p.ready)
	return p
}

// runHAProxy starts HAProxy on a configuration, until the test ends. ready is an address at which it listens then.
func runHAProxy(t *testing.T, program string, w *world, text, ready string) {
	t.Helper()
	w.write(t, "haproxy.cfg", []byte(text))
	var out strings.Builder
	cmd := exec.Command(program, "-db", "-f", filepath.Join(w.dir, "haproxy.cfg"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("haproxy said:\n%s", out.String())
		}
	})
	for {
		if c, err := net.DialTimeout("tcp", ready, patience); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("haproxy ended:\n%s", out.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *party) line(t *testing.T, of string) string {
	t.Helper()
	p.sink.SetReadDeadline(time.Now().Add(patience))
	room := make([]byte, 64<<10)
	n, _, err := p.sink.ReadFrom(room)
	if err != nil {
		t.Fatalf("%s logs nothing of %s: %v", p.name, of, err)
	}
	return strings.TrimSuffix(string(room[:n]), "\n")
}

// ask returns the log lines of a client's connections.
func (p *party) ask(t *testing.T, c *tlsCase) (lines []string) {
	t.Helper()
	conf := &tls.Config{}
	if c.conf != nil {
		conf = c.conf.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = "a.test"
	}
	if conf.InsecureSkipVerify = !c.roots; c.roots {
		conf.RootCAs = x509.NewCertPool()
	}
	if conf.CurvePreferences == nil { // the same for every version of Go
		conf.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	if c.crt != "" {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.world.clients[c.crt], nil }
	}
	for range max(c.times, 1) {
		nc, err := net.DialTimeout("tcp", p.ports[c.port], patience)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		p.talk(nc, c, conf)
		nc.Close()
		lines = append(lines, p.line(t, c.name))
	}
	return lines
}

// talk asks for one page. What comes of it is told by the log.
func (p *party) talk(nc net.Conn, c *tlsCase, conf *tls.Config) {
	if c.raw != "" {
		io.WriteString(nc, strings.TrimPrefix(c.raw, "-"))
		nc.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, nc)
		return
	}
	if c.leave {
		nc = &leaver{nc}
	}
	tc := tls.Client(nc, conf)
	path := c.path
	if path == "" {
		path = "/tls"
	}
	fmt.Fprintf(tc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, conf.ServerName)
	if res, err := http.ReadResponse(bufio.NewReader(tc), nil); err == nil {
		io.Copy(io.Discard, res.Body)
	}
}

// leaver ends its side after one message.
type leaver struct{ net.Conn }

func (l *leaver) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.Conn.(*net.TCPConn).CloseWrite()
	return n, err
}
