package backend

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
)

// TestServersBeginWhereAnEarlierProcessLeftThem: between the configuration and the earlier state, who changed last wins.
func TestServersBeginWhereAnEarlierProcessLeftThem(t *testing.T) {
	plain, checked := config.Server{Weight: 10}, config.Server{Weight: 10, Check: true}
	disabled, zero, other := config.Server{Weight: 10, Disabled: true}, config.Server{}, config.Server{Weight: 20}
	type state = stats.ServerState
	for _, tc := range []struct {
		what   string
		line   config.Server
		saved  state
		status string
		admin  Admin
		weight int
	}{
		{"as it was", plain, state{OpState: 2, IWeight: 10, UWeight: 10}, "no check", 0, 10},
		{"weight of an operator", plain, state{OpState: 2, IWeight: 10, UWeight: 3}, "no check", 0, 3},
		{"weight of a new configuration", other, state{OpState: 2, IWeight: 10, UWeight: 3}, "no check", 0, 20},
		{"maintenance", plain, state{AdminState: 1, IWeight: 10, UWeight: 10}, "MAINT", ForcedMaint, 10},
		{"inherited maintenance is found out anew", plain, state{OpState: 2, AdminState: 2, IWeight: 10, UWeight: 10}, "no check", 0, 10},
		{"drain", plain, state{OpState: 2, AdminState: 8, IWeight: 10, UWeight: 10}, "DRAIN", ForcedDrain, 10},
		{"drain for want of weight is over", plain, state{OpState: 2, AdminState: 8, IWeight: 0}, "no check", 0, 10},
		{"drain with weight 0 stays", zero, state{OpState: 2, AdminState: 8}, "DRAIN", ForcedDrain, 0},
		{"disabled and still so", disabled, state{AdminState: 5, IWeight: 10, UWeight: 10}, "MAINT", ForcedMaint | ConfigMaint, 10},
		{"disabled, made ready since", disabled, state{OpState: 2, AdminState: 4, IWeight: 10, UWeight: 10}, "no check", 0, 10},
		{"disabled by the new configuration", disabled, state{OpState: 2, IWeight: 10, UWeight: 10}, "MAINT", ForcedMaint | ConfigMaint, 10},
		{"enabled by the new configuration", plain, state{AdminState: 5, IWeight: 10, UWeight: 10}, "no check", 0, 10},
		{"down", checked, state{OpState: 0, CheckState: 6, IWeight: 10, UWeight: 10}, "DOWN", 0, 10},
		{"up", checked, state{OpState: 2, CheckHealth: 4, CheckStatus: 6, CheckState: 6, IWeight: 10, UWeight: 10}, "UP", 0, 10},
		{"stopping", checked, state{OpState: 3, CheckHealth: 9, CheckState: 6, IWeight: 10, UWeight: 10}, "NOLB 1/3", 0, 10},
		{"checks turned off", checked, state{OpState: 2, CheckHealth: 4, CheckState: 2, IWeight: 10, UWeight: 10}, "no check", 0, 10},
	} {
		tc.line.Name, tc.line.Addr = "s", tcpAt(80)
		tc.saved.Port, tc.saved.SSL, tc.saved.LastChange = 80, -1, time.Unix(1000, 0)
		b, err := New(Options{Name: "be", Servers: []ServerOptions{{Line: tc.line, Saved: &tc.saved}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := b.Server("s")
		if f := s.Facts(); f.Status != tc.status || f.Admin != tc.admin || f.Weight != tc.weight || !f.LastChange.Equal(tc.saved.LastChange) {
			t.Errorf("%s: %s, admin %d, weight %d, last change %v; want %s, %d, %d", tc.what, f.Status, f.Admin, f.Weight, f.LastChange, tc.status, tc.admin, tc.weight)
		}
		if usable := s.usable.Load(); usable != (s.Op() == Running && tc.admin == 0 && tc.weight > 0) {
			t.Errorf("%s: usable is %v", tc.what, usable)
		}
	}
}

// TestAReloadKnowsBetterThanTheFile: what a process remembers of a server counts more than what somebody wrote of it.
func TestAReloadKnowsBetterThanTheFile(t *testing.T) {
	saved := &stats.ServerState{OpState: 2, IWeight: 1, UWeight: 1, Port: 8080, SSL: -1}
	o := Options{Name: "be", Servers: []ServerOptions{{Line: config.Server{Name: "s", Weight: 1, Addr: tcpAt(80)}, Saved: saved}}}
	first, err := New(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := first.Server("s")
	if s.Port() != 8080 {
		t.Errorf("port %d, want the one of the file", s.Port())
	}
	if err := s.SetWeight("200%"); err != nil {
		t.Fatal(err)
	}
	second, err := New(o, first)
	if err != nil {
		t.Fatal(err)
	}
	if s = second.Server("s"); s.Weight() != 2 || s.Port() != 8080 {
		t.Errorf("weight %d, port %d after a reload", s.Weight(), s.Port())
	}
}

// TestCookiesOfServersOfRunTime: a client that was sent to a server made at run time comes back to it.
func TestCookiesOfServersOfRunTime(t *testing.T) {
	b, err := New(Options{Name: "be", Servers: []ServerOptions{{Line: config.Server{Name: "a", Weight: 1, Addr: tcpAt(80), Cookie: "A"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Add(ServerOptions{Line: config.Server{Name: "b", Weight: 1, Addr: tcpAt(81), Cookie: "B"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.ByCookie([]byte("B")); len(got) != 1 || got[0] != s {
		t.Errorf("by cookie B: %v", got)
	}
	if err := b.Remove(s, false); err != nil { // it began in maintenance
		t.Fatal(err)
	}
	if got := b.ByCookie([]byte("B")); len(got) != 0 || len(b.ByCookie([]byte("A"))) != 1 {
		t.Errorf("by cookie B after its removal: %v", got)
	}
}

func tcpAt(port int) config.Addr {
	return config.Addr{Network: "tcp", IP: netip.MustParseAddr("127.0.0.1"), Port: port}
}
