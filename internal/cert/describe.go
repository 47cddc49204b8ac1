package cert

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"encoding/asn1"
)

// Describe prints the lines of `show ssl cert NAME` from Chain Filename or Serial to the last Chain Issuer.
func Describe(b *Bundle) string {
	var w strings.Builder
	if f := b.ChainFile(); f != "" {
		fmt.Fprintf(&w, "Chain Filename: %s\n", f)
	}
	w.WriteString(describeX509(b.peek()))
	for _, der := range b.Chain() {
		if c, err := x509.ParseCertificate(der); err == nil {
			fmt.Fprintf(&w, "Chain Subject: %s\nChain Issuer: %s\n", quoteName(DN(c.RawSubject)), quoteName(DN(c.RawIssuer)))
		}
	}
	return w.String()
}

// describeX509 prints the lines from Serial to Issuer, which `show ssl ca-file` prints too.
func describeX509(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return fmt.Sprintf("Serial: %s\nnotBefore: %s\nnotAfter: %s\nSubject Alternative Name: %s\nAlgorithm: %s\n"+
		"SHA1 FingerPrint: %X\nSubject: %s\nIssuer: %s\n",
		Serial(c.SerialNumber), Date(c.NotBefore), Date(c.NotAfter), quoteName(subjectAltName(c)), algorithm(c),
		sum, quoteName(DN(c.RawSubject)), quoteName(DN(c.RawIssuer)))
}

// Serial prints a serial number as upper-case hex of whole bytes.
func Serial(n *big.Int) string {
	if n == nil || n.Sign() == 0 {
		return "00"
	}
	return strings.ToUpper(hex.EncodeToString(n.Bytes()))
}

// Date prints a time as OpenSSL does: "Apr  2 12:47:02 2021 GMT".
func Date(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006") + " GMT" }

func subjectAltName(c *x509.Certificate) string {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			return sanLine(e.Value)
		}
	}
	return ""
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

func algorithm(c *x509.Certificate) string {
	t, bits := keyFacts(c)
	switch t {
	case KeyRSA:
		return fmt.Sprintf("RSA%d", bits)
	case KeyECDSA:
		return fmt.Sprintf("EC%d", bits)
	}
	return strings.ToUpper(c.PublicKeyAlgorithm.String())
}

// SHA1 is the SHA-1 fingerprint of the leaf as `show ssl cert` prints it.
func (b *Bundle) SHA1() string { return fmt.Sprintf("%X", sha1.Sum(b.Leaf())) }
