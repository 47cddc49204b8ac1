package config

import (
	"fmt"
	"slices"
	"strings"
)

// finish makes the checks that need the whole configuration and fixes what could only be known at its end.
//
// After errors only missing targets are still reported: warnings would be about lines that were not understood.
func (p *parser) finish() {
	p.quiet = p.diags.HasErrors()
	for _, px := range p.cfg.Proxies {
		p.finishProxy(px)
	}
	for _, l := range p.cfg.Userlists {
		p.finishUserlist(l)
	}
	p.finishRings()
	for name := range p.cfg.Gatehouse.PersistBy {
		p.finishPersist(name)
	}
}

// late adds a message of the checks after parsing, which HAProxy prints without "config : ".
func (p *parser) late(level string, pos Pos, format string, args ...any) {
	if p.quiet && level != LevelAlert {
		return
	}
	p.diags = append(p.diags, Diag{Level: level, Text: fmt.Sprintf(format, args...), Pos: pos})
}

// meant notes with the last message which of the candidates a word was probably meant to be.
func (p *parser) meant(word string, candidates ...string) {
	if n := len(p.diags); n > 0 {
		slices.Sort(candidates)
		p.diags[n-1].Near = Nearest(word, candidates)
	}
}

// typeName is what HAProxy calls a proxy in messages.
func typeName(px *Proxy) string {
	if px.Kind == "listen" {
		return "proxy"
	}
	return px.Kind
}

func (p *parser) finishProxy(px *Proxy) {
	st := p.state[px]
	fe, be := sides(px.Kind)
	px.HTTPRequest = append(px.HTTPRequest, st.redirects...)
	p.finishCheck(px, st)
	p.finishAnswers(px)
	px.TCPKeepAlive = fe && px.ClientKeepAlive || be && px.ServerKeepAlive
	if px.Balance == "" {
		px.Balance = "roundrobin"
	}
	if !fe {
		px.DefaultBackend = ""
	}
	if px.Disabled {
		return // HAProxy checks nothing in a disabled proxy
	}
	if px.Kind == "frontend" && len(px.Binds) == 0 {
		p.late(LevelWarning, px.Pos, "%s '%s' has no 'bind' directive. Please declare it as a backend if this was intended.", typeName(px), px.Name)
	}
	p.backendTargets(px, fe)
	p.finishCapture(px)
	p.finishFilters(px)
	p.finishProtocols(px)
	p.serverTargets(px)
	p.serverTracks(px)
	p.cookiesInTCP(px, be)
	p.missingTimeouts(px, fe, be)
	for _, d := range st.dupServers {
		p.late(LevelAlert, d[0].Pos, "parsing [%s:%d] : %s '%s', another server named '%s' was already defined at line %d, please use distinct names.",
			d[0].Pos.File, d[0].Pos.Line, typeName(px), px.Name, d[0].Name, d[1].Pos.Line)
	}
}

// finishProtocols refuses what a bind line cannot speak in the section's mode, and tells of the protocol that is named but not offered.
func (p *parser) finishProtocols(px *Proxy) {
	for _, b := range px.Binds {
		if b.Proto != "" && b.Proto != map[string]string{"http": "h1", "tcp": "none"}[px.Mode] {
			p.late(LevelAlert, b.Pos, "%s '%s' : MUX protocol '%s' is not usable for 'bind %s' at [%s:%d].", typeName(px), px.Name, b.Proto, b.Text, b.Pos.File, b.Pos.Line)
		}
		for _, x := range b.TLS {
			if px.Mode == "http" && x.Name == "alpn" && slices.Contains(strings.Split(strings.Join(x.Args, ","), ","), "h2") {
				p.late(LevelNotice, b.Pos, "parsing [%s:%d] : 'bind %s' : 'alpn' names 'h2', which is not offered: HTTP/2 is not supported yet.", b.Pos.File, b.Pos.Line, b.Text)
			}
		}
	}
}

