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

// varTest is a condition of set-var: ifexists, ifempty and the like, on the variable (old) and the value (new).
type varTest func(oldValue Value, exists bool, newValue Value) bool

var varTests = map[string]varTest{
	"ifexists":    func(_ Value, exists bool, _ Value) bool { return exists },
	"ifnotexists": func(_ Value, exists bool, _ Value) bool { return !exists },
	"ifempty":     func(_ Value, _ bool, v Value) bool { return emptyValue(v) },
	"ifnotempty":  func(_ Value, _ bool, v Value) bool { return !emptyValue(v) },
	"ifset":       func(_ Value, _ bool, v Value) bool { return !unsetValue(v) },
	"ifnotset":    func(_ Value, _ bool, v Value) bool { return unsetValue(v) },
	"ifgt":        func(o Value, exists bool, v Value) bool { return exists && o.Int > v.Int },
	"iflt":        func(o Value, exists bool, v Value) bool { return exists && o.Int < v.Int },
}

func emptyValue(v Value) bool {
	return (v.Kind == stream.KindStr || v.Kind == stream.KindBin) && len(v.Bytes) == 0
}

// unsetValue: empty text, or the number 0.
func unsetValue(v Value) bool {
	return emptyValue(v) || (v.Kind == stream.KindInt || v.Kind == stream.KindBool) && v.Int == 0
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
		old, exists := v.get(s, env)
		for _, t := range tests {
			if !t(old, exists, val) {
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
