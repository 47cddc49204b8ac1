package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// serverLine is a server or default-server line being read.
type serverLine struct {
	*Server
	template bool // default-server
	desc     string
	dynamic  *[]string // of add server: collects what is wrong; nil on a line of the configuration
}

// newServer holds HAProxy's defaults of a server.
func newServer() *Server {
	return &Server{Weight: 1, Rise: 2, Fall: 3}
}

// cloneServer copies a server so that lists and pointers are not shared.
func cloneServer(from *Server) *Server {
	c := *from
	c.TLS = slices.Clone(from.TLS)
	c.PoolMaxConn, c.MaxReuse, c.CheckSSL = clonePtr(from.PoolMaxConn), clonePtr(from.MaxReuse), clonePtr(from.CheckSSL)
	c.SNIAuto = clonePtr(from.SNIAuto)
	c.ProxyTLVs = slices.Clone(from.ProxyTLVs)
	return &c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// serverAlert words a message as HAProxy does on server lines.
func (p *parser) serverAlert(l *serverLine, format string, args ...any) {
	p.fatal++
	if l.dynamic != nil {
		*l.dynamic = append(*l.dynamic, fmt.Sprintf(format, args...))
		return
	}
	p.diags.at(LevelAlert, p.pos(), "[%s:%d] : %s%s", p.name, p.line, l.desc, fmt.Sprintf(format, args...))
}

func (p *parser) proxyServer(s *statement) {
	l := &serverLine{}
	if s.arg(2) == "" {
		p.serverAlert(l, "'%s' expects <name> and <addr>[:<port>] as arguments.", s.arg(0))
		return
	}
	if c, bad := invalidChar(s.arg(1)); bad {
		p.serverAlert(l, "character '%c' is not permitted in %s name '%s'.", c, s.arg(0), s.arg(1))
		return
	}
	l.Server = cloneServer(p.state[p.px].server)
	l.Name, l.Pos, l.DefaultSSL = s.arg(1), s.pos, l.SSL
	l.desc = fmt.Sprintf("'server %s/%s' : ", p.px.Name, l.Name)
	addrs, err := ParseAddr(p.expandAddr(s.arg(2)), AddrServer)
	if err != nil {
		p.serverAlert(l, "%s", err)
		return
	}
	l.Addr = addrs[0]
	if p.serverKeywords(s, l, 3) && p.serverChecks(l) && p.newServerName(l) {
		p.px.Servers = append(p.px.Servers, l.Server)
	}
}

// newServerName refuses a second server with the same name or id in one proxy.
func (p *parser) newServerName(l *serverLine) bool {
	st := p.state[p.px]
	if old := st.servers[l.Name]; old != nil {
		st.dupServers = append(st.dupServers, [2]*Server{l.Server, old})
	} else {
		st.servers[l.Name] = l.Server
	}
	if l.ID != 0 {
		if old := st.serverIDs[l.ID]; old != nil {
			p.serverAlert(l, "'id' : custom id %d already used at %s:%d ('server %s')", l.ID, old.Pos.File, old.Pos.Line, old.Name)
			return false
		}
		st.serverIDs[l.ID] = l.Server
	}
	return true
}

func (p *parser) proxyDefaultServer(s *statement) {
	st := p.state[p.px]
	l := &serverLine{Server: cloneServer(st.server), template: true}
	l.Name = "default-server"
	p.serverKeywords(s, l, 1)
	l.Name = ""
	st.server = l.Server
}

// serverKeywords reads the keywords from word i on; false when one was wrong.
func (p *parser) serverKeywords(s *statement, l *serverLine, i int) bool {
	s.srv, s.at = l, i
	before := p.fatal
	for s.at < len(s.words) {
		word := s.arg(s.at)
		base, _, _ := strings.Cut(word, "(") // set-proxy-v2-tlv-fmt(ID)
		k := p.t.server.by[base]
		if k == nil {
			hint := ""
			if l.template {
				hint = " Hint: no address was expected for this server."
			}
			if near := p.t.server.nearest(word, 0); near != "" && l.dynamic == nil {
				p.serverAlert(l, "unknown keyword '%s'; did you mean '%s' maybe ?%s", word, near, hint)
			} else {
				p.serverAlert(l, "unknown keyword '%s'.%s", word, hint)
			}
			return false
		}
		if l.template && notInDefaultServer[word] {
			p.serverAlert(l, "'%s' option is not accepted in default-server sections", word)
			return false
		}
		if l.dynamic != nil && notDynamic[base] {
			p.serverAlert(l, "'%s' option is not accepted for dynamic server", word)
			return false
		}
		switch k.State {
		case Refused:
			p.serverAlert(l, "'%s' option is not supported", word)
		case NoEffect:
			p.noEffect("server " + word)
		default:
			k.parse(p, s)
		}
		if p.fatal != before {
			return false
		}
		s.at += 1 + k.args
	}
	return true
}

var notInDefaultServer = map[string]bool{"guid": true, "id": true, "no-sslv3": true, "no-tlsv10": true, "no-tlsv11": true, "no-tlsv12": true, "no-tlsv13": true}

// serverBad is serverAlert for what is wrong with a keyword's value; HAProxy ends these with a full stop of its own.
func (p *parser) serverBad(l *serverLine, format string, args ...any) {
	p.serverAlert(l, "%s.", fmt.Sprintf(format, args...))
}

func (p *parser) serverFlag(s *statement) {
	l := s.srv
	yes, no := true, false
	switch s.arg(s.at) {
	case "agent-check":
		l.AgentCheck = true
	case "no-agent-check":
		l.AgentCheck = false
	case "backup":
		l.Backup = true
	case "non-stick":
		l.NonStick = true
	case "no-backup":
		l.Backup = false
	case "check":
		l.Check = true
	case "no-check":
		l.Check = false
	case "check-ssl":
		l.CheckSSL = &yes
	case "no-check-ssl":
		l.CheckSSL = &no
	case "disabled":
		l.Disabled = true
	case "enabled":
		l.Disabled = false
	case "ssl":
		l.SSL, l.NoSSL = true, false
	case "no-ssl":
		// What the defaults said about TLS stays, so that TLS can be switched on at run time.
		l.SSL, l.NoSSL = false, true
	case "sni-auto":
		l.SNIAuto = &yes
	case "no-sni-auto":
		l.SNIAuto = &no
	}
}

var missingServerText = map[string]string{
	"ca-file": "missing CAfile path", "check-sni": "missing SNI", "crl-file": "missing CRLfile path", "crt": "missing certificate file path",
	"pool-conn-name": "missing pool-conn-name expression", "sni": "missing sni expression", "verify": "missing verify method", "verifyhost": "missing hostname to verify against",
}

func (p *parser) serverText(s *statement) {
	l, word, v := s.srv, s.arg(s.at), s.arg(s.at+1)
	if v == "" {
		p.missingServerValue(l, word)
		return
	}
	switch word {
	case "agent-addr":
		if _, err := netip.ParseAddr(v); err != nil {
			p.serverBad(l, "parsing agent-addr failed. Check if '%s' is correct address.", v)
			return
		}
		l.AgentAddr = v
	case "agent-send":
		l.AgentSend = v
	case "track":
		l.Track = v
	case "addr":
		if _, err := ParseAddr(v, AddrHost); err != nil {
			p.serverBad(l, "'%s' : %s", word, err)
			return
		}
		l.CheckAddr = v
	case "ca-file":
		l.CAFile = v
	case "check-sni":
		l.CheckSNI = v
	case "check-alpn":
		l.CheckALPN = strings.Split(v, ",")
		for _, proto := range l.CheckALPN {
			switch {
			case proto == "":
				p.serverBad(l, "'%s' : a name between commas is missing", word)
			case len(proto) > 255:
				p.serverBad(l, "'%s' : ALPN protocol name too long : '%s'", word, proto)
			}
		}
	case "cookie":
		l.Cookie = v
	case "redir":
		l.Redir = v
	case "crl-file":
		l.CRLFile = v
	case "crt":
		l.Crt = v
	case "init-addr":
		p.serverInitAddr(l, v)
	case "pool-conn-name":
		l.PoolName = v
	case "on-marked-down":
		if v != "shutdown-sessions" {
			p.serverBad(l, "'%s' expects 'shutdown-sessions' but got '%s'", word, v)
			return
		}
		l.OnMarkedDown = v
	case "sni":
		l.SNI = v
	case "verify":
		if v != "none" && v != "required" {
			p.serverBad(l, "'%s' : unknown verify method '%s', only 'none' and 'required' are supported", word, v)
			return
		}
		l.Verify = v
	case "verifyhost":
		l.VerifyHost = v
	}
}

func (p *parser) missingServerValue(l *serverLine, word string) {
	switch text, ok := missingServerText[word]; {
	case ok:
		p.serverBad(l, "'%s' : %s", word, text)
	case word == "agent-send":
		p.serverBad(l, "'agent-send' expects a string as argument.")
	case word == "track":
		p.serverBad(l, "'track' expects [<proxy>/]<server> as argument.")
	case word == "redir":
		p.serverBad(l, "'%s' expects <prefix> as argument.\n", word)
	case word == "check-alpn":
		p.serverBad(l, "'%s' : missing the comma-delimited ALPN protocol suite", word)
	case word == "addr":
		p.serverBad(l, "'%s' expects <ipv4|ipv6> as argument.", word)
	case word == "on-marked-down":
		p.serverBad(l, "'%s' expects 'shutdown-sessions' but got ''", word)
	default:
		p.serverBad(l, "'%s' expects <value> as argument.", word)
	}
}

func (p *parser) serverInitAddr(l *serverLine, v string) {
	for m := range strings.SplitSeq(v, ",") {
		if m == "libc" || m == "last" || m == "none" {
			continue
		}
		if _, err := netip.ParseAddr(m); err != nil {
			p.serverBad(l, "'init-addr' : unknown init-addr method '%s', supported methods are 'libc', 'last', 'none'.", m)
			return
		}
	}
	l.InitAddr = v
}

func (p *parser) serverTime(s *statement) {
	l, word, v := s.srv, s.arg(s.at), s.arg(s.at+1)
	if v == "" {
		if word == "pool-purge-delay" {
			p.serverBad(l, "'%s' expects <value> as argument.", word)
		} else {
			p.serverBad(l, "'%s' expects a delay as argument.", word)
		}
		return
	}
	unit := time.Millisecond
	d, err := ParseTime(v, unit)
	if err != nil {
		p.serverTimeError(l, word, v, err)
		return
	}
	if d == 0 && strings.HasSuffix(word, "inter") {
		p.serverBad(l, "invalid value 0 for argument '%s' of server %s.", word, l.Name)
		return
	}
	if strings.HasSuffix(word, "inter") && bareSmall(v) {
		p.diags.at(LevelWarning, p.pos(), "[%s:%d] : %s'%s %d' in server '%s' is suspiciously small for a value in milliseconds. "+
			"Please use an explicit unit ('%dms') if that was the intent.", p.name, p.line, l.desc, word, d/unit, l.Name, d/unit)
	}
	*map[string]*time.Duration{"agent-inter": &l.AgentInter, "inter": &l.Inter, "fastinter": &l.FastInter, "downinter": &l.DownInter,
		"pool-purge-delay": &l.PoolPurge, "slowstart": &l.SlowStart}[word] = d
}

func (p *parser) serverTimeError(l *serverLine, word, v string, err error) {
	switch {
	case err == ErrTimeOver && word == "pool-purge-delay":
		p.serverBad(l, "timer overflow in argument '%s' to '%s' (maximum value is 2147483647 ms or ~24.8 days)", v, word)
	case err == ErrTimeOver:
		p.serverBad(l, "timer overflow in argument <%s> to <%s> of server %s, maximum value is 2147483647 ms (~24.8 days).", v, word, l.Name)
	case err == ErrTimeUnder && word == "pool-purge-delay":
		p.serverBad(l, "timer underflow in argument '%s' to '%s' (minimum non-null value is 1 ms)", v, word)
	case err == ErrTimeUnder:
		p.serverBad(l, "timer underflow in argument <%s> to <%s> of server %s, minimum non-null value is 1 ms.", v, word, l.Name)
	case word == "pool-purge-delay":
		p.serverBad(l, "unexpected character '%c' in argument to <%s>.", badChar(err), word)
	case word == "slowstart":
		p.serverBad(l, "unexpected character '%c' in '%s' argument of server %s.", badChar(err), word, l.Name)
	default:
		// HAProxy names agent-inter for all of them.
		p.serverBad(l, "unexpected character '%c' in 'agent-inter' argument of server %s.", badChar(err), l.Name)
	}
}

// bareSmall reports a number of milliseconds below 100 that was written without a unit: most likely meant as seconds.
func bareSmall(v string) bool {
	for i := 0; i < len(v); i++ {
		if !isDigit(v[i]) {
			return false
		}
	}
	n := atol(v)
	return n > 0 && n < 100
}

func (p *parser) serverNumber(s *statement) {
	l, word, v := s.srv, s.arg(s.at), s.arg(s.at+1)
	if v == "" {
		switch word {
		case "id":
			p.serverBad(l, "'%s' : expects an integer argument", word)
		case "port", "agent-port":
			p.serverBad(l, "'%s' expects a port number as argument.", word)
		case "pool-max-conn", "max-reuse":
			p.serverBad(l, "'%s' expects <value> as argument.", word)
		default:
			p.serverBad(l, "'%s' expects an integer argument.", word)
		}
		return
	}
	n, used := strtol(v)
	if used != len(v) {
		// HAProxy reads the digits and drops the rest; a value that means something else than it says helps nobody.
		p.serverBad(l, "'%s' expects an integer argument, found '%s'", word, v)
		return
	}
	if text := serverRange(l, word, n); text != "" {
		p.serverBad(l, "%s", text)
		return
	}
	switch word {
	case "pool-max-conn":
		if l.PoolMaxConn = &n; n < 0 {
			l.PoolMaxConn = nil
		}
	case "max-reuse":
		if l.MaxReuse = &n; n < 0 {
			l.MaxReuse = nil
		}
	default:
		*map[string]*int{"agent-port": &l.AgentPort, "fall": &l.Fall, "id": &l.ID, "maxconn": &l.MaxConn, "maxqueue": &l.MaxQueue, "minconn": &l.MinConn,
			"pool-low-conn": &l.PoolLowConn, "port": &l.CheckPort, "rise": &l.Rise, "weight": &l.Weight}[word] = n
	}
}

// serverRange is HAProxy's text when n is out of the range of a keyword, "" when it is not.
func serverRange(l *serverLine, word string, n int) string {
	switch {
	case word == "weight" && (n < 0 || n > 256):
		return fmt.Sprintf("weight of server %s is not within 0 and 256 (%d).", l.Name, n)
	case word == "id" && n < 1:
		return fmt.Sprintf("'%s' : custom id has to be between 1 and 4294967295.", word)
	case (word == "rise" || word == "fall") && n <= 0:
		return fmt.Sprintf("'%s' has to be > 0.", word)
	case (word == "port" || word == "agent-port") && (n < 0 || n > 65535):
		return fmt.Sprintf("invalid port '%d'.", n)
	case word == "pool-max-conn" && n < -1:
		return fmt.Sprintf("'%s' must be >= -1", word)
	case (word == "pool-low-conn" || word == "maxconn" || word == "minconn" || word == "maxqueue") && n < 0:
		return fmt.Sprintf("'%s' expects a positive integer argument.", word)
	}
	return ""
}

func (p *parser) serverTLS(s *statement) {
	set, problem := p.tlsSetting(s, p.t.server)
	if problem != "" {
		p.serverBad(s.srv, "%s", problem)
		return
	}
	s.srv.TLS = append(s.srv.TLS, set)
}
