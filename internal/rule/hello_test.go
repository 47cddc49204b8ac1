package rule

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/stream"
)

// recorder keeps what a TLS client sends first and then ends the connection.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return len(b), nil
}
func (r *recorder) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                     { return nil }

// helloOf is the record in which crypto/tls sends its ClientHello.
func helloOf(t testing.TB, conf *tls.Config) []byte {
	t.Helper()
	r := &recorder{}
	if err := tls.Client(r, conf).Handshake(); err == nil || len(r.sent) < 50 {
		t.Fatalf("no hello: %v, %d bytes", err, len(r.sent))
	}
	return r.sent[:5+(int(r.sent[3])<<8|int(r.sent[4]))]
}

// inRecords cuts the handshake message of a record into records of n bytes.
func inRecords(record []byte, n int) (out []byte) {
	for body := record[5:]; len(body) > 0; {
		m := min(n, len(body))
		out = append(append(out, record[0], record[1], record[2], byte(m>>8), byte(m)), body[:m]...)
		body = body[m:]
	}
	return out
}

// raw is a stream in mode tcp that has received data and may get more.
func raw(data []byte, more bool) *stream.Stream {
	s := &stream.Stream{Conn: &stream.Conn{}}
	s.Reset()
	s.ReqData, s.Waiting = data, more
	return s
}

// sample shows what an expression finds in a stream: its text, "?" when more bytes could tell, "-" when there is none.
func sample(t testing.TB, s *stream.Stream, text string) string {
	t.Helper()
	c, d := newCompiler()
	x := c.Expr(text, testPos)
	if x == nil {
		t.Fatalf("%s: %s", text, diagTexts(d))
	}
	s.Missing = false
	b, ok := x.Text(s, nil)
	switch {
	case ok:
		return string(b)
	case s.Missing:
		return "?"
	}
	return "-"
}

