package stream

import "net/netip"

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
