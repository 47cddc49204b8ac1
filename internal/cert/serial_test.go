package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

func TestSerialIsReadWithoutParsingTheLeaf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big159 := new(big.Int).Lsh(big.NewInt(5), 156)
	for _, serial := range []*big.Int{big.NewInt(1), big.NewInt(0xff), big159} {
		tmpl := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse("a.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := b.Serial(), Serial(serial); got != want {
			t.Errorf("serial %q, want %q", got, want)
		}
		if n := testing.AllocsPerRun(10, func() { b.Serial() }); n > 10 {
			t.Errorf("%v allocations: the whole leaf is parsed", n)
		}
	}
}
