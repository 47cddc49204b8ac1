package cert

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// MaxOCSP bounds an OCSP response, in bytes.
const MaxOCSP = 64 << 10

// OCSPSkew is how wrong clocks may be: a response counts from this long before its thisUpdate, and is not sent in the last bit of its life of this
// length, as in HAProxy.
const OCSPSkew = 5 * time.Minute

// What is wrong with a response, in HAProxy's words. Where HAProxy prints a full stop behind them its callers do.
var (
	ErrOCSPParse   = errors.New("Unable to parse OCSP response")
	ErrOCSPStatus  = errors.New("OCSP response status not successful")
	ErrOCSPUnknown = errors.New("OCSP single response: certificate status is unknown")
	ErrOCSPNoNext  = errors.New("OCSP single response: missing nextupdate")
	ErrOCSPExpired = errors.New("OCSP single response: no longer valid")
	ErrOCSPShort   = errors.New("OCSP single response: no longer valid. Must be valid during at least 300s")
	// ErrOCSPOther says that a response is about another certificate.
	ErrOCSPOther = errors.New("OCSP single response: Certificate ID does not match certificate and issuer")
	// ErrOCSPSignature says that neither the certificate's issuer nor a responder that it authorised has signed the response.
	ErrOCSPSignature = errors.New("OCSP response: the signature is not that of the issuer or of a responder it authorised")
	// ErrOCSPIssuer says that the issuer, which the check needs, is neither in the chain nor in an issuer file.
	ErrOCSPIssuer = errors.New("OCSP response: the issuer of the certificate is not known")
)

// OCSPResponse is a basic response with the status of one certificate (RFC 6960 section 4.2.1), read and not yet judged.
type OCSPResponse struct {
	*ocsp.Response
	DER   []byte
	ID    []byte // DER of the CertID it is about
	parts ocspParts
}

// ParseOCSP reads a response. It is bounded by MaxOCSP, successful, and about a single certificate; a signature that does not belong to a certificate it
// carries is refused here already.
func ParseOCSP(der []byte) (*OCSPResponse, error) {
	if len(der) > MaxOCSP {
		return nil, fmt.Errorf("OCSP response longer than %d bytes", MaxOCSP)
	}
	parts, ok := splitOCSP(der)
	switch {
	case ok && parts.status != 0:
		return nil, ErrOCSPStatus
	case !ok:
		return nil, ErrOCSPParse
	case parts.count > 1:
		return nil, fmt.Errorf("OCSP response ignored because contains multiple single responses (%d)", parts.count)
	}
	r, err := ocsp.ParseResponse(der, nil)
	var badParse ocsp.ParseError
	switch {
	case errors.As(err, &badParse) && parts.certs != nil && bytes.HasPrefix([]byte(badParse), []byte("bad signature")):
		return nil, ErrOCSPSignature
	case err != nil:
		return nil, ErrOCSPParse
	}
	return &OCSPResponse{Response: r, DER: der, ID: parts.id, parts: parts}, nil
}

// ocspParts are what of a response golang.org/x/crypto/ocsp does not tell.
type ocspParts struct {
	status     int // OCSPResponseStatus, 0: successful
	count      int // of single responses
	id         []byte
	extensions cryptobyte.String // of the response, nil: none
	certs      cryptobyte.String // nil: none
}

// splitOCSP walks RFC 6960's OCSPResponse.
func splitOCSP(der []byte) (p ocspParts, ok bool) {
	in := cryptobyte.String(der)
	var resp, wrapped, kind, inner, octets, basic, data, singles, one, field cryptobyte.String
	var has bool
	if !in.ReadASN1(&resp, cbasn1.SEQUENCE) || !in.Empty() || !resp.ReadASN1Enum(&p.status) {
		return p, false
	}
	if p.status != 0 {
		return p, true
	}
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	if !resp.ReadASN1(&wrapped, explicit(0)) || !wrapped.ReadASN1(&inner, cbasn1.SEQUENCE) || !inner.ReadASN1(&kind, cbasn1.OBJECT_IDENTIFIER) ||
		!inner.ReadASN1(&octets, cbasn1.OCTET_STRING) || !octets.ReadASN1(&basic, cbasn1.SEQUENCE) || !basic.ReadASN1(&data, cbasn1.SEQUENCE) ||
		!data.SkipOptionalASN1(explicit(0)) || !data.ReadAnyASN1Element(&field, nil) || !data.SkipASN1(cbasn1.GeneralizedTime) ||
		!data.ReadASN1(&singles, cbasn1.SEQUENCE) || !data.ReadOptionalASN1(&p.extensions, &has, explicit(1)) {
		return p, false
	}
	for !singles.Empty() {
		var id cryptobyte.String
		if !singles.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1Element(&id, cbasn1.SEQUENCE) {
			return p, false
		}
		if p.count++; p.count == 1 {
			p.id = id
		}
	}
	if !basic.SkipASN1(cbasn1.SEQUENCE) || !basic.SkipASN1(cbasn1.BIT_STRING) || !basic.ReadOptionalASN1(&p.certs, &has, explicit(0)) {
		return p, false
	}
	return p, p.count > 0
}

