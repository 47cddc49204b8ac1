package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/rule"
)

func TestRequestsOfOneConnectionShareOneServerConnection(t *testing.T) {
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, nil)
	c := e.dial()
	for i := range 3 {
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		if out := c.take(len(okOut)); out != okOut {
			t.Fatalf("response %d: %q", i, out)
		}
		if h, want := <-got, fmt.Sprintf("GET /%d HTTP/1.1\r\nhost: x\r\n\r\n", i); h != want {
			t.Fatalf("request %d: got %q, want %q", i, h, want)
		}
		if l := e.logged(); !strings.HasPrefix(l, "127.0.0.1 fe be/s 200") || !strings.Contains(l, "---- \"GET /") {
			t.Errorf("log line %q", l)
		}
	}
	if n := srv.conns(); n != 1 {
		t.Errorf("server connections: got %d, want 1", n)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		for {
			h := p.head()
			path := strings.SplitN(h, " ", 3)
			if len(path) < 3 {
				return
			}
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path[1]), path[1]))
		}
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial()
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "GET /n%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	c.send(all.String())
	for i := range 20 {
		want := fmt.Sprintf("/n%d", i)
		c.head()
		if got := c.take(len(want)); got != want {
			t.Fatalf("answer %d: got %q, want %q", i, got, want)
		}
	}
}

func TestBodiesPassInBothDirections(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20000) // 320 kB, many buffers
	for _, tc := range []struct {
		name, request, seen, response, out string
	}{
		{"length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 320000\r\n\r\n" + big,
			"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 320000\r\n\r\n" + big,
			"HTTP/1.1 200 OK\r\nContent-Length: 320000\r\n\r\n" + big, "HTTP/1.1 200 OK\r\ncontent-length: 320000\r\n\r\n" + big},
		{"chunked, with extension and trailer",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: v\r\nHost: evil\r\n\r\n",
			"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: v\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-R: w\r\n\r\n",
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-r: w\r\n\r\n"},
		{"empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
			"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"head", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"},
		{"not modified", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: a\r\n\r\n"},
		{"interim responses", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen := make(chan string, 2)
			srv := serve(t, func(p *peer, _ int) {
				for {
					s := p.take(len(tc.seen))
					if len(s) < len(tc.seen) {
						return
					}
					seen <- s
					p.send(tc.response)
				}
			})
			e := newEdge(t, srv.addr, nil)
			c := e.dial()
			for range 2 { // the second exchange shows that the first left both connections in order
				sent := make(chan struct{})
				go func() { defer close(sent); c.send(tc.request) }()
				if out := c.take(len(tc.out)); out != tc.out {
					t.Fatalf("client got %.200q, want %.200q", out, tc.out)
				}
				if s := <-seen; s != tc.seen {
					t.Fatalf("server got %.200q, want %.200q", s, tc.seen)
				}
				<-sent
			}
			if n := srv.conns(); n != 1 {
				t.Errorf("server connections: got %d, want 1", n)
			}
		})
	}
}

func TestOldClientsGetWhatTheyUnderstand(t *testing.T) {
	for _, tc := range []struct{ name, request, response, out string }{
		{"chunks become a body until the end", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"},
		{"keep-alive is said aloud, then the client closes", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", okResponse,
			"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"},
		{"interim responses are kept from them", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 103 Early\r\n\r\n" + okResponse,
			"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"},
		{"a server of version 1.0", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := serve(t, func(p *peer, _ int) {
				for {
					if h := p.head(); !strings.HasSuffix(h, "\r\n\r\n") {
						return
					}
					p.send(tc.response)
					if strings.HasPrefix(tc.response, "HTTP/1.0") {
						return
					}
				}
			})
			e := newEdge(t, srv.addr, nil)
			if out := e.dial().send(tc.request).rest(); out != tc.out {
				t.Errorf("got %q, want %q", out, tc.out)
			}
		})
	}
}

