package rule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sameInHAProxy are formats whose text HAProxy and we must agree on, byte by byte, for wireRequest.
var sameInHAProxy = []string{
	"%[method]", "%[path]", "%[pathq]", "%[query]", "%[url]", "%[base]", "%[req.ver]", "%[req_ver]", "%[http_first_req]",
	"%[hdr(host)]", "%[req.hdr(host),host_only]", "%[req.hdr(host),port_only]", "%[hdr(X-List)]", "%[hdr(x-list,1)]", "%[hdr(x-list,2)]",
	"%[hdr(x-list,3)]", "%[hdr(x-list,4)]", "%[hdr(x-list,5)]", "%[hdr(x-list,6)]", "%[hdr(x-list,-1)]", "%[hdr(x-list,-2)]", "%[hdr(x-list,-5)]",
	"%[hdr(x-list,-6)]", "%[req.fhdr(x-list)]", "%[req.fhdr(x-list,1)]", "%[req.fhdr(x-list,3)]", "%[hdr_cnt(x-list)]", "%[req.fhdr_cnt(x-list)]",
	"%[hdr_cnt(nope)]", "%[hdr(nope)]", "%[hdr(x-empty)]", "%[hdr_cnt(x-empty)]", "%[req.hdr_cnt()]", "%[hdr_ip(x-ip)]", "%[hdr_ip(x-ip,1)]", "%[hdr_ip(x-ip,2)]",
	"%[hdr_ip(x-ip,4)]", "%[hdr_ip(x-junk)]", "%[hdr_val(x-num)]", "%[hdr_val(x-neg)]", "%[hdr_val(x-junk)]", "%[hdr()]",
	"%[req.hdr_names]", "%[req.hdr_names(:)]",
	"%[cook(a)]", "%[cook(b)]", "%[cook(c)]", "%[cook(A)]", "%[cook()]", "%[cook]", "%[req.cook_cnt(a)]", "%[cook_cnt(b)]", "%[cook_val(a)]", "%[cook(empty)]",
	"%[url_param(x)]", "%[url_param(y)]", "%[urlp(q)]", "%[urlp(X)]", "%[urlp(none)]", "%[urlp(y),url_dec]", "%[urlp(y),url_dec(1)]", "%[urlp()]", "%[urlp(x,/)]", "%[urlp(n)]",
	"%[path,field(1,/)]", "%[path,field(2,/)]", "%[path,field(3,/)]", "%[path,field(-1,/)]", "%[path,field(-2,/)]", "%[path,field(9,/)]", "%[path,field(-9,/)]",
	"%[path,field(2,/,2)]", "%[path,field(2,/,0)]", "%[path,field(-1,/,2)]", "%[path,field(-1,/,0)]", "%[path,field(1,./)]", "%[path,field(3,'./')]",
	"%[str(a//b/),field(2,/)]", "%[str(a//b/),field(-1,/)]", "%[str(a//b/),field(4,/)]", "%[str(a//b/),field(1,/,3)]", "%[str(a//b/),field(-1,/,3)]",
	"%[path,word(1,/)]", "%[path,word(2,/)]", "%[path,word(3,/)]", "%[path,word(4,/)]", "%[path,word(-1,/)]", "%[path,word(-3,/)]", "%[path,word(-4,/)]",
	"%[path,word(1,/,2)]", "%[path,word(1,/,0)]", "%[path,word(-1,/,2)]", "%[path,word(-1,/,0)]", "%[str(//a//bb///c//),word(2,/)]", "%[str(//a//bb///c//),word(2,/,2)]",
	"%[str(//a//bb///c//),word(2,/,0)]", "%[str(//a//bb///c//),word(-1,/,2)]", "%[str(//a//bb///c//),word(-2,/,0)]", "%[str(),word(1,/)]",
	"%[hdr(host),lower]", "%[hdr(host),upper]", "%[hdr(host),length]", "%[str(abc),concat(d)]", "%[str(abc),concat(-,txn.v,-)]", "%[str(abc),concat(-,txn.nope,-)]",
	"%[str(abcabc),regsub(b,X)]", "%[str(abcabc),regsub(b,X,g)]", "%[str(abcabc),regsub(B,X,gi)]", "%[str(foo-bar),regsub('(.*)-(.*)','\\2-\\1')]", "%[str(abc),regsub(z,X)]",
	"%[str(abc),regsub(^,X)]", "%[str(a.b.c),regsub(\\.,_,g)]", "%[path,regsub(^/[^/]*,)]",
	"%[str(xxabxx),ltrim(x)]", "%[str(xxabxx),rtrim(x)]", "%[str(xx),ltrim(x)]", "%[str(abcdef),bytes(2)]", "%[str(abcdef),bytes(2,2)]", "%[str(abcdef),bytes(9)]",
	"%[str(abc),hex]", "%[str(ff),hex2i]", "%[str(0Fg),hex2i]", "%[str(abc),base64]", "%[str(YWJj),b64dec]", "%[str(!!),b64dec]", "%[str(a?b c/d&e=f~g),url_enc]", "%[str(%41%2b+x?y+z),url_dec]", "%[str(%4),url_dec]",
	"%[str(%zz),url_dec]", "%[str(ab),ub64enc]", "%[str(YWI),ub64dec]",
	"%[int(5),add(3)]", "%[int(5),sub(8)]", "%[int(5),mul(-3)]", "%[int(17),div(5)]", "%[int(-17),div(5)]", "%[int(17),mod(5)]", "%[int(-17),mod(5)]", "%[int(5),div(0)]", "%[int(5),mod(0)]", "%[int(5),neg]",
	"%[int(9223372036854775807),add(1)]", "%[int(-9223372036854775807),sub(9)]", "%[int(9223372036854775807),mul(2)]", "%[int(6),and(3)]", "%[int(6),or(3)]", "%[int(6),xor(3)]", "%[int(6),cpl]",
	"%[int(0),bool]", "%[int(7),bool]", "%[int(7),not]", "%[int(0),not]", "%[int(7),odd]", "%[int(7),even]", "%[bool(true),iif(yes,no)]", "%[bool(0),iif(yes,no)]", "%[int(3),iif(yes,no)]",
	"%[str(12ab),add(1)]", "%[str(ab),add(1)]", "%[str(),add(1)]", "%[str(-5),add(1)]", "%[int(300),add(txn.n)]", "%[int(300),add(txn.nope)]", "%[int(12),length]",
	"%[src]", "%[dst]", "%[src,ipmask(24)]", "%[src,ipmask(255.255.0.0)]", "%[ipv4(10.20.30.40),ipmask(8)]", "%[ipv6(2001:db8::1),ipmask(24,32)]", "%[ipv6(2001:db8::fff1),ipmask(24,ffff:0:ffff::fee0)]", "%[src,ipmask(255.0.255.0)]", "%[ipv6(2001:db8::1),ipmask(24)]", "%[str(10.1.2.3),ipmask(16)]", "%[str(2001:db8::1),ipmask(8,64)]", "%[str(::ffff:10.1.2.3),ipmask(8,64)]", "%[req.hdrs,regsub('\\r\\n',/,g)]",
	"%[str(bogus),ipmask(16)]", "%[int(16909060),ipmask(32)]", "%[ipv4(1.2.3.4),add(1)]", "%[ipv4(1.2.3.4),hex]", "%[int(65),hex]", "%[bool(true),hex]", "%[ipv6(::ffff:1.2.3.4)]", "%[ipv6(2001:db8:0:0:1:0:0:1)]",
	"%[str(abc),crc32]", "%[str(abc),crc32(1)]", "%[str(abc),crc32c]", "%[str(abc),sha1,hex]", "%[str(abc),sha2,hex]", "%[str(abc),sha2(512),hex]", "%[str(abc),digest(sha384),hex]", "%[str(abc),strcmp(txn.v)]", "%[str(zzz),strcmp(txn.v)]", "%[str(),strcmp(txn.v)]",
	"%[var(txn.v)]", "%[var(txn.nope)]", "%[var(txn.nope,dflt)]", "%[var(txn.n)]", "%[var(txn.n),add(1)]", "%[str(a b),cut_crlf]", "%[str('quo,ted')]", "%[str(\"dq)x\")]",
	"%[ssl_fc]", "%[ssl_fc_sni]", "%[ssl_fc_has_crt]", "%[ssl_fc_is_resumed]", "%[ssl_c_used]", "%[ssl_c_verify]", "%[ssl_fc_protocol]", "%[ssl_fc_has_sni]", "%[fc_err]", "%[fc_err_str]",
	"%[fe_name]", "%[always_true]", "%[always_false]", "%[bin(414243)]", "%[bin(41004243)]", "%[meth(GET)]",
	"%[hdr(x-ctl)]", "%[hdr(x-utf)]", "%[hdr(user-agent),lower,field(1,/)]", "%[hdr(content-length)]", "%[unique-id]", "%[nbproc]",
	"%ci", "%{+Q}ci", "%{+X}ci", "%fi", "%{+X}fi", "%f", "%{+Q}f", "%ft", "%b", "%s", "%{+Q}s", "%r", "%{+Q}r", "%HM", "%HU", "%HP", "%HQ", "%HV", "%{+Q}HV", "%{+E}HU", "%rc", "%Th",
	"%CC", "%CS", "%{+Q}CC", "%hr", "%hrl", "%ID", "%{+Q}ID", "%sslv", "%sslc", "%%x", "a  b", " lead", "100%%", "%{+X}[int(10)]", "%{+E}[hdr(x-ctl)]", "%[str(a]b)]",
	"%{+Q}o%ci %cp%{-Q}o", "%[rand(1)]", "%[str(x),iif(a,b)]", "%si", "%bi", "%sp", "%bq", "%sq",
	"%[str(abc),djb2]", "%[str(abcdefghijk),djb2(1)]", "%[str(abc),sdbm]", "%[str(abc),wt6]", "%[str(abcdefghij),wt6(1)]", "%[str(),xxh32]", "%[str(abcdefghijklmnopqrstuvwxyz),xxh32(5)]", "%[str(abc),xxh64]", "%[str(abc),xxh64(77)]",
	"%[str(abc),xxh3]", "%[str(abc),xxh3(77)]", "%[str(abc),hmac(sha1,a2V5),hex]", "%[bin(01020304050607),be2dec(:,2)]", "%[bin(01020304050607),be2dec(-,2,1)]", "%[bin(01020304050607),be2hex(:,2)]", "%[bin(0102030405060708),be2hex(,3,1)]", "%[int(3232235777),htonl,hex]",
	"%[str(mmm),secure_memcmp(txn.v)]", "%[str(mm),secure_memcmp(txn.v)]", "%[str(mm),secure_memcmp(txn.nope)]", "%[str(a),add_item(',',txn.v,-x)]", "%[str(),add_item(',',txn.v,-x)]", "%[str(a),add_item(',',txn.nope)]",
	"%[str('fr;q=0.5,en;q=0.9,es'),language(fr;en)]", "%[str('fr-FR;q=0.5, en-US;q=0.45'),language(fr-BE;en)]", "%[str('de'),language(fr;en,en)]", "%[int(784111777),http_date]", "%[int(784111777123),http_date(0,ms)]", "%[int(784111777),utime('%a %b %d %H:%M:%S %Y %j %U %W %V')]",
	"%[str(x),json_query('$.a')]", "%[str('{\"a\":{\"b\":[1,true]}}'),json_query('$.a.b[0]')]", "%[str('{\"a\":1.5}'),json_query('$.a')]", "%[str(a.b.c),jwt_verify(HS256,x)]", "%[str(x),set-var(txn.set),upper]", "%[proc]", "%[stopping]",
}

