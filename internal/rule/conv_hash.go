package rule

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"

	"gatehouse/internal/stream"
)

// hashConverters are keyed and unkeyed hashes besides those of conv_coding.go (manual 7.3.1).
func hashConverters() []converter {
	const bin, num = stream.KindBin, stream.KindInt
	seed := takes(0, argInt)
	return []converter{
		{"djb2", seed, bin, num, false, "djb2 hash; spread over 32 bits with 1", bindHash32(djb2)},
		{"sdbm", seed, bin, num, false, "sdbm hash; spread over 32 bits with 1", bindHash32(sdbm)},
		{"wt6", seed, bin, num, false, "wt6 hash; spread over 32 bits with 1", bindHash32(wt6)},
		{"xxh32", seed, bin, num, false, "xxHash of 32 bits, with a seed", bindSeeded(func(b []byte, seed int64) int64 { return int64(xxh32(b, uint32(seed))) })},
		{"xxh64", seed, bin, num, false, "xxHash of 64 bits as a signed number, with a seed", bindSeeded(xxh64)},
		{"xxh3", seed, bin, num, false, "XXH3 of 64 bits as a signed number, with a seed", bindSeeded(func(b []byte, seed int64) int64 { return int64(xxh3.HashSeed(b, uint64(seed))) })},
		{"hmac", takes(2, argStr, argStr), bin, bin, false, "HMAC by OpenSSL's name of a digest and a key in base64, given or in a variable", bindHMAC},
	}
}

func bindHash32(f func([]byte) uint32) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		spread := a.num(0, 0) != 0
		return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
			h := f(v.Bytes)
			if spread {
				h = avalanche(h)
			}
			return integer(int64(h)), true
		}, nil
	}
}

func bindSeeded(f func(b []byte, seed int64) int64) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		seed := a.num(0, 0)
		return func(_ *stream.Stream, _ Env, v Value) (Value, bool) { return integer(f(v.Bytes, seed)), true }, nil
	}
}

func djb2(b []byte) uint32 {
	h := uint32(5381)
	for _, c := range b {
		h = h<<5 + h + uint32(c)
	}
	return h
}

func sdbm(b []byte) uint32 {
	h := uint32(0)
	for _, c := range b {
		h = uint32(c) + h<<6 + h<<16 - h
	}
	return h
}

// wt6 is HAProxy's own hash: two words, each rotated by what the other holds.
func wt6(b []byte) uint32 {
	h0, h1 := uint32(0xa53c965a), uint32(0x5ca6953a)
	step0, step1 := 6, 18
	for _, c := range b {
		h0 = ^(h0 ^ uint32(c))
		h1 = ^(h1 + uint32(c))
		h0, h1 = bits.RotateLeft32(h1, step0), bits.RotateLeft32(h0, step1)
		mix := (h0>>16 ^ h1) & 0xffff
		step0, step1 = int(mix&31), int(mix>>11)
	}
	return h0 ^ h1
}

// The primes of XXH32 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
const (
	prime32a uint32 = 0x9E3779B1
	prime32b uint32 = 0x85EBCA77
	prime32c uint32 = 0xC2B2AE3D
	prime32d uint32 = 0x27D4EB2F
	prime32e uint32 = 0x165667B1
)

func xxh32(b []byte, seed uint32) uint32 {
	n, h := uint32(len(b)), seed+prime32e
	if len(b) >= 16 {
		lanes := [4]uint32{seed + prime32a + prime32b, seed + prime32b, seed, seed - prime32a}
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*prime32b, 13) * prime32a
			}
		}
		h = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) + bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*prime32c, 17) * prime32d
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*prime32e, 11) * prime32a
	}
	h = (h ^ h>>15) * prime32b
	h = (h ^ h>>13) * prime32c
	return h ^ h>>16
}

func xxh64(b []byte, seed int64) int64 {
	if seed == 0 {
		return int64(xxhash.Sum64(b))
	}
	var d xxhash.Digest
	d.ResetWithSeed(uint64(seed))
	_, _ = d.Write(b) // never fails
	return int64(d.Sum64())
}

// digestMakers are the hash functions by the name that OpenSSL has for them, in lower case.
var digestMakers = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// digestName is what OpenSSL's many spellings have in common: "SHA2-256", "RSA-SHA256", "sha256".
func digestName(name string) string {
	name = strings.ToLower(name)
	name = strings.TrimPrefix(name, "rsa-")
	name = strings.ReplaceAll(name, "sha2-", "sha")
	return strings.ReplaceAll(name, "sha-", "sha")
}

func bindHMAC(a args) (convFunc, error) {
	make := digestMakers[digestName(a.str(0))]
	if make == nil {
		return nil, fmt.Errorf("algorithm must be a valid OpenSSL message digest name")
	}
	v, err := parseVar(a.str(1))
	if err != nil {
		key, err := base64.StdEncoding.DecodeString(a.str(1))
		if err != nil {
			return nil, fmt.Errorf("failed to parse key : failed to parse base64")
		}
		return func(s *stream.Stream, _ Env, in Value) (Value, bool) {
			return keyedHash(s, hmac.New(make, key), in.Bytes), true
		}, nil
	}
	return func(s *stream.Stream, env Env, in Value) (Value, bool) {
		text, ok := v.get(s, env)
		if ok {
			text, ok = cast(s, text, stream.KindStr)
		}
		if !ok {
			return Value{}, false
		}
		key, err := base64.StdEncoding.AppendDecode(nil, text.Bytes)
		if err != nil {
			return Value{}, false
		}
		return keyedHash(s, hmac.New(make, key), in.Bytes), true
	}, nil
}

func keyedHash(s *stream.Stream, h hash.Hash, b []byte) Value {
	_, _ = h.Write(b) // never fails
	var room [sha512.Size]byte
	return binval(s.Scratch(h.Sum(room[:0])))
}
