package rule

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

func TestRawSamples(t *testing.T) {
	rdp := "\x03\x00\x00\x2f\x2a\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user\r\n"
	for _, row := range []struct{ expr, data, want, late string }{
		{"req.len", "abc", "3", "3"},
		{"req_len", "", "0", "0"},
		{"req.payload(1,2),hex", "abcd", "6263", "6263"},
		{"req.payload(1,4)", "abcd", "?", "-"},
		{"req.payload(0,0)", "abcd", "abcd", "abcd"},
		{"payload(4,0)", "abcd", "", ""},
		{"req.payload(0,99999)", "abcd", "-", "-"},
		{"req.payload_lv(0,1)", "\x02abc", "ab", "ab"},
		{"req.payload_lv(0,2)", "\x00\x02a", "?", "-"},
		{"req.payload_lv(0,1,0)", "\x02abc", "\x02a", "\x02a"},
		{"req.payload_lv(0,1,+1)", "\x02abc", "bc", "bc"},
		{"payload_lv(1,1,-1)", "x\x02abc", "\x02a", "\x02a"},
		{"req.payload_lv(0,1)", "\x00abc", "-", "-"},
		{"req.payload_lv(0,4)", "\xff\xff\xff\xffabc", "-", "-"},
		{"wait_end", "", "?", "1"},
		{"req.rdp_cookie(MSTSHASH)", rdp, "user", "user"},
		{"rdp_cookie", rdp, "user", "user"},
		{"req.rdp_cookie(other)", rdp, "-", "-"},
		{"req.rdp_cookie", rdp[:25], "?", "-"},
		{"req.rdp_cookie_cnt", rdp, "1", "1"},
		{"req.rdp_cookie_cnt", strings.Repeat("x", 40), "0", "0"},
		{"internal.strm.is_htx", "", "0", "0"},
	} {
		if got := sample(t, raw([]byte(row.data), true), row.expr); got != row.want {
			t.Errorf("%s of %q is %q, want %q", row.expr, row.data, got, row.want)
		}
		if got := sample(t, raw([]byte(row.data), false), row.expr); got != row.late {
			t.Errorf("%s of %q is %q when no more comes, want %q", row.expr, row.data, got, row.late)
		}
	}
}

func TestContentRulesWaitForWhatTheyNeed(t *testing.T) {
	for _, row := range []struct {
		rules string // separated by ";"
		data  string
		want  string // verdict while more may come, and when no more does
	}{
		{"accept if { req.len gt 2 };reject", "ab", "wait reject"},
		{"accept if { req.len gt 2 };reject", "abc", "allow allow"},
		{"reject if !{ req.len gt 2 }", "ab", "wait reject"},
		{"accept unless { req.len gt 2 }", "ab", "wait allow"},
		{"accept if { req.len gt 2 } or TRUE", "ab", "allow allow"},
		{"accept if FALSE { req.len gt 2 };reject", "ab", "reject reject"},
		{"reject if WAIT_END", "ab", "wait reject"},
		{"accept if REQ_CONTENT;reject", "", "wait reject"},
		{"accept if REQ_CONTENT;reject", "a", "allow allow"},
		{"set-var(txn.a) req.ssl_sni;accept", "\x16\x03", "allow allow"},
		{"switch-mode http if TRUE", "", "upgrade upgrade"},
		{"silent-drop", "", "drop drop"},
	} {
		c, d := newCompiler()
		c.HTTP = false
		set := c.TCPContent(rules(strings.Split(row.rules, ";")...), c.ACLs(nil))
		if len(*d) > 0 {
			t.Errorf("%s: %s", row.rules, diagTexts(d))
		}
		early, late := set.Run(raw([]byte(row.data), true), nil), set.Run(raw([]byte(row.data), false), nil)
		if got := early.Kind.String() + " " + late.Kind.String(); got != row.want {
			t.Errorf("%s on %q: %s, want %s", row.rules, row.data, got, row.want)
		}
	}
}

func TestRulesWaitForTheHeadTheyRead(t *testing.T) {
	c, _ := newCompiler()
	set := c.TCPContent(rules("accept if { path_beg /a }", "reject"), c.ACLs(nil))
	if !set.ReadsHead() || c.TCPContent(rules("accept if { req.len 1 }"), c.ACLs(nil)).ReadsHead() {
		t.Error("ReadsHead")
	}
	if !c.TCPContent(rules("set-var(txn.p) path"), c.ACLs(nil)).ReadsHead() {
		t.Error("ReadsHead of an action")
	}
	s := raw([]byte("GET /a"), true)
	s.HeadOpen = true
	if v := set.Run(s, nil); v.Kind != VerdictWait {
		t.Errorf("verdict %s while the head is open", v.Kind)
	}
	s.HeadOpen = false
	if v := set.Run(s, nil); v.Kind != VerdictReject {
		t.Errorf("verdict %s when there is no head", v.Kind)
	}
}

