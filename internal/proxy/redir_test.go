package proxy

import (
	"strings"
	"testing"
	"time"
)

// TestServersSendTheirClientsAway has HAProxy 3.4's answers to requests for a server with redir.
func TestServersSendTheirClientsAway(t *testing.T) {
	srv, got := answering(t, okResponse)
	for _, row := range []struct{ redir, request, want, log string }{
		{"http://img.test", "GET /a?b HTTP/1.1", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\ncache-control: no-cache\r\nlocation: http://img.test/a?b\r\n", "302 0 LC--"},
		{"http://img.test", "HEAD http://x/a HTTP/1.1", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\ncache-control: no-cache\r\nlocation: http://img.test/a\r\n", "302 0 LC--"},
		{"/", "GET /a HTTP/1.1", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\ncache-control: no-cache\r\nlocation: /a\r\n", "302 0 LC--"},
		{"http://img.test", "DELETE /a HTTP/1.1", "HTTP/1.1 200 OK\r\n", "200"},
		{"", "GET /a HTTP/1.1", "HTTP/1.1 200 OK\r\n", "200"},
	} {
		e := newEdge(t, srv.addr, func(o *setup) { o.s.Servers[0].Line.Redir = row.redir })
		out := e.dial().send(row.request + "\r\nHost: x\r\nConnection: close\r\n\r\n").rest()
		want := strings.ReplaceAll(row.want, "content-length: 0\r\ncache-control: no-cache", "cache-control: no-cache\r\ncontent-length: 0")
		if !strings.HasPrefix(out, want) {
			t.Errorf("%s, redir %q: got %q, want %q", row.request, row.redir, out, want)
		}
		if l := e.logged(); !strings.Contains(l, "be/s "+row.log) {
			t.Errorf("%s, redir %q: log %q", row.request, row.redir, l)
		}
		if strings.HasPrefix(row.want, "HTTP/1.1 200") {
			<-got
		}
	}
}

// TestCompressionStopsAtItsRate: a message that begins when the process compresses more than it may passes as it is.
func TestCompressionStopsAtItsRate(t *testing.T) {
	srv, got := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"+strings.Repeat("x", 2000))
	var rate CompressionRate
	rate.Limit.Store(1 << 30)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip"}, Rate: &rate}
		o.f.Compression = &Compression{Rate: &rate}
	})
	ask := func(edge *edge) bool {
		t.Helper()
		out := edge.dial().send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n").rest()
		<-got
		return strings.Contains(out, "content-encoding: gzip\r\n")
	}
	if !ask(e) {
		t.Error("not compressed below the limit")
	}
	if n := rate.In.Max(); n != 2000 {
		t.Errorf("%d bytes counted, want 2000", n)
	}
	var busy CompressionRate
	busy.Limit.Store(1)
	full := newEdge(t, srv.addr, func(o *setup) {
		o.b.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip"}, Rate: &busy}
	})
	for end := time.Now().Add(long); ; { // what is counted fades within two seconds
		busy.In.AddN(time.Now(), 1<<40)
		if !ask(full) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("compressed above the limit")
		}
	}
}
