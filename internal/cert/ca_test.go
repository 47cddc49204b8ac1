package cert

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestCAFilesNeverFailOpen(t *testing.T) {
	root := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "root"})
	inter := issue(t, ecKey(elliptic.P256()), &root, 2, pkix.Name{CommonName: "inter"})
	for _, bad := range []string{"", "text", root.keyPEM(t), root.certPEM()[:100], root.certPEM() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if f, err := ParseCAs("ca.pem", []byte(bad)); err == nil || !strings.Contains(err.Error(), "ca.pem") {
			t.Errorf("%.30q gives %v, %v; want an error that names the file", bad, f, err)
		}
	}
	f, err := ParseCAs("ca.pem", []byte(strings.Repeat(root.certPEM(), 150)+inter.certPEM())) // more than a certificate's PEM may have
	if err != nil || f.Len() != 2 {
		t.Fatalf("%d certificates, want each once: %v", f.Len(), err)
	}
	if again, err := ParseCAs("ca.pem", f.PEM()); err != nil || string(again.PEM()) != root.certPEM()+inter.certPEM() {
		t.Errorf("written and read again: %v", err)
	}
	if more, err := f.With("ca.pem", []byte(inter.certPEM())); err != nil || more.Len() != 2 {
		t.Errorf("adding what is there: %v", err)
	}
	roots, intermediates := f.Pool()
	if roots.Equal(x509.NewCertPool()) || intermediates.Equal(x509.NewCertPool()) {
		t.Error("a pool is empty")
	}
	if got := f.Describe(1); !strings.HasPrefix(got, "Serial: 02\n") || !strings.HasSuffix(got, "Issuer: /CN=root\n") {
		t.Errorf("described as %s", got)
	}
}

func TestCRLs(t *testing.T) {
	ca := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "ca"})
	other := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "other"})
	revoked := issue(t, ecKey(elliptic.P256()), &ca, 0x1007, pkix.Name{CommonName: "r"})
	good := issue(t, ecKey(elliptic.P256()), &ca, 0x1008, pkix.Name{CommonName: "g"})
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(1700000000, 0), NextUpdate: time.Unix(1700086400, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0x1007), RevocationTime: time.Unix(1700000000, 0)}}}, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseCRLs("crl.pem", []byte(block2("X509 CRL", der)))
	if err != nil {
		t.Fatal(err)
	}
	if !f.Revoked(revoked.cert) || f.Revoked(good.cert) {
		t.Error("the wrong certificate is revoked")
	}
	if f.For(good.cert, ca.cert) == nil || f.For(good.cert, other.cert) != nil || f.For(other.cert, other.cert) != nil {
		t.Error("the list is found for the wrong issuer")
	}
	want := "Version 2\nSignature Algorithm: ecdsa-with-SHA256\nIssuer: /CN=ca\nLast Update: Nov 14 22:13:20 2023 GMT\nNext Update: Nov 15 22:13:20 2023 GMT\n" +
		"Revoked Certificates:\n    Serial Number: 1007\n        Revocation Date: Nov 14 22:13:20 2023 GMT\n"
	if got := f.Describe(0); got != want {
		t.Errorf("described as\n%s\nwant\n%s", got, want)
	}
	if f, err = ParseCRLs("crl.pem", []byte(block2("X509 CRL", firstVersion(t, der, ca)))); err != nil {
		t.Fatalf("a list of version 1: %v", err)
	}
	if !f.Revoked(revoked.cert) || f.Revoked(good.cert) || f.For(good.cert, ca.cert) == nil || f.For(good.cert, other.cert) != nil {
		t.Error("a list of version 1 does not count")
	}
	if got := f.Describe(0); got != strings.Replace(want, "Version 2", "Version 1", 1) {
		t.Errorf("a list of version 1 is described as\n%s", got)
	}
	for _, bad := range []string{"", ca.certPEM(), block2("X509 CRL", []byte("x"))} {
		if _, err := ParseCRLs("crl.pem", []byte(bad)); err == nil {
			t.Errorf("%.30q was taken as a list", bad)
		}
	}
}

// firstVersion is a list as `openssl ca -gencrl` writes it by default: version 1, which has neither a version nor extensions.
func firstVersion(t *testing.T, der []byte, ca made) []byte {
	t.Helper()
	var list struct {
		TBS struct {
			Version                int
			Algorithm, Issuer      asn1.RawValue
			ThisUpdate, NextUpdate asn1.RawValue
			Revoked                asn1.RawValue
			Extensions             asn1.RawValue `asn1:"tag:0,explicit"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &list); err != nil {
		t.Fatal(err)
	}
	v2 := list.TBS
	tbs, err := asn1.Marshal([]asn1.RawValue{v2.Algorithm, v2.Issuer, v2.ThisUpdate, v2.NextUpdate, v2.Revoked})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(tbs)
	signature, err := ca.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, list.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
