package rule

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// maxFuzzText keeps inputs as short as a line of a configuration may be.
const maxFuzzText = 2048

// FuzzExpr: no expression panics, and what one makes stays within bounds.
func FuzzExpr(f *testing.F) {
	for _, text := range sameInHAProxy {
		if inner, ok := strings.CutPrefix(text, "%["); ok {
			f.Add(strings.TrimSuffix(inner, "]"))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzText {
			return
		}
		c, d := newCompiler()
		x := c.Expr(text, testPos)
		if (x == nil) != d.HasErrors() {
			t.Fatalf("%q: expression %v, messages %s", text, x, diagTexts(d))
		}
		if x == nil {
			return
		}
		s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
		v, _ := x.Eval(s, newEnv())
		if len(v.Bytes) > 1<<22 {
			t.Fatalf("%q made %d bytes", text, len(v.Bytes))
		}
	})
}

// FuzzFormat: no format panics; its text is bounded, and in a log line it is one line.
func FuzzFormat(f *testing.F) {
	for _, text := range append(append([]string{HTTPLog, HTTPSLog, TCPLog, HTTPCLF}, sameInHAProxy...), loggedAlike...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzText {
			return
		}
		c, d := newCompiler()
		s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
		line := c.Format(text, testPos, true)
		if (line == nil) != d.HasErrors() {
			t.Fatalf("%q: format %v, messages %s", text, line, diagTexts(d))
		}
		got := string(line.Append(nil, s, newEnv()))
		if len(got) > maxFormat || strings.Contains(got, "\n") && !strings.Contains(text, "\n") {
			t.Fatalf("%q made %d bytes: %q", text, len(got), got)
		}
		if body := c.Text(text, testPos); body != nil {
			if n := len(body.Append(nil, s, newEnv())); n > maxFormat {
				t.Fatalf("%q made %d bytes", text, n)
			}
		}
	})
}

// FuzzCond: no condition panics, and unless is the opposite of if.
func FuzzCond(f *testing.F) {
	for _, cond := range conditionsInHAProxy {
		f.Add(cond)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzText {
			return
		}
		w, err := config.SplitWords(text, nil)
		if err != nil || len(w) == 0 {
			return
		}
		c, d := newCompiler()
		acls := c.ACLs(aclsOf(aclLines))
		yes, no := c.Cond(append([]string{"if"}, w...), testPos, acls), c.Cond(append([]string{"unless"}, w...), testPos, acls)
		if d.HasErrors() || strings.Contains(text, "rand") || strings.Contains(text, "uuid") {
			return
		}
		s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
		if env := newEnv(); yes.Eval(s, env) == no.Eval(s, env) {
			t.Fatalf("%q holds and does not", text)
		}
	})
}

// FuzzRule: no rule panics, and none breaks a field or the request line apart.
func FuzzRule(f *testing.F) {
	for _, set := range changesInHAProxy {
		f.Add(set)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFuzzText {
			return
		}
		var list []config.Rule
		for _, line := range strings.Split(text, "|") {
			if w, err := config.SplitWords(line, nil); err == nil {
				list = append(list, config.Rule{Pos: testPos, Words: w})
			}
		}
		c, _ := newCompiler()
		s := newStream(t, strings.SplitN(wireRequest, "\r\n", 2)[0], headerLines(wireRequest)...)
		v := c.HTTPRequest(list, nil).Run(s, newEnv())
		fields := s.Req.Fields
		if v.Reply != nil {
			fields = append(fields, v.Reply.Fields...)
		}
		for _, field := range fields {
			if !headerSafe(field.Value) || !isToken(field.Name) {
				t.Fatalf("%q wrote %q: %q", text, field.Name, field.Value)
			}
		}
		if strings.ContainsAny(string(s.Req.Target), " \r\n\x00") || !isToken(s.Req.Method) {
			t.Fatalf("%q wrote %q %q", text, s.Req.Method, s.Req.Target)
		}
	})
}
