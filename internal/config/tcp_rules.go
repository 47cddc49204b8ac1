package config

import (
	"strings"
	"time"
)

// tcpRequest reads tcp-request connection, session, content and inspect-delay (manual section 4.2).
func (p *parser) tcpRequest(s *statement) {
	what := s.arg(1)
	if what == "" {
		p.alert("missing argument for '%s' in %s", s.arg(0), p.tcpSection())
		return
	}
	if p.px.Kind == "defaults" && p.px.Name == "" {
		p.alert("%s %s is not allowed in anonymous 'defaults' sections", s.arg(0), what)
		return
	}
	rule := Rule{Pos: s.pos, Words: s.words[2:]}
	switch what {
	case "inspect-delay":
		p.inspectDelay(s, &s.px.InspectDelay)
	case "connection", "session":
		if p.px.Kind == "backend" {
			p.alert("%s %s is not allowed because %s %s is not a frontend", s.arg(0), what, typeName(p.px), p.px.Name)
			return
		}
		set := &s.px.TCPConnection
		if what == "session" {
			set = &s.px.TCPSession
		}
		p.misplacedTCP(s, what)
		*set = append(*set, rule)
	case "content":
		p.misplacedTCP(s, what)
		s.px.TCPContent = append(s.px.TCPContent, rule)
	default:
		p.alert("'%s' expects 'inspect-delay', 'connection', or 'content' in %s (got '%s')", s.arg(0), p.tcpSection(), what)
	}
}

// tcpResponse reads tcp-response content and inspect-delay.
func (p *parser) tcpResponse(s *statement) {
	what := s.arg(1)
	if what == "" {
		p.alert("missing argument for '%s' in %s '%s'", s.arg(0), typeName(p.px), p.px.Name)
		return
	}
	if what != "inspect-delay" && what != "content" {
		p.alert("'%s' expects 'inspect-delay' or 'content' in %s '%s' (got '%s')", s.arg(0), typeName(p.px), p.px.Name, what)
		return
	}
	if p.px.Kind == "frontend" || p.px.Kind == "defaults" && p.px.Name == "" {
		p.alert("%s %s is only allowed in 'backend' sections or 'defaults' section with a name", s.arg(0), what)
		return
	}
	if what == "inspect-delay" {
		p.inspectDelay(s, &s.px.ResponseInspectDelay)
		return
	}
	if len(s.px.HTTPResponse) > len(p.inherited(s.px.HTTPResponse)) {
		p.processedBefore(s.arg(0)+" "+what, "http-response")
	}
	s.px.TCPResponse = append(s.px.TCPResponse, Rule{Pos: s.pos, Words: s.words[2:]})
}

// inherited are the rules at the front of a set that came from a defaults section.
func (p *parser) inherited(set []Rule) []Rule {
	for i := range set {
		if set[i].ACLs == nil {
			return set[:i]
		}
	}
	return set
}

// tcpSection is how messages about tcp-request name the section.
func (p *parser) tcpSection() string {
	if p.px.Kind == "defaults" {
		return "defaults section"
	}
	return typeName(p.px) + " '" + p.px.Name + "'"
}

func (p *parser) inspectDelay(s *statement, field *time.Duration) {
	name := s.arg(0) + " " + s.arg(1)
	d, err := ParseTime(s.arg(2), time.Millisecond)
	reason := ""
	switch {
	case s.arg(2) == "":
	case err == ErrTimeOver:
		reason = " (timer overflow in '" + s.arg(2) + "', maximum value is 2147483647 ms or ~24.8 days)"
	case err == ErrTimeUnder:
		reason = " (timer underflow in '" + s.arg(2) + "', minimum non-null value is 1 ms)"
	case err != nil:
		reason = " (unexpected character '" + string(badChar(err)) + "')"
	case *field != 0:
		p.warning("ignoring %s (was already defined) in %s '%s'", name, typeName(p.px), p.px.Name)
		return
	default:
		*field = d
		return
	}
	p.alert("'%s' expects a positive delay in milliseconds, in %s '%s'%s", name, typeName(p.px), p.px.Name, reason)
}

// misplacedTCP warns when a tcp-request rule stands after rules that it will run before.
func (p *parser) misplacedTCP(s *statement, what string) {
	px := s.px
	own := func(set []Rule) bool { return len(set) > len(p.inherited(set)) }
	later := ""
	switch {
	case what == "connection" && own(px.TCPSession):
		later = "tcp-request session"
	case what != "content" && own(px.TCPContent):
		later = "tcp-request content"
	case own(px.HTTPRequest):
		later = "http-request"
	case len(p.state[px].redirects) > 0:
		later = "redirect"
	case len(px.UseBackend) > 0:
		later = "use_backend"
	default:
		return
	}
	p.processedBefore(s.arg(0)+" "+what, later)
}

func (p *parser) processedBefore(rule, later string) {
	article := "a"
	if strings.HasPrefix(later, "http") {
		article = "an"
	}
	p.warning("a '%s' rule placed after %s '%s' rule will still be processed before.", rule, article, later)
}
