package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"
)

// CAFile is what one ca-file, ca-verify-file or `@system-ca` holds. It never changes; an update is a new value.
type CAFile struct {
	Name  string
	Certs []*x509.Certificate // each once, in the order of the file

	once           sync.Once
	roots, between *x509.CertPool
}

// ParseCAs reads the certificates of a PEM text; one that holds none, or a broken block, is an error, so that verification never
// fails open.
func ParseCAs(name string, data []byte) (*CAFile, error) {
	f := &CAFile{Name: name}
	if err := f.add(data); err != nil {
		return nil, fmt.Errorf("unable to load CA file '%s': %w", name, err)
	}
	return f, nil
}

func (f *CAFile) add(data []byte) error {
	found, have := false, make(map[string]bool, len(f.Certs))
	for _, c := range f.Certs {
		have[string(c.Raw)] = true
	}
	// Bundles of a whole system are longer than one certificate's PEM may be, so they are cut between blocks.
	for len(data) > 0 {
		var piece []byte
		piece, data = cutBlock(data)
		blocks, err := splitPEM(piece)
		if err != nil {
			return err
		}
		for _, bl := range blocks {
			if !isCertificate(bl.kind) {
				continue
			}
			_, c, err := parseDER(bl.der)
			if err != nil {
				return err
			}
			found = true
			if !have[string(c.Raw)] {
				have[string(c.Raw)] = true
				f.Certs = append(f.Certs, c)
			}
		}
	}
	if !found {
		return errors.New("no certificate in it")
	}
	return nil
}

// cutBlock cuts after the first END line.
func cutBlock(data []byte) (piece, rest []byte) {
	i := bytes.Index(data, []byte("-----END "))
	if i < 0 {
		return data, nil
	}
	if j := bytes.IndexByte(data[i:], '\n'); j >= 0 {
		return data[:i+j+1], data[i+j+1:]
	}
	return data, nil
}

// With returns f and the certificates of a PEM text, which must hold one; f may be nil for an empty file.
func (f *CAFile) With(name string, data []byte) (*CAFile, error) {
	next := &CAFile{Name: name}
	if f != nil {
		next.Certs = slices.Clone(f.Certs)
	}
	if err := next.add(data); err != nil {
		return nil, fmt.Errorf("unable to load CA file '%s': %w", name, err)
	}
	return next, nil
}

// Len is the number of certificates.
func (f *CAFile) Len() int { return len(f.Certs) }

// PEM is f as a file that ParseCAs reads back the same.
func (f *CAFile) PEM() []byte {
	var b []byte
	for _, c := range f.Certs {
		b = appendBlock(b, "CERTIFICATE", c.Raw)
	}
	return b
}

// Pool returns the certificates as a pool of roots and intermediates. OpenSSL trusts a certificate of the file as the end of a chain only when it
// is self-signed; intermediates help to build the chain.
// They are made once; nobody changes them.
func (f *CAFile) Pool() (roots, intermediates *x509.CertPool) {
	f.once.Do(func() {
		f.roots, f.between = x509.NewCertPool(), x509.NewCertPool()
		for _, c := range f.Certs {
			if bytes.Equal(c.RawSubject, c.RawIssuer) {
				f.roots.AddCert(c)
			} else {
				f.between.AddCert(c)
			}
		}
	})
	return f.roots, f.between
}

// Describe prints the lines of certificate i (from 0) as `show ssl ca-file` does.
func (f *CAFile) Describe(i int) string { return describeX509(f.Certs[i]) }