func TestRulesAnswerInTheServersStead(t *testing.T) {
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.MonitorURI = "/alive"
		o.f.Challenge = func(token []byte) []byte {
			if string(token) == "ours" {
				return []byte("ours.proof")
			}
			return nil
		}
		o.f.HTTPRequest = requestRules(t, "deny if { path /deny }", "deny if { path_beg /.well-known }",
			`return status 200 content-type text/plain string "hi" if { path /hi }`, "redirect location /to if { path /from }", "reject if { path /bye }")
	})
	for _, tc := range []struct{ request, out, log string }{
		{"GET /alive HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 58\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n<html><body><h1>200 OK</h1>\nService ready.\n</body></html>\n", ""},
		{"GET /.well-known/acme-challenge/ours HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncontent-type: application/octet-stream\r\ncache-control: no-cache\r\n\r\nours.proof", "200 0 LR--"},
		{"GET /.well-known/acme-challenge/other HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403 Forbidden\r\ncontent-length: 93\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n", "403 0 PR--"},
		{"GET /hi HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nhi", "200 0 LR--"},
		{"HEAD /hi HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n", "200 0 LR--"},
		{"POST /hi HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nhi", "200 0 LR--"},
		{"GET /from HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: /to\r\ncache-control: no-cache\r\n\r\n", "302 0 LR--"},
	} {
		// All on one connection: our own answers keep it.
		c := e.dial()
		for range 2 {
			if out := c.send(tc.request).take(len(tc.out)); out != tc.out {
				t.Errorf("%q:\ngot  %q\nwant %q", tc.request, out, tc.out)
			}
			if tc.log != "" {
				if l := e.logged(); !strings.Contains(l, "fe fe/<NOSRV> "+tc.log) {
					t.Errorf("%q logged %q, want %q", tc.request, l, tc.log)
				}
			}
		}
		c.Close()
	}
	if out := e.dial().send("GET /bye HTTP/1.1\r\nHost: x\r\n\r\n").rest(); out != "" {
		t.Errorf("a rejected request was answered: %q", out)
	}
	if len(got) != 0 {
		t.Errorf("the server saw %q", <-got)
	}
}

func TestResponseRuleReplacesTheAnswer(t *testing.T) {
	srv, _ := answering(t, "HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: 2\r\n\r\nok")
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.HTTPResponse = responseRules(t, "deny status 502 if { res.hdr(x-secret) -m found }")
	})
	c := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 502 ") {
		t.Errorf("got %q", h)
	}
	if l := e.logged(); !strings.Contains(l, "be/s 502 0 PH--") {
		t.Errorf("log %q", l)
	}
}

func TestForwardForAppendsBehindTheClientsOwn(t *testing.T) {
	for _, tc := range []struct {
		ff       ForwardFor
		request  string
		expected string
	}{
		{ForwardFor{}, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 127.0.0.1\r\n\r\n"},
		{ForwardFor{IfNone: true}, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 1.2.3.4\r\n\r\n"},
		{ForwardFor{Header: "x-client"}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-client: 127.0.0.1\r\n\r\n"},
		{ForwardFor{Except: netip.MustParsePrefix("127.0.0.0/8")}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"},
	} {
		srv, got := answering(t, okResponse)
		e := newEdge(t, srv.addr, func(o *setup) { o.f.ForwardFor = &tc.ff })
		e.dial().send(tc.request).take(len(okOut))
		if h := <-got; h != tc.expected {
			t.Errorf("%+v: got %q, want %q", tc.ff, h, tc.expected)
		}
	}
}

func TestUpgradeBecomesATunnelAndIsNeverShared(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		h := p.head()
		if !strings.Contains(h, "connection: upgrade\r\nupgrade: websocket\r\n") {
			p.send("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
			return
		}
		p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst")
		p.send("echo " + p.take(4))
	})
	for _, secure := range []bool{false, true} {
		e := newEdge(t, srv.addr, func(o *setup) {
			if secure {
				o.tls = selfSigned(t)
			}
		})
		c := e.dial()
		if secure {
			c = newPeer(t, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}))
		}
		c.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: z\r\n\r\n")
		want := "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: y\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nfirst"
		if out := c.take(len(want)); out != want {
			t.Fatalf("tls %v: got %q, want %q", secure, out, want)
		}
		if out := c.send("ping").rest(); out != "echo ping" {
			t.Errorf("tls %v: through the tunnel: %q", secure, out)
		}
		c.Close()
		if l := e.logged(); !strings.Contains(l, "be/s 101 ") || !strings.Contains(l, "----") {
			t.Errorf("log %q", l)
		}
	}
	if n := srv.conns(); n != 2 {
		t.Errorf("server connections: got %d, want one per upgrade", n)
	}
}

// A 101 that a rule refuses makes no tunnel: the client gets the rule's answer and nothing of the server's.
func TestRulesMayRefuseAnUpgrade(t *testing.T) {
	for rule, want := range map[string]string{
		"deny deny_status 410 if { status 101 }":                "HTTP/1.1 410 ",
		"return status 299 content-type a/b string no":          "HTTP/1.1 299 ",
		"redirect location /other if { status 101 }":            "HTTP/1.1 302 ",
		"deny if { res.hdr(sec-websocket-accept) -m found }":    "HTTP/1.1 502 ",
		"deny if { status 101 } { req.hdr(upgrade) -m str h2 }": "HTTP/1.1 101 ",
	} {
		srv := serve(t, func(p *peer, _ int) {
			p.head()
			p.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst")
			p.Close()
		})
		e := newEdge(t, srv.addr, func(o *setup) { o.f.HTTPResponse = responseRules(t, rule) })
		c := e.dial()
		out := c.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: z\r\n\r\n").rest()
		c.Close() // a tunnel is logged when both sides have ended
		tunnel := strings.HasPrefix(want, "HTTP/1.1 101")
		if !strings.HasPrefix(out, want) || strings.Contains(out, "first") != tunnel {
			t.Errorf("%s: got %q, want %q", rule, out, want)
		}
		if l := e.logged(); !tunnel && strings.Contains(l, " 101 ") {
			t.Errorf("%s: log %q", rule, l)
		}
	}
}

func TestKeepAliveOverTLS(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) { o.tls = selfSigned(t) })
	c := newPeer(t, tls.Client(e.dial().Conn, &tls.Config{InsecureSkipVerify: true}))
	for i := range 5 {
		if out := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
			t.Fatalf("response %d: %q", i, out)
		}
	}
}

