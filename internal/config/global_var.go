package config

// GlobalVar is one set-var or set-var-fmt line of a global section (manual section 3.1): a variable of scope proc and how its value
// is made when the configuration is loaded.
type GlobalVar struct {
	Pos   Pos
	Fmt   bool     // set-var-fmt: the words are a format, else an expression
	Name  string   // as written: proc.name, with conditions behind commas
	Words []string // what follows
}

// Action is the keyword of the line.
func (v GlobalVar) Action() string {
	if v.Fmt {
		return "set-var-fmt"
	}
	return "set-var"
}

func (p *parser) globalVar(s *statement) {
	v := GlobalVar{Pos: s.pos, Fmt: s.arg(0) == "set-var-fmt", Name: s.arg(1)}
	if v.Name == "" || s.arg(2) == "" {
		what := "sample expression"
		if v.Fmt {
			what = "format string"
		}
		p.alert("'%s' requires a process-wide variable name ('proc.<name>') and a %s.", s.arg(0), what)
		return
	}
	v.Words = s.words[2:]
	p.cfg.Global.Vars = append(p.cfg.Global.Vars, v)
}

// maxThreads is HAProxy's limit.
const maxThreads = 1024

func (p *parser) globalThreads(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	n, used := strtol(s.arg(1))
	switch {
	case s.arg(1) == "" || used != len(s.arg(1)):
		p.alert("'%s' passed a missing or unparsable integer value in '%s'", s.arg(0), s.arg(1))
	case n < 1 || n > maxThreads:
		p.alert("'%s' value must be between 1 and %d (was %d)", s.arg(0), maxThreads, n)
	default:
		p.cfg.Global.Threads = n
	}
}
