package rule

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// conditionsInHAProxy must hold or not alike for wireRequest.
var conditionsInHAProxy = []string{
	"{ path /a/b.c/d;p }", "{ path /a }", "{ path_beg /a }", "{ path_beg /b /a/ }", "{ path_beg -i /A/B }", "{ path_beg /A }", "{ path_end p }", "{ path_end -i P q }", "{ path_sub b.c }", "{ path_sub xyz }",
	"{ path_dir b.c }", "{ path_dir b }", "{ path_dir /a/b.c/ }", "{ path_dom c }", "{ path_dom a }", "{ path_reg ^/a/[a-z.]+/ }", "{ path_reg -i ^/A }", "{ path_reg ^/A }", "{ path_len 10 }", "{ path_len gt 5 }", "{ path_len lt 5 }",
	"{ path -m len 9:11 }", "{ path -m found }", "{ query -m found }", "{ hdr(nope) -m found }", "{ hdr(nope) -m len 0 }", "{ hdr(x-empty) -m found }", "{ hdr(x-empty) -m len 0 }",
	"{ hdr(host) www.example.com:8080 }", "{ hdr(host) -i www.example.com:8080 }", "{ hdr_dom(host) -i example.com }", "{ hdr_dom(host) -i ample.com }", "{ hdr_dom(host) -i com }", "{ hdr_dom(host) -i www }", "{ hdr_beg(host) -i www. }", "{ hdr_end(host) 8080 }",
	"{ hdr(x-list) a }", "{ hdr(x-list) b }", "{ hdr(x-list) f }", "{ hdr(x-list) c }", "{ hdr(x-list,1) f }", "{ hdr(x-list,-1) f }", "{ hdr_cnt(x-list) 4 }", "{ hdr_cnt(x-list) gt 4 }", "{ hdr_sub(x-list) , }", "{ hdr_reg(x-list) ^[bf]$ }",
	"{ req.hdr(host),lower www.example.com:8080 }", "{ req.hdr(host),host_only www.example.com }", "{ hdr_ip(x-ip) 10.0.0.0/8 }", "{ hdr_ip(x-ip) 192.168.0.0/16 }", "{ hdr_ip(x-ip) ::1 }", "{ hdr_ip(x-ip) 172.16.0.0/12 }", "{ hdr_val(x-num) 42 }", "{ hdr_val(x-neg) lt 0 }", "{ hdr_val(x-neg) -- -7 }",
	"{ method GET }", "{ method get }", "{ method -i get }", "{ method POST GET }", "METH_GET", "METH_POST", "HTTP_1.1", "HTTP_1.0", "HTTP", "TRUE", "FALSE", "LOCALHOST", "HTTP_URL_SLASH", "HTTP_URL_ABS", "HTTP_URL_STAR", "HTTP_CONTENT",
	"{ src 127.0.0.1 }", "{ src 127.0.0.0/8 }", "{ src 10.0.0.0/8 ::1 }", "{ src ::ffff:127.0.0.1 }", "{ src -m str 127.0.0.1 }", "{ src 127.0.0.0/255.0.0.0 }", "{ src_port gt 0 }", "{ dst_port 1:65535 }", "{ dst_port lt 10 }", "{ dst_port 80 443 }",
	"{ cook(a) 1 }", "{ cook(a) 3 }", "{ cook(a) 2 }", "{ cook_beg(b) tw }", "{ cook(c) -m sub q;r }", "{ cook(nope) -m found }", "{ cook(empty) -m found }", "{ urlp(x) 1 }", "{ urlp(x) 2 }", "{ urlp(x) 3 }", "{ urlp_beg(y) two }", "{ urlp(n) -m found }", "{ url_sub ?x=1 }", "{ url -m beg /a }", "{ base_beg -i www }",
	"{ int(5) 5 }", "{ int(5) 1:4 6: }", "{ int(5) :5 }", "{ int(5) ge 5 }", "{ int(5) gt 5 }", "{ int(5) le 5 }", "{ int(5) lt 5 }", "{ int(5) eq 4 5 }", "{ int(5) gt 9 lt 6 }", "{ int(0) -m bool }", "{ int(2) -m bool }", "{ int(5) -m str 5 }", "{ str(7) -m int 7 }", "{ str(x) -m int 0 }", "{ str(1.2.3.4) -m ip 1.2.0.0/16 }", "{ str(abc) -m bin 616263 }", "{ str(abc) -m bin 6162 }",
	"{ str(abc) -m beg a b }", "{ str(abc) -m end bc }", "{ str(a/b/c) -m dir b/c }", "{ str(a/b/c) -m dir c/ }", "{ str(a/bb/c) -m dir b }", "{ str(x.y.z) -m dom y.z }", "{ str(x.y.z) -m dom .y. }", "{ str(abc) -m sub b }", "{ str(abc) -m reg b. }", "{ str(abc) -m reg ^b }", "{ str(ABC) -m str -i abc }", "{ bool(true) }", "{ bool(0) }", "{ bool(1) -m str 1 }", "{ bool(1) -m int 1 }",
	"{ var(txn.v) -m str mmm }", "{ var(txn.n) -m int 7 }", "{ var(txn.nope) -m found }", "{ var(txn.v) -m found }", "{ str(-x) -- -x }", "{ str(-x) -m str -- -x }", "{ ssl_fc }", "!{ ssl_fc }", "!{ ssl_fc_has_crt }", "{ ssl_c_verify 0 }", "! { ssl_fc }", "!!{ ssl_fc }",
	"TRUE FALSE", "TRUE || FALSE", "FALSE or TRUE", "FALSE TRUE || TRUE !FALSE", "FALSE || FALSE", "! FALSE", "TRUE OR FALSE", "FALSE || TRUE FALSE", "many", "!many", "many !one", "one || two", "one two", "{ path_beg -f @list }", "{ path -f @list }", "{ path -i -f @list /zzz }",
	"{ path,lower -m beg /a }", "{ path,length gt 5 }", "{ path,length,sub(10) 0 }", "{ str(a),strcmp(txn.v) lt 0 }", "{ str(a) a } { str(b) b }", "{ str(a) a } || { str(b) c }", "{ path_len 1 2 10 }", "{ hdr_len(host) 20 }", "{ hdr_dir(host) www.example.com }", "{ req.ver 1.1 }", "{ req.ver gt 1.0 }", "{ meth(PUT) -m str PUT }",
}