// IsCAFileName tells whether a name in a CA or CRL directory is read.
func IsCAFileName(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, ext := range []string{".pem", ".crt", ".cer", ".crl"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// CRLFile is what one crl-file holds. It never changes.
type CRLFile struct {
	Name  string
	Lists []*x509.RevocationList

	revoked map[string]struct{} // raw issuer, NUL, serial bytes
}

// ParseCRLs reads the X509 CRL blocks of a PEM text. Like ParseCAs it refuses a text without any.
func ParseCRLs(name string, data []byte) (*CRLFile, error) {
	f := &CRLFile{Name: name, revoked: map[string]struct{}{}}
	for len(data) > 0 {
		var piece []byte
		piece, data = cutBlock(data)
		if len(piece) > 64*MaxPEM {
			return nil, fmt.Errorf("unable to load CRL file '%s': one list is longer than %d bytes", name, 64*MaxPEM)
		}
		blocks, err := splitLong(piece)
		if err != nil {
			return nil, fmt.Errorf("unable to load CRL file '%s': %w", name, err)
		}
		for _, bl := range blocks {
			if bl.kind != "X509 CRL" {
				continue
			}
			list, err := parseRevocationList(bl.der)
			if err != nil {
				return nil, fmt.Errorf("unable to load CRL file '%s': %w (line %d of its block)", name, err, bl.line)
			}
			f.addList(list)
		}
	}
	if len(f.Lists) == 0 {
		return nil, fmt.Errorf("unable to load CRL file '%s': no revocation list in it", name)
	}
	return f, nil
}

// parseRevocationList also reads lists of version 1 (RFC 5280 section 5.1.2.1), which crypto/x509 refuses and which `openssl ca` writes
// unless it is told to add extensions. What the signature covers stays as it was.
func parseRevocationList(der []byte) (*x509.RevocationList, error) {
	var l struct{ TBS, Algorithm, Signature asn1.RawValue }
	if _, err := asn1.Unmarshal(der, &l); err != nil || crlVersion(l.TBS.FullBytes) != 1 {
		return x509.ParseRevocationList(der)
	}
	signed := l.TBS.FullBytes
	l.TBS.FullBytes, l.TBS.Bytes = nil, append([]byte{asn1.TagInteger, 1, 1}, l.TBS.Bytes...)
	second, err := asn1.Marshal(l)
	if err != nil {
		return nil, err
	}
	list, err := x509.ParseRevocationList(second)
	if err != nil {
		return nil, err
	}
	list.Raw, list.RawTBSRevocationList = der, signed
	return list, nil
}

// crlVersion reads the version of a to-be-signed list; only later ones than the first say it.
func crlVersion(tbs []byte) int {
	var content, first asn1.RawValue
	if _, err := asn1.Unmarshal(tbs, &content); err != nil {
		return 0
	}
	if _, err := asn1.Unmarshal(content.Bytes, &first); err != nil || first.Tag != asn1.TagInteger || len(first.Bytes) != 1 {
		return 1
	}
	return int(first.Bytes[0]) + 1
}

// Len is the number of lists.
func (f *CRLFile) Len() int { return len(f.Lists) }

// PEM is f as a file that ParseCRLs reads back the same.
func (f *CRLFile) PEM() []byte {
	var b []byte
	for _, l := range f.Lists {
		b = appendBlock(b, "X509 CRL", l.Raw)
	}
	return b
}

func (f *CRLFile) addList(list *x509.RevocationList) {
	f.Lists = append(f.Lists, list)
	for _, e := range list.RevokedCertificateEntries {
		f.revoked[revocationKey(list.RawIssuer, e.SerialNumber)] = struct{}{}
	}
}

func revocationKey(issuer []byte, serial *big.Int) string {
	return string(issuer) + "\x00" + string(serial.Bytes())
}

// Revoked tells whether a list of the certificate's issuer names its serial number.
func (f *CRLFile) Revoked(c *x509.Certificate) bool {
	_, ok := f.revoked[revocationKey(c.RawIssuer, c.SerialNumber)]
	return ok
}

// For returns the list of a certificate's issuer that is signed by issuer, nil when there is none. OpenSSL fails a chain for which a list is missing
// (error 3), not yet valid (11) or expired (12); the caller compares ThisUpdate and NextUpdate.
func (f *CRLFile) For(c, issuer *x509.Certificate) *x509.RevocationList {
	for _, list := range f.Lists {
		if bytes.Equal(list.RawIssuer, c.RawIssuer) && (issuer == nil || list.CheckSignatureFrom(issuer) == nil) {
			return list
		}
	}
	return nil
}

// Describe prints list i (from 0) as `show ssl crl-file` does, from Version to its last entry.
func (f *CRLFile) Describe(i int) string {
	l := f.Lists[i]
	var w strings.Builder
	fmt.Fprintf(&w, "Version %d\nSignature Algorithm: %s\nIssuer: %s\nLast Update: %s\nNext Update: %s\n", crlVersion(l.RawTBSRevocationList), signatureName(l.SignatureAlgorithm),
		quoteName(DN(l.RawIssuer)), Date(l.ThisUpdate), crlDate(l.NextUpdate))
	if len(l.RevokedCertificateEntries) == 0 {
		return w.String() + "No Revoked Certificates.\n"
	}
	w.WriteString("Revoked Certificates:\n")
	for _, e := range l.RevokedCertificateEntries {
		fmt.Fprintf(&w, "    Serial Number: %s\n        Revocation Date: %s\n", Serial(e.SerialNumber), Date(e.RevocationTime))
	}
	return w.String()
}

func crlDate(t time.Time) string {
	if t.IsZero() {
		return "NONE"
	}
	return Date(t)
}

// signatureName is OpenSSL's long name of a signature algorithm.
func signatureName(a x509.SignatureAlgorithm) string {
	switch a {
	case x509.SHA1WithRSA:
		return "sha1WithRSAEncryption"
	case x509.SHA256WithRSA:
		return "sha256WithRSAEncryption"
	case x509.SHA384WithRSA:
		return "sha384WithRSAEncryption"
	case x509.SHA512WithRSA:
		return "sha512WithRSAEncryption"
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return "rsassaPss"
	case x509.ECDSAWithSHA1:
		return "ecdsa-with-SHA1"
	case x509.ECDSAWithSHA256:
		return "ecdsa-with-SHA256"
	case x509.ECDSAWithSHA384:
		return "ecdsa-with-SHA384"
	case x509.ECDSAWithSHA512:
		return "ecdsa-with-SHA512"
	}
	return a.String()
}
