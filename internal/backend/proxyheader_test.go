package backend

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

func ends(src, dst string) *stream.Stream {
	return &stream.Stream{Conn: &stream.Conn{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}}
}

func TestProxyHeadersNameTheClient(t *testing.T) {
	moved := ends("192.0.2.1:1000", "192.0.2.2:443")
	moved.NewSrc = netip.MustParseAddrPort("203.0.113.9:7")
	for _, test := range []struct {
		version int
		s       *stream.Stream
		want    string
	}{
		{1, ends("192.0.2.1:1000", "192.0.2.2:443"), "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"},
		{1, ends("[2001:db8::1]:1", "[2001:db8::2]:2"), "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"},
		{1, ends("192.0.2.1:1", "[2001:db8::2]:2"), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"},
		{1, moved, "PROXY TCP4 203.0.113.9 192.0.2.2 7 443\r\n"},
		{1, &stream.Stream{Conn: &stream.Conn{SrcUnix: true}}, "PROXY UNKNOWN\r\n"},
		{2, ends("192.0.2.1:258", "192.0.2.2:443"), signature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x01\x02\x01\xbb"},
		{2, &stream.Stream{Conn: &stream.Conn{SrcUnix: true}}, signature + "\x20\x00\x00\x00"},
	} {
		s := &Server{o: ServerOptions{Line: config.Server{SendProxy: test.version}}}
		if got := string(s.greeting(nil, test.s)); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// The fields come in HAProxy's order, and the checksum covers the whole header.
func TestProxyHeadersTellWhatTheOptionsAskFor(t *testing.T) {
	const all = config.ProxySSL | config.ProxyCertCN | config.ProxySSLCipher | config.ProxyAuthority | config.ProxyCRC32C | config.ProxyUniqueID
	st := ends("192.0.2.1:258", "192.0.2.2:443")
	st.Log.UniqueID = []byte("id-1")
	name, err := asn1.Marshal([][]attr{{{asn1.ObjectIdentifier{2, 5, 4, 3}, "client"}}})
	if err != nil {
		t.Fatal(err)
	}
	name[2] = 0x31 // the inner list is a SET
	st.Conn.TLS = &stream.TLS{SNI: "www", ALPN: "h2", Version: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, VerifyErr: 18,
		ClientCert: []*x509.Certificate{{RawSubject: name}}}
	s := &Server{o: ServerOptions{Line: config.Server{SendProxy: 2, ProxyV2: all}, TLVs: []TLV{
		{Type: 0xE1, Value: func(dst []byte, _ *stream.Stream) []byte { return append(dst, "foo"...) }}, {Type: 0xE2}}}}
	got := s.greeting([]byte("x"), st)[1:]
	var want bytes.Buffer
	want.WriteString(signature + "\x21\x11\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02\x01\x02\x01\xbb")
	want.WriteString("\xe1\x00\x03foo\xe2\x00\x00")
	sum := want.Len() + 3
	want.WriteString("\x03\x00\x04\x00\x00\x00\x00\x01\x00\x02h2\x02\x00\x03www\x05\x00\x04id-1")
	inside := "\x07\x00\x00\x00\x12\x21\x00\x07TLSv1.3\x22\x00\x06client\x23\x00\x16TLS_AES_128_GCM_SHA256"
	want.WriteString("\x20\x00" + string(rune(len(inside))) + inside)
	b := want.Bytes()
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-16))
	binary.BigEndian.PutUint32(b[sum:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	if !bytes.Equal(got, b) {
		t.Errorf("got  %q\nwant %q", got, b)
	}
}

type attr struct {
	Type  asn1.ObjectIdentifier
	Value string
}

func TestAFieldThatDoesNotFitIsLeftOut(t *testing.T) {
	s := &Server{o: ServerOptions{Line: config.Server{SendProxy: 2}, TLVs: []TLV{
		{Type: 0xE1, Value: func(dst []byte, _ *stream.Stream) []byte { return append(dst, make([]byte, maxProxyHeader)...) }},
		{Type: 0xE2, Value: func(dst []byte, _ *stream.Stream) []byte { return append(dst, "short"...) }}}}}
	got := s.greeting(nil, ends("192.0.2.1:258", "192.0.2.2:443"))
	if want := "\x01\xbb\xe2\x00\x05short"; !bytes.HasSuffix(got, []byte(want)) || len(got) != 28+8 {
		t.Errorf("got %q", got)
	}
}

// Only requests that would begin a connection alike share one.
func TestConnectionsAreSharedUnderTheSameProxyHeader(t *testing.T) {
	opened := make(chan string, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			line := make([]byte, 40)
			n, _ := io.ReadAtLeast(c, line, 10)
			opened <- string(line[:n])
		}
	}()
	o := at(t, "s1", ln.Addr().String())
	o.Line.SendProxy, o.Line.PoolLowConn = 1, 5
	be := build(t, Options{HTTP: true, Reuse: "always", Servers: []ServerOptions{o}}, nil)
	ask := func(src string) *Conn {
		s := newStream()
		s.Conn = ends(src, "192.0.2.2:443").Conn
		return connect(t, be, s, ConnectOptions{})
	}
	for i, row := range []struct {
		src    string
		reused bool
	}{{"192.0.2.1:1", false}, {"192.0.2.1:2", false}, {"192.0.2.1:1", true}, {"192.0.2.1:3", false}, {"192.0.2.1:2", true}} {
		c := ask(row.src)
		if c.Reused != row.reused {
			t.Errorf("request %d from %s: reused %v", i, row.src, c.Reused)
		}
		c.Release(true)
	}
	for _, want := range []string{"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 2 443\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 3 443\r\n"} {
		if got := <-opened; got != want {
			t.Errorf("the server read %q, want %q", got, want)
		}
	}
}

func TestChecksSayProxyWhereTheTrafficDoes(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, row := range []struct {
		line config.Server
		want string
	}{
		{config.Server{}, ""},
		{config.Server{SendProxy: 1}, "PROXY UNKNOWN\r\n"},
		{config.Server{SendProxy: 1, CheckPort: 81}, ""},
		{config.Server{SendProxy: 1, CheckAddr: "192.0.2.1"}, ""},
		{config.Server{CheckSendProxy: true, CheckPort: 81}, "PROXY UNKNOWN\r\n"},
		{config.Server{SendProxy: 2}, signature + "\x20\x00\x00\x00"},
	} {
		o := ServerOptions{Line: row.line}
		s := &Server{o: o, where: target(o), life: newLife(o)}
		if got := string(s.checkGreeting(a)); got != row.want {
			t.Errorf("%+v: got %q, want %q", row.line, got, row.want)
		}
	}
}
