package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// limiter is a compiler of rules for limits with these filters: "<name> [in] [coded]", each of which lets 100 bytes pass within the
// period.
func limiter(t *testing.T, period time.Duration, filters ...string) *rule.Compiler {
	c := &rule.Compiler{Diags: new(config.Diags), HTTP: true, Kind: "listen", Proxy: "fe"}
	var lines []config.BandwidthLimit
	for _, f := range filters {
		w := strings.Fields(f)
		lines = append(lines, config.BandwidthLimit{Name: w[0], In: strings.Contains(f, " in"), Compression: strings.Contains(f, " coded"), Limit: 100, Period: period})
	}
	c.Limits = c.Bandwidths(lines)
	t.Cleanup(func() {
		if c.Diags.HasErrors() {
			t.Error(*c.Diags)
		}
	})
	return c
}

func ruleLines(t *testing.T, text ...string) []config.Rule {
	_, r := rules(t, text...)
	return r
}

// TestLimitedBodiesArriveWhole lets bodies of both directions pass 100 bytes a millisecond, in mode http, compressed, and in mode tcp.
func TestLimitedBodiesArriveWhole(t *testing.T) {
	body := strings.Repeat("0123456789", 500)
	post := "POST / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n" + body
	for name, tc := range map[string]struct {
		filters, rules []string
		compress       bool
	}{
		"answer":               {[]string{"a"}, []string{"set-bandwidth-limit a"}, false},
		"request":              {[]string{"a in"}, []string{"set-bandwidth-limit a limit 200"}, false},
		"both":                 {[]string{"a in", "b"}, []string{"set-bandwidth-limit a", "set-bandwidth-limit b period 2"}, false},
		"two of one":           {[]string{"a", "b"}, []string{"set-bandwidth-limit b limit 1k", "set-bandwidth-limit a"}, false},
		"set twice":            {[]string{"a"}, []string{"set-bandwidth-limit a limit 1 period 1d", "set-bandwidth-limit a"}, false},
		"before compression":   {[]string{"a"}, []string{"set-bandwidth-limit a"}, true},
		"after compression":    {[]string{"a coded"}, []string{"set-bandwidth-limit a limit int(10)"}, true},
		"around compression":   {[]string{"a", "b coded"}, []string{"set-bandwidth-limit a", "set-bandwidth-limit b"}, true},
		"no limit from a rule": {[]string{"a"}, []string{"set-bandwidth-limit a limit req.hdr(none) period int(0)"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 1)
			srv := serve(t, func(p *peer, _ int) {
				p.head()
				seen <- p.take(len(body))
				p.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n" + body)
			})
			c := limiter(t, time.Millisecond, tc.filters...)
			e := newEdge(t, srv.addr, func(o *setup) {
				o.f.HTTPRequest = c.HTTPRequest(ruleLines(t, tc.rules...), c.ACLs(nil))
				if tc.compress {
					o.b.Compression = &Compression{Direction: Responses, Filters: Responses, Algos: []string{"gzip"}}
				}
			})
			res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(e.dial().send(post).rest())), nil)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if tc.compress {
				z, err := gzip.NewReader(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				if data, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			if string(data) != body {
				t.Errorf("the client got %d bytes %.40q", len(data), data)
			}
			if got := <-seen; got != body {
				t.Errorf("the server got %d bytes %.40q", len(got), got)
			}
			e.logged()
		})
	}
	for _, filter := range []string{"a in", "a"} {
		srv := serve(t, func(p *peer, _ int) { p.send("got " + p.rest()) })
		c := limiter(t, time.Millisecond, filter)
		e := newEdge(t, srv.addr, func(o *setup) {
			tcpMode(o)
			c.HTTP = false
			o.f.TCPContent = c.TCPContent(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil))
		})
		p := e.dial().send(body)
		if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if out := p.rest(); out != "got "+body {
			t.Errorf("%s in mode tcp: got %d bytes %.40q", filter, len(out), out)
		}
		if l := e.logged(); l != "fe be/s 5004 5000 --" {
			t.Errorf("%s in mode tcp: log %q", filter, l)
		}
	}
}

