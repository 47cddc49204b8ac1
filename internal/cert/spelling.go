package cert

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// suite is one cipher suite that crypto/tls has, with OpenSSL's name and what the words of a cipher string match (ciphers(1)).
type suite struct {
	id         uint16
	name       string
	kx, au, en string // key exchange ECDHE or RSA, authentication ECDSA or RSA, encryption AESGCM, AES (CBC), CHACHA20, 3DES
	bits       int    // of the encryption
	mac        string // AEAD, SHA1, SHA256
}

// suites are in the order of preference that OpenSSL gives them.
var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE", "ECDSA", "AESGCM", 256, "AEAD"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE", "RSA", "AESGCM", 256, "AEAD"},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE", "ECDSA", "CHACHA20", 256, "AEAD"},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE", "RSA", "CHACHA20", 256, "AEAD"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE", "ECDSA", "AESGCM", 128, "AEAD"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE", "RSA", "AESGCM", 128, "AEAD"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", "ECDHE", "ECDSA", "AES", 128, "SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", "ECDHE", "RSA", "AES", 128, "SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "ECDHE", "ECDSA", "AES", 256, "SHA1"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "ECDHE", "RSA", "AES", 256, "SHA1"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "ECDHE", "ECDSA", "AES", 128, "SHA1"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "ECDHE", "RSA", "AES", 128, "SHA1"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "RSA", "RSA", "AESGCM", 256, "AEAD"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "RSA", "RSA", "AESGCM", 128, "AEAD"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "RSA", "RSA", "AES", 128, "SHA256"},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "RSA", "RSA", "AES", 256, "SHA1"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "RSA", "RSA", "AES", 128, "SHA1"},
	{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, "ECDHE-RSA-DES-CBC3-SHA", "ECDHE", "RSA", "3DES", 112, "SHA1"},
	{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, "DES-CBC3-SHA", "RSA", "RSA", "3DES", 112, "SHA1"},
}

// DefaultSuites are offered up to TLS 1.2 where no `ciphers` chooses: those with forward secrecy (threat T09). OpenSSL's default has RSA key
// exchange too, which `ciphers` can name. Suites with SHA-256 in CBC mode are left out: crypto/tls does not hide their padding from timing.
var DefaultSuites = defaultSuites()

