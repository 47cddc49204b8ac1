package rule

import (
	"strconv"
	"strings"
	"testing"
)

// A redirect line runs behind the rules whatever they allowed; a redirect rule does not.
func TestAllowDoesNotPassRedirectLines(t *testing.T) {
	list := rules("allow if { path /a }", "redirect location /rule", "redirect location /line")
	list[2].Apart = true
	for path, want := range map[string]string{"/a": "location: /line\n", "/b": "location: /rule\n"} {
		s := newStream(t, "GET "+path+" HTTP/1.1")
		var set *Set
		v := run(t, func(c *Compiler) *Set { set = c.HTTPRequest(list, nil); return set }, s, nil)
		if v.Kind == VerdictAllow {
			v = set.Redirects(s, nil)
		}
		if v.Kind != VerdictRedirect || !strings.HasPrefix(fieldLines(v.Reply.Fields), want) {
			t.Errorf("%s: %v %+v, want %q", path, v.Kind, v.Reply, want)
		}
	}
	s := newStream(t, "GET /a HTTP/1.1")
	if v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(list[:2], nil) }, s, nil); v.Kind != VerdictAllow {
		t.Errorf("without a redirect line: %v", v.Kind)
	}
}

func TestRedirectsInAllForms(t *testing.T) {
	for _, tc := range []struct{ rule, status, fields string }{
		{"redirect location /x code 301", "301", "location: /x\n"},
		{"redirect location /x keep-query set-cookie A=1", "302", "location: /x?q=1\ncache-control: no-cache\nset-cookie: A=1; path=/;\n"},
		{"redirect location /x?a=b keep-query code 303", "303", "location: /x?a=b&q=1\ncache-control: no-cache\n"},
		{"redirect prefix /p drop-query append-slash set-cookie-fmt A=%[path]", "302", "location: /p/in/\ncache-control: no-cache\nset-cookie: A=/in; path=/;\n"},
		{"redirect prefix / code 308", "308", "location: /in?q=1\n"},
		{"redirect scheme https clear-cookie A= code 307", "307", "location: https://h.example/in?q=1\ncache-control: no-cache\nset-cookie: A=; path=/; Max-Age=0;\n"},
	} {
		s := newStream(t, "GET /in?q=1 HTTP/1.1", "Host: h.example")
		v := run(t, func(c *Compiler) *Set { return c.HTTPRequest(rules(tc.rule), nil) }, s, nil)
		if v.Kind != VerdictRedirect || strconv.Itoa(v.Status) != tc.status || fieldLines(v.Reply.Fields) != tc.fields {
			t.Errorf("%s: %v %d\n%swant %s\n%s", tc.rule, v.Kind, v.Status, fieldLines(v.Reply.Fields), tc.status, tc.fields)
		}
	}
	c, d := newCompiler()
	c.HTTPResponse(rules("redirect prefix /x", "redirect location /ok"), nil)
	if text := diagTexts(d); strings.Count(text, "ALERT") != 1 || !strings.Contains(text, "response only supports redirect type 'location'") {
		t.Errorf("messages of a response's redirects:\n%s", text)
	}
}