func TestSoftStopFinishesTheRequestAndClosesIdleConnections(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		for {
			h := p.head()
			if strings.HasPrefix(h, "GET /slow") {
				close(asked)
				<-release
			} else if h == "" {
				return
			}
			p.send(okResponse)
		}
	})
	e := newEdge(t, srv.addr, nil)
	idle, busy := e.dial(), e.dial()
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut))
	busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	e.stop()
	if out := idle.rest(); out != "" {
		t.Errorf("idle connection got %q", out)
	}
	close(release)
	want := "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
	if out := busy.rest(); out != want {
		t.Errorf("busy connection got %q, want %q", out, want)
	}
}

func TestNextRequestSeesTheNewGeneration(t *testing.T) {
	srv, _ := answering(t, okResponse)
	var first FrontendOptions
	e := newEdge(t, srv.addr, func(o *setup) {})
	first = e.handle.Frontend().o
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut))
	first.HTTPRequest = requestRules(t, "return status 418")
	e.handle.Swap(NewFrontend(first))
	if h := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head(); !strings.HasPrefix(h, "HTTP/1.1 418 ") {
		t.Errorf("after the swap: %q", h)
	}
	e.handle.Close()
	if out := c.rest(); out != "" {
		t.Errorf("after the removal: %q", out)
	}
	if e.handle.Conns() != 0 {
		if out := e.dial().rest(); out != "" {
			t.Errorf("a removed frontend answered %q", out)
		}
	}
}

func TestEarlyAnswerAndThenTheRestOfTheBody(t *testing.T) {
	got := make(chan string, 1)
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send(okResponse)
		got <- p.take(10)
		p.head()
		p.send(okResponse)
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if out := c.take(len(okOut)); out != okOut {
		t.Fatalf("early answer: %q", out)
	}
	c.send("defghij" + "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if b := <-got; b != "abcdefghij" {
		t.Errorf("body %q", b)
	}
	if out := c.take(len(okOut)); out != okOut {
		t.Errorf("next answer: %q", out)
	}
}

func TestExpectContinuePassesBothWays(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		if h := p.head(); !strings.Contains(h, "expect: 100-continue\r\n") {
			return
		}
		p.send("HTTP/1.1 100 Continue\r\n\r\n")
		if p.take(3) == "abc" {
			p.send(okResponse)
		}
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if h := c.head(); h != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q", h)
	}
	if out := c.send("abc").take(len(okOut)); out != okOut {
		t.Errorf("got %q", out)
	}
}

