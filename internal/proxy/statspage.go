package proxy

import (
	"bytes"

	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// StatsPage is the statistics page of a section (`stats enable`): where it is, who may see it and who writes it.
type StatsPage struct {
	URI   string       // prefix of path and query, or of the target when it does not begin with a slash
	Rules *rule.Set    // run before anything is shown
	Admin []*rule.Cond // any of them makes the visitor an administrator
	// Answer writes the page, or does what a form asks. It must not keep what the visit holds.
	Answer func(v *StatsVisit) *stream.Reply
}

// StatsVisit is one request for the page.
type StatsVisit struct {
	Options []byte // what follows the page's address in the target
	Post    bool
	Admin   bool
	Foreign bool   // a browser says that another site sent the form
	Body    []byte // of a form
	TooBig  bool   // the form did not fit into a buffer
}

// showStats answers for the page of a section when the request is for it, and reports whether it was.
func (x *exchange) showStats(p *StatsPage, atBackend bool) bool {
	if p == nil {
		return false
	}
	s, env := &x.s, x.f.o.Env
	method := string(s.Req.Method)
	address := s.Req.Target
	if p.URI[0] == '/' {
		address = s.Req.PathQuery()
	}
	if method != "GET" && method != "HEAD" && method != "POST" || !bytes.HasPrefix(address, []byte(p.URI)) {
		return false
	}
	if !x.decide(p.Rules.Run(s, env), atBackend) {
		return true
	}
	v := &StatsVisit{Options: address[len(p.URI):], Post: method == "POST", Foreign: foreignForm(s)}
	for _, c := range p.Admin {
		if v.Admin = c.Eval(s, env); v.Admin {
			break
		}
	}
	if v.Post && v.Admin && !x.readForm(v) {
		return true
	}
	if !atBackend {
		x.f.o.Counters.Intercepted.Add(1)
	}
	x.term('L', 'R')
	x.emit(p.Answer(v), true)
	x.own = false // a service of HAProxy's, whose bytes count
	return true
}

// foreignForm reports whether a browser says that another site's page sent a form. Browsers say so of pages that came by TLS in
// Sec-Fetch-Site, and else in Origin (Fetch standard, sections 3.2 and "HTTP-network-or-cache fetch"); other programs say neither.
func foreignForm(s *stream.Stream) bool {
	switch site := stream.Get(s.Req.Fields, "sec-fetch-site"); {
	case len(site) > 0:
		return string(site) != "same-origin" && string(site) != "none"
	default:
		origin := stream.Get(s.Req.Fields, "origin")
		_, host, _ := bytes.Cut(origin, []byte("://"))
		return len(origin) > 0 && !bytes.EqualFold(host, stream.Get(s.Req.Fields, "host"))
	}
}

// readForm reads the body of a form; false when the request was answered meanwhile.
func (x *exchange) readForm(v *StatsVisit) bool {
	if !x.bufferBody() {
		return false
	}
	in := &x.cl.in
	if !in.Done() && !in.Whole() {
		v.TooBig = true
		return true
	}
	for !in.Done() {
		p, err := in.Ready()
		if err != nil || len(p) == 0 && !in.Done() {
			v.TooBig = true
			break
		}
		v.Body = append(v.Body, p...)
	}
	return true
}
