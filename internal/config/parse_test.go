package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const someTimeouts = "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, diags := parseText(text)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", text, printDiags(diags))
	}
	return c
}

func TestFilesAreReadAsOneConfiguration(t *testing.T) {
	c, diags := Parse([]Source{
		{"a.cfg", []byte("global\n maxconn 7\n setenv PORT 81\n" + someTimeouts)},
		{"b.cfg", []byte("frontend f\n bind \":$PORT\"\n default_backend b\n")},
		{"c.cfg", []byte("backend b\n mode tcp\n")},
	}, testOptions())
	if len(diags) > 0 {
		t.Fatal(printDiags(diags))
	}
	f := c.Proxies[0]
	if c.Global.MaxConn != 7 || f.Binds[0].Addrs[0].Port != 81 || f.Pos != (Pos{"b.cfg", 1}) || f.TimeoutClient != time.Second || len(c.Files) != 3 {
		t.Errorf("got %+v", f)
	}
	if _, diags = Parse([]Source{{"a.cfg", []byte("global\n")}, {"b.cfg", []byte(" maxconn 3\n")}}, testOptions()); !diags.HasErrors() {
		t.Error("a section continued in the next file")
	}
}

func TestADirectoryStandsForItsCfgFiles(t *testing.T) {
	dirs := map[string]bool{"/d": true, "/d/sub.cfg": true}
	isDir := func(n string) bool { return dirs[n] }
	readDir := func(string) ([]string, error) {
		return []string{"b.cfg", "a.cfg", ".hidden.cfg", "x.txt", "sub.cfg", "B.cfg"}, nil
	}
	got, err := ExpandSources("/d", readDir, isDir)
	if want := []string{"/d/B.cfg", "/d/a.cfg", "/d/b.cfg"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, _ := ExpandSources("f", readDir, isDir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("a file became %v", got)
	}
	broken := func(string) ([]string, error) { return nil, errors.New("permission denied") }
	if _, err := ExpandSources("/d", broken, isDir); err == nil || !strings.Contains(err.Error(), "/d") {
		t.Errorf("error = %v", err)
	}
}

func TestEnvironmentStatementsTakeEffectOnFollowingLines(t *testing.T) {
	o := testOptions()
	o.Env = map[string]string{"A": "env", "B": "env", "C": "env"}
	c, diags := Parse([]Source{{"F", []byte("global\n presetenv A x\n presetenv N new\n setenv B set\n description \"$A $B $N ${.FILE}:${.LINE} ${.SECTION}\"\n" +
		" unsetenv C\n node \"${C-gone}\"\n resetenv B\n")}}, o)
	if len(diags) > 0 || c.Global.Description != "env set new F:5 global" || c.Global.Node != "gone" {
		t.Errorf("%q %q %s", c.Global.Description, c.Global.Node, printDiags(diags))
	}
	if len(c.Env) != 1 || c.Env["B"] != "set" || o.Env["C"] != "env" {
		t.Errorf("left %v, caller's %v", c.Env, o.Env)
	}
}

func TestConditionalBlocksChooseLines(t *testing.T) {
	c := mustParse(t, ".if feature(OPENSSL)\nglobal\n .if 0\n  maxconn 1\n .elif 1\n  maxconn 2\n  .if 1\n   node inner\n  .endif\n .else\n  maxconn 3\n .endif\n"+
		".else\nnonsense \"$HOME\"\n.endif\n")
	if c.Global.MaxConn != 2 || c.Global.Node != "inner" {
		t.Errorf("got %+v", c.Global)
	}
}

func TestDiagMessagesNeedDiagMode(t *testing.T) {
	text := ".diag \"look here\"\n"
	if _, d := parseText(text); len(d) != 0 {
		t.Errorf("got %s", printDiags(d))
	}
	o := testOptions()
	o.Diag = true
	if _, d := Parse([]Source{{"F", []byte(text)}}, o); printDiags(d) != "[DIAG] config : parsing [F:1]: 'look here'." {
		t.Errorf("got %s", printDiags(d))
	}
}

func TestDefaultsAreInheritedByNameOrPosition(t *testing.T) {
	c := mustParse(t, `defaults base
 timeout connect 1s
 timeout client 2s
 timeout server 3s
 mode http
 option httplog
 option dontlognull
 default-server weight 7
defaults child from base
 timeout client 9s
 no option dontlognull
defaults guarded from base
 acl local src 127.0.0.1
 http-request deny if local
frontend f from guarded
 bind :1
 acl local src 10.0.0.1
 http-request allow if local
backend b from child
 server s 1.1.1.1
 default-server weight 8
 server t 1.1.1.2
`)
	f, b := c.Proxies[0], c.Proxies[1]
	if f.TimeoutClient != 2*time.Second || !f.DontLogNull || !f.HTTPLog || b.TimeoutClient != 9*time.Second || b.DontLogNull {
		t.Errorf("got %+v %+v", f, b)
	}
	if b.Servers[0].Weight != 7 || b.Servers[1].Weight != 8 {
		t.Errorf("weights %d %d", b.Servers[0].Weight, b.Servers[1].Weight)
	}
	if len(f.HTTPRequest) != 2 || f.HTTPRequest[0].Words[0] != "deny" || len(f.HTTPRequest[0].ACLs) != 1 || f.HTTPRequest[1].ACLs != nil || len(f.ACLs) != 1 {
		t.Errorf("rules %+v, acls %+v", f.HTTPRequest, f.ACLs)
	}
}

func TestOptionsReplaceAndCancelEachOther(t *testing.T) {
	c := mustParse(t, someTimeouts+` mode http
 option http-server-close
 option tcpka
 option redispatch 3
 option httpchk HEAD / HTTP/1.1
frontend f
 bind :1
 option httpclose
 no option http-server-close
 no option clitcpka
backend b
 no option http-server-close
 no option redispatch
 option tcp-check
 no option abortonclose
`)
	f, b := c.Proxies[0], c.Proxies[1]
	if !f.HTTPClose || f.HTTPServerClose || f.ClientKeepAlive || f.TCPKeepAlive || f.HTTPCheck == nil {
		t.Errorf("frontend %+v", f)
	}
	if b.HTTPServerClose || b.Redispatch != nil || !b.TCPCheck || b.HTTPCheck != nil || !b.TCPKeepAlive || !b.NoAbortOnClose {
		t.Errorf("backend %+v", b)
	}
}

func TestRedirectsRunAfterTheRulesBelowThem(t *testing.T) {
	c, diags := parseText(someTimeouts + " mode http\nfrontend f\n bind :1\n redirect location /\n http-request deny\n")
	want := "[WARNING] config : parsing [F:9] : a 'http-request' rule placed after a 'redirect' rule will still be processed before."
	if printDiags(diags) != want {
		t.Errorf("got %s", printDiags(diags))
	}
	if r := c.Proxies[0].HTTPRequest; len(r) != 2 || r[0].Words[0] != "deny" || r[1].Words[0] != "redirect" {
		t.Errorf("got %v", r)
	}
}

func TestTheOldFormOfHTTPCheckIsRead(t *testing.T) {
	c, diags := parseText(someTimeouts + "backend b\n option httpchk HEAD /x HTTP/1.1\\r\\nHost:localhost\\r\\nX-A:\\ b\n server s 1.1.1.1 check\n")
	if len(diags) != 1 || diags[0].Level != LevelNotice {
		t.Fatal(printDiags(diags))
	}
	h := c.Proxies[0].HTTPCheck
	if h.Method != "HEAD" || h.URI != "/x" || h.Version != "HTTP/1.1" || !slices.Equal(h.Headers, [][2]string{{"host", "localhost"}, {"x-a", "b"}}) {
		t.Errorf("got %+v", h)
	}
}

func TestHTTPCheckSendWinsOverTheOption(t *testing.T) {
	for _, text := range []string{
		" option httpchk HEAD /opt HTTP/1.0\n http-check send meth GET hdr Host a hdr X b body c\n",
		" http-check send meth GET hdr Host a hdr X b body c\n option httpchk HEAD /opt HTTP/1.0\n",
	} {
		h := mustParse(t, someTimeouts+"backend b\n"+text).Proxies[0].HTTPCheck
		if h == nil || h.Method != "GET" || h.URI != "/opt" || h.Body != "c" || len(h.Headers) != 2 {
			t.Errorf("%s gave %+v", text, h)
		}
	}
	c, diags := parseText(someTimeouts + "backend b\n http-check expect status 200\n")
	if c.Proxies[0].HTTPCheck != nil || !diags.HasWarnings() {
		t.Error("http-check without option httpchk was neither warned of nor dropped")
	}
}

func TestOldTimeoutNamesAreAliases(t *testing.T) {
	c, diags := parseText("listen l\n bind :1\n clitimeout 1000\n srvtimeout 2s\n contimeout 3s\n server s 1.1.1.1\n")
	l := c.Proxies[0]
	if diags.HasErrors() || diags.HasWarnings() || len(diags) != 3 || l.TimeoutClient != time.Second || l.TimeoutServer != 2*time.Second || l.TimeoutConnect != 3*time.Second {
		t.Errorf("%+v\n%s", l, printDiags(diags))
	}
}

func TestWhatHAProxyContinuesAfterIsNotAnError(t *testing.T) {
	c, diags := parseText("global\n maxconn 1\n maxconn 2\n user a\n user b\n")
	if diags.HasErrors() || len(diags) != 2 || !diags[0].Soft || c.Global.MaxConn != 1 || c.Global.User != "a" {
		t.Errorf("%s", printDiags(diags))
	}
}

func TestNamesAreResolvedWhenThereIsAWay(t *testing.T) {
	o := testOptions()
	o.LookupHost = func(name string) (netip.Addr, bool) {
		return netip.MustParseAddr("192.0.2.7"), name == "known"
	}
	c, diags := Parse([]Source{{"F", []byte(someTimeouts + "frontend f\n bind known:1\n bind unknown:1\n")}}, o)
	if got := c.Proxies[0].Binds[0].Addrs[0].IP.String(); got != "192.0.2.7" {
		t.Errorf("known resolved to %s", got)
	}
	if want := "[ALERT] config : parsing [F:7] : 'bind' : invalid address: 'unknown' in 'unknown:1'"; printDiags(diags) != want {
		t.Errorf("got %s", printDiags(diags))
	}
}

func TestTooManyErrorsStopAFile(t *testing.T) {
	_, diags := parseText("global\n" + strings.Repeat(" bogus\n", maxFatal+100))
	if len(diags) != maxFatal+1 || !strings.HasSuffix(diags[maxFatal].Text, "too many fatal errors (1000), stopping now.") {
		t.Errorf("%d messages, last %s", len(diags), diags[len(diags)-1].Text)
	}
}

func TestNULIsRefused(t *testing.T) {
	_, diags := parseText("global\n max\x00conn 3\n")
	if want := "[ALERT] config : parsing [F:2]: Stray NUL character at position 5."; printDiags(diags) != want {
		t.Errorf("got %s", printDiags(diags))
	}
}

func TestMasterSocketIsABindLine(t *testing.T) {
	b, err := ParseMasterSocket("/run/m.sock,mode,600,name,m")
	if err != nil || b.Level != "admin" || *b.Mode != 0o600 || b.Addrs[0].Path != "/run/m.sock" || b.Name != "m" {
		t.Errorf("got %+v, %v", b, err)
	}
	if b, err = ParseMasterSocket("/run/m.sock,level,user"); err != nil || b.Level != "user" {
		t.Errorf("got %+v, %v", b, err)
	}
	if _, err := ParseMasterSocket("fd@x"); err == nil || !strings.Contains(err.Error(), "fd@x") {
		t.Errorf("error = %v", err)
	}
	if _, err := ParseMasterSocket("fd@3,bogus"); err == nil || !strings.Contains(err.Error(), "bogus") {
		t.Errorf("error = %v", err)
	}
}

func TestDuplicateIDsAndLoadsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"backend b\n server a 1.1.1.1 id 3\n server c 1.1.1.1 id 3\n": "[F:7] : 'server b/c' : 'id' : custom id 3 already used at F:6 ('server a')",
		"frontend f\n bind :1 id 3\n bind :2 id 3\n":                  "'id' : custom id 3 already used at F:6 ('bind :1')",
		"crt-store a\n load crt x\ncrt-store a\n load crt x\n":        "store '@a/x' was already defined.",
		"gatehouse\n persist off crt-store nope\n":                    "no crt-store 'nope' exists",
		"frontend f\n bind :1 ssl acme le\n":                          "'acme' and 'domains' must be used together",
	} {
		if _, diags := parseText(someTimeouts + text); !diags.HasErrors() || !strings.Contains(printDiags(diags), want) {
			t.Errorf("%s\ngot %s\nwant %s", text, printDiags(diags), want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range edges {
		f.Add([]byte(e.text))
	}
	_, cases := readRecordings(&testing.T{})
	for _, c := range cases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, diags := Parse([]Source{{"F", data}}, testOptions())
		if c == nil {
			t.Fatal("no Config")
		}
		for _, d := range diags {
			if d.Text == "" || d.Level == "" {
				t.Fatalf("empty message among %v", diags)
			}
		}
		_, again := Parse([]Source{{"F", data}}, testOptions())
		if printDiags(again) != printDiags(diags) {
			t.Fatalf("two readings differ:\n%s\n%s", printDiags(diags), printDiags(again))
		}
	})
}
