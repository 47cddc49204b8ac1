package backend

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServersComeAndGoAtRunTime(t *testing.T) {
	b := build(t, Options{Servers: []ServerOptions{at(t, "a", echo(t))}}, nil)
	released := 0
	o := at(t, "d", echo(t))
	o.Release = func() { released++ }
	d, err := b.Add(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(o); err == nil || err.Error() != "Already exists a server with the same name in backend." {
		t.Errorf("the same name again: %v", err)
	}
	if d.Facts().Admin != ForcedMaint || d.Facts().Status != "MAINT" || b.ID(d) != 2 || !d.Dynamic() {
		t.Errorf("a new server is %+v, number %d", d.Facts(), b.ID(d))
	}
	if got := turns(t, b); slices.Contains(got, "d") {
		t.Errorf("in maintenance it serves: %v", got)
	}
	if err := d.SetState("ready"); err != nil {
		t.Fatal(err)
	}
	if got := turns(t, b); !slices.Contains(got, "d") || !slices.Contains(got, "a") {
		t.Errorf("when it is ready: %v", got)
	}
	if err := b.Remove(d, false); err == nil || err.Error() != "Only servers in maintenance mode can be deleted." {
		t.Errorf("removing it then: %v", err)
	}
	c := connect(t, b, newStream(), ConnectOptions{Server: d})
	if err := d.SetState("maint"); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(d, false); !errors.Is(err, ErrBusy) {
		t.Errorf("removing it under a request: %v", err)
	}
	c.Release(false)
	if err := b.Remove(d, true); err == nil || !strings.Contains(err.Error(), "other configuration elements pointing to it") {
		t.Errorf("removing one that rules name: %v", err)
	}
	if err := b.Remove(d, false); err != nil || released != 1 || b.Server("d") != nil || len(b.Servers()) != 1 {
		t.Errorf("removing it: %v, released %d times, left %d", err, released, len(b.Servers()))
	}
}

// turns are the servers that four requests go to, one after the other.
func turns(t *testing.T, b *Backend) (got []string) {
	t.Helper()
	for range 4 {
		c := connect(t, b, newStream(), ConnectOptions{})
		got = append(got, c.Server.Name())
		c.Release(false)
	}
	return got
}

func TestServersAddedAtRunTimeOutliveAReload(t *testing.T) {
	old := build(t, Options{Servers: []ServerOptions{at(t, "a", echo(t))}}, nil)
	d, err := old.Add(at(t, "d", echo(t)))
	if err != nil {
		t.Fatal(err)
	}
	gone, err := old.Add(at(t, "b", "192.0.2.9:80"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{d.SetState("ready"), d.SetWeight("7"), gone.SetState("ready")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Counters().Tot.Add(5)
	// the configuration has a server b now
	now := build(t, Options{Servers: []ServerOptions{at(t, "a", old.Servers()[0].Address()), at(t, "b", "192.0.2.1:80")}}, old)
	left := now.Adopt(old)
	if len(left) != 1 || left[0].Name() != "b" {
		t.Errorf("not taken over: %v", left)
	}
	s := now.Server("d")
	if s == nil || s.Weight() != 7 || s.Facts().Admin != 0 || s.Counters().Tot.Load() != 5 || now.ID(s) == now.ID(now.Server("b")) {
		t.Fatalf("the next generation has %+v", s)
	}
	if now.Server("b").Dynamic() || now.Server("b").Address() != "192.0.2.1:80" {
		t.Error("the configuration's server b is not the one that serves")
	}
}

func TestAServerMovesToAnotherAddress(t *testing.T) {
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{at(t, "a", echo(t))}}, nil)
	s := b.Servers()[0]
	first := connect(t, b, newStream(), ConnectOptions{})
	held := connect(t, b, newStream(), ConnectOptions{})
	first.Release(true)
	host, port, _ := net.SplitHostPort(echo(t))
	was := s.Port()
	answer, err := s.SetAddr(host, port, "test")
	if err != nil || answer != "port changed from '"+itoa(was)+"' to '"+port+"' by 'test'" {
		t.Errorf("moving: %q, %v", answer, err)
	}
	held.Release(true)
	c := connect(t, b, newStream(), ConnectOptions{})
	if c.Reused || c.RemoteAddr().String() != net.JoinHostPort(host, port) {
		t.Errorf("after the move a request goes to %s, reused %v", c.RemoteAddr(), c.Reused)
	}
	c.Release(true)
	if c := connect(t, b, newStream(), ConnectOptions{}); !c.Reused {
		t.Error("connections to the new place are not used again")
	}
	for _, row := range [][3]string{
		{"127.0.0.1", port, "nothing changed"}, {"127.0.0.1", "", "nothing changed"}, {"192.0.2.1", "", "IP changed from '127.0.0.1' to '192.0.2.1' by 'x'"},
		{"192.0.2.2", "81", "IP changed from '192.0.2.1' to '192.0.2.2', port changed from '" + port + "' to '81' by 'x'"},
		{"192.0.2.2", "+10", "port changed from '81' to '+10' by 'x'"}, {"192.0.2.2", "-10", "port changed from '+10' to '+65526' by 'x'"},
		{"192.0.2.2", "99999", "port changed from '+65526' to '34463' by 'x'"},
		{"192.0.2.2", "x", "problem converting port 'x' to an int"}, {"bad", "", "Invalid addr 'bad'"},
	} {
		got, err := s.SetAddr(row[0], row[1], "x")
		if err != nil {
			got = err.Error()
		}
		if got != row[2] {
			t.Errorf("addr %s port %s: %q, want %q", row[0], row[1], got, row[2])
		}
	}
	again := build(t, Options{Servers: []ServerOptions{s.o}}, b)
	if got := again.Servers()[0].Address(); got != "192.0.2.2:34463" {
		t.Errorf("a reload moves it to %s", got)
	}
	elsewhere := build(t, Options{Servers: []ServerOptions{at(t, "a", "192.0.2.3:80")}}, again)
	if got := elsewhere.Servers()[0].Address(); got != "192.0.2.3:80" {
		t.Errorf("with another address in the configuration it is at %s", got)
	}
}

func itoa(n int) string { return (&place{port: n}).portText() }

func TestFollowersAreInTheStateOfWhomTheyTrack(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){}}
	b := build(t, w.options(Options{Servers: []ServerOptions{at(t, "a", "192.0.2.1:80"), at(t, "b", "192.0.2.2:80"), at(t, "c", "192.0.2.3:80")}}), nil)
	a, f, g := b.Server("a"), b.Server("b"), b.Server("c")
	f.Follow(a)
	g.Follow(f)
	step := func(name string, err error, status string, lines ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantLines(t, name, w.said(), lines...)
		if got := f.Facts().Status + " " + g.Facts().Status; got != status {
			t.Errorf("%s: the followers are %s, want %s", name, got, status)
		}
	}
	step("down", a.SetHealth("down"), "DOWN DOWN",
		`alert Server be/a is DOWN, changed from CLI. 2 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`alert Server be/b is DOWN via be/a. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`alert Server be/c is DOWN via be/b. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`emerg backend be has no server available!`)
	if err := a.SetHealth("up"); err != nil {
		t.Fatal(err)
	}
	w.said()
	if err := a.SetState("maint"); err != nil {
		t.Fatal(err)
	}
	w.said()
	if got := f.Facts().Status; got != "MAINT (via be/a)" {
		t.Errorf("follower of one in maintenance: %s", got)
	}
	step("forced too", f.SetState("maint"), "MAINT MAINT (via be/b)")
	step("ready while the other is not", f.SetState("ready"), "MAINT (via be/a) MAINT (via be/b)",
		"notice Server be/b is leaving forced maintenance but remains in maintenance via be/a.")
	step("all ready", a.SetState("ready"), "UP UP",
		"notice Server be/a is UP/READY (leaving forced maintenance).", "notice Server be/b is UP/READY (leaving maintenance).",
		"notice Server be/c is UP/READY (leaving maintenance).")
	if err := f.SetHealth("down"); err == nil || err.Error() != "cannot change health on a tracking server." {
		t.Errorf("setting the health of a follower: %v", err)
	}
	if err := a.Removable(false); err == nil || !strings.Contains(err.Error(), "pointing to it") {
		t.Errorf("removing one that is followed: %v", err)
	}
}

func TestAgentsSayHowTheirServerIs(t *testing.T) {
	w := &world{serve: map[string]func(net.Conn){"192.0.2.1:80": accepts}}
	said, heard := "up\n", ""
	agent := func(c net.Conn) {
		buf := make([]byte, 16)
		n, _ := c.Read(buf)
		w.mu.Lock()
		heard = string(buf[:n])
		text := said
		w.mu.Unlock()
		io.WriteString(c, text)
	}
	o := at(t, "a", "192.0.2.1:80")
	o.Line.AgentCheck, o.Line.AgentPort, o.Line.AgentSend, o.Line.AgentInter, o.Line.MaxConn = true, 9, "ping\n", time.Second, 3
	w.set("192.0.2.1:9", agent)
	inBubble(t, func() *Backend {
		return build(t, w.options(Options{Servers: []ServerOptions{o}, LogHealthChecks: true}), nil)
	}, func(t *testing.T, b *Backend) {
		s := b.Servers()[0]
		synctest.Wait()
		wantLines(t, "the first word", w.said(), `notice Agent check for server be/a succeeded, reason: Layer7 check passed, code: 0, info: "via agent : up", check duration: 0ms, status: 1/1 UP.`)
		w.mu.Lock()
		if heard != "ping\n" {
			t.Errorf("agent-send arrived as %q", heard)
		}
		w.mu.Unlock()
		for _, row := range []struct {
			text, status    string
			weight, maxconn int
			info            string
		}{
			{"down # on fire\n", "DOWN", 1, 3, "via agent : down (on fire)"},
			{"up\n", "UP", 1, 3, "via agent : up"},
			{"maint\r\n", "MAINT", 1, 3, ""},
			{"ready,up\n", "UP", 1, 3, "via agent : up"},
			{"drain\n", "DRAIN", 1, 3, ""},
			{"ready\n", "UP", 1, 3, ""},
			{"50% maxconn:7 UP\n", "DRAIN", 0, 7, "via agent : up"},
			{"weight:100%\n", "UP", 1, 7, ""},
			{"bogus 300%\n", "UP", 3, 7, "agent reports an error : bogus"},
			{"stopped\n", "DOWN", 3, 7, "via agent : stopped"},
			{"no line end", "DOWN", 3, 7, "Ignoring incomplete line from agent"},
			{"up 100%\n", "UP", 1, 7, "via agent : up"},
		} {
			w.mu.Lock()
			said = row.text
			w.mu.Unlock()
			time.Sleep(time.Second)
			synctest.Wait()
			f := s.Facts()
			status := strings.Replace(f.Status, "no check", "UP", 1)
			if status != row.status || f.Weight != row.weight || s.MaxConn() != row.maxconn || f.AgentInfo != row.info {
				t.Errorf("%q: %s, weight %d, maxconn %d, %q; want %+v", row.text, f.Status, f.Weight, s.MaxConn(), f.AgentInfo, row)
			}
		}
		w.set("192.0.2.1:9", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if f := s.Facts(); f.Op != Running || f.AgentStatus != L4Connection {
			t.Errorf("an agent that is away: %v, %v", f.Op, f.AgentStatus)
		}
		if err := s.SetAgent("down"); err != nil || s.Up() {
			t.Errorf("set agent down: %v, up %v", err, s.Up())
		}
		if err := s.SetAgentChecks(false); err != nil {
			t.Error(err)
		}
		if err := s.SetAgent("up"); err == nil || err.Error() != "agent checks are not enabled on this server." {
			t.Errorf("set agent without agent: %v", err)
		}
	})
}

func TestTLSTowardsAServerIsSwitched(t *testing.T) {
	o := at(t, "a", "192.0.2.1:443")
	o.TLS, o.Line.NoSSL, o.Line.DefaultSSL = &TLSOptions{}, true, true
	plain := at(t, "b", "192.0.2.1:80")
	dynamic := at(t, "c", "192.0.2.1:443")
	dynamic.TLS, dynamic.Line.SSL = &TLSOptions{}, true
	b := build(t, Options{Servers: []ServerOptions{o, plain}}, nil)
	d, err := b.Add(dynamic)
	if err != nil {
		t.Fatal(err)
	}
	s := b.Servers()[0]
	if s.TLS() != -1 || b.Servers()[1].TLS() != 0 || d.TLS() != 1 {
		t.Errorf("at first: %d %d %d", s.TLS(), b.Servers()[1].TLS(), d.TLS())
	}
	for word, on := range map[string]bool{"on": true, "off": false} {
		if err := s.SetTLS(word); err != nil || (s.TLS() == 1) != on || (s.client() != nil) != on {
			t.Errorf("switched %s: %v, %d", word, err, s.TLS())
		}
	}
	if err := b.Servers()[1].SetTLS("x"); err == nil || !strings.Contains(err.Error(), "cannot be set") {
		t.Errorf("without settings: %v", err)
	}
	if err := s.SetTLS("x"); err == nil || err.Error() != "'set server <srv> ssl' expects 'on' or 'off'." {
		t.Errorf("to x: %v", err)
	}
	if err := d.SetTLS("off"); err == nil || !strings.Contains(err.Error(), "not supported on dynamic servers") {
		t.Errorf("on a dynamic server: %v", err)
	}
}
