package config

import "slices"

// defaults is one defaults section: the values that proxies start from.
type defaults struct {
	px       *Proxy
	explicit bool   // referenced by `from`
	implicit bool   // used because it came last
	prev     *Pos   // an earlier section had the same name
	rulesFor string // "frontend" or "backend": the kind of the sections that share its rules
}

// proxyState is what the parser keeps beside a Proxy.
type proxyState struct {
	def        *defaults
	server     *Server // default-server settings
	servers    map[string]*Server
	serverIDs  map[int]*Server
	bindIDs    map[int]*Bind
	dupServers [][2]*Server
	redirects  []Rule
	check      checkKind
	ownCheck   bool            // this proxy has its own HTTP check
	checkSend  bool            // http-check send was seen
	checkSent  map[string]bool // what it set
	logOption  string          // how the log format was last set, for the message about replacing it
}

// invalidChar finds the first character that names may not contain.
func invalidChar(name string) (byte, bool) {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlnum(c) && c != '.' && c != ':' && c != '_' && c != '-' {
			return c, true
		}
	}
	return 0, false
}

func (p *parser) beginProxy(s *statement) {
	kind, name := s.arg(0), s.arg(1)
	if name == "" {
		p.alert("'%s' expects an <id> argument", kind)
		p.aborted = true
		return
	}
	if c, bad := invalidChar(name); bad {
		p.alert("character '%c' is not permitted in '%s' name '%s'.", c, kind, name)
	}
	if s.arg(2) != "" && (s.arg(3) == "" || s.arg(2) != "from") || p.tooMany(s, 3, 0) {
		p.fatal++
		if kind != "backend" {
			p.alert("please use the 'bind' keyword for listening addresses.")
		} else {
			p.alert("'%s' cannot handle unexpected argument '%s'.", kind, s.arg(2))
		}
		// The section is read nevertheless: its lines deserve their own errors, and other lines may name it.
		if px := p.openProxy(kind, name, nil); p.byName[name] == nil {
			p.byName[name] = px
		}
		return
	}
	if p.duplicateName(kind, name) {
		return
	}
	def, ok := p.defaultsOf(s, kind, name, 2, p.lastDef)
	if !ok {
		return
	}
	px := p.openProxy(kind, name, def)
	p.cfg.Proxies = append(p.cfg.Proxies, px)
	if p.byName[name] == nil {
		p.byName[name] = px
	}
}

// sides tells which halves a section has.
func sides(kind string) (fe, be bool) { return kind != "backend", kind != "frontend" }

// duplicateName reports a name that another proxy has; true when reading cannot go on.
func (p *parser) duplicateName(kind, name string) bool {
	old := p.byName[name]
	if old == nil {
		if d := p.defs[name]; d != nil {
			p.sameName(kind, name, "defaults", d.px.Pos)
			return true
		}
		return false
	}
	fe, be := sides(kind)
	ofe, obe := sides(old.Kind)
	if fe && ofe || be && obe {
		p.fatal++
		p.at(LevelAlert, "Parsing [%s:%d]: %s '%s' has the same name as %s '%s' declared at %s:%d.",
			[]any{kind, name, typeName(old), old.Name, old.Pos.File, old.Pos.Line})
	}
	p.sameName(kind, name, typeName(old), old.Pos)
	return true
}

func (p *parser) sameName(kind, name, other string, pos Pos) {
	p.fatal++
	p.at(LevelAlert, "Parsing [%s:%d]: %s '%s' has the same name as %s '%s' declared at %s:%d."+
		" This is no longer supported as of 3.3. Please rename one or the other.", []any{kind, name, other, name, pos.File, pos.Line})
	p.aborted = true
}

