package config

import "strings"

// condState is where one .if block stands.
type condState int

const (
	condTake condState = iota // this branch is read
	condDrop                  // not read; a later branch may be
	condSkip                  // not read; no later branch will be
	condElseTake
	condElseDrop
)

func (c condState) masks() bool { return c == condDrop || c == condSkip || c == condElseDrop }

// masked reports whether the current line stands in a branch that is not read.
func (p *parser) masked() bool { return len(p.conds) > 0 && p.conds[len(p.conds)-1].masks() }

// conditional handles .if, .elif, .else and .endif (manual section 2.4); false when the line is none of them.
func (p *parser) conditional(words []string) bool {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	switch words[0] {
	case ".if":
		p.openIf(strings.Join(words[1:], " "))
		return true
	case ".elif":
		if p.insideIf(".elif") {
			p.elif(strings.Join(words[1:], " "))
		}
		return true
	}
	if words[0] != ".else" && words[0] != ".endif" {
		return false
	}
	if arg != "" {
		p.alertTight("Unexpected argument '%s' for '%s'.", arg, words[0])
		p.stopped = true
		return true
	}
	if words[0] == ".endif" {
		if p.insideIf(".endif") {
			p.conds = p.conds[:len(p.conds)-1]
		}
		return true
	}
	if !p.insideIf(".else") {
		return true
	}
	if *p.cond() == condDrop {
		*p.cond() = condElseTake
	} else {
		*p.cond() = condElseDrop
	}
	return true
}

func (p *parser) cond() *condState { return &p.conds[len(p.conds)-1] }

func (p *parser) abort(format string, args ...any) {
	p.alertTight(format, args...)
	p.aborted = true
}

// insideIf checks that a directive has its .if and does not follow an .else.
func (p *parser) insideIf(name string) bool {
	if len(p.conds) == 0 {
		p.alertTight("lone '%s' with no matching '.if'.", name)
		p.stopped, p.aborted = true, name != ".endif"
		return false
	}
	if c := *p.cond(); name != ".endif" && (c == condElseTake || c == condElseDrop) {
		p.abort("'%s' after '.else' is not permitted.", name)
		return false
	}
	return true
}

func (p *parser) openIf(text string) {
	if len(p.conds)+1 >= maxNesting {
		p.abort("too many nested '.if', max is %d.", maxNesting)
		return
	}
	if p.masked() {
		p.conds = append(p.conds, condSkip)
		return
	}
	p.conds = append(p.conds, condDrop)
	p.decide(".if", text)
}

func (p *parser) elif(text string) {
	if *p.cond() != condDrop {
		*p.cond() = condSkip
		return
	}
	p.decide(".elif", text)
}

// decide evaluates a condition and takes the branch when it is true.
func (p *parser) decide(name, text string) {
	env := &condEnv{o: p.o, env: func(n string) bool { _, ok := p.env[n]; return ok }, verifyNone: p.cfg.Global.ServerVerifyNone}
	ok, err := env.eval(text)
	if err != nil {
		width := 80 - len(name) - 1
		p.abort("%s in '%s' at position %d:\n%s", err.text, name, err.at+1, pointer(name+" ", text, err.at, width))
		return
	}
	if ok {
		*p.cond() = condTake
	}
}

// message handles .alert, .warning, .notice and .diag.
func (p *parser) message(words []string) {
	level := map[string]string{".alert": LevelAlert, ".warning": LevelWarning, ".notice": LevelNotice, ".diag": LevelDiag}[words[0]]
	if level == "" {
		p.alertTight("unknown directive '%s'.", words[0])
		return
	}
	if len(words) > 2 {
		p.alertTight("Unexpected argument '%s' for '%s'. Use quotes if the message should contain spaces.", words[2], words[0])
		return
	}
	text := ""
	if len(words) > 1 {
		text = words[1]
	}
	if level == LevelDiag && !p.o.Diag {
		return
	}
	p.at(level, "parsing [%s:%d]: '%s'.", []any{text})
	p.aborted = level == LevelAlert
}
