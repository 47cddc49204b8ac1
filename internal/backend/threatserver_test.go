package backend

import (
	"crypto/x509"
	"testing"
)

// TestThreat_T06: a server's certificate proves a name only as RFC 9525 says: no name with a control byte in it, no wildcard over more than one label or inside one, no
// common name beside DNS names; an empty verifyhost is none, so that the name presented counts; and an authority that is not ours proves nothing.
func TestThreat_T06(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		cn, san, host, verifyHost string
		by                        *authority
		want                      bool
	}{
		{"", "a.test", "a.test", "", ca, true},
		{"", "a.test", "a.test", "", other, false},
		{"", "a.test\x00.evil.test", "a.test", "", ca, false},
		{"", "*.test", "a.b.test", "", ca, false},
		{"", "*.test", "a.test", "", ca, true},
		{"", "*.test", ".test", "", ca, false},
		{"", "*", "test", "", ca, false},
		{"", "a*.test", "ab.test", "", ca, false},
		{"a.test", "b.test", "a.test", "", ca, false},
		{"a.test\x00.evil.test", "", "a.test", "", ca, false},
		{"", "b.test", "a.test", "", ca, false},
		{"", "b.test", "a.test", "b.test", ca, true},
		{"", "a.test", "a.test", "b.test", ca, false},
	} {
		var sans []string
		if test.san != "" {
			sans = []string{test.san}
		}
		address := tlsEcho(t, test.by.server(t, test.cn, sans...))
		b := build(t, Options{HTTP: true, Servers: []ServerOptions{secure(t, address, &TLSOptions{Verify: true, VerifyHost: test.verifyHost, Trust: ca.trust})}}, nil)
		c, err := b.Connect(t.Context(), forHost(test.host), ConnectOptions{})
		if (err == nil) != test.want {
			t.Errorf("%+q for %q, verifyhost %q: %v, want in %v", []string{test.cn, test.san}, test.host, test.verifyHost, err, test.want)
		}
		if err == nil {
			c.Release(false)
		}
	}
	if named(&x509.Certificate{}, "") {
		t.Error("a certificate without names is for the empty name")
	}
}