// defaultsOf finds the defaults section of a new section: the one after `from` at word i, else def.
func (p *parser) defaultsOf(s *statement, kind, name string, i int, def *defaults) (*defaults, bool) {
	if s.arg(i) != "from" {
		if def != nil {
			def.implicit = true
			p.mixedReferences(def)
			return def, p.inherits(kind, def)
		}
		return nil, true
	}
	from := s.arg(i + 1)
	def = p.defs[from]
	if def == nil {
		p.alert("defaults section '%s' not found for %s '%s'.", from, kind, name)
		p.aborted = true
		return nil, false
	}
	if def.prev != nil {
		p.alert("ambiguous defaults section name '%s' referenced by %s '%s' exists at least at %s:%d and %s:%d.",
			from, kind, name, def.px.Pos.File, def.px.Pos.Line, def.prev.File, def.prev.Line)
	}
	if c, bad := invalidChar(from); bad {
		p.alert("character '%c' is not permitted in defaults section name '%s' when designated by its name (section found at %s:%d).",
			c, from, def.px.Pos.File, def.px.Pos.Line)
	}
	def.explicit = true
	p.mixedReferences(def)
	return def, p.inherits(kind, def)
}

func (p *parser) mixedReferences(def *defaults) {
	if def.explicit && def.implicit {
		p.warning("defaults section '%s' (declared at %s:%d) is explicitly referenced by another proxy and implicitly used here."+
			" To avoid any ambiguity don't mix both usage. Add a last defaults section not explicitly used or always use explicit references.",
			def.px.Name, def.px.Pos.File, def.px.Pos.Line)
	}
}

func (p *parser) beginDefaults(s *statement) {
	name, i := s.arg(1), 2
	if name == "from" && s.arg(2) != "" && s.arg(3) == "" {
		name, i = "", 1
	}
	if s.arg(i) != "" && s.arg(i) != "from" || p.tooMany(s, 1, i) {
		if s.arg(i) != "from" {
			p.alert("'%s' cannot handle unexpected argument '%s'.", s.arg(0), s.arg(i))
		}
		return
	}
	var prev *Pos
	if old := p.defs[name]; name != "" && old != nil {
		if old.explicit {
			p.fatal++
			p.at(LevelAlert, "Parsing [%s:%d]: defaults '%s' has the same name as another defaults section declared at %s:%d which was explicitly"+
				" referenced hence cannot be replaced. Please remove or rename one of the offending defaults section.",
				[]any{name, old.px.Pos.File, old.px.Pos.Line})
			p.aborted = true
			return
		}
		prev = &old.px.Pos
	}
	if old := p.byName[name]; name != "" && old != nil {
		p.sameName("defaults", name, typeName(old), old.Pos)
		return
	}
	from, ok := p.defaultsOf(s, "defaults", name, i, nil)
	if !ok {
		return
	}
	px := p.openProxy("defaults", name, from)
	d := &defaults{px: px, prev: prev}
	p.lastDef = d
	if name != "" {
		p.defs[name] = d
	}
}

// openProxy makes a proxy from its defaults, with HAProxy's initial values when there are none.
func (p *parser) openProxy(kind, name string, def *defaults) *Proxy {
	px := &Proxy{}
	st := &proxyState{def: def, server: newServer(), servers: map[string]*Server{}, serverIDs: map[int]*Server{}, bindIDs: map[int]*Bind{}}
	if def != nil {
		px = cloneProxy(def.px)
		from := p.state[def.px]
		st.server = cloneServer(from.server)
		st.check, st.logOption = from.check, from.logOption
		p.scopeRules(px, def)
	} else {
		px.Mode = "tcp"
	}
	px.Kind, px.Name, px.Pos, px.ID = kind, name, p.pos(), 0
	px.ACLs = nil
	p.state[px] = st
	p.px = px
	return px
}

// scopeRules binds inherited rules to the ACLs of their defaults section, which no other rule may use.
func (p *parser) scopeRules(px *Proxy, def *defaults) {
	for _, set := range []*[]Rule{&px.HTTPRequest, &px.HTTPResponse, &px.HTTPAfterResponse,
		&px.TCPConnection, &px.TCPSession, &px.TCPContent, &px.TCPResponse} {
		for i := range *set {
			if (*set)[i].ACLs == nil {
				(*set)[i].ACLs = slices.Clip(append([]ACL{}, def.px.ACLs...))
			}
		}
	}
}

