package rule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
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

// renew makes s a fresh stream with the request of another.
func renew(s, request *stream.Stream) {
	s.Reset()
	s.Req.Method, s.Req.Target, s.Req.Major, s.Req.Minor = request.Req.Method, request.Req.Target, 1, 1
	s.Req.Fields = append(s.Req.Fields, request.Req.Fields...)
	s.Log.RequestLine = request.Log.RequestLine
}

// BenchmarkLogFormats writes one line of each kind: the built-in ones, and the encodings of items.
func BenchmarkLogFormats(b *testing.B) {
	const items = "%(who)ci %(status)ST %(bytes)B %(line)r %(uri)[capture.req.uri] %(n)[int(-5)]"
	for _, kind := range []struct{ name, text string }{
		{"http", HTTPLog}, {"https", HTTPSLog}, {"tcp", TCPLog}, {"clf", HTTPCLF}, {"json", "%{+json}o " + items}, {"cbor", "%{+cbor}o " + items},
		{"quoted and escaped", "%{+Q,+E}r %{+Q}[capture.req.uri] %{+E}HP"}, {"samples", "%[src] %[capture.req.uri,lower] %[capture.req.method] %[var(txn.a)]"},
	} {
		b.Run(kind.name, func(b *testing.B) {
			c, d := newCompiler()
			line := c.Format(kind.text, testPos, true)
			if d.HasErrors() {
				b.Fatal(diagTexts(d))
			}
			request := newStream(b, "GET /api/users?id=3 HTTP/1.1", "Host: www.example.com:443")
			s := newStream(b, "GET / HTTP/1.1")
			env, room := newEnv(), make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				renew(s, request)
				s.Backend, s.Server, s.Res.Status = "web", "s1", 200
				if len(line.Append(room, s, env)) == 0 {
					b.Fatal("an empty line")
				}
			}
		})
	}
}

// BenchmarkConverters runs chains as configurations have them, and the ones that compute most.
func BenchmarkConverters(b *testing.B) {
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ann"}`))
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(signed))
	token := signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	for _, text := range []string{
		"req.hdr(host),lower,field(1,:)", "path,url_dec,regsub(users,people),upper", "src,ipmask(24,48)", "req.hdr(x-list),word(3,:),length,add(2),mul(3),mod(7)", "path,xxh64", "path,sha2(256),hex", "path,hmac(sha256,a2V5),base64",
		"req.hdr(x-token),jwt_header_query($.alg)", "req.hdr(x-token),jwt_payload_query($.sub)", "req.hdr(x-token),jwt_verify(HS256,key)", "req.hdr(x-json),json_query($.a.b)",
	} {
		b.Run(text, func(b *testing.B) {
			c, d := newCompiler()
			set := c.HTTPRequest(rules("set-var(txn.x) "+text), nil)
			if d.HasErrors() {
				b.Fatal(diagTexts(d))
			}
			request := newStream(b, "GET /api/users?id=3 HTTP/1.1", "Host: WWW.example.com:443", "X-List: a:b:cde:f", "X-Token: "+token, `X-Json: {"a":{"b":7}}`)
			s := newStream(b, "GET / HTTP/1.1")
			env, show := newEnv(), c.Format("%[var(txn.x)]", testPos, true)
			b.ReportAllocs()
			for b.Loop() {
				renew(s, request)
				set.Run(s, env)
			}
			if out := string(show.Append(nil, s, env)); out == "-" || out == "" {
				b.Fatalf("%q came out", out)
			}
		})
	}
}
