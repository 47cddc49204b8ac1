package gatetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority is one signing certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newAuthority makes a root, or an intermediate below parent.
func newAuthority(name string, parent *authority) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &authority{key: key}
	if parent == nil {
		parent = &authority{cert: template, key: key}
	}
	a.cert, err = sign(template, parent, key.Public())
	return a, err
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

func sign(template *x509.Certificate, parent *authority, key crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key, parent.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issueLocked signs a certificate for a CSR, as wrong as the options want, and returns its chain in PEM.
func (ca *CA) issueLocked(csr *x509.CertificateRequest) ([]byte, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: csr.Subject, DNSNames: csr.DNSNames, IPAddresses: csr.IPAddresses,
		NotBefore: now.Add(-ca.o.Backdate), NotAfter: now.Add(-ca.o.Backdate).Add(ca.o.Lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	key, chain := csr.PublicKey, []*x509.Certificate{ca.inter.cert}
	switch ca.o.Wrong {
	case WrongKey:
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		key = other.Public()
	case WrongNames:
		template.DNSNames = append([]string{"extra.example"}, csr.DNSNames...)
	case WrongMissing:
		template.DNSNames, template.IPAddresses, template.Subject = []string{"other.example"}, []net.IP(nil), pkix.Name{}
	case WrongExpired:
		template.NotBefore, template.NotAfter = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	case WrongFuture:
		template.NotBefore, template.NotAfter = now.Add(24*time.Hour), now.Add(48*time.Hour)
	case WrongChain:
		chain = []*x509.Certificate{ca.root.cert}
	case WrongAlone:
		chain = nil
	case WrongText:
		return []byte("<html>not a certificate</html>\n"), nil
	case WrongCA:
		template.IsCA = true
	}
	leaf, err := sign(template, ca.inter, key)
	if err != nil {
		return nil, err
	}
	ca.issued++
	var out bytes.Buffer
	for _, c := range append([]*x509.Certificate{leaf}, chain...) {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	if ca.o.Wrong == WrongPrivate {
		der, err := x509.MarshalPKCS8PrivateKey(ca.inter.key)
		if err != nil {
			return nil, err
		}
		pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	return out.Bytes(), nil
}

// RootPEM is the CA's root certificate.
func (ca *CA) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.root.cert.Raw})
}
