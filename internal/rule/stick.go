package rule

import (
	"fmt"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// Stick are the compiled stick rules of a backend: which server a client had, and what to remember of the one it gets (manual,
// "stick on" and its neighbours). A nil Stick does nothing.
type Stick struct {
	request  []stickRule // match and store-request, in their order
	response []stickRule // store-response
}

type stickRule struct {
	cond         *Cond
	expr         *Expr
	table        *table.Table
	match, store bool
}

// Chooser is told of the server that a table remembers, by its key and its number, until one can be used. It reports that.
type Chooser interface {
	Stuck(key string, byAddress bool, id int) bool
}

// maxKept bounds what one request can remember, as in HAProxy.
const maxKept = 8

// Kept are the keys for which a server is to be remembered. They lie in the stream's memory.
type Kept struct {
	list [maxKept]keptKey
	n    int
}

type keptKey struct {
	table *table.Table
	key   []byte
}

// Clear forgets the keys.
func (k *Kept) Clear() { *k = Kept{} }

// Stick compiles the stick rules of a backend.
func (c *Compiler) Stick(rules []config.Rule, acls *ACLs) *Stick {
	st := &Stick{}
	for _, r := range rules {
		word := r.Words[0]
		out, err := c.stickRule(r, acls, word == "store-response")
		if err != nil {
			c.Diags.Alert(r.Pos, "'stick': %v", err)
			continue
		}
		if out.table == nil {
			continue
		}
		out.match, out.store = word == "on" || word == "match", word != "match"
		if word == "store-response" {
			st.response = append(st.response, out)
		} else {
			st.request = append(st.request, out)
		}
	}
	if len(st.request)+len(st.response) == 0 {
		return nil
	}
	return st
}

// stickRule compiles what follows the first word. No table and no error: what is wrong was told.
func (c *Compiler) stickRule(r config.Rule, acls *ACLs, response bool) (out stickRule, err error) {
	in, when := inRequest, "during request"
	if response {
		in, when = inResponse, "for 'store-response'"
	}
	p := &ruleParser{c: c, words: r.Words[1:], pos: r.Pos, in: in}
	if out.expr, err = p.expr("missing fetch method"); err != nil {
		return out, err
	}
	if !in.has(out.expr.need) {
		return out, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available %s.", out.expr.name, out.expr.need, when)
	}
	name := ""
	if len(p.words) > 0 && p.words[0] == "table" {
		p.next()
		name, _ = p.next()
	}
	if len(p.words) > 0 && !isCondWord(p.words[0]) {
		return out, fmt.Errorf("unknown keyword '%s'.", p.words[0])
	}
	if out.cond, err = c.parseCond(p.words, r.Pos, acls, in); err != nil {
		return out, fmt.Errorf("error detected while parsing sticking condition : %w.", err)
	}
	t := c.findTable(name)
	if name == "" {
		name = c.Proxy
	}
	switch {
	case t == nil:
		c.late(r.Pos, "Proxy '%s': unable to find stick-table '%s'.", c.Proxy, name)
	case !castable(out.expr.out, t.Kind()):
		c.late(r.Pos, "Proxy '%s': type of fetch not usable with type of stick-table '%s'.", c.Proxy, name)
	default:
		out.table = t
	}
	return out, nil
}

// Request runs the rules of a request: tables are looked into until to could use the server of one, and the keys under which to
// remember the server go to kept. stuck says that the request has its server already.
func (st *Stick) Request(s *stream.Stream, env Env, to Chooser, stuck bool, kept *Kept) {
	if st == nil {
		return
	}
	for i := range st.request {
		r := &st.request[i]
		if r.store && kept.has(r.table, 0) { // the first that stores in a table decides
			continue
		}
		key, ok := r.key(s, env)
		if !ok {
			continue
		}
		if r.match {
			if e := r.table.Lookup(key); e != nil {
				if !stuck {
					name, id := e.Server()
					stuck = to.Stuck(name, r.table.ByAddress(), id)
				}
				e.Touch()
				e.Release()
			}
		}
		if r.store {
			kept.add(r.table, key)
		}
	}
}

// Response runs the rules of a response.
func (st *Stick) Response(s *stream.Stream, env Env, kept *Kept) {
	if st == nil {
		return
	}
	before := kept.n
	for i := range st.response {
		r := &st.response[i]
		if kept.has(r.table, before) {
			continue
		}
		if key, ok := r.key(s, env); ok {
			kept.add(r.table, key)
		}
	}
}

// key makes a rule's key, in memory of the stream; false when the rule does not apply.
func (r *stickRule) key(s *stream.Stream, env Env) ([]byte, bool) {
	if !r.cond.Eval(s, env) {
		return nil, false
	}
	v, ok := r.expr.Eval(s, env)
	if ok {
		v, ok = cast(s, v, r.table.Kind())
	}
	if !ok {
		return nil, false
	}
	b, ok := r.table.AppendKey(s.Work(), v)
	return s.Return(b), ok
}

// has reports whether a key for t is kept from place from on.
func (k *Kept) has(t *table.Table, from int) bool {
	for i := from; i < k.n; i++ {
		if k.list[i].table == t {
			return true
		}
	}
	return false
}

func (k *Kept) add(t *table.Table, key []byte) {
	if k.n < maxKept {
		k.list[k.n] = keptKey{t, key}
		k.n++
	}
}

// Store remembers a server under every key that is kept.
func (k *Kept) Store(name, address string, id int) {
	for i := range k.n {
		t := k.list[i].table
		e := t.Get(k.list[i].key)
		if e == nil {
			continue
		}
		if t.ByAddress() {
			e.SetServer(address, id)
		} else {
			e.SetServer(name, id)
		}
		e.Release()
	}
	k.Clear()
}
