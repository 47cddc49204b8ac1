package engine

import (
	"iter"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/stats"
)

// Rows yields the one table in its order: per section of the configuration FRONTEND, its listeners when option socket-stats is
// set, its servers, BACKEND. The row is the same one each time.
func (e *Engine) Rows() iter.Seq[*stats.Row] {
	return func(yield func(*stats.Row) bool) {
		g := e.gen.Load()
		if g == nil {
			return
		}
		now := time.Now()
		var row stats.Row
		for _, p := range g.proxies {
			if !p.rows(&row, now, yield) {
				return
			}
		}
	}
}

// factual writes itself into a row.
type factual interface {
	Row(r *stats.Row, now time.Time)
}

func (p *proxyGen) rows(row *stats.Row, now time.Time, yield func(*stats.Row) bool) bool {
	put := func(f factual) bool {
		f.Row(row, now)
		return yield(row)
	}
	if p.frontend != nil {
		if !put(p.frontendFacts()) {
			return false
		}
		if p.cfg.SocketStats {
			for i, b := range p.binds {
				if !put(b.facts(p, i+1)) {
					return false
				}
			}
		}
	}
	if p.servers == nil {
		return true
	}
	for _, s := range p.servers.Servers() {
		if !put(p.serverFacts(s, p.servers.ID(s))) {
			return false
		}
	}
	return put(p.backendFacts())
}

func (p *proxyGen) frontendFacts() stats.FrontendFacts {
	return stats.FrontendFacts{
		Name: p.cfg.Name, IID: p.iid, Mode: p.cfg.Mode, Status: p.front.status(), MaxConn: p.maxConn, Counters: &p.front.counters,
	}
}

func (p *proxyGen) backendFacts() stats.BackendFacts {
	b := p.servers
	active, backup := b.Usable()
	f := stats.BackendFacts{
		Name: p.cfg.Name, IID: p.iid, Mode: p.cfg.Mode, Status: "UP", FullConn: p.fullConn,
		Active: active, Backup: backup, Downs: b.Downs(), LastChange: b.LastChange(), Downtime: b.DownTime(),
		HasServers: len(b.Servers()) > 0, Algo: "roundrobin", Counters: b.Counters(),
	}
	if p.cfg.Balance != "" {
		f.Algo = p.cfg.Balance
	}
	if active+backup == 0 && len(b.Servers()) > 0 {
		f.Status = "DOWN"
	}
	for _, s := range b.Servers() {
		if s.Up() && s.Line().Backup == (active == 0) {
			f.Weight += s.Weight()
			f.UWeight += s.Weight()
		}
	}
	return f
}

func (p *proxyGen) serverFacts(s *backend.Server, sid int) stats.ServerFacts {
	x, line := s.Facts(), s.Line()
	f := stats.ServerFacts{
		Proxy: p.cfg.Name, Name: s.Name(), IID: p.iid, SID: sid, Mode: p.cfg.Mode, Status: x.Status, Weight: x.Weight, UWeight: x.Weight,
		Backup: line.Backup, MaxConn: s.MaxConn(), MaxQueue: line.MaxQueue, LastChange: x.LastChange, Addr: s.Address(),
		IdleLimit: line.PoolMaxConn, Idle: int64(s.IdleConns()), Used: int64(s.Served()), Counters: s.Counters(),
	}
	f.Tracked, f.Cookie = s.Tracked(), line.Cookie
	if x.Agent {
		f.Agent = &stats.CheckFacts{
			Status: x.AgentStatus.String(), Duration: max(0, x.AgentDuration), Desc: x.AgentStatus.Text(), Last: x.AgentInfo,
			Rise: 1, Fall: 1, Health: x.AgentHealth, HasResult: x.AgentDuration >= 0,
		}
	}
	if !x.Checked {
		return f
	}
	f.Check = &stats.CheckFacts{
		Status: x.CheckStatus.String(), Code: x.CheckCode, Duration: max(0, x.CheckDuration), Desc: x.CheckStatus.Text(), Last: x.CheckInfo,
		Rise: x.Rise, Fall: x.Fall, Health: x.CheckHealth, Fails: x.CheckFailures, Downs: x.Downs, Downtime: x.DownTime,
		HasResult: x.CheckDuration >= 0,
	}
	if x.CheckRunning {
		f.Check.Status = "* " + f.Check.Status
	}
	return f
}

