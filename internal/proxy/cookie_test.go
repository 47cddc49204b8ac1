package proxy

import (
	"testing"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// TestSharedBytesAreNotChanged: a rule may set a Cookie field to bytes that every request shares.
func TestSharedBytesAreNotChanged(t *testing.T) {
	servers, err := backend.New(backend.Options{Name: "be", Servers: []backend.ServerOptions{{Line: config.Server{Name: "s", Weight: 1, Cookie: "a"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCookie(CookieOptions{Name: "S", Insert: true, Indirect: true})
	x := &exchange{f: gone, b: NewBackend(BackendOptions{Servers: servers, Persistence: &Persistence{Cookie: c}})}
	x.s.Reset()
	const text = "x = 1; S = a; y=2"
	shared := []byte(text)
	x.s.Req.Fields = append(x.s.Req.Fields, stream.Field{Name: []byte("cookie"), Value: shared})
	x.belongs()
	if got := string(x.s.Req.Fields[0].Value); got != "x=1; y=2" {
		t.Errorf("line: got %q", got)
	}
	if string(shared) != text {
		t.Errorf("the rule's bytes became %q", shared)
	}
	if x.to.server == nil || x.to.server.Name() != "s" {
		t.Errorf("server: got %v", x.to.server)
	}
}

func TestCookieDates(t *testing.T) {
	const day = 24 * 60 * 60
	now := int64(1_800_000_000)
	b := appendDate(nil, now>>2)
	if got := date(b[1:]); got != now {
		t.Errorf("date %s: got %d, want %d", b, got, now)
	}
	for _, tc := range []struct {
		date int64
		want bool
	}{{0, false}, {now, false}, {now - 600, false}, {now - 601, true}, {now + day, false}, {now + day + 1, true}} {
		if got := expired(now, tc.date, 10*time.Minute); got != tc.want {
			t.Errorf("expired(%d seconds ago): got %v", now-tc.date, got)
		}
	}
	for _, s := range []string{"", "AAAA", "AA A1", "====="} {
		if got := date([]byte(s)); got != 0 {
			t.Errorf("date(%q): got %d", s, got)
		}
	}
}

// FuzzCookieLine: no line makes the reader fail, and what is left never grows.
func FuzzCookieLine(f *testing.F) {
	for _, s := range []string{"S=a", " ,S=,0", "x=1; S=a|AAAAA|AAAAA; y", `q="; S=a`, " ; ;S= a ,$x;", "S=;S=;", "S"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	servers, err := backend.New(backend.Options{Name: "be"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string, prefix bool) {
		c := NewCookie(CookieOptions{Name: "S", Insert: !prefix, Indirect: !prefix, Prefix: prefix, MaxIdle: time.Minute})
		x := &exchange{f: gone, b: NewBackend(BackendOptions{Servers: servers})}
		x.s.Reset()
		if out, _ := c.readLine(x, []byte(line)); len(out) > len(line) {
			t.Errorf("%q became %q", line, out)
		}
	})
}