const aclLines = `    acl one path_beg /a
    acl two path_beg /b
    acl many path_beg /x
    acl many hdr(x-num) 42abc
    acl many method POST
`

func TestConditionsHoldAsInHAProxy(t *testing.T) {
	program := needHAProxy(t)
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	writeFile(t, list, "# prefixes\n\n/zz\n /a/ \n")
	var cfg strings.Builder
	cfg.WriteString("defaults\n    mode http\n    timeout client 5s\nfrontend f\n    bind fd@3\n" + aclLines +
		"    http-request set-var(txn.v) str(mmm)\n    http-request set-var(txn.n) int(7)\n")
	page := ""
	for i, cond := range conditionsInHAProxy {
		cond = strings.ReplaceAll(cond, "@list", list)
		fmt.Fprintf(&cfg, "    http-request set-var(txn.c%d) int(1) if %s\n    http-request set-var(txn.u%d) int(1) unless %s\n", i, cond, i, cond)
		page += fmt.Sprintf("%%[var(txn.c%d)]%%[var(txn.u%d),add(1)]\n", i, i)
	}
	writeFile(t, filepath.Join(dir, "page"), page)
	fmt.Fprintf(&cfg, "    http-request return status 200 content-type text/plain lf-file %s\n", filepath.Join(dir, "page"))
	writeFile(t, filepath.Join(dir, "cfg"), cfg.String())
	l, stop := startHAProxy(t, program, filepath.Join(dir, "cfg"))
	defer stop()
	res := roundTrip(t, l.Addr().String(), wireRequest)
	theirs := strings.Split(res.body, "\n")
	if len(theirs) != len(conditionsInHAProxy)+1 {
		t.Fatalf("HAProxy answered %s %q", res.status, res.body)
	}

	c, d := newCompiler()
	c.ReadFile = os.ReadFile
	acls := c.ACLs(aclsOf(aclLines))
	s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
	s.Conn.Src, s.Conn.Dst = res.src, res.dst
	env := newEnv()
	c.HTTPRequest(rules("set-var(txn.v) str(mmm)", "set-var(txn.n) int(7)"), acls).Run(s, env)
	for i, cond := range conditionsInHAProxy {
		w := words(strings.ReplaceAll(cond, "@list", list))
		holds := c.Cond(append([]string{"if"}, w...), testPos, acls).Eval(s, env)
		not := c.Cond(append([]string{"unless"}, w...), testPos, acls).Eval(s, env)
		if holds == not {
			t.Errorf("if %s: %v, unless: %v", cond, holds, not)
		}
		if want := theirs[i] == "1"; holds != want {
			t.Errorf("if %s: we say %v, HAProxy says %v", cond, holds, want)
		}
	}
	if d.HasErrors() {
		t.Errorf("unexpected messages:\n%s", diagTexts(d))
	}
}

