package proxy

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestServerFaults: whatever a server does wrong, the client gets the status HAProxy gives, and the next request, which another
// client sends, gets an answer of its own on a connection that the fault did not touch.
func TestServerFaults(t *testing.T) {
	const reset = "reset"
	for _, tc := range []struct {
		name   string
		answer string // what the server sends before it closes
		ending string // reset: with a RST
		out    string // how the answer to the client begins
		log    string
	}{
		{"closes without a word", "", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 SH--"},
		{"resets without a word", "", reset, "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 SH--"},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 SH--"},
		{"half a head, reset", "HTTP/1.1 200 OK\r\nContent-Le", reset, "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 SH--"},
		{"garbage", "\x00\x01\x02 hello\r\n\r\n", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"head too large", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 20000) + "\r\n\r\n", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"too many fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 150) + "\r\n", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"switches unasked", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nx", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"endless interim responses", strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 100), "", "HTTP/1.1 103 E\r\n\r\n", "PH--"},
		{"a bad chunk at once", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX", "", "HTTP/1.1 502 Bad Gateway\r\n", "be/s 502 0 PH--"},
		{"body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nok", "be/s 200 59 SD--"},
		{"body cut by reset", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", reset, "HTTP/1.1 ", "be/s "},
		{"chunks cut short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nok\r\n", "be/s 200 73 SD--"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := serve(t, func(p *peer, n int) {
				p.head()
				if n > 1 {
					p.send(okResponse).head()
					return
				}
				p.send(tc.answer)
				if tc.ending == reset {
					p.Conn.(*net.TCPConn).SetLinger(0)
				}
			})
			e := newEdge(t, srv.addr, nil)
			c := e.dial().send("GET /bad HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if out := c.rest(); !strings.HasPrefix(out, tc.out) {
				t.Errorf("got %.200q, want %q...", out, tc.out)
			} else if strings.HasSuffix(out, "0\r\n\r\n") {
				t.Errorf("a cut body was given an end: %q", out)
			}
			if l := e.logged(); !strings.Contains(l, tc.log) {
				t.Errorf("log %q, want %q", l, tc.log)
			}
			if out := e.dial().send("GET /good HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
				t.Errorf("the next request got %q", out)
			}
		})
	}
}

func TestServerThatKeepsSendingIsNotPooled(t *testing.T) { // threat H17
	srv := serve(t, func(p *peer, n int) {
		for p.head() != "" {
			if n == 1 {
				p.send(okResponse + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			} else {
				p.send(okResponse)
			}
		}
	})
	e := newEdge(t, srv.addr, nil)
	for i := range 3 {
		if out := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
			t.Fatalf("request %d got %q", i, out)
		}
		e.logged()
	}
	if n := srv.conns(); n < 2 {
		t.Errorf("the server connection with bytes behind its response was used again")
	}
}

func TestServerHangsIn(t *testing.T) {
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		if h := p.head(); strings.HasPrefix(h, "POST") {
			<-hold
			return
		}
		p.send(okResponse)
	})
	t.Cleanup(func() { close(hold) })
	e := newEdge(t, srv.addr, func(o *setup) { o.b.Timeouts.Server = 80 * time.Millisecond })
	c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 504 Gateway Time-out\r\n") {
		t.Errorf("got %q", h)
	}
	c.take(92)
	// The client connection survives its server.
	if out := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
		t.Errorf("next answer %q", out)
	}
}
