package engine

import (
	"errors"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
)

// globals plans what section global says of messages: how names of fields are written.
func (b *builder) globals() {
	g := b.cfg.Global
	var data []byte
	if g.HeaderCaseFile != "" {
		var err error
		if data, err = b.readRuleFile(g.HeaderCaseFile); err != nil {
			b.diags.Add(config.LevelAlert, "h1-headers-case-adjust-file '"+g.HeaderCaseFile+"': failed to open file.")
			return
		}
	}
	cases, err := g.HeaderCases(data)
	if err != nil {
		b.diags.Add(config.LevelAlert, err.Error())
	}
	if len(cases) > 0 {
		b.plan.cases = cases
	}
}

// frontendExtras are options of messages and connections that ask little of their own.
func (b *builder) frontendExtras(o *proxy.FrontendOptions, p *config.Proxy) {
	o.ProxyHeader, o.IdleCloseOnResponse, o.NoLinger = p.UseProxyHeader, p.IdleCloseOnResponse, p.NoLinger
	if p.CaseForClients {
		o.HeaderCase = b.plan.cases
	}
}

func (b *builder) backendExtras(o *proxy.BackendOptions, p *config.Proxy) {
	o.Unsafe, o.PretendKeepAlive, o.PreferLast, o.NoLinger = p.UnsafeResponses, p.PretendKeepAlive, p.PreferLastServer, p.NoLinger
	if p.CaseForServers {
		o.HeaderCase = b.plan.cases
	}
}

// ShowVar shows a variable of scope proc, named as rules name it.
func (e *Engine) ShowVar(name string) (kind, text string, found bool) {
	bare, ok := strings.CutPrefix(name, "proc.")
	v, found := e.env().Var(bare)
	if !ok || !found {
		return "", "", false
	}
	kind, text, ok = rule.Shown(v)
	if !ok {
		return kind, "(undisplayable)", true
	}
	return kind, "<" + text + ">", true
}

// SetVar sets a variable of scope proc, as "set var" of a stats socket does: text is an expression or a format that needs no connection.
// Errors have HAProxy's texts.
func (e *Engine) SetVar(name, text string, format bool) error {
	g := e.gen.Load()
	if g == nil {
		return errors.New("nothing is served yet")
	}
	var diags config.Diags
	b := &builder{e: e, cfg: g.cfg, diags: &diags, last: g, host: hostname(), plan: &plan{generation: generation{cfg: g.cfg, byName: g.byName, tables: g.tables}}}
	c := b.compiler(&config.Proxy{Kind: "frontend", Name: "CLI"})
	c.ReadFile, c.Patterns = nil, nil
	c.Servers = func(backend, server string) bool {
		p := g.byName[backend]
		return p != nil && p.servers != nil && p.servers.Server(server) != nil
	}
	set, err := c.CommandVar(config.GlobalVar{Name: name, Words: []string{text}, Fmt: format})
	if err != nil {
		return errors.New(rule.Alone(err))
	}
	set(e.env())
	return nil
}
