package rule

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"gatehouse/internal/stream"
)

// castable says from which kinds (rows) to which kinds (columns) a value can be turned; the same table as HAProxy's.
// The result depends on the value too: text becomes an address only if it reads as one.
func castable(from, to stream.Kind) bool {
	if from == to || to == stream.KindAny || from == stream.KindAny {
		return true
	}
	switch from {
	case stream.KindBool:
		return to == stream.KindInt || to == stream.KindStr || to == stream.KindBin
	case stream.KindInt:
		return to != stream.KindMeth
	case stream.KindAddr:
		return to == stream.KindIPv4 || to == stream.KindIPv6 || to == stream.KindStr || to == stream.KindBin
	case stream.KindIPv4:
		return to != stream.KindBool && to != stream.KindMeth
	case stream.KindIPv6:
		return to != stream.KindBool && to != stream.KindMeth && to != stream.KindInt
	case stream.KindStr:
		return true
	case stream.KindBin:
		return to == stream.KindStr || to == stream.KindMeth
	case stream.KindMeth:
		return to == stream.KindStr || to == stream.KindBin
	}
	return false
}

// sameBytes reports whether the cast leaves the value as it is, so that a converter that keeps its input's kind keeps this one.
func sameBytes(from, to stream.Kind) bool {
	switch {
	case from == to, to == stream.KindAny:
		return true
	case from == stream.KindBool:
		return to == stream.KindInt
	case from == stream.KindInt:
		return to == stream.KindBool
	case from == stream.KindIPv4, from == stream.KindIPv6:
		return to == stream.KindAddr
	case from == stream.KindStr:
		return to == stream.KindBin
	}
	return false
}

// cast turns v into kind. False: the value does not read as one.
func cast(s *stream.Stream, v Value, kind stream.Kind) (Value, bool) {
	if v.Kind == kind || kind == stream.KindAny {
		return v, true
	}
	switch kind {
	case stream.KindBool:
		return castBool(v)
	case stream.KindInt:
		return castInt(v)
	case stream.KindAddr, stream.KindIPv4, stream.KindIPv6:
		return castAddr(v, kind)
	case stream.KindStr:
		return castStr(s, v)
	case stream.KindBin:
		return castBin(s, v)
	case stream.KindMeth:
		if v.Kind == stream.KindStr || v.Kind == stream.KindBin {
			return Value{Kind: stream.KindMeth, Bytes: v.Bytes}, true
		}
	}
	return Value{}, false
}

func castBool(v Value) (Value, bool) {
	n, ok := castInt(v)
	if !ok || v.Kind == stream.KindIPv4 {
		return Value{}, false
	}
	return boolean(n.Int != 0), true
}

func castInt(v Value) (Value, bool) {
	switch v.Kind {
	case stream.KindBool, stream.KindInt:
		return integer(v.Int), true
	case stream.KindIPv4:
		b := v.Addr.As4()
		return integer(int64(binary.BigEndian.Uint32(b[:]))), true
	case stream.KindStr:
		return integer(leadingInt(v.Bytes)), len(v.Bytes) > 0
	}
	return Value{}, false
}

// leadingInt reads the number text starts with, 0 when it starts with none; it stays at the ends of the range.
func leadingInt(b []byte) int64 {
	neg, i := false, 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg, i = b[0] == '-', 1
	}
	const limit = 1 << 63
	var n uint64
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		d := uint64(b[i] - '0')
		if n > (limit-d)/10 {
			n = limit
			break
		}
		n = n*10 + d
	}
	switch {
	case neg:
		return -int64(n)
	case n >= limit:
		return limit - 1
	}
	return int64(n)
}

