package table

import (
	"encoding/binary"
	"math/bits"
)

// Entries are shown shard by shard, so the order that operators and tests see is that of the hash. It is HAProxy's: XXH32 of the
// key, seeded with XXH64 of the table's name (the specification is xxHash's doc/xxhash_spec.md).

const (
	p32a uint32 = 0x9E3779B1
	p32b uint32 = 0x85EBCA77
	p32c uint32 = 0xC2B2AE3D
	p32d uint32 = 0x27D4EB2F
	p32e uint32 = 0x165667B1

	p64a uint64 = 0x9E3779B185EBCA87
	p64b uint64 = 0xC2B2AE3D27D4EB4F
	p64c uint64 = 0x165667B19E3779F9
	p64d uint64 = 0x85EBCA77C2B2AE63
	p64e uint64 = 0x27D4EB2F165667C5
)

func xxh32(b []byte, seed uint32) uint32 {
	h := seed + p32e
	n := uint32(len(b))
	if len(b) >= 16 {
		lanes := [4]uint32{seed, seed, seed, seed}
		lanes[0] += p32a
		lanes[0] += p32b
		lanes[1] += p32b
		lanes[3] -= p32a
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*p32b, 13) * p32a
			}
		}
		h = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) + bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p32c, 17) * p32d
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p32e, 11) * p32a
	}
	h = (h ^ h>>15) * p32b
	h = (h ^ h>>13) * p32c
	return h ^ h>>16
}

func xxh64(b []byte, seed uint64) uint64 {
	h := seed + p64e
	n := uint64(len(b))
	if len(b) >= 32 {
		lanes := [4]uint64{seed, seed, seed, seed}
		lanes[0] += p64a
		lanes[0] += p64b
		lanes[1] += p64b
		lanes[3] -= p64a
		for ; len(b) >= 32; b = b[32:] {
			for i := range lanes {
				lanes[i] = round64(lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(lanes[0], 1) + bits.RotateLeft64(lanes[1], 7) + bits.RotateLeft64(lanes[2], 12) + bits.RotateLeft64(lanes[3], 18)
		for _, l := range lanes {
			h = (h^round64(0, l))*p64a + p64d
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^round64(0, binary.LittleEndian.Uint64(b)), 27)*p64a + p64d
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*p64a, 23)*p64b + p64c
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*p64e, 11) * p64a
	}
	h = (h ^ h>>33) * p64b
	h = (h ^ h>>29) * p64c
	return h ^ h>>32
}

func round64(acc, in uint64) uint64 { return bits.RotateLeft64(acc+in*p64b, 31) * p64a }
