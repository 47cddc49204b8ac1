package cert

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// bought is what an authority sends, taken apart.
type bought struct {
	key              crypto.Signer
	leaf, sub, root  *x509.Certificate
	stranger         *x509.Certificate
	otherKey, subKey crypto.Signer
}

func buy(t *testing.T) bought {
	t.Helper()
	b := bought{}
	sign := func(shape *x509.Certificate, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
		t.Helper()
		serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
		if err != nil {
			t.Fatal(err)
		}
		shape.SerialNumber, shape.NotBefore, shape.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if parent == nil {
			parent = shape
		}
		der, err := x509.CreateCertificate(rand.Reader, shape, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	keys := make([]crypto.Signer, 4)
	for i := range keys {
		var err error
		if keys[i], err = NewKey("ecdsa"); err != nil {
			t.Fatal(err)
		}
	}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	b.root = sign(ca("Root"), nil, keys[0], keys[0])
	b.sub = sign(ca("Sub"), b.root, keys[1], keys[0])
	b.leaf = sign(&x509.Certificate{Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"}}, b.sub, keys[2], keys[1])
	b.stranger = sign(ca("Stranger"), b.root, keys[3], keys[0])
	b.key, b.otherKey, b.subKey = keys[2], keys[3], keys[1]
	return b
}

func pemOf(c *x509.Certificate) []byte { return appendBlock(nil, "CERTIFICATE", c.Raw) }

func keyOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	text, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// p7b wraps certificates as authorities do: a SignedData without signature.
func p7b(t *testing.T, certs ...*x509.Certificate) []byte {
	t.Helper()
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	type contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"optional"`
	}
	must := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	signed := must(struct {
		Version int
		Digests []asn1.RawValue `asn1:"set"`
		Content contentInfo
		Certs   asn1.RawValue
		Signers []asn1.RawValue `asn1:"set"`
	}{1, nil, contentInfo{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: all}, nil})
	return must(contentInfo{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: signed}})
}

func TestPiecesInAnyFormAndOrderGiveOneCertificate(t *testing.T) {
	b := buy(t)
	p8, err := x509.MarshalPKCS8PrivateKey(b.key)
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern.Encode(b.key, b.leaf, []*x509.Certificate{b.root, b.sub}, "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	old, err := pkcs12.LegacyDES.Encode(b.key, b.leaf, []*x509.Certificate{b.sub}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := string(keyOf(t, b.key)) + string(pemOf(b.leaf)) + string(pemOf(b.sub))
	for name, files := range map[string][][]byte{
		"key, leaf, chain":         {keyOf(t, b.key), pemOf(b.leaf), append(pemOf(b.sub), pemOf(b.root)...)},
		"root first, key last":     {append(pemOf(b.root), pemOf(b.sub)...), pemOf(b.leaf), keyOf(t, b.key)},
		"one file, shuffled":       {[]byte(string(pemOf(b.sub)) + "\nBag Attributes\n" + string(pemOf(b.leaf)) + string(keyOf(t, b.key)))},
		"DER":                      {b.sub.Raw, p8, b.leaf.Raw},
		"PKCS#7 of DER":            {p7b(t, b.root, b.sub, b.leaf), keyOf(t, b.key)},
		"PKCS#7 of PEM":            {appendBlock(nil, "PKCS7", p7b(t, b.leaf, b.sub)), p8},
		"PKCS#12":                  {pfx},
		"PKCS#12, no passphrase":   {old},
		"twice, and one too many":  {pemOf(b.leaf), pemOf(b.leaf), pemOf(b.sub), pemOf(b.stranger), keyOf(t, b.key), keyOf(t, b.otherKey)},
		"the key of the authority": {keyOf(t, b.key), pemOf(b.leaf), pemOf(b.sub)},
	} {
		p := &Pieces{Passphrase: func() ([]byte, error) { return []byte("open sesame"), nil }}
		for i, data := range files {
			if err := p.Add("file", data); err != nil {
				t.Fatalf("%s: file %d: %v", name, i, err)
			}
		}
		j, err := p.Join("x")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(j.Bundle.FilePEM(true)); got != want || !j.Bundle.Linked() {
			t.Errorf("%s: got another text than key, leaf and chain in this order (%d bytes, want %d)", name, len(got), len(want))
		}
		if name == "twice, and one too many" && !strings.Contains(strings.Join(j.Notes, "\n"), "left out Stranger") {
			t.Errorf("%s: notes %q do not tell of the stranger", name, j.Notes)
		}
	}
}

func TestPiecesThatDoNotFitSayWhy(t *testing.T) {
	b := buy(t)
	pfx, err := pkcs12.Modern.Encode(b.key, b.leaf, nil, "open sesame")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile("testdata/sealed/traditional-des3.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		files [][]byte
		want  string
	}{
		{"no certificate", [][]byte{keyOf(t, b.key)}, "there is no certificate in the files"},
		{"authorities only", [][]byte{pemOf(b.sub), pemOf(b.root)}, "all certificates in the files are those of authorities"},
		{"no key", [][]byte{pemOf(b.leaf), pemOf(b.sub)}, "the key of the certificate for a.test (ecdsa) is missing"},
		{"another key", [][]byte{pemOf(b.leaf), keyOf(t, b.otherKey)}, "the key in file does not belong to the certificate for a.test"},
		{"garbage", [][]byte{[]byte("hello")}, "neither PEM nor DER"},
		{"indefinite length", [][]byte{{0x30, 0x80, 6, 9, 42, 134, 72, 134, 247, 13, 1, 7, 2}}, "BER of indefinite length"},
		{"PKCS#7 cut short", [][]byte{p7b(t, b.leaf)[:200]}, "neither PEM nor DER"},
		{"wrong passphrase", [][]byte{pfx}, "the passphrase does not open it"},
		{"encrypted key", [][]byte{appendBlock(nil, "ENCRYPTED PRIVATE KEY", []byte("x")), pemOf(b.leaf)}, "openssl pkey -in FILE -out KEY"},
		{"encrypted key, wrong passphrase", [][]byte{sealed, pemOf(b.leaf)}, "the passphrase does not open it"},
	} {
		p := &Pieces{Passphrase: func() ([]byte, error) { return []byte("wrong"), nil }}
		var errs []error
		for _, data := range c.files {
			errs = append(errs, p.Add("file", data))
		}
		err := errors.Join(errs...)
		if err == nil {
			_, err = p.Join("x")
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong\n") {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
	p := &Pieces{}
	if err := errors.Join(p.Add("f", pemOf(b.leaf)), p.Add("f", keyOf(t, b.key))); err != nil {
		t.Fatal(err)
	}
	if j, err := p.Join("x"); err != nil || len(j.Notes) != 1 || !strings.Contains(j.Notes[0], "no certificate of its issuer /CN=Sub was given") {
		t.Errorf("without the intermediate: %v, %+v", err, j)
	}
	if err := (&Pieces{}).Add("f", pfx); !errors.Is(err, ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
}

func TestRequestsAndCertificatesBearTheNamesThatWereAsked(t *testing.T) {
	key, err := NewKey("ecdsa-p384")
	if err != nil {
		t.Fatal(err)
	}
	text, err := NewRequest(Shape{Names: []string{"Bücher.example", "*.example.com", "192.0.2.1", "*.example.com"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := splitPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(blocks[0].der)
	if err != nil || csr.CheckSignature() != nil || strings.Join(csr.DNSNames, " ") != "xn--bcher-kva.example *.example.com" || len(csr.IPAddresses) != 1 || csr.Subject.CommonName != "xn--bcher-kva.example" {
		t.Errorf("got %+v, %v", csr, err)
	}
	for _, bad := range [][]string{nil, {"a b"}, {"-a.test"}, {""}, {"*.*.a"}} {
		if _, err := NewRequest(Shape{Names: bad}, key); err == nil {
			t.Errorf("a request for %q was made", bad)
		}
	}
	if _, err := NewKey("dsa"); err == nil || !strings.Contains(err.Error(), "ecdsa, ecdsa-p384, rsa") {
		t.Errorf("NewKey(dsa): %v", err)
	}
	shape := Shape{Subject: pkix.Name{CommonName: "Local"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), CA: true}
	ca, err := Make(shape, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	shape = Shape{Names: []string{"a.test"}, NotBefore: shape.NotBefore, NotAfter: shape.NotAfter}
	leafKey, err := NewKey("rsa")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := Make(shape, leafKey, ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.X509())
	if _, err := leaf.X509().Verify(x509.VerifyOptions{Roots: pool, DNSName: "a.test"}); err != nil || leaf.CheckKey() != nil {
		t.Errorf("the leaf does not verify: %v, %v", err, leaf.CheckKey())
	}
	if _, err := Make(shape, leafKey, leaf); err == nil {
		t.Error("a leaf signed a certificate")
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte("-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n"))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x03})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &Pieces{}
		if p.Add("f", data) != nil {
			return
		}
		if j, err := p.Join("f"); err == nil && j.Bundle.CheckKey() != nil {
			t.Errorf("joined with a key that does not belong: %v", j.Bundle.CheckKey())
		}
	})
}
