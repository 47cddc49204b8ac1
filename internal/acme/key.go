package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/cert"
)

// keySpec is what private key to make.
type keySpec struct {
	Type   string `json:"type"` // "RSA" or "ECDSA"
	Bits   int    `json:"bits,omitempty"`
	Curves string `json:"curves,omitempty"`
}

// resolve fills what is not said with HAProxy's defaults: ECDSA on P-384, or RSA of 2048 bits.
func (k keySpec) resolve() keySpec {
	if strings.EqualFold(k.Type, "RSA") {
		k.Type, k.Curves = "RSA", ""
		if k.Bits == 0 {
			k.Bits = 2048
		}
		return k
	}
	k.Type, k.Bits = "ECDSA", 0
	if k.Curves == "" {
		k.Curves = "P-384"
	}
	return k
}

// check says why no key of this kind can be made.
func (k keySpec) check() error {
	k = k.resolve()
	if k.Type == "RSA" {
		if k.Bits < 2048 || k.Bits > 8192 {
			return fmt.Errorf("RSA keys have 2048 to 8192 bits, not %d", k.Bits)
		}
		return nil
	}
	if cert.NamedCurve(k.Curves) == nil {
		return fmt.Errorf("unsupported curves '%s'", k.Curves)
	}
	return nil
}

// generate makes a new private key.
func (k keySpec) generate() (crypto.Signer, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if k = k.resolve(); k.Type == "RSA" {
		return rsa.GenerateKey(rand.Reader, k.Bits)
	}
	return ecdsa.GenerateKey(cert.NamedCurve(k.Curves), rand.Reader)
}

// fits says whether a key that exists is of this kind.
func (k keySpec) fits(key crypto.Signer) bool {
	k = k.resolve()
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return k.Type == "RSA" && key.N.BitLen() == k.Bits
	case *ecdsa.PrivateKey:
		return k.Type == "ECDSA" && key.Curve == cert.NamedCurve(k.Curves)
	}
	return false
}

// encodeKey writes a private key as PKCS #8 PEM, which OpenSSL and HAProxy read.
func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// decodeKey finds the first private key in PEM. Errors say nothing of the content.
func decodeKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "EC PRIVATE KEY":
			if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
				return key, nil
			}
		case "RSA PRIVATE KEY":
			if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				return key, nil
			}
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if signer, ok := key.(crypto.Signer); ok && err == nil {
				return signer, nil
			}
		default:
			continue // EC PARAMETERS
		}
		return nil, errors.New("the private key cannot be parsed")
	}
	return nil, errors.New("no private key found")
}

// samePublicKey compares public keys of any kind.
func samePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}
