package proxy

import (
	"strings"
	"testing"

	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// A sample of a body that a variable keeps must not change when the buffer that the body came in takes the client's next request.
func TestSamplesKeepABodyWhenTheNextRequestArrives(t *testing.T) {
	peerEnd, server := pair(t)
	defer peerEnd.Close()
	defer server.Close()
	f := NewFrontend(FrontendOptions{HTTP: true})
	x := &exchange{cl: &client{}}
	x.cl.wire.Init(server)
	x.cl.in.Init(&x.cl.wire, f.pool)
	newPeer(t, peerEnd).send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst")
	if err := x.cl.in.ReadRequest(&x.s.Req, &f.limits); err != nil {
		t.Fatal(err)
	}
	for !x.cl.in.Whole() {
		if err := x.cl.in.More(); err != nil {
			t.Fatal(err)
		}
	}
	body, _ := x.Body(false)
	copy(x.cl.in.Unread(), "OTHER")
	if string(body) != "first" {
		t.Errorf("the body is %q after the buffer took other bytes", body)
	}
}

func TestVariablesOfContentRulesHaveBytesOfTheirOwn(t *testing.T) {
	set := tcpRules(t, (*rule.Compiler).TCPContent, "set-var(txn.p) req.payload(0,5)", "set-var(txn.q) req.payload(0,0),set-var(txn.r)")
	buffer := []byte("first")
	var s stream.Stream
	s.Conn, s.ReqData = new(stream.Conn), buffer
	set.Run(&s, nil)
	copy(buffer, "OTHER")
	for _, name := range []string{"p", "q", "r"} {
		if v, _ := s.Txn.Get(name); string(v.Bytes) != "first" {
			t.Errorf("txn.%s is %q after the buffer took other bytes", name, v.Bytes)
		}
	}
}

// What one exchange knew of a body must not reach the next that borrows the same memory, nor must a client that left be held against it.
func TestASessionThatBecomesHTTPStartsClean(t *testing.T) {
	x := &exchange{cutShort: true, reqBody: bodyCopy{data: []byte("of somebody else")}, resBody: bodyCopy{data: []byte("too")}}
	f := NewFrontend(FrontendOptions{})
	x.out.Init(nil, f.pool)
	x.up.Init(nil, f.pool)
	x.srv.Init(nil, f.pool)
	x.giveBack()
	if x.cutShort || x.reqBody.data != nil || x.resBody.data != nil {
		t.Errorf("kept %v %q %q", x.cutShort, x.reqBody.data, x.resBody.data)
	}
}

// Behind a CONNECT come bytes that no rule sees, so that a rule that takes the method from a field must not make one.
func TestARuleCannotMakeATunnelOfARequest(t *testing.T) {
	srv, asked := answering(t, okResponse)
	e := newEdge(t, srv.addr, func(o *setup) {
		o.f.HTTPRequest = listenRules(t, false, "set-method %[req.hdr(x-http-method-override)]")
	})
	c := e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: CONNECT\r\nContent-Length: 0\r\n\r\n")
	if h := c.head(); !strings.HasPrefix(h, "HTTP/1.1 500 ") {
		t.Errorf("got %q", h)
	}
	select {
	case h := <-asked:
		t.Errorf("the server got %q", h)
	default:
	}
}

func TestTrailersOfARequestThatIsSentAgain(t *testing.T) {
	for _, drop := range []bool{false, true} {
		got := make(chan string, 2)
		srv := serve(t, func(p *peer, n int) {
			p.head()
			body := ""
			for !strings.HasSuffix(body, "\r\n\r\n") {
				body += p.take(1)
			}
			got <- body
			if n > 1 {
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		e := newEdge(t, srv.addr, func(o *setup) {
			o.b.RetryOn, o.b.DropTrailers, o.s.Retries = &RetryOn{Empty: true}, drop, 3
		})
		e.dial().send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: v\r\n\r\n").head()
		first, second := <-got, <-got
		if first != second || strings.Contains(first, "x-t: v") == drop {
			t.Errorf("drop %v: sent %q, then %q", drop, first, second)
		}
	}
}

func TestFormsOfOtherSitesAreForeign(t *testing.T) {
	for _, tc := range []struct {
		field, value string
		want         bool
	}{
		{"accept", "*/*", false}, {"origin", "http://Edge:8404", false}, {"origin", "https://edge:8404", false},
		{"origin", "http://evil", true}, {"origin", "null", true}, {"origin", "http://edge", true},
		{"sec-fetch-site", "same-origin", false}, {"sec-fetch-site", "none", false}, {"sec-fetch-site", "same-site", true}, {"sec-fetch-site", "cross-site", true},
	} {
		var s stream.Stream
		s.Req.Fields = []stream.Field{{Name: []byte("host"), Value: []byte("edge:8404")}, {Name: []byte(tc.field), Value: []byte(tc.value)}}
		if got := foreignForm(&s); got != tc.want {
			t.Errorf("%s: %s: %v, want %v", tc.field, tc.value, got, tc.want)
		}
	}
}
