package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// frontendBind reads a bind line of a frontend or listen section.
func (p *parser) frontendBind(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.", s.arg(0))
		return
	}
	b := &Bind{Pos: s.pos, Text: s.arg(1)}
	addrs, err := p.bindAddrs(b.Text)
	if err != nil {
		p.alert("'%s' : %s", s.arg(0), err)
		return
	}
	b.Addrs = addrs
	s.where = fmt.Sprintf("'%s %s' in section '%s'", s.arg(0), s.arg(1), p.section.Name)
	if p.bindKeywords(s, b, 2) {
		p.px.Binds = append(p.px.Binds, b)
	}
}

// statsSocket reads `stats socket ADDR ...`.
func (p *parser) statsSocket(s *statement) {
	if s.arg(2) == "" {
		p.alert("'%s %s' in global section expects an address or a path to a UNIX socket", s.arg(0), s.arg(1))
		return
	}
	b := &Bind{Pos: s.pos, Text: s.arg(2), Level: "operator"}
	addrs, err := p.bindAddrs(b.Text)
	if err != nil {
		p.alert("parsing [%s:%d] : '%s %s' : %s", p.name, p.line, s.arg(0), s.arg(1), err)
		return
	}
	b.Addrs = addrs
	if p.bindKeywords(s, b, 3) {
		p.cfg.Global.StatsSockets = append(p.cfg.Global.StatsSockets, b)
	}
}

// ParseMasterSocket reads the argument of -S: an address, then keywords of a stats socket with their arguments, all separated by
// commas. Unlike a stats socket's, its level is admin unless the words say otherwise.
func ParseMasterSocket(text string) (*Bind, error) {
	p := newParser(ParseOptions{})
	p.name, p.line = "command line", 1
	address, rest, more := strings.Cut(text, ",")
	words := []string{"stats", "socket", address, "level", "admin"}
	if more {
		words = append(words, strings.Split(rest, ",")...)
	}
	p.section = p.t.section.by["global"]
	p.statsSocket(&statement{pos: p.pos(), words: words})
	if p.diags.HasErrors() || len(p.cfg.Global.StatsSockets) == 0 {
		msg := "invalid address"
		if len(p.diags) > 0 {
			_, msg, _ = strings.Cut(p.diags[0].Text, "] : ")
		}
		return nil, fmt.Errorf("%s", msg)
	}
	return p.cfg.Global.StatsSockets[0], nil
}

// bindAddrs parses the address word and resolves its names, when there is a way to.
func (p *parser) bindAddrs(text string) ([]Addr, error) {
	addrs, err := ParseAddr(p.expandAddr(text), AddrBind)
	if err != nil {
		return nil, err
	}
	return addrs, p.resolve(addrs)
}

func (p *parser) resolve(addrs []Addr) error {
	if p.o.LookupHost == nil {
		return nil
	}
	known := map[string]netip.Addr{}
	for i := range addrs {
		a := &addrs[i]
		if a.Host == "" {
			continue
		}
		ip, ok := known[a.Host]
		if !ok {
			if ip, ok = p.o.LookupHost(a.Host); !ok {
				return fmt.Errorf("invalid address: '%s' in '%s'", a.Host, a.Text)
			}
			known[a.Host] = ip
		}
		a.IP, a.Family = ip.Unmap(), familyIPv6
		if a.IP.Is4() {
			a.Family = familyIPv4
		}
	}
	return nil
}

// bindKeywords reads the keywords from word i on; false when one was wrong.
func (p *parser) bindKeywords(s *statement, b *Bind, i int) bool {
	s.bind, s.at = b, i
	before := p.fatal
	for s.at < len(s.words) {
		word := s.arg(s.at)
		k := p.t.bind.by[word]
		if k == nil {
			p.unknownBind(s, word)
			return false
		}
		switch k.State {
		case Refused:
			if k.parse != nil {
				k.parse(p, s)
			} else {
				p.bindAlert(s, "'%s' option is not supported", word)
			}
		case NoEffect:
			if k.args > 0 && s.arg(s.at+1) == "" {
				p.bindAlert(s, "'%s' : missing value", word)
			}
			p.noEffect("bind " + word)
		default:
			k.parse(p, s)
		}
		if p.fatal != before {
			return false
		}
		s.at += 1 + k.args
	}
	if b.ACME != "" && len(b.Domains) == 0 || b.ACME == "" && len(b.Domains) > 0 {
		p.bindAlert(s, "'acme' and 'domains' must be used together")
		return false
	}
	return true
}

func (p *parser) unknownBind(s *statement, word string) {
	near := p.t.bind.nearest(word, 0)
	switch {
	case s.where == "" && near != "":
		p.alert("'%s %s' : unknown keyword '%s'. Did you mean '%s' maybe ?", s.arg(0), s.arg(1), word, near)
	case s.where == "":
		p.alert("'%s %s' : unknown keyword '%s'.", s.arg(0), s.arg(1), word)
	case near != "":
		p.alert("%s: unknown keyword '%s'; did you mean '%s' maybe ?", s.where, word, near)
	default:
		p.alert("%s: unknown keyword '%s'.", s.where, word)
	}
}

