package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

func TestAPEMIsReadInAnyOrderOfBlocks(t *testing.T) {
	ca := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "CA"})
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey(), "P-256": ecKey(elliptic.P256()), "P-384": ecKey(elliptic.P384()), "Ed25519": edKey()} {
		leaf := issue(t, key, &ca, 2, pkix.Name{CommonName: "A.example"}, "a.example", "B.example", "*.c.example", "192.0.2.1")
		parts := []string{leaf.certPEM(), ca.certPEM(), "text between\n" + leaf.keyPEM(t)}
		for _, order := range [][3]int{{0, 1, 2}, {2, 0, 1}, {0, 2, 1}} {
			text := parts[order[0]] + parts[order[1]] + parts[order[2]]
			b, err := Parse("x.pem", []byte(strings.ReplaceAll(text, "\n", "\r\n")))
			if err != nil {
				t.Fatalf("%s %v: %v", name, order, err)
			}
			if err := b.CheckKey(); err != nil {
				t.Errorf("%s %v: CheckKey: %v", name, order, err)
			}
			if want := []string{"a.example", "b.example", "*.c.example"}; !slices.Equal(b.Names, want) {
				t.Errorf("%s %v: names %q, want %q", name, order, b.Names, want)
			}
			if got := string(b.PEM()); got != parts[2][len("text between\n"):]+parts[0]+parts[1] {
				t.Errorf("%s %v: PEM is not key, leaf, chain:\n%s", name, order, got)
			}
			c, err := b.TLS()
			if err != nil || len(c.Certificate) != 2 {
				t.Errorf("%s %v: TLS: %v, %v", name, order, c, err)
			}
			if !b.Linked() {
				t.Errorf("%s %v: the chain counts as unlinked", name, order)
			}
		}
	}
}

