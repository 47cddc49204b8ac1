package rule

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

func TestCaptureSlotsAreNumberedInTheOrderOfTheLines(t *testing.T) {
	c, d := newCompiler()
	c.Captures = []config.Capture{{Field: "x-a", Len: 3, Before: 1}, {Response: true, Field: "server", Len: 9}, {Len: 2, Before: 2}}
	set := c.HTTPRequest(rules("capture path len 5", "capture req.hdr(x-b) len 4", "capture str(third) id 3"), nil)
	res := c.HTTPResponse(rules("capture res.hdr(x-c) id 0"), nil)
	slots := c.CaptureSlots()
	if d.HasErrors() || len(slots.Req) != 4 || len(slots.Res) != 1 {
		t.Fatalf("slots %+v\n%s", slots, diagTexts(d))
	}
	s := newStream(t, "GET /abcdefg HTTP/1.1", "X-A: 1", "X-A: last", "X-B: bbbbb")
	s.Slots = slots
	s.CaptureFields(false)
	set.Run(s, newEnv())
	s.Res.Status, s.Res.Major, s.Res.Minor = 200, 1, 1
	s.Res.Fields = []stream.Field{{Name: []byte("server"), Value: []byte("apache")}, {Name: []byte("x-c"), Value: []byte("over")}}
	s.CaptureFields(true)
	for text, want := range map[string]string{
		"%hr": "{/abcd|las|bbbb|th}", "%hrl": "/abcd las bbbb th", "%hs": "{apache}", "%[capture.req.hdr(1)]/%[capture.req.hdr(4)]/%[capture.req.hdr(-1)]": "las//",
		"%[capture.res.hdr(0)] %[capture.res.ver] %[capture.req.ver]": "apache HTTP/1.1 HTTP/1.1", "%[capture.req.method] %[capture.req.uri]": "GET /abcdefg",
	} {
		if got := formatOf(t, s, nil, text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	res.Run(s, nil)
	if got := formatOf(t, s, nil, "%hs %[str(passed),capture-res(0)] %hs [%[str(x),capture-req(9)]] %[str(1),capture-req(3)] %hr"); got != "{over} passed {passed} [] 1 {/abcd|las|bbbb|1}" {
		t.Errorf("replaced captures: %q", got)
	}
}

func TestCapturesThatCannotBe(t *testing.T) {
	for rule, want := range map[string]string{
		"capture path len 100000000":           "at most 256 captures of 16384 bytes are supported",
		"capture res.hdr(x) len 5":             "none of which is available here",
		"capture path size 5":                  "expects 'len' or 'id', found 'size'",
		"capture path id x":                    "cannot parse id 'x'",
		"capture path id 1":                    "unable to find capture id '1' referenced by http-request capture rule",
		"capture path id 0|capture path len 4": "",
	} {
		c, d := newCompiler()
		c.HTTPRequest(rules(strings.Split(rule, "|")...), nil)
		c.CaptureSlots()
		if got := diagTexts(d); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", rule, got, want)
		}
	}
	c, d := newCompiler()
	c.Kind = "backend"
	c.HTTPRequest(rules("capture path len 4", "capture path id 70"), nil)
	c.CaptureSlots()
	if got := diagTexts(d); !strings.Contains(got, "has no frontend capability") || strings.Contains(got, "unable to find") {
		t.Errorf("in a backend: %s", got)
	}
}

func TestCapturedCookiesStartWithTheName(t *testing.T) {
	for line, want := range map[string]string{
		"a=1; sid-x=\"q;r\" ; sid-y=2": "sid-x=\"q;r\"", "sid=1": "", "sid-": "sid-", "a=\"sid-1\"": "", "x;sid-long=0123456789abcdef": "sid-long=0123456",
		"a=1,sid-c=3": "sid-c=3", "": "",
	} {
		s := newStream(t, "GET / HTTP/1.1", "Cookie: "+line)
		s.Slots = &stream.CaptureSlots{Cookie: "sid-", CookieLen: 16}
		s.CaptureCookie(false)
		if got := string(s.Log.ClientCookie); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestCapturesDoNotAllocate(t *testing.T) {
	c, _ := newCompiler()
	set := c.HTTPRequest(rules("capture path len 50", "capture req.hdr(host),lower len 40"), nil)
	slots := c.CaptureSlots()
	s := newStream(t, "GET / HTTP/1.1")
	target := []byte("/p")
	run := func() {
		s.Reset()
		s.Req.Target, s.Slots = target, slots
		set.Run(s, nil)
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
