package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressFieldsOfBothSides(t *testing.T) {
	local := netip.MustParsePrefix("127.0.0.0/8")
	const has = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: a\r\n\r\n"
	for _, tc := range []struct {
		name string
		f, b *ForwardFor
		want string
	}{
		{"frontend", &ForwardFor{}, nil, "x-forwarded-for: a\r\nx-forwarded-for: 127.0.0.1\r\n"},
		{"the backend names the field", &ForwardFor{Header: "x-f"}, &ForwardFor{Header: "x-b"}, "x-forwarded-for: a\r\nx-b: 127.0.0.1\r\n"},
		{"if-none of one side", &ForwardFor{IfNone: true}, &ForwardFor{}, "x-forwarded-for: a\r\nx-forwarded-for: 127.0.0.1\r\n"},
		{"if-none of both", &ForwardFor{IfNone: true}, &ForwardFor{IfNone: true}, "x-forwarded-for: a\r\n\r\n"},
		{"excepted by one", &ForwardFor{Except: local}, &ForwardFor{}, "x-forwarded-for: a\r\n\r\n"},
	} {
		srv, got := answering(t, okResponse)
		e := newEdge(t, srv.addr, func(o *setup) { o.f.ForwardFor, o.b.ForwardFor = tc.f, tc.b })
		e.dial().send(has).head()
		if h := <-got; !strings.Contains(h, tc.want) {
			t.Errorf("%s: the server saw %q, want %q", tc.name, h, tc.want)
		}
	}
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.b.OriginalTo = &ForwardFor{}
		o.f.HTTPRequest = requestRules(t, "set-dst str(192.0.2.9)")
	})
	e.dial().send(has).head()
	if h := <-got; !strings.Contains(h, "x-original-to: 192.0.2.9\r\n") {
		t.Errorf("the server saw %q", h)
	}
}

func TestRestrictedHeaderNames(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\nX-B: 2\r\n\r\n"
	for _, tc := range []struct {
		f, b RestrictNames
		want string
	}{
		{PreserveNames, PreserveNames, "x_a: 1\r\nx-b: 2"}, {DeleteNames, PreserveNames, "host: x\r\nx-b: 2"}, {PreserveNames, DeleteNames, "host: x\r\nx-b: 2"},
		{RejectNames, PreserveNames, ""}, {PreserveNames, RejectNames, ""},
	} {
		srv, got := answering(t, okResponse)
		e := newEdge(t, srv.addr, func(o *setup) { o.f.RestrictNames, o.b.RestrictNames = tc.f, tc.b })
		h := e.dial().send(request).head()
		if tc.want == "" {
			if !strings.HasPrefix(h, "HTTP/1.1 403 ") || srv.conns() != 0 {
				t.Errorf("%+v: got %q", tc, h)
			}
			continue
		}
		if seen := <-got; !strings.Contains(seen, tc.want) {
			t.Errorf("%+v: the server saw %q", tc, seen)
		}
	}
}

func TestUnsafeTargetsPassWhereAllowed(t *testing.T) {
	for _, request := range []string{"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"} {
		for _, unsafe := range []bool{false, true} {
			srv, got := answering(t, okResponse)
			e := newEdge(t, srv.addr, func(o *setup) { o.f.Unsafe = unsafe })
			h := e.dial().send(request).head()
			if !unsafe && !strings.HasPrefix(h, "HTTP/1.1 400 ") {
				t.Errorf("%q was answered %q", request, h)
			}
			if unsafe {
				if seen := <-got; !strings.HasPrefix(seen, strings.SplitN(request, " HTTP", 2)[0]+" ") {
					t.Errorf("%q became %q", request, seen)
				}
			}
		}
	}
}

func TestTrailersAreDroppedWhereAsked(t *testing.T) {
	for _, drop := range []bool{false, true} {
		body := make(chan string, 1)
		srv := serve(t, func(p *peer, _ int) {
			p.head()
			var b strings.Builder
			for !strings.HasSuffix(b.String(), "\r\n\r\n") {
				b.WriteString(p.take(1))
			}
			body <- b.String()
			p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-t: 2\r\n\r\n")
		})
		e := newEdge(t, srv.addr, func(o *setup) { o.b.DropTrailers, o.f.DropTrailers = drop, drop })
		c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\nX-T: 1\r\n\r\n")
		if out := c.rest(); strings.Contains(out, "x-t: 2") == drop {
			t.Errorf("drop %v: the client got %q", drop, out)
		}
		if b := <-body; strings.Contains(b, "x-t: 1") == drop {
			t.Errorf("drop %v: the server got %q", drop, b)
		}
	}
}