func TestTraditionalKeyBlocksAreRead(t *testing.T) {
	ec := ecKey(elliptic.P256())
	ecDER, err := x509.MarshalECPrivateKey(ec.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for text, key := range map[string]crypto.Signer{
		block2("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + block2("EC PRIVATE KEY", ecDER): ec,
		block2("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey))):                     rsaKey(),
	} {
		m := issue(t, key, nil, 1, pkix.Name{CommonName: "x"})
		b, err := Parse("x.pem", []byte(m.certPEM()+text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.TLS(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatDoesNotReadIsNamedWithItsLine(t *testing.T) {
	m := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "x"})
	c, k := m.certPEM(), m.keyPEM(t)
	lines := strings.Count(c, "\n")
	cut := func(s string, n int) string { return strings.Join(strings.SplitAfter(s, "\n")[:n], "") }
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey))
	pkcs1[len(pkcs1)/2] ^= 1
	rsaCert := issue(t, rsaKey(), nil, 1, pkix.Name{CommonName: "x"}).certPEM()
	for _, test := range []struct{ name, pem, want string }{
		{"nothing", "", "unable to load certificate from file 'f': no start line."},
		{"only a key", k, "unable to load certificate from file 'f': no start line."},
		{"cut certificate", cut(c, 3), "unable to load certificate from file 'f': bad end line (line 3)."},
		{"cut key", c + cut(k, 2), fmt.Sprintf("unable to load private key from file 'f' (bad end line (line %d)).", lines+2)},
		{"cut chain", c + cut(c, 4), fmt.Sprintf("unable to load certificate chain from file 'f': bad end line (line %d)", lines+4)},
		{"stray byte", strings.Replace(c, "\nMI", "\nM*I", 1), "unable to load certificate from file 'f': bad base64 decode (line 2)."},
		{"other end", strings.Replace(c, "END CERT", "END CART", 1), fmt.Sprintf("unable to load certificate from file 'f': bad end line (line %d).", lines)},
		{"not a certificate", block2("CERTIFICATE", []byte("hello")), "unable to load certificate from file 'f': header too long or truncated (line 1)."},
		{"garbage key", c + block2("PRIVATE KEY", []byte("hello")), "unable to load private key from file 'f' (unreadable private key:"},
		{"encrypted key", c + block2("ENCRYPTED PRIVATE KEY", []byte("hello")), fmt.Sprintf("unable to load private key from file 'f' (Trying to load a passphrase-protected private key without an 'ssl-passphrase-cmd' defined. (line %d)).", lines+1)},
		{"too long", strings.Repeat("#", MaxPEM+1), "unable to load certificate from file 'f': longer than 1048576 bytes (line 1)."},
		{"too many", strings.Repeat(c, 101), "unable to load certificate chain from file 'f': more than 100 blocks"},
	} {
		_, err := Parse("f", []byte(test.pem))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	b, err := Parse("f", []byte(rsaCert+block2("RSA PRIVATE KEY", pkcs1)))
	if err == nil {
		err = b.CheckKey()
	}
	if err == nil {
		t.Error("an RSA key with a flipped bit passes CheckKey")
	}
}

func TestAKeyOfAnotherPairIsAMismatch(t *testing.T) {
	one := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "x"})
	for _, key := range []crypto.Signer{ecKey(elliptic.P256()), ecKey(elliptic.P384()), rsaKey(), edKey()} {
		other := made{one.cert, key}
		b, err := Parse("f", []byte(one.certPEM()+other.keyPEM(t)))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.CheckKey(); !IsMismatch(err) {
			t.Errorf("key %T: %v, want a mismatch", key, err)
		}
		if _, err := b.TLS(); err == nil {
			t.Errorf("key %T: TLS built a certificate", key)
		}
		fixed, err := b.WithKey("f", []byte(one.keyPEM(t)))
		if err != nil || fixed.CheckKey() != nil {
			t.Errorf("with its own key: %v, %v", err, fixed.CheckKey())
		}
	}
	b, _ := Parse("f", []byte(one.certPEM()))
	if err := b.CheckKey(); !errors.Is(err, ErrNoKey) {
		t.Errorf("without key: %v, want ErrNoKey", err)
	}
}

func TestAPrivateKeyNeverPrints(t *testing.T) {
	b := bundleFor(t, KeyECDSA, "a.example")
	k := *b.key
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "key", k, "pointer", &k)
	marshalled, err := json.Marshal(struct{ K PrivateKey }{k})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %x %s %q %d", k, k, k, k, k, k, k), fmt.Sprintf("%+v %#v", &k, &k),
		fmt.Errorf("bad: %v", k).Error(), logged.String(), string(marshalled), fmt.Sprintf("%+v", b)} {
		if strings.Contains(s, fmt.Sprint(k.der[10:14])) || strings.Contains(s, fmt.Sprintf("%x", k.der[10:14])) || strings.Contains(s, string(k.der)) {
			t.Errorf("the key shows in %q", s)
		}
	}
}

func TestOCSPOfAnotherCertificateIsRefused(t *testing.T) {
	ca := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "CA"})
	leaf := issue(t, ecKey(elliptic.P256()), &ca, 2, pkix.Name{CommonName: "a"}, "a.example")
	b, err := Parse("f", []byte(leaf.certPEM()+ca.certPEM()+leaf.keyPEM(t)))
	if err != nil {
		t.Fatal(err)
	}
	response := func(c *x509.Certificate) []byte {
		der, err := ocsp.CreateResponse(ca.cert, ca.cert, ocsp.Response{Status: ocsp.Good, SerialNumber: c.SerialNumber,
			ThisUpdate: time.Unix(1700000000, 0), NextUpdate: time.Unix(1700100000, 0)}, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	if _, err := b.WithOCSP(response(ca.cert)); !errors.Is(err, ErrOCSPOther) {
		t.Errorf("response for another serial: %v", err)
	}
	if _, err := b.WithOCSP([]byte("x")); err == nil {
		t.Error("garbage was taken as a response")
	}
	if _, err := b.WithOCSP(ocsp.TryLaterErrorResponse); !errors.Is(err, ErrOCSPStatus) {
		t.Errorf("try-later response: %v", err)
	}
	der := response(leaf.cert)
	with, err := b.WithOCSP(der)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(with.Staple(time.Unix(1700000001, 0)), der) {
		t.Error("the response is not stapled")
	}
	if b.OCSP() != nil {
		t.Error("the bundle before has changed")
	}
	if got := fmt.Sprintf("%x", with.OCSPKey()); !strings.HasPrefix(got, "303b300906052b0e03021a0500") && !strings.HasPrefix(got, "303a300906052b0e03021a0500") && !strings.HasPrefix(got, "30") {
		t.Errorf("OCSP key is %s", got)
	}
	text := DescribeOCSP(der)
	for _, want := range []string{"OCSP Response Status: successful (0x0)", "Cert Status: good", "Serial Number: 02", "This Update: Nov 14 22:13:20 2023 GMT"} {
		if !strings.Contains(text, want) {
			t.Errorf("text form lacks %q:\n%s", want, text)
		}
	}
	// all of it survives the archive
	sctl, err := with.WithSCTL([]byte("\x00\x05\x00\x03abc"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := sctl.WithIssuer("i", []byte(ca.certPEM()))
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseArchive("f", all.Archive())
	if err != nil || !back.Equal(all) {
		t.Errorf("archive reads back as another bundle: %v", err)
	}
	if c, err := back.TLS(); err != nil || len(c.SignedCertificateTimestamps) != 1 || string(c.SignedCertificateTimestamps[0]) != "abc" {
		t.Errorf("SCTs are %q, %v", c.SignedCertificateTimestamps, err)
	}
}

func TestABadSCTListIsRefused(t *testing.T) {
	b := bundleFor(t, KeyECDSA, "a")
	for _, raw := range []string{"", "\x00", "\x00\x01", "\x00\x02\x00\x01", "\x00\x03\x00\x01ab", "\x00\x01a"} {
		if _, err := b.WithSCTL([]byte(raw)); err == nil {
			t.Errorf("%q was taken as an SCT list", raw)
		}
	}
}

func TestIssuersCompleteAChain(t *testing.T) {
	root := issue(t, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "root"})
	inter := issue(t, ecKey(elliptic.P256()), &root, 2, pkix.Name{CommonName: "inter"})
	leaf := issue(t, ecKey(elliptic.P256()), &inter, 3, pkix.Name{CommonName: "leaf"}, "leaf.example")
	var s Issuers
	if err := s.Add("dir/inter.pem", []byte(inter.certPEM()+root.certPEM())); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("dir/bad.pem", []byte("x")); err == nil {
		t.Error("a file without certificate was taken")
	}
	b, err := Parse("f", []byte(leaf.certPEM()+leaf.keyPEM(t)))
	if err != nil {
		t.Fatal(err)
	}
	done := s.Complete(b)
	if done.ChainFile() != "dir/inter.pem" || len(done.Chain()) != 2 || !done.Linked() {
		t.Errorf("chain of %q with %d certificates, linked %v", done.ChainFile(), len(done.Chain()), done.Linked())
	}
	if !strings.HasPrefix(Describe(done), "Chain Filename: dir/inter.pem\nSerial: 03\n") {
		t.Errorf("described as %s", Describe(done))
	}
	if got := string(done.FilePEM(true)); got != leaf.keyPEM(t)+leaf.certPEM() {
		t.Error("the borrowed chain went into the file's content")
	}
	own, _ := Parse("f", []byte(leaf.certPEM()+root.certPEM()+leaf.keyPEM(t)))
	if s.Complete(own) != own || own.Linked() {
		t.Error("a chain of its own was replaced, or counts as linked")
	}
	if s.Complete(bundleFor(t, KeyECDSA, "x")).ChainFile() != "" {
		t.Error("a certificate of another issuer was completed")
	}
}

func TestTemporaryIsExpiredAndServes(t *testing.T) {
	b, err := NewTemporary()
	if err != nil {
		t.Fatal(err)
	}
	if !b.Temporary() || !b.NotAfter.Before(time.Now()) || DN(b.X509().RawSubject) != "/CN=expired" {
		t.Errorf("temporary %v until %v for %s", b.Temporary(), b.NotAfter, DN(b.X509().RawSubject))
	}
	if _, err := b.TLS(); err != nil {
		t.Error(err)
	}
	for _, kind := range []string{"RSA", "ECDSA"} {
		d, err := NewDummy(kind, 0, "")
		if err != nil || !d.NotAfter.After(time.Now()) || d.CheckKey() != nil {
			t.Errorf("dummy %s: %v", kind, err)
		}
	}
	if _, err := NewDummy("DSA", 0, ""); err == nil {
		t.Error("a dummy of kind DSA was made")
	}
}

func TestDNOnOneLine(t *testing.T) {
	name := pkix.Name{Country: []string{"FR"}, Organization: []string{"Ex, Inc/x"}, CommonName: "münchen", SerialNumber: "7",
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{1, 2, 3, 4}, Value: "odd"}, {Type: []int{0, 9, 2342, 19200300, 100, 1, 25}, Value: "dc"}}}
	m := issue(t, edKey(), nil, 0x1234, name)
	if got, want := DN(m.cert.RawSubject), "/C=FR/O=Ex, Inc/x/CN=münchen/serialNumber=7/1.2.3.4=odd/DC=dc"; got != want {
		t.Errorf("DN = %q, want %q", got, want)
	}
	if got := DN([]byte("garbage")); got != "" {
		t.Errorf("DN of garbage = %q", got)
	}
	if got := Serial(m.cert.SerialNumber); got != "1234" {
		t.Errorf("serial %s", got)
	}
	if got := Date(time.Date(2021, 4, 2, 12, 47, 2, 0, time.UTC)); got != "Apr  2 12:47:02 2021 GMT" {
		t.Errorf("date %q", got)
	}
}

func FuzzParse(f *testing.F) {
	m := issue(f, ecKey(elliptic.P256()), nil, 1, pkix.Name{CommonName: "x"}, "a.example")
	whole := m.certPEM() + m.certPEM() + m.keyPEM(f)
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-10]))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse("f", data)
		if err != nil {
			return
		}
		again, err := Parse("f", b.FilePEM(true))
		if err != nil || !again.SamePEM(b) {
			t.Fatalf("what FilePEM writes reads as another bundle: %v", err)
		}
		Describe(b)
		_ = b.CheckKey()
		b.Linked()
	})
}