func (p *parser) bindAlert(s *statement, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.where == "" {
		p.alert("'%s %s' : '%s'", s.arg(0), s.arg(1), text)
		return
	}
	p.alert("%s : %s", s.where, text)
}

// value is the argument of the bind keyword being read; it reports a missing one.
func (p *parser) bindValue(s *statement, missing string) (string, bool) {
	v := s.arg(s.at + 1)
	if v == "" {
		p.bindAlert(s, "'%s' : %s", s.arg(s.at), missing)
	}
	return v, v != ""
}

// bindNetscaler reads the magic number of NetScaler's client address headers.
func (p *parser) bindNetscaler(s *statement) {
	word, ok := p.bindValue(s, "missing value")
	if !ok {
		return
	}
	magic := uint32(atol(word))
	if magic == 0 {
		p.bindAlert(s, "'%s' : invalid value %d, must be >= 0", s.arg(s.at), magic)
		return
	}
	s.bind.CIPMagic = magic
}

func (p *parser) bindFlag(s *statement) {
	b := s.bind
	switch s.arg(s.at) {
	case "accept-proxy":
		b.AcceptProxy = true
	case "generate-certificates":
		b.GenerateCerts = true
	case "ssl":
		b.SSL = true
	case "strict-sni":
		b.StrictSNI, b.NoStrictSNI = true, false
	case "no-strict-sni":
		b.StrictSNI, b.NoStrictSNI = false, true
	case "tfo":
		b.TFO = true
	case "defer-accept":
		b.DeferAccept = true
	case "v4v6":
		b.V4V6 = true
	case "v6only":
		b.V6Only = true
	}
}

func (p *parser) bindNumber(s *statement) {
	v, ok := p.bindValue(s, "missing value")
	if !ok {
		return
	}
	n := atol(v)
	if n < 0 {
		p.bindAlert(s, "'%s' : invalid value %d, must be >= 0", s.arg(s.at), n)
		return
	}
	if s.arg(s.at) == "maxconn" {
		s.bind.MaxConn = n
	} else {
		s.bind.Backlog = n
	}
}

func (p *parser) bindCrt(s *statement) {
	v, ok := p.bindValue(s, "missing certificate location")
	if !ok {
		return
	}
	s.bind.Crts = append(s.bind.Crts, CrtUse{Pos: s.pos, Kind: s.arg(s.at), Path: v})
}

// bindSigner reads who signs the certificates of generate-certificates.
func (p *parser) bindSigner(s *statement) {
	missing, field := "missing CAfile path", &s.bind.CASignFile
	if s.arg(s.at) == "ca-sign-pass" {
		missing, field = "missing CAkey password", &s.bind.CASignPass
	}
	if v, ok := p.bindValue(s, missing); ok {
		*field = v
	}
}

func (p *parser) bindExpose(s *statement) {
	switch v, ok := p.bindValue(s, "missing fd type"); {
	case !ok:
	case v != "listeners":
		p.bindAlert(s, "'%s' only supports 'listeners' (got '%s')", s.arg(s.at), v)
	default:
		s.bind.ExposeFD = true
	}
}

func (p *parser) bindOwner(s *statement) {
	b, word := s.bind, s.arg(s.at)
	missing := "missing value"
	if word == "user" || word == "group" {
		missing = "missing " + word + " name"
	}
	v, ok := p.bindValue(s, missing)
	if !ok {
		return
	}
	switch n := atol(v); word {
	case "user":
		b.User = v
	case "group":
		b.Group = v
	case "uid":
		b.UID = &n
	case "gid":
		b.GID = &n
	}
}

// bindProcess words the refusal of what HAProxy removed.
func (p *parser) bindProcess(s *statement) {
	p.bindAlert(s, "'process %s' on 'bind' lines is not supported anymore, please use 'thread' instead.", s.arg(s.at+1))
}

func (p *parser) bindID(s *statement) {
	v := s.arg(s.at + 1)
	if len(s.bind.Addrs) > 1 {
		p.bindAlert(s, "'%s' can only be used with a single socket", s.arg(s.at))
		return
	}
	if _, ok := p.bindValue(s, "expects an integer argument"); !ok {
		return
	}
	n, used := strtol(v)
	switch {
	case used != len(v):
		p.bindAlert(s, "'%s' : expects an integer argument, found '%s'", s.arg(s.at), v)
	case n <= 0:
		p.bindAlert(s, "'%s' : custom id has to be > 0", s.arg(s.at))
	default:
		p.newBindID(s, n)
	}
}

// newBindID refuses an id that another bind line of the proxy has.
func (p *parser) newBindID(s *statement, n int) {
	if s.px != nil {
		ids := p.state[s.px].bindIDs
		if old := ids[n]; old != nil {
			p.bindAlert(s, "'%s' : custom id %d already used at %s:%d ('bind %s')", s.arg(s.at), n, old.Pos.File, old.Pos.Line, old.Text)
			return
		}
		ids[n] = s.bind
	}
	s.bind.ID = n
}

