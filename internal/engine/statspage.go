package engine

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// statsPage is the statistics page of one section. It shows the generation that serves when it is asked for.
type statsPage struct {
	e    *Engine
	cfg  *config.Stats
	own  string // the section it stands in
	node string
	desc string
}

// What a page has that its section does not say.
const (
	statsRealm    = "HAProxy Statistics"
	statsUserlist = ".internal-stats-userlist"
)

// statsPage compiles the stats lines of a section; nil without any.
func (b *builder) statsPage(g *proxyGen, c *rule.Compiler, acls *rule.ACLs) *proxy.StatsPage {
	x := g.cfg.Stats
	if x == nil {
		return nil
	}
	p := &statsPage{e: b.e, cfg: x, own: g.cfg.Name, node: b.cfg.Global.Node, desc: b.cfg.Global.Description}
	if p.node == "" {
		p.node = b.host
	}
	for text, said := range map[*string]*string{&p.node: x.Node, &p.desc: x.Desc} {
		switch {
		case said == nil:
			*text = ""
		case *said != "":
			*text = *said
		}
	}
	lines := x.HTTPRequest
	own := *c
	own.Realm = statsRealm
	if len(x.Accounts) > 0 {
		accounts := rule.Accounts(statsUserlist, x.Accounts)
		own.Userlists = func(name string) *rule.Userlist {
			if name == statsUserlist {
				return accounts
			}
			return b.userlist(name)
		}
		words := []string{"auth"}
		if x.Realm != "" {
			words = append(words, "realm", x.Realm)
		}
		lines = []config.Rule{{Pos: g.cfg.Pos, Words: append(words, "unless", "{", "http_auth("+statsUserlist+")", "}")}}
	}
	page := &proxy.StatsPage{URI: x.URI, Rules: own.HTTPRequest(lines, acls), Answer: p.answer}
	for _, r := range x.Admin {
		if cond := c.Cond(r.Words, r.Pos, acls); cond != nil {
			page.Admin = append(page.Admin, cond)
		}
	}
	return page
}

// maxScope is the longest search text.
const maxScope = 20

// scopeOf is the search text of a request; one that no section's name can hold searches nothing.
func scopeOf(options string) string {
	_, text, ok := strings.Cut(options, "scope=")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(text, ";& "); end >= 0 {
		text = text[:end]
	}
	text = text[:min(len(text), maxScope)]
	for _, c := range []byte(text) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._:-", c) >= 0) {
			return ""
		}
	}
	return text
}

func (p *statsPage) answer(v *proxy.StatsVisit) *stream.Reply {
	options := string(v.Options)
	scope := scopeOf(options)
	kept := ""
	for _, o := range []string{";up", ";norefresh"} {
		if strings.Contains(options, o) {
			kept += o
		}
	}
	if scope != "" {
		kept += ";scope=" + scope
	}
	if v.Post {
		return redirectTo(p.cfg.URI + ";st=" + p.act(v) + kept)
	}
	r := &stream.Reply{Status: 200, Fields: []stream.Field{{Name: []byte("cache-control"), Value: []byte("no-cache")}}}
	kind := "text/html"
	w := rowWriter{page: p, scope: scope, up: strings.Contains(options, ";up"), noMaint: strings.Contains(options, ";no-maint")}
	switch {
	case strings.Contains(options, ";json"):
		kind = "application/json"
		r.Body = w.json()
	case strings.Contains(options, ";typed"):
		kind = "text/plain"
		w.each(func(row *stats.Row) { r.Body = row.AppendTyped(r.Body, false) })
	case strings.Contains(options, ";csv"):
		kind = "text/plain"
		r.Body = stats.AppendHeader(nil)
		w.each(func(row *stats.Row) { r.Body = row.AppendCSV(r.Body) })
	default:
		r.Body = p.html(&w, v.Admin, options, kept)
	}
	r.Fields = append(r.Fields, stream.Field{Name: []byte("content-type"), Value: []byte(kind)})
	if p.cfg.Refresh > 0 && !strings.Contains(options, ";norefresh") {
		r.Fields = append(r.Fields, stream.Field{Name: []byte("refresh"), Value: strconv.AppendInt(nil, int64(p.cfg.Refresh/time.Second), 10)})
	}
	r.LengthAt = len(r.Fields)
	return r
}

func (p *statsPage) html(w *rowWriter, admin bool, options, kept string) []byte {
	page := stats.Page{
		Title: "HAProxy", Node: p.node, Desc: p.desc, URI: p.cfg.URI, Options: kept, Scope: w.scope, Admin: admin, Legends: p.cfg.ShowLegends,
		Refresh: p.cfg.Refresh > 0 && !strings.Contains(options, ";norefresh"),
	}
	if !p.cfg.HideVersion {
		page.Version = " version " + p.e.o.Parse.Version
	}
	if _, st, ok := strings.Cut(options, ";st="); ok {
		page.Status = st[:min(len(st), 4)]
	}
	body := page.Begin(nil)
	w.each(func(row *stats.Row) { body = page.Row(body, row) })
	return page.End(body)
}

// redirectTo sends a visitor who posted a form back to the page, so that a reload does not post again.
func redirectTo(url string) *stream.Reply {
	return &stream.Reply{Status: 303, LengthAt: 2, Fields: []stream.Field{
		{Name: []byte("cache-control"), Value: []byte("no-cache")},
		{Name: []byte("content-type"), Value: []byte("text/plain")},
		{Name: []byte("location"), Value: []byte(url)},
	}}
}

