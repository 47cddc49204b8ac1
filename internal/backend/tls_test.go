package backend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/stream"
)

var serial int64

// authority signs server certificates.
type authority struct {
	key *ecdsa.PrivateKey
	crt *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := new(authority)
	a.crt, a.key = a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) sign(t testing.TB, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(serial), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.crt, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (a *authority) server(t testing.TB, cn string, names ...string) tls.Certificate {
	t.Helper()
	c, key := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: cn}, DNSNames: names})
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

func (a *authority) trust() (roots, between *x509.CertPool) { return a.roots(), nil }

func (a *authority) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.crt)
	return p
}

// serveTLS reads a ClientHello on c and begins to answer it.
func serveTLS(t testing.TB, c net.Conn) {
	t.Helper()
	crt := newAuthority(t).server(t, "x", "x")
	tls.Server(c, &tls.Config{Certificates: []tls.Certificate{crt}}).Handshake() // the other side hangs up
	c.Close()
}

// tlsEcho is echo over TLS.
func tlsEcho(t testing.TB, crt tls.Certificate) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{crt}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); io.Copy(c, c) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func secure(t testing.TB, address string, o *TLSOptions) ServerOptions {
	s := at(t, "s1", address)
	s.TLS = o
	return s
}

func forHost(host string) *stream.Stream {
	s := newStream()
	s.Req.Fields = append(s.Req.Fields, stream.Field{Name: []byte("host"), Value: []byte(host)})
	return s
}

func TestServerCertificatesAreVerified(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	address := tlsEcho(t, ca.server(t, "cn.test", "a.test", "*.wild.test"))
	old := tlsEcho(t, ca.server(t, "cn.test"))
	for _, test := range []struct {
		name, address, host, verifyHost string
		roots                           *x509.CertPool
		verify, want                    bool
	}{
		{"not verified", address, "x.test", "", nil, false, true},
		{"right name", address, "a.test:8443", "", ca.roots(), true, true},
		{"name in capitals", address, "A.TEST", "", ca.roots(), true, true},
		{"wildcard", address, "x.wild.test", "", ca.roots(), true, true},
		{"wildcard over two labels", address, "x.y.wild.test", "", ca.roots(), true, false},
		{"wildcard over none", address, "wild.test", "", ca.roots(), true, false},
		{"wrong name", address, "b.test", "", ca.roots(), true, false},
		{"verifyhost right", address, "b.test", "a.test", ca.roots(), true, true},
		{"verifyhost wrong", address, "a.test", "b.test", ca.roots(), true, false},
		{"common name beside DNS names", address, "cn.test", "", ca.roots(), true, false},
		{"common name alone", old, "cn.test", "", ca.roots(), true, true},
		{"no name to check", address, "127.0.0.1", "", ca.roots(), true, true},
		{"wrong authority", address, "a.test", "", other.roots(), true, false},
		{"no authority", address, "a.test", "", nil, true, false},
	} {
		o := &TLSOptions{Verify: test.verify, VerifyHost: test.verifyHost, Trust: func() (roots, between *x509.CertPool) { return test.roots, nil }}
		b := build(t, Options{HTTP: true, Servers: []ServerOptions{secure(t, test.address, o)}}, nil)
		c, err := b.Connect(t.Context(), forHost(test.host), ConnectOptions{})
		if (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil {
			if c.State() == nil || !c.TLS {
				t.Errorf("%s: no TLS", test.name)
			}
			c.Release(false)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != HandshakeFailed || e.Status != 503 {
			t.Errorf("%s: %#v", test.name, err)
		}
	}
}

func TestIntermediatesOfTheCAFileCompleteAChain(t *testing.T) {
	root := newAuthority(t)
	middle := new(authority)
	middle.crt, middle.key = root.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "middle"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	address := tlsEcho(t, middle.server(t, "a.test", "a.test")) // sends its leaf alone
	for _, between := range []*x509.CertPool{nil, middle.roots()} {
		b := build(t, Options{HTTP: true, Servers: []ServerOptions{secure(t, address, &TLSOptions{Verify: true, Trust: func() (*x509.CertPool, *x509.CertPool) { return root.roots(), between }})}}, nil)
		c, err := b.Connect(t.Context(), forHost("a.test"), ConnectOptions{})
		if (err == nil) != (between != nil) {
			t.Errorf("with intermediates %v: %v", between != nil, err)
		}
		if err == nil {
			c.Release(false)
		}
	}
}

func TestPatternsWithControlBytesMatchNothing(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{{"a.test", "a.test", true}, {"a.test\x00.evil", "a.test", false}, {"*", "a", false}, {"*.test", "a.test", true}, {"*.test", ".test", false}, {"a*.test", "ab.test", false}, {"", "", false}} {
		if got := nameMatches(test.pattern, test.name); got != test.want {
			t.Errorf("%q for %q: %v", test.pattern, test.name, got)
		}
	}
}

func TestIdleTLSConnectionsBelongToTheirName(t *testing.T) {
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{secure(t, tlsEcho(t, newAuthority(t).server(t, "x")), &TLSOptions{})}}, nil)
	first := connect(t, b, forHost("a.test"), ConnectOptions{})
	if first.SNI != "a.test" || first.State().Version != tls.VersionTLS13 {
		t.Fatalf("name %q, %+v", first.SNI, first.State())
	}
	first.Write([]byte("x"))
	first.Read(make([]byte, 1)) // the tickets come before
	first.Release(true)
	other := connect(t, b, forHost("b.test"), ConnectOptions{})
	if other.Reused {
		t.Error("a connection for another name was taken")
	}
	again := connect(t, b, forHost("a.test"), ConnectOptions{})
	if again != first {
		t.Error("the connection for the name was not taken")
	}
	other.Release(false)
	again.Release(false)
	resumed := connect(t, b, forHost("a.test"), ConnectOptions{})
	if !resumed.State().DidResume || b.Server("s1").Counters().SSLResumed.Load() != 1 {
		t.Error("the session was not resumed")
	}
	resumed.Release(false)
}

