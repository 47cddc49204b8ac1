package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// KeyType is what matters of a certificate's key when one is chosen for a client.
type KeyType uint8

const (
	KeyOther KeyType = iota // Ed25519, DSA and whatever comes
	KeyRSA
	KeyECDSA
)

func (t KeyType) String() string {
	switch t {
	case KeyRSA:
		return "rsa"
	case KeyECDSA:
		return "ecdsa"
	}
	return "other"
}

// Bundle is one certificate: leaf, chain, private key, and what is sent with them. It is made by Parse or by one of the With
// methods, which return a new bundle, and never changes. It keeps DER; a certificate that nobody asked for is not parsed again
// and costs its bytes. Chain certificates are shared by all bundles of the process.
type Bundle struct {
	Names               []string // lower case: DNS names of the subject alternative name, then common names, without duplicates
	NotBefore, NotAfter time.Time
	KeyType             KeyType
	KeyBits             int32
	Fingerprint         [32]byte // SHA-256 of the leaf

	leaf   []byte
	chain  chain
	key    *PrivateKey
	keyErr error  // why key does not belong to leaf, found out once
	extra  *extra // nil for almost all

	parsed atomic.Pointer[x509.Certificate]
	ready  atomic.Pointer[tls.Certificate]
}

// extra holds what few certificates have.
type extra struct {
	ocsp      []byte // DER response
	ocspThis  time.Time
	ocspUntil time.Time // it is not sent any more
	stapling  bool      // a response is to be sent, see Stapling
	issuer    []byte    // DER of the .issuer file
	sctl      []byte    // RFC 6962 section 3.3 SignedCertificateTimestampList, as the file has it
	dh        []byte    // the DH PARAMETERS block; Go has no use for it, but a file we rewrite keeps it
	chainFile string    // where a chain from issuers-chain-path came from
	temporary bool
}

// Parser reads PEM texts and remembers the chain certificates it has read, so that what many texts share is looked into once. The zero
// value is ready; any number of goroutines may use it.
type Parser struct {
	// Dense packs what bundles keep into large blocks, which go when all bundles in them are gone: for bundles that are read together and
	// stay for long.
	Dense bool
	// Passphrases open encrypted keys; nil opens none.
	Passphrases *Passphrases

	known sync.Map // unique.Handle[string] of DER that reads as a certificate

	mu   sync.Mutex
	slab slab // guarded by mu
}

