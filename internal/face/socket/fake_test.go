package socket_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/stats"
)

// fakeProcess is the process that testdata/transcript.cfg describes.
type fakeProcess struct {
	rates   []string // set rate-limit
	start   time.Time
	env     []string
	logs    string
	proxies []fakeProxy

	mu      sync.Mutex
	cleared []bool
	maxconn int
}

type fakeProxy struct {
	name     string
	mode     string
	iid      int
	front    bool
	back     bool
	counters stats.Counters
	servers  []*fakeServer
	enabled  bool
	shut     bool
	maxconn  int
	algo     string
}

type fakeServer struct {
	name            string
	addr            string
	port            int
	weight, initial int
	static          bool
	state           string // ready, drain or maint
	configured      bool   // disabled in the configuration
	backup          bool
	up              bool
	checked         bool
	killed          int
	busy            atomic.Int64 // how often Removable still finds connections
	maxconn         int
	counters        stats.Counters
}

func newFakeProcess() *fakeProcess {
	return &fakeProcess{start: time.Now(), env: []string{"GATEHOUSE_TEST=one two", "OTHER=x=y"}, logs: "[NOTICE]   (1) : ready\n",
		maxconn: 200,
		proxies: []fakeProxy{
			{name: "fe1", mode: "http", iid: 2, front: true, enabled: true, maxconn: 200},
			{name: "fe2", mode: "tcp", iid: 3, front: true, enabled: true, maxconn: 200},
			{name: "be1", mode: "http", iid: 4, back: true, algo: "roundrobin", servers: []*fakeServer{
				{name: "s1", addr: "127.0.0.1", port: 28901, weight: 10, initial: 10, state: "ready", up: true},
				{name: "s2", addr: "127.0.0.1", port: 28902, weight: 1, initial: 1, state: "maint", configured: true},
				{name: "s3", addr: "127.0.0.1", port: 28903, weight: 1, initial: 1, state: "ready", backup: true, up: true},
			}},
			{name: "be2", mode: "tcp", iid: 5, back: true, algo: "source", servers: []*fakeServer{
				{name: "t1", addr: "127.0.0.1", port: 28904, weight: 1, initial: 1, state: "ready", static: true, up: true},
			}},
			{name: "li1", mode: "http", iid: 6, front: true, back: true, enabled: true, maxconn: 200, algo: "roundrobin", servers: []*fakeServer{
				{name: "l1", addr: "127.0.0.1", port: 28905, weight: 1, initial: 1, state: "ready", up: true},
			}},
		}}
}

func (p *fakeProcess) Version() string     { return "3.4.0" }
func (p *fakeProcess) Start() time.Time    { return p.start }
func (p *fakeProcess) Env() []string       { return p.env }
func (p *fakeProcess) StartupLogs() string { return p.logs }
func (p *fakeProcess) ClearCounters(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleared = append(p.cleared, all)
}

func (p *fakeProcess) Info() *stats.Info {
	return &stats.Info{Name: "HAProxy", Version: "3.4.0", ReleaseDate: "2026/06/03", BuildInfo: "3.4.0", Node: "n1", Threads: 2, Pid: 42,
		Start: p.start, Maxconn: 200, HardMax: 200}
}

func (p *fakeProcess) CapturedErrors() (uint64, []socket.CapturedError) {
	return 3, []socket.CapturedError{{Proxy: "fe1", Text: "bad request\n"}, {Proxy: "be1", Response: true, Text: "bad response\n"}}
}

func (p *fakeProcess) Sessions() iter.Seq[socket.Stream] {
	return slices.Values([]socket.Stream{
		{ID: "1a", Proto: "tcpv4", Src: "192.0.2.1:1000", Frontend: "fe1", Backend: "be1", Server: "s1", Age: 65 * time.Second},
		{ID: "1b", Proto: "tcpv4", Src: "192.0.2.2:1000", Frontend: "fe1", Age: 2 * time.Second},
	})
}

func (p *fakeProcess) Backends() []string {
	var names []string
	for i := range p.proxies {
		if p.proxies[i].back {
			names = append(names, p.proxies[i].name)
		}
	}
	return names
}

