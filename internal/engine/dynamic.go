package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
)

// pin notes that a rule names a server: it cannot be deleted at run time.
func (b *builder) pin(px, server string) {
	if b.plan.pinned == nil {
		b.plan.pinned = map[string]bool{}
	}
	b.plan.pinned[px+"/"+server] = true
}

// tracks lets the servers that track others follow them.
func (b *builder) tracks() {
	for _, g := range b.plan.proxies {
		for _, s := range g.cfg.Servers {
			if s.Track != "" && g.servers != nil {
				if err := b.plan.follow(g, g.servers.Server(s.Name)); err != nil {
					continue // config has said it
				}
			}
		}
	}
}

// follow finds the server that s tracks. The error's text is HAProxy's.
func (g *generation) follow(x *proxyGen, s *backend.Server) error {
	if s == nil {
		return errors.New("no such server")
	}
	name, server := config.TrackTarget(x.cfg.Name, s.Line().Track)
	p := g.byName[name]
	if p == nil || p.servers == nil {
		return fmt.Errorf("unable to find required proxy '%s' for tracking.", name)
	}
	other := p.servers.Server(server)
	switch {
	case other == nil:
		return fmt.Errorf("unable to find required server '%s' for tracking.", server)
	case other.Dynamic():
		return fmt.Errorf("unable to use %s/%s for tracking as it is a dynamic server.", name, server)
	case !other.Line().Check && !other.Line().AgentCheck && other.Line().Track == "":
		return fmt.Errorf("unable to use %s/%s for tracking as it does not have any check nor agent enabled.", name, server)
	}
	s.Follow(other)
	return nil
}

// Errors of looking up. Their texts are the answers.
var (
	errNoBackend = errors.New("No such backend.")
	errNoServer  = errors.New("No such server.")
	errReloaded  = errors.New("The configuration was replaced meanwhile, nothing was done. Please try again.")
)

// AddServer makes a server at run time (management guide, "add server"): words are its address and keywords. It is kept across reloads until
// DelServer, or until the configuration has a server with its name.
func (e *Engine) AddServer(ctx context.Context, px, name string, words []string) error {
	g := e.gen.Load()
	if g == nil || g.byName[px] == nil || g.byName[px].servers == nil {
		return errNoBackend
	}
	x := g.byName[px]
	if x.servers.Fixed() {
		return fmt.Errorf("Backend does not support dynamic servers : backend '%s' uses a non dynamic load balancing method.", px)
	}
	if x.servers.Server(name) != nil {
		return errors.New("Already exists a server with the same name in backend.")
	}
	line, err := config.ParseServer(name, words, e.o.Parse)
	if err != nil {
		return err
	}
	if other := x.servers.ByID(line.ID); line.ID != 0 && other != nil {
		at := other.Line().Pos
		if at.File == "" {
			at.File = "(null)"
		}
		return fmt.Errorf("'id' : custom id %d already used at %s:%d ('server %s').", line.ID, at.File, at.Line, other.Name())
	}
	o, err := e.dynamicServer(ctx, g, x, line)
	if err != nil {
		return err
	}
	return e.join(g, x, o)
}

// join lets a new server into the generation it was made for.
func (e *Engine) join(g *generation, x *proxyGen, o *backend.ServerOptions) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gen.Load() != g {
		o.Release()
		return errReloaded
	}
	s, err := x.servers.Add(*o)
	if err != nil {
		o.Release()
		return err
	}
	if o.Line.Track == "" {
		return nil
	}
	if err := g.follow(x, s); err != nil {
		_ = x.servers.Remove(s, false) // it is in maintenance and nobody has used it
		return err
	}
	return nil
}

