package rule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mapFiles are what the maps of askedOfMaps read.
var mapFiles = map[string]string{
	"text": "# comment\n\n/a va\n/ab vab\n/a again\n  /b\ttwo words \t\r\n/novalue\nABC upper\nb.c label\n/ slash\n",
	"nums": "/one 1\n/minus -5\n/plus +7\n/big 99999999999999999999\n/none\n",
	"span": "5 five\n1:3 low\n:0 none\n2:9 mid\n100: much\n",
	"nets": "10.0.0.0/8 ten\n10.1.0.0/16 one\n10.1.2.3 host\n2001:db8::/32 doc\n1.0.0.1/255.0.0.255 odd\n192.168.0.0/255.255.0.0 dotted\n",
	"addr": "/four 192.0.2.1\n/six 2001:db8::1\n",
	"expr": "^/x/([a-z]+)/([0-9]+)$ \\2-\\1-\\0\n^/y(.)? <\\1>\n/z \\x41\\\\b\nabc plain\n",
}

// askedOfMaps are expressions about which HAProxy and we must agree; @NAME stands for the file NAME.
var askedOfMaps = []string{
	"str(/a),map(@text)", "str(/ab),map_str(@text)", "str(/abc),map_str(@text)", "str(/abc),map_str(@text,none)", "str(/b),map(@text)", "str(/novalue),map(@text)", "str(/novalue),map(@text,x)",
	"str(abc),map(@text,no)", "str(/abc),map_beg(@text)", "str(/ac),map_beg(@text)", "str(/x),map_beg(@text)", "str(x),map_beg(@text,d)", "str(/novaluex),map_beg(@text)",
	"str(x/ab),map_end(@text)", "str(x/a),map_end(@text)", "str(x),map_end(@text,d)", "str(xABCx),map_sub(@text)", "str(x/abx),map_sub(@text)", "str(x),map_sub(@text,d)",
	"str(a.b.c),map_dom(@text)", "str(b.cd),map_dom(@text,d)", "str(http://b.c/x),map_dom(@text)", "str(/x/ab/y),map_dir(@text)", "str(/abx),map_dir(@text,d)", "str(/x?ab),map_dir(@text)",
	"str(x/zabc),map_reg(@expr)", "str(/x/q/12),map_regm(@expr)", "str(/x/q/z),map_regm(@expr,d)", "str(/y),map_regm(@expr)", "str(/yq),map_regm(@expr)", "str(q/z),map_regm(@expr)", "str(abc),map_regm(@expr)",
	"str(/one),map_str_int(@nums)", "str(/minus),map_str_int(@nums)", "str(/plus),map_str_int(@nums),add(1)", "str(/big),map_str_int(@nums)", "str(/none),map_str_int(@nums)", "str(/x),map_str_int(@nums,-3)", "str(/x),map_str_int(@nums)",
	"int(5),map_int(@span)", "int(2),map_int(@span)", "int(4),map_int(@span)", "int(-4),map_int(@span)", "int(50),map_int(@span,d)", "int(500),map_int(@span)", "str(5x),map_int(@span)",
	"ipv4(10.1.2.3),map_ip(@nets)", "ipv4(10.1.2.4),map_ip(@nets)", "ipv4(10.9.9.9),map_ip(@nets)", "ipv4(1.5.5.1),map_ip(@nets)", "ipv4(1.5.5.2),map_ip(@nets,d)", "ipv4(192.168.3.4),map_ip(@nets)",
	"ipv6(2001:db8::5),map_ip(@nets)", "ipv6(2001:db9::5),map_ip(@nets,d)", "ipv6(::ffff:10.1.2.3),map_ip(@nets)", "ipv6(2002:a01:203::1),map_ip(@nets)", "str(10.1.0.1),map_ip(@nets)", "str(bogus),map_ip(@nets,d)",
	"str(/four),map_str_ip(@addr)", "str(/six),map_str_ip(@addr)", "str(/x),map_str_ip(@addr,203.0.113.9)", "str(/x),map_str_ip(@addr,::9)", "str(/x),map_str_ip(@addr)",
	"path,map_beg(@text),length", "src,map_ip(@nets,else)",
}

