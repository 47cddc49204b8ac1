package engine

import (
	"net/netip"
	"sync"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// procVars are the variables of scope proc; they outlive generations.
type procVars struct {
	mu   sync.RWMutex
	vars map[string]stream.Value
}

// env answers what rules ask of the running process, of the generation that serves when they ask.
type env struct{ e *Engine }

func (e *Engine) env() rule.Env { return env{e} }

func (v env) gen(name string) *proxyGen {
	g := v.e.gen.Load()
	if g == nil {
		return nil
	}
	return g.byName[name]
}

// Nbsrv counts the servers of a backend that can be used.
func (v env) Nbsrv(backend string) (int, bool) {
	p := v.gen(backend)
	if p == nil || p.servers == nil {
		return 0, false
	}
	active, backup := p.servers.Usable()
	if active > 0 {
		return active, true
	}
	return backup, true
}

// ServerUp says whether a server can be used.
func (v env) ServerUp(backend, server string) (up, ok bool) {
	p := v.gen(backend)
	if p == nil || p.servers == nil {
		return false, false
	}
	s := p.servers.Server(server)
	if s == nil {
		return false, false
	}
	return s.Up(), true
}

// Var reads a variable of scope proc.
func (v env) Var(name string) (stream.Value, bool) {
	p := &v.e.procVar
	p.mu.RLock()
	defer p.mu.RUnlock()
	value, ok := p.vars[name]
	return value, ok
}

// SetVar changes a variable of scope proc.
func (v env) SetVar(name string, value stream.Value, unset bool) {
	p := &v.e.procVar
	p.mu.Lock()
	defer p.mu.Unlock()
	if unset {
		delete(p.vars, name)
		return
	}
	if p.vars == nil {
		p.vars = map[string]stream.Value{}
	}
	p.vars[name] = value
}

// globalVars compiles the set-var lines of the global section. They are obeyed whenever a configuration comes in: what a rule or a
// command made of these variables since is gone then, as with HAProxy's new process.
func (b *builder) globalVars() {
	c := b.compiler(&config.Proxy{Kind: "frontend", Name: "CFG"})
	for _, line := range b.cfg.Global.Vars {
		if set := c.GlobalVar(line); set != nil {
			b.plan.vars = append(b.plan.vars, set)
		}
	}
}

// IsLocal says whether an address is one of this machine's.
func (v env) IsLocal(a netip.Addr) (local, ok bool) { return host.IsLocal(a) }

// Now is the time of day.
func (v env) Now() time.Time { return time.Now() }
