package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAnswersAreCompressedAsBothSidesAgree(t *testing.T) {
	body := strings.Repeat("all work and no play ", 5000)
	for _, tc := range []struct {
		name, accept, fields, status string
		squeezed                     bool
		want                         string // a field of the answer
	}{
		{"accepted", "gzip", "", "200 OK", true, "vary: Accept-Encoding"},
		{"by weight", "br;q=1, gzip;q=0.5", "", "200 OK", true, ""},
		{"refused by weight", "gzip;q=0", "", "200 OK", false, ""},
		{"any", "*", "", "200 OK", true, ""},
		{"not accepted", "br", "", "200 OK", false, ""},
		{"strong tag", "gzip", "ETag: \"a\"\r\n", "200 OK", true, `etag: W/"a"`},
		{"weak tag", "gzip", "ETag: W/\"a\"\r\n", "200 OK", true, `etag: W/"a"`},
		{"bad tag", "gzip", "ETag: a\r\n", "200 OK", false, "etag: a"},
		{"other vary", "gzip", "Vary: Cookie\r\n", "200 OK", true, "vary: Cookie,Accept-Encoding"},
		{"empty vary", "gzip", "Vary:\r\n", "200 OK", true, "vary: Accept-Encoding\r\n"},
		{"same vary", "gzip", "Vary: accept-encoding\r\n", "200 OK", true, "vary: accept-encoding\r\n"},
		{"coded already", "gzip", "Content-Encoding: br\r\n", "200 OK", false, "content-encoding: br"},
		{"no-transform", "gzip", "Cache-Control: public, no-transform\r\n", "200 OK", false, ""},
		{"status", "gzip", "", "404 No", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, got := answering(t, fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s", tc.status, tc.fields, len(body), body))
			e := newEdge(t, srv.addr, func(o *setup) {
				o.b.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip"}, Types: []string{"text/"}}
			})
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: " + tc.accept + "\r\n\r\n")
			raw := c.rest()
			<-got
			res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if squeezed := res.Header.Get("Content-Encoding") == "gzip"; squeezed != tc.squeezed {
				t.Fatalf("compressed %v, want %v: %q", squeezed, tc.squeezed, raw[:min(300, len(raw))])
			}
			if tc.squeezed {
				z, err := gzip.NewReader(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if len(data) > len(body)/10 {
					t.Errorf("%d bytes became %d", len(body), len(data))
				}
				if data, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			if string(data) != body {
				t.Errorf("the body changed: %d bytes, want %d", len(data), len(body))
			}
			if !strings.Contains(raw, tc.want) {
				t.Errorf("no %q in %q", tc.want, raw[:min(300, len(raw))])
			}
		})
	}
}

// TestCompressedStreamIsNotHeldBack: what the server has sent reaches the client before the server sends more.
func TestCompressedStreamIsNotHeldBack(t *testing.T) {
	more := make(chan bool)
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
		<-more
		p.send("6\r\nsecond\r\n0\r\n\r\n")
		p.head()
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip"}}
	})
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c.Conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(z, first); err != nil || string(first) != "first" {
		t.Fatalf("got %q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(z); err != nil || string(rest) != "second" {
		t.Errorf("got %q, %v", rest, err)
	}
}

// TestRulesKnowWhatIsCompressed: res.comp and res.comp_algo tell before the response rules run, and nothing that those change counts.
func TestRulesKnowWhatIsCompressed(t *testing.T) {
	for _, tc := range []struct {
		name, accept, fields, want string
		squeezed                   bool
	}{
		{"compressed", "deflate", "", "x-comp: 1,deflate\r\n", true},
		{"not accepted", "br", "", "x-comp: 0,\r\n", false},
		{"coded already", "gzip", "Content-Encoding: br\r\n", "x-comp: 0,\r\n", false},
		{"identity", "identity", "", "x-comp: 1,identity\r\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, got := answering(t, "HTTP/1.1 200 OK\r\n"+tc.fields+"Content-Length: 5\r\n\r\nhello")
			e := newEdge(t, srv.addr, func(o *setup) {
				o.b.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip", "deflate", "identity"}}
				if tc.name == "not accepted" {
					o.b.Compression.Algos = []string{"gzip"}
				}
				c, response := rules(t, "set-header x-comp %[res.comp],%[res.comp_algo]", "set-header content-type multipart/mixed")
				o.f.HTTPResponse = c.HTTPResponse(response, nil)
				_, after := rules(t, "set-header x-after %[res.comp]")
				o.f.AfterResponse = c.HTTPAfterResponse(after, nil)
			})
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: " + tc.accept + "\r\n\r\n")
			raw := c.rest()
			<-got
			if !strings.Contains(raw, tc.want) || !strings.Contains(raw, "x-after: "+map[bool]string{true: "1", false: "0"}[tc.squeezed]+"\r\n") {
				t.Errorf("no %q in %q", tc.want, raw)
			}
			if strings.Contains(raw, "transfer-encoding: chunked") != tc.squeezed {
				t.Errorf("compressed, want %v: %q", tc.squeezed, raw)
			}
		})
	}
}
