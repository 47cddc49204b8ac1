package proxy

import (
	"gatehouse/internal/backend"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// Persistence is what sends a client's requests to one server of a backend (manual sections 4.2 and 7: force-persist,
// ignore-persist, use-server, cookie). It belongs to a generation and does not change.
type Persistence struct {
	Rules     []PersistRule
	UseServer []UseServer
	Cookie    *Cookie // nil: no persistence cookie
}

// PersistRule is force-persist, or without Force ignore-persist.
type PersistRule struct {
	Cond  *rule.Cond
	Force bool
}

// UseServer is one use-server rule. Exactly one of Server and Name is set.
type UseServer struct {
	Cond   *rule.Cond
	Server *backend.Server
	Name   *rule.Format
}

// belonging is what was found out about the server that a request belongs to. It lives as long as the exchange's request.
type belonging struct {
	server *backend.Server // that a rule or the cookie has chosen; nil: the balance algorithm chooses
	force  bool            // force-persist: asked whatever its state, and nobody else is
	ignore bool            // ignore-persist: no cookie is heeded or set
	last   int64           // date of the client's cookie, unix seconds, 0 none (maxidle)
	first  int64           // date of its first one (maxlife)
}

// persistRules runs force-persist and ignore-persist, of which the first that matches counts, as soon as the backend is known.
func (x *exchange) persistRules() {
	x.to = belonging{}
	p := x.b.o.Persistence
	if p == nil {
		return
	}
	if p.Cookie != nil && p.Cookie.active() && x.s.HTTP {
		x.s.Log.TermCookie = [2]byte{'N', 'N'}
	}
	for i := range p.Rules {
		if r := &p.Rules[i]; r.Cond.Eval(&x.s, x.f.o.Env) {
			x.to.force, x.to.ignore = r.Force, !r.Force
			return
		}
	}
}

// useServer runs the use-server rules. A rule whose server is down is passed over; a name that no server has ends the search.
func (x *exchange) useServer() {
	p, servers := x.b.o.Persistence, x.b.o.Servers
	if p == nil || servers == nil || x.to.server != nil {
		return
	}
	for i := range p.UseServer {
		u := &p.UseServer[i]
		if !u.Cond.Eval(&x.s, x.f.o.Env) {
			continue
		}
		srv := u.Server
		if u.Name != nil {
			var tmp [128]byte
			if srv = servers.Server(string(u.Name.Append(tmp[:0], &x.s, x.f.o.Env))); srv == nil {
				return
			}
		}
		if servers.Persists(srv, x.to.force) {
			x.to.server = srv
			return
		}
	}
}

// belongs chooses the server by rules and then by the cookie, which rules overrule.
func (x *exchange) belongs() {
	x.useServer()
	if p := x.b.o.Persistence; p != nil && p.Cookie != nil && x.b.o.Servers != nil {
		p.Cookie.read(x)
	}
}

// direct reports whether the request was served by the server it belonged to.
func (x *exchange) direct() bool { return x.to.server != nil && x.s.Server == x.to.server.Name() }

// left notes that option redispatch took the request away from the server of its cookie.
func (x *exchange) left() {
	if x.to.server != nil && x.s.Server != "" && !x.direct() {
		if x.s.Log.TermCookie[0] == 'V' {
			x.s.Log.TermCookie[0] = 'D'
		}
		x.to.server = nil
	}
}

// addField appends a field of our own to the response.
func addField(s *stream.Stream, name string, value []byte) {
	s.Res.Fields = append(s.Res.Fields, stream.Field{Name: s.ScratchString(name), Value: value})
}
