package listener

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"gatehouse/internal/stream"
)

// The fc_err numbers of NetScaler's client address header (surface 4.13).
const (
	fcCIPEmpty     = 18
	fcCIPAbort     = 19
	fcCIPTimeout   = 20
	fcCIPTruncated = 21
	fcCIPMagic     = 22
	fcCIPProto     = 23
)

// Where NetScaler's client IP insertion puts the client's IP and TCP headers, whose length it tells just before them. The legacy layout is
// magic (4 bytes) and that length (4); the standard one magic (4), a total (4), a type that begins with 0 (2) and that length (2).
// Both in front of what HAProxy's doc/netscaler-client-ip-insertion-protocol.txt describes.
const (
	cipLegacy   = 8
	cipStandard = 12
	maxCIP      = 16384 // all of it, as HAProxy's buffer

	ipv4Header = 20 // at least
	ipv6Header = 40
	tcpHeader  = 20
	protoTCP   = 6
)

// expectCIP reads NetScaler's client address header and nothing beyond it, and makes the ends that it tells those of the session; false
// when the connection is to be closed.
func (l *Listener) expectCIP(s *settings, nc net.Conn, c *stream.Conn) bool {
	nc.SetReadDeadline(c.Accepted.Add(s.headerLimit()))
	raw, err := readHeader(nc, func(b []byte) (int, error) { return cipLength(b, s.CIPMagic) }, fcCIPEmpty, fcCIPTruncated)
	var src, dst netip.AddrPort
	if err == nil {
		src, dst, err = parseCIP(raw)
	}
	if err != nil {
		c.FcErr = fcCIPAbort
		var refused headerError
		switch {
		case errors.As(err, &refused):
			c.FcErr = int(refused)
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.FcErr = fcCIPTimeout
		}
		l.headerFailed(s, c, c.FcErr == fcCIPEmpty || c.FcErr == fcCIPAbort)
		return false
	}
	nc.SetReadDeadline(time.Time{})
	c.Src, c.Dst = src, dst
	l.note(nc, c)
	return true
}

// cipLength tells how long the header is that starts with b, 0 when more of it is needed to tell. It fails as soon as b cannot be the start of
// one.
func cipLength(b []byte, magic uint32) (int, error) {
	var want [4]byte
	binary.BigEndian.PutUint32(want[:], magic)
	if n := min(len(b), 4); string(b[:n]) != string(want[:n]) {
		return 0, headerError(fcCIPMagic)
	}
	if len(b) <= cipLegacy {
		return 0, nil
	}
	start, n := cipLayout(b)
	switch {
	case start == 0:
		return 0, headerError(fcCIPProto)
	case len(b) < cipStandard:
		return 0, nil
	case n < ipv4Header+tcpHeader || n > maxCIP-start:
		return 0, headerError(fcCIPTruncated)
	}
	return start + n, nil
}

// cipLayout tells where the headers begin and how long they are; 0 for a layout that is none.
func cipLayout(b []byte) (start, n int) {
	switch first := b[cipLegacy]; {
	case first>>4 == 4 || first>>4 == 6:
		return cipLegacy, int(binary.BigEndian.Uint32(b[4:]))
	case first == 0 && len(b) >= cipStandard:
		return cipStandard, int(binary.BigEndian.Uint16(b[10:]))
	case first == 0:
		return cipStandard, 0
	}
	return 0, 0
}

// parseCIP reads one whole header. Errors are fc_err numbers.
func parseCIP(b []byte) (src, dst netip.AddrPort, err error) {
	start, _ := cipLayout(b)
	ip := b[start:]
	size, at, end, proto := 4, 12, 0, byte(0)
	switch ip[0] >> 4 {
	case 4:
		end, proto = int(ip[0]&15)*4, ip[9]
		if end < ipv4Header {
			return src, dst, headerError(fcCIPProto)
		}
	case 6:
		size, at, end, proto = 16, 8, ipv6Header, ip[6]
	default:
		return src, dst, headerError(fcCIPProto)
	}
	switch {
	case proto != protoTCP:
		return src, dst, headerError(fcCIPProto)
	case len(ip) < end+tcpHeader:
		return src, dst, headerError(fcCIPTruncated)
	}
	from, _ := netip.AddrFromSlice(ip[at : at+size])
	to, _ := netip.AddrFromSlice(ip[at+size : at+2*size])
	src = netip.AddrPortFrom(from, binary.BigEndian.Uint16(ip[end:]))
	dst = netip.AddrPortFrom(to, binary.BigEndian.Uint16(ip[end+2:]))
	return src, dst, nil
}
