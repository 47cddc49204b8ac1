package proxy

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/rule"
)

// listenRules compiles rules of a backend that also serves as a frontend, where every action is allowed.
func listenRules(t testing.TB, response bool, lines ...string) *rule.Set {
	c, r := rules(t, lines...)
	c.Kind = "listen"
	if response {
		return c.HTTPResponse(r, c.ACLs(nil))
	}
	return c.HTTPRequest(r, c.ACLs(nil))
}

func TestRulesWaitForTheBodyTheyLookAt(t *testing.T) {
	got := make(chan string, 10)
	srv := serve(t, func(p *peer, _ int) {
		h := p.head()
		got <- h
		if strings.Contains(h, "content-length: ") {
			p.take(int(h[strings.Index(h, "content-length: ")+16] - '0'))
		} else if strings.Contains(h, "chunked") {
			for body := ""; !strings.HasSuffix(body, "0\r\n\r\n"); {
				body += p.take(1)
			}
		}
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.HTTPRequest = listenRules(t, false, "wait-for-body time 10s at-least 3 if { path /some }", "wait-for-body time 10s unless { path /some }",
			"set-header x-body %[req.body,hex]-%[req.body_len]-%[req.body_size]-%[req.body_param(b)]")
	})
	for _, tc := range []struct{ first, then, want string }{
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\na=", "1&b=2", "x-body: 613D3126623D32-7-7-2\r\n"},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na=\r\n5\r\n1&b", "=2\r\n0\r\n\r\n", "x-body: 613D3126623D32-7-7-2\r\n"},
		{"POST /some HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\na=1", "&b=2", "x-body: 613D31-3-7-\r\n"},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "x-body: -0-0-\r\n"},
		{"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "b=9", "x-body: 623D39-3-3-9\r\n"},
	} {
		c := e.dial().send(tc.first)
		if strings.Contains(tc.first, "Expect") {
			if h := c.head(); h != "HTTP/1.1 100 Continue\r\n\r\n" {
				t.Errorf("interim response %q", h)
			}
		}
		if strings.Contains(tc.first, "/some") {
			if h := <-got; !strings.Contains(h, tc.want) {
				t.Errorf("%q: the server saw %q, want %q", tc.first, h, tc.want)
			}
			c.send(tc.then).head()
			continue
		}
		c.send(tc.then)
		if h := <-got; !strings.Contains(h, tc.want) || strings.Contains(h, "expect:") {
			t.Errorf("%q: the server saw %q, want %q", tc.first, h, tc.want)
		}
		if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 200 ") {
			t.Errorf("got %q", h)
		}
	}
}

func TestBodiesThatDoNotComeInTime(t *testing.T) {
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.HTTPRequest = listenRules(t, false, "wait-for-body time 30ms")
		o.b.HTTPResponse = listenRules(t, true, "wait-for-body time 30ms")
	})
	for _, tc := range []struct{ request, out, line string }{
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 408 ", "fe fe/<NOSRV> 408 0 cR--"},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 504 ", "fe be/s 504 0 sH--"},
	} {
		c := e.dial()
		if out := c.send(tc.request).head(); !strings.HasPrefix(out, tc.out) {
			t.Errorf("%q: got %q", tc.request, out)
		}
		if l := e.logged(); !strings.Contains(l, tc.line) {
			t.Errorf("%q: log %q, want %q", tc.request, l, tc.line)
		}
		c.Close()
	}
}

func TestAClientThatLeavesWhileItsBodyIsAwaited(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) { o.b.BufferRequest = true })
	e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").Close()
	if l := e.logged(); !strings.Contains(l, "fe be/<NOSRV> 400 0 CR--") {
		t.Errorf("log %q", l)
	}
	if srv.conns() != 0 {
		t.Error("the server was bothered")
	}
}

