package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"
)

// sample is a certificate with something in every field that rules ask about.
func sample(t testing.TB, sign any) *x509.Certificate {
	t.Helper()
	var pub any
	switch k := sign.(type) {
	case *ecdsa.PrivateKey:
		pub = &k.PublicKey
	case *rsa.PrivateKey:
		pub = &k.PublicKey
	}
	u, _ := url.Parse("https://example.test/x")
	serial, _ := new(big.Int).SetString("F00000000000000000000001", 16)
	c := &x509.Certificate{SerialNumber: serial, NotBefore: time.Date(2023, 9, 20, 17, 26, 0, 0, time.UTC), NotAfter: time.Date(2060, 1, 2, 3, 4, 5, 0, time.UTC),
		Subject:  pkix.Name{Country: []string{"FR"}, Organization: []string{"Ex, Inc."}, OrganizationalUnit: []string{"a", "b"}, CommonName: "www é #1 "},
		DNSNames: []string{"www.example.test"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}, EmailAddresses: []string{"a@example.test"}, URIs: []*url.URL{u}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, pub, sign)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFieldsAreReadAsTheyAreEncoded(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		key               any
		name, alg, signed string
	}{{ec, "EC384", "id-ecPublicKey", "ecdsa-with-SHA384"}, {rs, "RSA2048", "rsaEncryption", "RSA-SHA256"}} {
		c := sample(t, row.key)
		f, ok := ReadFields(c.Raw)
		if !ok {
			t.Fatal("not read")
		}
		if f.Version != 3 || f.KeyName() != row.name || f.KeyAlg() != row.alg || f.SigAlg() != row.signed {
			t.Errorf("version %d, key %s %s, signed %s", f.Version, f.KeyName(), f.KeyAlg(), f.SigAlg())
		}
		if !bytes.Equal(f.Serial, c.SerialNumber.Bytes()) || !bytes.Equal(f.Subject, c.RawSubject) || !bytes.Equal(f.Issuer, c.RawIssuer) {
			t.Errorf("serial %x, subject %x, issuer %x", f.Serial, f.Subject, f.Issuer)
		}
		if from, to := string(f.NotBefore.Text()), string(f.NotAfter.Text()); from != "230920172600Z" || to != "600102030405Z" {
			t.Errorf("from %s to %s", from, to)
		}
		const names = "DNS:www.example.test, email:a@example.test, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:https://example.test/x"
		if got := AltNames(f.SubjectAltName()); got != names {
			t.Errorf("names %s", got)
		}
	}
}

// The expected texts are what `openssl x509 -nameopt RFC2253` prints.
func TestNamesArePrintedAsRFC2253Says(t *testing.T) {
	raw := func(n pkix.RDNSequence) []byte {
		der, err := asn1.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	cn, o, c := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 6}
	for _, row := range []struct {
		name pkix.RDNSequence
		want string
	}{
		{pkix.RDNSequence{{{Type: c, Value: "FR"}}, {{Type: o, Value: "Ex, Inc."}}, {{Type: cn, Value: "www"}}}, `CN=www,O=Ex\, Inc.,C=FR`},
		{pkix.RDNSequence{{{Type: c, Value: "FR"}, {Type: cn, Value: "b"}}}, "C=FR+CN=b"},
		{pkix.RDNSequence{{{Type: cn, Value: " é\x01\";"}}}, `CN=\ \C3\A9\01\"\;`},
		{pkix.RDNSequence{{{Type: cn, Value: "#1 "}}}, `CN=\#1\ `},
		{pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "x"}}}, "1.2.3.4=#130178"},
		{nil, ""},
	} {
		if got := DN2253(raw(row.name)); got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
	}
}

func TestPartsOfANameAreCountedFromBothEnds(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	name := sample(t, ec).RawSubject
	for _, row := range []struct {
		entry string
		n     int
		want  string
		ok    bool
	}{{"OU", 1, "a", true}, {"ou", 2, "b", true}, {"OU", -1, "b", true}, {"OU", -2, "a", true}, {"OU", 3, "", false}, {"OU", 0, "", false}, {"ST", 1, "", false}} {
		if got, ok := DNEntryOf(name, row.entry, row.n); string(got) != row.want || ok != row.ok {
			t.Errorf("%s %d: got %q %v", row.entry, row.n, got, ok)
		}
	}
}

func TestErrorsHaveOpenSSLsTexts(t *testing.T) {
	for code, want := range map[int]string{0: "", 20<<23 | 1048: "error:0A000418:SSL routines::tlsv1 alert unknown ca", 20<<23 | 7: "error:0A000007:SSL routines::reason(7)"} {
		if got := SSLError(code); got != want {
			t.Errorf("%x: got %q, want %q", code, got, want)
		}
	}
}

func FuzzFields(f *testing.F) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.Add(sample(f, ec).Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, ok := ReadFields(der)
		if !ok {
			return
		}
		AltNames(c.SubjectAltName())
		for _, name := range [][]byte{c.Subject, c.Issuer} {
			DN(name)
			DN2253(name)
			DNEntryOf(name, "CN", -1)
		}
		if x, err := x509.ParseCertificate(der); err == nil && x.Version != c.Version {
			t.Fatalf("version %d, want %d", c.Version, x.Version)
		}
	})
}
