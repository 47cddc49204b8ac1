package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/stream"
)

// variable is a compiled variable name: its scope and what follows the dot.
type variable struct {
	scope varScope
	name  string
}

type varScope uint8

const (
	scopeProc varScope = iota
	scopeSess
	scopeTxn
	scopeReq
	scopeRes
)

var varScopes = map[string]varScope{"proc": scopeProc, "sess": scopeSess, "txn": scopeTxn, "req": scopeReq, "res": scopeRes}

// otherScopes are HAProxy's that have no meaning here: streams have no parent, health checks no rules.
var otherScopes = map[string]bool{"psess": true, "ptxn": true, "preq": true, "pres": true, "check": true}

// parseVar reads "txn.name". The texts are HAProxy's.
func parseVar(name string) (variable, error) {
	scope, rest, dot := strings.Cut(name, ".")
	sc, ok := varScopes[scope]
	if dot && otherScopes[scope] {
		return variable{}, fmt.Errorf("variables of scope '%s' are not supported", scope)
	}
	if !dot || !ok {
		return variable{}, fmt.Errorf("invalid variable name '%s'. A variable name must start with its scope. "+
			"The scope can be 'proc', '(p)sess', '(p)txn', '(p)req', '(p)res' or 'check'", name)
	}
	for i := 0; i < len(rest); i++ {
		if b := rest[i]; b != '_' && b != '.' && !isAlnum(b) {
			return variable{}, fmt.Errorf("invalid syntax at char '%c'", b)
		}
	}
	return variable{sc, rest}, nil
}

func isAlnum(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func (v variable) get(s *stream.Stream, env Env) (Value, bool) {
	if v.scope == scopeProc {
		if env == nil {
			return Value{}, false
		}
		return env.Var(v.name)
	}
	if v.absent(s) {
		return Value{}, false
	}
	return v.vars(s).Get(v.name)
}

// set keeps val. Variables of a request die with the stream's memory, where val's bytes already are; the others get
// bytes of their own, and so do all while content rules look at raw bytes: those lie in a buffer that takes the next ones, of this
// connection or of another, before the variable dies.
func (v variable) set(s *stream.Stream, env Env, val Value) {
	switch v.scope {
	case scopeProc:
		if env != nil {
			env.SetVar(v.name, val.Clone(), false)
		}
	case scopeSess:
		s.Conn.Vars.Set(v.name, val.Clone())
	default:
		if v.absent(s) {
			return
		}
		if s.ReqData != nil || s.ResData != nil {
			val = val.Clone()
		}
		v.vars(s).Set(v.name, val)
	}
}

// absent reports whether the variable's scope does not exist now: req ends where res begins.
func (v variable) absent(s *stream.Stream) bool {
	return v.scope == scopeReq && s.Answering || v.scope == scopeRes && !s.Answering
}

func (v variable) unset(s *stream.Stream, env Env) {
	if v.scope != scopeProc {
		v.vars(s).Unset(v.name)
	} else if env != nil {
		env.SetVar(v.name, Value{}, true)
	}
}

func (v variable) vars(s *stream.Stream) *stream.Vars {
	switch v.scope {
	case scopeSess:
		return &s.Conn.Vars
	case scopeTxn:
		return &s.Txn
	case scopeReq:
		return &s.ReqVars
	}
	return &s.ResVars
}

func bindVar(a args) (source, error) {
	v, err := parseVar(a.str(0))
	if err != nil {
		return source{}, err
	}
	def, hasDef := text([]byte(a.str(1))), a.len() > 1
	return source{one: func(s *stream.Stream, env Env) (Value, bool) {
		if val, ok := v.get(s, env); ok {
			return val, true
		}
		return def, hasDef
	}}, nil
}

// operand is an argument that is a number, or a variable holding one.
type operand struct {
	num   int64
	v     variable
	isVar bool
}

func parseOperand(word string) (operand, error) {
	if word == "" {
		return operand{}, fmt.Errorf("expects an integer or a variable name")
	}
	if n, ok := wholeInt(word); ok {
		return operand{num: n}, nil
	}
	v, err := parseVar(word)
	if err != nil {
		return operand{}, fmt.Errorf("expects an integer or a variable name")
	}
	return operand{v: v, isVar: true}, nil
}

func (o operand) value(s *stream.Stream, env Env) (int64, bool) {
	if !o.isVar {
		return o.num, true
	}
	v, ok := o.v.get(s, env)
	if ok {
		v, ok = castInt(v)
	}
	return v.Int, ok
}

func wholeInt(word string) (int64, bool) {
	digits := strings.TrimLeft(word, "+-")
	if digits == "" || len(word)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	return leadingInt([]byte(word)), true
}
