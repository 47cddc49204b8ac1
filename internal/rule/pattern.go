package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// matcher tells whether a value of the match method's kind is accepted by one of the patterns.
type matcher interface{ match(v Value) bool }

// method is one match method: an entry of the table (manual 7.1).
type method struct {
	name string
	kind stream.Kind
	is   pattern.Method
}

var methods = index(func(m *method) string { return m.name }, []method{
	{"found", stream.KindAny, pattern.Found},
	{"bool", stream.KindBool, pattern.Bool},
	{"int", stream.KindInt, pattern.Int},
	{"len", stream.KindStr, pattern.Len},
	{"ip", stream.KindAddr, pattern.IP},
	{"bin", stream.KindBin, pattern.Bin},
	{"str", stream.KindStr, pattern.Str},
	{"beg", stream.KindStr, pattern.Beg},
	{"end", stream.KindStr, pattern.End},
	{"sub", stream.KindStr, pattern.Sub},
	{"dir", stream.KindStr, pattern.Dir},
	{"dom", stream.KindStr, pattern.Dom},
	{"reg", stream.KindStr, pattern.Reg},
})

// impliedMethods are those that only an old criterion name stands for; -m does not know them.
var impliedMethods = index(func(m *method) string { return m.name }, []method{
	{"meth", stream.KindMeth, pattern.Meth},
	{"ver", stream.KindInt, pattern.Ver},
})

func methodNamed(name string) *method {
	if m := methods[name]; m != nil {
		return m
	}
	return impliedMethods[name]
}

// defaultMethods is the method of an ACL that names none, by the kind of its expression.
var defaultMethods = map[stream.Kind]string{
	stream.KindBool: "bool", stream.KindInt: "int", stream.KindAddr: "ip", stream.KindIPv4: "ip", stream.KindIPv6: "ip", stream.KindStr: "str",
}

type matchFound struct{}

func (matchFound) match(Value) bool { return true }

type matchBool struct{}

func (matchBool) match(v Value) bool { return v.Int != 0 }

// matchView accepts what one set of patterns accepts, matchViews what one of several does.
type (
	matchView  struct{ view *pattern.View }
	matchViews []*pattern.View
)

func (m matchView) match(v Value) bool { return m.view.Match(v) }

func (m matchViews) match(v Value) bool {
	for _, view := range m {
		if view.Match(v) {
			return true
		}
	}
	return false
}

// newMatcher makes the matcher of a method over sets.
func newMatcher(m *method, views []*pattern.View) matcher {
	switch {
	case m.is == pattern.Found:
		return matchFound{}
	case m.is == pattern.Bool:
		return matchBool{}
	case len(views) == 1:
		return matchView{views[0]}
	}
	return matchViews(views)
}

// Patterns is the registry that the compiler's ACLs and maps use. One of its own serves a compiler that was given none.
func (c *Compiler) patterns() *pattern.Refs {
	if c.Patterns == nil {
		c.Patterns = pattern.NewRefs(c.ReadFile)
	}
	return c.Patterns
}

// here is where the line stands that is being compiled.
func (c *Compiler) here() pattern.Pos { return pattern.Pos{File: c.at.File, Line: c.at.Line} }

// setUse is what a line says of sets: "" is the patterns written in it, else the name of a file.
type setUse struct {
	pattern.Pos
	name string
}

// times counts how often the line being compiled has said this.
func (c *Compiler) times(name string) int {
	if c.uses == nil {
		c.uses = map[setUse]int{}
	}
	u := setUse{c.here(), name}
	c.uses[u]++
	return c.uses[u]
}

// inline makes the set of the patterns written in one acl expression.
func (c *Compiler) inline(criterion string, id int) (ref *pattern.Ref, again bool, err error) {
	return c.patterns().Inline(criterion, c.here(), c.times(""), id)
}

// fileSet is the set of a file or virt@ name.
func (c *Compiler) fileSet(name string, kind pattern.Kind, columns bool) (*pattern.Ref, error) {
	return c.patterns().File(name, kind, columns, c.here(), c.times("file "+name))
}

// ranges rewrites numbers behind an operator as the ranges they stand for: "gt 5" as "6:".
func ranges(words []string, version bool) ([]string, error) {
	var out []string
	op := "eq"
	for _, w := range words {
		if slices.Contains([]string{"eq", "ge", "gt", "le", "lt"}, w) {
			op = w
			continue
		}
		if op == "eq" || strings.ContainsAny(w, ":-") {
			out = append(out, w)
			continue
		}
		number, write := pattern.Number, func(n int64) string { return strconv.FormatInt(n, 10) }
		if version {
			number = pattern.Version
			write = func(n int64) string { return fmt.Sprintf("%d.%d", n>>16, n&0xffff) }
		}
		n, ok := number(w)
		if !ok {
			return nil, fmt.Errorf("'%s' is neither a number nor a supported operator", w)
		}
		switch op {
		case "ge":
			w = write(n) + ":"
		case "gt":
			w = write(addCapped(n, 1)) + ":"
		case "le":
			w = ":" + write(n)
		case "lt":
			w = ":" + write(subCapped(n, 1))
		}
		out = append(out, w)
	}
	return out, nil
}

// quotedList writes names as 'a', 'b' and so on.
func quotedList(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = "'" + n + "'"
	}
	return strings.Join(q, ", ")
}