func TestSetTimeoutReplacesWhatWasConfigured(t *testing.T) {
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		if strings.HasPrefix(p.head(), "GET /part") {
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		}
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	for _, tc := range []struct{ request, response, send, out, line string }{
		{"set-timeout server 40ms", "", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 504 ", "be/s 504 0 sH--"},
		{"set-timeout server int(40)", "", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 504 ", "be/s 504 0 sH--"},
		{"set-log-level info", "set-timeout server 40ms", "GET /part HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ", "be/s 200 61 sD--"},
		{"set-timeout client 40ms", "", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 400 ", "be/s 400 0 cH--"},
		{"set-timeout tarpit 1ms|tarpit", "", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 500 ", "fe/<NOSRV> 500 0 PT--"},
	} {
		e := newEdge(t, srv.addr, func(o *setup) {
			o.f.Timeouts = Timeouts{Client: time.Hour, Tarpit: time.Hour}
			o.b.Timeouts.Server = time.Hour
			o.f.HTTPRequest = listenRules(t, false, strings.Split(tc.request, "|")...)
			if tc.response != "" {
				o.f.HTTPResponse = listenRules(t, true, tc.response)
			}
		})
		c := e.dial()
		if out := c.send(tc.send).rest(); !strings.HasPrefix(out, tc.out) {
			t.Errorf("%s: got %q", tc.request, out)
		}
		if l := e.logged(); !strings.Contains(l, tc.line) {
			t.Errorf("%s: log %q, want %q", tc.request, l, tc.line)
		}
		c.Close()
	}
}

func TestTimeoutsAreTold(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Timeouts = Timeouts{Client: 61 * time.Second, Tarpit: 62 * time.Second}
		o.b.Timeouts = Timeouts{Server: 63 * time.Second, Tunnel: 64 * time.Second, Connect: 65 * time.Second, Queue: 66 * time.Second, Tarpit: 67 * time.Second}
		o.f.HTTPRequest = listenRules(t, false, "set-timeout server 5s", "set-timeout client 7s")
		o.f.HTTPResponse = listenRules(t, true, "set-header x-t %[cur_client_timeout]/%[fe_client_timeout]/%[fe_tarpit_timeout]/%[cur_server_timeout]/%[be_server_timeout]/"+
			"%[cur_tunnel_timeout]/%[be_tunnel_timeout]/%[be_connect_timeout]/%[be_queue_timeout]/%[be_tarpit_timeout]/%[cur_tarpit_timeout]")
	})
	if h := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head(); !strings.Contains(h, "x-t: 7000/61000/62000/5000/63000/64000/64000/65000/66000/67000/62000\r\n") {
		t.Errorf("got %q", h)
	}
}

func TestEarlyHintsOfARowShareOneResponse(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.HTTPRequest = listenRules(t, false, "early-hint Link </a>", "early-hint Link <%[path]>", "set-header a b", "early-hint X-Three 3", "early-hint X-Four 4 if { path /no }")
	})
	want := "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nlink: </p>\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-three: 3\r\n\r\n" + okOut
	if out := e.dial().send("GET /p HTTP/1.1\r\nHost: x\r\n\r\n").take(len(want)); out != want {
		t.Errorf("got %q\nwant %q", out, want)
	}
	if out := e.dial().send("GET /p HTTP/1.0\r\n\r\n").rest(); strings.Contains(out, "103") {
		t.Errorf("an HTTP/1.0 client got %q", out)
	}
}

func TestAPauseEndsAndTheRequestGoesOn(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.HTTPRequest = listenRules(t, false, "pause 5ms", "pause hdr(x-none)", "pause int(3)")
		o.f.HTTPResponse = listenRules(t, true, "pause 1ms")
	})
	c := e.dial()
	for range 2 {
		if out := c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").take(len(okOut)); out != okOut {
			t.Errorf("got %q", out)
		}
	}
}

func TestRewritesNeedRoom(t *testing.T) {
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.BufSize, o.f.MaxRewrite = 2048, 128
		o.f.BufferRequest = true
		o.f.HTTPRequest = listenRules(t, false, "strict-mode off if { path /lax }", "set-header x-a "+strings.Repeat("a", 70), "set-header x-b "+strings.Repeat("b", 70))
	})
	body := strings.Repeat("x", 4000)
	send := func(path string) string {
		return e.dial().send("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n" + body).head()
	}
	if h := send("/strict"); !strings.HasPrefix(h, "HTTP/1.1 500 ") {
		t.Errorf("got %q", h)
	}
	if l := e.logged(); !strings.Contains(l, "500 0 PR--") {
		t.Errorf("log %q", l)
	}
	if h := send("/lax"); !strings.HasPrefix(h, "HTTP/1.1 200 ") {
		t.Errorf("got %q", h)
	}
	if h := <-got; !strings.Contains(h, "x-a: ") || strings.Contains(h, "x-b: ") {
		t.Errorf("the server saw %q", h)
	}
}

func TestTheRequestLineIsLoggedWithSingleSpaces(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, nil)
	e.dial().send("GET   /two HTTP/1.1\r\nHost: x\r\n\r\n").head()
	if l := e.logged(); !strings.HasSuffix(l, "\"GET /two HTTP/1.1\"") {
		t.Errorf("log %q", l)
	}
}
