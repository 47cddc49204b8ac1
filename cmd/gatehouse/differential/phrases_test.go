package differential

// The phrases that scenarios are made of. Each is accepted by haproxy 2.6 and by later versions; see generator.word for the letters
// in angle brackets.

var headerNames = []string{"x-a", "x-b", "X-Mixed", "x-list", "cookie", "user-agent", "host", "x-num", "referer", "accept-language", "x-none"}

var paths = []string{"/", "/a", "/a/b/c", "/b/x.html", "/B/X.HTML", "/api/v1/items/5", "/img/logo.png", "/a%20b/%C3%A9", "/long/" + longWord, "/a//b/../c", "/admin/", "/s;p=1"}

const longWord = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz"

var clientFields = []string{
	"X-A: one", "X-A: two, three", "X-B: ", "X-B:   padded value \t ", "X-Mixed: CamelCase", "X-List: a,b , c,\"d,e\",f", "X-Num: 42", "X-Num: -7", "X-Num: 9z",
	"Cookie: a=1; b=two; SRV=v1", "Cookie: a=2;c=\"q\"", "Cookie: SRV=w1", "Cookie: x=y; SRV=v2~more; z=1", "User-Agent: curl/8.0", "User-Agent: Mozilla/5.0 (X11; Linux)",
	"Referer: http://ref.example/p?q", "Accept-Language: fr;q=0.5, en", "Authorization: Basic dXNlcjpwYXNz", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8, 10.0.0.1", "Accept: */*", "X-Ip: 10.1.2.3", "Accept-Encoding: gzip",
	"Content-Type: application/x-www-form-urlencoded", "If-None-Match: \"abc\"", "Range: bytes=0-3", "X-Bin: caf\xc3\xa9", "X-Path: /a/b", "Authorization: Basic aGFzaGVkOnBhc3M=", "Authorization: Basic dXNlcjpiYWQ=", "X-Json: {\"a\":{\"b\":[1,\"x\"]},\"n\":5}", "X-B64: aGVsbG8gd29ybGQ=", "X-Hex: 48656c6c6f",
}

var requestSamples = typedList(
	"s path pathq query url base hdr(<h>) req.hdr(<h>) req.hdr(<h>,1) req.hdr(<h>,-1) req.fhdr(<h>) req.hdr_names cook(a) cook(SRV) urlp(x) urlp(y) url_param(q) req.ver str(text) str(a-b-c) fe_name http_auth_user hdr(host),lower env(NOPE)",
	"i hdr(host),port_only hdr_cnt(<h>) hdr_val(x-num) cook_cnt(a) urlp_val(n) int(5) int(-3) bool(1) ssl_fc url32 always_true",
	"a src dst hdr_ip(x-ip) ipv4(10.1.2.3)",
	"b bin(48656c6c6f)",
	"m method",
)

// logSamples are those that are still there when the line is written.
var logSamples = typedList("s str(a-b-c) fe_name be_name srv_name capture.req.hdr(0) capture.res.hdr(0) capture.req.uri capture.req.method capture.req.ver", "v var(<v>)", "i int(5)", "a src dst")

var integerSamples = []string{"int(7)", "int(-3)", "hdr_val(x-num)", "path,length", "hdr_cnt(x-a)", "urlp_val(n)", "query,length", "bool(true)", "str(12)"}

var responseSamples = typedList(
	"s res.hdr(server) res.hdr(x-multi) res.hdr(x-multi,1) res.fhdr(x-multi) res.ver res.hdr_names res.cook(sid) scook(sid) res.hdr(content-type) res.hdr(location) str(text) res.hdr(etag) fe_name",
	"v var(<v>)",
	"i status res.hdr_cnt(x-multi) int(5)",
	"a src",
)

// converters by the types they take and give.
var converters = typedList(
	"ss lower upper field(2,/) field(-1,.) field(1,-,2) word(1,/) word(-1,.) regsub(a,b) regsub(a,b,g) regsub([aeiou],*,g) url_dec concat(<,txn.a,>) concat(-) ltrim(a) rtrim(/) json(utf8) map_str(map,none) map_beg(map,none) map_sub(map) map_reg(regmap,none) map_end(map,none) map(map) host_only url_enc cut_crlf capture-req(0)",
	"si length strcmp(txn.a) map_str_int(intvals,4) json_query('$.n')",
	"ii add(3) mul(2) div(2) mod(3) neg not bool odd even and(6) or(8) xor(5) cpl",
	"is iif(yes,no) map_int(intmap,-)",
	"bs hex base64 ub64enc",
	"bi crc32 djb2 sdbm wt6 crc32c xxh32 xxh64",
	"bb bytes(0,2) bytes(1) b64dec sha1 sha2 digest(md5)",
	"aa ipmask(8) ipmask(24)",
	"as map_ip(ipmap,no)",
)

var requestTests = []string{
	"{ path <p> }", "{ path_beg /a }", "{ path_beg -i /A /i }", "{ path_end .html .png }", "{ path_end -i html }", "{ path_sub api }", "{ path_dir a }", "{ path_dir b/c }", "{ path_reg ^/(a|b)/ }", "{ path_reg -i HTML$ }", "{ path_len gt 6 }", "{ path_len 1:5 }", "{ path -m found }", "{ path_dom c }",
	"{ hdr(<h>) -m found }", "{ hdr(x-a) one two }", "{ hdr(x-a) -m sub tw }", "{ hdr_beg(user-agent) curl }", "{ hdr_sub(user-agent) -i MOZ }", "{ hdr(host) -i www.example.com }", "{ hdr_dom(host) example }", "{ hdr_end(host) .org:8080 }", "{ hdr_cnt(x-a) gt 1 }", "{ hdr_cnt(<h>) 0 }", "{ hdr_val(x-num) 42 }", "{ hdr_val(x-num) lt 0 }", "{ hdr_ip(x-ip) 10.0.0.0/8 }", "{ hdr_ip(x-forwarded-for) 192.0.2.0/24 }", "{ hdr_len(x-mixed) 9 }", "{ hdr_reg(x-list) ^[ab]$ }", "{ hdr_dir(referer) p }",
	"{ method GET POST }", "{ method HEAD }", "METH_GET", "METH_POST", "HTTP_1.1", "HTTP_1.0", "TRUE", "FALSE", "LOCALHOST", "HTTP_URL_SLASH", "{ query -m found }", "{ query -m sub x=1 }", "{ urlp(x) 1 }", "{ urlp(y) -m beg tw }", "{ urlp_val(n) ge 5 }", "{ cook(a) 1 2 }", "{ cook(SRV) -m found }", "{ cook_cnt(a) 1 }",
	"{ src 127.0.0.0/8 }", "{ src 10.0.0.0/8 }", "{ dst 127.0.0.1 }", "{ ssl_fc }", "{ req.ver 1.1 }", "{ var(<v>) -m found }", "{ var(txn.a) -m str text }", "{ var(txn.b) -m int gt 3 }", "{ <i> gt <n> }", "{ <i> -m int 1:9 }", "{ <s> -m str text }", "{ <s> -m len 4 }", "{ <s> -m found }", "{ <s> -m sub e }", "{ <s> -m reg [0-9] }", "{ path -f list }", "{ path -m beg -f list }", "{ path -i -m end -f endings }", "{ path -M -f map }", "{ hdr(host),lower -m dom -f domains }", "{ url_beg / }", "{ url_sub ? }", "{ base_sub example }",
	"a0", "a1", "a2", "{ src -m ip -f nets }", "{ hdr(x-ip) -m ip -f nets }", "{ path -m reg -f regs }", "{ str(abc) -m bin 616263 }", "{ http_auth(users) }", "{ http_auth_group(users) staff }",
}

// backTests are those that need no ACL of the frontend.
var backTests = without(requestTests, "a0", "a1", "a2")

var responseTests = []string{
	"{ status 200 }", "{ status ge 400 }", "{ status 300:399 }", "{ res.hdr(x-multi) -m found }", "{ res.hdr(x-multi) one }", "{ res.hdr(server) -m beg rec }", "{ res.hdr_cnt(x-multi) 2 }", "{ res.cook(sid) -m found }", "{ scook(sid) abc }", "{ shdr_sub(content-type) text }", "{ var(<v>) -m found }", "TRUE", "FALSE", "{ src 127.0.0.1 }", "{ <r> -m found }", "{ <r> -m sub t }",
}

var backResponseTests = responseTests

func without(list []string, drop ...string) []string {
	var kept []string
next:
	for _, l := range list {
		for _, d := range drop {
			if l == d {
				continue next
			}
		}
		kept = append(kept, l)
	}
	return kept
}

var requestRules = []string{
	"set-header <h> <f>", "set-header X-New <f>", "add-header X-A <f>", "add-header X-Log <f>", "del-header <h>", "del-header x- -m beg", "del-header ist -m sub", "replace-header x-a (.*) <\\1>", "replace-header user-agent ([a-z]+)/([0-9.]+) \\2/\\1", "replace-value x-list ([a-c]) [\\1]", "replace-value cookie a=(.) a=\\1\\1", "set-path /new%[path]", "set-path <q>", "set-query <f>", "set-query %[query]&z=<n>", "set-uri /u%[url]", "set-pathq /pq%[pathq]",
	"replace-path ^/a(.*) /A\\1", "replace-path (.*)/b(.*) \\1/-/\\2", "replace-pathq ^([^?]*)(.*) \\1/x\\2", "replace-uri ^/(.*) /r/\\1", "set-method PATCH", "set-var(<v>) <s>", "set-var(<v>) <i>", "set-var-fmt(<v>) <f>", "unset-var(<v>)", "set-log-level notice", "set-var(txn.a,ifnotexists) str(text)", "set-var(txn.b) int(4)", "set-header X-Seen 1", "allow", "normalize-uri path-merge-slashes", "normalize-uri path-strip-dotdot full", "normalize-uri path-strip-dot", "normalize-uri percent-decode-unreserved strict", "normalize-uri fragment-encode", "del-map(dyn) %[path]", "del-acl(dynacl) %[path]", "set-header X-Dyn %[path,map(dyn,unknown)]", "normalize-uri query-sort-by-name", "normalize-uri percent-to-uppercase strict", "set-map(dyn) %[path] seen", "add-acl(dynacl) %[path]", "early-hint link </x>;\\ rel=preload",
}

var frontRules = append([]string{"capture req.hdr(host) len 6", "capture path len 20", "set-header X-Capt %[capture.req.hdr(0)]"}, requestRules...)

// backRules may stand in a backend only.
var backRules = append([]string{"set-timeout server 4s", "set-timeout server int(4000)", "set-timeout tunnel 1h"}, requestRules...)

var finalRules = []string{
	"deny", "deny deny_status 429", "deny status 404 content-type text/plain string gone", "deny status 401 hdr x-why <f>", "deny status 503 content-type text/plain lf-string <f>", "return status 200 content-type text/plain string ok", "return status 200 content-type text/plain lf-string <f>", "return status 204", "return status 403 errorfile page.http", "return status 200 content-type text/html file body.html hdr X-One 1 hdr x-two <f>", "return status 418 content-type text/plain lf-file lf.txt",
	"redirect location /there", "redirect location <f>", "redirect prefix http://o.example code 301", "redirect prefix / drop-query append-slash", "redirect scheme https code 308", "redirect scheme https", "redirect location /t set-cookie SEEN=1", "redirect location /t clear-cookie SRV", "redirect prefix http://x code 307 drop-query", "tarpit", "tarpit deny_status 429", "auth realm Some\\ realm", "auth", "reject", "redirect location /r code 303 ignore-empty",
}

var responseRules = []string{
	"set-header <h> <g>", "set-header X-Res <g>", "add-header X-Multi <g>", "del-header server", "del-header x- -m beg", "replace-header x-multi (.*) (\\1)", "replace-value x-multi o(.) 0\\1", "replace-header set-cookie (.*) \\1;\\ Secure", "set-status 503", "set-status 299 reason \"Own reason\"", "set-var(<v>) <r>", "unset-var(<v>)", "set-log-level warning", "set-header strict-transport-security max-age=16000000", "allow", "del-header <h>",
}

var responseFinals = []string{"deny", "deny deny_status 500", "return status 200 content-type text/plain string replaced", "return status 502 content-type text/plain lf-string <g>", "redirect location /after"}

var afterRules = []string{"set-header X-After <g>", "add-header X-After 1", "del-header x-multi", "set-status 201", "set-header strict-transport-security max-age=1", "set-var(txn.b) status", "replace-header location ^http:(.*) https:\\1"}

var frontOptions = []string{
	"option forwardfor", "option forwardfor if-none", "option forwardfor except 127.0.0.0/8", "option forwardfor header X-Client", "option originalto", "option originalto header X-Dst", "option httpclose", "option http-server-close", "option http-buffer-request", "option http-ignore-probes", "option logasap", "unique-id-format id-%f-%[path,length]", "unique-id-header x-unique", "option http-use-proxy-header", "maxconn 100", "option splice-auto", "option http-no-delay",
}

var backOptions = []string{
	"option forwardfor", "option forwardfor header X-Back", "option httpclose", "option http-server-close", "option http-buffer-request", "retries 1", "option redispatch", "http-reuse never", "http-reuse always", "option http-pretend-keepalive", "balance roundrobin", "option allbackups", "compression algo gzip", "timeout server 3s", "option abortonclose",
}

var captures = []string{
	"capture request header x-a len 3", "capture request header user-agent len 64", "capture response header server len 10", "capture response header x-multi len 5", "capture cookie a len 20", "capture cookie SRV= len 32", "declare capture request len 8", "declare capture response len 8",
}

var errorAnswers = []string{
	"errorfile 403 page.http", "errorfile 503 page.http", "errorloc 403 /sorry", "errorloc303 404 http://o.example/", "errorloc302 429 /slow", "http-error status 403 content-type text/plain string \"no way\"", "http-error status 503 content-type text/plain lf-string <f> hdr x-err <n>", "http-error status 404 content-type text/html file body.html", "errorfiles pages", "errorfiles pages 403 500", "http-error status 500 errorfile page.http",
}

var monitors = []string{"monitor-uri /admin/", "monitor-uri /a", "monitor fail if { hdr(x-a) -m found }", "monitor fail if FALSE"}

var tcpRules = []string{
	"tcp-request inspect-delay 20ms", "tcp-request connection accept if { src 10.0.0.0/8 }", "tcp-request connection reject if { src 10.0.0.0/8 }", "tcp-request session set-var(sess.d) src", "tcp-request content accept if HTTP", "tcp-request content set-var(txn.a) str(text)", "tcp-request content accept if { path_beg /a }", "tcp-request content reject if { hdr(x-num) 9z }", "tcp-request content set-var(sess.d) req.len if { req.len gt 100000 }",
}

var cookies = []string{
	"SRV insert", "SRV insert indirect nocache", "SRV insert postonly", "SRV rewrite", "SRV prefix", "SRV insert indirect secure httponly", "SRV insert domain .example.com", "sid rewrite", "SRV insert preserve", "SRV insert nocache attr SameSite=Lax", "SRV",
}

var logItems = []string{
	"%ci", "%f", "%ft", "%b", "%s", "%ST", "%CC", "%CS", "%tsc", "%ts", "%rc", "%hr", "%hs", "%hrl", "%hsl", "%{+Q}r", "%r", "%HM", "%HP", "%HQ", "%HU", "%HV", "%{+Q}HP", "%{+E}HP", "%ID", "%[<l>]", "%[<l>]", "%[var(txn.a)]", "%[var(txn.b)]", "%{+Q}[var(req.c)]", "%[capture.req.hdr(0)]", "%[capture.res.hdr(0)]", "%si", "%fi", "%bi", "%sslv", "%sslc", "%{+Q}o", "%{-Q}CC", "%{+E}CS", "%%",
}

var wants = []string{"plain", "plain", "plain", "notfound", "found", "empty", "notmodified", "chunked", "close", "cookie", "cookies", "error", "big", "html", "gzip", "multi", "ten"}

// serverAnswer is what the recorder says to a request, and whether it closes afterwards.
func serverAnswer(head, _ string) (answer string, closes bool) {
	body := func(status, fields, body string) string {
		if isHead(head) {
			return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + itoa(len(body)) + "\r\n\r\n"
		}
		return "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
	}
	switch want(head) {
	case "junk":
		return "this is no answer\r\n\r\n", true
	case "cut":
		return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", true
	case "halfhead":
		return "HTTP/1.1 200 OK\r\nContent-Le", true
	case "drop":
		return "", true
	case "notfound":
		return body("404 Not Found", "Server: rec/1\r\nContent-Type: text/plain\r\n", "nothing here\n"), false
	case "found":
		return body("302 Found", "Location: http://app.example/next?x\r\n", ""), false
	case "empty":
		return "HTTP/1.1 204 No Content\r\nServer: rec/1\r\nX-Multi: one\r\n\r\n", false
	case "notmodified":
		return "HTTP/1.1 304 Not Modified\r\nEtag: \"abc\"\r\n\r\n", false
	case "chunked":
		if isHead(head) {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false
		}
		return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", false
	case "close":
		if isHead(head) {
			return "HTTP/1.0 200 OK\r\nServer: rec/1\r\n\r\n", true
		}
		return "HTTP/1.0 200 OK\r\nServer: rec/1\r\n\r\nuntil the end", true
	case "cookie":
		return body("200 OK", "Set-Cookie: sid=abc; path=/\r\nX-Multi: one, two\r\n", "cookie\n"), false
	case "cookies":
		return body("200 OK", "Set-Cookie: sid=abc\r\nSet-Cookie: SRV=old; Path=/; HttpOnly\r\nCache-Control: max-age=5\r\n", "cookies\n"), false
	case "error":
		return body("500 Internal Server Error", "Server: rec/1\r\nX-Multi: one\r\nX-Multi: two\r\n", "oops\n"), false
	case "big":
		return body("200 OK", "Content-Type: text/plain\r\n", bigBody), false
	case "html":
		return body("200 OK", "Content-Type: text/html; charset=utf-8\r\nEtag: \"v1\"\r\nVary: Accept\r\n", "<html><body>"+longWord+longWord+"</body></html>\n"), false
	case "gzip":
		return body("200 OK", "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n", "not really"), false
	case "multi":
		return body("200 OK", "X-Multi: one\r\nx-multi: two\r\nX-MULTI: three\r\nServer: Rec/2\r\n", "multi\n"), false
	case "ten":
		return "HTTP/1.1 200 Fine Indeed\r\nContent-Length: 0\r\nX-A: answered\r\n\r\n", false
	}
	return body("200 OK", "Server: rec/1\r\nContent-Type: text/plain\r\n", "hello\n"), false
}

var sideFiles = map[string]string{
	"list":      "# paths\n/a\n/b/x.html\n\n/api\n",
	"endings":   ".html\n.png\n",
	"domains":   "example.com\nb\n",
	"nets":      "10.0.0.0/8\n192.168.0.0/16\n::1\n",
	"regs":      "^/a\nlogo\n",
	"map":       "/a one\n/b/x.html page of b\n/api/ api\ntext found text\nwww.example.com host\n.png image\n",
	"regmap":    "^/a first\n^/.*[0-9] number\n",
	"intmap":    "1 one\n5 five\n42 answer\n",
	"intvals":   "/a 1\ntext 22\n",
	"ipmap":     "127.0.0.0/8 local\n10.1.0.0/16 ten\n",
	"dyn":       "",
	"dynacl":    "",
	"page.http": "HTTP/1.1 403 Custom\r\nContent-Type: text/html\r\nCache-Control: no-cache\r\nX-Page: own\r\n\r\n<html>own page</html>\n",
	"body.html": "<html>a file</html>\n",
	"lf.txt":    "path=%[path] host=%[hdr(host)]\n",
}

var bigBody = repeat("0123456789abcdef", 3000)
