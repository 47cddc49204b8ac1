package proxy

import (
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// tcpRules compiles the lines with one of the compiler's functions for tcp rules.
func tcpRules(t testing.TB, compile func(*rule.Compiler, []config.Rule, *rule.ACLs) *rule.Set, lines ...string) *rule.Set {
	c, r := rules(t, lines...)
	if compile == nil {
		c.Kind = "backend"
		return c.TCPResponse(r, c.ACLs(nil))
	}
	return compile(c, r, c.ACLs(nil))
}

func TestConnectionRulesRefuseBeforeAnythingIsServed(t *testing.T) {
	c, lines := rules(t, "accept if { src 192.0.2.1 }", "reject")
	h := NewHandle(NewFrontend(FrontendOptions{TCPConnection: c.TCPConnection(lines, c.ACLs(nil))}))
	if h.Admit(nil, &stream.Conn{}) {
		t.Error("a connection was admitted against the rules")
	}
	if n := h.Frontend().o.Counters.DeniedConn.Load(); n != 1 {
		t.Errorf("dcon %d", n)
	}
}

func TestContentRulesRejectASession(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.send("no") })
	for _, at := range []string{"session", "frontend", "backend", "response"} {
		e := newEdge(t, srv.addr, func(s *setup) {
			tcpMode(s)
			switch at {
			case "session":
				s.f.TCPSession = tcpRules(t, (*rule.Compiler).TCPSession, "set-var(sess.a) int(1)", "reject if { var(sess.a) -m int 1 }")
			case "frontend":
				s.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "set-var(txn.a) int(1)", "reject if { var(txn.a) -m int 1 }", "accept")
			case "backend":
				s.b.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "reject if TRUE")
			case "response":
				s.b.TCPResponse = tcpRules(t, nil, "accept if FALSE", "reject")
			}
		})
		if out := e.dial().rest(); out != "" {
			t.Errorf("%s: got %q", at, out)
		}
		c := e.handle.Frontend().o.Counters
		want := map[string]string{"frontend": "fe fe/<NOSRV> 0 0 PR", "backend": "fe be/<NOSRV> 0 0 PR", "response": "fe be/s 0 0 PD"}[at]
		if at != "session" {
			if l := e.logged(); l != want {
				t.Errorf("%s: log %q, want %q", at, l, want)
			}
		}
		denied := []int64{c.DeniedSess.Load(), c.DeniedReq.Load(), c.DeniedRes.Load()}
		if n := map[string]int{"session": 0, "frontend": 1, "backend": 1, "response": 2}[at]; denied[n] != 1 {
			t.Errorf("%s: counters %v", at, denied)
		}
	}
}

func TestAcceptedBytesReachTheServerUnchanged(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.send("got " + p.take(5)) })
	e := newEdge(t, srv.addr, func(o *setup) {
		tcpMode(o)
		o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "accept")
		o.b.TCPResponse = tcpRules(t, nil, "accept")
	})
	c := e.dial()
	if out := c.send("hello").rest(); out != "got hello" {
		t.Errorf("got %q", out)
	}
	c.Close()
	if l := e.logged(); l != "fe be/s 9 5 --" {
		t.Errorf("log %q", l)
	}
}

func TestContentRulesRunForEveryRequest(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
		p.head()
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "reject if { path /no }")
		o.format = "%b %ST %tsc %r"
	})
	c := e.dial()
	c.send("GET /yes HTTP/1.1\r\nhost: x\r\n\r\n").head()
	c.send("GET /no HTTP/1.1\r\nhost: x\r\n\r\n")
	if out := c.rest(); out != "" {
		t.Errorf("got %q", out)
	}
	for _, want := range []string{"be 200 ---- GET /yes HTTP/1.1", "fe -1 PR-- <BADREQ>"} {
		if l := e.logged(); l != want {
			t.Errorf("log %q, want %q", l, want)
		}
	}
}

func TestSessionsBecomeHTTPConnections(t *testing.T) {
	for _, how := range []string{"rule", "backend"} {
		srv := serve(t, func(p *peer, n int) {
			for p.head() != "" {
				p.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
			}
		})
		e := newEdge(t, srv.addr, func(o *setup) {
			o.f.HTTP = false
			o.format = "%b %ST %ts %[var(txn.seen)]"
			o.f.InspectDelay = long
			if how == "rule" {
				o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "set-var(txn.seen) internal.strm.is_htx", "switch-mode http if HTTP", "reject")
				o.f.HTTPRequest = requestRules(t, "set-header x-seen %[var(txn.seen)]")
			}
		})
		c := e.dial()
		c.send("GET /1 HTTP/1.1\r\n").send("host: x\r\n\r\n").head()
		c.send("GET /2 HTTP/1.1\r\nhost: x\r\n\r\n").head()
		c.Close()
		want := []string{"be 200 -- 0", "be 200 -- 1"}
		if how == "backend" {
			want = []string{"be 200 -- -", "be 200 -- -"}
		}
		for _, w := range want {
			if l := e.logged(); l != w {
				t.Errorf("%s: log %q, want %q", how, l, w)
			}
		}
		if n := srv.conns(); n != 1 {
			t.Errorf("%s: %d server connections", how, n)
		}
	}
}
