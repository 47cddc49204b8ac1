package proxy

import (
	"runtime"
	"strings"
	"testing"
)

func TestNamesOfFieldsAreWrittenAsPeersWantThem(t *testing.T) {
	got := make(chan string, 1)
	srv := serve(t, func(p *peer, _ int) {
		got <- p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Own: 1\r\nConnection: close\r\n\r\nok")
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.HeaderCase = map[string]string{"host": "HOST", "content-length": "Content-LENGTH", "x": "Y"}
		o.f.HeaderCase = map[string]string{"x-own": "X-oWn", "connection": "Connection", "content-length": "Content-Length"}
	})
	out := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAccept: host\r\nConnection: close\r\n\r\na").rest()
	if h := <-got; h != "POST / HTTP/1.1\r\nHOST: x\r\naccept: host\r\nContent-LENGTH: 1\r\n\r\n" {
		t.Errorf("the server saw %q", h)
	}
	if out != "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-oWn: 1\r\nConnection: close\r\n\r\nok" {
		t.Errorf("the client saw %q", out)
	}
}

func TestServersAreToldThatTheirConnectionIsKept(t *testing.T) {
	for _, pretend := range []bool{false, true} {
		got := make(chan string, 1)
		srv := serve(t, func(p *peer, _ int) {
			got <- p.head()
			p.send(okResponse)
			p.head()
		})
		e := newEdge(t, srv.addr, func(o *setup) { o.b.ServerClose, o.b.PretendKeepAlive = true, pretend })
		c := e.dial()
		for range 2 {
			c.send(plainGet).head()
			c.take(2)
			if h := <-got; strings.Contains(h, "connection: close") == pretend {
				t.Errorf("pretending %v the server saw %q", pretend, h)
			}
		}
		if n := srv.conns(); n != 2 {
			t.Errorf("pretending %v took %d connections, want one per request", pretend, n)
		}
	}
}

func TestClientsThatTakeUsForTheirProxyAuthenticateAsTowardsOne(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.head() })
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.ProxyHeader = true
		o.f.HTTPRequest = requestRules(t, "return status 200 hdr x-user %[http_auth_user] if { http_auth_user -m found }", "auth realm R")
	})
	for _, row := range [][3]string{
		{"http://x/", "", "407"}, {"http://x/", "Proxy-Authorization: Basic YTpi\r\n", "x-user: a"}, {"http://x/", "Authorization: Basic YTpi\r\n", "proxy-authenticate: Basic realm=\"R\""},
		{"/", "Proxy-Authorization: Basic YTpi\r\n", "www-authenticate: Basic realm=\"R\""}, {"/", "Authorization: Basic YTpi\r\n", "x-user: a"},
	} {
		if out := e.dial().send("GET " + row[0] + " HTTP/1.1\r\nHost: x\r\n" + row[1] + "\r\n").head(); !strings.Contains(out, row[2]) {
			t.Errorf("%s with %q: got %q, want %q in it", row[0], row[1], out, row[2])
		}
	}
}

func TestAnIdleConnectionSurvivesASoftStopForOneRequest(t *testing.T) {
	e := newEdge(t, "127.0.0.1:1", func(o *setup) {
		o.f.IdleCloseOnResponse = true
		o.f.HTTPRequest = requestRules(t, "return status 200")
	})
	c := e.dial()
	c.send(plainGet).head()
	e.stop()
	for told := false; !told; { // the stop reaches the connection in a goroutine of its own
		e.handle.mu.Lock()
		for cl := range e.handle.conns {
			told = cl.isStopping()
		}
		e.handle.mu.Unlock()
		runtime.Gosched()
	}
	if out := c.send(plainGet).head(); !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.Contains(out, "connection: close") {
		t.Errorf("after the stop: %q", out)
	}
}

func TestFieldsWithBadNamesAreDroppedWhereThatIsAllowed(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nBad Name: 1\r\nX-B: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	for unsafe, want := range map[bool]string{false: "502", true: "\r\nx-b: 2\r\ncontent-length: 0\r\n\r\n"} {
		e := newEdge(t, srv.addr, func(o *setup) { o.b.Unsafe = unsafe })
		if out := e.dial().send(plainGet).head(); !strings.Contains(out, want) || strings.Contains(out, "ad name") {
			t.Errorf("unsafe %v: %q, want %q", unsafe, out, want)
		}
	}
}

func TestPreferLastServerStaysWhereTheSessionHasAConnection(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		for p.head() != "" {
			p.send(okResponse)
		}
	})
	for prefer, want := range map[bool]string{false: "ab", true: "aa"} {
		e := newEdge(t, srv.addr, func(o *setup) {
			o.s.Reuse, o.s.Algorithm = "never", "roundrobin"
			first := o.s.Servers[0]
			first.Line.Name = "a"
			second := first
			second.Line.Name = "b"
			o.s.Servers = append(o.s.Servers[:0:0], first, second)
			o.b.PreferLast = prefer
			o.format = "%s"
		})
		c := e.dial()
		served := ""
		for range 2 {
			c.send(plainGet).head()
			c.take(2)
			served += e.logged()
		}
		if served != want {
			t.Errorf("preferring %v: requests went to %s, want %s", prefer, served, want)
		}
	}
}
