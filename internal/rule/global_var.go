package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// inGlobal is where set-var stands in a global section: no connection is known.
var inGlobal = scope{"CFG", "configuration", needInternal}

// GlobalVar compiles a set-var or set-var-fmt line of a global section. What it returns sets the variable and needs no stream; it is
// nil when the line is wrong, which Diags tells.
func (c *Compiler) GlobalVar(line config.GlobalVar) func(Env) {
	word, bind := "set-var", bindSetVar
	if line.Fmt {
		word, bind = "set-var-fmt", bindSetVarFmt
	}
	p := &ruleParser{c: c, words: line.Words, pos: line.Pos, in: inGlobal, at: atConnection, word: fmt.Sprintf("%s(%s)", word, line.Name), param: line.Name + ")"}
	c.at = line.Pos
	set, err := bind(p)
	if err == nil {
		name, _, _ := strings.Cut(line.Name, ",")
		if v, verr := parseVar(name); verr != nil {
			err = verr
		} else if v.scope != scopeProc {
			err = Sentence(fmt.Sprintf("'%s': cannot set variable '%s', only scope 'proc' is permitted in the global section", word, line.Name))
		}
	}
	if err != nil {
		c.Diags.Alert(line.Pos, "%s", Alone(err))
		return nil
	}
	return func(env Env) {
		s := &stream.Stream{Conn: &stream.Conn{}}
		set(s, env)
	}
}
