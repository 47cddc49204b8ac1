package engine

import (
	"context"
	"os"
	"slices"
	"strings"

	"gatehouse/internal/backend"
	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/log"
	"gatehouse/internal/pattern"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
)

// plan is a generation that was loaded and not yet applied.
type plan struct {
	generation
	certs  *certstore.Plan
	forger *cert.Forger          // of generate-certificates, nil without
	cases  map[string]string     // h1-case-adjust
	logs   map[string]*logTarget // those the plan uses, new ones not yet started
	rings  []*ringPlan           // in the configuration's order
	vars   []func(rule.Env)      // set the variables of the global section
	bound  map[string]config.Pos // the bind line of every socket, by the socket's key

	untrusted map[string]bool       // CA and CRL files that were told to be of no use
	verifiers map[string]config.Pos // certificates that rules verify tokens with
}

// proxyGen is one section of one generation: a frontend, a backend, or both (listen).
type proxyGen struct {
	cfg      *config.Proxy
	iid      int
	maxConn  int             // connections its frontend takes
	fullConn int             // sessions at which a backend counts as full
	frontend *proxy.Frontend // nil in a backend
	backend  *proxy.Backend  // nil in a frontend
	own      *proxy.Backend  // of a listen: backend without the rules that its frontend has run
	servers  *backend.Backend
	task     *task // of servers
	binds    []*bindGen
	limits   []*rule.Bandwidth // its filters
	crts     []serverCrt       // client certificates of its servers
	trusts   []serverTrustOf
	uses     map[string][]func() // by server: end the uses of what its line names, guarded by the engine's mu
	front    *front              // shared by the generations of the frontend; nil in a backend
	back     *stats.Counters
	logger   *log.Logger // where the section's log lines go
}

// builder makes a plan out of a configuration. Faults go to diags and building goes on, so that one run finds them all.
type builder struct {
	e     *Engine
	ctx   context.Context
	cfg   *config.Config
	diags *config.Diags
	plan  *plan
	last  *generation // the one that serves, nil at start
	host  string
	keys  rule.JWTKeys

	saved   *[]stats.SavedServer // of server-state-file; nil: not read yet
	users   map[string]*rule.Userlist
	samples map[config.Pos]*log.Sample // by log line
	trusted map[*cert.Options]bool     // whose files are loaded

	pagesOf map[string]map[int]*rule.Answer // by http-errors section
	told    map[config.Pos]bool             // lines of defaults sections whose faults were told
}

// Load plans the next generation. Another Load replaces the plan. The configuration is never nil.
func (e *Engine) Load(ctx context.Context, sources []config.Source) (*config.Config, config.Diags) {
	cfg, diags := config.Parse(sources, e.o.Parse)
	e.drop()
	b := &builder{
		e: e, ctx: ctx, cfg: cfg, diags: &diags, last: e.gen.Load(), host: hostname(), samples: map[config.Pos]*log.Sample{}, trusted: map[*cert.Options]bool{},
		plan: &plan{
			generation: generation{cfg: cfg, byName: map[string]*proxyGen{}},
			logs:       map[string]*logTarget{},
			bound:      map[string]config.Pos{},
			untrusted:  map[string]bool{},
		},
	}
	b.build()
	if e.o.Check != nil {
		e.o.Check(cfg, b.plan.certs.Managed(), &diags)
	}
	e.plan = b.plan
	if diags.HasErrors() {
		e.drop()
	}
	return cfg, diags
}

// drop gives up a plan that will not be applied.
func (e *Engine) drop() {
	if e.plan == nil {
		return
	}
	for _, p := range e.plan.proxies {
		if p.servers != nil {
			p.servers.Close()
		}
	}
	e.plan = nil
}

func (b *builder) build() {
	for i, p := range b.cfg.Proxies {
		g := &proxyGen{cfg: p, iid: i + 2}
		if p.ID != 0 {
			g.iid = p.ID
		}
		b.plan.proxies = append(b.plan.proxies, g)
		b.plan.byName[p.Name] = g
	}
	b.plan.patterns = pattern.NewRefs(b.readRuleFile)
	b.rings()
	b.globalVars()
	b.plan.logger = b.logger(&config.Proxy{Logs: b.cfg.Global.Logs})
	b.certificates()
	b.globals()
	b.fullConns()
	b.userlists()
	b.errorSections()
	b.stickTables()
	for _, g := range b.plan.proxies {
		if g.cfg.Kind != "frontend" {
			b.backend(g)
		}
	}
	for _, g := range b.plan.proxies {
		if g.cfg.Kind != "backend" {
			b.frontend(g)
		}
	}
	b.tracks()
	b.numberTickets()
	b.jwtCertificates()
	b.plan.patterns.Finish(b.cfg.Files)
	b.problems()
}

