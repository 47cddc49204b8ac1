package cert

import (
	"crypto/elliptic"
	"encoding/asn1"
	"strconv"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Fields are the parts of a certificate (RFC 5280 section 4.1) as they are encoded. They point into its DER. Reading them costs no memory,
// so that a rule can ask per request.
type Fields struct {
	Version             int    // 1 to 3
	Serial              []byte // without a leading zero
	Issuer, Subject     []byte // DER names, for DN, DNEntry and DN2253
	NotBefore, NotAfter Time

	sigAlg, keyAlg, keyParam, key []byte
	extensions                    cryptobyte.String
}

// Time is a certificate's date as encoded.
type Time struct {
	general bool // GeneralizedTime, with the century
	text    []byte
}

// Text is the date as HAProxy prints it, "330917162600Z", without the century; nil for one it does not print.
func (t Time) Text() []byte {
	switch {
	case t.general && len(t.text) >= 12 && t.text[0] == '2' && t.text[1] == '0':
		return t.text[2:]
	case !t.general && len(t.text) >= 10 && t.text[0] < '5': // from 1950 on it would be another century
		return t.text
	}
	return nil
}

// ReadFields reads a certificate; false when der is none.
func ReadFields(der []byte) (f Fields, ok bool) {
	in := cryptobyte.String(der)
	var crt, tbs, sig, validity, spki, key cryptobyte.String
	if !in.ReadASN1(&crt, cbasn1.SEQUENCE) || !crt.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return f, false
	}
	f.Version = 1
	var wrapped, number cryptobyte.String
	var has bool
	if !tbs.ReadOptionalASN1(&wrapped, &has, cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return f, false
	}
	if has {
		if !wrapped.ReadASN1(&number, cbasn1.INTEGER) || len(number) != 1 {
			return f, false
		}
		f.Version = int(number[0]) + 1
	}
	if !tbs.ReadASN1(&number, cbasn1.INTEGER) || !tbs.ReadASN1(&sig, cbasn1.SEQUENCE) || !sig.ReadASN1((*cryptobyte.String)(&f.sigAlg), cbasn1.OBJECT_IDENTIFIER) {
		return f, false
	}
	if f.Serial = number; len(number) > 1 && number[0] == 0 {
		f.Serial = number[1:]
	}
	if !tbs.ReadASN1Element((*cryptobyte.String)(&f.Issuer), cbasn1.SEQUENCE) || !tbs.ReadASN1(&validity, cbasn1.SEQUENCE) ||
		!readTime(&validity, &f.NotBefore) || !readTime(&validity, &f.NotAfter) ||
		!tbs.ReadASN1Element((*cryptobyte.String)(&f.Subject), cbasn1.SEQUENCE) || !tbs.ReadASN1(&spki, cbasn1.SEQUENCE) ||
		!spki.ReadASN1(&key, cbasn1.SEQUENCE) || !key.ReadASN1((*cryptobyte.String)(&f.keyAlg), cbasn1.OBJECT_IDENTIFIER) {
		return f, false
	}
	f.keyParam, f.key = key, spki
	if !tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) ||
		!tbs.ReadOptionalASN1(&wrapped, &has, cbasn1.Tag(3).Constructed().ContextSpecific()) {
		return f, false
	}
	return f, !has || wrapped.ReadASN1(&f.extensions, cbasn1.SEQUENCE)
}

func readTime(in *cryptobyte.String, t *Time) bool {
	var tag cbasn1.Tag
	ok := in.ReadAnyASN1((*cryptobyte.String)(&t.text), &tag)
	t.general = tag == cbasn1.GeneralizedTime
	return ok && (t.general || tag == cbasn1.UTCTime)
}

