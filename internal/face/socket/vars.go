package socket

import "context"

// varCommands read variables of the process (management guide 9.3, "get var").
func (w *Worker) varCommands() []Command {
	return []Command{
		{Words: []string{"get", "var"}, Level: Operator, Usage: "get var <name>", Help: "retrieve contents of a process-wide variable", Run: w.getVar},
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
