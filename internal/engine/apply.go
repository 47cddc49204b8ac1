package engine

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
	"gatehouse/internal/proxy"
	"gatehouse/internal/stats"
)

// front is a frontend across generations: what its listeners and counters hold on to.
type front struct {
	name     string
	counters stats.Counters
	handle   *proxy.Handle // nil before its first Apply
	limit    *listener.Limit
	paused   bool // disable frontend, guarded by the engine's mu
	shut     bool // shutdown frontend, guarded by the engine's mu
}

// status is the word of the table.
func (f *front) status() string {
	switch {
	case f.shut:
		return "STOP"
	case f.paused:
		return "PAUSED"
	}
	return "OPEN"
}

// frontOf finds or makes the frontend called name.
func (e *Engine) frontOf(name string) *front {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.front[name]; f != nil {
		return f
	}
	return &front{name: name, limit: listener.NewLimit(0)}
}

// socket is one listening socket of the process, kept as long as some bind line wants it.
type socket struct {
	*listener.Listener
	task *task
	bind *bindGen // the line that serves it now
}

// Apply makes the loaded plan current. When the diags hold errors nothing has changed and the plan still waits: the address that
// was taken may be free at the next try.
func (e *Engine) Apply(context.Context) config.Diags {
	var diags config.Diags
	p := e.plan
	if p == nil {
		diags.Add(config.LevelAlert, "config : nothing was loaded.")
		return diags
	}
	opened := e.open(p, &diags)
	if diags.HasErrors() {
		for _, s := range opened {
			s.Close()
		}
		return diags
	}
	e.plan = nil
	g := p.generation // a copy: it outlives the plan, which holds everything that was read
	e.o.Store.Apply(p.certs, func() { e.swap(&g, p, opened) })
	e.emit(event.Event{Kind: event.ConfigLoaded, Level: "notice", Subject: strings.Join(p.cfg.Files, ","), Text: "configuration loaded"})
	return diags
}

// open opens the sockets that the plan wants and nobody has yet.
func (e *Engine) open(p *plan, diags *config.Diags) map[string]net.Listener {
	opened := map[string]net.Listener{}
	for _, g := range p.proxies {
		if g.cfg.Disabled {
			continue
		}
		for _, b := range g.binds {
			for _, a := range b.addrs {
				key := a.Key()
				if e.sockets[key] != nil || opened[key] != nil {
					continue
				}
				ln, err := a.Open(e.o.Host)
				if err != nil {
					diags.Add(config.LevelAlert, fmt.Sprintf("Binding [%s:%d] for frontend %s: cannot bind socket (%s) for [%s]", b.cfg.Pos.File, b.cfg.Pos.Line, g.cfg.Name, host.Strerror(err), boundText(a)))
					continue
				}
				opened[key] = ln
			}
		}
	}
	return opened
}

// boundText writes an address as HAProxy's message does: without a family, except that of abns.
func boundText(a listener.Address) string {
	if a.Inherited {
		return a.Key()
	}
	if a.Spec.Network == "unix" {
		return a.Spec.Path
	}
	return a.Spec.String()
}

// swap puts g in the place of the generation that serves. Commits of certificates are held back meanwhile, so no use misses one.
func (e *Engine) swap(g *generation, p *plan, opened map[string]net.Listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.gen.Load()
	e.follow(g)
	if old != nil {
		e.carry(old, g)
	}
	g.updateTables()
	for _, set := range p.vars {
		set(e.env())
	}
	e.swapRings(p.rings)
	e.swapLogs(p.logs)
	for _, x := range g.proxies {
		if x.front != nil {
			x.maxConn = e.proxyLimit(x.cfg, g.cfg)
			x.front.limit.Set(x.maxConn)
			if x.front.handle == nil {
				x.front.handle = proxy.NewHandle(x.frontend)
			}
		}
	}
	e.setMaxConn(g.cfg)
	e.limitSessions(&g.cfg.Global)
	e.limitRates(&g.cfg.Global)
	e.gen.Store(g)
	fronts := map[string]*front{}
	for _, x := range g.proxies {
		if x.front != nil {
			x.front.handle.Swap(x.frontend)
			fronts[x.cfg.Name] = x.front
		}
		if x.servers != nil {
			servers := x.servers
			x.task = e.group.start(func(ctx context.Context) { _ = servers.Run(ctx) }) // returns nil
		}
	}
	e.applied = time.Now()
	e.swapSockets(g, opened)
	for name, f := range e.front {
		if fronts[name] == nil {
			f.handle.Close()
		}
	}
	e.front = fronts
	if old == nil {
		return
	}
	for _, x := range old.proxies {
		e.group.stop(x.task)
	}
	old.unfollow()
}

// swapSockets gives every socket its new options, starts those just opened and stops those nobody wants.
func (e *Engine) swapSockets(g *generation, opened map[string]net.Listener) {
	wanted := map[string]*socket{}
	for _, x := range g.proxies {
		for _, b := range x.binds {
			if x.cfg.Disabled || x.front.shut {
				continue
			}
			for _, a := range b.addrs {
				if s := e.socket(a.Key(), x, b, opened); s != nil {
					wanted[a.Key()] = s
				}
			}
		}
	}
	for key, s := range e.sockets {
		if wanted[key] == nil {
			e.group.stop(s.task)
			e.retired = append(e.retired, s)
		}
	}
	e.sockets = wanted
	e.retired = slices.DeleteFunc(e.retired, func(s *socket) bool { return s.task.over() })
}

