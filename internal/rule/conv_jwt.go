package rule

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// What jwt_verify returns (manual 7.3.1).
const (
	jwtValid      = 1
	jwtInvalid    = 0
	jwtUnknownAlg = -1
	jwtUnmanaged  = -2
	jwtBadToken   = -3
	jwtNoKey      = -5
	jwtForbidden  = -7 // a certificate without "jwt on"
)

// jwtConverters read and verify JSON Web Tokens in compact form (RFC 7515 section 7.1).
func jwtConverters() []converter {
	const bin = stream.KindBin
	return []converter{
		{"jwt_header_query", takes(0, argStr, argStr), bin, stream.KindAny, false, "header of a token, or the value at a JSON path in it; int for a whole number", bindJWTQuery(0)},
		{"jwt_payload_query", takes(0, argStr, argStr), bin, stream.KindAny, false, "payload of a token, or the value at a JSON path in it; int for a whole number", bindJWTQuery(1)},
		{"jwt_verify", takes(2, argStr, argStr), bin, stream.KindInt, false, "1 when a token's signature is right: algorithm, and secret or file of a public key; 0 or below otherwise", bindJWTVerify(false)},
		{"jwt_verify_cert", takes(2, argStr, argStr), bin, stream.KindInt, false, "jwt_verify with the public key of a certificate of the store, one that is told to be for it (jwt on)", bindJWTVerify(true)},
	}
}

// JWTCertificates is where jwt_verify_cert finds certificates. The engine supplies the certificate store, so that a commit counts with the next
// request.
type JWTCertificates interface {
	// UseForJWT has a certificate that a rule names read, with what else the configuration reads, and lets it verify tokens. It is called while
	// rules are compiled; what is wrong with the file is told later.
	UseForJWT(name string, at config.Pos)
	// JWTKey returns the key to verify with, during a request. A nil key with known says that the certificate exists and may not be used.
	JWTKey(name []byte) (key crypto.PublicKey, known bool)
}

// noCertificates is a JWTCertificates that has none.
type noCertificates struct{}

func (noCertificates) UseForJWT(string, config.Pos)           {}
func (noCertificates) JWTKey([]byte) (crypto.PublicKey, bool) { return nil, false }

// JWTKeys are the public keys that jwt_verify may use, by the file name that the configuration has for them. Those of one
// generation share one value, because a variable may name the file that another rule made known. It is filled while rules are
// compiled and only read afterwards.
type JWTKeys map[string]crypto.PublicKey

// load reads the key of a file once.
func (k *JWTKeys) load(c *Compiler, name string) error {
	if (*k)[name] != nil {
		return nil
	}
	text, err := c.readFile(name)
	if err != nil {
		return fmt.Errorf("reading '%s': %w", name, err)
	}
	key := publicKey(text)
	if key == nil {
		return fmt.Errorf("no public key in file '%s'", name)
	}
	if *k == nil {
		*k = JWTKeys{}
	}
	(*k)[name] = key
	return nil
}

// publicKey reads the first key of PEM text: SPKI or PKCS#1.
func publicKey(text []byte) crypto.PublicKey {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil
		}
		text = rest
		switch block.Type {
		case "PUBLIC KEY":
			if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
				return key
			}
		case "RSA PUBLIC KEY":
			if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
				return key
			}
		}
	}
}

// bindJWTQuery queries a part of the token: 0 is the header, 1 the payload.
func bindJWTQuery(part int) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		var query func(*stream.Stream, []byte) (Value, bool)
		var err error
		if a.str(0) != "" {
			if query, err = jsonQuery(a.str(0), a.str(1)); err != nil {
				return nil, err
			}
		}
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			token := v.Bytes
			for range part {
				var ok bool
				if _, token, ok = cutByte(token, '.'); !ok {
					return Value{}, false
				}
			}
			token, _, ok := cutByte(token, '.')
			if !ok && part == 0 {
				return Value{}, false
			}
			b, err := base64.RawURLEncoding.AppendDecode(s.Work(), bytes.TrimRight(token, "="))
			b = s.Return(b)
			if err != nil {
				return Value{}, false
			}
			if query == nil {
				return text(b), true
			}
			return query(s, b)
		}, nil
	}
}

// jwtAlg is one algorithm of RFC 7518 section 3.1.
type jwtAlg struct {
	family byte // 'H', 'R', 'E', 'P'; 0 is "none"
	hash   crypto.Hash
	curve  elliptic.Curve
}

var jwtAlgs = map[string]jwtAlg{
	"none":  {},
	"HS256": {'H', crypto.SHA256, nil}, "HS384": {'H', crypto.SHA384, nil}, "HS512": {'H', crypto.SHA512, nil},
	"RS256": {'R', crypto.SHA256, nil}, "RS384": {'R', crypto.SHA384, nil}, "RS512": {'R', crypto.SHA512, nil},
	"PS256": {'P', crypto.SHA256, nil}, "PS384": {'P', crypto.SHA384, nil}, "PS512": {'P', crypto.SHA512, nil},
	"ES256": {'E', crypto.SHA256, elliptic.P256()}, "ES384": {'E', crypto.SHA384, elliptic.P384()}, "ES512": {'E', crypto.SHA512, elliptic.P521()},
}

