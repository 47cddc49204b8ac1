package rule

import (
	"net/netip"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

func TestNormalizersBringTargetsIntoOneForm(t *testing.T) {
	for _, row := range [][3]string{
		{"path-merge-slashes", "/foo//bar///?a//b", "/foo/bar/?a//b"}, {"path-merge-slashes", "http://h//a//", "http://h/a/"},
		{"path-strip-dot", "/./a/./b/.", "/a/b/"}, {"path-strip-dot", "/a.b/.c", "/a.b/.c"},
		{"path-strip-dotdot", "/foo/../bar", "/bar"}, {"path-strip-dotdot", "/foo/bar/..", "/foo/"}, {"path-strip-dotdot", "/../a", "/../a"},
		{"path-strip-dotdot", "/a/../../b", "/../b"}, {"path-strip-dotdot full", "/../a", "/a"}, {"path-strip-dotdot full", "/a/../../b/..", "/"},
		{"path-strip-dotdot", "/a//../b", "/a/b"}, {"path-strip-dotdot", "/..", "/../"}, {"path-strip-dotdot full", "/..", "/"},
		{"percent-to-uppercase", "/%aa%zz?%2f", "/%AA%zz?%2F"}, {"percent-to-uppercase strict", "/%zz", "400"},
		{"percent-decode-unreserved", "/%61%2F?%7e%", "/a%2F?~%"}, {"percent-decode-unreserved strict", "/%6", "400"},
		{"query-sort-by-name", "/?b=2&a=1&b=1&&c", "/?&a=1&b=2&b=1&c"}, {"query-sort-by-name", "/p", "/p"},
		{"fragment-strip", "/a?b#c#d", "/a?b"}, {"fragment-encode", "/a#b#", "/a%23b%23"}, {"path-strip-dot", "*", "*"},
	} {
		c, d := newCompiler()
		c.Experimental = true
		set := c.HTTPRequest(rules("normalize-uri "+row[0]), nil)
		s := newStream(t, "GET "+row[1]+" HTTP/1.1")
		v := set.Run(s, nil)
		got := string(s.Req.Target)
		if v.Kind == VerdictError {
			got = "400"
		}
		if got != row[2] || d.HasErrors() {
			t.Errorf("%s %s: got %q, want %q %s", row[0], row[1], got, row[2], diagTexts(d))
		}
	}
	c, d := newCompiler()
	c.HTTPRequest(rules("normalize-uri path-strip-dot"), nil)
	c.Experimental = true
	c.HTTPRequest(rules("normalize-uri foo", "normalize-uri", "normalize-uri path-strip-dotdot foo"), nil)
	for _, want := range []string{"is experimental, must be allowed", "unknown normalizer 'foo'", "missing argument <normalizer>", "unknown argument 'foo' for 'path-strip-dotdot' normalizer"} {
		if !strings.Contains(diagTexts(d), want) {
			t.Errorf("no message with %q in\n%s", want, diagTexts(d))
		}
	}
}

func TestForwardedElements(t *testing.T) {
	on := config.ForwardedPart{On: true}
	expr := func(x string) config.ForwardedPart { return config.ForwardedPart{On: true, Expr: x} }
	for _, row := range []struct {
		o         config.Forwarded
		src, sent string
		want      string
	}{
		{config.Forwarded{Proto: true, For: on}, "192.0.2.1:5", "", "proto=http;for=192.0.2.1"},
		{config.Forwarded{Proto: true, For: on}, "[2001:db8::1]:5", "for=1.2.3.4", `for=1.2.3.4, proto=http;for="[2001:db8::1]"`},
		{config.Forwarded{Proto: true}, "192.0.2.1:5", "for=;", "for=;|proto=http"},
		{config.Forwarded{For: expr("src"), ForPort: expr("str(id)")}, "192.0.2.1:5", "", `for="192.0.2.1:_id"`},
		{config.Forwarded{For: on, ForPort: on}, "[2001:db8::1]:5", "", `for="[2001:db8::1]:5"`},
		{config.Forwarded{For: expr("str(a b)"), ForPort: expr("str(a b)")}, "192.0.2.1:5", "", `for="unknown"`},
		{config.Forwarded{Host: on}, "192.0.2.1:5", "", `host="h.example:80"`}, {config.Forwarded{Host: expr("str(<)")}, "192.0.2.1:5", "", `host=""`},
		{config.Forwarded{By: expr("str(name)"), ByPort: expr("int(10)")}, "192.0.2.1:5", "", `by="_name:10"`},
	} {
		c, d := newCompiler()
		f := c.Forwarded(&row.o)
		s := newStream(t, "GET / HTTP/1.1", "Host: h.example:80")
		if row.sent != "" {
			s = newStream(t, "GET / HTTP/1.1", "Host: h.example:80", "Forwarded: "+row.sent)
		}
		s.Conn.Src = netip.MustParseAddrPort(row.src)
		f.Add(s, nil)
		var got []string
		for _, field := range s.Req.Fields {
			if string(field.Name) == "forwarded" {
				got = append(got, string(field.Value))
			}
		}
		if strings.Join(got, "|") != row.want || d.HasErrors() {
			t.Errorf("%+v after %q: got %q, want %q", row.o, row.sent, got, row.want)
		}
	}
}
