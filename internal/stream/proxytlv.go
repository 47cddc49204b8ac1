package stream

import "encoding/binary"

// ProxyTLV is the list of type-length-value fields of a PROXY protocol version 2 header, in its encoding (specification section 2.2):
// one byte of type, two of length, the value. Whoever fills it has checked that the last one ends where the list does.
type ProxyTLV []byte

// The types that rules and servers know by name.
const (
	TLVAlpn      = 0x01
	TLVAuthority = 0x02
	TLVCRC32C    = 0x03
	TLVUniqueID  = 0x05
	TLVSSL       = 0x20
)

// Next returns the first value of a type at or behind offset at, and the offset behind it; false when there is none.
func (t ProxyTLV) Next(kind byte, at int) (value []byte, next int, ok bool) {
	for at+3 <= len(t) {
		end := at + 3 + int(binary.BigEndian.Uint16(t[at+1:]))
		if end > len(t) {
			break
		}
		if t[at] == kind {
			return t[at+3 : end], end, true
		}
		at = end
	}
	return nil, len(t), false
}

// Get returns the first value of a type.
func (t ProxyTLV) Get(kind byte) ([]byte, bool) {
	v, _, ok := t.Next(kind, 0)
	return v, ok
}
