package rule

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// formatOf compiles and writes one format as a rule of a request would.
func formatOf(t *testing.T, s *stream.Stream, env Env, text string) string {
	t.Helper()
	c, d := newCompiler()
	f, err := c.parseFormat(text, formatUse{mode: true, in: anywhere})
	if err != nil || len(*d) > 0 {
		t.Fatalf("%s: %v %s", text, err, diagTexts(d))
	}
	return string(f.Append(nil, s, env))
}

func TestFetchesOfTheProcess(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Log.UniqueID = []byte("id-1")
	env := newEnv()
	env.vars["x"] = text([]byte("pv"))
	for _, row := range [][2]string{
		{"%[nbsrv(web)]", "2"}, {"%[srv_is_up(web/s1)]", "1"}, {"%[srv_is_up(web/s2)]", "0"},
		{"%[date]", "1700000000"}, {"%[date(-5)]", "1699999995"}, {"%[date(0,ms)]", "1700000000500"}, {"%[hostname] %[pid]", "edge1 4242"},
		{"%[env(SET)]", "value of SET"}, {"%[env(UNSET)]", ""}, {"%[unique-id]", "id-1"}, {"%[var(proc.x)]", "pv"}, {"%[var(proc.y)]", ""},
		{"%[rand(0)]", "0"}, {"%H %pid %ID", "edge1 4242 id-1"}, {"%{+X}pid", "1092"}, {"%[hdr_ip(x)]", ""}, {"%[srv_name]", ""},
	} {
		if got := formatOf(t, s, env, row[0]); got != row[1] {
			t.Errorf("%s: got %q, want %q", row[0], got, row[1])
		}
	}
	for _, text := range []string{"%[nbsrv(web)]", "%[srv_is_up(web/s1)]", "%[var(proc.x)]"} {
		if got := formatOf(t, s, nil, text); got != "" {
			t.Errorf("%s without a process: got %q", text, got)
		}
	}
	for _, version := range []string{"4", "7"} {
		id := formatOf(t, s, env, "%[uuid("+version+")]")
		if len(id) != 36 || id[14] != version[0] || !strings.Contains("89ab", id[19:20]) {
			t.Errorf("uuid version %s: %q", version, id)
		}
	}
	if id := formatOf(t, s, env, "%[uuid(7)]"); !strings.HasPrefix(id, fmt.Sprintf("%08x", (int64(1700000000500)>>16)&0xffffffff)) {
		t.Errorf("uuid version 7 does not start with the time: %q", id)
	}
}

func TestFetchesOfTLS(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Conn.TLS = &stream.TLS{SNI: "WWW.example.com", ALPN: "h2", Version: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Crt: "/etc/a.pem",
		ClientCert: []*x509.Certificate{{}}, VerifyErr: 10, CrtErr: 10, Curve: tls.X25519}
	for _, row := range [][2]string{
		{"%[ssl_fc] %[ssl_fc_sni] %[ssl_fc_has_sni] %[ssl_fc_alpn]", "1 WWW.example.com 1 h2"},
		{"%[ssl_fc_protocol] %[ssl_fc_cipher] %sslv %sslc %ft", "TLSv1.3 TLS_AES_128_GCM_SHA256 TLSv1.3 TLS_AES_128_GCM_SHA256 f~"},
		{"%[ssl_fc_is_resumed] %[ssl_fc_has_crt] %[ssl_c_used] %[ssl_c_verify] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]", "0 1 1 10 10 0 0"},
		{"%[ssl_fc_crtname] %[ssl_fc_err] %[ssl_fc_err,hex] %[fc_err]", "/etc/a.pem 0 0000000000000000 0"}, {"%[ssl_fc_curve]", "X25519"},
	} {
		if got := formatOf(t, s, nil, row[0]); got != row[1] {
			t.Errorf("%s: got %q, want %q", row[0], got, row[1])
		}
	}
	s.Conn.TLS = &stream.TLS{Resumed: true, ClientCert: []*x509.Certificate{{}}, VerifyErr: 20, CAErr: 20, CAErrDepth: 1}
	s.Conn.FcErr = 30
	if got := formatOf(t, s, nil, "%[ssl_fc_is_resumed]%[ssl_fc_has_crt]%[ssl_c_used] %[ssl_c_err] %[ssl_c_ca_err] %[fc_err] %[fc_err_str] %[ssl_fc_protocol]"); got != "101 0 20 30 SSL client CA chain cannot be verified " {
		t.Errorf("resumed session: got %q", got)
	}
}

