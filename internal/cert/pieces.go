package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// maxPieces bounds the certificates and the keys of one set of files.
const maxPieces = 200

// Pieces is what a certificate authority sends and what was made for it: certificates and keys of any number of files, in any order. It is used by one
// goroutine.
type Pieces struct {
	// Passphrase returns what opens encrypted files; it is asked once at most. nil knows none.
	Passphrase func() ([]byte, error)

	certs  []pieceCert
	keys   []pieceKey
	phrase []byte
	asked  bool
}

type pieceCert struct {
	file string
	*x509.Certificate
}

type pieceKey struct {
	file string
	*PrivateKey
}

// Joined is one certificate put together.
type Joined struct {
	Bundle  *Bundle  // leaf, chain from its issuer upwards without the root, and key
	KeyFile string   // where the key was
	Notes   []string // what was left out and why, and what may be missing
}

// Add reads a file: PEM with any blocks, or DER of a certificate, a key, PKCS#7 (.p7b, RFC 2315) or PKCS#12 (.p12, .pfx, RFC 7292).
func (p *Pieces) Add(file string, data []byte) error {
	var err error
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		err = p.addPEM(file, data)
	} else {
		err = p.addDER(file, data)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case len(p.certs) > maxPieces || len(p.keys) > maxPieces:
		return fmt.Errorf("%s: more than %d certificates or keys", file, maxPieces)
	}
	return nil
}

func (p *Pieces) addPEM(file string, data []byte) error {
	blocks, err := splitPEM(data)
	if err != nil {
		return err
	}
	for _, bl := range blocks {
		switch {
		case isCertificate(bl.kind):
			err = p.addCert(file, bl.der)
		case isKey(bl.kind):
			err = p.addKey(file, bl)
		case bl.kind == "PKCS7", bl.kind == "CMS":
			err = p.addPKCS7(file, bl.der)
		}
		if err != nil {
			return fmt.Errorf("%w (line %d)", err, bl.line)
		}
	}
	return nil
}

func (p *Pieces) addDER(file string, data []byte) error {
	if _, _, err := parseDER(data); err == nil {
		return p.addCert(file, data)
	}
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(data, &info); err == nil && info.Type.Equal(oidSignedData) {
		return p.addPKCS7(file, data)
	}
	var pfx struct {
		Version int
		Safe    asn1.RawValue
		MAC     asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(data, &pfx); err == nil && pfx.Version == 3 {
		return p.addPKCS12(file, data)
	}
	for _, kind := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"} {
		if k, _, err := newKey(block{kind: kind, der: data}); err == nil {
			p.keys = append(p.keys, pieceKey{file, k})
			return nil
		}
	}
	if len(data) > 1 && data[0] == 0x30 && data[1] == 0x80 {
		return errors.New("it is BER of indefinite length; rewrite it, such as with `openssl pkcs7 -inform DER -print_certs`")
	}
	return errors.New("it holds neither PEM nor DER of a certificate, a key, PKCS#7 or PKCS#12")
}