func castAddr(v Value, kind stream.Kind) (Value, bool) {
	a := v.Addr
	switch v.Kind {
	case stream.KindIPv4, stream.KindIPv6:
	case stream.KindInt:
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(v.Int))
		a = netip.AddrFrom4(b)
	case stream.KindStr:
		var ok bool
		if kind != stream.KindIPv6 {
			a, ok = leadingIPv4(v.Bytes)
		}
		if !ok && kind != stream.KindIPv4 {
			a, ok = parseAddr(v.Bytes)
			ok = ok && a.Is6()
		}
		if !ok {
			return Value{}, false
		}
	default:
		return Value{}, false
	}
	switch {
	case kind == stream.KindIPv4 && a.Is6():
		var ok bool
		if a, ok = toIPv4(a); !ok {
			return Value{}, false
		}
	case kind == stream.KindIPv6 && a.Is4():
		a = netip.AddrFrom16(a.As16())
	}
	return address(a), true
}

func toIPv4(a netip.Addr) (netip.Addr, bool) { return stream.IPv4Of(a) }

// leadingIPv4 reads the IPv4 address that b starts with. As in HAProxy its numbers may have leading zeros, and it ends at the first byte
// that is neither a digit nor a dot: the base of a request to 192.0.2.1 is an address.
func leadingIPv4(b []byte) (netip.Addr, bool) {
	var octets [4]byte
	n, digits := 0, 0
scan:
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v := int(octets[n])*10 + int(c-'0')
			if v > 255 {
				return netip.Addr{}, false
			}
			octets[n] = byte(v)
			digits++
		case c == '.' && digits > 0 && n < 3:
			n, digits = n+1, 0
		case c == '.':
			return netip.Addr{}, false
		default:
			break scan
		}
	}
	return netip.AddrFrom4(octets), n == 3 && digits > 0
}

// parseAddr reads an address without a zone, without going through a string on the heap.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 45 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a, true
}

func castStr(s *stream.Stream, v Value) (Value, bool) {
	switch v.Kind {
	case stream.KindBool, stream.KindInt:
		var room [20]byte
		return text(s.Scratch(strconv.AppendInt(room[:0], v.Int, 10))), true
	case stream.KindIPv4, stream.KindIPv6:
		var room [64]byte
		return text(s.Scratch(appendAddr(room[:0], v.Addr))), true
	case stream.KindBin: // text ends at the first NUL
		if i := bytes.IndexByte(v.Bytes, 0); i >= 0 {
			return text(v.Bytes[:i]), true
		}
		return text(v.Bytes), true
	case stream.KindMeth:
		return text(v.Bytes), true
	}
	return Value{}, false
}

// appendAddr writes an address as inet_ntop does; a mapped IPv4 address keeps its ::ffff: in front.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.AppendTo(dst)
}

func castBin(s *stream.Stream, v Value) (Value, bool) {
	switch v.Kind {
	case stream.KindBool, stream.KindInt:
		var room [8]byte
		binary.BigEndian.PutUint64(room[:], uint64(v.Int))
		return binval(s.Scratch(room[:])), true
	case stream.KindIPv4:
		b := v.Addr.As4()
		return binval(s.Scratch(b[:])), true
	case stream.KindIPv6:
		b := v.Addr.As16()
		return binval(s.Scratch(b[:])), true
	case stream.KindStr, stream.KindMeth:
		return binval(v.Bytes), true
	}
	return Value{}, false
}

func boolean(b bool) Value {
	v := Value{Kind: stream.KindBool}
	if b {
		v.Int = 1
	}
	return v
}

func integer(n int64) Value { return Value{Kind: stream.KindInt, Int: n} }

func text(b []byte) Value { return Value{Kind: stream.KindStr, Bytes: b} }

func binval(b []byte) Value { return Value{Kind: stream.KindBin, Bytes: b} }

// address makes a value of the address's own family.
func address(a netip.Addr) Value {
	kind := stream.KindIPv6
	if a.Is4() {
		kind = stream.KindIPv4
	}
	return Value{Kind: kind, Addr: a.WithZone("")}
}

// textOf makes a text value from a Go string, copied to the stream's memory.
func textOf(s *stream.Stream, t string) Value { return text(s.ScratchString(t)) }
