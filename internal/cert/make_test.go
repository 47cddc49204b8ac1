package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// made is a certificate made for a test.
type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (m made) certPEM() string { return block2("CERTIFICATE", m.cert.Raw) }

func (m made) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	return block2("PRIVATE KEY", der)
}

func block2(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

var rsaKey = sync.OnceValue(func() crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecKey(c elliptic.Curve) crypto.Signer {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func edKey() crypto.Signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// issue makes a certificate for names, signed by issuer or by itself.
func issue(t testing.TB, key crypto.Signer, issuer *made, serial int64, subject pkix.Name, names ...string) made {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: subject, NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1900000000, 0),
		BasicConstraintsValid: true, IsCA: issuer == nil, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		SubjectKeyId: []byte{byte(serial), 1, 2, 3}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made{c, key}
}

// bundleFor makes a bundle for names with a key of a kind, without spending time on RSA keys.
func bundleFor(t testing.TB, kind KeyType, names ...string) *Bundle {
	t.Helper()
	var key crypto.Signer
	switch kind {
	case KeyRSA:
		key = rsaKey()
	case KeyECDSA:
		key = ecKey(elliptic.P256())
	default:
		key = edKey()
	}
	m := issue(t, key, nil, 1, pkix.Name{}, names...)
	b, err := Parse("test", []byte(m.certPEM()+m.keyPEM(t)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
