package proxy

import (
	"strings"
	"testing"
	"time"
)

func TestRetryOn(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	const seen = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
	for _, tc := range []struct {
		name    string
		first   string // what the server says to the first request before it closes
		hang    bool   // it says nothing instead
		on      *RetryOn
		retries int
		status  string
		conns   int
	}{
		{"empty", "", false, &RetryOn{Empty: true}, 1, "200", 2},
		{"half a head", "HTTP/1.1 200 OK\r\nA: b", false, &RetryOn{Empty: true}, 1, "200", 2},
		{"empty, not asked for", "", false, &RetryOn{Junk: true, Timeout: true}, 1, "502", 1},
		{"no retry-on", "", false, nil, 1, "502", 1},
		{"no retries left", "", false, &RetryOn{Empty: true}, 0, "502", 1},
		{"junk", "nonsense\r\n\r\n", false, &RetryOn{Junk: true}, 1, "200", 2},
		{"status", "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc", false, &RetryOn{Statuses: map[int]bool{503: true}}, 1, "200", 2},
		{"other status", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, &RetryOn{Statuses: map[int]bool{503: true}}, 1, "500", 1},
		{"timeout", "", true, &RetryOn{Timeout: true}, 1, "200", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make(chan string, 2)
			srv := serve(t, func(p *peer, n int) {
				got <- p.take(len(seen))
				if n == 1 {
					if tc.hang {
						p.head() // until we give up
					}
					p.send(tc.first)
					return
				}
				p.send(okResponse)
				p.head()
			})
			e := newEdge(t, srv.addr, func(o *setup) {
				o.b.RetryOn, o.s.Retries = tc.on, tc.retries
				o.b.Timeouts.Server = 300 * time.Millisecond
				o.format = "%ST %rc"
			})
			c := e.dial()
			if out := c.send(post).head(); !strings.HasPrefix(out, "HTTP/1.1 "+tc.status+" ") {
				t.Fatalf("answer %q, want status %s", out, tc.status)
			}
			if n := srv.conns(); n != tc.conns {
				t.Errorf("the server was asked %d times, want %d", n, tc.conns)
			}
			for range tc.conns {
				if h := <-got; h != seen {
					t.Errorf("the server saw %q, want %q", h, seen)
				}
			}
			if l, want := e.logged(), tc.status+" "+string(rune('0'+tc.conns-1)); l != want {
				t.Errorf("log line %q, want %q", l, want)
			}
		})
	}
}

func TestRetryOnNeedsTheWholeRequest(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.head() })
	e := newEdge(t, srv.addr, func(o *setup) { o.b.RetryOn, o.s.Retries = &RetryOn{Empty: true}, 3 })
	c := e.dial()
	if out := c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel").head(); !strings.HasPrefix(out, "HTTP/1.1 502 ") {
		t.Errorf("answer %q, want 502", out)
	}
	if n := srv.conns(); n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
}

func TestARuleKeepsARequestFromBeingSentAgain(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.head() })
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.RetryOn, o.s.Retries = &RetryOn{Empty: true}, 3
		o.f.HTTPRequest = requestRules(t, "disable-l7-retry")
	})
	c := e.dial()
	if out := c.send(plainGet).head(); !strings.HasPrefix(out, "HTTP/1.1 502 ") {
		t.Errorf("answer %q, want 502", out)
	}
	if n := srv.conns(); n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
}