// socket is the listening socket with the key of an address, with the options of b; nil after a fault was told, which leaves the socket with
// the options it had.
func (e *Engine) socket(key string, x *proxyGen, b *bindGen, opened map[string]net.Listener) *socket {
	o := e.listenerOptions(x, b)
	if s := e.sockets[key]; s != nil {
		if err := s.Update(o); err != nil {
			e.notify("ALERT", "%v", err)
		}
		s.bind = b
		return s
	}
	ln := opened[key]
	if ln == nil {
		return nil
	}
	l, err := listener.New(ln, o)
	if err != nil {
		e.notify("ALERT", "%v", err)
		ln.Close()
		return nil
	}
	s := &socket{Listener: l, bind: b}
	s.task = e.group.start(func(ctx context.Context) {
		defer context.AfterFunc(e.group.hard(), l.Kill)()
		if err := l.Run(ctx); err != nil {
			e.notify("ALERT", "bind %s of frontend %s: %v", o.Name, o.Frontend, err)
		}
	})
	return s
}

// proxyLimit is the most connections a frontend takes: its own maxconn, else -N, else the process's.
func (e *Engine) proxyLimit(p *config.Proxy, cfg *config.Config) int {
	switch {
	case p.MaxConn > 0:
		return p.MaxConn
	case e.o.Limits.ProxyMaxConn > 0:
		return e.o.Limits.ProxyMaxConn
	}
	return e.processLimit(cfg)
}

// SoftStop closes the listeners and lets connections finish; Run returns after the last one.
func (e *Engine) SoftStop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	e.stopped = true
	e.sayStopped()
	var tasks []*task
	for _, s := range e.sockets {
		e.group.stop(s.task)
		tasks = append(tasks, s.task)
	}
	for _, s := range e.retired {
		tasks = append(tasks, s.task)
	}
	go func() {
		for _, t := range tasks {
			<-t.done
		}
		close(e.drained)
	}()
}

// sayStopped tells of every section that it stopped, those with listeners first.
func (e *Engine) sayStopped() {
	g := e.gen.Load()
	if g == nil {
		return
	}
	for _, backends := range []bool{false, true} {
		for _, p := range g.proxies {
			if p.cfg.Disabled || (p.front == nil) != backends {
				continue
			}
			var conns, sessions int64
			if p.front != nil {
				conns = p.front.counters.Conns.Load()
			}
			if p.back != nil {
				sessions = p.back.Tot.Load()
			}
			text := fmt.Sprintf("Proxy %s stopped (cumulated conns: FE: %d, BE: %d).", p.cfg.Name, conns, sessions)
			e.notify("WARNING", "%s", text)
			p.logger.SendText("warning", text)
		}
	}
}

// CutOld closes the connections that were accepted before the generation that serves (hard-reload).
func (e *Engine) CutOld() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.retired {
		s.Kill()
	}
	for _, s := range e.sockets {
		s.CutBefore(e.applied)
	}
}

// Pause stops accepting on every socket; Resume undoes it.
func (e *Engine) Pause() { e.eachSocket("pausing", (*listener.Listener).Pause) }

// Resume accepts again.
func (e *Engine) Resume() { e.eachSocket("resuming", (*listener.Listener).Resume) }

func (e *Engine) eachSocket(what string, f func(*listener.Listener) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.sockets {
		if err := f(s.Listener); err != nil {
			e.notify("WARNING", "%s a listener: %v", what, err)
		}
	}
}

// Listeners calls f with every listening socket until it returns an error, for a hand-over to another process.
func (e *Engine) Listeners(f func(*listener.Listener) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.sockets {
		if err := f(s.Listener); err != nil {
			return err
		}
	}
	return nil
}

// facts is the row of a bind line.
func (b *bindGen) facts(p *proxyGen, sid int) stats.ListenerFacts {
	name := b.cfg.Name
	if name == "" {
		name = "sock-" + strconv.Itoa(sid)
	}
	f := stats.ListenerFacts{
		Proxy: p.cfg.Name, Name: name, IID: p.iid, SID: sid, Mode: p.cfg.Mode, Status: "OPEN", MaxConn: b.cfg.MaxConn, Proto: "tcpv4",
		Counters: b.counters,
	}
	if len(b.addrs) > 0 {
		a := b.addrs[0].Spec
		switch {
		case a.Network == "unix" || a.Network == "abns":
			f.Proto, f.Addr = "unix_stream", "unix"
		case a.Addr.IsValid():
			f.Addr = net.JoinHostPort(a.Addr.Addr().String(), strconv.Itoa(int(a.Addr.Port())))
			if !a.Addr.Addr().Unmap().Is4() {
				f.Proto = "tcpv6"
			}
		}
	}
	return f
}
