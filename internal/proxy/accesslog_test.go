package proxy

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/stats"
)

const plainGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// The manual keeps error-log-format for connections on which no request came; a request that ends badly has its usual line.
func TestErrorLogFormatIsForConnectionsWithoutARequest(t *testing.T) {
	srv, _ := answering(t, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
	for _, tc := range []struct{ send, line string }{
		{plainGet, "usual 500 --"},
		{"GET / bad\r\n\r\n", "error 400 PR"},
	} {
		e := newEdge(t, srv.addr, func(o *setup) { o.format = "usual %ST %ts"; o.errors = "error %ST %ts" })
		c := e.dial()
		c.send(tc.send).head()
		c.Close()
		if l := e.logged(); l != tc.line {
			t.Errorf("%q: got %q, want %q", tc.send, l, tc.line)
		}
	}
}

func TestLogSeparateErrorsRaisesTheLevelOfWhatEndedBadly(t *testing.T) {
	srv := serve(t, func(p *peer, _ int) {
		for {
			switch h := p.head(); {
			case strings.HasPrefix(h, "GET /500"):
				p.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			case strings.HasPrefix(h, "GET /short"):
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
				return
			case h == "":
				return
			default:
				p.send(okResponse)
			}
		}
	})
	for _, separate := range []bool{false, true} {
		e := newEdge(t, srv.addr, func(o *setup) {
			o.f.Log.SeparateErrors = separate
			o.header, o.format = "short", "%HP %ST %ts"
		})
		for _, tc := range []struct{ send, normal, raised string }{
			{plainGet, "<6>/ 200 --", "<6>/ 200 --"},
			{"GET /500 HTTP/1.1\r\nHost: x\r\n\r\n", "<6>/500 500 --", "<3>/500 500 --"},
			{"GET /short HTTP/1.1\r\nHost: x\r\n\r\n", "<6>/short 200 SD", "<3>/short 200 SD"},
			{"GET / bad\r\n\r\n", "<6><BADREQ> 400 PR", "<3><BADREQ> 400 PR"},
		} {
			c := e.dial()
			c.send(tc.send).head()
			c.Close()
			want := tc.normal
			if separate {
				want = tc.raised
			}
			if l := e.logged(); l != want {
				t.Errorf("separate %v: got %q, want %q", separate, l, want)
			}
		}
	}
}

func TestDontLogNormalKeepsWhatEndedBadly(t *testing.T) {
	n := 0
	srv := serve(t, func(p *peer, _ int) {
		for p.head() != "" {
			if n++; n == 1 {
				p.send(okResponse)
			} else {
				p.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	e := newEdge(t, srv.addr, func(o *setup) { o.f.Log.DontLogNormal = true; o.format = "%ST" })
	c := e.dial()
	c.send(plainGet).take(len(okOut))
	c.send(plainGet).head()
	if l := e.logged(); l != "503" {
		t.Errorf("first line %q, want the 503", l)
	}
}

func TestLogASAPWritesTheLineWhenTheHeadIsThere(t *testing.T) {
	read := make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
		<-read
		p.send("cd")
	})
	e := newEdge(t, srv.addr, func(o *setup) { o.f.Log.ASAP = true; o.format = "%ST %B %Tt %ts" })
	c := e.dial()
	c.send(plainGet)
	l := e.logged() // while the body is still held back
	if f := strings.Fields(l); len(f) != 4 || f[0] != "200" || !strings.HasPrefix(f[1], "+") || !strings.HasPrefix(f[2], "+") || f[3] != "--" {
		t.Errorf("got %q, want 200, a size and a time with a plus, --", l)
	}
	close(read)
	c.head()
	if b := c.take(4); b != "abcd" {
		t.Errorf("body %q", b)
	}
	c.Close()
	e.stop()
	e.served.Wait()
	select {
	case l := <-e.lines:
		t.Errorf("a second line: %q", l)
	default:
	}
}

func TestMonitorURIIsAnsweredBeforeRulesAndNeverLogged(t *testing.T) {
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.MonitorURI = "/up"
		o.f.HTTPRequest = requestRules(t, "deny if { path_beg /up }")
		o.format = "%HU %ST"
	})
	c := e.dial()
	for _, tc := range []struct{ send, status string }{
		{"GET /up HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
		{"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 "},
		{"GET /up?q HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403 "},
	} {
		h := c.send(tc.send).head()
		if !strings.HasPrefix(h, tc.status) {
			t.Fatalf("%q: got %q, want %q", tc.send, h, tc.status)
		}
		_, length, _ := strings.Cut(h, "content-length: ")
		n, _ := strconv.Atoi(strings.SplitN(length, "\r", 2)[0])
		c.take(n)
	}
	if h := c.send("HEAD /up HTTP/1.1\r\nHost: x\r\n\r\n").head(); !strings.HasPrefix(h, "HTTP/1.1 200 ") {
		t.Fatalf("HEAD: got %q", h)
	}
	c.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n").take(len(okOut))
	for _, want := range []string{"/up?q 403", "/next 200"} {
		if l := e.logged(); l != want {
			t.Errorf("log: got %q, want %q", l, want)
		}
	}
	if h := <-got; !strings.HasPrefix(h, "GET /next ") || len(got) != 0 {
		t.Errorf("the server saw %q and %d more", h, len(got))
	}
}

func TestARequestThatWaitsTooLongInTheQueueGets503(t *testing.T) {
	working, release := make(chan struct{}), make(chan struct{})
	srv := serve(t, func(p *peer, _ int) {
		p.head()
		close(working)
		<-release
		p.send(okResponse)
	})
	e := newEdge(t, srv.addr, func(o *setup) {
		o.s.Servers[0].Line.MaxConn = 1
		o.s.QueueTimeout = 60 * time.Millisecond
		o.format = "%b/%s %ST %ts"
	})
	first := e.dial()
	first.send(plainGet)
	<-working
	if h := e.dial().send(plainGet).head(); !strings.HasPrefix(h, "HTTP/1.1 503 ") {
		t.Errorf("got %q", h)
	}
	if l := e.logged(); l != "be/<NOSRV> 503 sQ" {
		t.Errorf("log %q", l)
	}
	// A client that leaves while it waits is taken out of the queue.
	left := e.dial()
	left.send(plainGet)
	left.Close()
	if l := e.logged(); l != "be/<NOSRV> -1 CQ" && l != "be/<NOSRV> 503 sQ" {
		t.Errorf("log of a client that left %q", l)
	}
	close(release)
	first.take(len(okOut))
	if l := e.logged(); l != "be/s 200 --" {
		t.Errorf("log of the first %q", l)
	}
}

func TestAnsweredRequestsCountInTheMeanTimes(t *testing.T) {
	const pause = 3 * time.Millisecond // at least 1 in whole milliseconds
	srv := serve(t, func(p *peer, _ int) {
		for p.head() != "" {
			<-time.After(pause)
			p.send(okResponse)
		}
	})
	counters := new(stats.Counters)
	e := newEdge(t, srv.addr, func(o *setup) { o.format, o.b.Counters = "%ST", counters })
	c := e.dial()
	c.send(plainGet).head()
	c.Close()
	e.logged()
	var r stats.Row
	stats.BackendFacts{Name: "be", Mode: "http", Counters: counters}.Row(&r, time.Now())
	for _, col := range []stats.Column{stats.ColRtime, stats.ColTtime, stats.ColRtimeMax, stats.ColTtimeMax} {
		if n := r.Get(col).Int(); n < 1 {
			t.Errorf("column %d is %d after an answer that took %v", col, n, pause)
		}
	}
}