// changesInHAProxy are sets of http-request rules that must leave wireRequest, or answer it, alike.
var changesInHAProxy = []string{
	"set-header X-New one", "add-header X-Num two", "set-header X-Num three", "set-header x-LIST %[path]", "del-header x-list", "del-header X-Nope", "del-header x- -m beg", "del-header ie -m end", "del-header -j -m sub", "del-header ^x-[ij] -m reg",
	"replace-header X-Num ([0-9]+)(.*) \\2-\\1", "replace-header X-Num nomatch X", "replace-header X-List (.*) <\\1>", "replace-value X-List ([ab]) <\\1\\1>", "replace-value X-Ip ^10\\.(.*)$ 11.\\1", "replace-header X-Num b B", "replace-value X-List z z",
	"set-path /new", "set-path /new%[path]", "set-path /q?w", "set-query z=1", "set-query %[hdr(nope)]", "set-query %[query,regsub(x=1,x=9)]", "set-uri /whole?new", "set-uri http://o.example/p?q", "set-pathq /pq?2",
	"replace-path (.*)/d(.*) \\1/D\\2", "replace-path ^/nope /x", "replace-pathq ^([^?]*)\\?(.*) \\1?was=\\2", "replace-uri ^/(.*) /u/\\1",
	"set-var(txn.a) path,upper|set-header X-A %[var(txn.a)]", "set-var-fmt(txn.a) <%[path]>|set-header X-A %[var(txn.a)]", "set-var(txn.a) int(1)|unset-var(txn.a)|set-header X-A %[var(txn.a)].", "set-var(txn.a) str(x)|set-var(txn.a,ifnotexists) str(y)|set-header X-A %[var(txn.a)]",
	"set-var(txn.a,ifexists) str(y)|set-header X-A [%[var(txn.a)]]", "set-var(req.a) src|set-var(sess.b) var(req.a)|set-header X-A %[var(sess.b)]", "set-header X-A a if FALSE|set-header X-B b unless FALSE", "allow|set-header X-A a",
	"set-header X-A \"%[str('a\\nb\\r')]\"", "set-header X-A %[str(a%b)]", "set-header X-A 100%%", "set-header X-A \"  sp  \"", "set-header X-A %{+Q}[path]", "set-header X-A %[hdr(nope)]", "add-header X-A %ci:%[dst_port,sub(0),not]",
	"set-log-level silent", "deny", "deny status 429", "deny deny_status 404", "deny status 418 content-type text/plain string tea", "deny status 401 hdr x-why %[method]", "return", "return status 204", "return status 404 content-type text/html string <b>", "return status 200 content-type text/plain lf-string %[path,field(-1,/)].%%",
	"return content-type text/plain lf-string \"%[str(a%b)]\\n\"", "return status 503 default-errorfiles", "return status 200 hdr X-One 1 hdr X-Two %[path]", "return status 200 content-type text/plain string x hdr a b", "return content-type text/plain",
	"redirect location /there", "redirect location http://x/ code 301", "redirect prefix http://x", "redirect prefix / drop-query append-slash", "redirect prefix https://%[hdr(host)] code 307", "redirect prefix http://x drop-query code 303", "redirect scheme https", "redirect scheme https code 308 drop-query", "redirect scheme https append-slash drop-query",
	"redirect location /t set-cookie SEEN=1", "redirect location /t clear-cookie USERID", "redirect location %[hdr(nope)] ignore-empty|set-header X-A passed", "redirect location %[path]/x code 302 if TRUE", "redirect location / unless TRUE", "redirect scheme %[str(ht)]tps code 301 if !{ ssl_fc }",
	"redirect location /x?%[query]", "redirect prefix / code 301 append-slash", "set-path /x|redirect prefix /p", "tarpit deny_status 403 if FALSE", "reject if FALSE", "deny if { path_beg /a } !{ path_beg /b }",
}

