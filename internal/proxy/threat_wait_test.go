package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/rule"
)

// TestThreat_N06: a peer that stays silent, speaks too slowly or does not listen holds a connection no longer than the deadline of the
// phase it is in. The handshake and the PROXY header are package listener's, connecting and queueing are in
// TestConnectTimeoutIsNamed of package backend and TestARequestThatWaitsTooLongInTheQueueGets503.
func TestThreat_N06(t *testing.T) {
	const soon = 50 * time.Millisecond
	const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		switch h := p.head(); {
		case strings.HasPrefix(h, "GET /flood"):
			p.send("HTTP/1.1 200 OK\r\n\r\n")
			for piece := make([]byte, 64<<10); ; {
				if _, err := p.Write(piece); err != nil {
					return
				}
			}
		case strings.HasPrefix(h, "GET /up"):
			p.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		case strings.HasPrefix(h, "GET /fin"):
			p.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
			p.Conn.(*net.TCPConn).CloseWrite()
		case strings.HasPrefix(h, "GET /part"):
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
		case strings.HasPrefix(h, "GET /ok"):
			p.send(okResponse)
		}
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	up := func(path string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
	}
	for _, tc := range []struct {
		name string
		set  func(*testing.T, *setup)
		send string
		how  string // deaf: the client reads nothing; slow: it goes on byte by byte; loud: it goes on as fast as it can
		line string // what the log says
	}{
		{"a client that says nothing", func(_ *testing.T, o *setup) { o.f.Timeouts.HTTPRequest = soon }, "", "", "408 0 cR"},
		{"half a head", func(_ *testing.T, o *setup) { o.f.Timeouts.HTTPRequest = soon }, "GET / HT", "", "408 0 cR"},
		{"a head byte by byte", func(_ *testing.T, o *setup) { o.f.Timeouts.HTTPRequest = soon }, "GET /", "slow", "408 0 cR"},
		{"half a body", func(_ *testing.T, o *setup) { o.f.Timeouts.Client = soon }, post, "", "400 0 cH"},
		{"a body that is kept, byte by byte", func(_ *testing.T, o *setup) { o.f.Timeouts.HTTPRequest, o.f.BufferRequest = soon, true }, post, "slow", "408 0 cR"},
		{"a body that a rule waits for, byte by byte", func(t *testing.T, o *setup) { o.f.HTTPRequest = requestRules(t, "wait-for-body time 50ms") }, post, "slow", "408 0 cR"},
		{"a server that does not take the body", func(_ *testing.T, o *setup) { o.b.Timeouts.Server = soon }, post, "loud", " s"},
		{"a server that says nothing", func(_ *testing.T, o *setup) { o.b.Timeouts.Server, o.f.Timeouts.KeepAlive = soon, soon }, get, "", "504 0 sH"},
		{"a server that stops in its body", func(_ *testing.T, o *setup) { o.b.Timeouts.Server = soon }, "GET /part HTTP/1.1\r\nHost: x\r\n\r\n", "", "sD"},
		{"a client that does not read", func(_ *testing.T, o *setup) { o.f.Timeouts.Client = soon }, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n", "deaf", "cD"},
		{"an idle connection", func(_ *testing.T, o *setup) { o.f.Timeouts.KeepAlive = soon }, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n", "", "200 40 --"},
		{"an idle tunnel", func(_ *testing.T, o *setup) { o.b.Timeouts.Tunnel = soon }, up("/up"), "", "101 53 cD"},
		{"a tunnel whose server has ended", func(_ *testing.T, o *setup) { o.b.Timeouts.Tunnel, o.b.Timeouts.ServerFin = long, soon }, up("/fin"), "", "101 53 cD"},
		{"a tunnel to a server that does not read", func(_ *testing.T, o *setup) { o.b.Timeouts.Tunnel = soon }, up("/up"), "loud", "101 53 "},
		{"a tarpit", func(t *testing.T, o *setup) {
			o.f.Timeouts.Tarpit = soon
			o.f.HTTPRequest = requestRules(t, "tarpit")
		}, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "", "500 0 PT"},
		{"a refused request that goes on", func(*testing.T, *setup) {}, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: no\r\n\r\n", "loud", "400 0 PR"},
		{"mode tcp, nothing moves", func(_ *testing.T, o *setup) { tcpMode(o); o.f.Timeouts.Client = soon }, "x", "", "cD"},
		{"mode tcp, the client does not read", func(_ *testing.T, o *setup) { tcpMode(o); o.b.Timeouts.Tunnel = soon }, "GET /flood HTTP/1.1\r\n\r\n", "deaf", "D"},
		{"content rules, nothing comes", func(t *testing.T, o *setup) {
			tcpMode(o)
			o.f.InspectDelay = soon
			o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "accept if { req.len gt 9 }", "reject if WAIT_END")
		}, "x", "", "PR"},
		{"content rules, byte by byte", func(t *testing.T, o *setup) {
			tcpMode(o)
			o.f.InspectDelay = soon
			o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "accept if { req.len gt 99999 }", "reject if WAIT_END")
		}, "x", "slow", "PR"},
		{"content rules of the server's side", func(t *testing.T, o *setup) {
			tcpMode(o)
			o.b.ResponseDelay = soon
			o.b.TCPResponse = tcpRules(t, nil, "accept if { res.len gt 0 }", "reject if WAIT_END")
		}, "x", "", "PD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEdge(t, srv.addr, func(o *setup) {
				o.f.Timeouts.Tarpit = long
				tc.set(t, o)
			})
			c := e.dial().send(tc.send)
			ended := make(chan struct{})
			if tc.how == "deaf" {
				close(ended)
			} else {
				go func() { defer close(ended); _, _ = io.Copy(io.Discard, c.r) }()
			}
			talk(c, tc.how, ended)
			if l := e.logged(); !strings.Contains(l, tc.line) {
				t.Errorf("log %q, want %q", l, tc.line)
			}
			e.served.Wait() // the connection is gone
		})
	}
}