// Usable tells whether a response can be sent at a time: its status is known, and it has an end that is not near.
func (r *OCSPResponse) Usable(now time.Time) error {
	switch {
	case r.Status == ocsp.Unknown:
		return ErrOCSPUnknown
	case r.NextUpdate.IsZero():
		return ErrOCSPNoNext
	case r.ThisUpdate.After(now.Add(OCSPSkew)), r.NextUpdate.Add(OCSPSkew).Before(now), r.NextUpdate.Before(r.ThisUpdate):
		return ErrOCSPExpired
	case r.until().Before(now):
		return ErrOCSPShort
	}
	return nil
}

// until is when the response is not sent any more.
func (r *OCSPResponse) until() time.Time { return r.NextUpdate.Add(-OCSPSkew) }

// Revoked tells that the certificate is revoked.
func (r *OCSPResponse) Revoked() bool { return r.Status == ocsp.Revoked }

// CheckOCSP judges whether a response is one to send with b at a time: HAProxy's checks in HAProxy's order, then the signature.
func (b *Bundle) CheckOCSP(r *OCSPResponse, now time.Time) error {
	if err := r.Usable(now); err != nil {
		return err
	}
	leaf := b.peek()
	issuer := b.findIssuer(leaf)
	if issuer == nil {
		return ErrOCSPIssuer
	}
	if id := certID(leaf, issuer, r.IssuerHash); id == nil || !sameID(id, r.ID) {
		return ErrOCSPOther
	}
	return r.signedFor(leaf, issuer, now)
}

// sameID compares two CertIDs, whose AlgorithmIdentifier may or may not spell out its missing parameters (RFC 5754 section 2).
func sameID(a, b []byte) bool {
	var x, y ocspID
	if rest, err := asn1.Unmarshal(a, &x); err != nil || len(rest) > 0 {
		return false
	}
	if rest, err := asn1.Unmarshal(b, &y); err != nil || len(rest) > 0 {
		return false
	}
	return x.Algorithm.Algorithm.Equal(y.Algorithm.Algorithm) && bytes.Equal(x.NameHash, y.NameHash) && bytes.Equal(x.KeyHash, y.KeyHash) &&
		x.Serial.Cmp(y.Serial) == 0
}

// SignedFor tells whether the issuer of b, or a responder it authorised, signed the response.
func (b *Bundle) SignedFor(r *OCSPResponse, now time.Time) error {
	leaf := b.peek()
	issuer := b.findIssuer(leaf)
	if issuer == nil {
		return ErrOCSPIssuer
	}
	return r.signedFor(leaf, issuer, now)
}

// signedFor is RFC 6960 section 4.2.2.2: the signer is the CA that issued the certificate, or holds a certificate directly from that CA for
// id-kp-OCSPSigning, which is valid.
func (r *OCSPResponse) signedFor(leaf, issuer *x509.Certificate, now time.Time) error {
	if r.CheckSignatureFrom(issuer) == nil {
		return nil
	}
	// ParseOCSP has seen that the signature is that of the certificate in the response.
	signer := r.Certificate
	switch {
	case signer == nil,
		!bytes.Equal(signer.RawIssuer, issuer.RawSubject) || issuer.CheckSignature(signer.SignatureAlgorithm, signer.RawTBSCertificate, signer.Signature) != nil,
		!slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning),
		now.Add(OCSPSkew).Before(signer.NotBefore) || now.Add(-OCSPSkew).After(signer.NotAfter):
		return ErrOCSPSignature
	}
	return nil
}

// WithOCSP returns b with a DER response to staple. A response that does not read is refused, so is one for another serial
// (ErrOCSPOther): a stale file beside a renewed certificate must not be served with it. Whether it may be sent is CheckOCSP's question: the
// issuer may not be known yet.
func (b *Bundle) WithOCSP(der []byte) (*Bundle, error) {
	r, err := ParseOCSP(der)
	switch {
	case err != nil:
		return nil, err
	case r.SerialNumber.Cmp(b.peek().SerialNumber) != 0:
		return nil, ErrOCSPOther
	}
	der = bytes.Clone(der)
	n := b.change(func(x *extra) { x.ocsp, x.ocspThis, x.ocspUntil, x.stapling = der, r.ThisUpdate, r.until(), true })
	n.keep(b)
	return n, nil
}

// WithoutOCSP returns b without response, still as one that a response is wanted for.
func (b *Bundle) WithoutOCSP() *Bundle {
	n := b.change(func(x *extra) { x.ocsp, x.ocspThis, x.ocspUntil, x.stapling = nil, time.Time{}, time.Time{}, true })
	n.keep(b)
	return n
}

