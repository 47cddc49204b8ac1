package proxy

import (
	"strings"
	"testing"

	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// recorder is a server that keeps what it was sent, and an edge before it.
func recorder(t *testing.T, change func(*setup)) (*edge, *server, chan string) {
	srv, got := answering(t, okResponse)
	return newEdge(t, srv.addr, change), srv, got
}

// refused sends each text on a connection of its own, expects status and the connection's end, and that nothing was forwarded.
func refused(t *testing.T, status string, texts ...string) {
	t.Helper()
	e, srv, _ := recorder(t, nil)
	for _, text := range texts {
		c := e.dial()
		c.Write([]byte(text)) // the edge may close before it has read all
		if out := c.rest(); !strings.HasPrefix(out, "HTTP/1.1 "+status+" ") || strings.Count(out, "HTTP/1.1") != 1 {
			t.Errorf("%.80q: got %.60q, want %s once", text, out, status)
		}
	}
	if n := srv.conns(); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

// forwarded sends each text and compares what the server saw.
func forwarded(t *testing.T, change func(*setup), cases [][2]string) {
	t.Helper()
	e, _, got := recorder(t, change)
	for _, tc := range cases {
		c := e.dial().send(tc[0])
		c.head()
		if h := <-got; h != tc[1] {
			t.Errorf("%q:\ngot  %q\nwant %q", tc[0], h, tc[1])
		}
		c.Close()
	}
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

func TestThreat_H01(t *testing.T) { // two framings, obfuscated codings and lengths
	const p = "POST / HTTP/1.1\r\nHost: x\r\n"
	refused(t, "400",
		p+"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"+smuggled,
		p+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"+smuggled,
		p+"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"+smuggled,
		p+"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"+smuggled,
		p+"Transfer-Encoding: xchunked\r\n\r\n"+smuggled,
		p+"Transfer-Encoding:\r\n\r\n"+smuggled,
		p+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"+smuggled,
		p+"Content-Length: +6\r\n\r\n"+smuggled,
		p+"Content-Length:\r\n\r\n"+smuggled,
		p+"Content-Length: 1, 2\r\n\r\nx"+smuggled,
		p+"Content-Length: 18446744073709551617\r\n\r\nx"+smuggled)
	refused(t, "422", p+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"+smuggled)
	// Transfer-Encoding wins over Content-Length, one framing leaves, and what follows is never a request.
	e, srv, got := recorder(t, nil)
	out := e.dial().send(p + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled).rest()
	if !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.Contains(out, "connection: close\r\n") || strings.Count(out, "HTTP/1.1") != 1 {
		t.Errorf("both framings: got %q", out)
	}
	if h := <-got; h != "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" {
		t.Errorf("both framings: forwarded %q", h)
	}
	if srv.conns() != 1 || len(got) > 1 { // the chunk end is the only thing the recorder may take for another head
		t.Errorf("both framings: more reached the server: %q", <-got)
	}
}

func TestThreat_H02(t *testing.T) { // field names and values
	const p = "GET / HTTP/1.1\r\nHost: x\r\n"
	refused(t, "400", p+": empty\r\n\r\n", p+"A\x00: b\r\n\r\n", p+"A: b\x00c\r\n\r\n", p+"A: b\rc: d\r\n\r\n", p+"A b: c\r\n\r\n", p+"A\x80: c\r\n\r\n", p+"A\r\n\r\n")
	refused(t, "431", p+strings.Repeat("a", 17000)+": b\r\n\r\n")
	refused(t, "414", "GET /"+strings.Repeat("a", 17000)+" HTTP/1.1\r\n\r\n")
}

func TestThreat_H03(t *testing.T) { // chunks: both sides close and the server connection is not used again
	const p = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	refused(t, "400", p+"1;a\nb\r\nx\r\n0\r\n\r\n"+smuggled, p+"1\nx\n0\n\n"+smuggled, p+"10000000000000000\r\n", p+"1\r\nx\n0\r\n\r\n", p+"0\r\nA: b\x00\r\n\r\n")
	asked, ended := make(chan struct{}), make(chan string, 1)
	srv := serve(t, func(p *peer, n int) {
		p.head()
		if n == 1 {
			close(asked)
			ended <- p.rest()
			return
		}
		p.send(okResponse).head()
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial().send(p + "3\r\nabc\r\n2")
	<-asked // only then can the fault come too late to be kept from the server
	c.send("x\r\n")
	if out := c.rest(); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("client got %q", out)
	}
	if got := <-ended; strings.Contains(got, "0\r\n\r\n") {
		t.Errorf("the server got an end: %q", got)
	}
	if l := e.logged(); !strings.Contains(l, "400 0 P") {
		t.Errorf("log %q", l)
	}
	if out := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut || srv.conns() != 2 {
		t.Errorf("next request got %q on connection %d", out, srv.conns())
	}
}

func TestThreat_H05(t *testing.T) { // targets: one form, as it came, or none
	refused(t, "400", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET a HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://x#/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET  HTTP/1.1\r\nHost: x\r\n\r\n")
	forwarded(t, nil, [][2]string{
		{"GET //a/..;p/%2f%00\\b?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET //a/..;p/%2f%00\\b?q HTTP/1.1\r\nhost: x\r\n\r\n"},
		{"GET http://x:80/a HTTP/1.1\r\nHost: X\r\n\r\n", "GET http://x/a HTTP/1.1\r\nhost: x\r\n\r\n"},
	})
	// The path that rules see is the one that is forwarded.
	e, srv, _ := recorder(t, func(o *setup) { o.f.HTTPRequest = requestRules(t, "deny if { path_beg /admin }") })
	for _, target := range []string{"/admin", "/admin/x", "http://x/admin", "http://x:80/admin?y"} {
		if h := e.dial().send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n").head(); !strings.HasPrefix(h, "HTTP/1.1 403 ") {
			t.Errorf("%s: %q", target, h)
		}
	}
	if srv.conns() != 0 {
		t.Error("a denied path reached the server")
	}
}

func TestThreat_H06(t *testing.T) { // Host
	for _, host := range []string{"a,b", "a b", "a/b", "a@b", "a#b", "a?b", "a\\b", "[::1", "a]", "a\"b", "a<b", "a`b", "a{b}", "a|b", "a^b", "a:b", "a:1:2", "::1"} {
		refused(t, "400", "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	}
	refused(t, "400", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n")
	forwarded(t, nil, [][2]string{
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: A\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"},
	})
	forwarded(t, func(o *setup) { o.f.NoHostOK = true }, [][2]string{{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"}})
}

func TestThreat_H08(t *testing.T) { // Connection cannot take away what we add
	forwarded(t, func(o *setup) {
		o.f.ForwardFor = &ForwardFor{}
		o.f.HTTPRequest = requestRules(t, "set-header X-Real-IP 10.0.0.1")
	}, [][2]string{{
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Forwarded-For, X-Real-IP, Host\r\nX-Real-IP: 1\r\nX-Forwarded-For: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nhost: x\r\nx-real-ip: 10.0.0.1\r\nx-forwarded-for: 127.0.0.1\r\n\r\n",
	}})
}

func TestThreat_H09(t *testing.T) { // what rules set replaces what the client claims
	forwarded(t, func(o *setup) {
		o.f.ForwardFor = &ForwardFor{}
		o.f.HTTPRequest = requestRules(t, "set-header X-SSL-Client-DN none")
	}, [][2]string{{
		"GET / HTTP/1.1\r\nHost: x\r\nx-ssl-client-dn: root\r\nX-SSL-Client-DN: admin\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
		"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\nx-ssl-client-dn: none\r\nx-forwarded-for: 127.0.0.1\r\n\r\n",
	}})
}

func TestThreat_H10(t *testing.T) { // upgrades
	refused(t, "405", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"+smuggled)
	refused(t, "400", "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 3\r\n\r\nabc")
	forwarded(t, nil, [][2]string{{
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
	}})
	// An upgrade the server declines is an ordinary response, and the next request an ordinary request.
	e, srv, got := recorder(t, nil)
	c := e.dial()
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		if out := c.take(len(okOut)); out != okOut {
			t.Fatalf("declined upgrade: %q", out)
		}
		if h := <-got; !strings.HasSuffix(h, "connection: upgrade\r\nupgrade: foo\r\n\r\n") {
			t.Errorf("forwarded %q", h)
		}
	}
	if srv.conns() != 1 {
		t.Errorf("server connections: %d", srv.conns())
	}
}

func TestThreat_H11(t *testing.T) { // a final answer to Expect: 100-continue
	srv := serve(t, func(p *peer, n int) {
		p.head()
		if n == 1 {
			p.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
			if more := p.rest(); more != "" {
				t.Errorf("the server got %q after its refusal", more)
			}
			return
		}
		p.send(okResponse).head()
	})
	e := newEdge(t, srv.addr, nil)
	c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	if h := c.head(); h != "HTTP/1.1 417 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" {
		t.Errorf("got %q", h)
	}
	c.rest()
	if out := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut)); out != okOut || srv.conns() != 2 {
		t.Errorf("next request got %q on connection %d", out, srv.conns())
	}
}

func TestThreat_H13(t *testing.T) { // fields that rules make from what clients send
	e, _, got := recorder(t, func(o *setup) { o.f.HTTPRequest = requestRules(t, "set-header X-Copy %[path,url_dec]") })
	e.dial().send("GET /a%0d%0aEvil:%201 HTTP/1.1\r\nHost: x\r\n\r\n").head()
	if l := e.logged(); strings.Contains(l, " 200 ") {
		if h := <-got; strings.Contains(h, "\nEvil") || strings.Count(h, "\r\n") > 4 {
			t.Errorf("forwarded %q", h)
		}
	} else if len(got) > 0 {
		t.Errorf("refused with %q and forwarded all the same: %q", l, <-got)
	}
	// The same for responses, on the last way out.
	var w h1.Writer
	w.Init(new(h1.Conn), h1.NewPool(0))
	res := stream.Response{Status: 302, Fields: []stream.Field{{Name: []byte("location"), Value: []byte("/\r\nset-cookie: a=b")}}}
	if _, err := w.Response(&res, h1.ResponseOptions{}); err != h1.ErrField {
		t.Errorf("a response field with a line end: %v", err)
	}
}

func TestThreat_H14(t *testing.T) { // size and number of fields
	const p = "GET / HTTP/1.1\r\nHost: x\r\n"
	refused(t, "400", p+strings.Repeat("a: b\r\n", 101)+"\r\n", p+strings.Repeat("a: b\r\n", 2000)+"\r\n")
	refused(t, "431", p+strings.Repeat("Cookie: "+strings.Repeat("c", 900)+"\r\n", 20)+"\r\n")
	e, _, got := recorder(t, nil)
	e.dial().send(p + strings.Repeat("a: b\r\n", 100) + "\r\n").take(len(okOut))
	if h := <-got; strings.Count(h, "a: b\r\n") != 100 {
		t.Errorf("a head within the limit was changed: %q", h)
	}
}

func TestThreat_H16(t *testing.T) { // one event, one line
	e, _, _ := recorder(t, func(o *setup) { o.format = "%ST %HP %{+Q}r" })
	c := e.dial().send("GET /\"%0a HTTP/1.1\r\nHost: x\r\nX-A: \x80\t\xff\r\n\r\n")
	c.take(len(okOut))
	if l := e.logged(); !strings.HasPrefix(l, "200 ") || strings.ContainsFunc(l, func(r rune) bool { return r < 32 || r > 126 }) {
		t.Errorf("log %q", l)
	}
}