func (p *Pieces) addCert(file string, der []byte) error {
	_, c, err := parseDER(der)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(p.certs, func(have pieceCert) bool { return bytes.Equal(have.Raw, c.Raw) }) {
		p.certs = append(p.certs, pieceCert{file, c})
	}
	return nil
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// addPKCS7 reads the certificates of a SignedData (RFC 2315 section 9.1); nothing else of it counts.
func (p *Pieces) addPKCS7(file string, der []byte) error {
	bad := errors.New("the PKCS#7 does not read")
	whole := cryptobyte.String(der)
	var info, content, signed, certs cryptobyte.String
	var kind asn1.ObjectIdentifier
	var there bool
	if !whole.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSignedData) ||
		!info.ReadASN1(&content, cbasn1.Tag(0).ContextSpecific().Constructed()) || !content.ReadASN1(&signed, cbasn1.SEQUENCE) ||
		!signed.SkipASN1(cbasn1.INTEGER) || !signed.SkipASN1(cbasn1.SET) || !signed.SkipASN1(cbasn1.SEQUENCE) ||
		!signed.ReadOptionalASN1(&certs, &there, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return bad
	}
	for !certs.Empty() {
		var one cryptobyte.String
		var tag cbasn1.Tag
		if !certs.ReadAnyASN1Element(&one, &tag) {
			return bad
		}
		if tag == cbasn1.SEQUENCE {
			if err := p.addCert(file, one); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrPassphrase is in the error of a file that no passphrase, or the wrong one, was given for.
var ErrPassphrase = errors.New("it is encrypted")

func (p *Pieces) secret() ([]byte, error) {
	if p.asked {
		return p.phrase, nil
	}
	if p.Passphrase == nil {
		return nil, fmt.Errorf("%w and needs a passphrase", ErrPassphrase)
	}
	var err error
	p.phrase, err = p.Passphrase()
	p.asked = err == nil
	return p.phrase, err
}

// addPKCS12 tries no passphrase first: exports without one are common.
func (p *Pieces) addPKCS12(file string, data []byte) error {
	key, leaf, chain, err := pkcs12.DecodeChain(data, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		phrase, failed := p.secret()
		if failed != nil {
			return failed
		}
		if key, leaf, chain, err = pkcs12.DecodeChain(data, string(phrase)); errors.Is(err, pkcs12.ErrIncorrectPassword) {
			return fmt.Errorf("%w, and the passphrase does not open it", ErrPassphrase)
		}
	}
	if err != nil {
		return fmt.Errorf("the PKCS#12 does not read: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return errors.New("the PKCS#12 holds a key of an unsupported kind")
	}
	p.keys = append(p.keys, pieceKey{file, &PrivateKey{block: "PRIVATE KEY", der: der}})
	for _, c := range append([]*x509.Certificate{leaf}, chain...) {
		if err := p.addCert(file, c.Raw); err != nil {
			return err
		}
	}
	return nil
}

// addKey takes a key block.
func (p *Pieces) addKey(file string, bl block) error {
	if bl.crypt || bl.kind == "ENCRYPTED PRIVATE KEY" {
		phrase, err := p.secret()
		if err != nil {
			return err
		}
		if bl, err = unseal(bl, phrase); errors.Is(err, errBadDecrypt) {
			return fmt.Errorf("%w, and the passphrase does not open it", ErrPassphrase)
		} else if err != nil {
			return fmt.Errorf("%w; `openssl pkey -in FILE -out KEY` may open it", err)
		}
	}
	k, _, err := newKey(bl)
	if err != nil {
		return err
	}
	p.keys = append(p.keys, pieceKey{file, k})
	return nil
}

// belongs tells whether a key is that of a certificate.
func (k pieceKey) belongs(c *x509.Certificate) bool {
	if k.rsa() != nil {
		return k.matches(nil, c.PublicKey) == nil
	}
	signer, err := k.signer()
	return err == nil && k.matches(signer, c.PublicKey) == nil
}

// Leaf picks the certificate that is to serve: the one that a key belongs to, the newest of several; without a key the one that issued no other. hasKey
// tells whether its key is there.
func (p *Pieces) Leaf() (leaf *x509.Certificate, hasKey bool, err error) {
	if len(p.certs) == 0 {
		return nil, false, errors.New("there is no certificate in the files, only the key or a request: add the file that the authority sent")
	}
	var withKey, plain []*x509.Certificate
	for _, c := range p.certs {
		if slices.ContainsFunc(p.keys, func(k pieceKey) bool { return k.belongs(c.Certificate) }) {
			withKey = append(withKey, c.Certificate)
		}
		if !c.IsCA {
			plain = append(plain, c.Certificate)
		}
	}
	if own := slices.DeleteFunc(slices.Clone(withKey), func(c *x509.Certificate) bool { return c.IsCA }); len(own) > 0 {
		withKey = own // the key of an authority that is among the files does not make it what serves
	}
	if len(withKey) > 0 {
		leaf, err = newestOf(withKey)
		return leaf, true, err
	}
	if len(plain) == 0 {
		return nil, false, errors.New("all certificates in the files are those of authorities: add the file with the certificate itself")
	}
	leaf, err = newestOf(plain)
	return leaf, false, err
}

// newestOf picks among versions of one certificate.
func newestOf(list []*x509.Certificate) (*x509.Certificate, error) {
	best := list[0]
	for _, c := range list[1:] {
		if !slices.Equal(sorted(c.DNSNames), sorted(best.DNSNames)) || c.PublicKeyAlgorithm != best.PublicKeyAlgorithm {
			return nil, fmt.Errorf("the files hold certificates for %s and for %s: install one at a time", called(best), called(c))
		}
		if c.NotBefore.After(best.NotBefore) {
			best = c
		}
	}
	return best, nil
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func called(c *x509.Certificate) string {
	name := c.Subject.CommonName
	if name == "" && len(c.DNSNames) > 0 {
		name = c.DNSNames[0]
	}
	if name == "" {
		name = DN(c.RawSubject)
	}
	return fmt.Sprintf("%s (%s)", quoteName(name), strings.ToLower(c.PublicKeyAlgorithm.String()))
}

// Join puts the certificate together. name is used in errors.
func (p *Pieces) Join(name string) (*Joined, error) {
	leaf, hasKey, err := p.Leaf()
	switch {
	case err != nil:
		return nil, err
	case !hasKey && len(p.keys) > 0:
		return nil, fmt.Errorf("the key in %s does not belong to the certificate for %s: it must be the one its request was made with", p.keys[0].file, called(leaf))
	case !hasKey:
		return nil, fmt.Errorf("the key of the certificate for %s is missing: add its file", called(leaf))
	}
	j := &Joined{}
	i := slices.IndexFunc(p.keys, func(k pieceKey) bool { return k.belongs(leaf) })
	j.KeyFile = p.keys[i].file
	text := appendBlock(appendBlock(nil, p.keys[i].block, p.keys[i].der), "CERTIFICATE", leaf.Raw)
	chain := p.chainOf(leaf, j)
	for _, c := range chain {
		text = appendBlock(text, "CERTIFICATE", c.Raw)
	}
	p.leftOver(leaf, chain, j)
	if j.Bundle, err = Parse(name, text); err != nil {
		return nil, err
	}
	return j, j.Bundle.CheckKey()
}

// chainOf follows the issuers upwards. The root is left out: clients have it, or do not trust it.
func (p *Pieces) chainOf(leaf *x509.Certificate, j *Joined) (chain []*x509.Certificate) {
	for at := leaf; !selfIssued(at); {
		issuer := p.issuerOf(at, chain)
		if issuer == nil {
			if len(chain) == 0 {
				j.Notes = append(j.Notes, missingIssuer(leaf))
			}
			return chain
		}
		if selfIssued(issuer) {
			j.Notes = append(j.Notes, "left out the root "+called(issuer)+": clients have it themselves")
			return chain
		}
		chain = append(chain, issuer)
		at = issuer
	}
	return chain
}

func missingIssuer(leaf *x509.Certificate) string {
	note := fmt.Sprintf("no certificate of its issuer %s was given: unless that is a root, clients will refuse the certificate", quoteName(DN(leaf.RawIssuer)))
	if len(leaf.IssuingCertificateURL) > 0 {
		note += "; it is at " + quoteName(leaf.IssuingCertificateURL[0])
	}
	return note
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// issuerOf finds who signed c: a root before others, then the one that lasts longest.
func (p *Pieces) issuerOf(c *x509.Certificate, used []*x509.Certificate) (best *x509.Certificate) {
	for _, x := range p.certs {
		if !bytes.Equal(x.RawSubject, c.RawIssuer) || slices.Contains(used, x.Certificate) || c.CheckSignatureFrom(x.Certificate) != nil {
			continue
		}
		switch {
		case best == nil, selfIssued(x.Certificate) && !selfIssued(best), selfIssued(x.Certificate) == selfIssued(best) && x.NotAfter.After(best.NotAfter):
			best = x.Certificate
		}
	}
	return best
}

// leftOver notes the certificates that have no place.
func (p *Pieces) leftOver(leaf *x509.Certificate, chain []*x509.Certificate, j *Joined) {
	for _, c := range p.certs {
		if c.Certificate != leaf && !slices.Contains(chain, c.Certificate) && !selfIssued(c.Certificate) {
			j.Notes = append(j.Notes, fmt.Sprintf("left out %s of %s: it is not part of the chain", called(c.Certificate), c.file))
		}
	}
}

// AddFittingKey adds the key of a file that belongs to the leaf and tells whether there is one. Files that do not read have none.
func (p *Pieces) AddFittingKey(file string, data []byte) bool {
	leaf, _, err := p.Leaf()
	other := Pieces{Passphrase: p.Passphrase, phrase: p.phrase, asked: p.asked}
	if err != nil || other.Add(file, data) != nil {
		return false
	}
	for _, k := range other.keys {
		if k.belongs(leaf) {
			p.keys = append(p.keys, k)
			return true
		}
	}
	return false
}
