package config

import (
	"fmt"
	"slices"
	"strings"
)

// chooseCheck makes kind the proxy's health check; the last option wins, as in HAProxy.
func (p *parser) chooseCheck(s *statement, kind checkKind) {
	p.state[s.px].check = kind
	s.px.TCPCheck, s.px.SSLHelloCheck = kind == checkTCP, kind == checkSSLHello
}

// ownCheck is the proxy's own HTTP check. The first line about it discards what defaults said: HAProxy inherits rule
// sets whole or not at all.
func (p *parser) ownCheck(s *statement) *HTTPCheck {
	st := p.state[s.px]
	if !st.ownCheck {
		st.ownCheck = true
		st.checkSent = map[string]bool{}
		s.px.HTTPCheck = &HTTPCheck{Pos: s.pos, Method: "OPTIONS", URI: "/", Version: "HTTP/1.0"}
	}
	return s.px.HTTPCheck
}

func (p *parser) optionTCPCheck(s *statement) {
	if p.positiveOnly(s) && !p.tooMany(s, 0, 1) && p.optionPlace(s) {
		p.chooseCheck(s, checkTCP)
	}
}

func (p *parser) optionSSLHello(s *statement) {
	if p.positiveOnly(s) && !p.tooMany(s, 0, 1) && p.optionPlace(s) {
		p.chooseCheck(s, checkSSLHello)
	}
}

// optionHTTPCheck reads `option httpchk [METHOD] [URI] [VERSION]`. The version may carry headers after a CRLF, the
// form of the years before http-check send.
func (p *parser) optionHTTPCheck(s *statement) {
	if !p.positiveOnly(s) || p.tooMany(s, 4, 1) || !p.optionPlace(s) {
		return
	}
	p.chooseCheck(s, checkHTTP)
	c := p.ownCheck(s)
	opt := HTTPCheck{Method: "OPTIONS", URI: "/", Version: "HTTP/1.0"}
	switch len(s.words) - 2 {
	case 0:
	case 1:
		opt.URI = s.arg(2)
	default:
		opt.Method, opt.URI = s.arg(2), s.arg(3)
	}
	if s.arg(5) != "" {
		opt.Headers = append(opt.Headers, [2]string{"host", s.arg(5)})
	}
	if s.arg(4) != "" && !p.httpCheckVersion(&opt, s.arg(4)) {
		return
	}
	// http-check send overrides the option wherever it stands.
	sent := p.state[s.px].checkSent
	c.Pos = s.pos
	if !sent["meth"] {
		c.Method = opt.Method
	}
	if !sent["uri"] {
		c.URI = opt.URI
	}
	if !sent["ver"] {
		c.Version = opt.Version
	}
	if !sent["hdr"] {
		c.Headers = opt.Headers
	}
	if !sent["body"] {
		c.Body = opt.Body
	}
}

// httpCheckVersion splits "HTTP/1.1\r\nHost: x\r\n\r\nbody".
func (p *parser) httpCheckVersion(c *HTTPCheck, text string) bool {
	version, rest, more := cutLine(text)
	c.Version = strings.TrimRight(version, " \t")
	if !validHTTPVersion(c.Version) {
		p.alert("'option httpchk' : got invalid HTTP version '%s'.", version)
		return false
	}
	if !more {
		return true
	}
	// HAProxy took this until 2.9 and refuses it now; many files still carry it.
	p.notice("'option httpchk' : headers and body at the end of the version string are read; HAProxy refuses them, use 'http-check send' instead.")
	for more && rest != "" {
		var line string
		line, rest, more = cutLine(rest)
		if line == "" {
			c.Body = rest
			return true
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			p.alert("'option httpchk' : unable to parse headers.")
			return false
		}
		switch name = strings.ToLower(name); name {
		case "content-length", "transfer-encoding": // the check sets its own
		default:
			c.Headers = append(c.Headers, [2]string{name, strings.TrimSpace(value)})
		}
	}
	return true
}

// validHTTPVersion accepts HTTP/N.N.
func validHTTPVersion(v string) bool {
	return len(v) == 8 && strings.HasPrefix(v, "HTTP/") && isDigit(v[5]) && v[6] == '.' && isDigit(v[7])
}

func cutLine(s string) (line, rest string, found bool) {
	line, rest, found = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest, found
}

// proxyHTTPCheck reads http-check lines; they belong to option httpchk wherever it stands.
func (p *parser) proxyHTTPCheck(s *statement) {
	st := p.state[s.px]
	c := p.ownCheck(s)
	switch s.arg(1) {
	case "send":
		if st.checkSend {
			p.alert("'%s %s' : several 'http-check send' lines are not supported.", s.arg(0), s.arg(1))
			return
		}
		st.checkSend = p.httpCheckSend(s, c)
	case "expect":
		if s.arg(2) == "" {
			p.alert("'%s %s' : expects at least a matching pattern as arguments.", s.arg(0), s.arg(1))
			return
		}
		p.httpCheckExpect(s, c)
	case "disable-on-404":
		if !p.tooMany(s, 1, 0) {
			c.DisableOn404 = true
		}
	case "comment", "connect", "send-state", "set-var", "set-var-fmt", "unset-var":
		p.alert("'%s %s' is not supported in '%s' section.", s.arg(0), s.arg(1), p.section.Name)
	default:
		if strings.HasPrefix(s.arg(1), "set-var") || strings.HasPrefix(s.arg(1), "unset-var") {
			p.alert("'%s %s' is not supported in '%s' section.", s.arg(0), s.arg(1), p.section.Name)
			return
		}
		p.alert("'%s' only supports 'disable-on-404', 'send-state', 'comment', 'connect', 'send', 'expect', 'set-var-fmt(*)', "+
			"'set-var(*)', 'unset-var(*)'. but got '%s'", s.arg(0), s.arg(1))
	}
}

