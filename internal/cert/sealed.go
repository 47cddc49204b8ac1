package cert

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"golang.org/x/crypto/scrypt"
)

// Passphrases open encrypted private keys: those that opened one before are tried first, then Ask is asked (manual, ssl-passphrase-cmd). Its
// methods may be called by any goroutine. The passphrases are secret and live as long as the value.
type Passphrases struct {
	// Ask returns the passphrase of the key in a file. nil knows none.
	Ask func(file string) ([]byte, error)

	mu    sync.Mutex // guards known, and lets one Ask run at a time
	known [][]byte
}

// NewPassphrases knows one passphrase from the start.
func NewPassphrases(first string) *Passphrases { return &Passphrases{known: [][]byte{[]byte(first)}} }

var (
	errNoPassphrase = errors.New("Trying to load a passphrase-protected private key without an 'ssl-passphrase-cmd' defined.")
	errBadDecrypt   = errors.New("bad decrypt: the passphrase is not that of the key")
)

// open decrypts a key block. The result is a block of the kind that is inside.
func (p *Passphrases) open(file string, bl block) (block, error) {
	if p == nil {
		return block{}, errNoPassphrase
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, phrase := range p.known {
		plain, err := unseal(bl, phrase)
		if !errors.Is(err, errBadDecrypt) {
			return plain, err
		}
	}
	switch {
	case p.Ask == nil && len(p.known) > 0:
		return block{}, errBadDecrypt
	case p.Ask == nil:
		return block{}, errNoPassphrase
	}
	phrase, err := p.Ask(file)
	if err != nil {
		return block{}, fmt.Errorf("external tool error (%w)", err)
	}
	// HAProxy takes the output as it is; a line feed that ends it is the shell's more often than the passphrase's.
	for _, try := range [][]byte{phrase, bytes.TrimRight(phrase, "\r\n")} {
		plain, err := unseal(bl, try)
		if err == nil {
			p.known = append(p.known, bytes.Clone(try))
		}
		if !errors.Is(err, errBadDecrypt) {
			return plain, err
		}
	}
	return block{}, errBadDecrypt
}

// unseal decrypts with one passphrase; errBadDecrypt when it is the wrong one.
func unseal(bl block, phrase []byte) (block, error) {
	plain := block{kind: bl.kind, line: bl.line}
	var err error
	if bl.kind == "ENCRYPTED PRIVATE KEY" {
		plain.kind = "PRIVATE KEY"
		plain.der, err = unsealPKCS8(bl.der, phrase)
	} else {
		plain.der, err = unsealTraditional(bl, phrase)
	}
	if err != nil {
		return block{}, err
	}
	var outer asn1.RawValue // what decrypts to no DER was decrypted with the wrong key, though its padding looked right
	if rest, err := asn1.Unmarshal(plain.der, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence {
		return block{}, errBadDecrypt
	}
	return plain, nil
}

// sealedPEM is the block as its file has it, for rewriting the file without opening the key.
func (bl block) sealedPEM() []byte {
	b := &pem.Block{Type: bl.kind, Bytes: bl.der}
	if bl.dek != "" {
		b.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": bl.dek}
	}
	return pem.EncodeToMemory(b)
}

// blockCipher is a cipher in CBC mode by OpenSSL's name, and by its object identifier.
type blockCipher struct {
	name string
	oid  asn1.ObjectIdentifier
	key  int // bytes
	make func(key []byte) (cipher.Block, error)
}

var blockCiphers = []blockCipher{
	{"AES-128-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{"AES-192-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{"AES-256-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{"DES-EDE3-CBC", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
}

func (c *blockCipher) decrypt(key, iv, text []byte) ([]byte, error) {
	b, err := c.make(key)
	if err != nil {
		return nil, err
	}
	size := b.BlockSize()
	if len(iv) != size || len(text) == 0 || len(text)%size != 0 {
		return nil, errors.New("the encrypted key is cut short")
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(plain, text)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size || bytes.Count(plain[len(plain)-pad:], []byte{byte(pad)}) != pad {
		return nil, errBadDecrypt
	}
	return plain[:len(plain)-pad], nil
}

// unsealTraditional reads the encryption of RFC 1421 section 4.6.1.1 as OpenSSL made it its own: the key is derived with one round of MD5.
func unsealTraditional(bl block, phrase []byte) ([]byte, error) {
	name, ivHex, _ := strings.Cut(bl.dek, ",")
	iv, err := hex.DecodeString(strings.TrimSpace(ivHex))
	if err != nil || len(iv) < 8 {
		return nil, errors.New("the header DEK-Info of the encrypted key does not read")
	}
	for i := range blockCiphers {
		if c := &blockCiphers[i]; c.name == strings.ToUpper(name) {
			var key, last []byte
			for len(key) < c.key {
				sum := md5.Sum(append(append(bytes.Clone(last), phrase...), iv[:8]...))
				last = sum[:]
				key = append(key, last...)
			}
			return c.decrypt(key[:c.key], iv, bl.der)
		}
	}
	return nil, fmt.Errorf("encryption of the key with %q is not supported", name)
}

type algorithmID struct {
	OID    asn1.ObjectIdentifier
	Params asn1.RawValue `asn1:"optional"`
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// unsealPKCS8 reads an EncryptedPrivateKeyInfo (RFC 5958 section 3) of PBES2 (RFC 8018 section 6.2).
func unsealPKCS8(der, phrase []byte) ([]byte, error) {
	var info struct {
		Algorithm algorithmID
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, errors.New("the encrypted key does not read")
	}
	if !info.Algorithm.OID.Equal(oidPBES2) {
		return nil, fmt.Errorf("encryption of the key by %v is not supported, only PBES2 is (openssl pkcs8 -topk8 writes it)", info.Algorithm.OID)
	}
	var scheme struct{ KDF, Cipher algorithmID }
	var iv []byte
	if _, err := asn1.Unmarshal(info.Algorithm.Params.FullBytes, &scheme); err != nil {
		return nil, errors.New("the encrypted key does not read")
	}
	if _, err := asn1.Unmarshal(scheme.Cipher.Params.FullBytes, &iv); err != nil {
		return nil, errors.New("the encrypted key does not read")
	}
	for i := range blockCiphers {
		if c := &blockCiphers[i]; c.oid.Equal(scheme.Cipher.OID) {
			key, err := scheme.KDF.derive(phrase, c.key)
			if err != nil {
				return nil, err
			}
			return c.decrypt(key, iv, info.Data)
		}
	}
	return nil, fmt.Errorf("encryption of the key by %v is not supported", scheme.Cipher.OID)
}

// Bounds on the work that a file may ask for before it is known to be the operator's.
const (
	maxRounds = 10_000_000
	maxScrypt = 1 << 28 // bytes
)

var prfs = []struct {
	oid asn1.ObjectIdentifier
	new func() hash.Hash
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New}, {asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, sha256.New}, {asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
}

func (kdf algorithmID) derive(phrase []byte, size int) ([]byte, error) {
	switch {
	case kdf.OID.Equal(oidPBKDF2):
		return derivePBKDF2(kdf.Params.FullBytes, phrase, size)
	case kdf.OID.Equal(oidScrypt): // RFC 7914 section 7
		var p struct {
			Salt    []byte
			N, R, P int
			Length  int `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(kdf.Params.FullBytes, &p); err != nil || p.N <= 1 || p.R <= 0 || p.P <= 0 || p.N > maxScrypt/128/p.R || p.P > 64 {
			return nil, errors.New("the parameters of the encrypted key do not read or ask for too much")
		}
		return scrypt.Key(phrase, p.Salt, p.N, p.R, p.P, size)
	}
	return nil, fmt.Errorf("derivation of the key by %v is not supported", kdf.OID)
}

func derivePBKDF2(params, phrase []byte, size int) ([]byte, error) {
	var p struct {
		Salt   []byte
		Rounds int
		Length int         `asn1:"optional"`
		PRF    algorithmID `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(params, &p); err != nil || p.Rounds <= 0 || p.Rounds > maxRounds {
		return nil, errors.New("the parameters of the encrypted key do not read or ask for too much")
	}
	if p.PRF.OID == nil {
		p.PRF.OID = prfs[0].oid
	}
	for _, f := range prfs {
		if f.oid.Equal(p.PRF.OID) {
			return pbkdf2.Key(f.new, string(phrase), p.Salt, p.Rounds, size)
		}
	}
	return nil, fmt.Errorf("derivation of the key by %v is not supported", p.PRF.OID)
}

// WithKey returns b with the private key of a PEM text in place of its own; name is used in errors.
func (p *Parser) WithKey(b *Bundle, name string, data []byte) (*Bundle, error) {
	blocks, broken := splitPEM(data)
	for _, bl := range blocks {
		if isKey(bl.kind) {
			key, signer, err := p.key(name, bl)
			if err != nil {
				return nil, fmt.Errorf("unable to load private key from file '%s' (%w).", name, err)
			}
			n := b.copy()
			n.key, n.keyErr = key, key.matches(signer, b.peek().PublicKey)
			return n, nil
		}
	}
	if broken == nil {
		broken = errors.New("no start line")
	}
	return nil, fmt.Errorf("unable to load private key from file '%s' (%w).", name, broken)
}

// key reads a key block, opening it when it is encrypted. The signer is nil for RSA, whose full parse waits for the first use.
func (p *Parser) key(file string, bl block) (*PrivateKey, crypto.Signer, error) {
	if !bl.crypt && bl.kind != "ENCRYPTED PRIVATE KEY" {
		return newKey(bl)
	}
	plain, err := p.Passphrases.open(file, bl)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (line %d)", err, bl.line)
	}
	k, signer, err := newKey(plain)
	if err != nil {
		return nil, nil, err
	}
	k.sealed = bl.sealedPEM()
	return k, signer, nil
}

// Sealed tells that the private key's file is encrypted. Such a key is never shown or written in the clear.
func (b *Bundle) Sealed() bool { return b.key != nil && b.key.sealed != nil }