func (b *builder) readRuleFile(name string) ([]byte, error) {
	if b.plan.certs == nil {
		return b.e.o.Host.ReadFile(name, maxRuleFile)
	}
	return b.plan.certs.ReadFile(name, maxRuleFile)
}

// fullConns gives every backend its fullconn: a tenth of the connections of the frontends that lead to it (manual, "fullconn").
func (b *builder) fullConns() {
	for _, f := range b.plan.proxies {
		if f.cfg.Kind == "backend" {
			continue
		}
		leads := map[*proxyGen]bool{b.plan.byName[f.cfg.DefaultBackend]: true}
		if f.cfg.Kind == "listen" {
			leads[f] = true
		}
		for _, r := range f.cfg.UseBackend {
			if len(r.Words) > 0 {
				leads[b.plan.byName[r.Words[0]]] = true
			}
		}
		delete(leads, nil)
		for t := range leads {
			t.fullConn += b.e.proxyLimit(f.cfg, b.cfg)
		}
	}
	for _, t := range b.plan.proxies {
		t.fullConn = max(1, (t.fullConn+9)/10)
	}
}

// compiler makes a rule compiler for one section.
func (b *builder) compiler(p *config.Proxy) *rule.Compiler {
	return &rule.Compiler{
		Diags:    b.diags,
		ReadFile: b.readRuleFile, Patterns: b.plan.patterns,
		Backends: func(name string) bool {
			g := b.plan.byName[name]
			return g != nil && g.cfg.Kind != "frontend"
		},
		Frontends: func(name string) bool {
			g := b.plan.byName[name]
			return g != nil && g.cfg.Kind != "backend"
		},
		Servers: func(backend, server string) bool {
			g := b.plan.byName[backend]
			b.pin(backend, server)
			return g != nil && slices.ContainsFunc(g.cfg.Servers, func(s *config.Server) bool { return s.Name == server })
		},
		DefaultBackend: p.DefaultBackend, Keys: &b.keys, Certificates: jwtCertificates{b.e.o.Store, b.plan}, NoDelay: p.InspectDelay == 0, NoResponseDelay: p.ResponseInspectDelay == 0,
		LookupEnv: func(name string) (string, bool) { v, ok := b.cfg.Env[name]; return v, ok },
		Captures:  p.Captures, Experimental: b.cfg.Global.Experimental,
		Hostname: b.host, Pid: os.Getpid(), Kind: p.Kind, Proxy: p.Name, HTTP: p.Mode == "http",
		BufSize: b.cfg.Global.BufSize, Errors: b.errorSection, Userlists: b.userlist,
		Services: b.service, Sink: b.sink, Tables: b.plan.table, Counters: b.stickCounters(), ErrCodes: &b.cfg.Global.ErrCodes, FailCodes: &b.cfg.Global.FailCodes,
	}
}

const (
	maxRuleFile = 64 << 20 // pattern files
)