// TestLimitedStreamEndsWithItsPeer: a limit that lets 100 bytes an hour pass gives them away at once, and holds nobody who leaves.
func TestLimitedStreamEndsWithItsPeer(t *testing.T) {
	body := strings.Repeat("x", 5000)
	t.Run("answer", func(t *testing.T) {
		gone := make(chan string, 1)
		srv := serve(t, func(p *peer, _ int) {
			p.head()
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body)
			gone <- p.rest()
		})
		c := limiter(t, time.Hour, "a")
		e := newEdge(t, srv.addr, func(o *setup) { o.f.HTTPResponse = c.HTTPResponse(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil)) })
		p := e.dial().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		p.head()
		if got := p.take(100); got != body[:100] {
			t.Errorf("got %q", got)
		}
		p.Close()
		<-gone
		if l := e.logged(); !strings.Contains(l, " 200 ") || !strings.Contains(l, " CD") {
			t.Errorf("log %q", l)
		}
	})
	t.Run("request", func(t *testing.T) {
		srv := serve(t, func(p *peer, _ int) {
			p.head()
			p.take(100)
			p.send("HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		})
		c := limiter(t, time.Hour, "a in")
		e := newEdge(t, srv.addr, func(o *setup) {
			o.f.HTTPRequest = c.HTTPRequest(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil))
			o.f.HTTPClose = true
		})
		if out := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + body).rest(); !strings.HasPrefix(out, "HTTP/1.1 403 No\r\n") {
			t.Errorf("got %q", out)
		}
		e.logged()
	})
	for _, filter := range []string{"a in", "a"} {
		t.Run("tcp "+filter, func(t *testing.T) {
			srv := serve(t, func(p *peer, _ int) {
				if filter == "a in" {
					p.take(100)
					p.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
					return
				}
				p.send(body)
				p.rest()
			})
			c := limiter(t, time.Hour, filter)
			e := newEdge(t, srv.addr, func(o *setup) {
				tcpMode(o)
				c.HTTP = false
				o.b.Filters = true
				o.b.TCPResponse = c.TCPResponse(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil))
				o.f.TCPContent = c.TCPContent(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil))
			})
			p := e.dial()
			if filter == "a in" {
				p.send(body).rest()
			} else {
				p.take(100)
				p.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
				p.Close()
			}
			e.logged()
		})
	}
}

// TestSharedLimitCountsInItsTable: streams with one key count on one entry, which nobody holds afterwards.
func TestSharedLimitCountsInItsTable(t *testing.T) {
	tab := table.New(table.Options{Name: "t", Key: stream.KindIPv4, Size: 10, Store: []table.Store{{Type: table.BytesOutRate, Period: 24 * time.Hour}}})
	c := &rule.Compiler{Diags: new(config.Diags), HTTP: true, Kind: "frontend", Proxy: "fe", Tables: func(name string) *table.Table {
		if name != "t" {
			return nil
		}
		return tab
	}}
	c.Limits = c.Bandwidths([]config.BandwidthLimit{{Name: "a", Limit: 1 << 30, Key: []string{"src"}, Table: "t"}})
	srv, got := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) { o.f.HTTPRequest = c.HTTPRequest(ruleLines(t, "set-bandwidth-limit a"), c.ACLs(nil)) })
	if c.Diags.HasErrors() {
		t.Fatal(*c.Diags)
	}
	for range 3 {
		e.dial().send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").rest()
		<-got
		e.logged()
	}
	entry := tab.Lookup([]byte{127, 0, 0, 1})
	if entry == nil {
		t.Fatal("no entry")
	}
	defer entry.Release()
	if n, _ := entry.Value(table.BytesOutRate, 0); n != 6 {
		t.Errorf("bytes_out_rate is %d, want the 6 bytes of three bodies", n)
	}
	for end := time.Now().Add(long); entry.Holders() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d hold the entry", entry.Holders())
		}
	}
}
