package cert

import "fmt"

// Block types of what a PEM file of HAProxy's keeps in files of its own.
const (
	blockOCSP   = "OCSP RESPONSE"
	blockIssuer = "OCSP ISSUER"
	blockSCTL   = "SCT LIST"
)

// Archive returns everything of the bundle as one PEM text: FilePEM with the key, then OCSP response, issuer and SCT list in blocks of our own.
// ParseArchive reads it back. It is secret.
func (b *Bundle) Archive() []byte {
	dst := b.FilePEM(true)
	for _, part := range []struct {
		kind string
		der  []byte
	}{{blockOCSP, b.OCSP()}, {blockIssuer, b.Issuer()}, {blockSCTL, b.SCTL()}} {
		if part.der != nil {
			dst = appendBlock(dst, part.kind, part.der)
		}
	}
	return dst
}

// ParseArchive is a Parser's for one text.
func ParseArchive(name string, data []byte) (*Bundle, error) {
	return new(Parser).ParseArchive(name, data)
}

// ParseArchive reads what Archive wrote.
func (p *Parser) ParseArchive(name string, data []byte) (*Bundle, error) {
	b, err := p.Parse(name, data)
	if err != nil {
		return nil, err
	}
	blocks, err := splitPEM(data)
	if err != nil {
		return nil, err
	}
	for _, bl := range blocks {
		switch bl.kind {
		case blockOCSP:
			b, err = b.WithOCSP(bl.der)
		case blockIssuer:
			b = b.change(func(x *extra) { x.issuer = bl.der })
		case blockSCTL:
			b, err = b.WithSCTL(bl.der)
		}
		if err != nil {
			return nil, fmt.Errorf("'%s': %w", name, err)
		}
	}
	return b, nil
}
