package listener

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/sock"
	"gatehouse/internal/stream"
)

// The fc_err numbers of PROXY headers (surface 4.13).
const (
	fcProxyEmpty     = 11
	fcProxyAbort     = 12
	fcProxyTimeout   = 13
	fcProxyTruncated = 14
	fcProxyNot       = 15
	fcProxyBad       = 16
	fcProxyUnhandled = 17
)

// Bounds of PROXY headers: a version 1 line by its specification (section 2.1), of version 2 what HAProxy's buffer and its parser take.
const (
	maxProxyLine  = 107
	maxProxyV2    = 16384
	maxProxyValue = 1024
	maxAuthority  = 255
	maxUniqueID   = 128

	proxyPrefix = 16 // of version 2, before the addresses
)

// proxyHeaderTimeout bounds the wait for a PROXY header: whoever puts one in front has it ready when the connection is there.
const proxyHeaderTimeout = 5 * time.Second

// proxySignature opens a version 2 header (specification, section 2.2).
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyHeader is what a header said. Without addresses those of the socket stand.
type proxyHeader struct {
	src, dst netip.AddrPort
	tlvs     stream.ProxyTLV
}

// headerError is an fc_err number.
type headerError int

func (e headerError) Error() string { return FcErrText(int(e)) }

// expectProxy reads the PROXY header of a connection and nothing beyond it, and notes what it said; false when the connection is to be closed.
func (l *Listener) expectProxy(s *settings, nc net.Conn, c *stream.Conn) bool {
	nc.SetReadDeadline(c.Accepted.Add(s.headerLimit()))
	raw, err := readHeader(nc, proxyLength, fcProxyEmpty, fcProxyTruncated)
	var h proxyHeader
	if err == nil {
		h, err = parseProxyHeader(raw)
	}
	if err != nil {
		l.proxyFailed(s, c, err)
		return false
	}
	nc.SetReadDeadline(time.Time{})
	c.Proxied = true
	c.ProxyTLVs = h.tlvs
	if h.src.IsValid() {
		c.Src, c.Dst = h.src, h.dst
		l.note(nc, c)
	}
	return true
}

// headerLimit is how long a header in front of everything else may take from accept on.
func (s *settings) headerLimit() time.Duration {
	if s.HandshakeTimeout <= 0 {
		return proxyHeaderTimeout
	}
	return min(s.HandshakeTimeout, proxyHeaderTimeout)
}

// proxyFailed notes and tells a PROXY header that was none.
func (l *Listener) proxyFailed(s *settings, c *stream.Conn, err error) {
	c.FcErr = fcProxyAbort
	var refused headerError
	switch {
	case errors.As(err, &refused):
		c.FcErr = int(refused)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.FcErr = fcProxyTimeout
	}
	l.headerFailed(s, c, c.FcErr == fcProxyEmpty || c.FcErr == fcProxyAbort)
}

// headerFailed tells of a header that was none. null says that the client had not spoken.
func (l *Listener) headerFailed(s *settings, c *stream.Conn, null bool) {
	if s.tls != nil {
		c.TLS = new(stream.TLS)
	}
	if s.ErrorLog != nil && !(s.DontLogNull && null) {
		s.ErrorLog(c, FcErrText(c.FcErr))
	}
}

// readHeader takes exactly a header off the connection. length tells how long one is that starts with the bytes it gets, 0 when more are
// needed to tell; empty and truncated are the fc_err numbers of a client that ends before. A socket is peeked at, so that what follows the header stays where TLS or
// HTTP will look for it; bytes of a header that is not yet complete all belong to it and can be taken at once.
func readHeader(nc net.Conn, length func([]byte) (int, error), empty, truncated headerError) ([]byte, error) {
	take := func(have []byte) ([]byte, error) { return oneByte(nc, have) }
	if s := sock.New(nc); s != nil {
		take = func(have []byte) ([]byte, error) { return ofHeader(s, have, length) }
	}
	have := make([]byte, 0, 256)
	for {
		n, err := length(have)
		if err != nil {
			return nil, err
		}
		if n > 0 && n == len(have) {
			return have, nil
		}
		before := len(have)
		if have, err = take(have); err != nil {
			switch {
			case !errors.Is(err, io.EOF):
				return nil, err
			case before == 0:
				return nil, empty
			}
			return nil, truncated
		}
	}
}

// ofHeader appends to have what is there of the header.
func ofHeader(s *sock.IO, have []byte, length func([]byte) (int, error)) ([]byte, error) {
	var failed error
	err := s.ReadWhenReady(func(fd uintptr) bool {
		have, failed = slices.Grow(have, 256), nil
		room := have[len(have) : len(have)+256]
		n, err := sock.Peek(fd, room)
		if err == nil {
			all := have[:len(have)+n]
			total, bad := length(all)
			if bad != nil {
				failed = bad
				return true
			}
			if total > 0 {
				n = min(n, total-len(have))
			}
			n, err = sock.Receive(fd, room[:n])
			have = have[:len(have)+max(n, 0)]
		}
		if err == syscall.EAGAIN {
			return false
		}
		failed = err
		return true
	})
	if err == nil {
		err = failed
	}
	return have, err
}

// oneByte does the same on a connection that is no socket.
func oneByte(nc net.Conn, have []byte) ([]byte, error) {
	var b [1]byte
	n, err := nc.Read(b[:])
	return append(have, b[:n]...), err
}

