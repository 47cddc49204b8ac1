package rule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// evalFunc gives a fetch's value; false when it cannot be had.
type evalFunc func(s *stream.Stream, env Env) (Value, bool)

// cursor is where a fetch with several values (the lines of a header) goes on. The zero cursor starts.
type cursor struct{ field, offset int }

// eachFunc gives the value at a cursor and the cursor of the next one; false when there are no more.
type eachFunc func(s *stream.Stream, env Env, at cursor) (Value, cursor, bool)

// source is a compiled fetch. each is nil when there is at most one value; conditions try every value, all others take one.
type source struct {
	one  evalFunc
	each eachFunc
}

// convFunc makes a value from a value of the converter's input kind.
type convFunc func(s *stream.Stream, env Env, v Value) (Value, bool)

// step is one compiled converter.
type step struct {
	in stream.Kind
	do convFunc
}

// maxSteps bounds the converters of one expression, and maxValue what each may make, as tune.bufsize does in HAProxy: a
// converter that doubles its input (hex) could otherwise be repeated until memory ends. A larger value fails.
const (
	maxSteps = 64
	maxValue = 16384
)

// Expr is a compiled sample expression: a fetch and the converters behind it.
type Expr struct {
	text   string
	name   string // of the fetch
	source source
	steps  []step
	out    stream.Kind
	need   need
}

// String returns the expression as it was written.
func (x *Expr) String() string { return x.text }

// Kind returns the type of what the expression makes; KindAny when only the run tells.
func (x *Expr) Kind() stream.Kind { return x.out }

// Eval returns the expression's value; of several values (hdr without occurrence) the last one.
func (x *Expr) Eval(s *stream.Stream, env Env) (Value, bool) {
	v, ok := x.source.one(s, env)
	if !ok {
		return v, false
	}
	return x.convert(s, env, v)
}

// Text is Eval as text, valid until the stream's Reset; false when there is none.
func (x *Expr) Text(s *stream.Stream, env Env) ([]byte, bool) {
	v, ok := x.as(s, env, stream.KindStr)
	if !ok {
		return nil, false
	}
	return v.Bytes, true
}

// as is Eval as a value of a kind; false when there is none.
func (x *Expr) as(s *stream.Stream, env Env, kind stream.Kind) (Value, bool) {
	v, ok := x.Eval(s, env)
	if !ok {
		return v, false
	}
	return cast(s, v, kind)
}

func (x *Expr) convert(s *stream.Stream, env Env, v Value) (Value, bool) {
	for i := range x.steps {
		st := &x.steps[i]
		var ok bool
		if v, ok = cast(s, v, st.in); !ok {
			return v, false
		}
		if v, ok = st.do(s, env, v); !ok || len(v.Bytes) > maxValue {
			return v, false
		}
	}
	return v, true
}

// any reports whether match accepts one of the expression's values.
func (x *Expr) any(s *stream.Stream, env Env, kind stream.Kind, match matcher) bool {
	if x.source.each == nil {
		v, ok := x.Eval(s, env)
		return ok && accepts(s, v, kind, match)
	}
	at := cursor{}
	for {
		v, next, ok := x.source.each(s, env, at)
		if !ok {
			return false
		}
		if v, ok = x.convert(s, env, v); ok && accepts(s, v, kind, match) {
			return true
		}
		at = next
	}
}

func accepts(s *stream.Stream, v Value, kind stream.Kind, match matcher) bool {
	v, ok := cast(s, v, kind)
	return ok && match.match(v)
}

// Expr compiles a sample expression such as "hdr(host),lower". It reports errors to Diags and returns nil then.
func (c *Compiler) Expr(text string, pos config.Pos) *Expr {
	c.at = pos
	x, rest, err := c.parseExpr(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("missing comma after fetch keyword")
	}
	if err != nil {
		c.Diags.Alert(pos, "error in expression '%s' : %s.", text, err)
		return nil
	}
	return x
}

// parseExpr reads an expression at the start of text and returns what follows it.
func (c *Compiler) parseExpr(text string) (*Expr, string, error) {
	name, rest := identifier(text)
	if name == "" {
		return nil, rest, fmt.Errorf("missing fetch method")
	}
	f, err := findFetch(name)
	if err != nil {
		return nil, rest, err
	}
	list, rest, _, err := parseArgs(c, rest, f.args)
	if err != nil {
		return nil, rest, fmt.Errorf("fetch method '%s' : %w", name, err)
	}
	c.seen |= f.need
	x := &Expr{name: name, out: f.out, need: f.need}
	if x.source, err = f.bind(args{list, c}); err != nil {
		return nil, rest, fmt.Errorf("invalid args in fetch method '%s' : %w", name, err)
	}
	rest, err = c.parseSteps(x, rest)
	x.text = text[:len(text)-len(rest)]
	return x, rest, err
}

// parseSteps reads ",conv(args)" as often as it stands there.
func (c *Compiler) parseSteps(x *Expr, rest string) (string, error) {
	for strings.HasPrefix(rest, ",") {
		name, after := identifier(strings.TrimLeft(rest, ","))
		if name == "" && (after == "" || after[0] == ']') {
			return after, nil // trailing commas are let pass
		}
		f, err := findConverter(name)
		if err != nil {
			return after, err
		}
		if len(x.steps) == maxSteps {
			return after, fmt.Errorf("more than %d converters", maxSteps)
		}
		if !castable(x.out, f.in) {
			return after, fmt.Errorf("converter '%s' cannot be applied", name)
		}
		list, tail, at, err := parseArgs(c, after, f.args)
		if err != nil {
			return tail, fmt.Errorf("invalid arg %d in converter '%s' : %w", at+1, name, err)
		}
		do, err := f.bind(args{list, c})
		if err != nil {
			return tail, fmt.Errorf("invalid args in converter '%s' : %w", name, err)
		}
		x.steps = append(x.steps, step{f.in, do})
		if !f.same {
			x.out = f.out
		} else if !sameBytes(x.out, f.in) {
			x.out = f.in
		}
		rest = tail
	}
	return rest, nil
}

// identifier splits the name a text starts with from the rest.
func identifier(text string) (name, rest string) {
	for i := 0; i < len(text); i++ {
		if !isNameByte(text[i]) {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '-' || b == '.' || b == '+' || b == ':'
}

func findFetch(name string) (*fetch, error) {
	if f := fetches[name]; f != nil {
		return f, nil
	}
	if knownFetch(name) {
		return nil, fmt.Errorf("fetch method '%s' is not supported", name)
	}
	return nil, &unknownName{"unknown fetch method '%s'", name, slices.AppendSeq(slices.Collect(maps.Keys(fetches)), maps.Keys(derived))}
}

func findConverter(name string) (*converter, error) {
	if f := converters[name]; f != nil {
		return f, nil
	}
	if knownConverter(name) {
		return nil, fmt.Errorf("converter '%s' is not supported", name)
	}
	return nil, &unknownName{"unknown converter '%s'", name, slices.Collect(maps.Keys(converters))}
}

// unknownName is an error about a name that stands in no table.
type unknownName struct {
	format string // HAProxy's words, with a verb for the name
	name   string
	known  []string
}

func (e *unknownName) Error() string { return fmt.Sprintf(e.format, e.name) }

// Near returns the known name that was probably meant.
func (e *unknownName) Near() string {
	slices.Sort(e.known) // of two that are equally near always the same
	return config.Nearest(e.name, e.known)
}

// nearOf is what the error knows to have been meant.
func nearOf(err error) string {
	var e *unknownName
	if errors.As(err, &e) {
		return e.Near()
	}
	return ""
}
