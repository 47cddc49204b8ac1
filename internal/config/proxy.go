package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (p *parser) proxyACL(s *statement) {
	name := s.arg(1)
	if c, bad := invalidChar(name); bad {
		p.alert("character '%c' is not permitted in acl name '%s'.", c, name)
		return
	}
	if name == "" {
		p.alert("character '%c' is not permitted in acl name '%s'.", ' ', name)
		return
	}
	if strings.EqualFold(name, "or") {
		p.alert("acl name '%s' will never match. 'or' is used to express a logical disjunction within a condition.", name)
		return
	}
	if s.arg(2) == "" {
		p.alert("error detected while parsing ACL '%s' : missing fetch method in ACL expression ''.", name)
		return
	}
	s.px.ACLs = append(s.px.ACLs, ACL{Pos: s.pos, Name: name, Words: s.words[2:]})
}

// proxyNumber reads maxconn and backlog.
func (p *parser) proxyNumber(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects an integer argument.", s.arg(0))
		return
	}
	n, used := strtol(s.arg(1))
	if used != len(s.arg(1)) || n < 0 {
		p.alert("'%s' expects an integer argument, found '%s'.", s.arg(0), s.arg(1))
		return
	}
	if s.arg(0) == "maxconn" {
		s.px.MaxConn = n
	} else {
		s.px.Backlog = n
	}
	p.tooMany(s, 1, 0)
}

// balanceNames are HAProxy's algorithms; those that balanceOf does not read are refused.
var balanceNames = []string{"roundrobin", "static-rr", "leastconn", "first", "source", "uri", "url_param", "hdr", "hash", "random", "rdp-cookie", "sticky",
	"log-hash", "log-sticky"}

func (p *parser) proxyBalance(s *statement) {
	name := s.arg(1)
	base, _, _ := strings.Cut(name, "(")
	switch {
	case name == "" || name == "roundrobin":
		s.px.Balance, s.px.BalanceArgs = "roundrobin", nil
		p.tooMany(s, 0, 1)
	case name == "static-rr" || name == "leastconn" || name == "first" || base == "random":
		p.balanceOf(s, name, base)
	case slices.Contains(balanceNames, base):
		p.alert("'%s %s' is not supported in '%s' section.", s.arg(0), base, p.section.Name)
	default:
		p.alert("%s only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', 'hdr(name)', "+
			"'rdp-cookie(name)', 'log-hash' and 'sticky' options.", s.arg(0))
	}
}

// balanceOf reads the algorithms that look at nothing of the request.
func (p *parser) balanceOf(s *statement, name, base string) {
	var args []string
	if base == "random" && name != base {
		draws := strings.TrimSuffix(strings.TrimPrefix(name, "random("), ")")
		n, used := strtol(draws)
		switch {
		case used != len(draws):
			p.alert("balance random : unexpected character '%c' after argument.", draws[used])
			return
		case n < 1:
			p.alert("balance random : number of draws must be at least 1.")
			return
		}
		args = []string{draws}
	}
	s.px.Balance, s.px.BalanceArgs = base, args
	p.tooMany(s, 1, 0)
}

func (p *parser) proxyDefaultBackend(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects a backend name.", s.arg(0))
		return
	}
	s.px.DefaultBackend, s.px.DefaultBackendPos = s.arg(1), s.pos
	p.tooMany(s, 1, 0)
}

func (p *parser) proxyDescription(s *statement) {
	if s.arg(1) == "" {
		p.alertTight("'%s' expects a string argument.", s.arg(0))
		return
	}
	s.px.Description = s.rest(1)
}

func (p *parser) proxyDisabled(s *statement) {
	if !p.tooMany(s, 0, 0) {
		s.px.Disabled = s.arg(0) == "disabled"
	}
}

