package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Cookie is a `cookie` line (manual section 4.2, "cookie"). Of Rewrite, Insert and Prefix at most one is set; none of them is
// the passive mode, in which the server's own cookie is only read.
type Cookie struct {
	Pos                                   Pos
	Name                                  string
	Rewrite, Insert, Prefix               bool
	Indirect, NoCache, PostOnly, Preserve bool
	HTTPOnly, Secure, Dynamic             bool
	Domains, Attrs                        []string
	MaxIdle, MaxLife                      time.Duration // whole seconds; 0: none
}

// PersistRule is one force-persist or ignore-persist line.
type PersistRule struct {
	Rule       // Words: the condition, from if or unless on
	Force bool // force-persist
}

// RetryOn is what retry-on lists: when a request is sent again, as long as `retries` are left.
type RetryOn struct {
	Connect  bool // conn-failure
	Empty    bool // empty-response
	Junk     bool // junk-response
	Timeout  bool // response-timeout
	Early    bool // 0rtt-rejected, which cannot happen here: no early data is sent
	Statuses map[int]bool
}

// proxyCookie reads a `cookie` line, which replaces an earlier one.
func (p *parser) proxyCookie(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects <cookie_name> as argument.", s.arg(0))
		return
	}
	c := &Cookie{Pos: s.pos, Name: s.arg(1)}
	if old := s.px.Cookie; old != nil {
		c.Attrs = append(c.Attrs, old.Attrs...) // HAProxy forgets all of an earlier line but these
	}
	flags := map[string]*bool{"rewrite": &c.Rewrite, "insert": &c.Insert, "prefix": &c.Prefix, "indirect": &c.Indirect, "nocache": &c.NoCache,
		"postonly": &c.PostOnly, "preserve": &c.Preserve, "httponly": &c.HTTPOnly, "secure": &c.Secure, "dynamic": &c.Dynamic}
	for i := 2; i < len(s.words); i++ {
		word := s.arg(i)
		if f := flags[word]; f != nil {
			*f = true
			continue
		}
		v := s.arg(i + 1)
		if !p.cookieValue(c, word, v, s.arg(0)) {
			return
		}
		i++
	}
	switch {
	case c.Rewrite && c.Indirect:
		p.alert("cookie 'rewrite' and 'indirect' modes are incompatible.")
	case c.Rewrite && c.Insert, c.Rewrite && c.Prefix, c.Insert && c.Prefix:
		p.alert("cookie 'rewrite', 'insert' and 'prefix' modes are incompatible.")
	case c.Preserve && !c.Insert && !c.Indirect:
		p.alert("cookie 'preserve' requires at least 'insert' or 'indirect'.")
	}
	s.px.Cookie = c
}

// cookieValue reads a word that takes a value.
func (p *parser) cookieValue(c *Cookie, word, v, keyword string) bool {
	missing := map[string]string{"domain": "<domain>", "maxidle": "<idletime> in seconds", "maxlife": "<lifetime> in seconds", "attr": "<value>"}[word]
	switch {
	case missing == "":
		p.alert("'%s' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', 'domain', 'maxidle', 'dynamic', 'maxlife' and 'attr' options.", keyword)
		return false
	case v == "":
		p.alertTight("'%s' expects %s as argument.", word, missing)
		return false
	}
	switch word {
	case "domain":
		if !strings.Contains(v, ".") {
			p.warnTight("domain '%s' contains no embedded dot, this configuration may not work properly (see RFC6265#5.2.3).", v)
		}
		if ch, bad := invalidDomainChar(v); bad {
			p.alertTight("character '%c' is not permitted in domain name '%s'.", ch, v)
			return false
		}
		c.Domains = append(c.Domains, v)
	case "attr":
		for i := 0; i < len(v); i++ {
			if v[i] < ' ' || v[i] == 0x7f || v[i] == ';' {
				p.alertTight("character '%%x%02X' is not permitted in attribute value.", v[i])
				return false
			}
		}
		c.Attrs = append(c.Attrs, v)
	case "maxidle":
		return p.cookieTime(&c.MaxIdle, word, v)
	case "maxlife":
		return p.cookieTime(&c.MaxLife, word, v)
	}
	return true
}

