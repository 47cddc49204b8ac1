package engine

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// selectHello is a client: what it can verify and speak.
type selectHello struct {
	name string
	conf tls.Config
}

var selectHellos = []selectHello{
	{"TLS 1.3", tls.Config{}},
	{"TLS 1.2", tls.Config{MaxVersion: tls.VersionTLS12}},
	{"TLS 1.2 RSA", tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}},
	{"TLS 1.2 ECDSA", tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}},
	{"TLS 1.2 kRSA", tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}},
}

var selectNames = []string{"", "a.test", "B.TEST", "c.test", "x.a.test", "x.b.test", "other.example", "test"}

// selectList writes a crt-list at random. Each line has a name that it answers to, and options that show in the handshake.
func selectList(r *rand.Rand, newer bool) string {
	files := []string{"e1.pem", "e2.pem", "r1.pem", "r2.pem"}
	positive := []string{"a.test", "b.test", "c.test", "*.test", "*.a.test", "*.b.test", "x.a.test", "A.Test"}
	negative := []string{"!a.test", "!c.test", "!x.a.test"}
	options := []string{"", "", " [ssl-max-ver TLSv1.2]", " [ssl-min-ver TLSv1.3]", " [alpn http/1.0]", " [no-ca-names alpn http/1.1]", " []"}
	if newer {
		positive = append(positive, "*")
		options = append(options, " [no-alpn]")
	}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	for range 2 + r.IntN(4) {
		b.WriteString(pick(files) + pick(options))
		if r.IntN(5) > 0 { // else the names of the certificate
			b.WriteString(" " + pick(positive))
			for range r.IntN(3) {
				b.WriteString(" " + pick(positive))
			}
			if r.IntN(3) == 0 {
				b.WriteString(" " + pick(negative))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// outcome is what a client sees of a choice.
func outcome(addr, sni string, h *selectHello) string {
	conf := h.conf.Clone()
	conf.ServerName, conf.NextProtos = sni, []string{"http/1.1", "http/1.0"}
	s, err := handshake(addr, conf)
	switch {
	case err != nil && strings.Contains(err.Error(), "unrecognized name"):
		return "unrecognized_name"
	case err != nil:
		return "refused"
	}
	return fmt.Sprintf("%s, %s, ALPN %q", s.PeerCertificates[0].Subject.CommonName, tls.VersionName(s.Version), s.NegotiatedProtocol)
}

// freePorts returns n different addresses nobody listens on.
func freePorts(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}

// Certificates are chosen as HAProxy chooses them: crt-lists at random, every client asks both for every name.
func TestSelectionIsHAProxys(t *testing.T) {
	program := needHAProxy(t)
	version, err := exec.Command(program, "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	newer := !strings.Contains(string(version), "version 2.") // "*" and several defaults came with 3.0, no-alpn with 2.7
	e := newEdge(t, false)
	w := &world{dir: e.dir}
	root := w.issue(t, nil, name("Root"), func(c *x509.Certificate) { c.IsCA = true })
	dns := func(names ...string) func(c *x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	w.save(t, "e1.pem", w.issue(t, root, name("e1"), dns("a.test", "*.b.test")), true)
	w.save(t, "e2.pem", w.issue(t, root, name("e2"), dns("c.test")), true)
	w.save(t, "r1.pem", w.issueRSA(t, root, name("r1"), dns("a.test", "*.test")), true)
	w.save(t, "r2.pem", w.issueRSA(t, root, name("r2"), dns("x.a.test")), true)

	const lists = 16
	r := rand.New(rand.NewPCG(1, 2))
	var ours, theirs strings.Builder
	// RSA key exchange is in OpenSSL's default and not in ours
	head := "global\n    crt-base " + e.dir + "\n    ssl-default-bind-ciphers ECDHE+AESGCM:kRSA+AESGCM\n" + base
	ours.WriteString(head)
	theirs.WriteString(head)
	var texts []string
	free := freePorts(t, 2*lists)
	ourAddrs, theirAddrs := free[:lists], free[lists:]
	for n := range lists {
		text := selectList(r, newer)
		words := []string{"", " strict-sni", " ciphers aRSA", " ssl-max-ver TLSv1.2"}[n%4]
		if !newer {
			// Before 3.0 a bind line's ciphers did not count, and the versions of the default's own line neither.
			words = strings.ReplaceAll(words, " ciphers aRSA", "")
			first, rest, _ := strings.Cut(text, "\n")
			for _, option := range []string{" [ssl-max-ver TLSv1.2]", " [ssl-min-ver TLSv1.3]"} {
				first = strings.ReplaceAll(first, option, "")
			}
			text = first + "\n" + rest
		}
		if n%4 == 3 {
			text = strings.ReplaceAll(text, "ssl-min-ver TLSv1.3", "ssl-min-ver TLSv1.1") // no version would be left
		}
		texts = append(texts, text+words)
		e.file(fmt.Sprintf("list%d", n), text)
		for to, addr := range map[*strings.Builder]string{&ours: ourAddrs[n], &theirs: theirAddrs[n]} {
			fmt.Fprintf(to, "frontend f%d\n    bind %s ssl crt-list %s/list%d alpn http/1.1%s\n", n, addr, e.dir, n, words)
		}
	}
	e.mustApply(ours.String())
	e.run()
	runHAProxy(t, program, w, theirs.String(), theirAddrs[0])
	for n := range lists {
		for _, sni := range selectNames {
			for i := range selectHellos {
				h := &selectHellos[i]
				got, want := outcome(ourAddrs[n], sni, h), outcome(theirAddrs[n], sni, h)
				if got != want {
					t.Errorf("list %q\n%s asks for %q: we show %s, HAProxy %s", texts[n], h.name, sni, got, want)
				}
			}
		}
	}
}
