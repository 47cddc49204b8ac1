package engine

import (
	"fmt"
	"strconv"

	"gatehouse/internal/config"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

func (b *builder) userlist(name string) *rule.Userlist { return b.users[name] }

// userlists makes the accounts of the userlist sections.
func (b *builder) userlists() {
	b.users = map[string]*rule.Userlist{}
	for _, l := range b.cfg.Userlists {
		b.users[l.Name] = rule.NewUserlist(l, b.diags)
	}
}

// errorSections reads the files of the http-errors sections, used or not.
func (b *builder) errorSections() {
	b.pagesOf = map[string]map[int]*rule.Answer{}
	b.told = map[config.Pos]bool{}
	c := b.compiler(&config.Proxy{})
	for _, h := range b.cfg.HTTPErrors {
		pages := map[int]*rule.Answer{}
		for _, f := range h.Files {
			if a := b.errorFile(f, c); a != nil {
				pages[a.Status()] = a
			}
		}
		b.pagesOf[h.Name] = pages
	}
}

func (b *builder) errorSection(name string) (map[int]*rule.Answer, bool) {
	pages, ok := b.pagesOf[name]
	return pages, ok
}

// errorFile makes the page of an errorfile line, whose status stands for whatever status the file has.
func (b *builder) errorFile(l config.ErrorLine, c *rule.Compiler) *rule.Answer {
	r, err := c.ErrorFile(l.Words[1])
	if err != nil {
		c.Diags.Alert(l.Pos, "%s : %s", l.Keyword, rule.Alone(err))
		return nil
	}
	return rule.FixedFor(codeOf(l.Words[0]), r)
}

// codeOf is a status that config has checked.
func codeOf(word string) int {
	n, _ := strconv.Atoi(word)
	return n
}

// pages compiles what a section says about errors; later lines win. Nil when it says nothing.
func (b *builder) pages(p *config.Proxy, c *rule.Compiler) *proxy.ErrorPages {
	own := map[int]*rule.Answer{}
	for _, l := range p.Errors {
		b.errorLine(p, l, b.quietly(l.Pos, c), own)
		b.told[l.Pos] = true
	}
	return proxy.NewErrorPages(own)
}

// quietly is c, or one like it whose messages nobody reads when those about the line were told: sections share the lines of their
// defaults.
func (b *builder) quietly(pos config.Pos, c *rule.Compiler) *rule.Compiler {
	if !b.told[pos] {
		return c
	}
	q := *c
	q.Diags = new(config.Diags)
	return &q
}

func (b *builder) errorLine(p *config.Proxy, l config.ErrorLine, c *rule.Compiler, own map[int]*rule.Answer) {
	switch l.Keyword {
	case "errorfile":
		if a := b.errorFile(l, c); a != nil {
			own[a.Status()] = a
		}
	case "errorfiles":
		b.importPages(p, l, l.Words[0], l.Words[1:], c, own)
	case "http-error":
		status, a, section, ok := c.HTTPError(l)
		switch {
		case !ok:
		case section != "":
			b.importPages(p, l, section, []string{strconv.Itoa(status)}, c, own)
		case a == nil: // what an earlier line said does not count any more
			delete(own, status)
		default:
			own[status] = a
		}
	default:
		status := codeOf(l.Words[0])
		own[status] = rule.FixedFor(status, elsewhere(l.Keyword == "errorloc303", l.Words[1]))
	}
}

// importPages takes pages of an http-errors section: those of the codes, or all.
func (b *builder) importPages(p *config.Proxy, l config.ErrorLine, section string, codes []string, c *rule.Compiler, own map[int]*rule.Answer) {
	pages, ok := b.pagesOf[section]
	if !ok {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: l.Pos, Text: fmt.Sprintf(
			"proxy '%s': unknown http-errors section '%s' (at %s:%d).", p.Name, section, l.Pos.File, l.Pos.Line)})
		return
	}
	for _, code := range codes {
		status := codeOf(code)
		if pages[status] == nil {
			*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelWarning, Pos: l.Pos, Text: fmt.Sprintf(
				"config: proxy '%s' : status '%d' not declared in http-errors section '%s' (at %s:%d).", p.Name, status, section, l.Pos.File, l.Pos.Line)})
			continue
		}
		own[status] = pages[status]
	}
	if len(codes) > 0 {
		return
	}
	for status, a := range pages {
		own[status] = a
	}
}

// elsewhere is the redirect of an errorloc line.
func elsewhere(seeOther bool, url string) *stream.Reply {
	r := &stream.Reply{Status: 302, LengthAt: 1, Fields: []stream.Field{
		{Name: []byte("cache-control"), Value: []byte("no-cache")},
		{Name: []byte("location"), Value: []byte(url)},
	}}
	if seeOther {
		r.Status = 303
	}
	return r
}

// monitorFail compiles the conditions under which monitor-uri says 503.
func (b *builder) monitorFail(p *config.Proxy, c *rule.Compiler, acls *rule.ACLs) []*rule.Cond {
	var list []*rule.Cond
	for _, r := range p.MonitorFail {
		if cond := c.Cond(r.Words, r.Pos, acls); cond != nil {
			list = append(list, cond)
		}
	}
	return list
}