// rowWriter goes over the rows that a page shows.
type rowWriter struct {
	page        *statsPage
	scope       string
	up, noMaint bool
}

func (w *rowWriter) each(put func(*stats.Row)) {
	running, total := 0, 0
	for row := range w.page.e.Rows() {
		switch row.Kind {
		case stats.Frontend:
			running, total = 0, 0
		case stats.Server:
			total++
			if row.Up() {
				running++
			}
		}
		if w.shows(row) {
			shown := *row
			if !w.page.cfg.ShowLegends {
				shown.HideLegends()
			}
			if row.Kind == stats.Backend && (w.up || w.noMaint) {
				shown.SetText(stats.ColStatus, row.Text(stats.ColStatus)+stats.UpCount(running, total))
			}
			put(&shown)
		}
		if row.Kind == stats.Backend {
			running, total = 0, 0
		}
	}
}

// shows holds a row against the search text, the section's `stats scope` and the filters.
func (w *rowWriter) shows(row *stats.Row) bool {
	name := row.Text(stats.ColProxy)
	if w.scope != "" && !strings.Contains(strings.ToLower(name), strings.ToLower(w.scope)) {
		return false
	}
	if !w.page.covers(name) {
		return false
	}
	return !((w.up || w.noMaint) && row.Maint()) && !(w.up && row.Down())
}

func (w *rowWriter) json() []byte {
	out := []byte{'['}
	w.each(func(row *stats.Row) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = row.AppendJSON(out)
	})
	return append(out, "]\n"...)
}

// act does what a form asks and returns the code of how it went.
func (p *statsPage) act(v *proxy.StatsVisit) string {
	switch {
	case !v.Admin, v.Foreign:
		return "DENY"
	case v.TooBig:
		return "EXCD"
	}
	form, err := url.ParseQuery(string(v.Body))
	if err != nil {
		return "ERRP"
	}
	do := statsActions[last(form["action"])]
	servers := p.shown(p.e.backendNamed(last(form["b"])))
	if len(form["action"]) > 0 && do == nil || len(form["b"]) > 0 && servers == nil {
		return "ERRP"
	}
	if do == nil || servers == nil || len(form["s"]) == 0 {
		return "NONE"
	}
	altered, total := 0, 0
	for _, name := range form["s"] {
		s := servers.Server(name)
		if s == nil {
			total++
		} else if do(s) {
			altered, total = altered+1, total+1
		}
	}
	switch {
	case total == 0:
		return "NONE"
	case altered == 0:
		return "ERRP"
	case altered < total:
		return "PART"
	}
	return "DONE"
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// covers reports whether `stats scope` lets the page show a section.
func (p *statsPage) covers(name string) bool {
	list := p.cfg.Scope
	return len(list) == 0 || slices.Contains(list, name) || name == p.own && slices.Contains(list, ".")
}

// shown is b when the page shows it: whoever may not see a section may not change it either.
func (p *statsPage) shown(b *backend.Backend) *backend.Backend {
	if b == nil || !p.covers(b.Name()) {
		return nil
	}
	return b
}

// backendNamed finds the servers of a backend by name or, as "#3", by number.
func (e *Engine) backendNamed(name string) *backend.Backend {
	number, isNumber := strings.CutPrefix(name, "#")
	if !isNumber {
		return e.Backend(name)
	}
	n, err := strconv.Atoi(number)
	g := e.gen.Load()
	if err != nil || g == nil {
		return nil
	}
	for _, p := range g.proxies {
		if p.iid == n {
			return p.servers
		}
	}
	return nil
}

// statsActions are the words a form may send; each says whether the server was touched.
var statsActions = map[string]func(*backend.Server) bool{
	"ready":    func(s *backend.Server) bool { return s.SetState("ready") == nil },
	"drain":    func(s *backend.Server) bool { return s.SetState("drain") == nil },
	"maint":    func(s *backend.Server) bool { return s.SetState("maint") == nil },
	"disable":  stateUnless("maint", backend.ForcedMaint, true),
	"enable":   stateUnless("ready", backend.ForcedMaint, false),
	"stop":     stateUnless("drain", backend.ForcedDrain, true),
	"start":    stateUnless("ready", backend.ForcedDrain, false),
	"dhlth":    func(s *backend.Server) bool { return s.Line().Check && s.SetChecks(false) == nil },
	"ehlth":    func(s *backend.Server) bool { return s.SetChecks(true) == nil },
	"hrunn":    func(s *backend.Server) bool { return s.SetHealth("up") == nil },
	"hnolb":    func(s *backend.Server) bool { return s.SetHealth("stopping") == nil },
	"hdown":    func(s *backend.Server) bool { return s.SetHealth("down") == nil },
	"shutdown": func(s *backend.Server) bool { s.CloseConns(); return true },
	"dagent":   func(s *backend.Server) bool { return s.Line().AgentCheck && s.SetAgentChecks(false) == nil },
	"eagent":   func(s *backend.Server) bool { return s.SetAgentChecks(true) == nil },
	"arunn":    func(s *backend.Server) bool { return s.SetAgent("up") == nil },
	"adown":    func(s *backend.Server) bool { return s.SetAgent("down") == nil },
}

// stateUnless sets a state unless the administrative bit says already what it would say.
func stateUnless(word string, bit backend.Admin, said bool) func(*backend.Server) bool {
	return func(s *backend.Server) bool {
		return (s.Facts().Admin&bit != 0) != said && s.SetState(word) == nil
	}
}