// run compiles rules with the compiler's set for a direction, and fails on any message.
func run(t *testing.T, compile func(c *Compiler) *Set, s *stream.Stream, env Env) Verdict {
	t.Helper()
	c, d := newCompiler()
	set := compile(c)
	if len(*d) > 0 {
		t.Fatalf("unexpected messages:\n%s", diagTexts(d))
	}
	return set.Run(s, env)
}

func TestResponseRulesChangeTheResponse(t *testing.T) {
	s := newStream(t, "GET /x HTTP/1.1", "X-Q: req")
	s.Res.Status, s.Res.Reason, s.Res.Major = 200, []byte("OK"), 1
	s.Res.Fields = []stream.Field{{Name: []byte("server"), Value: []byte("a")}, {Name: []byte("set-cookie"), Value: []byte("sid=1; path=/")}, {Name: []byte("x-a"), Value: []byte("1")}}
	s.Res.Body, s.Res.Length = stream.BodyLength, 12
	s.Backend, s.Server = "web", "s1"
	s.EndRequest()
	v := run(t, func(c *Compiler) *Set {
		return c.HTTPResponse(rules("del-header server", "set-header X-A %[res.hdr(x-a)]%[status]%[hdr(x-a)]", "set-var(res.c) res.cook(sid)", "add-header X-C %[var(res.c)]%[res.hdr(content-length)]",
			"set-header X-B %b/%s/%[be_name]", "set-status 404 reason \"Not %[status]\" if { status 200 }", "set-log-level silent if { res.ver 1.0 }", "replace-header set-cookie (.*)path=/(.*) \\1path=/x\\2"), nil)
	}, s, newEnv())
	want := "set-cookie: sid=1; path=/x\nx-a: 12001\nx-c: 112\nx-b: web/s1/web\n"
	if got := fieldLines(s.Res.Fields); v.Kind != VerdictGo || got != want {
		t.Errorf("verdict %v, fields\n%swant\n%s", v.Kind, got, want)
	}
	if s.Res.Status != 404 || string(s.Res.Reason) != "Not 200" || s.Log.Level != "silent" {
		t.Errorf("status %d %q, level %q", s.Res.Status, s.Res.Reason, s.Log.Level)
	}
	v = run(t, func(c *Compiler) *Set { return c.HTTPResponse(rules("deny if { status 404 }"), nil) }, s, nil)
	if v.Kind != VerdictDeny || v.Status != 502 || v.Reply.ErrorFile != 502 {
		t.Errorf("deny of a response: %+v", v)
	}
	v = run(t, func(c *Compiler) *Set {
		return c.HTTPAfterResponse(rules("set-status 503", "allow if TRUE", "set-header x y"), nil)
	}, s, nil)
	if v.Kind != VerdictAllow || s.Res.Status != 503 || string(s.Res.Reason) != "Service Unavailable" || stream.Has(s.Res.Fields, "x") {
		t.Errorf("after-response: %v %d %q", v.Kind, s.Res.Status, s.Res.Reason)
	}
}

func TestACMEChallengeRuleAnswersTheThumbprint(t *testing.T) {
	s := newStream(t, "GET /.well-known/acme-challenge/tok-EN_1 HTTP/1.1", "Host: a.example")
	v := run(t, func(c *Compiler) *Set {
		return c.HTTPRequest(rules(`return status 200 content-type text/plain lf-string "%[path,field(-1,/)].THUMB\n" if { path_beg '/.well-known/acme-challenge/' }`, "redirect scheme https"), nil)
	}, s, nil)
	if v.Kind != VerdictReturn || v.Status != 200 || string(v.Reply.Body) != "tok-EN_1.THUMB\n" || fieldLines(v.Reply.Fields) != "content-type: text/plain\n" {
		t.Errorf("got %+v %q", v, v.Reply.Body)
	}
}

