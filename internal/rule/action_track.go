package rule

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// trackActions begin to count in a stick table, and change what is tracked.
func trackActions() []action {
	return []action{
		{"track-sc(*)", atRequest | atResponse | atConnection | atSession | atContent, "count in the table's entry for a key", bindTrack},
		{"sc-inc-gpc(*)", everywhere, "increase a general purpose counter", bindIncrease(gpcOf)},
		{"sc-inc-gpc0(*)", everywhere, "increase the first general purpose counter", bindIncrease(single(table.GPC0, table.GPC0Rate))},
		{"sc-inc-gpc1(*)", everywhere, "increase the second general purpose counter", bindIncrease(single(table.GPC1, table.GPC1Rate))},
		{"sc-add-gpc(*)", everywhere, "add to a general purpose counter", bindAdd},
		{"sc-set-gpt(*)", everywhere, "set a general purpose tag", bindSetTag(gptOf)},
		{"sc-set-gpt0(*)", everywhere, "set the first general purpose tag", bindSetTag(single(table.GPT0, table.GPT0))},
	}
}

// trackSlot reads the number behind "track-sc".
func (p *ruleParser) trackSlot() (int, error) {
	digits := strings.TrimPrefix(p.word, "track-sc")
	n, err := strconv.ParseUint(digits, 10, 31)
	have := p.c.counters()
	switch {
	case err != nil && digits != "":
		return 0, fmt.Errorf("Wrong track-sc number '%s'", digits)
	case have == 0:
		return 0, fmt.Errorf("%d track-sc number not usable, stick-counters are disabled by tune.stick-counters", n)
	case int(n) >= have:
		return 0, fmt.Errorf("%d track-sc number exceeding %d (tune.stick-counters-1) value", n, have-1)
	}
	return int(n), nil
}

func bindTrack(p *ruleParser) (actionFunc, error) {
	slot, err := p.trackSlot()
	if err != nil {
		return nil, err
	}
	x, err := p.expr("missing fetch method")
	if err != nil {
		return nil, err
	}
	if !p.in.has(x.need) {
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", x.text, x.need)
	}
	name := ""
	if len(p.words) > 0 && p.words[0] == "table" {
		p.next()
		if name, _ = p.next(); name == "" {
			return nil, fmt.Errorf("missing table name")
		}
	}
	tr := tracker{slot: slot, expr: x, at: p.at, err: p.c.ErrCodes, fail: p.c.FailCodes, ofBackend: p.c.Kind == "backend"}
	tr.table = p.trackTable(name, slot, x)
	p.warnNoDelay("track-sc*", x)
	if p.at&(atConnection|atSession) != 0 {
		return tr.connection, nil
	}
	return tr.request, nil
}

// warnTrack tells of a content rule that tracks what is known before there is a request. A request that cannot be parsed never gets to
// such a rule, and is not counted then.
func (c *Compiler) warnTrack(r config.Rule, at place) {
	if at != atContent || !c.HTTP || c.Kind == "backend" || !strings.HasPrefix(r.Words[0], "track-sc") || c.seen&(needReqBuffer|needHead) != 0 {
		return
	}
	*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelWarning, Pos: r.Pos, Text: fmt.Sprintf(
		"%s '%s' : a 'tcp-request content track-sc*' rule not depending on request contents for an HTTP frontend should be executed at the"+
			" session level, using a 'tcp-request session' rule (mandatory to track invalid HTTP requests).", proxyType(c.Kind), c.Proxy)})
}

// proxyType is what HAProxy calls a kind of section in messages.
func proxyType(kind string) string {
	if kind == "listen" {
		return "proxy"
	}
	return kind
}

// trackTable finds the table of a track-sc rule. What is wrong with it HAProxy finds in a later pass, and words without a line.
func (p *ruleParser) trackTable(name string, slot int, x *Expr) *table.Table {
	t := p.c.findTable(name)
	if name == "" {
		name = p.c.Proxy
	}
	switch {
	case t == nil:
		p.c.late(p.pos, "Proxy '%s': unable to find table '%s' referenced by track-sc%d.", p.c.Proxy, name, slot)
	case !castable(x.out, t.Kind()):
		p.c.late(p.pos, "Proxy '%s': stick-table '%s' uses a type incompatible with the 'track-sc%d' rule.", p.c.Proxy, name, slot)
	}
	return t
}

// late reports an error that HAProxy finds when all has been read.
func (c *Compiler) late(pos config.Pos, format string, args ...any) {
	*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: pos, Text: fmt.Sprintf(format, args...)})
}

// tracker is one compiled track-sc rule.
type tracker struct {
	slot      int
	expr      *Expr
	table     *table.Table
	at        place
	err, fail *config.StatusCodes
	ofBackend bool
}

// connection tracks for all requests of the connection.
func (tr *tracker) connection(s *stream.Stream, env Env) Verdict {
	if s.Conn.Counters.At(tr.slot) == nil {
		if e, _ := tr.entry(s, env); e != nil {
			e.Enter()
			s.Conn.Counters.Set(tr.slot, e)
		}
	}
	return goOn
}

// request tracks until the end of the request.
func (tr *tracker) request(s *stream.Stream, env Env) Verdict {
	if tracked(s, tr.slot) != nil {
		return goOn
	}
	e, wait := tr.entry(s, env)
	if wait {
		return Verdict{Kind: VerdictWait}
	}
	if e == nil {
		return goOn
	}
	e.Enter()
	s.Counters.Set(tr.slot, e)
	// Requests are counted when they begin, for what is tracked then. Who begins to track later counts here.
	if tr.at != atContent || tr.ofBackend && s.HTTP {
		e.Count(table.HTTPReqCnt, table.HTTPReqRate, 1)
	}
	if tr.at == atResponse {
		countStatus(e, s.Res.Status, tr.err, tr.fail)
	}
	return goOn
}