// talk goes on sending until the connection has ended.
func talk(c *peer, how string, ended <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	piece := make([]byte, 64<<10)
	for how == "slow" || how == "loud" {
		p := piece
		if how == "slow" {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
			p = []byte("x")
		}
		if _, err := c.Write(p); err != nil {
			break
		}
	}
	<-ended
}

// TestThreat_H15: no answer of ours carries a credential of the request somewhere else, and a redirection names no user.
func TestThreat_H15(t *testing.T) {
	const secret = "c2VjcmV0"
	for _, tc := range []struct{ rule, status string }{
		{"redirect location https://other.test/ code 302", "302"},
		{"redirect location https://other.test%[path] code 307", "307"},
		{"redirect prefix https://other.test", "302"},
		{"redirect scheme https code 301", "301"},
		{"redirect prefix https://other.test drop-query set-cookie SEEN=1", "302"},
		{"return status 200 content-type text/plain string hello", "200"},
		{"return status 404 hdr x-path %[path]", "404"},
		{"deny deny_status 403", "403"},
		{"auth realm x", "401"},
		{"set-header x-a b", "502"}, // and what the server does not answer
	} {
		srv := serve(t, func(p *peer, _ int) { p.head() })
		for _, target := range []string{"/p?q", "http://user:" + secret + "@x/p?q"} {
			e := newEdge(t, srv.addr, func(o *setup) {
				o.f.UserOK = true
				o.f.HTTPRequest = requestRules(t, tc.rule)
				o.format = "%ST %HP %CC %CS"
			})
			out := e.dial().send("GET " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + secret + "\r\nProxy-Authorization: Basic " + secret +
				"\r\nCookie: sid=" + secret + "\r\nConnection: close\r\n\r\n").rest()
			if !strings.HasPrefix(out, "HTTP/1.1 "+tc.status+" ") || strings.Contains(out, secret) || strings.Contains(out, "user:") {
				t.Errorf("%s of %s: %q", tc.rule, target, out)
			}
			e.logged()
		}
	}
}