func (p *fakeProcess) Rows() iter.Seq[*stats.Row] {
	return func(yield func(*stats.Row) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		var row stats.Row
		now := time.Now()
		for i := range p.proxies {
			px := &p.proxies[i]
			if px.front {
				stats.FrontendFacts{Name: px.name, IID: px.iid, Mode: px.mode, Status: "OPEN", MaxConn: px.maxconn,
					Counters: &px.counters}.Row(&row, now)
				if !yield(&row) {
					return
				}
			}
			active, backup := 0, 0
			for n, s := range px.servers {
				s.facts(px, n+1).Row(&row, now)
				if !yield(&row) {
					return
				}
				switch {
				case s.status() != "no check":
				case s.backup:
					backup++
				default:
					active++
				}
			}
			if px.back {
				px.backend(active, backup).Row(&row, now)
				if !yield(&row) {
					return
				}
			}
		}
	}
}

func (px *fakeProxy) backend(active, backup int) stats.BackendFacts {
	weight := 0
	for _, s := range px.servers {
		if s.status() == "no check" && !s.backup {
			weight += s.weight
		}
	}
	return stats.BackendFacts{HasServers: true, Name: px.name, IID: px.iid, Mode: px.mode, Status: "UP", FullConn: 20, Weight: weight, UWeight: weight,
		Active: active, Backup: backup, LastChange: time.Now(), Algo: px.algo, Counters: &px.counters}
}

func (s *fakeServer) status() string {
	if s.state == "maint" {
		return "MAINT"
	}
	return "no check"
}

func (s *fakeServer) facts(px *fakeProxy, sid int) stats.ServerFacts {
	return stats.ServerFacts{Proxy: px.name, Name: s.name, IID: px.iid, SID: sid, Mode: px.mode, Status: s.status(),
		Weight: s.weight, UWeight: s.weight, Backup: s.backup, LastChange: time.Now(),
		Addr: s.addr + ":" + strconv.Itoa(s.port), Counters: &s.counters}
}

func (p *fakeProcess) ServerStates() iter.Seq[*stats.ServerState] {
	return func(yield func(*stats.ServerState) bool) {
		for i := range p.proxies {
			for n, s := range p.proxies[i].servers {
				st := stats.ServerState{Backend: p.proxies[i].name, BackendID: p.proxies[i].iid, Server: s.name, ServerID: n + 1,
					Addr: s.addr, Port: s.port, OpState: 2, UWeight: s.weight, IWeight: s.initial, LastChange: time.Now(), CheckStatus: 1}
				if s.configured {
					st.OpState, st.AdminState, st.CheckState = 0, 5, 8
				}
				if !yield(&st) {
					return
				}
			}
		}
	}
}

func (p *fakeProcess) Server(backend, server string) (socket.Server, error) {
	for i := range p.proxies {
		if p.proxies[i].name != backend || !p.proxies[i].back {
			continue
		}
		for _, s := range p.proxies[i].servers {
			if s.name == server {
				return s, nil
			}
		}
		return nil, socket.ErrNoServer
	}
	return nil, socket.ErrNoBackend
}

func (p *fakeProcess) Frontend(name string) (socket.Frontend, error) {
	for i := range p.proxies {
		if p.proxies[i].name == name && p.proxies[i].front {
			return &p.proxies[i], nil
		}
	}
	return nil, socket.ErrNoFrontend
}

func (p *fakeProcess) SetRateLimit(what string, n int) error {
	if n < 0 {
		return errors.New("Value out of range.")
	}
	p.rates = append(p.rates, fmt.Sprint(what, " ", n))
	return nil
}

func (p *fakeProcess) SetMaxconn(n int) error {
	if n > 200 {
		return errors.New("Value out of range.")
	}
	p.maxconn = n
	return nil
}

// AddServer knows servers at literal addresses only.
func (p *fakeProcess) AddServer(_ context.Context, backend, name string, words []string) error {
	for i := range p.proxies {
		px := &p.proxies[i]
		if px.name != backend || !px.back {
			continue
		}
		if _, err := p.Server(backend, name); err == nil {
			return errors.New("Already exists a server with the same name in backend.")
		}
		line, err := config.ParseServer(name, words, config.ParseOptions{})
		if err != nil {
			return err
		}
		px.servers = append(px.servers, &fakeServer{name: name, addr: line.Addr.IP.String(), port: line.Addr.Port, weight: line.Weight, initial: line.Weight, state: "maint"})
		return nil
	}
	return socket.ErrNoBackend
}

