package backend

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
)

// world is a network in memory: what a server at an address does with a connection. It is changed while a bubble stands still.
type world struct {
	mu    sync.Mutex
	serve map[string]func(net.Conn)
	lines []string
	kinds []event.Kind
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	serve := w.serve[address]
	w.mu.Unlock()
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	near, far := net.Pipe()
	go func() { defer far.Close(); serve(far) }()
	return near, nil
}

func (w *world) set(address string, serve func(net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve[address] = serve
}

func (w *world) log(level, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, level+" "+text)
}

// said returns the lines since the last call.
func (w *world) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

func (w *world) options(o Options) Options {
	o.Name, o.Dial, o.Log = "be", w.dial, w.log
	o.Emit = func(e event.Event) { w.mu.Lock(); defer w.mu.Unlock(); w.kinds = append(w.kinds, e.Kind) }
	return o
}

func accepts(c net.Conn) { io.Copy(io.Discard, c) }

// answers reads a request head and writes text.
func answers(text string) func(net.Conn) {
	return func(c net.Conn) {
		var b [4096]byte
		n := 0
		for !strings.Contains(string(b[:n]), "\r\n\r\n") {
			m, err := c.Read(b[n:])
			if n += m; err != nil {
				return
			}
		}
		io.WriteString(c, text)
	}
}

func checkedServer(t testing.TB, name, address string) ServerOptions {
	o := at(t, name, address)
	o.Line.Check, o.Line.Rise, o.Line.Fall = true, 2, 3
	return o
}