func TestRulesChangeRequestsAsHAProxys(t *testing.T) {
	program := needHAProxy(t)
	dir := t.TempDir()
	var cfg strings.Builder
	cfg.WriteString("defaults\n    mode http\n    timeout client 5s\n    timeout tarpit 1s\nfrontend f\n    bind fd@3\n    use_backend case%[path,field(2,/)]\n")
	for i, set := range changesInHAProxy {
		fmt.Fprintf(&cfg, "backend case%d\n    http-request set-uri /%%[url,regsub(^/[0-9]*/,)]\n", i)
		for _, r := range strings.Split(set, "|") {
			fmt.Fprintf(&cfg, "    http-request %s\n", r)
		}
		cfg.WriteString("    http-request return status 299 content-type text/plain lf-string \"%[method] %[url]\\n%[req.hdrs]\"\n")
	}
	writeFile(t, filepath.Join(dir, "cfg"), cfg.String())
	l, stop := startHAProxy(t, program, filepath.Join(dir, "cfg"))
	defer stop()
	c, d := newCompiler()
	for i, set := range changesInHAProxy {
		theirs := roundTrip(t, l.Addr().String(), strings.Replace(wireRequest, "GET /", fmt.Sprintf("GET /%d/", i), 1))
		s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
		s.Conn.Src, s.Conn.Dst = theirs.src, theirs.dst
		compiled := c.HTTPRequest(rules(append(strings.Split(set, "|"), `return status 299 content-type text/plain lf-string "%[method] %[url]\n%[req.hdrs]"`)...), nil)
		v := compiled.Run(s, newEnv())
		if v.Kind == VerdictAllow { // the page would be answered by the next set
			continue
		}
		ours := answerOf(v)
		if ours != theirs.answer() {
			t.Errorf("http-request %s: %s", set, firstDifference(ours, theirs.answer()))
		}
	}
	if d.HasErrors() {
		t.Errorf("unexpected messages:\n%s", diagTexts(d))
	}
}

// answerOf writes a verdict as response.answer does.
func answerOf(v Verdict) string {
	if v.Reply == nil {
		return v.Kind.String()
	}
	if v.Reply.ErrorFile != 0 {
		return fmt.Sprintf("%d error page\n%s", v.Status, fieldLines(v.Reply.Fields))
	}
	return fmt.Sprintf("%d\n%s\n%s", v.Status, fieldLines(v.Reply.Fields), v.Reply.Body)
}

// firstDifference names the first line in which two answers differ.
func firstDifference(ours, theirs string) string {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: we answer %q, HAProxy answers %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("we answer %d lines %q, HAProxy answers %d %q", len(a), ours, len(b), theirs)
}

// response is what HAProxy answered.
type response struct {
	status   string
	code     int
	head     string // without framing fields
	body     string
	src, dst netip.AddrPort
}

func (r response) answer() string {
	body := strings.ReplaceAll(r.body, "%0D%0A", "\r\n") // before 3.0 control characters were encoded in bodies too
	if strings.HasPrefix(body, "<html>") {
		head := strings.Replace(r.head, "cache-control: no-cache\ncontent-type: text/html\n", "", 1)
		return fmt.Sprintf("%d error page\n%s", r.code, head)
	}
	return fmt.Sprintf("%d\n%s\n%s", r.code, r.head, body)
}

func roundTrip(t *testing.T, addr, request string) response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil {
		t.Fatalf("%v after %q", err, raw.String())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := response{status: res.Status, code: res.StatusCode, body: string(body)}
	r.src, r.dst = conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	head, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if name, _, _ := strings.Cut(line, ":"); !framingFields[name] {
			r.head += line + "\n"
		}
	}
	return r
}
