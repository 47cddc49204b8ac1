package engine

import (
	"runtime"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/rule"
)

// Fact answers what rules ask of the process, a frontend, a backend or a server (manual 7.3.2 and 7.3.5).
func (v env) Fact(f rule.Fact, proxy, server string) (int64, bool) {
	if f < rule.FactBackendID {
		return v.e.fact(f)
	}
	p := v.gen(proxy)
	if p == nil {
		return 0, false
	}
	if f == rule.FactBindConn {
		return p.bindConns(server)
	}
	switch {
	case f < rule.FactFrontendID:
		return p.backendFact(f)
	case f < rule.FactServerID:
		return p.frontendFact(f)
	}
	if p.servers == nil {
		return 0, false
	}
	for _, s := range p.servers.Servers() {
		if s.Name() == server {
			return serverFact(f, s, p.servers.ID(s))
		}
	}
	return 0, false
}

func (e *Engine) fact(f rule.Fact) (int64, bool) {
	switch f {
	case rule.FactActConn:
		return int64(e.limit.Len()), true
	case rule.FactUptime:
		return time.Since(e.started).Milliseconds(), true
	case rule.FactThreads:
		return int64(runtime.GOMAXPROCS(0)), true
	case rule.FactStopping:
		e.mu.Lock()
		defer e.mu.Unlock()
		return boolFact(e.stopped), true
	}
	return 0, false
}

func boolFact(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// bindConns counts the connections of the bind line with a name, or number.
func (p *proxyGen) bindConns(name string) (int64, bool) {
	for _, b := range p.binds {
		if b.name == name {
			return int64(b.limit.Len()), true
		}
	}
	return 0, false
}

func (p *proxyGen) frontendFact(f rule.Fact) (int64, bool) {
	if p.frontend == nil && p.cfg.Kind == "backend" {
		return 0, false
	}
	c := &p.front.counters
	switch f {
	case rule.FactFrontendID:
		return int64(p.iid), true
	case rule.FactFrontendConn:
		return c.Cur.Load(), true
	case rule.FactFrontendReqRate:
		return c.ReqRate.PerSecond(time.Now()), true
	}
	return c.SessRate.PerSecond(time.Now()), true
}

func (p *proxyGen) backendFact(f rule.Fact) (int64, bool) {
	if f == rule.FactBackendID {
		return int64(p.iid), true
	}
	if p.servers == nil {
		return 0, false
	}
	c := p.servers.Counters()
	switch f {
	case rule.FactBackendConn:
		return c.Cur.Load(), true
	case rule.FactBackendSessRate:
		return c.SessRate.PerSecond(time.Now()), true
	case rule.FactBackendQueue:
		return int64(p.servers.Queued()), true
	case rule.FactBackendAvgQueue:
		return averageQueue(p.servers), true
	case rule.FactBackendConnFree:
		return p.freeSlots(false), true
	}
	return p.freeSlots(true), true
}

// averageQueue is what waits per usable server, twice what waits when there is none, as in HAProxy.
func averageQueue(b *backend.Backend) int64 {
	n, waiting := usable(b), b.Queued()
	if n == 0 {
		return int64(2 * waiting)
	}
	return int64((waiting + n - 1) / n)
}

// usable counts the servers that share the requests: the active ones, or the backups when there is none.
func usable(b *backend.Backend) int {
	active, backup := b.Usable()
	if active > 0 {
		return active
	}
	return backup
}

// freeSlots adds up what the servers still take, with places in their queues when all is true; -1 when one has no limit.
func (p *proxyGen) freeSlots(all bool) int64 {
	active, _ := p.servers.Usable()
	free := int64(0)
	for _, s := range p.servers.Servers() {
		line := s.Line()
		if !s.Up() || !all && line.Backup && active > 0 {
			continue
		}
		limit := s.MaxConn()
		if limit == 0 || all && line.MaxQueue == 0 {
			return -1
		}
		free += max(0, int64(limit)-s.Counters().Cur.Load())
		if all {
			free += int64(line.MaxQueue) - s.Counters().QCur.Load()
		}
	}
	return free
}

func serverFact(f rule.Fact, s *backend.Server, id int) (int64, bool) {
	c := s.Counters()
	switch f {
	case rule.FactServerID:
		if n := s.Line().ID; n != 0 {
			id = n
		}
		return int64(id), true
	case rule.FactServerConn:
		return c.Cur.Load(), true
	case rule.FactServerQueue:
		return c.QCur.Load(), true
	case rule.FactServerSessRate:
		return c.SessRate.PerSecond(time.Now()), true
	case rule.FactServerInitialWeight:
		return int64(s.InitialWeight()), true
	case rule.FactServerUserWeight, rule.FactServerWeight:
		return int64(s.Weight()), true
	}
	if s.MaxConn() == 0 {
		return -1, true
	}
	return max(0, int64(s.MaxConn())-c.Cur.Load()), true
}