func (p *parser) bindInterface(s *statement) {
	if v, ok := p.bindValue(s, "missing interface name"); ok {
		s.bind.Interface = v
	}
}

func (p *parser) bindLevel(s *statement) {
	v, ok := p.bindValue(s, "missing level")
	if !ok {
		return
	}
	if !slices.Contains([]string{"user", "operator", "admin"}, v) {
		p.bindAlert(s, "'%s' only supports 'user', 'operator', and 'admin' (got '%s')", s.arg(s.at), v)
		return
	}
	s.bind.Level = v
}

func (p *parser) bindMode(s *statement) {
	v := s.arg(s.at + 1)
	n, err := strconv.ParseUint(v, 8, 16)
	if err != nil {
		p.bindAlert(s, "'%s' : missing or invalid mode '%s' (octal integer expected)", s.arg(s.at), v)
		return
	}
	mode := uint32(n)
	s.bind.Mode = &mode
}

func (p *parser) bindMSS(s *statement) {
	v, ok := p.bindValue(s, "missing MSS value")
	if !ok {
		return
	}
	n := atol(v)
	if n == 0 || n > 65535 || n < -65535 {
		p.bindAlert(s, "'%s' : expects an MSS with and absolute value between 1 and 65535", s.arg(s.at))
		return
	}
	s.bind.MSS = n
}

func (p *parser) bindName(s *statement) {
	if v, ok := p.bindValue(s, "missing name"); ok {
		s.bind.Name = v
	}
}

func (p *parser) bindProto(s *statement) {
	v, ok := p.bindValue(s, "missing value")
	if !ok {
		return
	}
	if !slices.Contains([]string{"h1", "h2", "none"}, v) {
		p.bindAlert(s, "'%s' :  unknown MUX protocol '%s'", s.arg(s.at), v)
		return
	}
	s.bind.Proto = v
}

func (p *parser) bindSeverity(s *statement) {
	v, ok := p.bindValue(s, "missing severity format")
	if !ok {
		return
	}
	if !slices.Contains([]string{"none", "number", "string"}, v) {
		p.bindAlert(s, "'%s' only supports 'none', 'number', and 'string' (got '%s')", s.arg(s.at), v)
		return
	}
	s.bind.Severity = v
}

// missingTLS is what HAProxy says when the argument of a TLS keyword is absent.
var missingTLS = map[string]string{
	"alpn": "missing the comma-delimited ALPN protocol suite", "ca-file": "missing CAfile path", "ca-verify-file": "missing CAfile path",
	"crl-file": "missing CRLfile path", "ciphers": "missing cipher suite", "ciphersuites": "missing cipher suite", "curves": "missing curve suite",
	"ecdhe": "missing named curve", "sigalgs": "missing signature algorithm list", "client-sigalgs": "missing signature algorithm list",
	"verify": "missing verify method", "ca-ignore-err": "missing error IDs list", "crt-ignore-err": "missing error IDs list",
	"tls-ticket-keys": "missing TLS ticket keys file path",
	"ssl-min-ver":     "missing the ssl/tls version", "ssl-max-ver": "missing the ssl/tls version",
}

func (p *parser) bindTLS(s *statement) {
	set, problem := p.tlsSetting(s, p.t.bind)
	if problem != "" {
		p.bindAlert(s, "%s", problem)
		return
	}
	s.bind.TLS = append(s.bind.TLS, set)
}

// tlsSetting reads the TLS keyword at s.at with its argument and checks what needs no TLS knowledge. The text says what
// is wrong.
func (p *parser) tlsSetting(s *statement, t *table) (Setting, string) {
	set := Setting{Name: s.arg(s.at), Pos: s.pos}
	if t.by[set.Name].args == 0 {
		return set, ""
	}
	v := s.arg(s.at + 1)
	switch {
	case v == "":
		return set, fmt.Sprintf("'%s' : %s", set.Name, missingTLS[set.Name])
	case set.Name == "verify" && !slices.Contains([]string{"none", "optional", "required"}, v):
		return set, fmt.Sprintf("'%s' : unknown verify method '%s', only 'none', 'optional', and 'required' are supported", set.Name, v)
	case strings.HasPrefix(set.Name, "ssl-m") && !slices.Contains(tlsVersions, v):
		return set, fmt.Sprintf("'%s' : unknown ssl/tls version", v)
	}
	set.Args = []string{v}
	return set, ""
}

func (p *parser) bindACME(s *statement) {
	if v, ok := p.bindValue(s, "missing acme section"); ok {
		s.bind.ACME = v
	}
}

func (p *parser) bindDomains(s *statement) {
	if v, ok := p.bindValue(s, "missing domain names"); ok {
		s.bind.Domains = append(s.bind.Domains, strings.Split(v, ",")...)
	}
}
