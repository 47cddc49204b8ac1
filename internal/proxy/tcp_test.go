package proxy

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

func tcpMode(o *setup) {
	o.f.HTTP, o.b.HTTP, o.s.HTTP = false, false, false
	o.format = "%ft %b/%s %B %U %ts"
}

func TestTCPHalfCloseReachesTheOtherSide(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) { p.send("got " + p.rest()) })
	for _, secure := range []bool{false, true} {
		e := newEdge(t, srv.addr, func(o *setup) {
			tcpMode(o)
			if secure {
				o.tls = selfSigned(t)
			}
		})
		c := e.dial()
		if secure {
			c = newPeer(t, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}))
		}
		c.send(strings.Repeat("x", 100000))
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if out := c.rest(); out != "got "+strings.Repeat("x", 100000) {
			t.Errorf("tls %v: got %d bytes %.20q", secure, len(out), out)
		}
		want := "fe be/s 100004 100000 --"
		if secure {
			want = "fe~ be/s 100004 100000 --"
		}
		if l := e.logged(); l != want {
			t.Errorf("tls %v: log %q, want %q", secure, l, want)
		}
	}
}

func TestTCPInactivityAndRefusal(t *testing.T) {
	hold := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) { p.send("hi"); <-hold })
	t.Cleanup(func() { close(hold) }) // before the server's own
	e := newEdge(t, srv.addr, func(o *setup) { tcpMode(o); o.f.Timeouts.Client = 80 * time.Millisecond })
	if out := e.dial().send("x").rest(); out != "hi" {
		t.Errorf("got %q", out)
	}
	if l := e.logged(); l != "fe be/s 2 1 cD" {
		t.Errorf("log %q", l)
	}
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	closed.Close()
	e = newEdge(t, closed.Addr().String(), tcpMode)
	if out := e.dial().send("x").rest(); out != "" {
		t.Errorf("got %q", out)
	}
	if l := e.logged(); l != "fe be/s 0 0 SC" {
		t.Errorf("log %q", l)
	}
}
