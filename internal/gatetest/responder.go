package gatetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Manner is how a Responder answers.
type Manner string

// Manners of responders.
const (
	Honest        Manner = ""
	Delegated     Manner = "delegated"      // signed by a responder that the CA authorised
	NoPurpose     Manner = "no-purpose"     // signed by a certificate of the CA that is not for signing responses
	WrongSigner   Manner = "wrong-signer"   // signed by another CA of the same name
	BadSignature  Manner = "bad-signature"  // bits of the signature are wrong
	SayRevoked    Manner = "revoked"        // keyCompromise
	SayUnknown    Manner = "unknown"        // never heard of it
	OtherSerial   Manner = "other-serial"   // about another certificate of the CA
	OtherIssuer   Manner = "other-issuer"   // about the same number of another CA
	SaidExpired   Manner = "expired"        // over since an hour
	NotYet        Manner = "not-yet"        // from tomorrow
	NoNext        Manner = "no-next-update" // without end
	SeveralSingle Manner = "several"        // about two certificates at once
	TryLater      Manner = "try-later"      // tryLater, unsigned
	WithNonce     Manner = "nonce"          // with a nonce nobody asked for
	Huge          Manner = "huge"           // without end
	Garbage       Manner = "garbage"        // 200, the right type, no response
	HTML          Manner = "html"           // 200, a page
	Gone          Manner = "gone"           // 404
	PostOnly      Manner = "post-only"      // 405 to GET
	Broken        Manner = "broken"         // 500
	Redirects     Manner = "redirects"      // 302 to somewhere else
	Refusing      Manner = "refusing"       // no connection
	SilentForever Manner = "silent"         // a connection, and nothing else
	HalfAnswer    Manner = "half"           // the head and a part of the body, then nothing
)

// Responder is a CA with an OCSP responder (RFC 6960) in memory that can be told to answer badly. It implements http.RoundTripper and http.Handler.
type Responder struct {
	ca, twin, delegate, stranger *ocspSigner

	mu       sync.Mutex // guards all below
	manner   Manner
	lifetime time.Duration
	asked    []string // methods
	serial   int64
}

type ocspSigner struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewResponder makes a responder with a new CA; its responses last a day.
func NewResponder() (*Responder, error) {
	r := &Responder{lifetime: 24 * time.Hour, serial: 100}
	var errs [4]error
	r.ca, errs[0] = newOCSPSigner("OCSP test CA", nil, 1, nil)
	r.twin, errs[1] = newOCSPSigner("OCSP test CA", nil, 1, nil)
	if err := errors.Join(errs[:2]...); err != nil {
		return nil, err
	}
	r.delegate, errs[2] = newOCSPSigner("responder", r.ca, 2, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning})
	r.stranger, errs[3] = newOCSPSigner("no responder", r.ca, 3, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})
	return r, errors.Join(errs[:]...)
}

func newOCSPSigner(name string, issuer *ocspSigner, serial int64, usage []x509.ExtKeyUsage) (*ocspSigner, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour), BasicConstraintsValid: true, IsCA: issuer == nil, ExtKeyUsage: usage,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	s := &ocspSigner{key: key}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err == nil {
		s.cert, err = x509.ParseCertificate(der)
	}
	return s, err
}

// Issue makes a certificate whose responder is at server ("" names none): key, leaf and CA in one PEM text.
func (r *Responder) Issue(server string, names ...string) ([]byte, error) {
	r.mu.Lock()
	r.serial++
	serial := r.serial
	r.mu.Unlock()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	if server != "" {
		template.OCSPServer = []string{server}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.ca.cert, key.Public(), r.ca.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, b := range []pem.Block{{Type: "PRIVATE KEY", Bytes: keyDER}, {Type: "CERTIFICATE", Bytes: der}, {Type: "CERTIFICATE", Bytes: r.ca.cert.Raw}} {
		_ = pem.Encode(&out, &b) // a Buffer takes everything
	}
	return out.Bytes(), nil
}

// Be changes how the responder answers from now on.
func (r *Responder) Be(m Manner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manner = m
}

// Last changes how long responses last from now on.
func (r *Responder) Last(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lifetime = d
}

// Asked lists the methods of the requests so far.
func (r *Responder) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

// RoundTrip answers without a network.
func (r *Responder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	manner := r.manner
	r.asked = append(r.asked, req.Method)
	r.mu.Unlock()
	answer := func(code int, kind string, body io.Reader) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {kind}, "Location": {"http://elsewhere.test/"}}, Body: io.NopCloser(body), Request: req}, nil
	}
	const kind = "application/ocsp-response"
	switch manner {
	case Refusing:
		return nil, errors.New("connection refused")
	case SilentForever:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case HalfAnswer:
		return answer(200, kind, io.MultiReader(strings.NewReader("0"), untilDone{req}))
	case Huge:
		return answer(200, kind, zeros{})
	case Garbage:
		return answer(200, kind, strings.NewReader("what?"))
	case HTML:
		return answer(200, "text/html", strings.NewReader("<p>welcome"))
	case Gone:
		return answer(404, "text/plain", strings.NewReader(""))
	case Broken:
		return answer(500, "text/plain", strings.NewReader(""))
	case Redirects:
		return answer(302, "text/plain", strings.NewReader(""))
	case PostOnly:
		if req.Method == http.MethodGet {
			return answer(405, "text/plain", strings.NewReader(""))
		}
	}
	question, err := readQuestion(req)
	if err != nil {
		return answer(400, "text/plain", strings.NewReader(err.Error()))
	}
	der, err := r.Respond(question)
	if err != nil {
		return nil, err
	}
	return answer(200, kind, bytes.NewReader(der))
}

