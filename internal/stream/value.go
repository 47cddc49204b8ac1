package stream

import (
	"encoding/binary"
	"net/netip"
)

// Kind is the type of a Value: HAProxy's sample types.
type Kind uint8

// The types of samples. KindAny and KindAddr name sets of types in declarations (any type; IPv4 or IPv6); a Value at run time has
// one of the others.
const (
	KindAny Kind = iota
	KindBool
	KindInt
	KindAddr
	KindIPv4
	KindIPv6
	KindStr
	KindBin
	KindMeth
)

// Value is one sample: what a fetch found or a converter made, and what a variable holds. Bytes points into the stream's
// memory and dies with it; whoever keeps a Value longer copies it with Clone.
type Value struct {
	Kind  Kind
	Int   int64 // KindInt; KindBool as 0 or 1
	Bytes []byte
	Addr  netip.Addr
}

// Clone returns v with bytes of its own.
func (v Value) Clone() Value {
	if v.Bytes != nil {
		v.Bytes = append(make([]byte, 0, len(v.Bytes)), v.Bytes...)
	}
	return v
}

// IPv4Of returns the IPv4 address that an address stands for: mapped or compatible (RFC 4291 section 2.5.5), or 6to4 (RFC 3056). False
// for all other IPv6 addresses.
func IPv4Of(a netip.Addr) (netip.Addr, bool) {
	if a.Is4() {
		return a, true
	}
	b := a.As16()
	switch {
	case binary.BigEndian.Uint16(b[:]) == 0x2002:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case binary.BigEndian.Uint64(b[:]) == 0 && (binary.BigEndian.Uint32(b[8:]) == 0xffff || binary.BigEndian.Uint32(b[8:]) == 0):
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}