// Removable finds a server that drains busy for as long as busy counts.
func (p *fakeProcess) Removable(backend, name string) (bool, error) {
	s, err := p.Server(backend, name)
	switch {
	case err != nil:
		return false, err
	case s.(*fakeServer).state != "maint":
		return false, errors.New("Only servers in maintenance mode can be deleted.")
	case s.(*fakeServer).busy.Add(-1) >= 0:
		return true, errors.New("Server still has connections attached to it, cannot remove it.")
	}
	return false, nil
}

func (p *fakeProcess) DelServer(backend, name string) error {
	if _, err := p.Removable(backend, name); err != nil {
		return err
	}
	for i := range p.proxies {
		if px := &p.proxies[i]; px.name == backend {
			px.servers = slices.DeleteFunc(px.servers, func(s *fakeServer) bool { return s.name == name })
		}
	}
	return nil
}

func (p *fakeProcess) CloseSession(id string) bool { return id == "1a" }

func (p *fakeProcess) ServerConns() iter.Seq[*stats.ServerConns] {
	return func(yield func(*stats.ServerConns) bool) {
		for i := range p.proxies {
			for n, s := range p.proxies[i].servers {
				c := stats.ServerConns{Backend: p.proxies[i].name, BackendID: p.proxies[i].iid, Server: s.name, ServerID: n + 1, Addr: s.addr, Port: s.port,
					PurgeDelay: 5 * time.Second, Served: 2, Used: 2, UsedMax: 3, Idle: 1}
				if !yield(&c) {
					return
				}
			}
		}
	}
}

func (s *fakeServer) SetCheckAddr(ip netip.Addr) error {
	return errors.New("health checks are not enabled on this server")
}
func (s *fakeServer) SetCheckPort(n int) error {
	return errors.New("health checks are not enabled on this server")
}
func (s *fakeServer) SetAgent(word string) error {
	return errors.New("agent checks are not enabled on this server.")
}
func (s *fakeServer) SetAgentChecks(on bool) error {
	if !on {
		return nil
	}
	return errors.New("Agent was not configured on this server, cannot enable.")
}
func (s *fakeServer) SetAgentAddr(ip netip.Addr) error {
	return errors.New("agent checks are not enabled on this server")
}
func (s *fakeServer) SetAgentPort(n int) error {
	return errors.New("agent checks are not enabled on this server")
}
func (s *fakeServer) SetAgentSend(text string) error {
	return errors.New("agent checks are not enabled on this server.")
}
func (s *fakeServer) SetTLS(word string) error {
	return errors.New("'set server <srv> ssl' cannot be set.  default-server should define ssl settings")
}

func (s *fakeServer) Weight() (int, int) { return s.weight, s.initial }
func (s *fakeServer) SetWeight(n int) error {
	if s.static && n != 0 && n != s.initial {
		return errors.New("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.")
	}
	s.weight = n
	return nil
}
func (s *fakeServer) SetState(state string) error { s.state = state; return nil }
func (s *fakeServer) SetHealth(h string) error    { s.up = h == "up"; return nil }
func (s *fakeServer) SetChecks(on bool) error     { s.checked = on; return nil }
func (s *fakeServer) SetMaxConn(n int) error      { s.maxconn = n; return nil }
func (s *fakeServer) KillSessions()               { s.killed++ }
func (s *fakeServer) SetAddr(addr, port string) (string, error) {
	if addr == s.addr && port == "" {
		return "nothing changed", nil
	}
	return "", errors.New("Invalid addr '" + addr + "'")
}

func (px *fakeProxy) Enable() error {
	if px.enabled {
		return errors.New("All sockets are already enabled.")
	}
	px.enabled = true
	return nil
}
func (px *fakeProxy) Disable() error {
	if !px.enabled {
		return errors.New("All sockets are already disabled.")
	}
	px.enabled = false
	return nil
}
func (px *fakeProxy) Shutdown() error        { px.shut = true; return nil }
func (px *fakeProxy) SetMaxConn(n int) error { px.maxconn = n; return nil }
