package rule

import (
	"testing"

	"gatehouse/internal/stream"
)

func TestTargetsOfRulesHaveNoBytesThatARequestLineMayNotHave(t *testing.T) {
	set := func(c *Compiler) *Set { return c.HTTPRequest(rules("set-path %[path,url_dec]"), nil) }
	for _, tc := range []struct{ target, want string }{
		{"/a%C3%A9?q=1", "/a%C3%A9?q=1"},
		{"/plain%41", "/plainA"},
		{"/%20%0d%0a%7f", "/%20%0D%0A%7F"},
		{"/raw\xe9%C3", "/raw\xe9\xc3"}, // the frontend lets such bytes pass: they are not ours to change
	} {
		s := &stream.Stream{Conn: new(stream.Conn), HTTP: true}
		s.Req.Method, s.Req.Target = []byte("GET"), []byte(tc.target)
		if v := run(t, set, s, nil); v.Kind != VerdictGo || string(s.Req.Target) != tc.want {
			t.Errorf("%q became %q (%v), want %q", tc.target, s.Req.Target, v.Kind, tc.want)
		}
	}
}