// proxyLength tells how long the header is that starts with b, 0 when more of it is needed to tell. It fails as soon as b cannot be the start of
// one.
func proxyLength(b []byte) (int, error) {
	const v1 = "PROXY "
	switch {
	case bytes.HasPrefix(b, []byte(v1)):
		end := bytes.IndexByte(b, '\n')
		if end < 0 && len(b) >= maxProxyLine || end >= maxProxyLine {
			return 0, headerError(fcProxyBad)
		}
		return end + 1, nil
	case len(b) < len(v1) && string(b) == v1[:len(b)], len(b) < len(proxySignature) && string(b) == proxySignature[:len(b)]:
		return 0, nil
	case !bytes.HasPrefix(b, []byte(proxySignature)) || len(b) > 12 && b[12]>>4 != 2:
		return 0, headerError(fcProxyNot)
	case len(b) < proxyPrefix:
		return 0, nil
	}
	n := proxyPrefix + int(binary.BigEndian.Uint16(b[14:]))
	if n > maxProxyV2 {
		return 0, headerError(fcProxyBad)
	}
	return n, nil
}

// parseProxyHeader reads one whole header, of version 1 or 2 (PROXY protocol specification, sections 2.1 and 2.2). Errors are fc_err numbers.
func parseProxyHeader(b []byte) (proxyHeader, error) {
	if bytes.HasPrefix(b, []byte("PROXY ")) {
		return parseProxyLine(string(b))
	}
	return parseProxyV2(b)
}

// parseProxyLine reads a version 1 header. Numbers have no leading zeros and words are one space apart, as the specification has it.
func parseProxyLine(line string) (h proxyHeader, err error) {
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return h, headerError(fcProxyBad)
	}
	words := strings.Split(text, " ")
	switch words[1] {
	case "UNKNOWN": // whatever follows is to be ignored
		return h, nil
	case "TCP4", "TCP6":
	default:
		return h, headerError(fcProxyUnhandled)
	}
	if len(words) != 6 {
		return h, headerError(fcProxyBad)
	}
	src, ok1 := proxyAddr(words[2], words[4], words[1] == "TCP4")
	dst, ok2 := proxyAddr(words[3], words[5], words[1] == "TCP4")
	if !ok1 || !ok2 {
		return h, headerError(fcProxyBad)
	}
	return proxyHeader{src: src, dst: dst}, nil
}

func proxyAddr(host, port string, four bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is4() != four || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '0' && port != "0" || port[0] == '+' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(n)), true
}

// Families and transports of version 2, and how many bytes of addresses they have.
const (
	proxyTCP4 = 0x11
	proxyTCP6 = 0x21
)

var proxyAddrLen = map[byte]int{0x00: 0, proxyTCP4: 12, 0x12: 12, proxyTCP6: 36, 0x22: 36, 0x31: 216, 0x32: 216}

// parseProxyV2 reads a version 2 header. Addresses other than TCP's are passed over, those of the socket stay, and so they do with
// the LOCAL command.
func parseProxyV2(b []byte) (h proxyHeader, err error) {
	command, family, rest := b[12]&15, b[13], b[proxyPrefix:]
	n, known := proxyAddrLen[family]
	switch {
	case command > 1:
		return h, headerError(fcProxyBad)
	case !known: // nobody can tell where its addresses end
		return h, nil
	case len(rest) < n:
		return h, headerError(fcProxyBad)
	}
	addrs, tlvs := rest[:n], rest[n:]
	if err := checkTLVs(b, tlvs); err != nil {
		return h, err
	}
	if len(tlvs) > 0 {
		h.tlvs = tlvs
	}
	if command == 0 {
		return h, nil
	}
	size := 4
	switch family {
	case proxyTCP6:
		size = 16
	case proxyTCP4:
	default:
		return h, nil
	}
	src, _ := netip.AddrFromSlice(addrs[:size])
	dst, _ := netip.AddrFromSlice(addrs[size : 2*size])
	ports := addrs[2*size:]
	h.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(ports))
	h.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(ports[2:]))
	return h, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTLVs checks that the fields fill their room exactly, that none is larger than HAProxy takes, and the checksum where there is one. tlvs
// is the end of the header b.
func checkTLVs(b, tlvs []byte) error {
	for at := 0; at < len(tlvs); {
		if at+3 > len(tlvs) {
			return headerError(fcProxyBad)
		}
		n := int(binary.BigEndian.Uint16(tlvs[at+1:]))
		start := at + 3
		if start+n > len(tlvs) || n > maxProxyValue {
			return headerError(fcProxyBad)
		}
		switch tlvs[at] {
		case stream.TLVAuthority:
			if n > maxAuthority {
				return headerError(fcProxyBad)
			}
		case stream.TLVUniqueID:
			if n > maxUniqueID {
				return headerError(fcProxyBad)
			}
		case stream.TLVCRC32C:
			if n != 4 || !checksumHolds(b, len(b)-len(tlvs)+start) {
				return headerError(fcProxyBad)
			}
		}
		at = start + n
	}
	return nil
}

// checksumHolds reports whether the CRC32C of the header, taken with zeros in the place of the sum at offset at, is the sum.
func checksumHolds(b []byte, at int) bool {
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, b[at+4:]) == binary.BigEndian.Uint32(b[at:])
}
