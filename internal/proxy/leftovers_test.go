package proxy

import (
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// TestStatusesWithoutABodyTakeTheServersAway: set-status 204 drops the body, and both connections go on, as in HAProxy 3.4.
func TestStatusesWithoutABodyTakeTheServersAway(t *testing.T) {
	for _, response := range []string{okResponse, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"} {
		for status, line := range map[string]string{"204": "HTTP/1.1 204 No Content\r\n", "304": "HTTP/1.1 304 Not Modified\r\n"} {
			srv, got := answering(t, response)
			e := newEdge(t, srv.addr, func(o *setup) { o.f.HTTPResponse = responseRules(t, "set-status "+status) })
			c := e.dial()
			for range 2 {
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if h := c.head(); !strings.HasPrefix(h, line) {
					t.Fatalf("got %q, want %q", h, line)
				}
				<-got
				if l := e.logged(); !strings.Contains(l, " "+status+" ") || !strings.Contains(l, "----") {
					t.Errorf("log %q", l)
				}
			}
			if n := srv.conns(); n != 1 {
				t.Errorf("%d server connections, want 1", n)
			}
		}
	}
}

// TestAskingForAPasswordCountsAsAnError: http_err_cnt of who is tracked.
func TestAskingForAPasswordCountsAsAnError(t *testing.T) {
	tab := table.New(table.Options{Name: "fe", Key: stream.KindIPv4, Size: 10, Store: []table.Store{{Type: table.HTTPErrCnt}}})
	var codes config.StatusCodes
	c, lines := rules(t, "track-sc0 src", "auth realm x")
	c.Tables = func(string) *table.Table { return tab }
	e := newEdge(t, "127.0.0.1:1", func(o *setup) { o.f.HTTPRequest, o.f.ErrCodes = c.HTTPRequest(lines, c.ACLs(nil)), &codes })
	if out := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest(); !strings.HasPrefix(out, "HTTP/1.1 401 ") {
		t.Errorf("got %q", out)
	}
	entry := tab.Lookup([]byte{127, 0, 0, 1})
	if entry == nil {
		t.Fatal("not tracked")
	}
	defer entry.Release()
	if n, _ := entry.Value(table.HTTPErrCnt, 0); n != 1 {
		t.Errorf("http_err_cnt is %d, want 1", n)
	}
}

// TestUpgradesPassTheRulesOfResponses: tcp-response content rules, captures and the cookie of a 101.
func TestUpgradesPassTheRulesOfResponses(t *testing.T) {
	for _, cut := range []bool{false, true} {
		srv := serve(t, func(p *peer, _ int) {
			p.head()
			p.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: foo\r\nX-R: abc\r\n\r\nfirst")
			p.rest()
		})
		e := newEdge(t, srv.addr, func(o *setup) {
			o.format = "%ST %ts %hs"
			o.f.Captures = &stream.CaptureSlots{Res: []stream.CaptureSlot{{Field: "x-r", Len: 10}}}
			line := "set-var(res.a) int(1)"
			if cut {
				line = "reject"
			}
			o.b.TCPResponse = tcpRules(t, nil, line)
			c, lines := rules(t, "set-header x-a %[var(res.a)]")
			o.f.HTTPResponse = c.HTTPResponse(lines, c.ACLs(nil))
		})
		p := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		if cut {
			if out := p.rest(); out != "" {
				t.Errorf("a cut answer: %q", out)
			}
			if l := e.logged(); l != "-1 PD " && l != "-1 PD {abc}" && l != "-1 PD {}" {
				t.Errorf("log %q", l)
			}
			continue
		}
		if h := p.head(); !strings.Contains(h, "x-a: 1\r\n") || p.take(5) != "first" {
			t.Errorf("got %q", h)
		}
		p.Close()
		if l := e.logged(); !strings.HasPrefix(l, "101 ") || !strings.HasSuffix(l, " {abc}") {
			t.Errorf("log %q", l)
		}
	}
}

// TestRedirectLinesFollowTheStatisticsPage and run although a rule allowed, as in HAProxy.
func TestRedirectLinesFollowTheStatisticsPage(t *testing.T) {
	for _, atBackend := range []bool{false, true} {
		c, lines := rules(t, "allow", "redirect location /away")
		lines[1].Apart = true
		set := c.HTTPRequest(lines, c.ACLs(nil))
		page := &StatsPage{URI: "/stats", Answer: func(*StatsVisit) *stream.Reply { return &stream.Reply{Status: 200, Body: []byte("page")} }}
		e := newEdge(t, "127.0.0.1:1", func(o *setup) {
			if atBackend {
				o.b.HTTPRequest, o.b.Stats = set, page
			} else {
				o.f.HTTPRequest, o.f.Stats = set, page
			}
		})
		for path, want := range map[string]string{"/stats": "HTTP/1.1 200 OK\r\n", "/other": "HTTP/1.1 302 Found\r\n"} {
			if out := e.dial().send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest(); !strings.HasPrefix(out, want) {
				t.Errorf("%s, in the backend %v: got %q, want %q", path, atBackend, out, want)
			}
		}
	}
}

// TestBytesOfOwnAnswers: what a rule answers counts no bytes to the client, the statistics page does; the request counts in any case. So
// does HAProxy 3.4.
func TestBytesOfOwnAnswers(t *testing.T) {
	c, lines := rules(t, "deny if { path /denied }")
	page := &StatsPage{URI: "/stats", Answer: func(*StatsVisit) *stream.Reply { return &stream.Reply{Status: 200, Body: []byte("page")} }}
	e := newEdge(t, "127.0.0.1:1", func(o *setup) {
		o.f.HTTPRequest, o.f.Stats, o.format = c.HTTPRequest(lines, c.ACLs(nil)), page, "%ST %U %B"
	})
	p := e.dial()
	for _, path := range []string{"/denied", "/stats"} {
		request := "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
		p.send(request)
		head := p.head()
		want, body := "403 "+strconv.Itoa(len(request))+" 0", len("page")
		if path == "/stats" {
			p.take(body)
			want = "200 " + strconv.Itoa(len(request)) + " " + strconv.Itoa(len(head)+body)
		} else if _, length, ok := strings.Cut(strings.ToLower(head), "content-length: "); ok {
			length, _, _ = strings.Cut(length, "\r")
			n, _ := strconv.Atoi(length)
			p.take(n)
		}
		if l := e.logged(); l != want {
			t.Errorf("%s: got %q, want %q", path, l, want)
		}
	}
}