// inBubble runs b's checks in a synctest bubble around f.
func inBubble(t *testing.T, b func() *Backend, f func(t *testing.T, b *Backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be := b()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- be.Run(ctx) }()
		f(t, be)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func wantLines(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %s\nwant %s", when, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestFirstFailedCheckTakesTheServerDownAndRiseBringsItBack(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){"192.0.2.2:80": accepts}}
	inBubble(t, func() *Backend {
		return build(t, w.options(Options{Servers: []ServerOptions{checkedServer(t, "a", "192.0.2.1:80"), checkedServer(t, "b", "192.0.2.2:80")}}), nil)
	}, func(t *testing.T, b *Backend) {
		time.Sleep(1500 * time.Millisecond) // a at once, b after half an interval
		wantLines(t, "start", w.said(),
			`alert Server be/a is DOWN, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`)
		a, z := b.Server("a").Facts(), b.Server("b").Facts()
		if a.Status != "DOWN" || a.CheckStatus != L4Connection || a.CheckResult != ResultFailed || a.Downs != 1 || a.CheckFailures != 1 || a.CheckStatus.String() != "L4CON" {
			t.Errorf("a: %+v", a)
		}
		if z.Status != "UP" || z.CheckStatus != L4OK || z.CheckHealth != 4 {
			t.Errorf("b: %+v", z)
		}
		w.set("192.0.2.2:80", nil)
		time.Sleep(2 * time.Second)
		if got := b.Server("b").Facts(); got.Status != "UP 2/3" {
			t.Errorf("after one failure b is %q", got.Status)
		}
		wantLines(t, "one failure of three", w.said())
		time.Sleep(4 * time.Second)
		wantLines(t, "third failure", w.said(),
			`alert Server be/b is DOWN, reason: Layer4 connection problem, info: "ECONNREFUSED returned by OS (Connection refused)", check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
			`emerg backend be has no server available!`)
		w.set("192.0.2.1:80", accepts)
		time.Sleep(2 * time.Second)
		if got := b.Server("a").Facts(); got.Status != "DOWN 1/2" {
			t.Errorf("after one success a is %q", got.Status)
		}
		time.Sleep(2 * time.Second)
		wantLines(t, "second success", w.said(),
			`notice Server be/a is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`)
		if f := b.Server("a").Facts(); f.DownTime != 10*time.Second || f.Status != "UP" {
			t.Errorf("a was down for %v, is %q", f.DownTime, f.Status)
		}
		if b.Downs() != 1 {
			t.Errorf("the backend was lost %d times", b.Downs())
		}
	})
	if want := []event.Kind{event.ServerDown, event.ServerDown, event.ServerDown, event.ServerUp}; !slices.Equal(w.kinds, want) {
		t.Errorf("events %v, want %v", w.kinds, want)
	}
}

func TestIntervalsFollowTheState(t *testing.T) {
	var at []time.Duration
	w := &world{serve: map[string]func(net.Conn){}}
	var begin time.Time
	o := checkedServer(t, "a", "192.0.2.1:80")
	o.Line.Inter, o.Line.FastInter, o.Line.DownInter = 10*time.Second, time.Second, 5*time.Second
	var refuse atomic.Bool
	w.serve["192.0.2.1:80"] = accepts
	inBubble(t, func() *Backend {
		begin = time.Now()
		opt := w.options(Options{Servers: []ServerOptions{o}})
		opt.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			at = append(at, time.Since(begin))
			if refuse.Load() {
				address = "nowhere"
			}
			return w.dial(ctx, network, address)
		}
		return build(t, opt, nil)
	}, func(*testing.T, *Backend) {
		time.Sleep(time.Second)
		refuse.Store(true)
		time.Sleep(24 * time.Second)
	})
	want := []time.Duration{0, 10, 11, 12, 17, 22}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(at, want) {
		t.Errorf("checks at %v, want %v (inter, then fastinter twice, then downinter)", at, want)
	}
}

func TestHTTPChecks(t *testing.T) {
	for _, test := range []struct {
		name   string
		check  config.HTTPCheck
		answer func(net.Conn)
		want   string // of the log line
	}{
		{"good", config.HTTPCheck{}, answers("HTTP/1.0 200 OK\r\n\r\n"), "succeeded, reason: Layer7 check passed, code: 200, check duration: 0ms, status: 3/3 UP."},
		{"redirect", config.HTTPCheck{}, answers("HTTP/1.0 302 Found\r\n\r\n"), "succeeded, reason: Layer7 check passed, code: 302, check duration: 0ms, status: 3/3 UP."},
		{"bad status", config.HTTPCheck{}, answers("HTTP/1.0 503 Service Unavailable\r\n\r\n"),
			`failed, reason: Layer7 wrong status, code: 503, info: "Service Unavailable", check duration: 0ms, status: 0/2 DOWN.`},
		{"expected status", config.HTTPCheck{Expect: []string{"status", "200,500-510"}}, answers("HTTP/1.0 503 x\r\n\r\n"), "succeeded, reason: Layer7 check passed, code: 503, check duration: 0ms, status: 3/3 UP."},
		{"unexpected status", config.HTTPCheck{Expect: []string{"!", "rstatus", "^5"}}, answers("HTTP/1.0 503 x\r\n\r\n"), `failed, reason: Layer7 wrong status, code: 503, info: "x", check duration: 0ms, status: 0/2 DOWN.`},
		{"string", config.HTTPCheck{Expect: []string{"string", "fine"}}, answers("HTTP/1.1 500 x\r\ncontent-length: 10\r\n\r\nall's fine"), "succeeded, reason: Layer7 check passed, code: 500, check duration: 0ms, status: 3/3 UP."},
		{"string missing", config.HTTPCheck{Expect: []string{"rstring", "f.ne"}}, answers("HTTP/1.1 200 x\r\ncontent-length: 3\r\n\r\nbad"),
			`failed, reason: Layer7 invalid response, info: "HTTP content check did not match", check duration: 0ms, status: 0/2 DOWN.`},
		{"no HTTP", config.HTTPCheck{}, answers("hello\r\n\r\n"), "failed, reason: Layer7 invalid response, check duration: 0ms, status: 0/2 DOWN."},
		{"nothing", config.HTTPCheck{}, answers(""), "failed, reason: Socket error, check duration: 0ms, status: 0/2 DOWN."},
		{"silence", config.HTTPCheck{}, accepts, "failed, reason: Layer7 timeout, check duration: 2000ms, status: 0/2 DOWN."},
		{"404 stops", config.HTTPCheck{DisableOn404: true}, answers("HTTP/1.0 404 Not Found\r\n\r\n"), "conditionally succeeded, reason: Layer7 check conditionally passed, code: 404, check duration: 0ms, status: 3/3 UP."},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{serve: map[string]func(net.Conn){"192.0.2.1:80": test.answer}}
			h, err := NewHTTPCheck(&test.check)
			if err != nil {
				t.Fatal(err)
			}
			inBubble(t, func() *Backend {
				return build(t, w.options(Options{LogHealthChecks: true, Check: CheckOptions{Kind: "http", HTTP: h}, Servers: []ServerOptions{checkedServer(t, "a", "192.0.2.1:80")}}), nil)
			}, func(*testing.T, *Backend) {
				time.Sleep(1999 * time.Millisecond)
				if strings.Contains(test.want, "2000ms") {
					time.Sleep(2 * time.Millisecond)
				}
			})
			lines := w.said()
			if want := "notice Health check for server be/a " + test.want; len(lines) == 0 || lines[0] != want {
				t.Errorf("got  %q\nwant %q", lines, want)
			}
		})
	}
}

func TestCheckRequests(t *testing.T) {
	for _, test := range []struct {
		c    config.HTTPCheck
		want string
	}{
		{config.HTTPCheck{}, "OPTIONS / HTTP/1.0\r\nconnection: close\r\n\r\n"},
		{config.HTTPCheck{Method: "GET", URI: "/x", Version: "HTTP/1.1\r\nHost: www"}, "GET /x HTTP/1.1\r\nhost: www\r\nconnection: close\r\n\r\n"},
		{config.HTTPCheck{Method: "POST", URI: "/", Version: "HTTP/1.1\r\nHost: www\r\nA: b\r\n\r\nbody"}, "POST / HTTP/1.1\r\nhost: www\r\na: b\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody"},
		{config.HTTPCheck{Method: "PUT", Headers: [][2]string{{"Connection", "keep-alive"}, {"Content-Length", "9"}}}, "PUT / HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n"},
	} {
		h, err := NewHTTPCheck(&test.c)
		if err != nil {
			t.Fatal(err)
		}
		if string(h.request) != test.want {
			t.Errorf("%+v:\ngot  %q\nwant %q", test.c, h.request, test.want)
		}
	}
	for _, words := range [][]string{{"!"}, {"status"}, {"status", "20x"}, {"status", "300-200"}, {"rstring", "("}, {"hdr", "x"}, {"status", "200", "comment"}} {
		if _, err := NewHTTPCheck(&config.HTTPCheck{Expect: words}); err == nil || !strings.HasPrefix(err.Error(), "http-check expect: ") {
			t.Errorf("%q: got %v", words, err)
		}
	}
}

func TestSSLHelloCheck(t *testing.T) {
	for answer, want := range map[string]Status{"\x16\x03\x03\x00\x02xx": L6OK, "\x15\x03\x03\x00\x02xx": L6Response, "HTTP/1.0 400 Bad\r\n": L6Response, "": L6Response} {
		w := &world{serve: map[string]func(net.Conn){"192.0.2.1:443": func(c net.Conn) {
			head := make([]byte, 5)
			io.ReadFull(c, head)
			io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
			io.WriteString(c, answer)
		}}}
		inBubble(t, func() *Backend {
			return build(t, w.options(Options{Check: CheckOptions{Kind: "ssl-hello"}, Servers: []ServerOptions{checkedServer(t, "a", "192.0.2.1:443")}}), nil)
		}, func(t *testing.T, b *Backend) {
			time.Sleep(time.Second)
			if got := b.Server("a").Facts().CheckStatus; got != want {
				t.Errorf("%q: %v, want %v", answer, got, want)
			}
		})
	}
}

func TestSSLHelloIsUnderstood(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	got := make(chan outcome, 1)
	go func() { got <- sslHello(near); near.Close() }()
	serveTLS(t, far)
	if o := <-got; o.status != L6OK {
		t.Errorf("a TLS server's answer was %v", o)
	}
}

func TestOperatorsMoveServers(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){"192.0.2.1:80": accepts, "192.0.2.2:80": accepts}}
	backup := checkedServer(t, "c", "192.0.2.2:80")
	backup.Line.Backup = true
	inBubble(t, func() *Backend {
		return build(t, w.options(Options{Servers: []ServerOptions{checkedServer(t, "b", "192.0.2.1:80"), backup}}), nil)
	}, func(t *testing.T, be *Backend) {
		time.Sleep(3 * time.Second)
		b, c := be.Server("b"), be.Server("c")
		step := func(what string, err error, status string, want ...string) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			synctest.Wait()
			wantLines(t, what, w.said(), want...)
			if got := b.Facts().Status; got != status {
				t.Errorf("%s: status %q, want %q", what, got, status)
			}
		}
		step("maint", b.SetState("maint"), "MAINT", `alert Server be/b is going DOWN for maintenance. 0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue.`)
		step("maint again", b.SetState("maint"), "MAINT")
		step("drain", b.SetState("drain"), "DRAIN", `notice Server be/b is UP/DRAIN (leaving forced maintenance).`, `notice Server be/b remains in forced drain mode.`)
		step("ready", b.SetState("ready"), "UP", `notice Server be/b is UP (leaving forced drain).`)
		step("drain", b.SetState("drain"), "DRAIN", `notice Server be/b enters drain state. 0 active and 1 backup servers online. Running on backup. 0 sessions requeued, 0 total in queue.`)
		step("ready", b.SetState("ready"), "UP", `notice Server be/b is UP (leaving forced drain).`)
		step("health down", b.SetHealth("down"), "DOWN", `alert Server be/b is DOWN, changed from CLI. 0 active and 1 backup servers left. Running on backup. 0 sessions active, 0 requeued, 0 remaining in queue.`)
		step("backup maint", c.SetState("maint"), "DOWN", `alert Backup Server be/c is going DOWN for maintenance. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`, `emerg backend be has no server available!`)
		step("backup ready", c.SetState("ready"), "DOWN", `notice Backup Server be/c is UP/READY (leaving forced maintenance).`)
		time.Sleep(4 * time.Second)
		step("checks", nil, "UP", `notice Server be/b is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 1 backup servers online. 0 sessions requeued, 0 total in queue.`)
		step("weight", b.SetWeight("50%"), "DRAIN") // half of 1 is 0
		step("weight", b.SetWeight("7"), "UP")
		if b.Weight() != 7 || b.InitialWeight() != 1 {
			t.Errorf("weight %d, initial %d", b.Weight(), b.InitialWeight())
		}
		for word, want := range map[string]string{"257": "Absolute weight can only be between 0 and 256 inclusive.", "x": "Absolute weight can only be between 0 and 256 inclusive.", "-1%": "Relative weight must be positive."} {
			if err := b.SetWeight(word); err == nil || err.Error() != want {
				t.Errorf("weight %q: %v", word, err)
			}
		}
		if err := b.SetState("up"); err == nil || err.Error() != "'set server <srv> state' expects 'ready', 'drain' and 'maint'." {
			t.Errorf("state up: %v", err)
		}
	})
}

func TestReloadForgetsNothing(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){"192.0.2.2:80": accepts}}
	synctest.Test(t, func(t *testing.T) {
		servers := []ServerOptions{checkedServer(t, "down", "192.0.2.1:80"), checkedServer(t, "up", "192.0.2.2:80"), at(t, "moved", "192.0.2.3:80"), at(t, "off", "192.0.2.4:80")}
		run := func(b *Backend) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- b.Run(ctx) }()
			return func() { cancel(); <-done }
		}
		old := build(t, w.options(Options{HTTP: true, Servers: servers}), nil)
		stopOld := run(old)
		time.Sleep(3 * time.Second)
		old.Server("off").SetState("maint")
		old.Server("moved").SetWeight("9")
		old.Server("up").SetWeight("5")
		s := newStream()
		c := connect(t, old, s, ConnectOptions{Avoid: old.Server("moved")})
		w.said()

		servers = slices.Clone(servers)
		servers[2] = at(t, "moved", "192.0.2.9:80")
		given := build(t, w.options(Options{HTTP: true, Servers: servers[:1]}), old) // a generation that came to nothing
		given.Close()
		next := build(t, w.options(Options{HTTP: true, Servers: servers}), old)
		stopNext := run(next)
		stopOld()
		if got := next.Server("down").Facts(); got.Status != "DOWN" || got.CheckStatus != L4Connection || got.Downs != 1 {
			t.Errorf("down: %+v", got)
		}
		if next.Server("off").Facts().Status != "MAINT" || next.Server("up").Weight() != 5 || next.Server("moved").Weight() != 1 {
			t.Errorf("off %q, up has weight %d, moved %d", next.Server("off").Facts().Status, next.Server("up").Weight(), next.Server("moved").Weight())
		}
		if next.Server(s.Server).Served() != 1 {
			t.Errorf("the new generation does not see the request on %s", s.Server)
		}
		c.Release(true)
		if n := next.Server(s.Server); n.Served() != 0 || n.IdleConns() != 1 {
			t.Errorf("served %d, idle %d after release by the old generation", n.Served(), n.IdleConns())
		}
		if c := connect(t, next, newStream(), ConnectOptions{}); s.Server == "up" && !c.Reused {
			t.Error("the old generation's idle connection was not taken")
		} else {
			c.Release(false)
		}
		wantLines(t, "reload", w.said())
		stopNext()
	})
}

func TestIdleConnectionsAreClosedByHalves(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){"192.0.2.1:80": accepts}}
	inBubble(t, func() *Backend {
		return build(t, w.options(Options{HTTP: true, Servers: []ServerOptions{at(t, "a", "192.0.2.1:80")}}), nil)
	}, func(t *testing.T, b *Backend) {
		var open []*Conn
		for range 8 {
			open = append(open, connect(t, b, newStream(), ConnectOptions{Fresh: true}))
		}
		for _, c := range open {
			c.Release(true)
		}
		var got []int
		for range 5 {
			time.Sleep(5*time.Second + time.Millisecond)
			got = append(got, b.Server("a").IdleConns())
		}
		// The first purge only learns that eight are there; nothing says yet that they were not needed.
		if want := []int{8, 4, 2, 1, 0}; !slices.Equal(got, want) {
			t.Errorf("idle after each purge: %v, want %v", got, want)
		}
	})
}

func TestLinesEscapeWhatServersSay(t *testing.T) {
	if got, want := escape("a\"b\\c\r\n\x00é"), `a\"b\\c\r\n\00\c3\a9`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if m := regexp.MustCompile(`^[ -~]*$`); !m.MatchString(escape(fmt.Sprint("\x1b[0m", string(rune(0x202e))))) {
		t.Error("control characters pass")
	}
}