// dynamicServer compiles a server line outside of a plan.
func (e *Engine) dynamicServer(ctx context.Context, g *generation, x *proxyGen, line *config.Server) (*backend.ServerOptions, error) {
	var diags config.Diags
	b := &builder{
		e: e, ctx: ctx, cfg: g.cfg, diags: &diags, last: g, host: hostname(),
		plan: &plan{generation: generation{cfg: g.cfg, byName: g.byName, proxies: g.proxies, patterns: g.patterns, logger: g.logger,
			tables: g.tables}},
	}
	made := &proxyGen{cfg: x.cfg}
	c := b.compiler(x.cfg)
	if line.SSL && line.CAFile == "" && b.verifies(line) {
		return nil, errors.New("verify is enabled but no CA file specified.")
	}
	if line.Crt != "" && e.o.Store.Bundle(b.certPath(line.Crt)) == nil {
		return nil, fmt.Errorf("unable to stat SSL certificate '%s'.", b.certPath(line.Crt))
	}
	for word, name := range map[string]string{"ca-file": line.CAFile, "crl-file": line.CRLFile} {
		name = under(g.cfg.Global.CABase, name)
		if name != "" && (word == "ca-file" && e.o.Store.CA(name) == nil || word == "crl-file" && e.o.Store.CRL(name) == nil) {
			return nil, fmt.Errorf("'%s' : unable to load %s.", word, name)
		}
	}
	o, ok := b.server(made, line, c, nil)
	for _, d := range diags {
		if d.Level == config.LevelAlert {
			return nil, errors.New(bare(d.Text))
		}
	}
	if !ok {
		return nil, fmt.Errorf("server %s cannot be made.", line.Name)
	}
	nameServer(x.cfg, &o)
	var uses []func()
	follows := &serverUse{}
	for _, c := range made.crts {
		uses = append(uses, e.o.Store.Attach(c.name, follows))
	}
	for _, t := range made.trusts {
		uses = append(uses, e.o.Store.AttachTrust(t.serverTrust))
	}
	o.Made = func(s *backend.Server) { follows.of.Store(s) }
	o.Release = func() {
		for _, detach := range uses {
			detach()
		}
	}
	return &o, nil
}

// bare takes off a message of the configuration where it would stand.
func bare(text string) string {
	text = strings.TrimPrefix(text, "config : ")
	if _, rest, ok := strings.Cut(text, "] : "); ok && strings.HasPrefix(text, "parsing [") {
		text = rest
	}
	if rest, ok := strings.CutPrefix(text, "'server "); ok {
		if _, rest, ok = strings.Cut(rest, "' : "); ok {
			text = rest
		}
	}
	return text
}

// removable finds a server and says why it cannot go; nil if it can.
func (g *generation) removable(px, name string) (*proxyGen, *backend.Server, error) {
	x := g.byName[px]
	if x == nil || x.servers == nil {
		return nil, nil, errNoBackend
	}
	s := x.servers.Server(name)
	if s == nil {
		return nil, nil, errNoServer
	}
	return x, s, s.Removable(g.pinned[px+"/"+name])
}

// Removable says why a server cannot be deleted now; backend.ErrBusy is worth waiting for.
func (e *Engine) Removable(px, name string) error {
	g := e.gen.Load()
	if g == nil {
		return errNoBackend
	}
	_, _, err := g.removable(px, name)
	return err
}

// DelServer deletes a server (management guide, "del server"). One that the configuration names comes back with the next reload.
func (e *Engine) DelServer(px, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	g := e.gen.Load()
	if g == nil {
		return errNoBackend
	}
	x, s, err := g.removable(px, name)
	if err != nil {
		return err
	}
	if err := x.servers.Remove(s, g.pinned[px+"/"+name]); err != nil {
		return err
	}
	x.release(name)
	return nil
}

// carry brings the servers that were made at run time over into the next generation. mu is held.
func (e *Engine) carry(old, g *generation) {
	for _, was := range old.proxies {
		if was.servers == nil {
			continue
		}
		now := g.byName[was.cfg.Name]
		if now == nil || now.servers == nil {
			for _, s := range was.servers.Servers() {
				s.Forget()
			}
			continue
		}
		for _, s := range now.servers.Adopt(was.servers) {
			s.Forget()
		}
		for _, s := range now.servers.Servers() {
			if s.Dynamic() && s.Line().Track != "" {
				if err := g.follow(now, s); err != nil {
					e.notify("WARNING", "server %s/%s, added at run time, tracks nothing any more: %v", was.cfg.Name, s.Name(), err)
				}
			}
		}
	}
}
