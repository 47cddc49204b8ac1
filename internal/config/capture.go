package config

import "strings"

// Capture is a capture request|response header or a declare capture line: one slot of the frontend.
type Capture struct {
	Pos      Pos
	Response bool
	Field    string // header name in lower case; "" for declare capture
	Len      int    // bytes kept at most
	Before   int    // how many http-request rules stand before the line: rules that capture take slots too, in the lines' order
}

// CaptureCookie is capture cookie: the first cookie whose name starts with Name, up to Len bytes.
type CaptureCookie struct {
	Name string
	Len  int
}

// maxCookieCapture is HAProxy's tune.http.cookielen, less the end it keeps.
const maxCookieCapture = 63

func (p *parser) proxyCapture(s *statement) {
	what := s.arg(1)
	switch {
	case what != "cookie" && (what != "request" && what != "response" || s.arg(2) != "header"):
		p.alert("'%s' expects 'cookie' or 'request header' or 'response header'.", s.arg(0))
	case s.px.Kind == "defaults":
		p.alert("'%s %s' not allowed in 'defaults' section.", s.arg(0), what)
	case p.tooMany(s, 4, 1):
	case what == "cookie":
		if s.arg(4) == "" {
			p.alert("'%s' expects 'cookie' <cookie_name> 'len' <len>.", s.arg(0))
			return
		}
		s.px.CaptureCookie = &CaptureCookie{Name: s.arg(2), Len: max(atol(s.arg(4)), 0)}
	case s.arg(3) == "" || s.arg(4) != "len" || s.arg(5) == "":
		p.alert("'%s %s' expects 'header' <header_name> 'len' <len>.", s.arg(0), what)
	default:
		p.capture(s, what == "response", s.arg(3), atol(s.arg(5)))
	}
}

// finishCapture cuts what is kept of a cookie to what HAProxy keeps.
func (p *parser) finishCapture(px *Proxy) {
	if c := px.CaptureCookie; c != nil && c.Len > maxCookieCapture {
		p.late(LevelWarning, px.Pos, "truncating capture length to %d bytes for %s '%s'.", maxCookieCapture, typeName(px), px.Name)
		px.CaptureCookie = &CaptureCookie{Name: c.Name, Len: maxCookieCapture}
	}
}

func (p *parser) capture(s *statement, response bool, field string, n int) {
	s.px.Captures = append(s.px.Captures, Capture{Pos: s.pos, Response: response, Field: strings.ToLower(field), Len: max(n, 0), Before: len(s.px.HTTPRequest)})
}

// proxyDeclare reads declare capture request|response len N.
func (p *parser) proxyDeclare(s *statement) {
	dir := s.arg(2)
	n, used := strtol(s.arg(4))
	switch {
	case s.px.Kind == "defaults":
		p.alert("'%s' not available in default section", s.arg(0))
	case s.px.Kind == "backend":
		p.alert("'%s' only available in frontend or listen section", s.arg(0))
	case s.arg(1) == "":
		p.alert("'%s' needs a second keyword that specify the type of declaration ('capture')", s.arg(0))
	case s.arg(1) != "capture":
		p.alert("unknown declaration type '%s' (supports 'capture')", s.arg(1))
	case dir != "request" && dir != "response":
		p.alert("'declare capture' requires a direction ('request' or 'response')")
	case s.arg(3) != "len":
		p.alert("'declare capture' requires a capture length ('len')")
	case s.arg(4) == "":
		p.alert("'declare capture': 'len' requires a numeric value that represents the capture length")
	case used != len(s.arg(4)):
		p.alert("'declare capture': cannot parse the length '%s'.", s.arg(4))
	case n <= 0:
		p.alert("length must be > 0")
	default:
		p.capture(s, dir == "response", "", n)
	}
}

func (p *parser) proxyUniqueID(s *statement) {
	switch {
	case s.arg(1) == "":
		p.alert("%s expects an argument.", s.arg(0))
	case s.arg(0) == "unique-id-header":
		s.px.UniqueIDHeader = strings.ToLower(s.arg(1))
	case s.arg(2) != "":
		p.alert("%s expects only one argument, don't forget to escape spaces!", s.arg(0))
	default:
		s.px.UniqueIDFormat = &Text{Pos: s.pos, Text: s.arg(1)}
	}
}
