package config

import (
	"slices"
	"strings"
	"time"
)

// Stats is what the stats lines of a section say about its statistics page (manual section 4.2, "stats enable" and others).
type Stats struct {
	URI          string        // prefix of the page's address
	Realm        string        // "" is none given
	Refresh      time.Duration // 0: never
	HideVersion  bool          // the default; stats show-version cancels it
	ShowLegends  bool
	ShowModules  bool
	Node         *string // nil: not shown; "" the node's own name
	Desc         *string // nil: not shown; "" the global description
	Accounts     []StatsAccount
	Scope        []string // names of sections, "." for the page's own; none: all
	Admin        []Rule   // conditions, any of which makes the visitor an administrator
	HTTPRequest  []Rule   // rules of the page itself
	fromDefaults bool     // shared with the defaults section: detach before changing
}

// StatsAccount is one account of `stats auth`. Password never appears in a message.
type StatsAccount struct {
	User, Password string
}

// defaultStatsURI is where a page is whose address no line says.
const defaultStatsURI = "/haproxy?stats"

// stats returns the page of a section, beginning one when there is none. What a defaults section says is all or nothing: the first
// line of the section's own drops it.
func (s *statement) stats() *Stats {
	if s.px.Stats == nil || s.px.Stats.fromDefaults && s.px.Kind != "defaults" {
		s.px.Stats = &Stats{URI: defaultStatsURI, HideVersion: true}
	}
	return s.px.Stats
}

func (p *parser) proxyStats(s *statement) {
	word := s.arg(1)
	if parse := statsKeywords[word]; parse != nil {
		parse(p, s)
		return
	}
	what := "unknown stats parameter"
	if word == "" {
		what, word = "missing keyword in", s.arg(0)
	}
	p.alertTight("%s '%s', expects 'admin', 'uri', 'realm', 'auth', 'scope', 'enable', 'hide-version', 'show-node', 'show-desc' , 'show-legends' or 'show-version'.", what, word)
}

var statsKeywords = map[string]func(*parser, *statement){
	"admin":        (*parser).statsAdmin,
	"uri":          statsText("an URI prefix", func(x *Stats, v string) { x.URI = v }),
	"realm":        statsText("an realm name", func(x *Stats, v string) { x.Realm = v }),
	"refresh":      (*parser).statsRefresh,
	"http-request": (*parser).statsRule,
	"auth": statsText("a user:password account", func(x *Stats, v string) {
		name, password, _ := strings.Cut(v, ":")
		x.Accounts = append(slices.Clip(x.Accounts), StatsAccount{name, password})
	}),
	"scope":        statsText("a proxy name", func(x *Stats, v string) { x.Scope = append(slices.Clip(x.Scope), v) }),
	"enable":       statsFlag(func(*Stats) {}),
	"hide-version": statsFlag(func(x *Stats) { x.HideVersion = true }),
	"show-version": statsFlag(func(x *Stats) { x.HideVersion = false }),
	"show-legends": statsFlag(func(x *Stats) { x.ShowLegends = true }),
	"show-modules": statsFlag(func(x *Stats) { x.ShowModules = true }),
	"show-node":    (*parser).statsNode,
	"show-desc":    (*parser).statsDesc,
}

func statsText(needs string, set func(*Stats, string)) func(*parser, *statement) {
	return func(p *parser, s *statement) {
		if s.arg(2) == "" {
			p.alert("'%s' needs %s.", s.arg(1), needs)
			return
		}
		set(s.stats(), s.arg(2))
	}
}

func statsFlag(set func(*Stats)) func(*parser, *statement) {
	return func(_ *parser, s *statement) { set(s.stats()) }
}

func (p *parser) statsAdmin(s *statement) {
	switch {
	case s.px.Kind == "defaults":
		p.alertTight("'%s %s' not allowed in 'defaults' section.", s.arg(0), s.arg(1))
	case s.arg(2) != "if" && s.arg(2) != "unless":
		p.alert("'%s %s' requires either 'if' or 'unless' followed by a condition.", s.arg(0), s.arg(1))
	default:
		x := s.stats()
		x.Admin = append(x.Admin, Rule{Pos: s.pos, Words: s.words[2:]})
	}
}

func (p *parser) statsRule(s *statement) {
	if s.px.Kind == "defaults" {
		p.alertTight("'%s' not allowed in 'defaults' section.", s.arg(0))
		return
	}
	x := s.stats()
	x.HTTPRequest = append(x.HTTPRequest, Rule{Pos: s.pos, Words: s.words[2:]})
}

func (p *parser) statsRefresh(s *statement) {
	d, err := ParseTime(s.arg(2), time.Second)
	switch {
	case err == ErrTimeOver:
		p.alertTight("timer overflow in argument <%s> to stats refresh interval, maximum value is 2147483647 s (~68 years).", s.arg(2))
	case err == ErrTimeUnder:
		p.alertTight("timer underflow in argument <%s> to stats refresh interval, minimum non-null value is 1 s.", s.arg(2))
	case err != nil:
		p.alertTight("unexpected character '%c' in argument to stats refresh interval.", badChar(err))
	default:
		s.stats().Refresh = d
	}
}

func (p *parser) statsNode(s *statement) {
	name := s.arg(2)
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlnum(c) && c != '_' && c != '-' && c != '.' {
			p.alertTight("'%s %s' invalid node name - should be a stringwith digits(0-9), letters(A-Z, a-z), hyphen(-) or underscode(_).", s.arg(0), s.arg(1))
			return
		}
	}
	s.stats().Node = &name
}

func (p *parser) statsDesc(s *statement) {
	text := s.rest(2)
	if text == "" && p.cfg.Global.Description == "" {
		p.warnTight("'%s' requires a parameter or 'desc' to be set in the global section.", s.arg(1))
		return
	}
	s.stats().Desc = &text
}

// cloneStats gives a section the page of its defaults.
func cloneStats(from *Stats) *Stats {
	if from == nil {
		return nil
	}
	c := *from
	c.fromDefaults = true
	return &c
}

// finishAnswers checks what stats and monitor lines need of the rest of the section.
func (p *parser) finishAnswers(px *Proxy) {
	x := px.Stats
	if x == nil || px.Disabled {
		return
	}
	if px.Mode != "http" {
		p.late(LevelWarning, px.Pos, "'stats' statement ignored for %s '%s' as it requires HTTP mode.", typeName(px), px.Name)
		px.Stats = nil
		return
	}
	if len(x.HTTPRequest) > 0 && (len(x.Accounts) > 0 || x.Realm != "") {
		p.late(LevelAlert, px.Pos, "%s '%s': stats 'auth'/'realm' and 'http-request' can't be used at the same time.", typeName(px), px.Name)
	}
}