func defaultSuites() (ids []uint16) {
	for _, s := range suites {
		if s.kx != "RSA" && s.en != "3DES" && s.mac != "SHA256" {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// SignsECDSA tells whether a suite of TLS 1.2 or before authenticates with an ECDSA certificate.
func SignsECDSA(id uint16) bool {
	i := slices.IndexFunc(suites, func(s suite) bool { return s.id == id })
	return i >= 0 && suites[i].au == "ECDSA"
}

var suites13 = map[uint16]string{
	tls.TLS_AES_128_GCM_SHA256:       "TLS_AES_128_GCM_SHA256",
	tls.TLS_AES_256_GCM_SHA384:       "TLS_AES_256_GCM_SHA384",
	tls.TLS_CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
}

// CipherSuites reads an OpenSSL cipher string (ciphers(1)) for TLS up to 1.2: names and words separated by ':', ',' or space, '+' between
// words that must all hold, and the prefixes '!', '-' and '+'. Names of suites that crypto/tls lacks are skipped; when nothing is left that is
// an error. The order is the string's; crypto/tls keeps its own order and only takes the set.
func CipherSuites(openssl string) ([]uint16, error) {
	var chosen, killed []uint16
	for _, word := range strings.FieldsFunc(openssl, func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }) {
		if strings.HasPrefix(word, "@") { // @STRENGTH and @SECLEVEL=n choose no suite
			continue
		}
		op := byte(0)
		if strings.IndexByte("!-+", word[0]) >= 0 {
			op, word = word[0], word[1:]
		}
		match := matching(word)
		switch op {
		case '!', '-':
			if op == '!' {
				killed = append(killed, match...)
			}
			chosen = without(chosen, match)
		case '+':
			moved := only(chosen, match)
			chosen = append(without(chosen, match), moved...)
		default:
			for _, id := range match {
				if !slices.Contains(chosen, id) && !slices.Contains(killed, id) {
					chosen = append(chosen, id)
				}
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("unable to set SSL cipher list to '%s': none of these ciphers is available", openssl)
	}
	return chosen, nil
}

func without(list, drop []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(id uint16) bool { return slices.Contains(drop, id) })
}

func only(list, keep []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(id uint16) bool { return !slices.Contains(keep, id) })
}

func matching(word string) (ids []uint16) {
	for _, s := range suites {
		if s.name == word || tls.CipherSuiteName(s.id) == word || s.isAll(strings.Split(word, "+")) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

func (s *suite) isAll(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !s.is(w) })
}

func (s *suite) is(word string) bool {
	switch word {
	case "ALL":
		return true
	case "DEFAULT":
		return s.en != "3DES"
	case "HIGH":
		return s.bits >= 128
	case "MEDIUM":
		return s.bits == 112
	case "kRSA", "RSA":
		return s.kx == "RSA"
	case "aRSA":
		return s.au == "RSA"
	case "ECDSA", "aECDSA":
		return s.au == "ECDSA"
	case "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH":
		return s.kx == "ECDHE"
	case "AES":
		return strings.HasPrefix(s.en, "AES")
	case "AESGCM":
		return s.en == "AESGCM"
	case "AES128", "AES256":
		return strings.HasPrefix(s.en, "AES") && strings.HasSuffix(word, fmt.Sprint(s.bits))
	case "CHACHA20", "3DES":
		return s.en == word
	case "SHA", "SHA1":
		return s.mac == "SHA1"
	case "SHA256":
		return s.mac == "SHA256"
	case "TLSv1.2":
		return s.mac != "SHA1"
	case "TLSv1", "TLSv1.0":
		return s.mac == "SHA1" && s.kx == "ECDHE"
	case "SSLv3":
		return s.mac == "SHA1" && s.kx == "RSA"
	}
	return false
}

// CipherName returns OpenSSL's name of a cipher suite, the RFC's where OpenSSL has no other.
func CipherName(id uint16) string {
	for i := range suites {
		if suites[i].id == id {
			return suites[i].name
		}
	}
	if name, ok := suites13[id]; ok {
		return name
	}
	return tls.CipherSuiteName(id)
}

// CipherBits returns the strength of a suite's encryption in bits, 0 when the suite is unknown.
func CipherBits(id uint16) int {
	for i := range suites {
		if suites[i].id == id {
			return suites[i].bits
		}
	}
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return 128
	case tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256:
		return 256
	}
	return 0
}

// CipherSuites13 reads a `ciphersuites` string. crypto/tls does not let one choose among TLS 1.3 suites, so only its syntax can be
// honoured: a name that TLS 1.3 does not have is an error.
func CipherSuites13(list string) ([]uint16, error) {
	known := map[string]uint16{"TLS_AES_128_CCM_SHA256": 0, "TLS_AES_128_CCM_8_SHA256": 0}
	for id, name := range suites13 {
		known[name] = id
	}
	var ids []uint16
	for _, name := range strings.Split(list, ":") {
		id, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("unable to set TLS 1.3 cipher suites to '%s': unknown suite '%s'", list, name)
		}
		if id != 0 {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

type curve struct {
	id    tls.CurveID
	names []string
	shown string // SSL_get0_group_name's name, in HAProxy's capitals
}

var curves = []curve{
	{tls.X25519MLKEM768, []string{"X25519MLKEM768"}, "X25519MLKEM768"},
	{tls.SecP256r1MLKEM768, []string{"SecP256r1MLKEM768"}, "SECP256R1MLKEM768"},
	{tls.SecP384r1MLKEM1024, []string{"SecP384r1MLKEM1024"}, "SECP384R1MLKEM1024"},
	{tls.X25519, []string{"X25519", "x25519"}, "X25519"},
	{tls.CurveP256, []string{"P-256", "prime256v1", "secp256r1"}, "SECP256R1"},
	{tls.CurveP384, []string{"P-384", "secp384r1"}, "SECP384R1"},
	{tls.CurveP521, []string{"P-521", "secp521r1"}, "SECP521R1"},
}

// unusedCurves are groups OpenSSL knows and crypto/tls lacks; a list may name them beside others.
var unusedCurves = []string{"X448", "x448", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192", "secp224r1", "P-224", "secp256k1",
	"brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "sect283k1", "sect283r1", "sect409k1", "sect409r1", "sect571k1", "sect571r1",
	"secp192r1", "prime192v1", "B-283", "B-409", "B-571", "K-283", "K-409", "K-571", "X448MLKEM1024"}

// CurveIDs reads a `curves` or `ecdhe` string: names separated by ':', a '?' or '*' prefix allowed (OpenSSL 3.5). Groups that crypto/tls lacks
// are skipped; an unknown name, or none left, is an error.
func CurveIDs(list string) ([]tls.CurveID, error) {
	var ids []tls.CurveID
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == '/' }) {
		optional := strings.ContainsAny(word, "?")
		name := strings.TrimLeft(word, "?*")
		i := slices.IndexFunc(curves, func(c curve) bool { return slices.Contains(c.names, name) })
		switch {
		case i >= 0 && !slices.Contains(ids, curves[i].id):
			ids = append(ids, curves[i].id)
		case i < 0 && !optional && !slices.Contains(unusedCurves, name):
			return nil, fmt.Errorf("unable to set SSL curves list to '%s': unknown curve '%s'", list, name)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("unable to set SSL curves list to '%s': none of these curves is available", list)
	}
	return ids, nil
}

// CurveName returns OpenSSL's name of a group as ssl_fc_curve prints it.
func CurveName(id tls.CurveID) string {
	for _, c := range curves {
		if c.id == id {
			return c.shown
		}
	}
	return fmt.Sprintf("0x%04x", uint16(id))
}

// versionSSL30 is the protocol number of SSLv3, which crypto/tls does not speak: a minimum of it means the least there is.
const versionSSL30 = 0x0300

var versions = []struct {
	id   uint16
	name string
}{
	{versionSSL30, "SSLv3"}, {tls.VersionTLS10, "TLSv1.0"}, {tls.VersionTLS11, "TLSv1.1"}, {tls.VersionTLS12, "TLSv1.2"}, {tls.VersionTLS13, "TLSv1.3"},
}

// VersionID reads HAProxy's spelling of a protocol version, "SSLv3" to "TLSv1.3".
func VersionID(name string) (uint16, bool) {
	for _, v := range versions {
		if v.name == name {
			return v.id, true
		}
	}
	return 0, false
}

// VersionName prints a protocol version as ssl_fc_protocol and the configuration spell it.
func VersionName(id uint16) string {
	for _, v := range versions {
		if v.id == id {
			return v.name
		}
	}
	return "unknown"
}