// keep takes over what was parsed and prepared of a bundle with the same leaf, chain and key.
func (b *Bundle) keep(same *Bundle) {
	b.parsed.Store(same.parsed.Load())
	b.ready.Store(same.ready.Load())
}

// Stapling tells whether a response is to be sent, even if there is none at the moment.
func (b *Bundle) Stapling() bool { return b.extra != nil && b.extra.stapling }

// Staple returns the DER response to send at a time, nil when there is none or it has expired.
func (b *Bundle) Staple(now time.Time) []byte {
	if b.extra == nil || b.extra.ocsp == nil || !now.Before(b.extra.ocspUntil) {
		return nil
	}
	return b.extra.ocsp
}

// OCSPThis and OCSPUntil are the times of the response: its thisUpdate, and when it is not sent any more; zero without one.
func (b *Bundle) OCSPThis() time.Time  { return b.ex().ocspThis }
func (b *Bundle) OCSPUntil() time.Time { return b.ex().ocspUntil }

// OCSPServer returns the first address of a responder that the leaf names (RFC 5280 section 4.2.2.1), "" when it names none.
func (b *Bundle) OCSPServer() string {
	if list := b.peek().OCSPServer; len(list) > 0 {
		return list[0]
	}
	return ""
}

// HasIssuer tells whether the certificate that signed the leaf is known: in the chain, or as the extra issuer.
func (b *Bundle) HasIssuer() bool { return b.findIssuer(b.peek()) != nil }

// OCSPKey returns the DER of the certificate's OCSP CertID (RFC 6960 section 4.1.1, SHA-1) under its issuer in the chain or the
// extra issuer, nil when the issuer is not known.
func (b *Bundle) OCSPKey() []byte {
	leaf := b.peek()
	issuer := b.findIssuer(leaf)
	if issuer == nil {
		return nil
	}
	return certID(leaf, issuer, crypto.SHA1)
}

// OCSPSerial returns the serial number in a CertID as Serial prints it, "" when it does not read.
func OCSPSerial(id []byte) string {
	var parts ocspID
	if rest, err := asn1.Unmarshal(id, &parts); err != nil || len(rest) > 0 || parts.Serial == nil {
		return ""
	}
	return Serial(parts.Serial)
}

// OCSPRequest returns the DER of a request about the leaf, without nonce, so that responders can answer from a cache (RFC 5019); nil when the issuer
// is not known.
func (b *Bundle) OCSPRequest() []byte {
	leaf := b.peek()
	issuer := b.findIssuer(leaf)
	if issuer == nil {
		return nil
	}
	der, err := ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		return nil
	}
	return der
}

// ocspID is CertID of RFC 6960 section 4.1.1.
type ocspID struct {
	Algorithm         pkix.AlgorithmIdentifier
	NameHash, KeyHash []byte
	Serial            *big.Int
}

// ocspHashes are the hashes a CertID may use.
var ocspHashes = map[crypto.Hash]struct {
	oid asn1.ObjectIdentifier
	new func() hash.Hash
}{
	crypto.SHA1:   {asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, sha1.New},
	crypto.SHA256: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, sha256.New},
	crypto.SHA384: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, sha512.New384},
	crypto.SHA512: {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, sha512.New},
}

func certID(leaf, issuer *x509.Certificate, h crypto.Hash) []byte {
	alg, ok := ocspHashes[h]
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &key); err != nil || !ok {
		return nil
	}
	sum := func(data []byte) []byte {
		d := alg.new()
		d.Write(data)
		return d.Sum(nil)
	}
	der, err := asn1.Marshal(ocspID{pkix.AlgorithmIdentifier{Algorithm: alg.oid, Parameters: asn1.NullRawValue}, sum(leaf.RawIssuer),
		sum(key.PublicKey.RightAlign()), leaf.SerialNumber})
	if err != nil {
		return nil
	}
	return der
}

// findIssuer looks for the certificate that the leaf names as its issuer: in the chain, then the extra one, then a self-signed leaf itself.
func (b *Bundle) findIssuer(leaf *x509.Certificate) *x509.Certificate {
	candidates := b.Chain()
	if issuer := b.Issuer(); issuer != nil {
		candidates = append(candidates, issuer)
	}
	for _, der := range append(candidates, b.leaf) {
		c, err := x509.ParseCertificate(der)
		if err != nil || !bytes.Equal(c.RawSubject, leaf.RawIssuer) {
			continue
		}
		if len(leaf.AuthorityKeyId) > 0 && len(c.SubjectKeyId) > 0 && !bytes.Equal(leaf.AuthorityKeyId, c.SubjectKeyId) {
			continue // another key of the same authority
		}
		return c
	}
	return nil
}