func (b *builder) backend(g *proxyGen) {
	p := g.cfg
	var old *backend.Backend
	g.back = new(stats.Counters)
	if prev := b.previous(p.Name); prev != nil && prev.servers != nil {
		old = prev.servers
		g.back = prev.back
	}
	c, rules := b.compiler(p), b.compiler(p)
	if p.Kind == "listen" {
		rules.Diags = new(config.Diags) // the frontend's half reports what is wrong with the rules
	}
	acls := rules.ACLs(p.ACLs)
	logger := b.logger(p)
	g.logger = logger
	g.limits = c.Bandwidths(p.BandwidthLimits)
	c.Limits, rules.Limits = g.limits, g.limits
	before, others := b.otherChecks(p)
	o := backend.Options{
		Name: p.Name, HTTP: p.Mode == "http", Algorithm: p.Balance, AlgorithmArgs: p.BalanceArgs,
		Check:          b.check(p),
		ConnectTimeout: p.TimeoutConnect, QueueTimeout: p.TimeoutQueue, CheckTimeout: p.TimeoutCheck,
		Retries: 3, FullConn: g.fullConn, Redispatch: p.Redispatch, AllBackups: p.AllBackups, Persist: p.Persist, Reuse: p.HTTPReuse, KeepAlive: p.TCPKeepAlive, Probes: p.ServerProbes,
		ChecksBefore: before, OtherChecks: others,
		SpreadChecks: b.cfg.Global.SpreadChecks, LogHealthChecks: p.LogHealthChecks,
		Counters: g.back, Emit: b.e.emit,
		Log: func(level, text string) {
			logger.SendText(level, text)
			if level == "alert" || level == "emerg" {
				b.e.o.Notify("ALERT", text)
			} else {
				b.e.o.Notify("WARNING", text)
			}
		},
	}
	if p.Retries != nil {
		o.Retries = *p.Retries
	}
	o.NoConnectRetry = p.RetryOn != nil && !p.RetryOn.Connect
	saved := b.savedStates(g)
	for _, s := range p.Servers {
		if so, ok := b.server(g, s, c, saved[s.Name]); ok {
			nameServer(p, &so)
			o.Servers = append(o.Servers, so)
		}
	}
	servers, err := backend.New(o, old)
	if err != nil {
		b.diags.Alert(p.Pos, "%v", err)
		return
	}
	g.servers = servers
	bo := proxy.BackendOptions{
		Name: p.Name, HTTP: p.Mode == "http", Servers: servers, Timeouts: timeouts(p), Counters: g.back,
		HTTPClose: p.HTTPClose, ServerClose: p.HTTPServerClose, BufferRequest: p.HTTPBufferReq, NoAbortOnClose: p.NoAbortOnClose,
		Errors: b.pages(p, rules), InspectDelay: p.InspectDelay, ResponseDelay: p.ResponseInspectDelay,
	}
	bo.Filters = len(g.limits) > 0
	b.backendExtras(&bo, p)
	bo.TCPResponse = c.TCPResponse(p.TCPResponse, acls)
	bo.RetryOn, bo.Compression = retryOn(p), b.compression(p)
	bo.Persistence = b.persistence(p, servers, c, acls)
	bo.Stick = c.Stick(p.Stick, acls)
	bo.RestrictNames, bo.DropTrailers, bo.Forwarded = restrictNames(p), p.DropReqTrailers, forwarded(p, rules)
	if p.Kind == "listen" { // for its own frontend, whose rules are the same ones and have run
		g.own = proxy.NewBackend(bo)
	}
	bo.HTTPRequest, bo.HTTPResponse = rules.HTTPRequest(p.HTTPRequest, acls), rules.HTTPResponse(p.HTTPResponse, acls)
	bo.AfterResponse = rules.HTTPAfterResponse(p.HTTPAfterResponse, acls)
	bo.TCPContent = rules.TCPContent(p.TCPContent, acls)
	bo.ForwardFor, bo.OriginalTo = addressField(p.ForwardFor), addressField(p.OriginalTo)
	bo.Stats = b.statsPage(g, rules, acls)
	g.backend = proxy.NewBackend(bo)
}

// otherChecks counts the checked servers of the backends before p, and of all but p.
func (b *builder) otherChecks(p *config.Proxy) (before, others int) {
	seen := false
	for _, other := range b.cfg.Proxies {
		if other == p {
			seen = true
			continue
		}
		for _, s := range other.Servers {
			if !s.Check || other.Disabled {
				continue
			}
			if others++; !seen {
				before++
			}
		}
	}
	return before, others
}

func (b *builder) frontend(g *proxyGen) {
	p := g.cfg
	g.front = b.e.frontOf(p.Name)
	c := b.compiler(p)
	acls := c.ACLs(p.ACLs)
	if p.Kind == "frontend" {
		g.limits = c.Bandwidths(p.BandwidthLimits)
	}
	c.Limits = g.limits
	o := proxy.FrontendOptions{
		Name: p.Name, HTTP: p.Mode == "http", Timeouts: timeouts(p),
		HTTPRequest: c.HTTPRequest(p.HTTPRequest, acls), HTTPResponse: c.HTTPResponse(p.HTTPResponse, acls),
		AfterResponse: c.HTTPAfterResponse(p.HTTPAfterResponse, acls),
		TCPConnection: c.TCPConnection(p.TCPConnection, acls), TCPSession: c.TCPSession(p.TCPSession, acls),
		TCPContent: c.TCPContent(p.TCPContent, acls), InspectDelay: p.InspectDelay,
		Log: b.accessLog(p, c), Errors: b.pages(p, c), ForwardFor: addressField(p.ForwardFor),
		MonitorURI: p.MonitorURI, MonitorFail: b.monitorFail(p, c, acls), IgnoreProbes: p.HTTPIgnoreProbes,
		NoHostOK: b.cfg.Gatehouse.HTTPLoose, Connect: b.cfg.Gatehouse.HTTPLoose, UserOK: b.cfg.Gatehouse.HTTPLoose, Compression: b.compression(p),
		HTTPClose: p.HTTPClose, ServerClose: p.HTTPServerClose, BufferRequest: p.HTTPBufferReq,
		MaxHdr: b.cfg.Global.MaxHdr, BufSize: b.cfg.Global.BufSize, MaxRewrite: b.cfg.Global.MaxRewrite,
		Env: b.e.env(), Invalid: b.e.invalid.add, Counters: &g.front.counters, ErrCodes: &b.cfg.Global.ErrCodes, FailCodes: &b.cfg.Global.FailCodes, Challenge: b.e.o.Challenge,
	}
	o.Filters = len(g.limits) > 0
	o.Stats = b.statsPage(g, c, acls)
	for _, r := range p.UseBackend {
		if sw, ok := b.useBackend(p, r, c, acls); ok {
			o.UseBackend = append(o.UseBackend, sw)
		}
	}
	byName := b.plan.byName
	o.Lookup = func(name []byte) *proxy.Backend {
		if t := byName[string(name)]; t != nil && !t.cfg.Disabled {
			return t.backend
		}
		return nil
	}
	switch {
	case p.DefaultBackend != "":
		if t := byName[p.DefaultBackend]; t != nil {
			o.Default = t.backend
		}
	case p.Kind == "listen":
		o.Default = g.own
	}
	b.captures(&o, p, c)
	g.logger = o.Log.Logger
	o.OriginalTo, o.RestrictNames, o.DropTrailers, o.Unsafe = addressField(p.OriginalTo), restrictNames(p), p.DropResTrailers, p.UnsafeRequests
	b.frontendExtras(&o, p)
	g.frontend = proxy.NewFrontend(o)
	b.binds(g, o.Log.Error)
}

