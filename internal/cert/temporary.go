package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// NewTemporary makes the stand-in that is served until ACME has issued the certificate: self-signed, CN=expired, and expired since
// the epoch, as HAProxy's. Its key is ECDSA: it is made at every start and RSA keys take a noticeable part of a second.
func NewTemporary() (*Bundle, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := selfSigned(key, "expired", time.Unix(0, 0), time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	return b.change(func(x *extra) { x.temporary = true }), nil
}

// NewDummy makes the self-signed certificate of `generate-dummy on`. keyType is "RSA" (default) or "ECDSA", bits counts for RSA (0: 2048),
// curve for ECDSA ("": P-384).
func NewDummy(keyType string, bits int, curve string) (*Bundle, error) {
	var key crypto.Signer
	var err error
	switch keyType {
	case "", "RSA":
		if bits == 0 {
			bits = 2048
		}
		if bits < 1024 || bits > 8192 {
			return nil, fmt.Errorf("a key of %d bits is not between 1024 and 8192", bits)
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	case "ECDSA":
		if curve == "" {
			curve = "P-384"
		}
		c := NamedCurve(curve)
		if c == nil {
			return nil, fmt.Errorf("unsupported curves '%s'.", curve)
		}
		key, err = ecdsa.GenerateKey(c, rand.Reader)
	default:
		return nil, fmt.Errorf("keyword 'keytype' requires either 'RSA' or 'ECDSA'.")
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return selfSigned(key, "", now.Add(-time.Hour), now.AddDate(10, 0, 0))
}

// NamedCurve knows the curves of the NIST by the names that HAProxy and OpenSSL have for them, in any case; nil when it does not.
func NamedCurve(name string) elliptic.Curve {
	switch strings.ToLower(name) {
	case "p-256", "prime256v1", "secp256r1":
		return elliptic.P256()
	case "p-384", "secp384r1":
		return elliptic.P384()
	case "p-521", "secp521r1":
		return elliptic.P521()
	}
	return nil
}

func selfSigned(key crypto.Signer, cn string, from, to time.Time) (*Bundle, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: cn}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	p8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := &Bundle{key: &PrivateKey{block: "PRIVATE KEY", der: p8}}
	_, err = b.setLeaf(der)
	return b, err
}