// TestTCPRuleMessages: what HAProxy 3.4 says of tcp rules, as far as this room says it.
func TestTCPRuleMessages(t *testing.T) {
	compile := map[string]func(*Compiler, []config.Rule, *ACLs) *Set{
		"connection": (*Compiler).TCPConnection, "session": (*Compiler).TCPSession, "content": (*Compiler).TCPContent, "response": (*Compiler).TCPResponse,
	}
	for _, row := range []struct{ line, want string }{
		{"connection reject if { src 192.0.2.1 }", ""},
		{"connection accept foo", "ALERT config : parsing [t.cfg:1] : 'tcp-request connection accept' only accepts 'if' or 'unless', in frontend 'f' (got 'foo').\n"},
		{"connection reject if { req.ssl_sni -m found }", "WARNING config : parsing [t.cfg:1] : anonymous acl will never match in 'tcp-request connection' because it uses keyword 'req.ssl_sni' which is incompatible with 'frontend tcp-request connection rule'\n"},
		{"session reject if { path /x }", "WARNING config : parsing [t.cfg:1] : anonymous acl will never match in 'tcp-request session' because it uses keyword 'path' which is incompatible with 'frontend tcp-request session rule'\n"},
		{"content reject if { path /x }", ""},
		{"content set-var(txn.a) res.len", "ALERT config : parsing [t.cfg:1] : fetch method 'set-var(txn.a)' extracts information from 'response buffer', none of which is available here.\n"},
		{"content do-log", "ALERT config : parsing [t.cfg:1] : 'tcp-request content do-log' is not supported.\n"},
		{"response foo", "ALERT config : parsing [t.cfg:1] : 'tcp-response content' expects 'accept', 'close', 'reject', 'set-log-level', 'set-nice', 'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'send-spoe-group', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)', 'do-log', 'set-fc-mark', 'set-fc-tos', 'set-mark', 'set-tos', 'silent-drop', 'set-bandwidth-limit' in frontend 'f' (got 'foo').\n"},
		{"content accept if nosuch", "ALERT config : parsing [t.cfg:1] : 'tcp-request content accept' : error detected in frontend 'f' while parsing 'if' condition : no such ACL : 'nosuch'.\n"},
		{"content switch-mode", "ALERT config : parsing [t.cfg:1] : 'tcp-request switch-mode' expects a mode as argument.\n"},
		{"content switch-mode tcp", "ALERT config : parsing [t.cfg:1] : 'tcp-request switch-mode' expects a valid mode (got 'tcp').\n"},
		{"content silent-drop rst-ttl 300", "ALERT config : parsing [t.cfg:1] : valid rst-ttl values are [1-255].\n"},
	} {
		place, rest, _ := strings.Cut(row.line, " ")
		c, d := newCompiler()
		compile[place](c, rules(rest), c.ACLs(nil))
		if got := diagTexts(d); got != row.want {
			t.Errorf("%s\n got: %swant: %s", row.line, got, row.want)
		}
	}
}

// TestTCPActionsStandWhereHAProxyHasThem compares the table with HAProxy's lists.
func TestTCPActionsStandWhereHAProxyHasThem(t *testing.T) {
	for name, a := range actions {
		for at := atConnection; at <= atTCPResponse; at <<= 1 {
			first, rest := tcpActionNames(at)
			list := strings.Join(append(first, rest...), " ")
			if a.where&at != 0 && !known(list, name) {
				t.Errorf("action %s stands where HAProxy has none", name)
			}
		}
	}
}

func BenchmarkContentRules(b *testing.B) {
	c, _ := newCompiler()
	set := c.TCPContent(rules("set-var(txn.sni) req.ssl_sni", "accept if { req.ssl_hello_type 1 }", "reject"), c.ACLs(nil))
	hello := helloOf(b, modern)
	s := &stream.Stream{Conn: &stream.Conn{}}
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		s.ReqData, s.Waiting = hello, true
		if v := set.Run(s, nil); v.Kind != VerdictAllow {
			b.Fatal(v.Kind)
		}
	}
}