// useBackend compiles one use_backend rule: a name known now, or a format made per request.
func (b *builder) useBackend(p *config.Proxy, r config.Rule, c *rule.Compiler, acls *rule.ACLs) (proxy.Switch, bool) {
	if len(r.Words) == 0 {
		return proxy.Switch{}, false
	}
	sw := proxy.Switch{Cond: c.Cond(r.Words[1:], r.Pos, acls)}
	if t := b.plan.byName[r.Words[0]]; t != nil && t.cfg.Kind != "frontend" {
		sw.Backend = t.backend
		return sw, t.backend != nil && !t.cfg.Disabled
	}
	if !strings.Contains(r.Words[0], "%") {
		return sw, false // config has refused it
	}
	sw.Name = c.Text(r.Words[0], r.Pos)
	return sw, sw.Name != nil
}

func timeouts(p *config.Proxy) proxy.Timeouts {
	t := proxy.Timeouts{
		Client: p.TimeoutClient, HTTPRequest: p.TimeoutHTTPRequest, KeepAlive: p.TimeoutKeepAlive, Tarpit: p.TimeoutTarpit,
		Connect: p.TimeoutConnect, Queue: p.TimeoutQueue, Server: p.TimeoutServer, Tunnel: p.TimeoutTunnel, ClientFin: p.TimeoutClientFin, ServerFin: p.TimeoutServerFin,
	}
	if t.Tarpit == 0 {
		t.Tarpit = p.TimeoutConnect
	}
	return t
}

func restrictNames(p *config.Proxy) proxy.RestrictNames {
	switch p.RestrictNames {
	case "delete":
		return proxy.DeleteNames
	case "reject":
		return proxy.RejectNames
	}
	return proxy.PreserveNames
}

// forwarded compiles option forwarded.
func forwarded(p *config.Proxy, c *rule.Compiler) *rule.Forwarded {
	if p.Forwarded == nil {
		return nil
	}
	return c.Forwarded(p.Forwarded)
}

// addressField is option forwardfor or originalto; nil when it is off.
func addressField(of *config.ForwardFor) *proxy.ForwardFor {
	if of == nil {
		return nil
	}
	f := &proxy.ForwardFor{Header: strings.ToLower(of.Header), IfNone: of.IfNone}
	if of.Except != nil {
		f.Except = *of.Except
	}
	return f
}

// previous is the same section in the generation that serves.
func (b *builder) previous(name string) *proxyGen {
	if b.last == nil {
		return nil
	}
	return b.last.byName[name]
}

// check says how checked servers are asked.
func (b *builder) check(p *config.Proxy) backend.CheckOptions {
	switch {
	case p.HTTPCheck != nil:
		h, err := backend.NewHTTPCheck(p.HTTPCheck)
		if err != nil {
			b.diags.Alert(p.HTTPCheck.Pos, "%v", err)
		}
		return backend.CheckOptions{Kind: "http", HTTP: h}
	case p.SSLHelloCheck:
		return backend.CheckOptions{Kind: "ssl-hello"}
	}
	return backend.CheckOptions{}
}
