package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// KeyTypes are the words that NewKey takes; the first is what one wants.
var KeyTypes = []string{"ecdsa", "ecdsa-p384", "rsa", "rsa3072", "rsa4096"}

// NewKey makes a private key: ecdsa (P-256), ecdsa-p384, rsa (2048 bits), rsa3072 or rsa4096.
func NewKey(kind string) (crypto.Signer, error) {
	switch strings.ToLower(kind) {
	case "", "ecdsa", "ecdsa-p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa", "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("key type %q is none of %s", kind, strings.Join(KeyTypes, ", "))
}

// EncodeKey returns a private key as a PKCS#8 block (RFC 5958). It is secret.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return appendBlock(nil, "PRIVATE KEY", der), nil
}

// Shape says what a certificate or a request is to hold.
type Shape struct {
	Names               []string  // host names, *.NAME, IP addresses; U-labels become A-labels
	Subject             pkix.Name // an empty common name becomes the first name that is short enough
	NotBefore, NotAfter time.Time // certificates only
	CA                  bool      // certificates only: it may issue others, but no CAs
}

// template checks the names.
func (s Shape) template() (*x509.Certificate, error) {
	t := &x509.Certificate{Subject: s.Subject, NotBefore: s.NotBefore, NotAfter: s.NotAfter}
	for _, name := range s.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		ascii, err := hostName(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(t.DNSNames, ascii) {
			t.DNSNames = append(t.DNSNames, ascii)
		}
	}
	if t.Subject.CommonName == "" && len(t.DNSNames) > 0 && len(t.DNSNames[0]) <= 64 { // RFC 5280 appendix A.1, ub-common-name
		t.Subject.CommonName = t.DNSNames[0]
	}
	return t, nil
}

// hostName returns the A-label form of a name that may start with "*.".
func hostName(name string) (string, error) {
	base, wild := strings.CutPrefix(name, "*.")
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(base, "."))
	if err != nil || ascii == "" || len(ascii) > 253 {
		return "", fmt.Errorf("%q is neither a host name nor an address", name)
	}
	if wild {
		return "*." + ascii, nil
	}
	return ascii, nil
}

// NewRequest returns a certificate signing request (RFC 2986) for a key, as PEM.
func NewRequest(s Shape, key crypto.Signer) ([]byte, error) {
	t, err := s.template()
	if err != nil {
		return nil, err
	}
	if len(t.DNSNames)+len(t.IPAddresses) == 0 {
		return nil, errors.New("a request needs a name")
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: t.Subject, DNSNames: t.DNSNames, IPAddresses: t.IPAddresses}, key)
	if err != nil {
		return nil, err
	}
	return appendBlock(nil, "CERTIFICATE REQUEST", der), nil
}

// Make makes a certificate for key: signed by the authority issuer, or by itself when that is nil. The bundle holds the key and, below an authority, no chain:
// its root is for clients to have.
func Make(s Shape, key crypto.Signer, issuer *Bundle) (*Bundle, error) {
	t, err := s.template()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1))
	t.BasicConstraintsValid = true
	if s.CA {
		t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	} else {
		t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if _, ok := key.(*rsa.PrivateKey); ok {
			t.KeyUsage |= x509.KeyUsageKeyEncipherment
		}
	}
	parent, signer := t, key
	if issuer != nil {
		if parent, signer, err = issuer.authority(); err != nil {
			return nil, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	text, err := EncodeKey(key)
	if err != nil {
		return nil, err
	}
	return Parse("new certificate", appendBlock(text, "CERTIFICATE", der))
}

// authority returns what signs for a bundle that may.
func (b *Bundle) authority() (*x509.Certificate, crypto.Signer, error) {
	if !b.X509().IsCA {
		return nil, nil, errors.New("the certificate is not that of an authority")
	}
	pair, err := b.TLS()
	if err != nil {
		return nil, nil, err
	}
	return b.X509(), pair.PrivateKey.(crypto.Signer), nil
}
