package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// copy returns a bundle with the same content that shares nothing that is filled later.
func (b *Bundle) copy() *Bundle {
	n := &Bundle{Names: b.Names, NotBefore: b.NotBefore, NotAfter: b.NotAfter, KeyType: b.KeyType, KeyBits: b.KeyBits,
		Fingerprint: b.Fingerprint, leaf: b.leaf, chain: b.chain, key: b.key, keyErr: b.keyErr}
	if b.extra != nil {
		x := *b.extra
		n.extra = &x
	}
	return n
}

func (b *Bundle) change(f func(*extra)) *Bundle {
	n := b.copy()
	if n.extra == nil {
		n.extra = &extra{}
	}
	f(n.extra)
	return n
}

// WithKey is a Parser's for one text.
func (b *Bundle) WithKey(name string, data []byte) (*Bundle, error) {
	return new(Parser).WithKey(b, name, data)
}

// WithIssuer returns b with the first certificate of a PEM text as the issuer that OCSP needs.
func (b *Bundle) WithIssuer(name string, data []byte) (*Bundle, error) {
	blocks, broken := splitPEM(data)
	for _, bl := range blocks {
		if isCertificate(bl.kind) {
			der, err := certificateDER(bl.der)
			if err != nil {
				return nil, fmt.Errorf("'%s' cannot be read or parsed: %w (line %d).", name, err, bl.line)
			}
			return b.change(func(x *extra) { x.issuer = der }), nil
		}
	}
	if broken == nil {
		broken = errors.New("no start line")
	}
	return nil, fmt.Errorf("'%s' cannot be read or parsed: %w.", name, broken)
}

// WithSCTL returns b with a SignedCertificateTimestampList (RFC 6962 section 3.3).
func (b *Bundle) WithSCTL(raw []byte) (*Bundle, error) {
	if !validSCTL(raw) {
		return nil, errors.New("the SCT list is cut short or has bytes left over")
	}
	raw = bytes.Clone(raw)
	return b.change(func(x *extra) { x.sctl = raw }), nil
}

func validSCTL(raw []byte) bool {
	if len(raw) < 2 || int(binary.BigEndian.Uint16(raw))+2 != len(raw) {
		return false
	}
	for raw = raw[2:]; len(raw) > 0; {
		if len(raw) < 2 {
			return false
		}
		n := int(binary.BigEndian.Uint16(raw)) + 2
		if n > len(raw) {
			return false
		}
		raw = raw[n:]
	}
	return true
}

func splitSCTs(raw []byte) (list [][]byte) {
	if !validSCTL(raw) {
		return nil
	}
	for raw = raw[2:]; len(raw) > 0; {
		n := int(binary.BigEndian.Uint16(raw)) + 2
		list = append(list, raw[2:n])
		raw = raw[n:]
	}
	return list
}

// WithChain returns b with a chain completed from a file of issuers-chain-path.
func (b *Bundle) WithChain(file string, ders [][]byte) *Bundle {
	n := b.change(func(x *extra) { x.chainFile = file })
	n.chain = newChain(ders)
	return n
}

// Linked tells whether each certificate names the next one as its issuer, from leaf to the end of the chain.
func (b *Bundle) Linked() bool {
	child := b.peek().RawIssuer
	for _, der := range b.Chain() {
		c, err := x509.ParseCertificate(der)
		if err != nil || !bytes.Equal(c.RawSubject, child) {
			return false
		}
		child = c.RawIssuer
	}
	return true
}

// Issuers is a set of issuer chains to complete certificates that come without one: the files of issuers-chain-path.
type Issuers struct{ chains []issuerChain }

type issuerChain struct {
	file string
	head *x509.Certificate
	ders [][]byte
}

// Add reads one file of issuers-chain-path: the issuer first, then the rest of its chain.
func (s *Issuers) Add(file string, data []byte) error {
	blocks, broken := splitPEM(data)
	c := issuerChain{file: file}
	for _, bl := range blocks {
		if !isCertificate(bl.kind) {
			continue
		}
		der, parsed, err := parseDER(bl.der)
		if err != nil {
			return fmt.Errorf("unable to load issuer chain from file '%s': %w (line %d)", file, err, bl.line)
		}
		if c.head == nil {
			c.head = parsed
		}
		c.ders = append(c.ders, der)
	}
	if broken != nil {
		return fmt.Errorf("unable to load issuer chain from file '%s': %w", file, broken)
	}
	if c.head == nil {
		return fmt.Errorf("unable to load issuer chain from file '%s': no start line", file)
	}
	s.chains = append(s.chains, c)
	return nil
}

// Complete returns b with the chain of the issuer whose key identifier and name b carries; b itself when it has a chain already,
// names no issuer key, or no issuer fits.
func (s *Issuers) Complete(b *Bundle) *Bundle {
	if s == nil || !b.chain.empty() || len(s.chains) == 0 {
		return b
	}
	leaf := b.peek()
	if len(leaf.AuthorityKeyId) == 0 {
		return b
	}
	i := slices.IndexFunc(s.chains, func(c issuerChain) bool {
		return bytes.Equal(c.head.SubjectKeyId, leaf.AuthorityKeyId) && bytes.Equal(c.head.RawSubject, leaf.RawIssuer)
	})
	if i < 0 {
		return b
	}
	return b.WithChain(s.chains[i].file, s.chains[i].ders)
}