func TestNoRuleWritesALineBreakIntoAField(t *testing.T) {
	for _, rule := range []string{
		`set-header X-A %[bin(610d0a583a620062)]`, `add-header X-A %[var(txn.evil)]`, `replace-header X-In (.*) \1\\x0d\\x0aX:b\\x00`, `replace-value X-In (.*) \1\\x0aX:b`, `set-header X-A %[url_param(q),url_dec]`,
		`return status 200 hdr X-A %[url_param(q),url_dec]`, `redirect location /%[url_param(q),url_dec]`, `redirect prefix /%[var(txn.evil)]`, `redirect scheme %[var(txn.evil)]`, `redirect location / set-cookie-fmt a=%[var(txn.evil)]`,
		`set-path /%[url_param(q),url_dec]`, `set-query %[var(txn.evil)]`, `set-uri /%[var(txn.evil)]`, `set-pathq /%[var(txn.evil)]`, `replace-path (.*) \1\\x0a\\x20x`, `set-method %[var(txn.evil)]`,
	} {
		s := newStream(t, "GET /p?q=a%0d%0aX:b%00 HTTP/1.1", "X-In: in", "Host: h")
		s.Txn.Set("evil", text([]byte("a\r\nX: b\x00")))
		v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules(rule), nil) }, s, nil)
		fields := s.Req.Fields
		if v.Reply != nil {
			fields = v.Reply.Fields
		}
		all := fieldLines(fields)
		if len(fields) != strings.Count(all, "\n") || strings.ContainsAny(all, "\r\x00") {
			t.Errorf("%s: fields %q", rule, all)
		}
		if line := string(s.Req.Method) + string(s.Req.Target); strings.ContainsAny(line, " \r\n\x00") {
			t.Errorf("%s: request line %q", rule, line)
		}
	}
}

func TestFramingFieldsCannotBeWritten(t *testing.T) {
	for _, name := range []string{"Content-Length", "transfer-encoding", "Connection", "Upgrade", "keep-alive", "a b", "a:", "", "h\xc3"} {
		for _, rule := range []string{"set-header", "add-header"} {
			c, d := newCompiler()
			c.HTTPRequest([]config.Rule{{Pos: testPos, Words: []string{rule, name, "x"}}}, nil)
			if !d.HasErrors() {
				t.Errorf("%s %q passed", rule, name)
			}
		}
	}
}

func TestRewritesAreBounded(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	var list []string
	for range 2000 {
		list = append(list, "add-header X-A b")
	}
	if v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules(list...), nil) }, s, nil); v.Kind != VerdictError || v.Status != 500 || len(s.Req.Fields) > maxFields {
		t.Errorf("2000 fields: %v %d, %d fields", v.Kind, v.Status, len(s.Req.Fields))
	}
	s = newStream(t, "GET / HTTP/1.1", "X-A: a")
	list = nil
	for range 40 {
		list = append(list, "set-header X-A %[hdr(x-a)]%[hdr(x-a)]")
	}
	if v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules(list...), nil) }, s, nil); v.Kind != VerdictError || s.Size() > 4*maxRewrite {
		t.Errorf("doubling value: %v, %d bytes", v.Kind, s.Size())
	}
}

func TestValuesDoNotGrowWithoutEnd(t *testing.T) {
	s := newStream(t, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1")
	for _, step := range []string{",hex", ",base64", ",url_enc", ",concat(xxxxxxxxxxxxxxxxxxxx,txn.v,y)", `,regsub(a,\0\0\0a,g)`} {
		c, d := newCompiler()
		x := c.Expr("path"+strings.Repeat(step, maxSteps), testPos)
		if x == nil {
			t.Fatalf("%s: %s", step, diagTexts(d))
		}
		s.Reset()
		s.Req.Target = []byte("/a%%%")
		if v, _ := x.Eval(s, nil); len(v.Bytes) > 4*maxValue || s.Size() > 1<<20 {
			t.Errorf("%s repeated makes %d bytes in %d", step, len(v.Bytes), s.Size())
		}
	}
}

func TestErrorfileOfAReturnIsAWholeResponse(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("return errorfile page"), nil) }, s, nil)
	if v.Reply == nil || v.Reply.Status != 418 || v.Reply.Reason != "Teapot" || fieldLines(v.Reply.Fields) != "x-page: yes\nconnection: close\n" || string(v.Reply.Body) != "body\n" {
		t.Errorf("got %+v", v.Reply)
	}
	v = run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules("return content-type text/plain lf-file lf"), nil) }, s, nil)
	if string(v.Reply.Body) != "path is /\n" {
		t.Errorf("lf-file: %q", v.Reply.Body)
	}
	if r, err := ParseReply(nil); err != nil || !r.Silent {
		t.Errorf("an empty file: %+v, %v", r, err)
	}
	for _, bad := range []string{"HTTP/1.1 200 OK\r\n", "HTTP/1.1 204 No\r\n\r\nbody", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "<html>\n\n", "HTTP/1.1 200 OK\nContent-Length: 1\n\n", "HTTP/1.1 99 x\r\n\r\n", "200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n"} {
		if r, err := ParseReply([]byte(bad)); err == nil {
			t.Errorf("%q passed as %+v", bad, r)
		}
	}
}