// setLogFormat forgets how lines were logged before; name is the keyword that now says it.
func (p *parser) setLogFormat(s *statement, name string) {
	st := p.state[s.px]
	if s.px.Kind == "defaults" && st.logOption != "" {
		p.warnTight("'%s' overrides previous '%s' in 'defaults' section.", name, st.logOption)
	}
	st.logOption = name
	s.px.LogFormat = nil
	s.px.HTTPLog, s.px.TCPLog, s.px.HTTPSLog, s.px.CLFLog = false, false, false, false
}

func (p *parser) proxyLogFormat(s *statement) {
	if s.arg(1) == "" {
		p.alert("%s expects an argument.", s.arg(0))
		return
	}
	if s.arg(2) != "" {
		p.alert("%s expects only one argument, don't forget to escape spaces!", s.arg(0))
		return
	}
	if p.px.Kind == "backend" {
		p.notice("'%s' has no effect in a backend.", s.arg(0))
	}
	text := &Text{Pos: s.pos, Text: s.arg(1)}
	switch s.arg(0) {
	case "log-format":
		p.setLogFormat(s, "log-format")
		s.px.LogFormat = text
	case "log-format-sd":
		s.px.LogFormatSD = text
	default:
		s.px.ErrorLogFormat = text
	}
}

// proxyRule reads http-request, http-response and http-after-response.
func (p *parser) proxyRule(s *statement) {
	set := s.arg(0)
	if s.arg(1) == "" {
		p.alertTight("'%s' expects an action, but got '' (missing argument).", set)
		return
	}
	rule := Rule{Pos: s.pos, Words: s.words[1:]}
	switch set {
	case "http-request":
		p.misplacedRule(s, set)
		s.px.HTTPRequest = append(s.px.HTTPRequest, rule)
	case "http-response":
		s.px.HTTPResponse = append(s.px.HTTPResponse, rule)
	default:
		s.px.HTTPAfterResponse = append(s.px.HTTPAfterResponse, rule)
	}
}

// misplacedRule warns when a line stands after rules that it will run before.
func (p *parser) misplacedRule(s *statement, name string) {
	switch {
	case name == "http-request" && len(p.state[s.px].redirects) > 0:
		p.warning("a '%s' rule placed after a 'redirect' rule will still be processed before.", name)
	case len(s.px.UseBackend) > 0:
		p.warning("a '%s' rule placed after a 'use_backend' rule will still be processed before.", name)
	}
}

// proxyRedirect keeps redirect lines apart: they run after every http-request rule wherever they stand.
func (p *parser) proxyRedirect(s *statement) {
	if s.arg(1) == "" {
		p.alert("error detected in %s '%s' while parsing redirect rule : expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', "+
			"'clear-cookie', 'drop-query', 'ignore-empty' or 'append-slash' (was '%s').", typeName(p.px), p.px.Name, s.arg(1))
		return
	}
	p.misplacedRule(s, "redirect")
	st := p.state[s.px]
	st.redirects = append(st.redirects, Rule{Pos: s.pos, Words: s.words, Apart: true})
}

func (p *parser) proxyHTTPReuse(s *statement) {
	if !slices.Contains([]string{"never", "safe", "aggressive", "always"}, s.arg(1)) {
		p.alert("'%s' only supports 'never', 'safe', 'aggressive', 'always'.", s.arg(0))
		return
	}
	s.px.HTTPReuse = s.arg(1)
	p.tooMany(s, 0, 1)
}

func (p *parser) proxyID(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alertTight("'%s' expects an integer argument.", s.arg(0))
		return
	}
	n := atol(s.arg(1))
	if n <= 0 {
		p.alertTight("custom id has to be > 0.")
		return
	}
	if old := p.ids[n]; old != nil && old != s.px {
		p.alertTight("%s %s reuses same custom id as %s %s (declared at %s:%d).", typeName(s.px), s.px.Name, typeName(old), old.Name, old.Pos.File, old.Pos.Line)
		return
	}
	p.ids[n] = s.px
	s.px.ID = n
}

func (p *parser) proxyLogTag(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects a tag for use in syslog.", s.arg(0))
		return
	}
	s.px.LogTag = s.arg(1)
}

