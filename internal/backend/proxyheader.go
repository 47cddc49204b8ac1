package backend

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"gatehouse/internal/stream"
)

// signature opens a version 2 header (PROXY protocol specification, section 2.2).
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyHeader tells the server who the client is, in version 1 or 2 of the PROXY protocol. A stream without addresses, such as a health
// check or a unix socket, is UNKNOWN in version 1 and LOCAL in version 2.
func proxyHeader(version int, st *stream.Stream) []byte {
	var src, dst netip.AddrPort
	if st != nil && st.Conn != nil {
		src, dst = st.Conn.Src, st.Conn.Dst
	}
	known := src.IsValid() && dst.IsValid()
	if known && src.Addr().Unmap().Is4() != dst.Addr().Unmap().Is4() {
		src, dst = netip.AddrPortFrom(netip.AddrFrom16(src.Addr().As16()), src.Port()), netip.AddrPortFrom(netip.AddrFrom16(dst.Addr().As16()), dst.Port())
	} else if known {
		src, dst = netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	}
	if version == 1 {
		return proxyV1(known, src, dst)
	}
	return proxyV2(known, src, dst)
}

func proxyV1(known bool, src, dst netip.AddrPort) []byte {
	if !known {
		return []byte("PROXY UNKNOWN\r\n")
	}
	family := " TCP6 "
	if src.Addr().Is4() {
		family = " TCP4 "
	}
	b := append([]byte("PROXY"), family...)
	b = src.Addr().AppendTo(b)
	b = append(b, ' ')
	b = dst.Addr().AppendTo(b)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(src.Port()), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(dst.Port()), 10)
	return append(b, '\r', '\n')
}

func proxyV2(known bool, src, dst netip.AddrPort) []byte {
	b := []byte(signature)
	if !known {
		return append(b, 0x20, 0x00, 0, 0)
	}
	a, z := src.Addr().AsSlice(), dst.Addr().AsSlice()
	family := byte(0x21) // TCP over IPv6
	if len(a) == 4 {
		family = 0x11
	}
	b = append(b, 0x21, family)
	b = binary.BigEndian.AppendUint16(b, uint16(2*len(a)+4))
	b = append(append(b, a...), z...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}