// textOperand is an argument that is text, or a variable holding some.
type textOperand struct {
	text  []byte
	v     variable
	isVar bool
}

func parseTextOperand(word string) textOperand {
	if v, err := parseVar(word); err == nil {
		return textOperand{v: v, isVar: true}
	}
	return textOperand{text: []byte(word)}
}

func (o *textOperand) value(s *stream.Stream, env Env) ([]byte, bool) {
	if !o.isVar {
		return o.text, true
	}
	v, ok := o.v.get(s, env)
	if ok {
		v, ok = cast(s, v, stream.KindStr)
	}
	return v.Bytes, ok
}

func bindJWTVerify(cert bool) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		alg, key := parseTextOperand(a.str(0)), parseTextOperand(a.str(1))
		if !alg.isVar {
			known, ok := jwtAlgs[a.str(0)]
			if !ok {
				return nil, fmt.Errorf("unknown JWT algorithm: %s", a.str(0))
			}
			if cert && known.family == 'H' && !key.isVar {
				return nil, fmt.Errorf("HMAC-signed tokens can't be processed by this converter")
			}
			if known.family == 'H' && !cert {
				return jwtVerifier(alg, key, a.c.jwtKeys(), nil), nil
			}
		}
		if cert {
			certs := a.c.Certificates
			if certs == nil {
				certs = noCertificates{}
			}
			if !key.isVar {
				certs.UseForJWT(a.str(1), a.c.at)
			}
			return jwtVerifier(alg, key, nil, certs), nil
		}
		if !key.isVar {
			if err := a.c.jwtKeys().load(a.c, a.str(1)); err != nil && !alg.isVar { // it may be a secret
				return nil, err
			}
		}
		return jwtVerifier(alg, key, a.c.jwtKeys(), nil), nil
	}
}

// jwtVerifier verifies with a key of a file or a secret, or, when there are certs, with one of them.
func jwtVerifier(alg, key textOperand, keys *JWTKeys, certs JWTCertificates) convFunc {
	return func(s *stream.Stream, env Env, v Value) (Value, bool) {
		name, ok1 := alg.value(s, env)
		secret, ok2 := key.value(s, env)
		if !ok1 || !ok2 {
			return Value{}, false
		}
		j := jwtCheck{secret: secret, cert: certs != nil}
		if certs != nil {
			j.public, j.known = certs.JWTKey(secret)
		} else {
			j.public = (*keys)[string(secret)]
		}
		return integer(j.verify(s, string(name), v.Bytes)), true
	}
}

// jwtCheck verifies one token.
type jwtCheck struct {
	public crypto.PublicKey // nil: unknown
	known  bool             // the certificate exists
	secret []byte
	cert   bool // a certificate was asked for
}

func (j *jwtCheck) verify(s *stream.Stream, name string, token []byte) int64 {
	alg, ok := jwtAlgs[name]
	if !ok {
		return jwtUnknownAlg
	}
	end := bytes.LastIndexByte(token, '.')
	if bytes.Count(token, []byte(".")) != 2 {
		return jwtBadToken
	}
	signed, encoded := token[:end], token[end+1:]
	if alg.family == 0 {
		return passed(len(encoded) == 0)
	}
	if len(encoded) == 0 {
		return jwtBadToken
	}
	sig, err := base64.RawURLEncoding.AppendDecode(s.Work(), bytes.TrimRight(encoded, "="))
	sig = s.Return(sig)
	switch {
	case err != nil:
		return jwtBadToken
	case alg.family == 'H' && j.cert:
		return jwtUnmanaged
	case alg.family == 'H' && j.public != nil:
		// The token chose HMAC where a public key is configured: its name, which is no secret, must not serve as one.
		return jwtInvalid
	case alg.family == 'H':
		h := hmac.New(alg.hash.New, j.secret)
		_, _ = h.Write(signed) // never fails
		return passed(subtle.ConstantTimeCompare(h.Sum(nil), sig) == 1)
	case j.public == nil && j.known:
		return jwtForbidden
	case j.public == nil:
		return jwtNoKey
	}
	return j.asymmetric(alg, signed, sig)
}

func (j *jwtCheck) asymmetric(alg jwtAlg, signed, sig []byte) int64 {
	if alg.family == 'E' && len(sig)%2 != 0 {
		return jwtBadToken // no R and S of the same length
	}
	h := alg.hash.New()
	_, _ = h.Write(signed) // never fails
	sum := h.Sum(nil)
	switch key := j.public.(type) {
	case *rsa.PublicKey:
		switch alg.family {
		case 'R':
			return passed(rsa.VerifyPKCS1v15(key, alg.hash, sum, sig) == nil)
		case 'P':
			return passed(rsa.VerifyPSS(key, alg.hash, sum, sig, nil) == nil)
		}
	case *ecdsa.PublicKey:
		// R and S side by side, each as long as the curve's order (RFC 7518 section 3.4).
		if alg.family == 'E' && key.Curve == alg.curve && len(sig) == 2*((alg.curve.Params().BitSize+7)/8) {
			half := len(sig) / 2
			return passed(ecdsa.Verify(key, sum, new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])))
		}
	}
	return jwtInvalid
}

func passed(ok bool) int64 {
	if ok {
		return jwtValid
	}
	return jwtInvalid
}
