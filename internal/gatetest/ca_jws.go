package gatetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
)

// message is one verified request of a client.
type message struct {
	account string // URL; "" for newAccount
	key     crypto.PublicKey
	url     string
	payload []byte
}

// verifyLocked checks a JWS as RFC 8555 section 6 asks: signature, algorithm, nonce, URL, and a jwk for newAccount or the kid of a known
// account for everything else.
func (ca *CA) verifyLocked(body []byte, url string, wantKey bool) (message, int, *problem) {
	malformed := func(format string, args ...any) (message, int, *problem) {
		return message{}, http.StatusBadRequest, &problem{Type: "malformed", Detail: fmt.Sprintf(format, args...)}
	}
	var jws struct{ Protected, Payload, Signature string }
	var head struct {
		Alg, Nonce, URL, Kid string
		JWK                  *jwk
	}
	protected, err := decodeJWS(body, &jws, &head)
	if err != nil {
		return malformed("not a JWS: %v", err)
	}
	m := message{account: head.Kid, url: url}
	switch {
	case head.URL != url:
		return malformed("signed for %q, sent to %q", head.URL, url)
	case wantKey != (head.JWK != nil) || wantKey == (head.Kid != ""):
		return malformed("jwk is for newAccount, kid for the rest")
	case wantKey:
		if m.key, err = head.JWK.public(); err != nil {
			return malformed("%v", err)
		}
	default:
		if m.key = ca.accounts[head.Kid]; m.key == nil {
			return message{}, http.StatusBadRequest, &problem{Type: "accountDoesNotExist", Detail: "no such account"}
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(jws.Signature)
	if err != nil {
		return malformed("%v", err)
	}
	if err := checkSignature(m.key, head.Alg, []byte(protected+"."+jws.Payload), signature); err != nil {
		return malformed("%v", err)
	}
	if m.payload, err = base64.RawURLEncoding.DecodeString(jws.Payload); err != nil {
		return malformed("%v", err)
	}
	if !ca.takeNonceLocked(head.Nonce) {
		return message{}, http.StatusBadRequest, &problem{Type: "badNonce", Detail: "the nonce is not good"}
	}
	return m, 0, nil
}

func decodeJWS(body []byte, jws *struct{ Protected, Payload, Signature string }, head any) (string, error) {
	if err := json.Unmarshal(body, jws); err != nil {
		return "", err
	}
	data, err := base64.RawURLEncoding.DecodeString(jws.Protected)
	if err != nil {
		return "", err
	}
	return jws.Protected, json.Unmarshal(data, head)
}

// jwk is a public key as RFC 7517 writes it.
type jwk struct{ Kty, Crv, X, Y, N, E string }

func (k *jwk) public() (crypto.PublicKey, error) {
	number := func(text string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	switch k.Kty {
	case "RSA":
		key := &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
		if key.N.BitLen() < 2048 || key.E < 3 {
			return nil, errors.New("the RSA key is too small")
		}
		return key, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if curve == nil {
			return nil, fmt.Errorf("unknown curve %q", k.Crv)
		}
		size := (curve.Params().BitSize + 7) / 8
		point := []byte{4} // uncompressed, SEC 1 section 2.3.3
		for _, text := range []string{k.X, k.Y} {
			b, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || len(b) != size {
				return nil, fmt.Errorf("a coordinate is not of %d bytes", size) // RFC 7518 section 6.2.1.2
			}
			point = append(point, b...)
		}
		return ecdsa.ParseUncompressedPublicKey(curve, point)
	}
	return nil, fmt.Errorf("unknown key type %q", k.Kty)
}

func checkSignature(key crypto.PublicKey, alg string, text, signature []byte) error {
	bad := errors.New("the signature does not fit the key")
	switch key := key.(type) {
	case *rsa.PublicKey:
		sum := sha256.Sum256(text)
		if alg != "RS256" || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
			return bad
		}
		return nil
	case *ecdsa.PublicKey:
		var sum []byte
		want := ""
		switch key.Curve {
		case elliptic.P256():
			s := sha256.Sum256(text)
			sum, want = s[:], "ES256"
		case elliptic.P384():
			s := sha512.Sum384(text)
			sum, want = s[:], "ES384"
		default:
			s := sha512.Sum512(text)
			sum, want = s[:], "ES512"
		}
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		if alg != want || half != (key.Params().BitSize+7)/8 || !ecdsa.Verify(key, sum, r, s) {
			return bad
		}
		return nil
	}
	return bad
}

// thumbprint is the JWK thumbprint of a key (RFC 7638).
func thumbprint(key crypto.PublicKey) string {
	enc := base64.RawURLEncoding.EncodeToString
	var text string
	switch key := key.(type) {
	case *rsa.PublicKey:
		text = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, enc(big.NewInt(int64(key.E)).Bytes()), enc(key.N.Bytes()))
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return ""
		}
		half := len(point) / 2
		text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, key.Params().Name, enc(point[1:1+half]), enc(point[1+half:]))
	}
	sum := sha256.Sum256([]byte(text))
	return enc(sum[:])
}