// cookiesInTCP tells of cookies that nobody reads.
func (p *parser) cookiesInTCP(px *Proxy, be bool) {
	if !be || px.Mode == "http" {
		return
	}
	if px.Cookie != nil {
		p.late(LevelWarning, px.Pos, "cookie will be ignored for %s '%s' (needs 'mode http').", typeName(px), px.Name)
	}
	for _, s := range px.Servers {
		if s.Redir != "" {
			p.late(LevelAlert, s.Pos, "%s '%s' : server cannot have cookie or redirect prefix in non-HTTP mode.", typeName(px), px.Name)
		}
		if s.Cookie != "" {
			p.late(LevelWarning, s.Pos, "%s '%s' : ignoring cookie for server '%s' as HTTP mode is disabled.", typeName(px), px.Name, s.Name)
		}
	}
}

// finishCheck drops an HTTP check that no option chose.
func (p *parser) finishCheck(px *Proxy, st *proxyState) {
	if st.check == checkHTTP {
		return
	}
	if st.ownCheck {
		p.late(LevelWarning, px.Pos, "%s '%s' uses http-check rules without 'option httpchk', so the rules are ignored.", typeName(px), px.Name)
	}
	px.HTTPCheck = nil
}

// backendTargets checks default_backend and the use_backend lines whose name is not a format.
func (p *parser) backendTargets(px *Proxy, fe bool) {
	if fe && px.DefaultBackend != "" {
		found := p.backendTarget(px, px.DefaultBackendPos, px.DefaultBackend, "default_backend", "as its default backend")
		if found && len(px.Servers) > 0 {
			p.late(LevelWarning, px.Pos, "In proxy '%s', the 'default_backend' rule always has precedence over the servers, which will never be used.", px.Name)
		}
	}
	for _, r := range px.UseBackend {
		if name := r.Words[0]; !strings.Contains(name, "%") {
			p.backendTarget(px, r.Pos, name, "use_backend", "in a 'use_backend' rule")
		}
	}
}

func (p *parser) backendTarget(px *Proxy, pos Pos, name, keyword, how string) bool {
	target := p.byName[name]
	switch {
	case target == nil || target.Kind == "frontend":
		p.late(LevelAlert, pos, "Proxy '%s': unable to find required %s: '%s'.", px.Name, keyword, name)
		var backends []string
		for n, t := range p.byName {
			if t.Kind != "frontend" && t != px {
				backends = append(backends, n)
			}
		}
		slices.Sort(backends)
		p.meant(name, backends...)
	case target == px:
		p.late(LevelAlert, pos, "Proxy '%s': loop detected for %s: '%s'.", px.Name, keyword, name)
	case px.Mode != target.Mode && !(px.Mode == "tcp" && target.Mode == "http"):
		p.late(LevelAlert, pos, "%s %s '%s' (%s:%d) tries to use incompatible %s %s '%s' (%s:%d) %s (see 'mode').",
			px.Mode, typeName(px), px.Name, px.Pos.File, px.Pos.Line, target.Mode, typeName(target), target.Name, target.Pos.File, target.Pos.Line, how)
	default:
		return true
	}
	return false
}

func (p *parser) missingTimeouts(px *Proxy, fe, be bool) {
	noServerTimeout := px.TimeoutServer == 0 && (px.Mode == "http" || px.TimeoutTunnel == 0)
	if fe && px.TimeoutClient == 0 || be && len(px.Servers) > 0 && (px.TimeoutConnect == 0 || noServerTimeout) {
		p.late(LevelWarning, px.Pos, "missing timeouts for %s '%s'.\n"+
			"   | While not properly invalid, you will certainly encounter various problems\n"+
			"   | with such a configuration. To fix this, please ensure that all following\n"+
			"   | timeouts are set to a non-zero value: 'client', 'connect', 'server'.", typeName(px), px.Name)
	}
}

func (p *parser) finishPersist(name string) {
	for _, c := range p.cfg.CrtStores {
		if c.Name == name {
			return
		}
	}
	p.diags.Alert(p.cfg.Gatehouse.Pos, "'persist' : no crt-store '%s' exists.", name)
}