// own returns bytes to keep.
func (p *Parser) own(b []byte) []byte {
	if !p.Dense {
		return b
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slab.own(b)
}

// Parse is a Parser's for one text.
func Parse(name string, data []byte) (*Bundle, error) { return new(Parser).Parse(name, data) }

// Parse reads the PEM text of a `crt` file: blocks in any order, the first certificate is the leaf, all others are its chain,
// and there may be a private key. name is only used in errors, whose texts are those of HAProxy (surface 2.2) with the line added.
// Whether the key belongs to the certificate is CheckKey's question.
func (p *Parser) Parse(name string, data []byte) (*Bundle, error) {
	blocks, broken := splitPEM(data)
	b := &Bundle{}
	var leaf *x509.Certificate
	var issuers [][]byte
	var signer crypto.Signer
	var dh []byte
	for _, bl := range blocks {
		switch {
		case isCertificate(bl.kind) && b.leaf == nil:
			var err error
			if leaf, err = b.setLeaf(p.own(bl.der)); err != nil {
				return nil, fmt.Errorf("unable to load certificate from file '%s': %w (line %d).", name, err, bl.line)
			}
		case isCertificate(bl.kind):
			issuer, err := p.issuer(bl.der)
			if err != nil {
				return nil, fmt.Errorf("unable to load certificate chain from file '%s': %w (line %d)", name, err, bl.line)
			}
			issuers = append(issuers, issuer)
		case isKey(bl.kind) && b.key == nil:
			var err error
			if b.key, signer, err = p.key(name, bl); err != nil {
				return nil, fmt.Errorf("unable to load private key from file '%s' (%w).", name, err)
			}
		case bl.kind == "DH PARAMETERS" && dh == nil:
			dh = bl.der
		}
	}
	var be *blockError
	if errors.As(broken, &be) {
		return nil, brokenText(name, b, be)
	}
	if b.leaf == nil {
		return nil, fmt.Errorf("unable to load certificate from file '%s': no start line.", name)
	}
	if b.key != nil {
		b.keyErr = b.key.matches(signer, leaf.PublicKey)
	}
	b.chain = newChain(issuers)
	if b.key != nil {
		b.key.der = p.own(b.key.der)
	}
	if dh != nil {
		b.extra = &extra{dh: dh}
	}
	return b, nil
}

// issuer checks that der reads as a certificate, and drops the trust settings that a TRUSTED CERTIFICATE block appends.
func (p *Parser) issuer(der []byte) ([]byte, error) {
	h := unique.Make(string(der))
	if _, ok := p.known.Load(h); ok {
		return der, nil
	}
	der, err := certificateDER(der)
	if err == nil {
		p.known.Store(unique.Make(string(der)), nil)
	}
	return der, err
}

func brokenText(name string, b *Bundle, be *blockError) error {
	switch {
	case isKey(be.kind):
		return fmt.Errorf("unable to load private key from file '%s' (%w).", name, be)
	case b.leaf != nil:
		return fmt.Errorf("unable to load certificate chain from file '%s': %w", name, be)
	}
	return fmt.Errorf("unable to load certificate from file '%s': %w.", name, be)
}

// newKey reads a key block. The signer is nil for RSA, whose full parse waits for the first use.
func newKey(bl block) (*PrivateKey, crypto.Signer, error) {
	k := &PrivateKey{block: bl.kind, der: bl.der}
	if k.rsa() != nil {
		return k, nil, nil
	}
	signer, err := k.signer()
	if err != nil {
		return nil, nil, fmt.Errorf("%w (line %d)", err, bl.line)
	}
	return k, signer, nil
}

// certificateDER checks that der reads as a certificate and drops the trust settings that a TRUSTED CERTIFICATE block appends.
func certificateDER(der []byte) ([]byte, error) {
	der, _, err := parseDER(der)
	return der, err
}

func parseDER(der []byte) ([]byte, *x509.Certificate, error) {
	var whole cryptobyte.String
	var kind cbasn1.Tag
	if rest := cryptobyte.String(der); !rest.ReadAnyASN1Element(&whole, &kind) {
		return nil, nil, errors.New("header too long or truncated")
	}
	c, err := x509.ParseCertificate(whole)
	return whole, c, err
}

func (b *Bundle) setLeaf(der []byte) (*x509.Certificate, error) {
	der, c, err := parseDER(der)
	if err != nil {
		return nil, err
	}
	b.leaf = der
	b.Names = names(c)
	b.NotBefore, b.NotAfter = c.NotBefore, c.NotAfter
	b.KeyType, b.KeyBits = keyFacts(c)
	b.Fingerprint = sha256.Sum256(der)
	return c, nil
}

// names are what an entry without filters answers to (surface 2.5): DNS names, then every common name of the subject.
func names(c *x509.Certificate) []string {
	list := make([]string, 0, len(c.DNSNames)+1)
	add := func(name string) {
		name = strings.ToLower(name)
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	seen := map[string]bool{}
	if len(c.DNSNames) > 64 { // Contains is quadratic; a SAN list of thousands is legal
		add = func(name string) {
			if name = strings.ToLower(name); name != "" && !seen[name] {
				seen[name] = true
				list = append(list, name)
			}
		}
	}
	for _, name := range c.DNSNames {
		add(name)
	}
	for _, atv := range c.Subject.Names {
		if cn, ok := atv.Value.(string); ok && atv.Type.Equal(oidCommonName) {
			add(cn)
		}
	}
	return ownNames(slices.Clip(list))
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

func keyFacts(c *x509.Certificate) (KeyType, int32) {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return KeyRSA, int32(k.N.BitLen())
	case *ecdsa.PublicKey:
		return KeyECDSA, int32(k.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return KeyOther, 256
	}
	return KeyOther, 0
}

// HasKey tells whether there is a private key.
func (b *Bundle) HasKey() bool { return b.key != nil }

// ErrNoKey is CheckKey's answer for a bundle without private key.
var ErrNoKey = errors.New("no private key")

// CheckKey returns nil when the private key belongs to the leaf, ErrNoKey when there is none, and otherwise why it does not fit.
func (b *Bundle) CheckKey() error {
	if b.key == nil {
		return ErrNoKey
	}
	return b.keyErr
}

// IsMismatch tells whether a CheckKey error means that key and certificate are of two pairs.
func IsMismatch(err error) bool { return errors.Is(err, errKeyMismatch) }

// X509 returns the parsed leaf. It is parsed at the first call and kept.
func (b *Bundle) X509() *x509.Certificate {
	b.parsed.CompareAndSwap(nil, b.peek())
	return b.parsed.Load()
}

// peek is X509 without keeping what it parsed: a check that touches every certificate must not make them all fat.
func (b *Bundle) peek() *x509.Certificate {
	if c := b.parsed.Load(); c != nil {
		return c
	}
	c, err := x509.ParseCertificate(b.leaf)
	if err != nil {
		panic("cert: a leaf that was parsed before does not parse: " + err.Error())
	}
	return c
}

// TLS returns the certificate as crypto/tls wants it but for the OCSP response, which is Staple's. It is built at the first call and kept. It fails without a usable private key.
// Leaf stays nil: a server's handshake does not look at it.
func (b *Bundle) TLS() (*tls.Certificate, error) {
	if c := b.ready.Load(); c != nil {
		return c, nil
	}
	if b.key == nil {
		return nil, ErrNoKey
	}
	if err := b.CheckKey(); err != nil {
		return nil, err
	}
	signer, err := b.key.signer()
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: append([][]byte{b.leaf}, b.chain.all()...), PrivateKey: signer}
	if b.extra != nil {
		c.SignedCertificateTimestamps = splitSCTs(b.extra.sctl)
	}
	b.ready.CompareAndSwap(nil, c)
	return b.ready.Load(), nil
}

// Serial returns the leaf's serial number as Serial prints it.
func (b *Bundle) Serial() string {
	// The number is the third value of the DER (RFC 5280 section 4.1): every commit tells it, and parsing the rest for that would
	// take a tenth of the commit.
	der, n := cryptobyte.String(b.leaf), new(big.Int)
	var leaf, tbs cryptobyte.String
	if der.ReadASN1(&leaf, cbasn1.SEQUENCE) && leaf.ReadASN1(&tbs, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) && tbs.ReadASN1Integer(n) {
		return Serial(n)
	}
	return Serial(b.peek().SerialNumber)
}

// Leaf returns the DER of the leaf, which the caller does not change.
func (b *Bundle) Leaf() []byte { return b.leaf }

// Chain returns copies of the DER of the chain, from the leaf's issuer upwards as the file had them.
func (b *Bundle) Chain() [][]byte {
	list := b.chain.all()
	for i, der := range list {
		list[i] = bytes.Clone(der)
	}
	return list
}

// PEM returns private key, leaf and chain in that order, as `dump ssl cert` prints them. It is secret.
func (b *Bundle) PEM() []byte {
	return b.appendChain(appendBlock(b.KeyPEM(), "CERTIFICATE", b.leaf))
}

// KeyPEM returns the private key's block, encrypted when its file was, nil when there is none. It is secret.
func (b *Bundle) KeyPEM() []byte {
	if b.key == nil {
		return nil
	}
	if b.key.sealed != nil {
		return bytes.Clone(b.key.sealed)
	}
	return appendBlock(nil, b.key.block, b.key.der)
}

// CertPEM returns leaf and chain.
func (b *Bundle) CertPEM() []byte { return b.appendChain(appendBlock(nil, "CERTIFICATE", b.leaf)) }

func (b *Bundle) appendChain(dst []byte) []byte {
	for _, der := range b.chain.all() {
		dst = appendBlock(dst, "CERTIFICATE", der)
	}
	return dst
}

// FilePEM returns what a `crt` file for this bundle holds: the key when withKey, leaf, chain and DH parameters, without a chain
// that was completed from issuers-chain-path. It is secret.
func (b *Bundle) FilePEM(withKey bool) []byte {
	var dst []byte
	if withKey {
		dst = b.KeyPEM()
	}
	dst = appendBlock(dst, "CERTIFICATE", b.leaf)
	if b.ChainFile() == "" {
		dst = b.appendChain(dst)
	}
	if b.extra != nil && b.extra.dh != nil {
		dst = appendBlock(dst, "DH PARAMETERS", b.extra.dh)
	}
	return dst
}

// SamePEM tells whether a and b have the same leaf, chain, key and DH parameters, however their files were laid out.
func (b *Bundle) SamePEM(a *Bundle) bool {
	return b.SameCert(a) && b.SameKey(a)
}

// SameCert is SamePEM without the key.
func (b *Bundle) SameCert(a *Bundle) bool {
	return bytes.Equal(a.leaf, b.leaf) && a.ownChain() == b.ownChain() && bytes.Equal(a.ex().dh, b.ex().dh)
}

// SameKey tells whether a and b have the same private key, or neither has one.
func (b *Bundle) SameKey(a *Bundle) bool {
	if a.key == nil || b.key == nil {
		return a.key == b.key
	}
	return a.key.block == b.key.block && bytes.Equal(a.key.der, b.key.der)
}

// Equal is SamePEM, and the same OCSP response, issuer and SCT list.
func (b *Bundle) Equal(a *Bundle) bool {
	x, y := a.ex(), b.ex()
	return b.SamePEM(a) && a.chain == b.chain && x.chainFile == y.chainFile && x.temporary == y.temporary && x.stapling == y.stapling &&
		bytes.Equal(x.ocsp, y.ocsp) && bytes.Equal(x.issuer, y.issuer) && bytes.Equal(x.sctl, y.sctl)
}

func (b *Bundle) ownChain() chain {
	if b.ChainFile() != "" {
		return chain{}
	}
	return b.chain
}

func (b *Bundle) ex() extra {
	if b.extra == nil {
		return extra{}
	}
	return *b.extra
}

// Temporary tells that this is the stand-in for a certificate that ACME has not issued yet.
func (b *Bundle) Temporary() bool { return b.ex().temporary }

// ChainFile names the file of issuers-chain-path that completed the chain, "" when the chain is the certificate's own.
func (b *Bundle) ChainFile() string { return b.ex().chainFile }

// OCSP returns the DER response to staple, Issuer the DER of the extra issuer, SCTL the SCT list; nil when there is none.
func (b *Bundle) OCSP() []byte   { return b.ex().ocsp }
func (b *Bundle) Issuer() []byte { return b.ex().issuer }
func (b *Bundle) SCTL() []byte   { return b.ex().sctl }

// IssuerPEM returns the extra issuer as a PEM file, nil when there is none.
func (b *Bundle) IssuerPEM() []byte {
	if b.Issuer() == nil {
		return nil
	}
	return appendBlock(nil, "CERTIFICATE", b.Issuer())
}
