package rule

import (
	"testing"
	"time"

	"gatehouse/internal/stream"
)

var usualRules = []string{
	"set-header X-Forwarded-Proto https", "set-header X-Forwarded-Host %[req.hdr(host)]", "set-header X-Real-IP %[src]", "add-header X-Forwarded-Port %[dst_port]",
	"set-header X-Path %[path,field(2,/),lower]", "del-header X-Powered-By", "set-header X-Request-Start t=%[date]", "set-var(txn.host) req.hdr(host),host_only",
	"set-header X-Host %[var(txn.host)]", "set-path /v1%[path] if { path_beg /api }", "deny if { path_beg /admin } !{ src 10.0.0.0/8 }",
	"redirect scheme https code 301 unless { hdr(x-forwarded-proto) https }", "set-header X-Static 1 if static or { path_end .png .gif }", "set-log-level silent if { path -i /health }",
}

// usual compiles a usual configuration and makes a function that runs it for one request.
func usual(tb testing.TB) func() []byte {
	c, d := newCompiler()
	acls := c.ACLs(aclsOf("acl static path_beg /static /img\nacl static hdr_end(host) -i .cdn.example"))
	set := c.HTTPRequest(rules(usualRules...), acls)
	res := c.HTTPResponse(rules("set-header Strict-Transport-Security max-age=31536000", "del-header Server", "set-header X-Backend %b"), acls)
	line := c.Format(HTTPLog, testPos, true)
	if d.HasErrors() {
		tb.Fatal(diagTexts(d))
	}
	s := newStream(tb, "GET /api/users?id=3 HTTP/1.1")
	request := newStream(tb, "GET /api/users?id=3 HTTP/1.1", "Host: www.example.com:443", "User-Agent: bench", "Accept: */*", "X-Powered-By: none", "Cookie: a=b")
	env := newEnv()
	room := make([]byte, 0, 4096)
	server := stream.Field{Name: []byte("server"), Value: []byte("apache")}
	start := time.Unix(1700000000, 0)
	return func() []byte {
		s.Reset()
		s.Req.Method, s.Req.Target, s.Req.Major, s.Req.Minor = request.Req.Method, request.Req.Target, 1, 1
		s.Req.Fields = append(s.Req.Fields, request.Req.Fields...)
		s.Log.Start, s.Log.ReqDone, s.Log.End, s.Log.RequestLine = start, start, start, request.Log.RequestLine
		set.Run(s, env)
		s.Res.Status, s.Backend, s.Server = 200, "web", "s1"
		s.Res.Fields = append(s.Res.Fields, server)
		res.Run(s, env)
		return line.Append(room, s, env)
	}
}

func TestUsualRulesDoNotAllocate(t *testing.T) {
	run := usual(t)
	if n := testing.AllocsPerRun(200, func() { run() }); n > 0 {
		t.Errorf("%v allocations for one request", n)
	}
}

func BenchmarkUsualRules(b *testing.B) {
	run := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
}
