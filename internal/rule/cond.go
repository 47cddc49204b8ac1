package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// Cond is a compiled condition: alternatives of terms that must all hold. A nil Cond is always true.
type Cond struct {
	unless bool
	suites [][]term
}

type term struct {
	acl *acl
	neg bool
}

// Eval reports whether the rule applies.
func (x *Cond) Eval(s *stream.Stream, env Env) bool {
	holds, _ := x.test(s, env)
	return holds
}

// test also tells that the answer is still missing: one of the samples can change with bytes that may yet come (Stream.Waiting).
// A term that holds needs no more bytes, and a suite is given up at its first term that does not hold for sure.
func (x *Cond) test(s *stream.Stream, env Env) (applies, missing bool) {
	if x == nil {
		return true, false
	}
	for _, suite := range x.suites {
		ok, open := holds(suite, s, env)
		if ok {
			return !x.unless, false
		}
		missing = missing || open
	}
	return x.unless, missing
}

// ReadsHead reports whether the condition looks at the head of an HTTP request.
func (x *Cond) ReadsHead() bool {
	if x == nil {
		return false
	}
	for _, suite := range x.suites {
		for i := range suite {
			if suite[i].acl.reads(needHead) {
				return true
			}
		}
	}
	return false
}

func holds(suite []term, s *stream.Stream, env Env) (ok, missing bool) {
	for i := range suite {
		s.Missing = false
		got := suite[i].acl.eval(s, env)
		if !got && (s.Missing || s.HeadOpen && s.Waiting && suite[i].acl.reads(needHead)) {
			return false, true
		}
		if got == suite[i].neg {
			return false, false
		}
	}
	return true, false
}

// Cond compiles a condition: words start with "if" or "unless". No words make nil, which is always true. An error is reported
// to Diags and gives a condition that never holds.
func (c *Compiler) Cond(words []string, pos config.Pos, acls *ACLs) *Cond {
	c.at = pos
	x, err := c.parseCond(words, pos, acls, anywhere)
	if err != nil {
		c.Diags.Alert(pos, "error detected while parsing a condition : %s.", err)
		return &Cond{}
	}
	return x
}

// SplitCond splits a rule at its condition: the first "if" or "unless". cond is nil when there is none.
func (c *Compiler) SplitCond(words []string) (before, cond []string) {
	for i, w := range words {
		if isCondWord(w) {
			return words[:i], words[i:]
		}
	}
	return words, nil
}

func isCondWord(w string) bool { return w == "if" || w == "unless" }

func (c *Compiler) parseCond(words []string, pos config.Pos, acls *ACLs, in scope) (*Cond, error) {
	if len(words) == 0 {
		return nil, nil
	}
	if !isCondWord(words[0]) {
		return nil, fmt.Errorf("conditions must start with either 'if' or 'unless'")
	}
	x := &Cond{unless: words[0] == "unless"}
	var suite []term
	neg := false
	for words = words[1:]; len(words) > 0; words = words[1:] {
		word := words[0]
		for strings.HasPrefix(word, "!") {
			neg, word = !neg, word[1:]
		}
		if word == "" { // a lone "!" negates what follows
			continue
		}
		if word == "||" || strings.EqualFold(word, "or") {
			x.add(suite)
			suite, neg = nil, false
			continue
		}
		a, rest, err := c.condTerm(word, words, pos, acls)
		if err != nil {
			return nil, err
		}
		c.warnUnusable(a, pos, in)
		suite = append(suite, term{a, neg})
		words, neg = rest, false
	}
	x.add(suite)
	return x, nil
}

func (x *Cond) add(suite []term) {
	if len(suite) > 0 {
		x.suites = append(x.suites, suite)
	}
}

// condTerm reads one ACL: a name, or an expression in braces, whose last word the rest then starts with.
func (c *Compiler) condTerm(word string, words []string, pos config.Pos, acls *ACLs) (*acl, []string, error) {
	if word != "{" {
		a, err := c.findACL(word, pos, acls)
		return a, words, err
	}
	for end := 1; end < len(words); end++ {
		if words[end] != "}" {
			continue
		}
		t, err := c.aclTest(words[1:end], pos)
		if err != nil {
			return nil, nil, err
		}
		return &acl{tests: []aclTest{t}, need: []need{t.expr.need}}, words[end:], nil
	}
	return nil, nil, fmt.Errorf("missing closing '}' in condition")
}

func (c *Compiler) findACL(name string, pos config.Pos, acls *ACLs) (*acl, error) {
	if acls != nil && acls.byName[name] != nil {
		return acls.byName[name], nil
	}
	words := predefined[name]
	if words == nil {
		known := slices.Collect(maps.Keys(predefined))
		if acls != nil {
			known = slices.AppendSeq(known, maps.Keys(acls.byName))
		}
		return nil, &unknownName{"no such ACL : '%s'", name, known}
	}
	if a := c.predefined[name]; a != nil {
		return a, nil
	}
	t, err := c.aclTest(words, pos)
	if err != nil {
		return nil, err
	}
	if c.predefined == nil {
		c.predefined = map[string]*acl{}
	}
	c.predefined[name] = &acl{name: name, tests: []aclTest{t}, need: []need{t.expr.need}}
	return c.predefined[name], nil
}

func (c *Compiler) warnUnusable(a *acl, pos config.Pos, in scope) {
	place := "frontend " + in.place
	if c.Kind == "backend" {
		place = "backend " + in.place
	}
	switch {
	case a.usable(in):
	case in.tcp():
		c.warnTCP(a, pos, in, place)
	case a.name != "":
		c.Diags.Warning(pos, "acl '%s' will never match because it only involves keywords that are incompatible with '%s'.", a.name, place)
	default:
		c.Diags.Warning(pos, "anonymous acl will never match because it uses keyword '%s' which is incompatible with '%s'.", a.tests[0].expr.name, place)
	}
}
