package cert

import (
	"crypto/sha256"
	"time"
)

// Facts are what was found out about the PEM text of a certificate whose key belongs to it: all that a start needs to know of the
// leaf. They hold nothing secret.
type Facts struct {
	Names               []string
	NotBefore, NotAfter int64 // unix seconds
	KeyType             KeyType
	KeyBits             int32
	Fingerprint         [32]byte
}

// Facts returns what ParseKnown needs to make this bundle again from the same text; false for a bundle that is not just leaf, chain and
// the leaf's own key.
func (b *Bundle) Facts() (Facts, bool) {
	if b.key == nil || b.keyErr != nil || b.extra != nil || b.Sealed() {
		return Facts{}, false
	}
	return Facts{b.Names, b.NotBefore.Unix(), b.NotAfter.Unix(), b.KeyType, b.KeyBits, b.Fingerprint}, true
}

// ParseKnown is Parse for a text that was parsed before and gave these facts: it takes them for granted and decodes what is left. The
// leaf must have the facts' fingerprint, or it is parsed anew.
func (p *Parser) ParseKnown(name string, data []byte, f *Facts) (*Bundle, error) {
	blocks, err := splitPEM(data)
	if err != nil {
		return p.Parse(name, data)
	}
	b := &Bundle{}
	var issuers [][]byte
	for _, bl := range blocks {
		switch {
		case isCertificate(bl.kind) && b.leaf == nil:
			if sha256.Sum256(bl.der) != f.Fingerprint {
				return p.Parse(name, data)
			}
			b.leaf = p.own(bl.der)
		case isCertificate(bl.kind):
			der, err := p.issuer(bl.der)
			if err != nil {
				return p.Parse(name, data)
			}
			issuers = append(issuers, der)
		case isKey(bl.kind) && b.key == nil && !bl.crypt:
			b.key = &PrivateKey{block: bl.kind, der: p.own(bl.der)}
		default:
			return p.Parse(name, data)
		}
	}
	if b.leaf == nil || b.key == nil {
		return p.Parse(name, data)
	}
	b.Names = f.Names
	b.NotBefore, b.NotAfter = time.Unix(f.NotBefore, 0).UTC(), time.Unix(f.NotAfter, 0).UTC()
	b.KeyType, b.KeyBits, b.Fingerprint = f.KeyType, f.KeyBits, f.Fingerprint
	b.chain = newChain(issuers)
	return b, nil
}
