package rule

import (
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// inGlobal is where set-var stands in a global section, inCommand where it stands on a stats socket: no connection is known.
var (
	inGlobal  = scope{"CFG", "configuration", needInternal}
	inCommand = scope{"CLI", "CLI", needInternal}
)

// GlobalVar compiles a set-var or set-var-fmt line of a global section. What it returns sets the variable and needs no stream; it is
// nil when the line is wrong, which Diags tells.
func (c *Compiler) GlobalVar(line config.GlobalVar) func(Env) {
	c.at = line.Pos
	set, err := c.procVar(line, inGlobal)
	if err == errNotProc {
		err = Sentence(fmt.Sprintf("'%s': cannot set variable '%s', only scope 'proc' is permitted in the global section", line.Action(), line.Name))
	}
	if err != nil {
		c.Diags.Alert(line.Pos, "%s", Alone(err))
		return nil
	}
	return set
}

// CommandVar compiles what "set var" of a stats socket says (management guide 9.3), for a compiler that knows the configuration that
// serves. Errors have HAProxy's texts.
func (c *Compiler) CommandVar(line config.GlobalVar) (func(Env), error) {
	c.Running, c.at = true, config.Pos{File: "CLI"}
	set, err := c.procVar(line, inCommand)
	switch {
	case err == errNotProc:
		return nil, Sentence(fmt.Sprintf("'set var': cannot set variable '%s', only scope 'proc' is permitted here", line.Name))
	case err != nil:
		return nil, err
	case c.Diags.HasErrors():
		return nil, errors.New((*c.Diags)[0].Text)
	}
	return set, nil
}

// errNotProc is a variable of another scope where only those of the process can be.
var errNotProc = errors.New("scope is not proc")

func (c *Compiler) procVar(line config.GlobalVar, in scope) (func(Env), error) {
	word, bind := line.Action(), bindSetVar
	if line.Fmt {
		bind = bindSetVarFmt
	}
	p := &ruleParser{c: c, words: line.Words, pos: c.at, in: in, at: atConnection, word: fmt.Sprintf("%s(%s)", word, line.Name), param: line.Name + ")"}
	set, err := bind(p)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(line.Name, ",")
	if v, err := parseVar(name); err != nil {
		return nil, err
	} else if v.scope != scopeProc {
		return nil, errNotProc
	}
	return func(env Env) {
		s := &stream.Stream{Conn: &stream.Conn{}}
		set(s, env)
	}, nil
}
