package rule

import (
	"fmt"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// Bandwidth is one filter bwlim-in or bwlim-out of a section (manual section 9.7). It limits nothing before a set-bandwidth-limit rule
// brings it into force for a stream.
type Bandwidth struct {
	config.BandwidthLimit
	order int
	rate  table.DataType
	key   *Expr // nil: each stream has its own limit
	table *table.Table
}

// Bandwidths compiles the filters of a section. All compilers of the section must be given the same list, since a rule brings another's
// limit into force anew.
func (c *Compiler) Bandwidths(lines []config.BandwidthLimit) []*Bandwidth {
	var list []*Bandwidth
	for i, line := range lines {
		f := &Bandwidth{BandwidthLimit: line, order: i, rate: table.BytesOutRate}
		if c.Kind == "backend" {
			f.order += 1 << 16 // behind those of frontends
		}
		if line.In {
			f.rate = table.BytesInRate
		}
		if line.Key != nil {
			c.bandwidthKey(f)
		}
		list = append(list, f) // also when it is faulty: rules that name it are not
	}
	return list
}

// bandwidthKey compiles what makes a limit a shared one.
func (c *Compiler) bandwidthKey(f *Bandwidth) {
	p := &ruleParser{c: c, words: f.Key, pos: f.Pos}
	x, err := p.expr("missing fetch method")
	switch {
	case err != nil:
		c.Diags.Alert(f.Pos, "'filter' : %s", err)
		return
	case len(p.words) > 0:
		c.Diags.Alert(f.Pos, "'filter %s' : unknown keyword '%s'.", f.Word(), p.words[0])
		return
	}
	f.key, f.table = x, c.findTable(f.Table)
	name := f.Table
	if name == "" {
		name = c.Proxy
	}
	switch {
	case f.table == nil:
		c.late(f.Pos, "Proxy %s : unable to find table '%s' referenced by bwlim filter '%s'", c.Proxy, name, f.Name)
	case !f.table.Stores(f.rate):
		c.late(f.Pos, "Proxy %s : stick-table '%s' uses a data type incompatible with bwlim filter '%s'. It must be '%s'", c.Proxy, name, f.Name,
			map[bool]string{true: "bytes_in_rate", false: "bytes_out_rate"}[f.In])
	case !castable(x.out, f.table.Kind()):
		c.late(f.Pos, "Proxy %s : stick-table '%s' uses a key type incompatible with bwlim filter '%s'", c.Proxy, name, f.Name)
	}
}

func bandwidthActions() []action {
	return []action{
		{"set-bandwidth-limit", atRequest | atResponse | atContent | atTCPResponse, "bring a limit of the filters bwlim-in and bwlim-out into force", bindBandwidth},
	}
}

// bandwidthRule is one compiled set-bandwidth-limit rule.
type bandwidthRule struct {
	filter *Bandwidth
	limit  quantity // bytes
	period quantity // milliseconds
}

// quantity is a number written in a rule, or one that an expression gives; the zero value is none.
type quantity struct {
	fixed int64
	expr  *Expr
}

// of returns the quantity, or otherwise when there is none.
func (q quantity) of(s *stream.Stream, env Env, otherwise int64) int64 {
	n := q.fixed
	if q.expr != nil {
		v, ok := q.expr.Eval(s, env)
		if ok {
			v, ok = cast(s, v, stream.KindInt)
		}
		if !ok {
			return otherwise
		}
		n = min(v.Int, maxQuantity)
	}
	if n <= 0 {
		return otherwise
	}
	return n
}

const maxQuantity = 1<<32 - 1 // HAProxy's are unsigned int

// bindBandwidth reads "<name> [limit <expr>|<size>] [period <expr>|<time>]".
func bindBandwidth(p *ruleParser) (actionFunc, error) {
	name, _ := p.next()
	if name == "" {
		return nil, fmt.Errorf("missing bwlim filter name")
	}
	var r bandwidthRule
	set := map[string]bool{}
	for len(p.words) > 0 && (p.words[0] == "limit" || p.words[0] == "period") {
		what, _ := p.next()
		set[what] = true
		var err error
		if what == "limit" {
			r.limit, err = p.quantity(what, "size", config.ParseSize)
		} else {
			r.period, err = p.quantity(what, "time", func(w string) (int64, error) {
				d, err := config.ParseTime(w, time.Millisecond)
				return d.Milliseconds(), err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	for _, f := range p.c.Limits {
		if f.Name == name {
			r.filter = f
		}
	}
	if r.filter == nil {
		p.lateBandwidth("unable to find bwlim filter '%s' referenced by set-bandwidth-limit rule", name)
		return nothing, nil
	}
	for _, what := range []string{"limit", "period"} {
		if r.filter.Key != nil && set[what] {
			p.lateBandwidth("set-bandwidth-limit rule cannot define a %s for a shared bwlim filter", what)
			return nothing, nil
		}
	}
	for _, x := range []struct {
		what string
		expr *Expr
	}{{"set-bandwidth-limit rule uses a limit", r.limit.expr}, {"set-bandwidth-limit rule uses a period", r.period.expr},
		{"bwlim filter '" + name + " uses a key", r.filter.key}} {
		if x.expr == nil {
			continue
		}
		if !p.in.has(x.expr.need) {
			p.lateBandwidth("%s extracting information from '%s', none of which is available here", x.what, x.expr.need)
			return nothing, nil
		}
		p.warnNoDelay("set-bandwidth-limit*", x.expr)
	}
	return r.run, nil
}

func nothing(*stream.Stream, Env) Verdict { return goOn }

// lateBandwidth reports what HAProxy finds in a later pass.
func (p *ruleParser) lateBandwidth(format string, args ...any) {
	p.c.late(p.pos, "Proxy '%s': %s.", p.c.Proxy, fmt.Sprintf(format, args...))
}

// quantity reads a number or an expression for one.
func (p *ruleParser) quantity(what, kind string, parse func(string) (int64, error)) (quantity, error) {
	word := ""
	if len(p.words) > 0 {
		word = p.words[0]
		if n, err := parse(word); err == nil {
			p.next()
			return quantity{fixed: n}, nil
		}
	}
	x, err := p.expr("")
	if err != nil {
		return quantity{}, fmt.Errorf("'%s': invalid %s value or unknown fetch method '%s'", what, kind, word)
	}
	return quantity{expr: x}, nil
}

// run brings the limit into force; what keeps it from that is passed over, as in HAProxy.
func (r *bandwidthRule) run(s *stream.Stream, env Env) Verdict {
	f := r.filter
	if s.Exchange == nil {
		return goOn
	}
	o := table.BudgetOptions{Limit: f.Limit, MinSize: f.MinSize, Period: f.Period, Rate: f.rate}
	if f.key == nil {
		o.Limit = r.limit.of(s, env, f.Limit)
		o.Period = time.Duration(r.period.of(s, env, f.Period.Milliseconds())) * time.Millisecond
	} else {
		v, ok := f.key.Eval(s, env)
		if !ok {
			return goOn
		}
		if o.Entry = entryOf(s, f.table, v, true); o.Entry == nil {
			return goOn
		}
	}
	s.Exchange.Limit(stream.Throttle{Of: f, Request: f.In, Coded: f.Compression, Order: f.order, Budget: table.NewBudget(o)})
	return goOn
}

// inServerConn is what is known once there is a connection to a server, before anything came from it.
var inServerConn = scope{"", "", knowsConn | needBackend | needServer | needServerAddr | needServerConn}

// warnNoDelay tells of a tcp content rule whose expression reads what has to arrive first, in a section that does not wait for it.
func (p *ruleParser) warnNoDelay(action string, x *Expr) {
	what, word := "", ""
	switch {
	case p.at == atContent && p.c.Kind != "backend" && p.c.NoDelay && !inSession.has(x.need):
		what, word = "tcp-request", "request"
	case p.at == atTCPResponse && p.c.NoResponseDelay && !inServerConn.has(x.need):
		what, word = "tcp-response", "response"
	default:
		return
	}
	rule := what + " content " + action
	if action == "capture" {
		rule = what + " " + action // HAProxy's text
	}
	*p.c.Diags = append(*p.c.Diags, config.Diag{Level: config.LevelWarning, Pos: p.pos, Text: fmt.Sprintf(
		"%s '%s' : a '%s' rule explicitly depending on %s contents without any '%s inspect-delay' setting."+
			" This means that this rule will randomly find its contents. This can be fixed by setting the %s inspect-delay.",
		proxyType(p.c.Kind), p.c.Proxy, rule, word, what, what)})
}