const wireRequest = "GET /a/b.c/d;p?x=1&y=two+z%20w&n&q=%41?&x=2 HTTP/1.1\r\n" +
	"Host: Www.Example.COM:8080\r\nX-List: a, b ,\"c,d\"\r\nX-List: f\r\nCookie: a=1; b = two ; c=\"q;r\"; empty=\r\nCookie: a=3\r\n" +
	"X-Ip: 10.1.2.3, 192.168.0.1:80, [2001:db8::1], ::1\r\nX-Junk: junk\r\nX-Num: 42abc\r\nX-Neg: -7\r\nX-Empty:\r\nX-Ctl: a\tb{|}#\"\r\nX-Utf: \xc3\xa9\r\n" +
	"User-Agent: Test/1.0 (x)\r\n\r\n"

func TestExpressionsGiveHAProxysBytes(t *testing.T) {
	program := needHAProxy(t)
	dir := t.TempDir()
	var page strings.Builder
	for i, f := range sameInHAProxy {
		fmt.Fprintf(&page, "%d[%s]\n", i, f)
	}
	writeFile(t, filepath.Join(dir, "page"), page.String())
	writeFile(t, filepath.Join(dir, "haproxy.cfg"), fmt.Sprintf(`global
    log-tag x
defaults
    mode http
    timeout client 5s
frontend f
    bind fd@3
    http-request set-var(txn.v) str(mmm)
    http-request set-var(txn.n) int(7)
    http-request return status 200 content-type text/plain lf-file %s
`, filepath.Join(dir, "page")))
	l, stop := startHAProxy(t, program, filepath.Join(dir, "haproxy.cfg"))
	defer stop()
	theirs, src, dst := ask(t, l.Addr().String())

	s := newStream(t, strings.TrimSuffix(strings.SplitN(wireRequest, "\r\n", 2)[0], "\r\n"), headerLines(wireRequest)...)
	s.Conn.Src, s.Conn.Dst = src, dst
	c, d := newCompiler()
	env := newEnv()
	set := c.HTTPRequest(rules("set-var(txn.v) str(mmm)", "set-var(txn.n) int(7)"), nil)
	set.Run(s, env)
	for i, text := range sameInHAProxy {
		f, err := c.parseFormat(text, formatUse{mode: true, in: inRequest})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(f.Append(nil, s, env)); got != theirs[i] {
			t.Errorf("%s: we say %q, HAProxy says %q", text, got, theirs[i])
		}
	}
	if len(*d) > 0 {
		t.Errorf("unexpected messages:\n%s", diagTexts(d))
	}
}

