package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/stream"
)

// v2 builds a version 2 header.
func v2(verCmd, family byte, rest ...byte) string {
	b := append([]byte(proxySignature), verCmd, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(append(b, rest...))
}

var addrs4 = []byte{192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0x01, 0xbb} // 192.0.2.1:40000 to 198.51.100.2:443

func tlv(kind byte, value string) []byte {
	return append([]byte{kind, byte(len(value) >> 8), byte(len(value))}, value...)
}

// summed gives a header with a zero checksum field at its end the right sum.
func summed(header string) string {
	b := []byte(header)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var proxyHeaders = []struct {
	name, header string
	want         string // "src dst tlvs", "" for the socket's own addresses, or an error
	err          int
}{
	{"v1 tcp4", "PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n", "192.0.2.1:40000 198.51.100.2:443", 0},
	{"v1 tcp6", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", "[2001:db8::1]:1 [::1]:65535", 0},
	{"v1 port 0", "PROXY TCP4 192.0.2.1 198.51.100.2 0 443\r\n", "192.0.2.1:0 198.51.100.2:443", 0},
	{"v1 unknown", "PROXY UNKNOWN\r\n", "", 0},
	{"v1 unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", 0},
	{"v1 other protocol", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", "", fcProxyUnhandled},
	{"v1 lower case", "PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", "", fcProxyUnhandled},
	{"v1 no words", "PROXY \r\n", "", fcProxyUnhandled},
	{"v1 lone LF", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", "", fcProxyBad},
	{"v1 two spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", "", fcProxyBad},
	{"v1 trailing space", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", "", fcProxyBad},
	{"v1 missing port", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", "", fcProxyBad},
	{"v1 port too large", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", "", fcProxyBad},
	{"v1 signed port", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", "", fcProxyBad},
	{"v1 leading zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", "", fcProxyBad},
	{"v1 octal address", "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", "", fcProxyBad},
	{"v1 short address", "PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n", "", fcProxyBad},
	{"v1 mixed families", "PROXY TCP4 192.0.2.1 ::1 1 2\r\n", "", fcProxyBad},
	{"v1 zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "", fcProxyBad},
	{"v1 name", "PROXY TCP4 localhost 198.51.100.2 1 2\r\n", "", fcProxyBad},
	{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n", "", fcProxyBad},
	{"http", "GET / HTTP/1.1\r\n\r\n", "", fcProxyNot},
	{"tls", "\x16\x03\x01\x02\x00\x01\x00", "", fcProxyNot},
	{"almost v2", "\r\n\r\n\x00\r\nQUIX\n!\x11\x00\x00", "", fcProxyNot},
	{"v2 version 1", v2(0x11, proxyTCP4, addrs4...), "", fcProxyNot},
	{"v2 version 3", v2(0x31, proxyTCP4, addrs4...), "", fcProxyNot},
	{"v2 tcp4", v2(0x21, proxyTCP4, addrs4...), "192.0.2.1:40000 198.51.100.2:443", 0},
	{"v2 tcp6", v2(0x21, proxyTCP6, join(netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("::1").AsSlice(), []byte{0, 1, 0, 2})...),
		"[2001:db8::1]:1 [::1]:2", 0},
	{"v2 local", v2(0x20, 0), "", 0},
	{"v2 local with addresses", v2(0x20, proxyTCP4, addrs4...), "", 0},
	{"v2 local with a field", v2(0x20, 0, tlv(2, "a")...), "tlv 02000161", 0},
	{"v2 unspecified", v2(0x21, 0), "", 0},
	{"v2 udp4", v2(0x21, 0x12, addrs4...), "", 0},
	{"v2 unix", v2(0x21, 0x31, make([]byte, 216)...), "", 0},
	{"v2 unknown family", v2(0x21, 0x41, 1, 2, 3), "", 0},
	{"v2 command 2", v2(0x22, proxyTCP4, addrs4...), "", fcProxyBad},
	{"v2 short addresses", v2(0x21, proxyTCP4, addrs4[:11]...), "", fcProxyBad},
	{"v2 short addresses of 6", v2(0x21, proxyTCP6, addrs4...), "", fcProxyBad},
	{"v2 short unix", v2(0x21, 0x31, make([]byte, 215)...), "", fcProxyBad},
	{"v2 authority", v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVAuthority, "12345"))...), "192.0.2.1:40000 198.51.100.2:443 tlv 0200053132333435", 0},
	{"v2 field of nothing", v2(0x21, proxyTCP4, join(addrs4, tlv(0xE2, ""))...), "192.0.2.1:40000 198.51.100.2:443 tlv e20000", 0},
	{"v2 field beyond the end", v2(0x21, proxyTCP4, append(join(addrs4), 2, 0, 6, '1', '2', '3', '4', '5')...), "", fcProxyBad},
	{"v2 rest of a field", v2(0x21, proxyTCP4, append(join(addrs4, tlv(2, "1234")), 0)...), "", fcProxyBad},
	{"v2 two bytes of a field", v2(0x21, proxyTCP4, append(join(addrs4), 4, 0)...), "", fcProxyBad},
	{"v2 long authority", v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVAuthority, strings.Repeat("a", 256)))...), "", fcProxyBad},
	{"v2 long unique id", v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVUniqueID, strings.Repeat("a", 129)))...), "", fcProxyBad},
	{"v2 long field", v2(0x21, proxyTCP4, join(addrs4, tlv(0xEA, strings.Repeat("a", 1025)))...), "", fcProxyBad},
	{"v2 checksum", summed(v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVCRC32C, "\x00\x00\x00\x00"))...)), "checked", 0},
	{"v2 wrong checksum", v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVCRC32C, "\x00\x00\x00\x01"))...), "", fcProxyBad},
	{"v2 short checksum", v2(0x21, proxyTCP4, join(addrs4, tlv(stream.TLVCRC32C, "\x00\x00\x00"))...), "", fcProxyBad},
	{"v2 too long", string(append([]byte(proxySignature), 0x21, 0, 0xff, 0xff)), "", fcProxyBad},
}

