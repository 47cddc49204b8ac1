package listener

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/gatetest"
	"gatehouse/internal/stats"

	"golang.org/x/crypto/ocsp"
)

// A response is sent to clients that ask, until it ends, and both are counted. The SCTs of the certificate are sent with and without it.
func TestAStapleIsSentUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := gatetest.NewResponder()
		if err != nil {
			t.Fatal(err)
		}
		pem, err := ca.Issue("", "a.example")
		if err != nil {
			t.Fatal(err)
		}
		b, err := cert.Parse("a", pem)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ocsp.ParseRequest(b.OCSPRequest())
		if err != nil {
			t.Fatal(err)
		}
		der, err := ca.Respond(q)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = b.WithOCSP(der); err != nil {
			t.Fatal(err)
		}
		if b, err = b.WithSCTL([]byte("\x00\x0a\x00\x03one\x00\x03two")); err != nil {
			t.Fatal(err)
		}
		index := cert.NewIndex(false)
		index.Add(&cert.Entry{Name: "a", Default: true}, b)
		var counters stats.Counters
		s, err := newServer(&Options{Index: index, TLS: &cert.Options{}, Counters: &counters})
		if err != nil {
			t.Fatal(err)
		}
		shake := func(max uint16) string {
			t.Helper()
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			srv := tls.Server(newWire(far), s.base)
			done := make(chan error, 1)
			go func() { done <- srv.Handshake() }()
			// crypto/tls's client always asks for a response
			c := tls.Client(near, &tls.Config{ServerName: "a.example", MaxVersion: max, InsecureSkipVerify: true,
				VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if scts := c.ConnectionState().SignedCertificateTimestamps; len(scts) != 2 || string(scts[0]) != "one" || string(scts[1]) != "two" {
				t.Errorf("SCTs are %q", scts)
			}
			return string(c.OCSPResponse())
		}
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if shake(v) != string(der) {
				t.Errorf("no response with version %x", v)
			}
		}
		time.Sleep(24*time.Hour - cert.OCSPSkew)
		if got := shake(tls.VersionTLS13); got != "" {
			t.Error("a response is sent in its last five minutes")
		}
		if got := shake(tls.VersionTLS12); got != "" {
			t.Error("a response is sent after its end")
		}
		if sent, missing := counters.SSLStapled.Load(), counters.SSLUnstapled.Load(); sent != 2 || missing != 2 {
			t.Errorf("counted %d with and %d without response, want 2 and 2", sent, missing)
		}
	})
}