// algorithms are OpenSSL's short names of signature and key algorithms by their dotted object identifiers.
var algorithms = map[string]string{
	"1.2.840.113549.1.1.1": "rsaEncryption", "1.2.840.113549.1.1.2": "RSA-MD2", "1.2.840.113549.1.1.4": "RSA-MD5", "1.2.840.113549.1.1.5": "RSA-SHA1",
	"1.2.840.113549.1.1.10": "RSASSA-PSS", "1.2.840.113549.1.1.11": "RSA-SHA256", "1.2.840.113549.1.1.12": "RSA-SHA384",
	"1.2.840.113549.1.1.13": "RSA-SHA512", "1.2.840.113549.1.1.14": "RSA-SHA224", "1.2.840.10040.4.1": "dsaEncryption", "1.2.840.10040.4.3": "DSA-SHA1",
	"2.16.840.1.101.3.4.3.1": "dsa_with_SHA224", "2.16.840.1.101.3.4.3.2": "dsa_with_SHA256",
	"1.2.840.10045.2.1": "id-ecPublicKey", "1.2.840.10045.4.1": "ecdsa-with-SHA1", "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
	"1.2.840.10045.4.3.2": "ecdsa-with-SHA256", "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512",
	"1.3.101.110": "X25519", "1.3.101.111": "X448", "1.3.101.112": "ED25519", "1.3.101.113": "ED448",
}

// byOID are the names of algorithms by the content of their encoded identifiers.
var byOID = func() map[string]string {
	m := map[string]string{}
	for dotted, name := range algorithms {
		m[string(encodeOID(dotted))] = name
	}
	return m
}()

func encodeOID(dotted string) []byte {
	var oid asn1.ObjectIdentifier
	n := 0
	for i := 0; i <= len(dotted); i++ {
		if i == len(dotted) || dotted[i] == '.' {
			oid, n = append(oid, n), 0
			continue
		}
		n = 10*n + int(dotted[i]-'0')
	}
	der, err := asn1.Marshal(oid)
	if err != nil {
		panic(err) // a mistake in the table above
	}
	return der[2:]
}

// SigAlg is OpenSSL's name of the algorithm the certificate is signed with, such as "RSA-SHA256"; "" when it is not known.
func (f *Fields) SigAlg() string { return byOID[string(f.sigAlg)] }

// KeyAlg is OpenSSL's name of the key's algorithm, such as "id-ecPublicKey"; "" when it is not known.
func (f *Fields) KeyAlg() string { return byOID[string(f.keyAlg)] }

var curveBits = map[string]int{
	string(encodeOID("1.2.840.10045.3.1.7")): elliptic.P256().Params().BitSize, string(encodeOID("1.3.132.0.33")): 224,
	string(encodeOID("1.3.132.0.34")): 384, string(encodeOID("1.3.132.0.35")): 521, string(encodeOID("1.3.132.0.10")): 256,
}

// KeyName is the key's kind and size as PROXY headers tell it: "RSA2048", "EC256"; "" for other kinds.
func (f *Fields) KeyName() string {
	switch f.KeyAlg() {
	case "rsaEncryption", "RSASSA-PSS":
		rest := cryptobyte.String(f.key)
		var bits asn1.BitString
		var key, modulus cryptobyte.String
		if !rest.ReadASN1BitString(&bits) {
			return ""
		}
		rest = bits.Bytes
		if !rest.ReadASN1(&key, cbasn1.SEQUENCE) || !key.ReadASN1(&modulus, cbasn1.INTEGER) {
			return ""
		}
		n := 0
		for i, c := range modulus {
			if c != 0 {
				n = 8 * (len(modulus) - i - 1)
				for ; c != 0; c >>= 1 {
					n++
				}
				break
			}
		}
		return "RSA" + strconv.Itoa(n)
	case "id-ecPublicKey":
		param := cryptobyte.String(f.keyParam)
		var oid cryptobyte.String
		if param.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) && curveBits[string(oid)] > 0 {
			return "EC" + strconv.Itoa(curveBits[string(oid)])
		}
	}
	return ""
}

// extensionSAN is the content of the identifier of the subject alternative name, 2.5.29.17.
const extensionSAN = "\x55\x1d\x11"

// SubjectAltName returns the value of that extension, nil when there is none.
func (f *Fields) SubjectAltName() []byte {
	rest := f.extensions
	for !rest.Empty() {
		var e, oid, value cryptobyte.String
		if !rest.ReadASN1(&e, cbasn1.SEQUENCE) || !e.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) || !e.SkipOptionalASN1(cbasn1.BOOLEAN) ||
			!e.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return nil
		}
		if string(oid) == extensionSAN {
			return value
		}
	}
	return nil
}
