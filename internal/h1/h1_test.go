package h1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"gatehouse/internal/stream"
)

// script is a connection that reads from a text and remembers what is written.
type script struct {
	net.Conn
	r   io.Reader
	out bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.out.Write(p) }

var pool = NewPool(0)

func reading(text string, oneByOne bool) *Reader {
	var src io.Reader = strings.NewReader(text)
	if oneByOne {
		src = iotest.OneByteReader(src)
	}
	c := new(Conn)
	c.Init(&script{r: src})
	r := new(Reader)
	r.Init(c, pool)
	return r
}

// forward reads requests from text and writes them on as a proxy does, until something fails.
func forward(text string, oneByOne bool) (string, error) {
	r := reading(text, oneByOne)
	out := &script{}
	c := new(Conn)
	c.Init(out)
	var w Writer
	w.Init(c, pool)
	var req stream.Request
	for {
		if err := r.Wait(); err != nil {
			return out.out.String(), err
		}
		if err := r.ReadRequest(&req, &Limits{}); err != nil {
			return out.out.String(), err
		}
		if err := w.Request(&req, RequestOptions{}); err != nil {
			return out.out.String(), err
		}
		if err := body(r, &w); err != nil {
			return out.out.String(), err
		}
		if !req.KeepAlive {
			return out.out.String(), nil
		}
	}
}

func body(r *Reader, w *Writer) error {
	for {
		p, err := r.Body()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := w.Body(p); err != nil {
			return err
		}
	}
	if err := w.End(r.Trailers()); err != nil {
		return err
	}
	return w.Flush()
}