// cloneProxy copies a proxy; nothing that later lines change in place is shared.
func cloneProxy(from *Proxy) *Proxy {
	c := *from
	c.ACLs = slices.Clone(from.ACLs)
	c.HTTPRequest, c.HTTPResponse, c.HTTPAfterResponse = slices.Clone(from.HTTPRequest), slices.Clone(from.HTTPResponse), slices.Clone(from.HTTPAfterResponse)
	c.TCPConnection, c.TCPSession = slices.Clone(from.TCPConnection), slices.Clone(from.TCPSession)
	c.TCPContent, c.TCPResponse = slices.Clone(from.TCPContent), slices.Clone(from.TCPResponse)
	c.Logs = slices.Clone(from.Logs)
	if c.Compression = clonePtr(from.Compression); c.Compression != nil {
		c.Compression.Algos, c.Compression.Types = slices.Clone(c.Compression.Algos), slices.Clone(c.Compression.Types)
		c.Compression.ReqTypes = slices.Clone(c.Compression.ReqTypes)
	}
	c.Cookie, c.RetryOn = clonePtr(from.Cookie), clonePtr(from.RetryOn)
	c.Errors = slices.Clone(from.Errors)
	c.MonitorFail = nil
	c.Stats = cloneStats(from.Stats)
	c.BalanceArgs = slices.Clone(from.BalanceArgs)
	c.Retries, c.Redispatch = clonePtr(from.Retries), clonePtr(from.Redispatch)
	c.LogFormat, c.LogFormatSD, c.ErrorLogFormat = clonePtr(from.LogFormat), clonePtr(from.LogFormatSD), clonePtr(from.ErrorLogFormat)
	c.ForwardFor, c.HTTPCheck = clonePtr(from.ForwardFor), clonePtr(from.HTTPCheck)
	if c.HTTPCheck != nil {
		c.HTTPCheck.Headers = slices.Clone(from.HTTPCheck.Headers)
	}
	return &c
}

// place is where the current proxy stands in the table.
func (p *parser) place() Place {
	switch p.px.Kind {
	case "defaults":
		if p.px.Name != "" {
			return InDefaults | InNamedDefaults
		}
		return InDefaults
	case "frontend":
		return InFrontend
	case "backend":
		return InBackend
	}
	return InListen
}

// proxyLine dispatches a line of a proxy section.
func (p *parser) proxyLine(s *statement) {
	if p.px == nil {
		return // the section's own line was wrong and said so
	}
	s.px = p.px
	k := p.t.proxy.by[s.arg(0)]
	if k == nil {
		p.unknown(s, p.t.proxy, 0)
		return
	}
	if k.State != Honoured {
		p.obey(s, k)
		return
	}
	if !p.allowed(s, k) {
		return
	}
	p.obey(s, k)
}

// allowed checks a keyword's place. In defaults a misplaced keyword is an error; between frontend and backend HAProxy
// warns that it has no effect, except for servers.
func (p *parser) allowed(s *statement, k *Keyword) bool {
	here := p.place()
	if k.In&here != 0 {
		return true
	}
	name := k.Name
	if p.px.Kind == "defaults" {
		switch {
		case k.In&InNamedDefaults != 0:
			p.alert("'%s' not allowed in anonymous 'defaults' section.", name)
		case name == "server":
			p.serverAlert(&serverLine{}, "'%s' not allowed in 'defaults' section.", name)
		case name == "id" || name == "description":
			p.alertTight("'%s' not allowed in 'defaults' section.", name)
		case name == "stick-table":
			p.alert("'%s' is not supported in 'defaults' section.", name)
		default:
			p.alert("'%s' not allowed in 'defaults' section.", name)
		}
		return false
	}
	missing := "no frontend"
	if here == InFrontend {
		missing = "no backend"
	}
	if name == "server" || name == "default-server" {
		p.serverAlert(&serverLine{}, "parsing [%s:%d] : '%s' not allowed because %s '%s' has %s capability.",
			p.name, p.line, name, typeName(p.px), p.px.Name, missing)
		return false
	}
	hint := ""
	if name == "maxconn" {
		hint = " Maybe you want 'fullconn' instead ?"
	}
	p.warning("'%s' ignored because %s '%s' has %s capability.%s", name, typeName(p.px), p.px.Name, missing, hint)
	return false
}
