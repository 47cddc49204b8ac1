package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/stream"
)

func variableActions() []action {
	return []action{
		{"set-var(*)", everywhere, "keep the value of an expression", bindSetVar},
		{"set-var-fmt(*)", everywhere, "keep the text of a format", bindSetVarFmt},
		{"unset-var(*)", everywhere, "forget a variable", bindUnsetVar},
	}
}

// varTest is a condition of set-var: ifexists, ifempty and the like, on what the variable holds and the new value.
type varTest func(old varState, v Value) bool

// varState is a variable before it is set. Those of scope proc exist as soon as the configuration names them, set or not.
type varState struct {
	value       Value
	exists, set bool
}

var varTests = map[string]varTest{
	"ifexists":    func(o varState, _ Value) bool { return o.exists },
	"ifnotexists": func(o varState, _ Value) bool { return !o.exists },
	"ifempty":     func(_ varState, v Value) bool { return emptyValue(v) },
	"ifnotempty":  func(_ varState, v Value) bool { return !emptyValue(v) },
	"ifset":       func(o varState, _ Value) bool { return o.set },
	"ifnotset":    func(o varState, _ Value) bool { return !o.set },
	"ifgt":        func(o varState, v Value) bool { return !o.numbers(v) || o.value.Int > v.Int },
	"iflt":        func(o varState, v Value) bool { return !o.numbers(v) || o.value.Int < v.Int },
}

// numbers says whether the old and the new value can be compared; ifgt and iflt mean nothing for others.
func (o varState) numbers(v Value) bool {
	return o.set && o.value.Kind == stream.KindInt && v.Kind == stream.KindInt
}

func emptyValue(v Value) bool {
	return (v.Kind == stream.KindStr || v.Kind == stream.KindBin) && len(v.Bytes) == 0
}

// varParam reads "txn.name,cond,cond)".
func (p *ruleParser) varParam() (variable, []varTest, error) {
	inside, err := p.closeParam()
	if err != nil {
		return variable{}, nil, fmt.Errorf("invalid or incomplete action '%s'. Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'", p.word)
	}
	words := strings.Split(inside, ",")
	v, err := parseVar(words[0])
	var tests []varTest
	for _, w := range words[1:] {
		t := varTests[w]
		if t == nil && err == nil {
			err = fmt.Errorf("unknown condition \"%s\"", w)
		}
		tests = append(tests, t)
	}
	return v, tests, err
}

func bindSetVar(p *ruleParser) (actionFunc, error) {
	v, tests, err := p.varParam()
	if err != nil {
		return nil, err
	}
	x, err := p.expr("missing fetch method")
	if err != nil {
		return nil, err
	}
	if !p.in.has(x.need) {
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", p.word, x.need)
	}
	return func(s *stream.Stream, env Env) Verdict {
		if val, ok := x.Eval(s, env); ok {
			assignVar(s, env, v, tests, val)
		}
		return goOn
	}, nil
}

func bindSetVarFmt(p *ruleParser) (actionFunc, error) {
	v, tests, err := p.varParam()
	if err != nil {
		return nil, err
	}
	w, err := p.take(1, "missing fetch method")
	if err != nil {
		return nil, err
	}
	f, err := p.bodyFormat(w[0])
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		assignVar(s, env, v, tests, text(f.bytes(s, env)))
		return goOn
	}, nil
}

// assignVar keeps val unless a test forbids it; false says that one did.
func assignVar(s *stream.Stream, env Env, v variable, tests []varTest, val Value) bool {
	if len(tests) > 0 {
		var old varState
		old.value, old.set = v.get(s, env)
		old.exists = old.set || v.scope == scopeProc
		for _, t := range tests {
			if !t(old, val) {
				return false
			}
		}
	}
	v.set(s, env, val)
	return true
}

func bindUnsetVar(p *ruleParser) (actionFunc, error) {
	v, _, err := p.varParam()
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		v.unset(s, env)
		return goOn
	}, nil
}