func TestReloadAsksTheAuthoritiesItRead(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	address := tlsEcho(t, ca.server(t, "a.test", "a.test"))
	options := func(a *authority) Options {
		return Options{HTTP: true, Servers: []ServerOptions{secure(t, address, &TLSOptions{Verify: true, Key: "same", Trust: a.trust})}}
	}
	old := build(t, options(ca), nil)
	c := connect(t, old, forHost("a.test"), ConnectOptions{})
	c.Write([]byte("x"))
	c.Read(make([]byte, 1))
	c.Release(true)
	next := build(t, options(ca), old)
	if c := connect(t, next, forHost("a.test"), ConnectOptions{}); !c.Reused {
		t.Error("equal options: the idle connection was not taken")
	} else {
		c.Release(false)
	}
	if c, err := build(t, options(other), next).Connect(t.Context(), forHost("a.test"), ConnectOptions{}); err == nil {
		t.Errorf("the old authority was asked, resumed %v", c.State().DidResume)
	}
}

func TestServerNamesThatAreNone(t *testing.T) {
	s := build(t, Options{HTTP: true, Servers: []ServerOptions{secure(t, "127.0.0.1:1", &TLSOptions{})}}, nil).Server("s1")
	for host, want := range map[string]string{"a.test:80": "a.test", "[::1]:80": "", "192.0.2.1": "", "": "", "a b": "", "A.test": "A.test"} {
		if got := string(s.serverName(forHost(host))); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	s.o.SNI = func(dst []byte, _ *stream.Stream) []byte { return append(dst, "fixed.test"...) }
	if got := string(s.serverName(forHost("a.test"))); got != "fixed.test" {
		t.Errorf("sni expression: %q", got)
	}
}

func TestFailuresOfConnectionsHaveHAProxysNumbers(t *testing.T) {
	for _, row := range []struct {
		err        error
		bc, packed int
	}{
		{&verifyError{bcMismatch, errors.New("x")}, 32, 20<<23 | 134}, {io.ErrUnexpectedEOF, 34, 0}, {context.DeadlineExceeded, 0, 0},
		{tls.RecordHeaderError{}, 34, 20<<23 | 267}, {syscall.ECONNRESET, 34, 0}, {errors.New("tls: server selected unsupported protocol version 303"), 34, 20<<23 | 258},
	} {
		if bc, packed := handshakeErr(row.err); bc != row.bc || packed != row.packed {
			t.Errorf("%v: %d %d, want %d %d", row.err, bc, packed, row.bc, row.packed)
		}
	}
	for err, want := range map[error]int{syscall.ECONNREFUSED: 47, syscall.EPIPE: 57, os.ErrDeadlineExceeded: 0, errors.New("other"): 6} {
		if got := connectErr(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
