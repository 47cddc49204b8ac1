package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PrivateKey is a private key as DER inside the type its PEM block named. It prints as [redacted] however it is printed, so that
// a key cannot slip into a log, an error or an answer.
type PrivateKey struct {
	block string // PEM block type: "PRIVATE KEY", "RSA PRIVATE KEY" or "EC PRIVATE KEY"
	der   []byte

	sealed []byte // its block as an encrypted file has it, nil for most
}

const redacted = "[redacted private key]"

// String, GoString, LogValue, MarshalJSON and MarshalText hide the key.
func (PrivateKey) String() string               { return redacted }
func (PrivateKey) GoString() string             { return redacted }
func (PrivateKey) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (PrivateKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format hides the key from every verb of package fmt, %x and %d of the bytes inside included.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

var errKeyMismatch = errors.New("inconsistencies between private key and certificate")

// matches tells whether k belongs to the public key, or why k is no usable key. signer is the parsed key, nil for RSA: an RSA key is compared
// field by field: x509's own check multiplies for 200 microseconds, which ten thousand certificates at start would feel.
func (k *PrivateKey) matches(signer crypto.Signer, pub crypto.PublicKey) error {
	if n := k.rsa(); n != nil {
		if err := n.check(); err != nil {
			return err
		}
		if p, ok := pub.(*rsa.PublicKey); !ok || p.N.Cmp(n.N) != 0 || p.E != n.E {
			return errKeyMismatch
		}
		return nil
	}
	if eq, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !eq.Equal(pub) {
		return errKeyMismatch
	}
	return nil
}

// signer parses the whole key. Its cost is paid when a certificate is first served.
func (k *PrivateKey) signer() (crypto.Signer, error) {
	var key any
	var err error
	switch k.block {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(k.der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(k.der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(k.der)
	}
	if err != nil {
		// x509 and asn1 name offsets and algorithms in their errors, never content.
		return nil, fmt.Errorf("unreadable private key: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("unsupported kind of private key")
}

// rsaNumbers are the integers of RFC 8017 appendix A.1.2, RSAPrivateKey, for two primes.
type rsaNumbers struct {
	Version               int
	N                     *big.Int
	E                     int
	D, P, Q, DP, DQ, QInv *big.Int
}

// rsa returns the numbers of an RSA key, nil when k is of another kind or does not read as two-prime RSA.
func (k *PrivateKey) rsa() *rsaNumbers {
	der := k.der
	switch k.block {
	case "RSA PRIVATE KEY":
	case "PRIVATE KEY":
		if der = insidePKCS8(der, oidRSA); der == nil {
			return nil
		}
	default:
		return nil
	}
	var n rsaNumbers
	if rest, err := asn1.Unmarshal(der, &n); err != nil || len(rest) != 0 || n.Version != 0 {
		return nil
	}
	return &n
}

// insidePKCS8 returns the key inside a PrivateKeyInfo (RFC 5208 section 5), nil when it is of another algorithm.
func insidePKCS8(der []byte, algorithm asn1.ObjectIdentifier) []byte {
	whole := cryptobyte.String(der)
	var info, id, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !whole.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.INTEGER) || !info.ReadASN1(&id, cbasn1.SEQUENCE) ||
		!id.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(algorithm) || !info.ReadASN1(&key, cbasn1.OCTET_STRING) {
		return nil
	}
	return key
}

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// check tells whether the numbers fit together: p*q = n, and d undoes e modulo both primes.
func (n *rsaNumbers) check() error {
	bad := errors.New("unreadable private key: the numbers of the RSA key do not fit together")
	for _, x := range []*big.Int{n.N, n.D, n.P, n.Q} {
		if x == nil || x.Sign() <= 0 || x.BitLen() > 16384 {
			return bad
		}
	}
	if new(big.Int).Mul(n.P, n.Q).Cmp(n.N) != 0 {
		return bad
	}
	one := big.NewInt(1)
	de := new(big.Int).Mul(n.D, big.NewInt(int64(n.E)))
	for _, prime := range []*big.Int{n.P, n.Q} {
		m := new(big.Int).Sub(prime, one)
		if m.Sign() <= 0 || new(big.Int).Mod(de, m).Cmp(one) != 0 {
			return bad
		}
	}
	return nil
}