func TestProxyHeadersAreReadAsTheSpecificationSays(t *testing.T) {
	for _, row := range proxyHeaders {
		n, err := proxyLength([]byte(row.header))
		var h proxyHeader
		if err == nil {
			if n != len(row.header) {
				t.Errorf("%s: length %d, want %d", row.name, n, len(row.header))
				continue
			}
			h, err = parseProxyHeader([]byte(row.header))
		}
		var code headerError
		if errors.As(err, &code); int(code) != row.err {
			t.Errorf("%s: error %d (%v), want %d", row.name, code, err, row.err)
			continue
		}
		var got []string
		if h.src.IsValid() {
			got = append(got, h.src.String(), h.dst.String())
		}
		if row.want == "checked" {
			continue
		}
		if h.tlvs != nil {
			got = append(got, "tlv "+hexOf(h.tlvs))
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// A header arrives in as many pieces as the network likes, and what follows it is not ours to read.
func TestNothingBehindAProxyHeaderIsRead(t *testing.T) {
	r := start(t, Options{AcceptProxy: true})
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n", v2(0x21, proxyTCP4, addrs4...),
		v2(0x21, proxyTCP4, join(addrs4, tlv(0xEA, strings.Repeat("x", 1000)), tlv(0xEB, strings.Repeat("y", 1000)))...)} {
		for _, pieces := range [][]string{{header + "z"}, {header[:5], header[5:14], header[14:] + "z"}, {header, "z"}} {
			nc, err := net.Dial("tcp", r.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for _, piece := range pieces {
				if _, err := io.WriteString(nc, piece); err != nil {
					t.Fatal(err)
				}
			}
			var echo [1]byte
			if _, err := io.ReadFull(nc, echo[:]); err != nil || echo[0] != 'z' {
				t.Errorf("%q: echo %q, %v", pieces, echo, err)
			}
			c := <-r.served
			if got := c.Src.String() + " " + c.Dst.String(); got != "192.0.2.1:40000 198.51.100.2:443" || !c.Proxied {
				t.Errorf("%q: ends %s, proxied %v", pieces, got, c.Proxied)
			}
			if c.FcSrc.String() != nc.LocalAddr().String() || c.FcDst.String() != nc.RemoteAddr().String() {
				t.Errorf("%q: the connection's own ends became %s and %s", pieces, c.FcSrc, c.FcDst)
			}
			nc.Close()
		}
	}
}

func TestHandshakesFollowTheProxyHeader(t *testing.T) {
	a := newAuthority(t, "ca")
	x := cert.NewIndex(false)
	x.Add(&cert.Entry{Name: "www.pem"}, a.bundle(t, "www.example.test"))
	r := start(t, Options{AcceptProxy: true, Index: x})
	nc, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, v2(0x21, proxyTCP4, addrs4...))
	c := tls.Client(nc, &tls.Config{RootCAs: a.pool(), ServerName: "www.example.test"})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if served := <-r.served; served.Src.String() != "192.0.2.1:40000" || served.TLS == nil || served.TLS.SNI != "www.example.test" {
		t.Errorf("served %+v", served)
	}
}

func TestAConnectionWithoutProxyHeaderIsRefused(t *testing.T) {
	r := start(t, Options{AcceptProxy: true, HandshakeTimeout: 300 * time.Millisecond})
	for _, row := range []struct{ send, end, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "Received something which does not look like a PROXY protocol header"},
		{"PROXY TCP4 1.2.3.4\r\n", "", "Received an invalid PROXY protocol header"},
		{"PROXY SCTP 1.2.3.4\r\n", "", "Received an unhandled protocol in the PROXY protocol header"},
		{"PROXY TCP4 1", "fin", "Truncated PROXY protocol header received"},
		{"", "fin", "Connection closed while waiting for PROXY protocol header"},
		{"", "rst", "Connection error while waiting for PROXY protocol header"},
		{"PROXY TCP4 1", "", "Timeout while waiting for PROXY protocol header"},
	} {
		nc, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, row.send)
		switch row.end {
		case "fin":
			nc.(*net.TCPConn).CloseWrite()
		case "rst":
			nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		}
		if got := <-r.errors; got != row.want {
			t.Errorf("%q %s: got %q, want %q", row.send, row.end, got, row.want)
		}
		nc.Close()
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, row := range proxyHeaders {
		f.Add([]byte(row.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := proxyLength(b)
		if err != nil {
			return
		}
		if n > maxProxyV2 || n == 0 && len(b) >= maxProxyLine {
			t.Fatalf("%d bytes are not yet a header, which may have %d", len(b), n)
		}
		for i := range min(len(b), n) { // what is known of the start stays true of the whole
			if m, err := proxyLength(b[:i]); err != nil || m != 0 && m != n {
				t.Fatalf("after %d bytes the length is %d (%v), later %d", i, m, err, n)
			}
		}
		if n == 0 || n > len(b) {
			return
		}
		h, err := parseProxyHeader(b[:n])
		if err != nil {
			return
		}
		if h.src.IsValid() != h.dst.IsValid() || h.src.Addr().Is4() != h.dst.Addr().Is4() {
			t.Fatalf("ends %s and %s", h.src, h.dst)
		}
		if again, err := parseProxyHeader([]byte(printed(h))); err != nil || again.src != h.src || again.dst != h.dst || !bytes.Equal(again.tlvs, h.tlvs) {
			t.Fatalf("%+v, written and read again, is %+v (%v)", h, again, err)
		}
		for kind, at, left := byte(0), 0, h.tlvs; ; kind++ { // every field can be reached
			for _, next, ok := left.Next(kind, at); ok; _, next, ok = left.Next(kind, at) {
				at = next
			}
			if at = 0; kind == 255 {
				break
			}
		}
	})
}

// printed is a header of version 2 that says what h does.
func printed(h proxyHeader) string {
	if !h.src.IsValid() {
		return v2(0x20, 0, h.tlvs...)
	}
	family := byte(proxyTCP6)
	if h.src.Addr().Is4() {
		family = proxyTCP4
	}
	body := slices.Concat(h.src.Addr().AsSlice(), h.dst.Addr().AsSlice())
	body = binary.BigEndian.AppendUint16(body, h.src.Port())
	body = binary.BigEndian.AppendUint16(body, h.dst.Port())
	return v2(0x21, family, append(body, h.tlvs...)...)
}
