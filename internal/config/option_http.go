package config

import "strings"

// Forwarded is option forwarded (RFC 7239): which parameters are written and what they are made of.
type Forwarded struct {
	Pos             Pos
	Proto           bool
	Host, By, For   ForwardedPart
	ByPort, ForPort ForwardedPart
}

// ForwardedPart is one parameter: left out, made of what is known of the connection, or of an expression.
type ForwardedPart struct {
	On   bool
	Expr string // "" is what is known of the connection
}

func (p *parser) optionForwarded(s *statement) {
	if s.reset {
		p.positiveOnly(s)
		return
	}
	if !p.optionPlace(s) {
		return
	}
	s.px.Forwarded = nil
	if s.no {
		return
	}
	f := &Forwarded{Pos: s.pos}
	parts := map[string]*ForwardedPart{"host": &f.Host, "by": &f.By, "by_port": &f.ByPort, "for": &f.For, "for_port": &f.ForPort}
	if len(s.words) == 2 {
		f.Proto, f.For.On = true, true
	}
	for i := 2; i < len(s.words); i++ {
		word := s.arg(i)
		name, isExpr := word, false
		if n := len(word) - len("-expr"); n > 0 && word[n:] == "-expr" {
			name, isExpr = word[:n], true
		}
		part := parts[name]
		switch {
		case word == "proto":
			f.Proto = true
		case part == nil:
			p.alert("'%s %s' only supports optional values: 'proto', 'host', 'host-expr', 'by', 'by-expr', 'by_port', 'by_port-expr', "+
				"'for', 'for-expr', 'for_port' and 'for_port-expr'.", s.arg(0), s.arg(1))
			return
		case !isExpr:
			*part = ForwardedPart{On: true}
		default:
			if i++; s.arg(i) == "" {
				p.alert("'%s %s %s' expects <expr> as argument.", s.arg(0), s.arg(1), word)
				return
			}
			*part = ForwardedPart{On: true, Expr: s.arg(i)}
		}
	}
	if f.ByPort.On && !f.By.On {
		f.ByPort = ForwardedPart{}
		p.warning("'%s %s' : '%s' will be ignored because both 'by' and 'by-expr' are unset", s.arg(0), s.arg(1), "by_port-expr")
	}
	if f.ForPort.On && !f.For.On {
		f.ForPort = ForwardedPart{}
		p.warning("'%s %s' : '%s' will be ignored because both 'for' and 'for-expr' are unset", s.arg(0), s.arg(1), "for_port-expr")
	}
	s.px.Forwarded = f
}

// optionOriginalTo is option forwardfor for the address the client connected to.
func (p *parser) optionOriginalTo(s *statement) {
	if !p.positiveOnly(s) {
		return
	}
	ot := &ForwardFor{Header: "x-original-to"}
	for i := 2; i < len(s.words); i += 2 {
		switch s.arg(i) {
		case "except":
			net, ok := parseNet(s.arg(i + 1))
			if !ok {
				p.alert("'%s %s %s' expects <address>[/mask] as argument.", s.arg(0), s.arg(1), s.arg(i))
				return
			}
			ot.Except = &net
		case "header":
			if s.arg(i+1) == "" {
				p.alert("'%s %s %s' expects <header_name> as argument.", s.arg(0), s.arg(1), s.arg(i))
				return
			}
			ot.Header = s.arg(i + 1)
		default:
			p.alert("'%s %s' only supports optional values: 'except' and 'header'.", s.arg(0), s.arg(1))
			return
		}
	}
	s.px.OriginalTo = ot
}

// optionRestrict reads what becomes of fields whose names have other characters than letters, digits and "-".
func (p *parser) optionRestrict(s *statement) {
	if !p.positiveOnly(s) || p.tooMany(s, 2, 0) {
		return
	}
	switch how := s.arg(2); how {
	case "":
		p.alert("missing parameter. option '%s' expects 'preserve', 'reject' or 'delete' option.", s.arg(1))
	case "preserve", "reject", "delete":
		s.px.RestrictNames = how
	default:
		p.alert("invalid parameter '%s'. option '%s' expects 'preserve', 'reject' or 'delete' option.", how, s.arg(1))
	}
}

// unsafeNote says what the unsafe options do not let pass here.
const unsafeNote = "fields with bad names are dropped; a NUL in a value, a broken Transfer-Encoding and a status of four digits stay errors"

// noted is a keyword with a note.
func noted(k Keyword, note string) Keyword {
	k.Note = note
	return k
}

// optionOldUnsafe reads the old names of the unsafe options. As in HAProxy, "no" before them changes nothing.
func (p *parser) optionOldUnsafe(s *statement) {
	if p.tooMany(s, 0, 1) || !p.optionPlace(s) {
		return
	}
	side := strings.TrimPrefix(s.arg(1), "accept-invalid-http-")
	p.warnTight("option '%s' is deprecated. please use 'option accept-unsafe-violations-in-http-%s' if absolutely needed.", s.arg(1), side)
	if side == "request" {
		s.px.UnsafeRequests = true
	} else {
		s.px.UnsafeResponses = true
	}
}
