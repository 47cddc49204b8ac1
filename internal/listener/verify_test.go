package listener

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"gatehouse/internal/cert"
)

// crl is a revocation list of the authority naming certificates.
func (a *authority) crl(t testing.TB, revoked ...*x509.Certificate) *cert.CRLFile {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.crt, a.key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := cert.ParseCRLs("crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (a *authority) under(t testing.TB, name string) *authority {
	t.Helper()
	i := &authority{key: newKey(t)}
	i.crt = issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}, i.key, a)
	return i
}

func TestClientCertificatesAreJudgedAsOpenSSLDoes(t *testing.T) {
	root, stranger := newAuthority(t, "root"), newAuthority(t, "stranger")
	middle := root.under(t, "middle")
	lost := stranger.under(t, "lost")
	past := x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}
	later := x509.Certificate{NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}
	server := x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	own := newAuthority(t, "own").crt
	good, deep := root.client(t, x509.Certificate{}).Leaf, middle.client(t, x509.Certificate{}).Leaf
	all := cert.ErrorSet{All: true}
	for _, test := range []struct {
		name    string
		chain   []*x509.Certificate
		crl     *cert.CRLFile
		o       cert.Options
		want    verdict
		wantBad bool
	}{
		{name: "good", chain: []*x509.Certificate{good}},
		{name: "good through an intermediate", chain: []*x509.Certificate{deep, middle.crt}},
		{name: "intermediate missing", chain: []*x509.Certificate{deep}, want: verdict{last: 20, crt: 20}, wantBad: true},
		{name: "unknown authority", chain: []*x509.Certificate{stranger.client(t, x509.Certificate{}).Leaf}, want: verdict{last: 20, crt: 20}, wantBad: true},
		{name: "unknown authority ignored", chain: []*x509.Certificate{stranger.client(t, x509.Certificate{}).Leaf}, o: cert.Options{CrtIgnoreErr: all}, want: verdict{last: 21, crt: 20}},
		{name: "self-signed", chain: []*x509.Certificate{own}, want: verdict{last: 18, crt: 18}, wantBad: true},
		{name: "unknown root presented", chain: []*x509.Certificate{stranger.client(t, x509.Certificate{}).Leaf, stranger.crt}, want: verdict{last: 19, ca: 19, caDepth: 1}, wantBad: true},
		{name: "that ignored as of the certificate", chain: []*x509.Certificate{stranger.client(t, x509.Certificate{}).Leaf, stranger.crt},
			o: cert.Options{CrtIgnoreErr: all}, want: verdict{last: 19, ca: 19, caDepth: 1}, wantBad: true},
		{name: "that ignored as of the authority", chain: []*x509.Certificate{stranger.client(t, x509.Certificate{}).Leaf, stranger.crt},
			o: cert.Options{CAIgnoreErr: cert.ErrorSet{Codes: []int{19}}}, want: verdict{last: 19, ca: 19, caDepth: 1}},
		{name: "root of the intermediate unknown", chain: []*x509.Certificate{lost.client(t, x509.Certificate{}).Leaf, lost.crt}, want: verdict{last: 20, ca: 20, caDepth: 1}, wantBad: true},
		{name: "expired", chain: []*x509.Certificate{root.client(t, past).Leaf}, want: verdict{last: 10, crt: 10}, wantBad: true},
		{name: "expired, ignored", chain: []*x509.Certificate{root.client(t, past).Leaf}, o: cert.Options{CrtIgnoreErr: cert.ErrorSet{Codes: []int{10}}}, want: verdict{last: 10, crt: 10}},
		{name: "expired and unknown, only one ignored", chain: []*x509.Certificate{stranger.client(t, past).Leaf}, o: cert.Options{CrtIgnoreErr: cert.ErrorSet{Codes: []int{10}}}, want: verdict{last: 20, crt: 20}, wantBad: true},
		{name: "not yet valid", chain: []*x509.Certificate{root.client(t, later).Leaf}, want: verdict{last: 9, crt: 9}, wantBad: true},
		{name: "made for servers", chain: []*x509.Certificate{root.client(t, server).Leaf}, want: verdict{last: 26, crt: 26}, wantBad: true},
		{name: "not revoked", chain: []*x509.Certificate{good}, crl: root.crl(t)},
		{name: "revoked", chain: []*x509.Certificate{good}, crl: root.crl(t, good), want: verdict{last: 23, crt: 23}, wantBad: true},
		{name: "revoked, ignored", chain: []*x509.Certificate{good}, crl: root.crl(t, good), o: cert.Options{CrtIgnoreErr: cert.ErrorSet{Codes: []int{23}}}, want: verdict{last: 23, crt: 23}},
		{name: "list of another authority", chain: []*x509.Certificate{good}, crl: stranger.crl(t), want: verdict{last: 3, crt: 3}, wantBad: true},
	} {
		tr := newTrust(trustKey{ca: root.caFile(t, "root"), crl: test.crl})
		got := tr.judge(test.chain, &test.o, time.Now())
		if got.last != test.want.last || got.crt != test.want.crt || got.ca != test.want.ca || got.caDepth != test.want.caDepth || got.bad != test.wantBad || (got.err() != nil) != test.wantBad {
			t.Errorf("%s: got %+v, want %+v bad %v", test.name, got, test.want, test.wantBad)
		}
	}
}

func TestMissingCAFileRefusesEveryClient(t *testing.T) {
	ca, clients := newAuthority(t, "ca"), newAuthority(t, "clients")
	r := start(t, Options{TLS: &cert.Options{Verify: "required", CAFile: "gone", CrtIgnoreErr: cert.ErrorSet{All: true}}, Index: index(false, ca.bundle(t, "a.test")),
		CA: func(string) *cert.CAFile { return nil }})
	if _, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{clients.client(t, x509.Certificate{})}}); err == nil {
		t.Error("a client came in although there is nothing to verify it against")
	}
	if text := <-r.errors; text != "SSL client certificate not trusted" {
		t.Errorf("logged %q", text)
	}
	if _, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a client without a certificate came in")
	}
	if text := <-r.errors; text != "SSL handshake failure (error:0A0000C7:SSL routines::peer did not return a certificate)" {
		t.Errorf("logged %q", text)
	}
}