func TestLogLineOfAFinishedRequest(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("here", 2*3600)
	t.Cleanup(func() { time.Local = local })
	s := newStream(t, "GET /x?y=\"z\" HTTP/1.1", "Host: a")
	at := func(ms int) time.Time { return s.Log.Start.Add(time.Duration(ms) * time.Millisecond) }
	s.Conn.Handshake, s.Conn.Accepted = 7*time.Millisecond, at(-10)
	l := &s.Log
	l.Idle, l.ReqDone, l.Queued, l.Connected, l.ResHead, l.End = 3*time.Millisecond, at(1), at(3), at(6), at(10), at(15)
	l.BytesIn, l.BytesOut, l.Status, l.Retries, l.Redispatched = 120, 3456, 200, 1, true
	l.ActConn, l.FeConn, l.BeConn, l.SrvConn, l.SrvQueue, l.BckQueue = 9, 8, 7, 6, 5, 4
	l.RequestCount, l.LogCount = 17, 33
	l.SrvSrc, l.SrvDst = netip.MustParseAddrPort("10.0.0.1:5555"), netip.MustParseAddrPort("[2001:db8::9]:8080")
	s.Backend, s.Server = "web", "s1"
	c, d := newCompiler()
	for _, row := range [][2]string{
		{HTTPLog, `192.0.2.1:40000 [22/Nov/2026:17:04:05.678] f web/s1 1/2/3/4/15 200 3456 - - ---- 9/8/7/6/+1 5/4 "GET /x?y=#22z#22 HTTP/1.1"`},
		{HTTPSLog, `192.0.2.1:40000 [22/Nov/2026:17:04:05.678] f web/s1 1/2/3/4/15 200 3456 - - ---- 9/8/7/6/+1 5/4 "GET /x?y=#22z#22 HTTP/1.1" 0/-/-/-/0 -/-/-`},
		{TCPLog, `192.0.2.1:40000 [22/Nov/2026:17:04:05.668] f web/s1 2/3/25 3456 -- 9/8/7/6/+1 5/4`},
		{HTTPCLF, `192.0.2.1 - - [22/Nov/2026:15:04:05 +0000] "GET /x?y=#22z#22 HTTP/1.1" 200 3456 "" "" 40000 668 "f" "web" "s1" 1 2 3 4 15 ---- 9 8 7 6 +1 5 4 "" "" `},
		{"%T|%Tl|%Ts|%trl|%{+X}Ts", "22/Nov/2026:15:04:05 +0000|22/Nov/2026:17:04:05 +0200|1795359845|22/Nov/2026:17:04:05 +0200|6B030465"},
		{"%Th/%Ti/%TR/%Tq/%Td/%Tt/%Tu/%U/%rt/%lc/%{+X}rt", "7/3/1/11/5/25/22/120/17/33/0011"}, {"%bi:%bp %si:%sp %{+X}si:%{+X}sp", "10.0.0.1:5555 2001:db8::9:8080 20010DB8000000000000000000000009:1F90"},
	} {
		f := c.Format(row[0], testPos, true)
		if got := string(f.Append(nil, s, newEnv())); got != row[1] {
			t.Errorf("%s\n got %s\nwant %s", row[0], got, row[1])
		}
	}
	l.Early, l.ResHead, l.End, l.RequestLine = true, time.Time{}, at(5), nil
	if got := string(c.Format("%Tr %Ta %Tt %B %r %HM", testPos, true).Append(nil, s, nil)); got != "-1 +5 +15 +3456 <BADREQ> <BADREQ>" {
		t.Errorf("unfinished: %q", got)
	}
	if d.HasErrors() {
		t.Error(diagTexts(d))
	}
	if f := c.Format(HTTPLog, testPos, false); f != nil || !strings.Contains(diagTexts(d), "format alias 'tr' is reserved for HTTP mode") {
		t.Errorf("aliases of mode http passed in mode tcp: %s", diagTexts(d))
	}
}

