package proxy

import (
	"strings"
	"testing"
)

func TestServersAreToldOfTheEndAsConfigured(t *testing.T) {
	for _, row := range []struct {
		name  string
		setup func(o *setup)
		line  string
		want  string // connection field that the server sees
	}{
		{"httpclose of the frontend", func(o *setup) { o.f.HTTPClose = true }, "GET / HTTP/1.1", ""},
		{"httpclose of the backend", func(o *setup) { o.b.HTTPClose = true }, "GET / HTTP/1.1", "close"},
		{"http-server-close of the frontend", func(o *setup) { o.f.ServerClose = true }, "GET / HTTP/1.1", "close"},
		{"http-pretend-keepalive", func(o *setup) { o.b.HTTPClose, o.b.PretendKeepAlive = true, true }, "GET / HTTP/1.1", ""},
		{"HTTP/1.0, which means it", func(o *setup) { o.b.HTTPClose = true }, "GET / HTTP/1.0", ""},
		{"HTTP/1.0 kept", func(*setup) {}, "GET / HTTP/1.0", "keep-alive"},
	} {
		heads := make(chan string, 1)
		srv := serve(t, func(p *peer, _ int) {
			heads <- p.head()
			p.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
		})
		e := newEdge(t, srv.addr, row.setup)
		c := e.dial()
		c.send(row.line + "\r\nhost: x\r\nconnection: close\r\n\r\n").rest()
		got := ""
		if _, after, ok := strings.Cut(<-heads, "connection: "); ok {
			got, _, _ = strings.Cut(after, "\r\n")
		}
		if got != row.want {
			t.Errorf("%s: connection: %q, want %q", row.name, got, row.want)
		}
		c.Close()
	}
}

func TestLogShowsRefusedRequestsAsHAProxy(t *testing.T) {
	for _, row := range []struct{ rule, format, want string }{
		{"reject", "%TR %Tw %ST %ts", "-1 -1 -1 PR"},
		{"tarpit", "%TR %Tc %ST %ts", "-1 -1 500 PT"},
		{"deny", "%Tw %Tc %ST %ts", "-1 -1 403 PR"},
	} {
		srv := serve(t, func(p *peer, _ int) { p.head() })
		e := newEdge(t, srv.addr, func(o *setup) {
			o.format = row.format
			o.f.HTTPRequest = listenRules(t, false, row.rule)
		})
		c := e.dial()
		c.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").rest()
		if got := e.logged(); got != row.want {
			t.Errorf("%s: log %q, want %q", row.rule, got, row.want)
		}
		c.Close()
	}
}

func TestLogOfAFrontendWithLogasapMarksEveryTotal(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.head() })
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.Log.ASAP = true
		o.format = "%B"
		o.f.HTTPRequest = listenRules(t, false, "deny")
	})
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").rest()
	if got := e.logged(); !strings.HasPrefix(got, "+") {
		t.Errorf("log %q, want a + in front", got)
	}
}