func TestRequestsThatPass(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET /a?b HTTP/1.1\nHOST: A\nX-Y:z \t\n\n", "GET /a?b HTTP/1.1\r\nhost: A\r\nx-y: z\r\n\r\n"},
		{"\r\n\nGET  / \t HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n  d\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx: b  \tc    d\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \xc3\xa9\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx: \r\ny: \xc3\xa9\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: A\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET http://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/x HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET http://a/x HTTP/1.1\r\nHost: a:80\r\n\r\n", "GET http://a/x HTTP/1.1\r\nhost: a:80\r\n\r\n"},
		{"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n"},
		{"GET https://a:443?q HTTP/1.1\r\nHost: A\r\n\r\n", "GET https://a?q HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET http://a:81/ HTTP/1.0\r\n\r\n", "GET http://a:81/ HTTP/1.0\r\nhost: a:81\r\nconnection: keep-alive\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\nContent-Length: 03\r\n\r\nabc", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"},
		// Both framings: the chunks count, and nothing after them is a request.
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00a ;x=\"\\\"\"\r\n0123456789\r\n0;y\r\nT: 1\r\nCookie: no\r\n\r\n",
			"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nt: 1\r\n\r\n"},
		// Fields that Connection names end here, others that were meant for this hop too.
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Gone, keep-alive, host, TE\r\nX-Gone: 1\r\nX-Stays: 2\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n\r\n",
			"GET / HTTP/1.1\r\nhost: a\r\nx-stays: 2\r\nte: trailers\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c, foo\r\nConnection: Upgrade\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: b\r\n\r\n"},
	} {
		for _, slow := range []bool{false, true} {
			out, err := forward(tc.in, slow)
			if err != nil && err != io.EOF {
				t.Errorf("%q (byte by byte %v): %v", tc.in, slow, err)
			} else if out != tc.out && !(slow && strings.Contains(out, "chunked")) { // slow bodies are cut differently
				t.Errorf("%q (byte by byte %v):\ngot  %q\nwant %q", tc.in, slow, out, tc.out)
			}
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	const start = "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, tc := range []struct {
		in  string
		err *Error
	}{
		{"GET / HTTP/1.1\r\n\r\n", ErrHost},
		{"GET /\r\n\r\n", ErrTarget},
		{"GET / HTTP/2.0\r\n\r\n", ErrVersion},
		{"GET / http/1.1\r\n\r\n", ErrVersion},
		{"GET / HTTP/1.1 \r\n\r\n", ErrSyntax},
		{"\x16\x03\x01", ErrSyntax},
		{"G{T / HTTP/1.1\r\n\r\n", ErrSyntax},
		{" GET / HTTP/1.1\r\n\r\n", ErrSyntax},
		{"GET /#x HTTP/1.1\r\n", ErrTarget},
		{"GET /\x7f HTTP/1.1\r\n", ErrTarget},
		{"GET /\xff HTTP/1.1\r\n", ErrTarget},
		{"GET x HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
		{"GET * HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
		{"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
		{"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", ErrHost},
		{"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", ErrTarget},
		{"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", ErrMethodRefused},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ErrHost},
		{"GET / HTTP/1.1\r\nHost: a]\r\n\r\n", ErrHost},
		{start + "X : y\r\n\r\n", ErrSyntax},
		{start + ": y\r\n\r\n", ErrSyntax},
		{start + "X\r\n\r\n", ErrSyntax},
		{start + "X: a\rb\r\n\r\n", ErrSyntax},
		{start + "X: a\x00b\r\n\r\n", ErrSyntax},
		{start + "X: a\x01b\r\n\r\n", ErrSyntax},
		{start + "\r\rX: a\r\n\r\n", ErrSyntax},
		{"GET / HTTP/1.1\r\n X: folded first\r\n\r\n", ErrSyntax},
		{start + "Content-Length: \r\n\r\n", ErrLength},
		{start + "Content-Length: +6\r\n\r\n", ErrLength},
		{start + "Content-Length: -1\r\n\r\n", ErrLength},
		{start + "Content-Length: 0x6\r\n\r\n", ErrLength},
		{start + "Content-Length: 6 6\r\n\r\n", ErrLength},
		{start + "Content-Length: 6,\r\n\r\n", ErrLength},
		{start + "Content-Length: 6\r\nContent-Length: 7\r\n\r\n", ErrLength},
		{start + "Content-Length: 99999999999999999999\r\n\r\n", ErrLength},
		{start + "Transfer-Encoding: \r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: chunked, chunked\r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: chunked, identity\r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: chunked,\r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: gzip, chunked\r\n\r\n", ErrUnknownCoding},
		{start + "Transfer-Encoding: xchunked\r\n\r\n", ErrCoding},
		{start + "Transfer-Encoding: \x0bchunked\r\n\r\n", ErrSyntax},
		{start + "Transfer-Encoding: \"chunked\"\r\n\r\n", ErrCoding},
		{"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", ErrBodyNotAllowed},
		{start + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", errWebSocketNoKey},
		{start + "Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 1\r\n\r\nx", errUpgradeWithBody},
		{start + strings.Repeat("A: b\r\n", 101) + "\r\n", ErrFieldCount},
		{start + "X: " + strings.Repeat("a", 16384) + "\r\n\r\n", ErrHeadTooLong},
		{"GET /" + strings.Repeat("a", 16384) + " HTTP/1.1\r\n\r\n", ErrTargetTooLong},
		{start + "X: y", ErrTruncated},
	} {
		for _, slow := range []bool{false, true} {
			out, err := forward(tc.in, slow)
			if !errors.Is(err, tc.err) {
				t.Errorf("%.100q (byte by byte %v): got %v, want %v", tc.in, slow, err, tc.err)
			}
			if out != "" {
				t.Errorf("%.100q: forwarded %q", tc.in, out)
			}
		}
	}
}

func TestChunksThatAreRefused(t *testing.T) {
	const start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct {
		in  string
		err *Error
	}{
		{"\r\n", ErrChunk}, {"x\r\n", ErrChunk}, {"-1\r\n", ErrChunk}, {"+1\r\n", ErrChunk}, {"0x1\r\n", ErrChunk}, {" 1\r\n", ErrChunk},
		{"1\nx\r\n0\r\n\r\n", ErrChunk}, {"1\rx\r\n", ErrChunk}, {"1\r\nx\n0\r\n\r\n", ErrChunk}, {"1\r\nxy\r\n", ErrChunk}, {"1\r\nx\r0", ErrChunk},
		{"10000000000000\r\n", ErrChunk}, {"ffffffffffffffff\r\n", ErrChunk}, {"00000000000000001\r\n", ErrChunk},
		{"1;a\nb\r\n", ErrChunk}, {"1;a=\"b\r\n\"\r\n", ErrChunk}, {"1;\\\r\n", ErrChunk}, {"1 x\r\n", ErrChunk}, {"1;\x00\r\n", ErrChunk},
		{"1;" + strings.Repeat("a", 2000) + "\r\n", ErrChunk},
		{strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 40), ErrChunk},
		{"0\r\nX : y\r\n\r\n", ErrTrailer}, {"0\r\nX: \x01\r\n\r\n", ErrTrailer}, {"0\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n", ErrTrailer},
		{"0\r\nX: " + strings.Repeat("a", 20000), ErrTrailer},
		{"1\r\n", ErrTruncated}, {"1\r\nx", ErrTruncated}, {"0\r\n", ErrTruncated}, {"5", ErrTruncated},
	} {
		for _, slow := range []bool{false, true} {
			if _, err := forward(start+tc.in, slow); !errors.Is(err, tc.err) {
				t.Errorf("%.60q (byte by byte %v): got %v, want %v", tc.in, slow, err, tc.err)
			}
		}
	}
}

func TestResponses(t *testing.T) {
	for _, tc := range []struct {
		in       string
		bodyless bool
		out      string
		keep     bool // the server connection may be used again
		err      error
	}{
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-gone\r\nX-Gone: 1\r\nServer: y\r\n\r\nok", out: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: y\r\n\r\nok", keep: true},
		{in: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", out: "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", keep: true},
		{in: "HTTP/1.1 200 Tr\xe8s bien\t!\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", out: "HTTP/1.1 200 Tr\xe8s bien\t!\r\ncontent-length: 1\r\n\r\nx"},
		{in: "HTTP/1.1 200 OK\r\n\r\nto the end", out: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end"},
		{in: "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", out: "HTTP/1.1 204 No\r\n\r\n", keep: false},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bodyless: true, out: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", keep: true},
		{in: "HTTP/1.1 200 OK\r\n\r\n", bodyless: true, out: "HTTP/1.1 200 OK\r\n\r\n", keep: true},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", out: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
		{in: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", out: "HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx", keep: true},
		{in: "", err: io.EOF},
		{in: "HTTP/1.1 20", err: ErrTruncated},
		{in: "HTTP/1.1 2000 OK\r\n\r\n", err: ErrSyntax},
		{in: "HTTP/1.1 099 OK\r\n\r\n", err: ErrStatus},
		{in: "HTTP/1.1 2x0 OK\r\n\r\n", err: ErrStatus},
		{in: "HTTP/1.1  200\x00 OK\r\n\r\n", err: ErrSyntax},
		{in: "HTTP/2 200 OK\r\n\r\n", err: ErrVersion},
		{in: "garbage\r\n\r\n", err: ErrVersion},
		{in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", err: ErrUnknownCoding},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", err: ErrLength},
		{in: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 17000) + "\r\n\r\n", err: ErrHeadTooLong},
		{in: "HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", err: ErrSyntax},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", err: ErrTruncated},
	} {
		for _, slow := range []bool{false, true} {
			out, keep, err := forwardResponse(tc.in, slow, tc.bodyless)
			if !errors.Is(err, tc.err) || (err == nil && (out != tc.out || keep != tc.keep)) {
				t.Errorf("%.80q (byte by byte %v):\ngot  %q keep %v, %v\nwant %q keep %v, %v", tc.in, slow, out, keep, err, tc.out, tc.keep, tc.err)
			}
		}
	}
}

func forwardResponse(text string, oneByOne, bodyless bool) (string, bool, error) {
	r := reading(text, oneByOne)
	out := &script{}
	c := new(Conn)
	c.Init(out)
	var w Writer
	w.Init(c, pool)
	var res stream.Response
	if err := r.ReadResponse(&res, &Limits{}, bodyless, false); err != nil {
		return "", false, err
	}
	if _, err := w.Response(&res, ResponseOptions{Bodyless: bodyless}); err != nil {
		return "", false, err
	}
	err := body(r, &w)
	return out.out.String(), res.KeepAlive && r.Buffered() == 0, err
}

func TestWriterRefusesWhatCannotBeSaid(t *testing.T) {
	for _, f := range []stream.Field{
		{Name: []byte("x"), Value: []byte("a\r\nb: c")}, {Name: []byte("x\r\ny"), Value: []byte("1")}, {Name: []byte(""), Value: []byte("1")},
		{Name: []byte("x y"), Value: []byte("1")}, {Name: []byte("x"), Value: []byte("\x00")}, {Name: []byte("x:"), Value: []byte("1")},
	} {
		var w Writer
		c := new(Conn)
		c.Init(&script{})
		w.Init(c, pool)
		if err := w.Request(&stream.Request{Method: []byte("GET"), Target: []byte("/"), Major: 1, Minor: 1, Fields: []stream.Field{f}}, RequestOptions{}); err != ErrField {
			t.Errorf("request with field %q: %q: %v", f.Name, f.Value, err)
		}
		if _, err := w.Response(&stream.Response{Status: 200, Fields: []stream.Field{f}}, ResponseOptions{}); err != ErrField {
			t.Errorf("response with field %q: %q: %v", f.Name, f.Value, err)
		}
		if w.Pending() != 0 {
			t.Errorf("field %q left %d bytes behind", f.Name, w.Pending())
		}
	}
	var w Writer
	w.Init(new(Conn), pool)
	for _, target := range []string{"", "/a b", "/\r\nX: y", "/\x7f"} {
		if err := w.Request(&stream.Request{Method: []byte("GET"), Target: []byte(target)}, RequestOptions{}); err != ErrField {
			t.Errorf("target %q: %v", target, err)
		}
	}
	if err := w.Request(&stream.Request{Method: []byte("GET"), Target: bytes.Repeat([]byte("a"), 20000)}, RequestOptions{}); err != ErrNoRoom {
		t.Errorf("a head larger than the buffer: %v", err)
	}
}

func TestWriterSkipsFramingFieldsOfRules(t *testing.T) {
	out := &script{}
	c := new(Conn)
	c.Init(out)
	var w Writer
	w.Init(c, pool)
	res := stream.Response{Status: 200, Reason: []byte("OK"), Major: 1, Minor: 1, Body: stream.BodyLength, Length: 1, Fields: []stream.Field{
		{Name: []byte("Content-Length"), Value: []byte("7")}, {Name: []byte("transfer-encoding"), Value: []byte("chunked")},
		{Name: []byte("connection"), Value: []byte("close")}, {Name: []byte("X-A"), Value: []byte("b")}}}
	closes, err := w.Response(&res, ResponseOptions{})
	if err != nil || !closes {
		t.Fatalf("closes %v, %v", closes, err)
	}
	if err := w.Body([]byte("xy")); err != ErrBodyLength {
		t.Errorf("a body longer than announced: %v", err)
	}
	w.Body([]byte("x"))
	w.End(nil)
	w.Flush()
	if want := "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-a: b\r\nconnection: close\r\n\r\nx"; out.out.String() != want {
		t.Errorf("got %q, want %q", out.out.String(), want)
	}
}

// raceDetector is set in builds with -race, where pools forget on purpose.
var raceDetector bool

func TestMovingMessagesCostsNoMemory(t *testing.T) {
	if raceDetector {
		t.Skip("pools drop what they are given under -race")
	}
	const in = "POST /path HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabc"
	src := strings.NewReader(in)
	out := &script{r: src}
	c := new(Conn)
	c.Init(out)
	var r Reader
	var w Writer
	var req stream.Request
	r.Init(c, pool)
	w.Init(c, pool)
	lim := Limits{}
	allocs := testing.AllocsPerRun(100, func() {
		src.Reset(in)
		out.out.Reset()
		if r.Wait() != nil || r.ReadRequest(&req, &lim) != nil || w.Request(&req, RequestOptions{}) != nil || body(&r, &w) != nil {
			t.Fatal("the request did not pass")
		}
	})
	if allocs > 0 {
		t.Errorf("allocations per request: %v", allocs)
	}
	if r.Buffered() != 0 {
		t.Errorf("%d bytes left", r.Buffered())
	}
}

// hooked calls back at every read.
type hooked struct {
	script
	onRead func(n int)
}

func (h *hooked) Read(p []byte) (int, error) {
	h.onRead(len(p))
	return h.script.Read(p)
}

func TestWaitingHoldsNoBuffer(t *testing.T) {
	const in = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	var r Reader
	var req stream.Request
	src := strings.NewReader(in)
	waiting, waits := true, 0
	h := &hooked{script: script{r: src}, onRead: func(n int) {
		if waiting {
			waits++
			if n != 1 || r.buf != nil || r.head != nil {
				t.Errorf("waiting with %d bytes of room and a buffer %v", n, r.buf != nil)
			}
			waiting = false
		}
	}}
	c := new(Conn)
	c.Init(h)
	r.Init(c, pool)
	for range 3 {
		waiting = true
		src.Reset(in)
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadRequest(&req, &Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	if waits != 3 {
		t.Errorf("waited %d times, want 3", waits)
	}
}