func (p *parser) proxyMode(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch mode := s.arg(1); mode {
	case "tcp", "http":
		s.px.Mode = mode
	case "health":
		p.alert("'mode health' doesn't exist anymore. Please use 'http-request return status 200' instead.")
	case "log", "spop", "haterm":
		p.alert("'mode %s' is not supported in '%s' section.", mode, p.section.Name)
	default:
		p.alert("unknown proxy mode '%s'.", mode)
		p.meant(mode, "tcp", "http")
	}
}

func (p *parser) proxyMonitorURI(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects an URI.", s.arg(0))
		return
	}
	s.px.MonitorURI = s.arg(1)
}

func (p *parser) proxyRetries(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects an integer argument (dispatch counts for one).", s.arg(0))
		return
	}
	n, used := strtol(s.arg(1))
	if used != len(s.arg(1)) || n < 0 {
		p.alert("'%s' expects an integer argument, found '%s'.", s.arg(0), s.arg(1))
		return
	}
	s.px.Retries = &n
}

func (p *parser) proxyUseBackend(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects a backend name.", s.arg(0))
		return
	}
	if w := s.arg(2); w != "" && w != "if" && w != "unless" {
		p.alert("unexpected keyword '%s' after switching rule, only 'if' and 'unless' are allowed.", w)
		return
	}
	s.px.UseBackend = append(s.px.UseBackend, Rule{Pos: s.pos, Words: s.words[1:]})
}

// proxyGone words the refusal of what HAProxy removed.
func (p *parser) proxyGone(s *statement) {
	switch name := s.arg(0); name {
	case "monitor-net":
		p.alert("'monitor-net' doesn't exist anymore. Please use 'http-request return status 200 if { src %s }' instead.", s.arg(1))
	case "grace":
		p.alertTight("the '%s' keyword is not supported any more since HAProxy version 2.5.", name)
	case "redispatch":
		p.alert("keyword '%s' directive is not supported anymore since HAProxy 2.1. Use 'option redispatch'.", name)
	case "block":
		p.alert("The '%s' directive is not supported anymore since HAProxy 2.1. Use 'http-request deny' which uses the exact same syntax.", name)
	default:
		p.alertTight("'%s' is not supported anymore.", name)
	}
}

// timeoutField is where a proxy keeps the timeout of that name.
func timeoutField(px *Proxy, name string) *time.Duration {
	switch name {
	case "check":
		return &px.TimeoutCheck
	case "client":
		return &px.TimeoutClient
	case "client-fin":
		return &px.TimeoutClientFin
	case "client-hs":
		return &px.TimeoutClientHS
	case "connect":
		return &px.TimeoutConnect
	case "http-keep-alive":
		return &px.TimeoutKeepAlive
	case "http-request":
		return &px.TimeoutHTTPRequest
	case "queue":
		return &px.TimeoutQueue
	case "server":
		return &px.TimeoutServer
	case "server-fin":
		return &px.TimeoutServerFin
	case "tarpit":
		return &px.TimeoutTarpit
	case "tunnel":
		return &px.TimeoutTunnel
	}
	return nil
}

func (p *parser) proxyOldTimeout(s *statement) {
	name := map[string]string{"clitimeout": "client", "contimeout": "connect", "srvtimeout": "server"}[s.arg(0)]
	p.notice("'%s' is read as 'timeout %s'; HAProxy refuses it since 2.1.", s.arg(0), name)
	s.words = append([]string{"timeout", name}, s.words[1:]...)
	p.proxyTimeout(s)
}

