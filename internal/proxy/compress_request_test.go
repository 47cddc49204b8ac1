package proxy

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// taking is a server that answers each request when it has read all of it.
func taking(t *testing.T, answers ...string) (*server, chan *http.Request, chan string) {
	t.Helper()
	heads, bodies := make(chan *http.Request, 10), make(chan string, 10)
	srv := serve(t, func(p *peer, n int) {
		r, err := http.ReadRequest(bufio.NewReader(p.Conn))
		if err != nil {
			return
		}
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			if in, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Error(err)
		}
		heads <- r
		bodies <- string(data)
		p.send(answers[min(n, len(answers))-1])
	})
	return srv, heads, bodies
}

const closing = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

func TestRequestsAreCompressed(t *testing.T) {
	body := strings.Repeat("all work and no play ", 5000)
	long := "Content-Length: 105000\r\n"
	for _, tc := range []struct {
		name, line, fields, body, want string // want: the server's Content-Encoding
	}{
		{"plain", "POST / HTTP/1.1", long, body, "gzip"},
		{"chunked", "POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", "gzip"},
		{"with the head", "PUT / HTTP/1.1", "Content-Length: 8\r\n", "all work", "gzip"},
		{"any method", "GET / HTTP/1.1", long, body, "gzip"},
		{"HEAD", "HEAD / HTTP/1.1", long, body, ""},
		{"coded already", "POST / HTTP/1.1", long + "Content-Encoding: br\r\n", body, "br"},
		{"short", "POST / HTTP/1.1", "Content-Length: 7\r\n", "all wor", ""},
		{"HTTP/1.0", "POST / HTTP/1.0", long, body, ""},
		{"no body", "POST / HTTP/1.1", "Content-Length: 0\r\n", "", ""},
		{"other type", "POST / HTTP/1.1", long + "Content-Type: image/png\r\n", body, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, heads, bodies := taking(t, closing)
			e := newEdge(t, srv.addr, func(o *setup) {
				o.f.Compression = &Compression{Direction: Requests, Filters: Requests | Responses,
					Request: RequestCompression{Algo: "gzip", MinSize: 8, Types: []string{"text/"}}}
			})
			c := e.dial()
			fields := tc.fields
			if !strings.Contains(fields, "Content-Type") {
				fields += "Content-Type: text/plain\r\n"
			}
			c.send(tc.line + "\r\nHost: x\r\nConnection: close\r\n" + fields + "\r\n" + tc.body)
			r, got := <-heads, <-bodies
			if raw := c.rest(); !strings.HasPrefix(raw, "HTTP/1.1 200") {
				t.Errorf("answered %q", raw)
			}
			want := tc.body
			if tc.name == "chunked" {
				want = "hello"
			}
			if got != want || r.Header.Get("Content-Encoding") != tc.want {
				t.Errorf("%d bytes of %d, %v", len(got), len(want), r.Header)
			}
			if tc.want == "gzip" && (r.ContentLength >= 0 || r.Header.Get("Vary") != "Accept-Encoding") {
				t.Errorf("length %d, %v", r.ContentLength, r.Header)
			}
		})
	}
}

// TestRequestsThatAreSentAgainAreCompressedAgain: retry-on keeps the body as the client sent it.
func TestRequestsThatAreSentAgainAreCompressedAgain(t *testing.T) {
	srv, heads, bodies := taking(t, "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", closing)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.RetryOn = &RetryOn{Statuses: map[int]bool{503: true}}
		o.s.Retries = 1
		o.b.Compression = &Compression{Direction: Requests, Filters: Requests, Level: 9, Request: RequestCompression{Algo: "gzip"}}
	})
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
	if raw := c.rest(); !strings.HasPrefix(raw, "HTTP/1.1 200") {
		t.Errorf("answered %q", raw)
	}
	for range 2 {
		if r, got := <-heads, <-bodies; got != "hello" || len(r.Header["Content-Encoding"]) != 1 || len(r.Header["Vary"]) != 1 {
			t.Errorf("%q, %v", got, r.Header)
		}
	}
}

// TestCompressedUploadIsNotHeldBack: what the client has sent reaches the server before the client sends more.
func TestCompressedUploadIsNotHeldBack(t *testing.T) {
	first, rest := make(chan string, 1), make(chan string, 1)
	srv := serve(t, func(p *peer, _ int) {
		r, err := http.ReadRequest(bufio.NewReader(p.Conn))
		if err != nil {
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		b := make([]byte, 5)
		io.ReadFull(z, b)
		first <- string(b)
		data, _ := io.ReadAll(z)
		rest <- string(data)
		p.send(closing)
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.Compression = &Compression{Direction: Requests, Filters: Requests, Request: RequestCompression{Algo: "gzip"}}
	})
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\nfirst")
	if got := <-first; got != "first" {
		t.Fatalf("got %q", got)
	}
	c.send("second")
	if got := <-rest; got != "second" {
		t.Errorf("got %q", got)
	}
	if raw := c.rest(); !strings.HasPrefix(raw, "HTTP/1.1 200") {
		t.Errorf("answered %q", raw)
	}
}
