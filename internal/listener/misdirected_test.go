package listener

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"gatehouse/internal/cert"
)

// A handshake for one name does not open another name that demands a client certificate.
func TestANameThatDemandsACertificateIsNotReachedThroughAnother(t *testing.T) {
	a := newAuthority(t, "ca")
	x := cert.NewIndex(false)
	for _, e := range []struct{ name, verify string }{{"open.test", ""}, {"closed.test", "required"}} {
		x.Add(&cert.Entry{Name: e.name, Default: e.verify == "", Options: &cert.Options{Verify: e.verify, CAFile: "ca.pem"}}, a.bundle(t, e.name))
	}
	ca := a.caFile(t, "ca.pem")
	r := start(t, Options{Index: x, CA: func(string) *cert.CAFile { return ca }})
	for _, row := range []struct {
		sni, host string
		shows     bool
		want      bool
	}{
		{"open.test", "open.test", false, false}, {"open.test", "closed.test", false, true}, {"open.test", "CLOSED.test", false, true},
		{"open.test", "other.test", false, false}, {"", "closed.test", false, true},
		{"closed.test", "closed.test", true, false}, {"closed.test", "open.test", true, false}, {"closed.test", "Closed.test", true, false},
	} {
		cfg := &tls.Config{ServerName: row.sni, InsecureSkipVerify: true}
		if row.shows {
			cfg.Certificates = []tls.Certificate{a.client(t, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})}
		}
		if _, err := r.shakeHands(t, cfg); err != nil {
			t.Fatalf("%+v: %v", row, err)
		}
		if got := (<-r.served).TLS.Misdirected(row.host); got != row.want {
			t.Errorf("%+v: misdirected %v", row, got)
		}
	}
}
