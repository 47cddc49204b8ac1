package engine

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// TestThreat_H07: the case of a server name and of a Host changes nothing about which certificate and which backend they get, and
// names that only contain a known one, or stretch a wildcard over other than one label, get neither.
func TestThreat_H07(t *testing.T) {
	e := newEdge(t, false)
	addr, one, two := freePort(t), webServer(t, "one"), webServer(t, "two")
	e.certificate("default.pem", 1, "default.test")
	e.certificate("site.pem", 2, "www.site.test", "*.wild.test")
	e.mustApply(fmt.Sprintf(base+`frontend f
    bind %s ssl crt DIR/default.pem crt DIR/site.pem
    use_backend site if { hdr(host) -i www.site.test }
    default_backend other
backend site
    server s %s
backend other
    server s %s
`, addr, one, two))
	e.run()
	for _, name := range []string{"www.site.test", "WWW.SITE.TEST", "Www.Site.Test", "www.site.test.", "x.wild.test", "X.WILD.Test"} {
		if n := serialOf(t, addr, name); n != 2 {
			t.Errorf("%s: serial %d, want 2", name, n)
		}
	}
	for _, name := range []string{"site.test", "www.site.test.evil.test", "a.b.wild.test", "wild.test"} {
		if n := serialOf(t, addr, name); n != 1 {
			t.Errorf("%s: serial %d, want the default's", name, n)
		}
	}
	for host, want := range map[string]string{"www.site.test": "one ", "WWW.Site.Test": "one ", "www.site.test.evil.test": "two ", "xwww.site.test": "two ",
		"www.site.test:443": "two ", "www.site.test.": "two ", // the field as it came: hdr(host) is no name (docs/differences.md)
	} {
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.site.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		answer, err := io.ReadAll(c)
		c.Close()
		if err != nil || !strings.HasSuffix(string(answer), want) {
			t.Errorf("Host %s: %q %v, want %q at the end", host, answer, err, want)
		}
	}
}

// TestThreat_H12: what a server says in clear text where TLS was asked for never reaches a client.
func TestThreat_H12(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected")
			c.Close()
		}
	}()
	e := newEdge(t, false)
	addr := freePort(t)
	e.mustApply(fmt.Sprintf(base+"    retries 0\nlisten l\n    bind %s\n    server s %s ssl verify none\n", addr, ln.Addr()))
	e.run()
	for range 3 {
		status, body := dial(t, addr).get()
		if status != 503 || strings.Contains(body, "injected") {
			t.Errorf("status %d, body %q", status, body)
		}
	}
}