// TestMapsGiveHAProxysValues asks the peer with maps of a few lines, and us with those and with large ones that hold the same
// answers first.
func TestMapsGiveHAProxysValues(t *testing.T) {
	program := needHAProxy(t)
	dir := t.TempDir()
	var page strings.Builder
	for i, x := range askedOfMaps {
		fmt.Fprintf(&page, "%d[%%[%s]]\n", i, inDir(x, dir))
	}
	for name, text := range mapFiles {
		writeFile(t, filepath.Join(dir, name), text)
	}
	writeFile(t, filepath.Join(dir, "page"), page.String())
	writeFile(t, filepath.Join(dir, "haproxy.cfg"), fmt.Sprintf("defaults\n    mode http\n    timeout client 5s\nfrontend f\n    bind fd@3\n"+
		"    http-request return status 200 content-type text/plain lf-file %s\n", filepath.Join(dir, "page")))
	l, stop := startHAProxy(t, program, filepath.Join(dir, "haproxy.cfg"))
	defer stop()
	theirs := strings.Split(strings.TrimSuffix(get(t, l.Addr().String(), "/abx"), "\n"), "\n")
	if len(theirs) != len(askedOfMaps) {
		t.Fatalf("HAProxy answered %d lines of %d", len(theirs), len(askedOfMaps))
	}
	s := newStream(t, "GET /abx HTTP/1.1")
	for _, large := range []bool{false, true} {
		c, d := newCompiler()
		c.ReadFile = func(name string) ([]byte, error) {
			data, err := os.ReadFile(name)
			if large {
				data = append(data, moreOf(filepath.Base(name))...)
			}
			return data, err
		}
		for i, x := range askedOfMaps {
			f, err := c.parseFormat("%["+inDir(x, dir)+"]", formatUse{mode: true, in: inRequest})
			if err != nil {
				t.Errorf("%s: %v", x, err)
				continue
			}
			want := strings.TrimSuffix(strings.TrimPrefix(theirs[i], fmt.Sprintf("%d[", i)), "]")
			if got := string(f.Append(nil, s, newEnv())); got != want {
				t.Errorf("%s (large %v): we say %q, HAProxy says %q", x, large, got, want)
			}
		}
		if len(*d) > 0 {
			t.Errorf("unexpected messages:\n%s", diagTexts(d))
		}
	}
}

func inDir(x, dir string) string { return strings.ReplaceAll(x, "@", dir+"/") }

// moreOf are lines that answer nothing of what is asked.
func moreOf(name string) []byte {
	var b strings.Builder
	for i := range 100 {
		switch name {
		case "span":
			fmt.Fprintf(&b, "%d z\n", 60+i%30)
		case "nets":
			fmt.Fprintf(&b, "203.0.113.%d x\n2001:dba:%x::/48 y\n", i, i)
		case "addr":
			fmt.Fprintf(&b, "filler%d 203.0.113.1\n", i)
		case "nums":
			fmt.Fprintf(&b, "filler%d 1\n", i)
		default:
			fmt.Fprintf(&b, "filler%d x\n", i)
		}
	}
	return []byte(b.String())
}

// get asks for a path and returns the body.
func get(t *testing.T, addr, path string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path); err != nil {
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
	return string(body)
}

// TestRulesChangeMapsAndACLs: what a rule changes, the next one sees.
func TestRulesChangeMapsAndACLs(t *testing.T) {
	c, d := newCompiler()
	acls := c.ACLs(aclsOf("acl seen src -f virt@seen\nacl named path,map(virt@m) -m found"))
	set := c.HTTPRequest(rules("set-header X-Before yes if seen", "add-acl(virt@seen) %[src]", "add-acl(virt@seen) %[src]", "add-acl(virt@seen) nonsense", "set-header X-After yes if seen",
		"set-map(virt@m) %[path] one", "set-header X-One %[path,map(virt@m)]", "set-map(virt@m) %[path] two", "set-header X-Two %[path,map(virt@m)] if named",
		"del-map(virt@m) %[path]", "set-header X-Gone %[path,map(virt@m,gone)] unless named", "del-acl(virt@seen) %[src]", "set-header X-Left yes unless seen", "set-map(virt@nobody) a b"), acls)
	c.patterns().Finish(nil)
	if d.HasErrors() {
		t.Fatal(diagTexts(d))
	}
	s := newStream(t, "GET /p HTTP/1.1")
	set.Run(s, nil)
	want := "x-after: yes\nx-one: one\nx-two: two\nx-gone: gone\nx-left: yes\n"
	if got := strings.ToLower(fieldLines(s.Req.Fields)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