// ServeHTTP answers over a network.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	res, err := r.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(res.Body, 1<<20)) // the client may have gone
}

// readQuestion takes the request from the path of GET or the body of POST (RFC 6960 appendix A.1).
func readQuestion(req *http.Request) (*ocsp.Request, error) {
	var der []byte
	var err error
	if req.Method == http.MethodGet {
		text := strings.TrimPrefix(req.URL.Path, "/")
		der, err = base64.StdEncoding.DecodeString(text)
	} else {
		der, err = io.ReadAll(io.LimitReader(req.Body, 1<<16))
	}
	if err != nil {
		return nil, err
	}
	return ocsp.ParseRequest(der)
}

type untilDone struct{ req *http.Request }

func (u untilDone) Read([]byte) (int, error) {
	<-u.req.Context().Done()
	return 0, u.req.Context().Err()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The ASN.1 of RFC 6960 section 4.2.1.
type (
	ocspID struct {
		Algorithm         pkix.AlgorithmIdentifier
		NameHash, KeyHash []byte
		Serial            *big.Int
	}
	ocspRevoked struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
	}
	ocspSingle struct {
		ID      ocspID
		Good    asn1.Flag   `asn1:"tag:0,optional"`
		Revoked ocspRevoked `asn1:"tag:1,optional"`
		Unknown asn1.Flag   `asn1:"tag:2,optional"`
		This    time.Time   `asn1:"generalized"`
		Next    time.Time   `asn1:"generalized,explicit,tag:0,optional"`
	}
	ocspData struct {
		Responder  asn1.RawValue
		Produced   time.Time `asn1:"generalized"`
		Singles    []ocspSingle
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	ocspBasic struct {
		Data      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	ocspBytes struct {
		Type asn1.ObjectIdentifier
		Body []byte
	}
	ocspWhole struct {
		Status asn1.Enumerated
		Bytes  ocspBytes `asn1:"explicit,tag:0"`
	}
)

// Respond makes the DER of a response in the responder's manner.
func (r *Responder) Respond(q *ocsp.Request) ([]byte, error) {
	r.mu.Lock()
	manner, lifetime := r.manner, r.lifetime
	r.mu.Unlock()
	if manner == TryLater {
		return ocsp.TryLaterErrorResponse, nil
	}
	now := time.Now().UTC().Truncate(time.Second)
	one := ocspSingle{ID: ocspID{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue},
		q.IssuerNameHash, q.IssuerKeyHash, q.SerialNumber}, Good: true, This: now, Next: now.Add(lifetime)}
	data := ocspData{Produced: now}
	signer, carry := r.ca, false
	switch manner {
	case Delegated:
		signer, carry = r.delegate, true
	case NoPurpose:
		signer, carry = r.stranger, true
	case WrongSigner:
		signer, carry = r.twin, true
	case SayRevoked:
		one.Good, one.Revoked = false, ocspRevoked{now.Add(-time.Hour), 1}
	case SayUnknown:
		one.Good, one.Unknown = false, true
	case OtherSerial:
		one.ID.Serial = new(big.Int).Add(q.SerialNumber, big.NewInt(1000))
	case OtherIssuer:
		one.ID.KeyHash = bytes.Repeat([]byte{7}, 20)
	case SaidExpired:
		one.This, one.Next = now.Add(-2*time.Hour), now.Add(-time.Hour)
	case NotYet:
		one.This, one.Next = now.Add(24*time.Hour), now.Add(48*time.Hour)
	case NoNext:
		one.Next = time.Time{}
	case WithNonce:
		data.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: []byte{4, 2, 1, 2}}}
	}
	data.Singles = []ocspSingle{one}
	if manner == SeveralSingle {
		other := one
		other.ID.Serial = big.NewInt(5)
		data.Singles = append(data.Singles, other)
	}
	data.Responder = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: signer.cert.RawSubject}
	return signOCSP(&data, signer, carry, manner == BadSignature)
}

func signOCSP(data *ocspData, signer *ocspSigner, carry, spoil bool) ([]byte, error) {
	tbs, err := asn1.Marshal(*data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(tbs)
	if spoil {
		sum[0] ^= 1
	}
	sig, err := ecdsa.SignASN1(rand.Reader, signer.key, sum[:])
	if err != nil {
		return nil, err
	}
	basic := ocspBasic{Data: asn1.RawValue{FullBytes: tbs}, Signature: asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}}
	if carry {
		basic.Certs = []asn1.RawValue{{FullBytes: signer.cert.Raw}}
	}
	body, err := asn1.Marshal(basic)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(ocspWhole{0, ocspBytes{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, body}})
}