// httpCheckSend reads what to send; false when a word was wrong.
func (p *parser) httpCheckSend(s *statement, c *HTTPCheck) bool {
	sent := p.state[s.px].checkSent
	for i := 2; i < len(s.words); {
		word, v := s.arg(i), s.arg(i+1)
		if word == "hdr" && s.arg(i+2) == "" {
			p.alert("'%s %s' : '%s' expects <name> and <value> as arguments.", s.arg(0), s.arg(1), word)
			return false
		}
		if v == "" && slices.Contains([]string{"meth", "uri", "uri-lf", "ver", "body", "body-lf", "comment"}, word) {
			p.alert("'%s %s' : '%s' expects a string as argument..", s.arg(0), s.arg(1), word)
			return false
		}
		i += 2
		switch word {
		case "meth":
			c.Method = v
		case "uri":
			c.URI = v
		case "ver":
			c.Version = v
		case "body":
			c.Body = v
		case "comment":
		case "hdr":
			if !p.httpCheckHeader(s, c, v, s.arg(i)) {
				return false
			}
			i++
		case "uri-lf", "body-lf":
			p.alert("'%s %s' : '%s' is not supported.", s.arg(0), s.arg(1), word)
			return false
		default:
			p.alert("'%s %s' : expects 'comment', 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body' or 'body-lf' but got '%s' as argument..",
				s.arg(0), s.arg(1), word)
			return false
		}
		sent[word] = true
	}
	return true
}

// httpCheckHeader adds one header of http-check send; the first one drops those of option httpchk.
func (p *parser) httpCheckHeader(s *statement, c *HTTPCheck, name, value string) bool {
	sent := p.state[s.px].checkSent
	if !sent["hdr"] {
		c.Headers = nil
	}
	switch name = strings.ToLower(name); name {
	case "content-length", "transfer-encoding": // the check sets its own
		return true
	case "host":
		for _, h := range c.Headers {
			if h[0] == "host" {
				p.alert("'%s %s' : '%s' header already defined (previous value is '%s').", s.arg(0), s.arg(1), name, h[1])
				return false
			}
		}
	}
	if strings.Contains(value, "%") {
		p.alert("'%s %s' : a format such as '%s' is not supported.", s.arg(0), s.arg(1), value)
		return false
	}
	c.Headers = append(c.Headers, [2]string{name, value})
	return true
}

// httpCheckExpect keeps the words: [!] status LIST | rstatus RE | string S | rstring RE.
func (p *parser) httpCheckExpect(s *statement, c *HTTPCheck) {
	words := s.words[2:]
	i := 0
	if words[0] == "!" {
		i = 1
	}
	switch kind := s.arg(2 + i); kind {
	case "status", "rstatus", "string", "rstring":
		if s.arg(3+i) == "" {
			p.alert("'%s %s' : '%s' expects a <pattern> as argument.", s.arg(0), s.arg(1), kind)
			return
		}
		if s.arg(4+i) != "" {
			p.alert("'%s %s' : only one pattern expected.", s.arg(0), s.arg(1))
			return
		}
		if problem := statusList(s.arg(3 + i)); kind == "status" && problem != "" {
			p.alert("'%s %s' : %s.", s.arg(0), s.arg(1), problem)
			return
		}
	case "min-recv", "comment", "ok-status", "error-status", "tout-status", "on-success", "on-error", "status-code", "hdr", "fhdr", "string-lf":
		p.alert("'%s %s' : '%s' is not supported.", s.arg(0), s.arg(1), kind)
		return
	default:
		p.alert("'%s %s' : 'only supports min-recv, [!]string', '[!]rstring', '[!]string-lf', '[!]status', '[!]rstatus', [!]hdr, [!]fhdr or comment but got '%s' as argument..",
			s.arg(0), s.arg(1), kind)
		return
	}
	c.Expect = words
}

// statusList checks a list such as 200,204-206 and says what is wrong with it.
func statusList(text string) string {
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		for _, n := range []string{low, high} {
			for i := 0; i < len(n); i++ {
				if !isDigit(n[i]) {
					return fmt.Sprintf("invalid character '%c' in the list of status codes", n[i])
				}
			}
		}
		if low == "" || high == "" || atol(low) > atol(high) {
			return fmt.Sprintf("invalid range of status codes '%s'", text)
		}
	}
	return ""
}
