package cert

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func authority(t *testing.T, kind KeyType) (*Authority, *x509.Certificate) {
	t.Helper()
	key := rsaKey()
	if kind == KeyECDSA {
		key = ecKey(elliptic.P384())
	}
	ca := issue(t, key, nil, 7, pkix.Name{Organization: []string{"Someone"}, CommonName: "Signer"})
	b, err := Parse("ca.pem", []byte(ca.certPEM()+ca.keyPEM(t)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAuthority(b)
	if err != nil {
		t.Fatal(err)
	}
	return a, ca.cert
}

func leafFor(t *testing.T) *Bundle { return bundleFor(t, KeyECDSA, "default.test") }

func TestForgedCertificatesAreGoodForTheirName(t *testing.T) {
	for _, kind := range []KeyType{KeyRSA, KeyECDSA} {
		a, ca := authority(t, kind)
		base := leafFor(t)
		b, err := NewForger(10).Forge(a, "Some.Example.TEST", base)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		c := b.X509()
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: "some.example.test"}); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		if err := b.CheckKey(); err != nil {
			t.Errorf("%v: key: %v", kind, err)
		}
		if crt, err := b.TLS(); err != nil || len(crt.Certificate) != 2 || !bytes.Equal(crt.Certificate[1], ca.Raw) {
			t.Errorf("%v: the authority is not sent along: %v", kind, err)
		}
		if got := DN(c.RawSubject); got != "/O=Someone/CN=Signer/CN=some.example.test" {
			t.Errorf("%v: subject %s", kind, got)
		}
		if c.IsCA || c.SerialNumber.Sign() <= 0 {
			t.Errorf("%v: CA %v, serial %v", kind, c.IsCA, c.SerialNumber)
		}
	}
}

func TestForgedCertificatesOfLongNamesHaveNoOwnCommonName(t *testing.T) {
	a, ca := authority(t, KeyECDSA)
	name := strings.Repeat("long.", 13) + "test"
	b, err := NewForger(10).Forge(a, name, leafFor(t))
	if err != nil || !bytes.Equal(b.X509().RawSubject, ca.RawSubject) || b.X509().DNSNames[0] != name {
		t.Errorf("%v: %v", b, err)
	}
}

func TestNamesThatAreNoHostNamesAreNotForged(t *testing.T) {
	a, _ := authority(t, KeyECDSA)
	base := leafFor(t)
	for _, name := range []string{"", "a,DNS:b", "a:b", "a b", "*.a.test", "a\x00b", "ä.test", strings.Repeat("a", 254)} {
		if _, err := NewForger(10).Forge(a, name, base); !errors.Is(err, ErrNotForgeable) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTheForgerKeepsTheNamesUsedLast(t *testing.T) {
	a, _ := authority(t, KeyECDSA)
	base := leafFor(t)
	f := NewForger(3)
	get := func(n int) *Bundle {
		b, err := f.Forge(a, fmt.Sprintf("n%d.test", n), base)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := get(0)
	get(1)
	get(2)
	if get(0) != first {
		t.Error("made anew while it is kept")
	}
	second := get(1)
	get(0)
	for n := 3; n < 5; n++ {
		get(n)
	}
	if get(0) != first || get(1) == second || f.Len() != 3 {
		t.Errorf("after five names: %d are kept, the one used last among them: %v", f.Len(), get(0) == first)
	}
	if NewForger(0).Len() != 0 {
		t.Error("a forger that keeps none keeps some")
	}
	other := leafFor(t)
	if b, err := f.Forge(a, "n0.test", other); err != nil || b == first {
		t.Errorf("another default certificate has another key: %v", err)
	}
}

func TestTheForgerMayBeUsedByMany(t *testing.T) {
	a, _ := authority(t, KeyECDSA)
	base := leafFor(t)
	f := NewForger(4)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 20 {
				name := fmt.Sprintf("n%d.test", (n+w)%6)
				if b, err := f.Forge(a, name, base); err != nil || b.X509().DNSNames[0] != name {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.Len(); n > 4 {
		t.Errorf("%d are kept", n)
	}
}