func TestStaleConnectionIsRetriedOnce(t *testing.T) {
	srv := serve(t, func(p *peer, n int) {
		p.head()
		if n == 1 {
			p.send(okResponse)
			p.head() // the second request arrives and dies
			return
		}
		p.send(okResponse)
		p.head()
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial()
	for i := range 2 {
		if out := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
			t.Fatalf("request %d: %q", i, out)
		}
	}
	if n := srv.conns(); n != 2 {
		t.Errorf("server connections: got %d, want 2", n)
	}
}

func TestTimeouts(t *testing.T) {
	const soon = 60 * time.Millisecond
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		h := p.head()
		if strings.HasPrefix(h, "GET /part") {
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		}
		if strings.HasPrefix(h, "GET /up") {
			p.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		}
		if strings.HasPrefix(h, "GET /ok") {
			p.send(okResponse)
		}
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	for _, tc := range []struct {
		name      string
		set       func(f, b *Timeouts)
		send      string
		out, line string
	}{
		{"http-request, nothing sent", func(f, b *Timeouts) { f.HTTPRequest = soon }, "", "HTTP/1.1 408 ", "fe fe/<NOSRV> 408 0 cR-- \"<BADREQ>\""},
		{"http-request, half a head", func(f, b *Timeouts) { f.HTTPRequest = soon }, "GET / HT", "HTTP/1.1 408 ", "408 0 cR-- \"<BADREQ>\""},
		{"http-keep-alive", func(f, b *Timeouts) { f.KeepAlive = soon }, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n", okOut, "200 40 ----"},
		{"server, no head", func(f, b *Timeouts) { b.Server = soon; f.KeepAlive = soon }, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 504 ", "be/s 504 0 sH--"},
		{"server, half a body", func(f, b *Timeouts) { b.Server = soon }, "GET /part HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", "be/s 200 42 sD--"},
		{"client, half a body", func(f, b *Timeouts) { f.Client = soon }, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\npart", "HTTP/1.1 400 ", "be/s 400 0 cH--"},
		{"tunnel", func(f, b *Timeouts) { b.Tunnel = soon }, "GET /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n", "HTTP/1.1 101 S\r\n", "be/s 101 53 cD--"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEdge(t, srv.addr, func(o *setup) { tc.set(&o.f.Timeouts, &o.b.Timeouts) })
			c := e.dial()
			if out := c.send(tc.send).rest(); !strings.HasPrefix(out, tc.out) {
				t.Errorf("got %q, want %q...", out, tc.out)
			}
			if l := e.logged(); !strings.Contains(l, tc.line) {
				t.Errorf("log %q, want %q", l, tc.line)
			}
		})
	}
}

func TestConnectAndQueueFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	e := newEdge(t, closed.Addr().String(), nil)
	c := e.dial()
	for range 2 { // the client connection lives on
		h := c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head()
		if !strings.HasPrefix(h, "HTTP/1.1 503 Service Unavailable\r\n") {
			t.Fatalf("got %q", h)
		}
		c.take(107)
		if l := e.logged(); !strings.Contains(l, "be/s 503 0 SC--") {
			t.Errorf("log %q", l)
		}
	}
	e = newEdge(t, closed.Addr().String(), func(o *setup) {
		o.s.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		o.s.ConnectTimeout = 50 * time.Millisecond
	})
	if h := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head(); !strings.HasPrefix(h, "HTTP/1.1 503 ") {
		t.Errorf("connect timeout: %q", h)
	}
	if l := e.logged(); !strings.Contains(l, "503 0 sC--") {
		t.Errorf("connect timeout: log %q", l)
	}
}

func TestClientThatLeavesWhileTheServerWorks(t *testing.T) {
	asked, left := make(chan struct{}, 2), make(chan string, 1)
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		asked <- struct{}{}
		left <- p.rest()
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	c.Close()
	<-left // the server connection was given up
	if l := e.logged(); !strings.Contains(l, "be/s 400 0 CH--") {
		t.Errorf("log %q", l)
	}
	e = newEdge(t, srv.addr, func(o *setup) { o.b.Timeouts.Server = 200 * time.Millisecond; o.b.NoAbortOnClose = true })
	c = e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.Conn.(*net.TCPConn).CloseWrite()
	if out := c.rest(); !strings.HasPrefix(out, "HTTP/1.1 504 ") {
		t.Errorf("no option abortonclose: %q", out)
	}
	<-left
}

func TestClientThatLeavesBeforeThereIsAServer(t *testing.T) {
	dialing := make(chan struct{}, 1)
	e := newEdge(t, "127.0.0.1:1", func(o *setup) {
		o.s.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialing <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	c := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-dialing
	c.Close()
	if l := e.logged(); !strings.Contains(l, "be/s -1 0 CC--") {
		t.Errorf("log %q", l)
	}
	// One that is there, and impatient, is served in order once a server is found.
	srv, _ := answering(t, okResponse)
	release := make(chan struct{})
	e = newEdge(t, srv.addr, func(o *setup) {
		o.s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialing <- struct{}{}
			<-release
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	c = e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-dialing
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	close(release)
	for i := range 2 {
		if out := c.take(len(okOut)); out != okOut {
			t.Errorf("answer %d: %q", i, out)
		}
	}
}

func TestPanicCostsOneConnection(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Challenge = func(token []byte) []byte { panic("secret") }
	})
	if out := e.dial().send("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: x\r\n\r\n").rest(); out != "" {
		t.Errorf("got %q", out)
	}
	if l := e.logged(); strings.Contains(l, "secret") || e.handle.Panics() != 1 {
		t.Errorf("log %q, %d panics", l, e.handle.Panics())
	}
	if out := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut {
		t.Errorf("the next connection got %q", out)
	}
}

func TestBufferRequestWaitsForTheBody(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.BufferRequest = true
		o.f.Timeouts.HTTPRequest = 100 * time.Millisecond
	})
	if out := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").rest(); !strings.HasPrefix(out, "HTTP/1.1 408 ") {
		t.Errorf("got %q", out)
	}
	if l := e.logged(); !strings.Contains(l, "fe fe/<NOSRV> 408 0 cR-- \"POST / HTTP/1.1\"") {
		t.Errorf("log %q", l)
	}
	if srv.conns() != 0 {
		t.Errorf("the server was bothered")
	}
}

// answers makes error pages of files, by status.
func answers(t *testing.T, files map[int]string) *ErrorPages {
	t.Helper()
	own := map[int]*rule.Answer{}
	for status, data := range files {
		r, err := rule.ParseReply([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		own[status] = rule.FixedFor(status, r)
	}
	return NewErrorPages(own)
}

func TestErrorFiles(t *testing.T) {
	srv, _ := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Errors = answers(t, map[int]string{
			403: "HTTP/1.0 403 No\nX-Why: rules\nContent-Length: 3\n\nno\n", 404: "", 410: "HTTP/1.1 200 Was\r\nX-A: b\r\n\r\nfine\n",
			500: "HTTP/1.1 500 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		})
		o.f.HTTPRequest = requestRules(t, "deny status 404 default-errorfiles if { path /4 }", "deny deny_status 410 if { path /410 }", "deny deny_status 500 if { path /5 }", "deny deny_status 401 if { path /401 }", "deny")
	})
	for _, tc := range []struct{ path, want string }{
		{"/", "HTTP/1.0 403 No\r\nx-why: rules\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nno\n"},
		{"/401", "HTTP/1.1 401 Unauthorized\r\ncontent-length: 112\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n"},
	} {
		if out := e.dial().send("GET " + tc.path + " HTTP/1.1\r\nHost: x\r\n\r\n").take(len(tc.want)); out != tc.want {
			t.Errorf("%s: got %q, want %q", tc.path, out, tc.want)
		}
	}
	for _, tc := range []struct{ path, want string }{
		{"/4", ""},
		{"/410", "HTTP/1.1 200 Was\r\nx-a: b\r\nconnection: close\r\n\r\nfine\n"},
		{"/5", "HTTP/1.1 500 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"},
	} {
		if out := e.dial().send("GET " + tc.path + " HTTP/1.1\r\nHost: x\r\n\r\n").rest(); out != tc.want {
			t.Errorf("%s: got %q, want %q", tc.path, out, tc.want)
		}
	}
}

func TestBackendsPageWinsAndItsGapsAreTheFrontends(t *testing.T) {
	srv, _ := answering(t, okResponse)
	page := func(who string) string { return "HTTP/1.1 403 " + who + "\r\ncontent-length: 0\r\n\r\n" }
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Errors = answers(t, map[int]string{403: page("frontend"), 429: page("frontend")})
		o.b.Errors = answers(t, map[int]string{403: page("backend")})
		o.b.HTTPRequest = requestRules(t, "deny if { path /a }", "deny deny_status 429 if { path /b }", "deny deny_status 405")
	})
	for path, want := range map[string]string{"/a": page("backend"), "/b": page("frontend"), "/c": "HTTP/1.1 405 Method Not Allowed\r\n"} {
		if out := e.dial().send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n").take(len(want)); out != want {
			t.Errorf("%s: got %q, want %q", path, out, want)
		}
	}
}

// TestRewrittenMethodKeepsTheClientsFraming: HEAD made GET must not give the client a body, nor GET made HEAD a length without one.
// Either would let the next answer on the connection be read as something else.
func TestRewrittenMethodKeepsTheClientsFraming(t *testing.T) {
	for _, tc := range []struct{ name, method, answer, request, out string }{
		{"head to get", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
		{"head to get, chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
		{"get to head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
	} {
		srv, _ := answering(t, tc.answer)
		e := newEdge(t, srv.addr, func(o *setup) { o.f.HTTPRequest = requestRules(t, "set-method "+tc.method) })
		c := e.dial()
		for range 3 {
			if out := c.send(tc.request).take(len(tc.out)); out != tc.out {
				t.Errorf("%s:\ngot  %q\nwant %q", tc.name, out, tc.out)
			}
		}
		c.Close()
	}
}