var (
	modern = &tls.Config{ServerName: "Shop.Example", NextProtos: []string{"h2", "http/1.1"}, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}
	old    = &tls.Config{ServerName: "old.example", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	bare   = &tls.Config{InsecureSkipVerify: true}
)

func TestClientHelloSamples(t *testing.T) {
	for _, row := range []struct {
		name string
		conf *tls.Config
		want map[string]string
	}{
		{"modern", modern, map[string]string{"req.ssl_sni": "Shop.Example", "req_ssl_sni,lower": "shop.example", "req.ssl_alpn": "h2", "req.ssl_hello_type": "1",
			"req.ssl_ver": "196611", "req.ssl_ec_ext": "1", "req.ssl_st_ext": "0", "req.ssl_supported_groups,hex": "001D0017", "req.ssl_keyshare_groups,hex": "001D"}},
		{"old", old, map[string]string{"req.ssl_sni": "old.example", "req.ssl_alpn": "-", "req_ssl_ver": "196611", "req.ssl_cipherlist,hex": "002F", "req.ssl_keyshare_groups": "-"}},
		{"bare", bare, map[string]string{"req.ssl_sni": "-", "req_ssl_hello_type": "1", "rep_ssl_hello_type": "-", "res.ssl_hello_type": "-"}},
	} {
		hello := helloOf(t, row.conf)
		for expr, want := range row.want {
			if got := sample(t, raw(hello, false), expr); got != want {
				t.Errorf("%s: %s is %q, want %q", row.name, expr, got, want)
			}
		}
	}
	c, _ := newCompiler()
	s := raw(helloOf(t, modern), false)
	for test, want := range map[string]bool{
		"{ req.ssl_alpn http/1.1 }": true, "{ req.ssl_alpn h3 }": false, "{ req_ssl_ver 3.1:3.3 }": true, "{ req.ssl_ver 3.4 }": false,
		"{ req_ssl_sni -i shop.example }": true, "{ req.ssl_sigalgs -m found }": true,
	} {
		if got := c.Cond(words("if "+test), testPos, nil).Eval(s, nil); got != want {
			t.Errorf("%s is %v", test, got)
		}
	}
}

// TestHelloArrivesInPieces cuts hellos at every byte, in one record and in records of few bytes: the same is found once all is there, and until
// then it is said that more is needed.
func TestHelloArrivesInPieces(t *testing.T) {
	for _, size := range []int{1, 3, 4, 7, 100, 1 << 14} {
		whole := inRecords(helloOf(t, modern), size)
		for n := range len(whole) + 1 {
			for _, expr := range []string{"req.ssl_sni", "req.ssl_hello_type", "req.ssl_alpn", "req.ssl_sigalgs,length"} {
				got := sample(t, raw(whole[:n], true), expr)
				if n < len(whole) && got != "?" {
					t.Fatalf("records of %d: %s is %q after %d of %d bytes", size, expr, got, n, len(whole))
				}
				if n == len(whole) && (got == "?" || got == "-") {
					t.Errorf("records of %d: %s is %q when all is there", size, expr, got)
				}
				if late := sample(t, raw(whole[:n], false), expr); n < len(whole) && late != "-" {
					t.Fatalf("records of %d: %s is %q when no more comes", size, expr, late)
				}
			}
		}
	}
}

func TestHostileHellosHaveNoName(t *testing.T) {
	good := helloOf(t, old)
	change := func(at int, to ...byte) []byte {
		b := append([]byte{}, good...)
		copy(b[at:], to)
		return b
	}
	at := strings.Index(string(good), "old.example")
	for name, b := range map[string][]byte{
		"no record":                change(0, 'G'),
		"alert":                    change(0, 0x15),
		"version 2":                change(1, 2),
		"server hello":             change(5, 2),
		"hello version 2":          change(9, 2),
		"session id too long":      change(43, 33),
		"cipher list too long":     change(44+int(good[43]), 0xff, 0xff),
		"name longer than list":    change(at-2, 0xff, 0xff),
		"list longer than ext":     change(at-5, 0x0f, 0xff),
		"extension too long":       change(at-7, 0xff, 0xff),
		"name of another type":     change(at-3, 1),
		"empty record":             {0x16, 3, 1, 0, 0, 0x16, 3, 1, 0, 1, 1},
		"message too short":        {0x16, 3, 1, 0, 4, 1, 0, 0, 0},
		"change cipher in between": append(inRecords(good, 10)[:15], 0x14, 3, 3, 0, 1, 1),
	} {
		if got := sample(t, raw(b, true), "req.ssl_sni"); got != "-" {
			t.Errorf("%s: name %q", name, got)
		}
	}
}

func TestOldHelloOfSSL2HasAVersion(t *testing.T) {
	hello, _ := hex.DecodeString("802e" + "01" + "0301" + "0015" + "0000" + "0010" + strings.Repeat("010080", 7) + strings.Repeat("ab", 16))
	for n := range hello {
		if got := sample(t, raw(hello[:n], true), "req.ssl_ver"); got != "?" {
			t.Errorf("%q after %d bytes", got, n)
		}
	}
	if got := sample(t, raw(hello, true), "req.ssl_ver"); got != fmt.Sprint(3<<16|1) {
		t.Errorf("version %q", got)
	}
}

// FuzzHello: no bytes of a client make a sample panic, read beyond them, or use more memory than they are.
func FuzzHello(f *testing.F) {
	for _, conf := range []*tls.Config{modern, old, bare} {
		hello := helloOf(f, conf)
		for _, size := range []int{1, 5, 1 << 14} {
			f.Add(inRecords(hello, size))
		}
		f.Add(hello[:len(hello)/2])
	}
	f.Add([]byte{0x16, 3, 1, 0, 0})
	f.Add([]byte("\x03\x00\x00\x2f\x2a\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user\r\n"))
	c, _ := newCompiler()
	var all []*Expr
	for _, text := range []string{"req.ssl_sni", "req.ssl_alpn", "req.ssl_hello_type", "req.ssl_ver", "req.ssl_cipherlist", "req.ssl_sigalgs", "req.ssl_keyshare_groups",
		"req.ssl_supported_groups", "req.ssl_ec_ext", "req.ssl_st_ext", "req.rdp_cookie", "req.rdp_cookie_cnt", "req.payload(0,0)", "req.payload_lv(3,2)"} {
		all = append(all, c.Expr(text, testPos))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxValue {
			return
		}
		for _, x := range all {
			s := raw(data, true)
			v, ok := x.Eval(s, nil)
			if len(v.Bytes) > len(data) || s.Size() > len(data) {
				t.Fatalf("%s made %d bytes, with %d of memory, of %d", x, len(v.Bytes), s.Size(), len(data))
			}
			s.Waiting = false
			if _, late := x.Eval(s, nil); late != ok && x.name != "req.rdp_cookie_cnt" {
				t.Fatalf("%s is there: %v, and when no more comes: %v", x, ok, late)
			}
		}
	})
}

func BenchmarkHelloName(b *testing.B) {
	c, _ := newCompiler()
	x := c.Expr("req.ssl_sni", testPos)
	s := raw(helloOf(b, modern), true)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := x.Eval(s, nil); !ok {
			b.Fatal("no name")
		}
	}
}