func (p *parser) cookieTime(d *time.Duration, word, v string) bool {
	t, err := ParseTime(v, time.Second)
	switch {
	case err == ErrTimeOver:
		p.alertTight("timer overflow in argument <%s> to <%s>, maximum value is 2147483647 s (~68 years).", v, word)
	case err == ErrTimeUnder:
		p.alertTight("timer underflow in argument <%s> to <%s>, minimum non-null value is 1 s.", v, word)
	case err != nil:
		p.alertTight("unexpected character '%c' in argument to <%s>.", badChar(err), word)
	default:
		*d = t
		return true
	}
	return false
}

// invalidDomainChar finds what cannot stand in a domain name.
func invalidDomainChar(v string) (byte, bool) {
	for i := 0; i < len(v); i++ {
		if c := v[i]; !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			return c, true
		}
	}
	return 0, false
}

func (p *parser) proxyDynamicCookieKey(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects <secret_key> as argument.", s.arg(0))
		return
	}
	s.px.CookieKey = s.arg(1)
}

// proxyPersistRule reads force-persist and ignore-persist.
func (p *parser) proxyPersistRule(s *statement) {
	if s.arg(1) != "if" && s.arg(1) != "unless" {
		p.alert("'%s' requires either 'if' or 'unless' followed by a condition.", s.arg(0))
		return
	}
	s.px.PersistRule = append(s.px.PersistRule, PersistRule{Rule: Rule{Pos: s.pos, Words: s.words[1:]}, Force: s.arg(0) == "force-persist"})
}

func (p *parser) proxyUseServer(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects a server name.", s.arg(0))
		return
	}
	if s.arg(2) != "if" && s.arg(2) != "unless" {
		p.alert("'%s' requires either 'if' or 'unless' followed by a condition.", s.arg(0))
		return
	}
	s.px.UseServer = append(s.px.UseServer, Rule{Pos: s.pos, Words: s.words[1:]})
}

// serverTargets checks the use-server lines whose name is not a format.
func (p *parser) serverTargets(px *Proxy) {
	for _, r := range px.UseServer {
		name := r.Words[0]
		if strings.Contains(name, "%") {
			continue
		}
		if p.state[px].servers[name] == nil {
			p.late(LevelAlert, r.Pos, "%s '%s' : unable to find server '%s' referenced in a 'use-server' rule.", typeName(px), px.Name, name)
			p.meant(name, slices.Collect(maps.Keys(p.state[px].servers))...)
		}
	}
}

// retryStatuses are the statuses that retry-on knows.
var retryStatuses = map[string]int{"401": 401, "403": 403, "404": 404, "408": 408, "421": 421, "425": 425, "429": 429,
	"500": 500, "501": 501, "502": 502, "503": 503, "504": 504}

// proxyRetryOn reads retry-on, which replaces an earlier one.
func (p *parser) proxyRetryOn(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' needs at least one keyword to specify when to retry", s.arg(0))
		return
	}
	r := &RetryOn{Statuses: map[int]bool{}}
	for i, word := range s.words[1:] {
		switch word {
		case "conn-failure":
			r.Connect = true
		case "empty-response":
			r.Empty = true
		case "response-timeout":
			r.Timeout = true
		case "junk-response":
			r.Junk = true
		case "0rtt-rejected":
			r.Early = true
		case "all-retryable-errors":
			r.Connect, r.Empty, r.Timeout, r.Junk, r.Early = true, true, true, true, true
			for _, n := range []int{500, 502, 503, 504} {
				r.Statuses[n] = true
			}
		case "none":
			if i != 0 || len(s.words) > 2 {
				p.alert("'%s' 'none' keyword only usable alone", s.arg(0))
				return
			}
		default:
			n := retryStatuses[word]
			if n == 0 {
				p.alert("'%s': unknown keyword '%s'", s.arg(0), word)
				return
			}
			r.Statuses[n] = true
		}
	}
	s.px.RetryOn = r
}
