package config

import "slices"

// definesRules reports whether a defaults section has rules of its own, which then are shared, not copied, by those that inherit it.
func definesRules(px *Proxy) bool {
	return len(px.HTTPRequest)+len(px.HTTPResponse)+len(px.HTTPAfterResponse)+
		len(px.TCPConnection)+len(px.TCPSession)+len(px.TCPContent)+len(px.TCPResponse) > 0
}

// definesCaptures reports whether a rule of a defaults section declares a capture slot.
func definesCaptures(px *Proxy) bool {
	return slices.ContainsFunc(append(slices.Clip(px.HTTPRequest), px.TCPContent...), func(r Rule) bool {
		return len(r.Words) > 0 && r.Words[0] == "capture" && slices.Contains(r.Words, "len")
	})
}

// inherits checks whether a section of a kind may take its values from def, whose rules serve sections of one kind only. HAProxy
// stops reading when it may not, and so do we.
func (p *parser) inherits(kind string, def *defaults) bool {
	d := def.px
	refuse := func(format string, args ...any) bool {
		p.alertTight(format, args...)
		p.aborted = true
		return false
	}
	if kind != "frontend" && definesCaptures(d) {
		return refuse("backend or defaults sections cannot inherit from a defaults section defining captures (defaults section at %s:%d).", d.Pos.File, d.Pos.Line)
	}
	if !definesRules(d) {
		return true
	}
	switch {
	case kind == "defaults":
		return refuse("a defaults section cannot inherit from a defaults section defining TCP/HTTP rules (defaults section at %s:%d).", d.Pos.File, d.Pos.Line)
	case kind == "listen":
		return refuse("a listen section cannot inherit from a defaults section defining TCP/HTTP rules.")
	case def.rulesFor != "" && def.rulesFor != kind:
		return refuse("frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules (defaults section at %s:%d).",
			d.Pos.File, d.Pos.Line)
	case kind == "backend" && len(d.TCPConnection)+len(d.TCPSession) > 0:
		return refuse("a backend section cannot inherit from a defaults section defining 'tcp-request connection' or 'tcp-request session' rules (defaults section at %s:%d).",
			d.Pos.File, d.Pos.Line)
	case kind == "frontend" && len(d.TCPResponse) > 0:
		return refuse("a frontend section cannot inherit from a defaults section defining 'tcp-response content' rules (defaults section at %s:%d).",
			d.Pos.File, d.Pos.Line)
	}
	def.rulesFor = kind
	return true
}
