package cert

import (
	"container/list"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// Authority signs the certificates of `generate-certificates`: the certificate and key of ca-sign-file. It never changes.
type Authority struct {
	cert   *x509.Certificate
	signer crypto.Signer
	alg    x509.SignatureAlgorithm
	chain  chain // its own certificate and those above it
}

// NewAuthority makes the authority of a bundle, which needs its private key.
func NewAuthority(b *Bundle) (*Authority, error) {
	if err := b.CheckKey(); err != nil {
		return nil, err
	}
	signer, err := b.key.signer()
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: b.peek(), signer: signer, chain: newChain(append([][]byte{b.leaf}, b.chain.all()...))}
	switch b.KeyType { // SHA-256 whatever the size of the key, as HAProxy
	case KeyRSA:
		a.alg = x509.SHA256WithRSA
	case KeyECDSA:
		a.alg = x509.ECDSAWithSHA256
	}
	return a, nil
}

// DefaultForged is tune.ssl.ssl-ctx-cache-size where the configuration is silent.
const DefaultForged = 1000

// Forger makes certificates for server names on the fly and keeps the ones used last. One serves all bind lines of a generation; its methods may be
// called by any goroutine, and no signature is made under its lock.
type Forger struct {
	max int

	mu   sync.Mutex // guards the rest; held for a look into the map
	byID map[forgedID]*list.Element
	used list.List // of *forged, the one used last in front
}

// forgedID tells forged certificates apart. base goes into it because its private key is the forged one's too.
type forgedID struct {
	by   *Authority
	base *Bundle
	name string
}

type forged struct {
	id     forgedID
	bundle *Bundle
}

// NewForger returns a forger that keeps at most limit certificates; 0 keeps none.
func NewForger(limit int) *Forger { return &Forger{max: limit, byID: map[forgedID]*list.Element{}} }

// ErrNotForgeable says that a server name is not what a certificate may be made for.
var ErrNotForgeable = errors.New("not a host name")

// Forge returns a certificate for name, signed by a, with the private key of base. name comes from a stranger: only letters, digits, dots and hyphens
// get into a certificate.
func (f *Forger) Forge(a *Authority, name string, base *Bundle) (*Bundle, error) {
	name = string(lower(nil, name))
	if !forgeable(name) {
		return nil, ErrNotForgeable
	}
	id := forgedID{a, base, name}
	if b := f.kept(id); b != nil {
		return b, nil
	}
	b, err := a.forge(name, base)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %q: %w", name, err)
	}
	return f.keep(id, b), nil
}

// Len is how many certificates are kept.
func (f *Forger) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used.Len()
}

func (f *Forger) kept(id forgedID) *Bundle {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.byID[id]
	if e == nil {
		return nil
	}
	f.used.MoveToFront(e)
	return e.Value.(*forged).bundle
}

// keep returns the certificate that counts: two handshakes may have made one at the same time.
func (f *Forger) keep(id forgedID, b *Bundle) *Bundle {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.byID[id]; e != nil {
		return e.Value.(*forged).bundle
	}
	if f.max > 0 {
		f.byID[id] = f.used.PushFront(&forged{id, b})
	}
	for f.used.Len() > f.max {
		last := f.used.Back()
		delete(f.byID, last.Value.(*forged).id)
		f.used.Remove(last)
	}
	return b
}

func forgeable(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// longestCommonName is the upper bound of RFC 5280 appendix A.1; longer names stand in the subject alternative name only.
const longestCommonName = 64

// forge makes what HAProxy makes: the authority's name with the server's as one more common name, valid from yesterday for a year.
func (a *Authority) forge(name string, base *Bundle) (*Bundle, error) {
	leaf := base.peek()
	subject, err := subjectFor(a.cert.RawSubject, name)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	keyID := sha1.Sum(leaf.RawSubjectPublicKeyInfo)
	t := &x509.Certificate{SerialNumber: serial.Add(serial, big.NewInt(1)), RawSubject: subject, NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(1, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageContentCommitment | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		SubjectKeyId: keyID[:], DNSNames: []string{name}, SignatureAlgorithm: a.alg}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, leaf.PublicKey, a.signer)
	if err != nil {
		return nil, err
	}
	b := &Bundle{key: base.key, keyErr: base.keyErr, chain: a.chain}
	_, err = b.setLeaf(der)
	return b, err
}

func subjectFor(authority []byte, name string) ([]byte, error) {
	if len(name) > longestCommonName {
		return authority, nil
	}
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(authority, &rdns); err != nil {
		return nil, err
	}
	own, err := asn1.Marshal(pkix.RelativeDistinguishedNameSET{{Type: oidCommonName, Value: name}})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(append(rdns, asn1.RawValue{FullBytes: own}))
}