// entry makes the entry. wait says that the key may come with more bytes.
func (tr *tracker) entry(s *stream.Stream, env Env) (e *table.Entry, wait bool) {
	s.Missing = false
	v, ok := tr.expr.Eval(s, env)
	if s.Missing && s.Waiting {
		return nil, true
	}
	if !ok {
		return nil, false
	}
	return entryOf(s, tr.table, v, true), false
}

// countStatus counts a response that is a client's error or a server's failure.
func countStatus(e *table.Entry, status int, err, fail *config.StatusCodes) {
	if err != nil && err.Has(status) {
		e.Count(table.HTTPErrCnt, table.HTTPErrRate, 1)
	}
	if fail != nil && fail.Has(status) {
		e.Count(table.HTTPFailCnt, table.HTTPFailRate, 1)
	}
}

// target is what a counter's action changes: an element of the data of what a slot tracks.
type target struct {
	counter, rate table.DataType
	index, slot   int
}

// elementOf reads "index,slot)" behind the name of an action.
func (p *ruleParser) elementOf(what, name string, counter, rate table.DataType) (target, error) {
	usage := fmt.Sprintf("Expects %s(<%s ID>,<Track ID>)", name, strings.ToUpper(what))
	index, rest, ok := strings.Cut(p.param, ",")
	n, err := strconv.ParseUint(index, 10, 16)
	if !ok || err != nil {
		return target{}, fmt.Errorf("Missing %s ID '%s'. %s", what, p.word, usage)
	}
	slot, err := p.slotOf(rest, "'"+p.word+"'. "+usage)
	return target{counter: counter, rate: rate, index: int(n), slot: slot}, err
}

func gpcOf(p *ruleParser) (target, error) {
	return p.elementOf("gpc", strings.SplitN(p.word, "(", 2)[0], table.GPC, table.GPCRate)
}

func gptOf(p *ruleParser) (target, error) {
	return p.elementOf("gpt", "sc-set-gpt", table.GPT, table.GPT)
}

// single reads "slot)" behind the name, or nothing for the first slot.
func single(counter, rate table.DataType) func(*ruleParser) (target, error) {
	return func(p *ruleParser) (target, error) {
		t := target{counter: counter, rate: rate}
		name, _, given := strings.Cut(p.word, "(")
		if !given {
			return t, p.someCounters()
		}
		var err error
		t.slot, err = p.slotOf(p.param, "Expects "+name+"(<Track ID>)")
		return t, err
	}
}

// slotOf reads "slot)".
func (p *ruleParser) slotOf(text, usage string) (int, error) {
	if err := p.someCounters(); err != nil {
		return 0, err
	}
	digits, closed := strings.CutSuffix(text, ")")
	n, err := strconv.Atoi(digits)
	switch {
	case !closed || err != nil || n < 0:
		return 0, fmt.Errorf("invalid stick table track ID %s", usage)
	case n >= p.c.counters():
		return 0, fmt.Errorf("invalid stick table track ID '%s'. The max allowed ID is %d (tune.stick-counters)", p.word, p.c.counters()-1)
	}
	return n, nil
}

func (p *ruleParser) someCounters() error {
	if p.c.counters() == 0 {
		return fmt.Errorf("Cannot use '%s', stick-counters are disabled via tune.stick-counters", p.word)
	}
	return nil
}

func bindIncrease(of func(*ruleParser) (target, error)) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		t, err := of(p)
		return func(s *stream.Stream, _ Env) Verdict {
			if e := tracked(s, t.slot); e != nil {
				e.Add(t.counter, t.rate, t.index, 1)
			}
			return goOn
		}, err
	}
}

// amount takes a number, or an expression for one.
func (p *ruleParser) amount() (func(s *stream.Stream, env Env) (int64, bool), error) {
	if len(p.words) > 0 {
		if n, err := strconv.ParseInt(p.words[0], 10, 64); err == nil {
			p.next()
			return func(*stream.Stream, Env) (int64, bool) { return n, true }, nil
		}
	}
	x, err := p.expr("missing fetch method")
	if err != nil {
		return nil, err
	}
	if !p.in.has(x.need) {
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", x.text, x.need)
	}
	return func(s *stream.Stream, env Env) (int64, bool) {
		v, ok := x.Eval(s, env)
		if ok {
			v, ok = castInt(v)
		}
		return v.Int, ok
	}, nil
}

func bindAdd(p *ruleParser) (actionFunc, error) {
	t, err := gpcOf(p)
	if err != nil {
		return nil, err
	}
	amount, err := p.amount()
	return func(s *stream.Stream, env Env) Verdict {
		if e := tracked(s, t.slot); e != nil {
			if n, ok := amount(s, env); ok {
				e.Add(t.counter, t.rate, t.index, uint32(n))
			}
		}
		return goOn
	}, err
}

func bindSetTag(of func(*ruleParser) (target, error)) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		t, err := of(p)
		if err != nil {
			return nil, err
		}
		amount, err := p.amount()
		return func(s *stream.Stream, env Env) Verdict {
			if e := tracked(s, t.slot); e != nil {
				if n, ok := amount(s, env); ok {
					e.Set(t.counter, t.index, n)
				}
			}
			return goOn
		}, err
	}
}