func (p *parser) proxyTimeout(s *statement) {
	name, v := s.arg(1), s.arg(2)
	k := p.t.timeout.by[name]
	if k == nil {
		p.alert("'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'handshake', 'http-keep-alive', 'http-request', "+
			"'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got '%s')", name)
		p.meant(name, slices.Collect(maps.Keys(p.t.timeout.by))...)
		return
	}
	if v == "" {
		p.alert("'timeout %s' expects an integer value (in milliseconds)", name)
		return
	}
	d, err := ParseTime(v, time.Millisecond)
	switch {
	case err == ErrTimeOver:
		p.alert("timer overflow in argument '%s' to 'timeout %s' (maximum value is 2147483647 ms or ~24.8 days)", v, name)
		return
	case err == ErrTimeUnder:
		p.alert("timer underflow in argument '%s' to 'timeout %s' (minimum non-null value is 1 ms)", v, name)
		return
	case err != nil:
		p.alert("unexpected character '%c' in 'timeout %s'", badChar(err), name)
		return
	}
	if s.arg(3) != "" {
		p.alert("'timeout %s' : unexpected extra argument '%s' after value '%s'.", name, s.arg(3), v)
		return
	}
	p.timeoutWarning(s, k, v, d)
	*timeoutField(s.px, name) = d
}

// timeoutWarning says the one thing HAProxy says about a timeout, the last that applies.
func (p *parser) timeoutWarning(s *statement, k *Keyword, v string, d time.Duration) {
	ms := d / time.Millisecond
	text := ""
	if bareSmall(v) {
		text = fmt.Sprintf("'timeout %s %d' in %s '%s' is suspiciously small for a value in milliseconds. Please use an explicit unit ('%dms') "+
			"if that was the intent.", k.Name, ms, typeName(p.px), p.px.Name, ms)
	}
	field := timeoutField(s.px, k.Name)
	def := p.state[s.px].def
	switch {
	case k.In&p.place() == 0:
		side := "backend"
		if k.In&InFrontend != 0 {
			side = "frontend"
		}
		text = fmt.Sprintf("'timeout %s' will be ignored because %s '%s' has no %s capability", k.Name, typeName(p.px), p.px.Name, side)
	case def != nil && *field != *timeoutField(def.px, k.Name), def == nil && *field != 0:
		text = fmt.Sprintf("overwriting 'timeout %s' which was already specified", k.Name)
	}
	if text != "" {
		p.warning("%s", text)
	}
}

// proxySSLFUse reads one certificate that the section's TLS bind lines use.
func (p *parser) proxySSLFUse(s *statement) {
	use := CrtUse{Pos: s.pos, Kind: "ssl-f-use"}
	for i := 1; i < len(s.words); {
		word := s.arg(i)
		load, tls := p.t.load.by[word], p.t.bind.by[word]
		n := 1
		switch {
		case word == "crt":
			if use.Path != "" {
				p.alert("'%s' already specified, aborting.", "crt")
				return
			}
			use.Path = s.arg(i + 1)
		case load != nil && load.State == Refused || tls != nil && tls.State == Refused:
			p.alert("'%s' option is not supported", word)
			return
		case load != nil && word != "alias":
			use.Load = append(use.Load, Setting{Name: word, Args: []string{s.arg(i + 1)}, Pos: s.pos})
		case tls != nil && isTLSKeyword(tls):
			if n = tls.args; n > 0 {
				use.Load = append(use.Load, Setting{Name: word, Args: []string{s.arg(i + 1)}, Pos: s.pos})
			} else {
				use.Load = append(use.Load, Setting{Name: word, Pos: s.pos})
			}
		default:
			p.alert("unknown crt keyword '%s'", word)
			return
		}
		if n > 0 && s.arg(i+1) == "" {
			p.alert("'%s' expects an argument", word)
			return
		}
		i += 1 + n
	}
	s.px.SSLFUse = append(s.px.SSLFUse, use)
}

// crtListKeywords are the TLS keywords that may stand with one certificate.
var crtListKeywords = []string{"allow-0rtt", "alpn", "no-alpn", "ca-file", "ca-verify-file", "ciphers", "ciphersuites", "client-sigalgs", "crl-file", "curves", "ecdhe",
	"no-ca-names", "sigalgs", "ssl-min-ver", "ssl-max-ver", "verify"}

func isTLSKeyword(k *Keyword) bool { return slices.Contains(crtListKeywords, k.Name) }