// ServerStates yields every server in the order of the configuration. The value is the same one each time.
func (e *Engine) ServerStates() iter.Seq[*stats.ServerState] {
	return func(yield func(*stats.ServerState) bool) {
		g := e.gen.Load()
		if g == nil {
			return
		}
		for _, p := range g.proxies {
			if p.servers == nil {
				continue
			}
			for _, s := range p.servers.Servers() {
				state := p.serverState(s, p.servers.ID(s))
				if !yield(&state) {
					return
				}
			}
		}
	}
}

func (p *proxyGen) serverState(s *backend.Server, id int) stats.ServerState {
	x, line := s.Facts(), s.Line()
	st := stats.ServerState{
		Backend: p.cfg.Name, Server: s.Name(), BackendID: p.iid, ServerID: id, BackendForced: p.cfg.ID != 0, ServerForced: line.ID != 0,
		OpState: int(x.Op), AdminState: int(x.Admin), UWeight: x.Weight, IWeight: x.InitialWeight, LastChange: x.LastChange,
		CheckStatus: int(x.CheckStatus), CheckResult: int(x.CheckResult), CheckHealth: x.CheckHealth, SSL: s.TLS(),
		CheckPort: s.CheckPort(), CheckAddr: s.CheckHost(), FQDN: line.Addr.Host, Addr: s.Host(), Port: s.Port(),
	}
	if line.AgentCheck {
		st.AgentAddr, st.AgentPort = line.AgentAddr, s.AgentPort()
		if host := s.AgentHost(); host != s.Host() {
			st.AgentAddr = host
		}
	}
	for bit, on := range map[int]bool{1: x.AgentRunning, 2: x.Agent, 4: x.AgentEnabled, 16: x.Agent} {
		if on {
			st.AgentState |= bit
		}
	}
	if !x.Checked { // what HAProxy shows of a server without checks
		st.CheckStatus, st.CheckHealth = 1, 0
	}
	paused := x.CheckPaused || x.Admin&backend.ConfigMaint != 0
	for bit, on := range map[int]bool{1: x.CheckRunning, 2: x.Checked, 4: x.CheckEnabled, 8: paused} {
		if on {
			st.CheckState |= bit
		}
	}
	return st
}

// ServerConns yields the connections of every server in the order of the configuration.
func (e *Engine) ServerConns() iter.Seq[*stats.ServerConns] {
	return func(yield func(*stats.ServerConns) bool) {
		g := e.gen.Load()
		if g == nil {
			return
		}
		for _, p := range g.proxies {
			if p.servers == nil {
				continue
			}
			for _, s := range p.servers.Servers() {
				used := int64(s.Served())
				c := stats.ServerConns{
					Backend: p.cfg.Name, Server: s.Name(), BackendID: p.iid, ServerID: p.servers.ID(s), Addr: s.Host(), Port: s.Port(),
					PurgeDelay: s.PurgeDelay(), Served: used, Used: used, UsedMax: max(used, s.Counters().Max.Load()), IdleLimit: s.Line().PoolMaxConn, Idle: int64(s.IdleConns()),
				}
				if !yield(&c) {
					return
				}
			}
		}
	}
}

// Backends names the backends and listens in the order of the configuration.
func (e *Engine) Backends() []string {
	var names []string
	if g := e.gen.Load(); g != nil {
		for _, p := range g.proxies {
			if p.servers != nil {
				names = append(names, p.cfg.Name)
			}
		}
	}
	return names
}

// Backend finds the servers of a backend or listen; nil when there is no such section.
func (e *Engine) Backend(name string) *backend.Backend {
	if g := e.gen.Load(); g != nil && g.byName[name] != nil {
		return g.byName[name].servers
	}
	return nil
}

// ClearCounters resets the maxima of the table, with all every counter that is not a gauge.
func (e *Engine) ClearCounters(all bool) {
	g := e.gen.Load()
	if g == nil {
		return
	}
	for _, p := range g.proxies {
		if p.front != nil {
			p.front.counters.Clear(all)
			for _, b := range p.binds {
				b.counters.Clear(all)
			}
		}
		if p.servers != nil {
			p.servers.Counters().Clear(all)
			for _, s := range p.servers.Servers() {
				s.Counters().Clear(all)
			}
		}
	}
}