func TestLogLinesStayOneLine(t *testing.T) {
	s := newStream(t, "GET / HTTP/1.1")
	s.Txn.Set("evil", text([]byte("a\nb\r\x7f\tc")))
	c, _ := newCompiler()
	if got := string(c.Format("%[var(txn.evil)] %{+Q}[var(txn.evil)]", testPos, true).Append(nil, s, nil)); got != "a#0Ab#0D#7F\tc \"a#0Ab#0D#7F\tc\"" {
		t.Errorf("got %q", got)
	}
}

func TestVariablesOfASessionOutliveTheRequest(t *testing.T) {
	s := newStream(t, "GET /one HTTP/1.1")
	env := newEnv()
	run(t, func(c *Compiler) *Set {
		return c.HTTPRequest(rules("set-var(sess.a) path,upper", "set-var(txn.a) path", "set-var(proc.a) path,upper"), nil)
	}, s, env)
	s.Reset()
	s.Scratch([]byte("overwrites what the first request built"))
	if v, ok := s.Conn.Vars.Get("a"); !ok || string(v.Bytes) != "/ONE" {
		t.Errorf("sess.a is %q", v.Bytes)
	}
	if v := env.vars["a"]; string(v.Bytes) != "/ONE" {
		t.Errorf("proc.a is %q", v.Bytes)
	}
	if _, ok := s.Txn.Get("a"); ok {
		t.Error("txn.a outlived its request")
	}
}

func TestEveryNameIsRefusedOrKnown(t *testing.T) {
	for name := range strings.FieldsSeq(fetchNames) {
		_, err := findFetch(name)
		if fetches[name] == nil && (err == nil || !strings.HasSuffix(err.Error(), "is not supported")) {
			t.Errorf("fetch %s: %v", name, err)
		}
	}
	for name := range strings.FieldsSeq(converterNames) {
		_, err := findConverter(name)
		if converters[name] == nil && (err == nil || !strings.HasSuffix(err.Error(), "is not supported")) {
			t.Errorf("converter %s: %v", name, err)
		}
	}
	for name := range fetches {
		if !knownFetch(name) {
			t.Errorf("fetch %s is none of HAProxy's", name)
		}
	}
	for name := range converters {
		if !knownConverter(name) {
			t.Errorf("converter %s is none of HAProxy's", name)
		}
	}
	for name, words := range predefined {
		c, d := newCompiler()
		c.Cond([]string{"if", name}, testPos, nil)
		if d.HasErrors() {
			t.Errorf("%s (%s): %s", name, words, diagTexts(d))
		}
	}
}

func TestEveryEntrySaysWhatItIs(t *testing.T) {
	for name, f := range fetches {
		if f.doc == "" || f.bind == nil {
			t.Errorf("fetch %s has no doc line or no bind function", name)
		}
	}
	for name, f := range converters {
		if f.doc == "" || f.bind == nil {
			t.Errorf("converter %s has no doc line or no bind function", name)
		}
	}
	for name, a := range actions {
		if a.doc == "" || a.bind == nil || a.where == 0 {
			t.Errorf("action %s lacks something", name)
		}
		for at, list := range map[place]string{atRequest: requestActionNames, atResponse: responseActionNames, atAfter: afterActionNames} {
			if a.where&at != 0 && !known(list, name) {
				t.Errorf("action %s stands where HAProxy has none", name)
			}
		}
	}
	for name, a := range formatAliases {
		if a.doc == "" || a.bind == nil {
			t.Errorf("alias %s has no doc line or no bind function", name)
		}
	}
}

func TestSplitCond(t *testing.T) {
	c, _ := newCompiler()
	before, cond := c.SplitCond(words("be_%[path] unless { path / }"))
	if strings.Join(before, " ") != "be_%[path]" || strings.Join(cond, " ") != "unless { path / }" {
		t.Errorf("got %q %q", before, cond)
	}
	if before, cond = c.SplitCond([]string{"web"}); len(before) != 1 || cond != nil {
		t.Errorf("got %q %q", before, cond)
	}
}
