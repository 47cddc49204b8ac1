package listener

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// authority issues certificates for tests.
type authority struct {
	key *ecdsa.PrivateKey
	crt *x509.Certificate
}

var serials int64 = 1

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.crt = issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, a.key, nil)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue signs a template for key; without an authority the certificate is self-signed.
func issue(t testing.TB, c *x509.Certificate, key *ecdsa.PrivateKey, by *authority) *x509.Certificate {
	t.Helper()
	serials++
	c.SerialNumber = big.NewInt(serials)
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.crt, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.crt.Raw})
}

func (a *authority) caFile(t testing.TB, name string) *cert.CAFile {
	t.Helper()
	f, err := cert.ParseCAs(name, a.pem())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.crt)
	return p
}

// bundle is a server certificate for names.
func (a *authority) bundle(t testing.TB, names ...string) *cert.Bundle {
	t.Helper()
	key := newKey(t)
	c := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}, key, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	b, err := cert.Parse(names[0], text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// client is a client certificate.
func (a *authority) client(t testing.TB, template x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	if template.Subject.CommonName == "" {
		template.Subject.CommonName = "client"
	}
	c := issue(t, &template, key, a)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// running is a listener on loopback whose served connections are told to the test and then echo one byte until they end.
type running struct {
	*Listener
	served chan *stream.Conn
	errors chan string
	stop   func() error
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	return startAt(t, "127.0.0.1:0", o)
}

func startAt(t testing.TB, address string, o Options) *running {
	t.Helper()
	socket, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{served: make(chan *stream.Conn, 100), errors: make(chan string, 100)}
	if o.Serve == nil {
		o.Serve = func(ctx context.Context, nc net.Conn, c *stream.Conn) {
			defer nc.Close()
			r.served <- c
			var b [1]byte
			for {
				if _, err := io.ReadFull(nc, b[:]); err != nil {
					return
				}
				if _, err := nc.Write(b[:]); err != nil {
					return
				}
			}
		}
	}
	o.ErrorLog = func(_ *stream.Conn, text string) { r.errors <- text }
	if r.Listener, err = New(socket, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		r.Kill()
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// index has one entry per bundle; the first is the default.
func index(strict bool, bundles ...*cert.Bundle) *cert.Index {
	x := cert.NewIndex(strict)
	for i, b := range bundles {
		x.Add(&cert.Entry{Name: b.Names[0], Line: i + 1, Default: i == 0 && !strict, Options: &cert.Options{}}, b)
	}
	return x
}

// shakeHands connects with cfg and sends a byte back and forth, so that tickets and late alerts have arrived.
func (r *running) shakeHands(t testing.TB, cfg *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	c, err := tls.Dial("tcp", r.Addr().String(), cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return nil, err
	}
	state := c.ConnectionState()
	return &state, nil
}

func TestServerNameSelectsTheCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, Options{Frontend: "fe", Name: "b1", HTTP: true, TLS: &cert.Options{},
		Index: index(false, ca.bundle(t, "default.test"), ca.bundle(t, "a.test"), ca.bundle(t, "*.wild.test"))})
	for sni, want := range map[string]string{"a.test": "a.test", "A.TEST": "a.test", "x.wild.test": "*.wild.test", "x.y.wild.test": "default.test", "other": "default.test", "": "default.test"} {
		state, err := r.shakeHands(t, &tls.Config{ServerName: sni, InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatalf("%q: %v", sni, err)
		}
		if got := state.PeerCertificates[0].DNSNames[0]; got != want || state.NegotiatedProtocol != "http/1.1" || state.CurveID != tls.X25519 {
			t.Errorf("%q: certificate %q, want %q; protocol %q, curve %v", sni, got, want, state.NegotiatedProtocol, state.CurveID)
		}
		c := <-r.served
		if c.TLS.SNI != sni && sni != "" || c.TLS.Crt != want || c.TLS.Version != tls.VersionTLS13 || c.TLS.ALPN != "http/1.1" || c.TLS.Curve != tls.X25519 ||
			c.TLS.Cipher == 0 || c.BindName != "b1" || c.Frontend != "fe" || !c.Src.IsValid() || !c.Dst.IsValid() || c.Handshake <= 0 {
			t.Errorf("%q: facts %+v %+v", sni, c, c.TLS)
		}
	}
}

func TestStrictSNIRefusesUnknownNames(t *testing.T) {
	ca := newAuthority(t, "ca")
	counters := new(stats.Counters)
	r := start(t, Options{TLS: &cert.Options{}, Index: index(true, ca.bundle(t, "a.test")), Counters: counters})
	for _, sni := range []string{"", "b.test"} {
		_, err := r.shakeHands(t, &tls.Config{ServerName: sni, InsecureSkipVerify: true})
		if err == nil || err.Error() != "remote error: tls: unrecognized name" {
			t.Errorf("%q: got %v", sni, err)
		}
		if text := <-r.errors; text != "SSL handshake failure (error:0A0000EA:SSL routines::callback failed)" {
			t.Errorf("%q: logged %q", sni, text)
		}
	}
	if _, err := r.shakeHands(t, &tls.Config{ServerName: "a.test", RootCAs: ca.pool()}); err != nil {
		t.Errorf("known name: %v", err)
	}
	if counters.SSLFailed.Load() != 2 || counters.SSLConns.Load() != 1 {
		t.Errorf("failed %d, done %d", counters.SSLFailed.Load(), counters.SSLConns.Load())
	}
}

func TestHandshakeThatNeverComesTimesOut(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, Options{TLS: &cert.Options{}, Index: index(false, ca.bundle(t, "a.test")), HandshakeTimeout: 20 * time.Millisecond})
	c, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("silent client was told %v", err)
	}
	if text := <-r.errors; text != "Timeout during SSL handshake" {
		t.Errorf("logged %q", text)
	}
}

func TestFailedHandshakesAreNamed(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, Options{TLS: &cert.Options{MinVer: tls.VersionTLS13}, Index: index(false, ca.bundle(t, "a.test"))})
	for _, test := range []struct {
		send, want string
	}{
		{"", "Connection closed during SSL handshake"},
		{"\x16\x03\x01\x00\x80xx", "Connection closed during SSL handshake"},
		{"GET / HTTP/1.0\r\n\r\n", "SSL handshake failure (error:0A00009C:SSL routines::http request)"},
	} {
		c, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, test.send)
		c.(*net.TCPConn).CloseWrite()
		if text := <-r.errors; text != test.want {
			t.Errorf("%q: logged %q, want %q", test.send, text, test.want)
		}
		c.Close()
	}
	if _, err := r.shakeHands(t, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}); err == nil {
		t.Error("TLS 1.2 was accepted below ssl-min-ver TLSv1.3")
	}
}

func TestCommitShowsInTheNextHandshake(t *testing.T) {
	ca := newAuthority(t, "ca")
	x := index(false, ca.bundle(t, "a.test"))
	r := start(t, Options{TLS: &cert.Options{}, Index: x, Tickets: NewTickets()})
	for range 5 {
		next := ca.bundle(t, "a.test")
		x.Update(x.Entries()[0], next)
		state, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if !state.PeerCertificates[0].Equal(next.X509()) {
			t.Fatal("an old certificate was shown after the update returned")
		}
	}
}