// ask sends wireRequest and returns the texts between brackets and both ends of the connection.
func ask(t *testing.T, addr string) (texts []string, src, dst netip.AddrPort) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, wireRequest); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("HAProxy answered %s, %v", res.Status, err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
		line, ok := strings.CutPrefix(line, fmt.Sprintf("%d[", i))
		if !ok || !strings.HasSuffix(line, "]") {
			t.Fatalf("line %d of HAProxy's answer is %q", i, line)
		}
		texts = append(texts, strings.TrimSuffix(line, "]"))
	}
	if len(texts) != len(sameInHAProxy) {
		t.Fatalf("HAProxy answered %d lines of %d", len(texts), len(sameInHAProxy))
	}
	return texts, conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
}

func headerLines(request string) []string {
	lines := strings.Split(strings.TrimSuffix(request, "\r\n\r\n"), "\r\n")
	return lines[1:]
}

// needHAProxy returns the program to compare with: $GATEHOUSE_TEST_HAPROXY or the one in the path.
func needHAProxy(t *testing.T) string {
	t.Helper()
	program := os.Getenv("GATEHOUSE_TEST_HAPROXY")
	if program == "" {
		program, _ = exec.LookPath("haproxy")
	}
	if program == "" {
		for _, p := range []string{"/usr/sbin/haproxy", "/usr/local/sbin/haproxy"} {
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatal("needs haproxy: install the package haproxy")
		}
		t.Skip("needs haproxy: install the package haproxy")
	}
	return program
}

// startHAProxy runs the program on a listener of ours, which it inherits as descriptor 3; more files follow it.
func startHAProxy(t *testing.T, program, cfg string, more ...*os.File) (net.Listener, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out strings.Builder
	cmd := exec.Command(program, "-db", "-f", cfg)
	cmd.ExtraFiles, cmd.Stderr = append([]*os.File{file}, more...), &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // a program that refuses its configuration must not keep us waiting for its answer
		defer close(ended)
		_ = cmd.Wait()
		_ = l.Close()
	}()
	return l, func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("haproxy said:\n%s", out.String())
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
