package listener

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

const someMagic = 0x4e534950

var (
	cipTCP  = append([]byte{0x9c, 0x40, 0x01, 0xbb}, make([]byte, 16)...) // ports 40000 and 443
	cipIPv4 = append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0}, addrs4[:8]...)
	cipIPv6 = append([]byte{0x60, 0, 0, 0, 0, 20, 6, 64}, append(net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")...)...)
)

// cip makes a header of the legacy layout or of the standard one.
func cip(standard bool, magic uint32, headers ...[]byte) string {
	var body []byte
	for _, h := range headers {
		body = append(body, h...)
	}
	b := binary.BigEndian.AppendUint32(nil, magic)
	if standard {
		b = binary.BigEndian.AppendUint32(b, uint32(12+len(body)))
		b = append(b, 0, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	}
	return string(append(b, body...))
}

var netscalerHeaders = []struct {
	name, header, want string
	err                headerError
}{
	{"legacy", cip(false, someMagic, cipIPv4, cipTCP), "192.0.2.1:40000 198.51.100.2:443", 0},
	{"standard", cip(true, someMagic, cipIPv4, cipTCP), "192.0.2.1:40000 198.51.100.2:443", 0},
	{"legacy 6", cip(false, someMagic, cipIPv6, cipTCP), "[2001:db8::1]:40000 [2001:db8::2]:443", 0},
	{"standard 6", cip(true, someMagic, cipIPv6, cipTCP), "[2001:db8::1]:40000 [2001:db8::2]:443", 0},
	{"options", cip(true, someMagic, append([]byte{0x46}, cipIPv4[1:]...), []byte{1, 1, 1, 1}, cipTCP, []byte{1, 1, 1, 1}), "192.0.2.1:40000 198.51.100.2:443", 0},
	{"other magic", cip(true, someMagic+1, cipIPv4, cipTCP), "", fcCIPMagic},
	{"text", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", fcCIPMagic},
	{"layout", cip(false, someMagic, []byte{0x55}, cipIPv4, cipTCP), "", fcCIPProto},
	{"version", cip(true, someMagic, append([]byte{0x55}, cipIPv4[1:]...), cipTCP), "", fcCIPProto},
	{"udp", cip(true, someMagic, append(append([]byte{}, cipIPv4[:9]...), append([]byte{17}, cipIPv4[10:]...)...), cipTCP), "", fcCIPProto},
	{"short header", cip(true, someMagic, append([]byte{0x44}, cipIPv4[1:]...), cipTCP), "", fcCIPProto},
	{"no room for TCP", cip(true, someMagic, append([]byte{0x4f}, cipIPv4[1:]...), cipTCP), "", fcCIPTruncated},
	{"6 in the room of 4", cip(true, someMagic, cipIPv6), "", fcCIPTruncated},
	{"too short", cip(false, someMagic, cipIPv4), "", fcCIPTruncated},
	{"too long", cip(false, someMagic, cipIPv4, cipTCP, make([]byte, maxCIP)), "", fcCIPTruncated},
}

func TestNetscalerHeaders(t *testing.T) {
	for _, row := range netscalerHeaders {
		b := []byte(row.header)
		n, err := cipLength(b, someMagic)
		var got string
		if err == nil {
			src, dst, bad := parseCIP(b[:n])
			if got = src.String() + " " + dst.String(); bad != nil {
				got, err = "", bad
			}
		}
		var code headerError
		if err != nil {
			code = err.(headerError)
		}
		if got != row.want || code != row.err {
			t.Errorf("%s: got %q and %d, want %q and %d", row.name, got, code, row.want, row.err)
		}
	}
}

// TestNetscalerHeaderStandsBeforeEverything: it comes in pieces, before a PROXY header, and nothing behind it is taken.
func TestNetscalerHeaderStandsBeforeEverything(t *testing.T) {
	for _, pieces := range [][]string{
		{cip(true, someMagic, cipIPv4, cipTCP) + "PROXY TCP4 203.0.113.9 203.0.113.8 1 2\r\nz"},
		{cip(false, someMagic, cipIPv4, cipTCP)[:5], cip(false, someMagic, cipIPv4, cipTCP)[5:] + "PROXY UNKNOWN\r\n", "z"},
	} {
		r := start(t, Options{AcceptProxy: true, AcceptCIP: true, CIPMagic: someMagic})
		nc, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, piece := range pieces {
			io.WriteString(nc, piece)
		}
		var echo [1]byte
		if _, err := io.ReadFull(nc, echo[:]); err != nil || echo[0] != 'z' {
			t.Errorf("%q: echo %q, %v", pieces, echo, err)
		}
		want := "203.0.113.9:1 203.0.113.8:2"
		if len(pieces) > 1 { // UNKNOWN leaves the ends as they are
			want = "192.0.2.1:40000 198.51.100.2:443"
		}
		if c := <-r.served; c.Src.String()+" "+c.Dst.String() != want {
			t.Errorf("%q: ends %s and %s", pieces, c.Src, c.Dst)
		}
	}
}

func TestAConnectionWithoutNetscalerHeaderIsRefused(t *testing.T) {
	r := start(t, Options{AcceptCIP: true, CIPMagic: someMagic, HandshakeTimeout: 300 * time.Millisecond})
	for _, row := range []struct{ send, end, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "Received an invalid NetScaler Client IP magic number"},
		{cip(false, someMagic, []byte{0x55}, cipIPv4, cipTCP), "", "Received an unhandled protocol in the NetScaler Client IP header"},
		{cip(true, someMagic, cipIPv4, cipTCP)[:30], "fin", "Truncated NetScaler Client IP header received"},
		{"", "fin", "Connection closed while waiting for NetScaler Client IP header"},
		{"", "rst", "Connection error while waiting for NetScaler Client IP header"},
		{cip(true, someMagic, cipIPv4, cipTCP)[:30], "", "Timeout while waiting for a NetScaler Client IP header"},
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

func FuzzNetscalerHeader(f *testing.F) {
	for _, row := range netscalerHeaders {
		f.Add([]byte(row.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := cipLength(b, someMagic)
		if err != nil {
			return
		}
		if n > maxCIP || n == 0 && len(b) >= cipStandard {
			t.Fatalf("%d bytes are not yet a header, which may have %d", len(b), n)
		}
		for i := range min(len(b), n) { // what is known of the start stays true of the whole
			if m, err := cipLength(b[:i], someMagic); err != nil || m != 0 && m != n {
				t.Fatalf("after %d bytes the length is %d (%v), later %d", i, m, err, n)
			}
		}
		if n == 0 || n > len(b) {
			return
		}
		src, dst, err := parseCIP(b[:n])
		if err == nil && (!src.IsValid() || src.Addr().Is4() != dst.Addr().Is4()) {
			t.Fatalf("ends %s and %s", src, dst)
		}
	})
}
