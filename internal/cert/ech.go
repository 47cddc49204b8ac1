package cert

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ECHKey is one Encrypted ClientHello configuration and its private key (RFC 9849 section 4). It is immutable; Private is secret.
type ECHKey struct {
	Config     []byte // the ECHConfig as clients know it
	Private    []byte // as HPKE serialises it (RFC 9180 section 7.1.2)
	PublicName string
	text       string
}

// String is the configuration in OpenSSL's short form: version, id, public name, key mechanism and cipher suites, public key in hexadecimal,
// longest name, number of extensions.
func (k *ECHKey) String() string { return k.text }

var errECH = errors.New("not an ECH configuration")

// ParseECH reads the PEM form of ECH keys: one PRIVATE KEY and one ECHCONFIG, in which at least one configuration is the key's (RFC 9934).
func ParseECH(data []byte) ([]ECHKey, error) {
	var private *ecdh.PrivateKey
	var list []byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		switch {
		case block.Type == "PRIVATE KEY" && private == nil:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the private key of ECH cannot be read")
			}
			switch key := key.(type) {
			case *ecdh.PrivateKey:
				private = key
			case *ecdsa.PrivateKey:
				if private, err = key.ECDH(); err != nil {
					return nil, errors.New("the private key of ECH is of no use")
				}
			default:
				return nil, errors.New("the private key of ECH is of no use")
			}
		case block.Type == "ECHCONFIG" && list == nil:
			list = block.Bytes
		}
	}
	switch {
	case private == nil:
		return nil, errors.New("no private key for ECH")
	case list == nil:
		return nil, errors.New("no ECHCONFIG")
	}
	return pairECH(list, private)
}

// pairECH finds the configurations of a list that belong to a key.
func pairECH(list []byte, private *ecdh.PrivateKey) (keys []ECHKey, err error) {
	r := echReader{rest: list}
	configs := echReader{rest: r.vector(2)}
	if r.failed || len(r.rest) > 0 {
		return nil, errECH
	}
	for len(configs.rest) > 0 {
		whole := configs.rest
		version := configs.number(2)
		contents := configs.vector(2)
		if configs.failed {
			return nil, errECH
		}
		if version != 0xfe0d {
			continue // clients pass over what they do not know, and so do we
		}
		k, public, kem, err := readECH(contents)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(public, private.PublicKey().Bytes()) || !kemFits(kem, private.Curve()) {
			continue
		}
		k.Config, k.Private = bytes.Clone(whole[:len(whole)-len(configs.rest)]), private.Bytes()
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no ECH configuration belongs to the private key")
	}
	return keys, nil
}

// kemFits says whether a key encapsulation mechanism works on a curve (RFC 9180 section 7.1).
func kemFits(kem int, curve ecdh.Curve) bool {
	switch kem {
	case 0x10:
		return curve == ecdh.P256()
	case 0x11:
		return curve == ecdh.P384()
	case 0x12:
		return curve == ecdh.P521()
	case 0x20:
		return curve == ecdh.X25519()
	}
	return false
}

// readECH reads ECHConfigContents.
func readECH(contents []byte) (k ECHKey, public []byte, kem int, err error) {
	r := echReader{rest: contents}
	id := r.number(1)
	kem = r.number(2)
	public = r.vector(2)
	suites := echReader{rest: r.vector(2)}
	longest := r.number(1)
	k.PublicName = string(r.vector(1))
	extensions := echReader{rest: r.vector(2)}
	words := []string{fmt.Sprintf("%04x", kem)}
	for len(suites.rest) > 0 && !suites.failed {
		words = append(words, fmt.Sprintf("%04x,%04x", suites.number(2), suites.number(2)))
	}
	n := 0
	for ; len(extensions.rest) > 0 && !extensions.failed; n++ {
		extensions.number(2)
		extensions.vector(2)
	}
	if r.failed || suites.failed || extensions.failed || len(r.rest) > 0 || k.PublicName == "" || strings.ContainsAny(k.PublicName, "\r\n\x00") {
		return k, nil, 0, errECH
	}
	k.text = fmt.Sprintf("[fe0d,%02x,%s,[%s],%x,%02x,%02x]", id, k.PublicName, strings.Join(words, ","), public, longest, n)
	return k, public, kem, nil
}

// echReader reads the presentation language of TLS.
type echReader struct {
	rest   []byte
	failed bool
}

func (r *echReader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *echReader) number(size int) int {
	var b [4]byte
	copy(b[4-size:], r.take(size))
	return int(binary.BigEndian.Uint32(b[:]))
}

func (r *echReader) vector(size int) []byte { return r.take(r.number(size)) }
