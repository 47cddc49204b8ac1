package socket

import "context"

// varCommands read and set variables of the process (management guide 9.3, "get var" and "set var").
func (w *Worker) varCommands() []Command {
	return []Command{
		{Words: []string{"get", "var"}, Level: Operator, Usage: "get var <name>", Help: "retrieve contents of a process-wide variable", Run: w.getVar},
		{Words: []string{"set", "var"}, Level: Operator, Modes: Experimental, Usage: "set var <name> [fmt|expr] {<fmt>|<expr>}", Help: "set variable from an expression/format", Run: w.setVar},
	}
}

// setVar sets a variable to what an expression or a format makes at this moment. Words behind the expression mean nothing.
func (w *Worker) setVar(_ context.Context, r *Request) {
	name, text := r.Args.At(2), r.Args.At(3)
	switch {
	case name == "":
		r.Err("Missing process-wide variable identifier.")
		return
	case text == "":
		r.Err("Missing either 'expr', 'fmt' or expression.")
		return
	}
	format := false
	if r.Args.At(4) != "" {
		if text != "expr" && text != "fmt" {
			r.Err("'set var': arg type must be either 'expr' or 'fmt' but got '" + text + "'.")
			return
		}
		format, text = text == "fmt", r.Args.At(4)
	}
	if err := w.o.SetVar(name, text, format); err != nil {
		r.Err(err.Error())
		return
	}
}

func (w *Worker) getVar(_ context.Context, r *Request) {
	name := r.Args.At(2)
	if name == "" {
		r.Err("Missing process-wide variable identifier.")
		return
	}
	kind, text, found := w.o.Var(name)
	if !found {
		r.Err("Variable not found.")
		return
	}
	r.Msg(name + ": type=" + kind + " value=" + text)
}
