package rule

import (
	"testing"

	"gatehouse/internal/stream"
)

func TestFieldNamesIncludeTheOneThatDelimitsTheBody(t *testing.T) {
	s := newStream(t, "POST /x HTTP/1.1", "X-A: 1", "X-B: 2", "X-C: 3")
	s.Req.Body, s.Req.Length, s.Req.LengthAt = stream.BodyLength, 12, len(s.Req.Fields)-1
	before := formatOf(t, s, nil, "%[req.hdr_names] %[req.hdr_cnt()]")
	run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("del-header x-a"), nil) }, s, nil)
	after := formatOf(t, s, nil, "%[req.hdr_names]")
	if want := "x-a,x-b,content-length,x-c 4"; before != want {
		t.Errorf("got %q, want %q", before, want)
	}
	if want := "x-b,content-length,x-c"; after != want {
		t.Errorf("after del-header: got %q, want %q", after, want)
	}
}

func TestVariablesOfRequestEndWhereThoseOfResponseBegin(t *testing.T) {
	s := newStream(t, "GET /x HTTP/1.1")
	set := func(v string) {
		run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("set-var("+v+") str(x)"), nil) }, s, nil)
	}
	set("req.a")
	set("res.a")
	if got := formatOf(t, s, nil, "%[var(req.a)]|%[var(res.a)]"); got != "x|" {
		t.Errorf("in the request: %q", got)
	}
	s.EndRequest()
	set("req.b")
	set("res.b")
	if got := formatOf(t, s, nil, "%[var(req.a)]%[var(req.b)]|%[var(res.a)]%[var(res.b)]"); got != "|x" {
		t.Errorf("in the response: %q", got)
	}
}

func TestTargetsWithoutAPath(t *testing.T) {
	for _, row := range [][3]string{
		{"set-path a.b/c", "set-path /new", "/new?q"},
		{"set-path a.b/c", "set-pathq /new", "/new"},
		{"set-path a.b", "replace-path (.*) /x", "a.b?q"},
		{"set-uri http://h/p?q", "set-path /new", "http://h/new?q"},
		{"set-query \xff", "set-method GET", "/x?%FF"},
	} {
		s := newStream(t, "GET /x?q HTTP/1.1")
		run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules(row[0], row[1]), nil) }, s, nil)
		if got := string(s.Req.Target); got != row[2] {
			t.Errorf("%s, %s: target %q, want %q", row[0], row[1], got, row[2])
		}
	}
}

func TestMethodIsTheOneReceived(t *testing.T) {
	for line, want := range map[string]string{"GET /x HTTP/1.1": "GET", "BREW /x HTTP/1.1": "PATCH"} {
		s := newStream(t, line)
		s.Log.RequestLine = []byte(line)
		run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("set-method PATCH"), nil) }, s, nil)
		if got := formatOf(t, s, nil, "%[method]"); got != want || string(s.Req.Method) != "PATCH" {
			t.Errorf("%s: method %s, sent as %s", line, got, s.Req.Method)
		}
	}
}

func TestAnswersInTheServersSteadSeeNothingOfIts(t *testing.T) {
	s := newStream(t, "GET /x HTTP/1.1")
	s.Res.Status = 200
	s.Res.Fields = []stream.Field{{Name: []byte("server"), Value: []byte("a")}}
	v := run(t, func(c *Compiler) *Set {
		return c.HTTPResponse(rules(`return status 200 content-type text/plain lf-string "a%[status]%[res.hdr(server)]%[res.hdr_cnt(server)]"`), nil)
	}, s, nil)
	if v.Reply == nil || string(v.Reply.Body) != "a" {
		t.Errorf("got %+v", v.Reply)
	}
}
