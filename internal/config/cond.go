package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxCondDepth bounds the recursion of a condition, as HAProxy's MAX_CFG_RECURSION.
const maxCondDepth = 1024

// condError is an error in a condition and the offset in its text at which it shows.
type condError struct {
	text string
	at   int
}

func (e *condError) Error() string { return e.text }

// ConditionError is HAProxy's whole message about a condition that cannot be evaluated.
type ConditionError string

func (e ConditionError) Error() string { return string(e) }

// EvalCondition evaluates one condition of manual section 2.4 as `-cc` receives it: one line that is first split into
// words. An empty condition is false. The error is a ConditionError.
func EvalCondition(text string, o ParseOptions) (bool, error) {
	x := newLexer(text, func(name string) (string, bool) { v, ok := o.Env[name]; return v, ok })
	x.plain = true
	x.run()
	if x.tooLong {
		return false, ConditionError("Error in condition: Line too long.")
	}
	if f := x.fault; f != nil {
		switch {
		case f.word != "":
			return false, ConditionError("Error in condition: Too many words.")
		case f.text == "unmatched quote":
			return false, ConditionError("Syntax Error in condition: Unmatched quote.")
		case strings.HasPrefix(f.text, "truncated or invalid hex"):
			return false, ConditionError("Syntax Error in condition: Truncated or invalid hexadecimal sequence.")
		}
		return false, ConditionError("Syntax Error in condition: " + f.text + ".")
	}
	ok, err := (&condEnv{o: o, env: func(name string) bool { _, set := o.Env[name]; return set }}).eval(strings.Join(x.words, " "))
	if err != nil {
		return false, ConditionError("Failed to evaluate condition: " + err.text)
	}
	return ok, nil
}

// condEnv is what predicates ask.
type condEnv struct {
	o          ParseOptions
	env        func(name string) bool
	verifyNone bool // ssl-server-verify none was seen
}

func (c *condEnv) eval(text string) (bool, *condError) {
	if text == "" {
		return false, nil
	}
	p := &condParser{text: text, env: c}
	e, err := p.or(maxCondDepth)
	if err != nil {
		return false, err
	}
	if e == nil {
		return false, p.errorf(p.pos, "unparsable conditional expression '%s'", text)
	}
	p.blanks()
	if p.pos < len(text) {
		return false, &condError{fmt.Sprintf("unexpected character '%c' at the end of conditional expression '%s'", text[p.pos], text), p.pos}
	}
	ok, err := e()
	if err != nil {
		err.at = p.pos
	}
	return ok, err
}

// condition is a parsed expression; it is evaluated from left to right and no further than needed.
type condition func() (bool, *condError)

type condParser struct {
	text string
	pos  int
	env  *condEnv
}

func (p *condParser) blanks() {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t') {
		p.pos++
	}
}

func (p *condParser) errorf(at int, format string, args ...any) *condError {
	return &condError{fmt.Sprintf(format, args...), at}
}

// or parses AND [ || OR ].
func (p *condParser) or(depth int) (condition, *condError) {
	return p.chain(depth, "||", "unparsable conditional expression '%s'", p.and, p.or, true)
}

// and parses TERM [ && AND ].
func (p *condParser) and(depth int) (condition, *condError) {
	return p.chain(depth, "&&", "unparsable conditional sub-expression '%s'", p.term, p.and, false)
}

// chain parses LEFT [ op RIGHT ]; the condition is nil when nothing is there to parse.
func (p *condParser) chain(depth int, op, broken string, left, right func(int) (condition, *condError), stop bool) (condition, *condError) {
	start := p.pos
	if start >= len(p.text) {
		return nil, nil
	}
	if depth <= 0 {
		return nil, p.errorf(start, broken, p.text[start:])
	}
	a, err := left(depth - 1)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, p.errorf(p.pos, broken, p.text[p.pos:])
	}
	p.blanks()
	if !strings.HasPrefix(p.text[p.pos:], op) {
		return a, nil
	}
	at := p.pos
	p.pos += len(op)
	p.blanks()
	b, err := right(depth - 1)
	if err != nil {
		return nil, err
	}
	if b == nil {
		p.pos = at // the operator is what cannot be understood
		return nil, nil
	}
	return func() (bool, *condError) {
		if ok, err := a(); err != nil || ok == stop {
			return ok, err
		}
		return b()
	}, nil
}

// term parses [!] INTEGER | ( OR ) | PREDICATE(ARGS); nil when nothing is left.
func (p *condParser) term(depth int) (condition, *condError) {
	start := p.pos
	p.blanks()
	if p.pos >= len(p.text) {
		p.pos = start
		return nil, nil
	}
	if depth <= 0 {
		return nil, p.errorf(start, "unparsable conditional expression '%s'", p.text[start:])
	}
	neg := false
	for p.pos < len(p.text) && p.text[p.pos] == '!' {
		neg = !neg
		p.pos++
		p.blanks()
	}
	e, err := p.atom(start, depth)
	if err != nil || !neg {
		return e, err
	}
	return func() (bool, *condError) {
		ok, err := e()
		return !ok && err == nil, err
	}, nil
}

func (p *condParser) atom(start, depth int) (condition, *condError) {
	if n, used := leadingInteger(p.text[p.pos:]); used > 0 {
		p.pos += used
		return func() (bool, *condError) { return n, nil }, nil
	}
	if p.pos < len(p.text) && p.text[p.pos] == '(' {
		p.pos++
		p.blanks()
		e, err := p.or(depth - 1)
		if err != nil {
			return nil, err
		}
		if e == nil {
			return nil, p.errorf(start, "unparsable conditional expression '%s'", p.text[start:])
		}
		p.blanks()
		if p.pos >= len(p.text) || p.text[p.pos] != ')' {
			return nil, p.errorf(start, "expected ')' after conditional expression '%s'", p.text[start:])
		}
		p.pos++
		p.blanks()
		return e, nil
	}
	return p.predicate(start)
}

// leadingInteger reads an integer as C's strtol with base 0: whether it is not zero, and how many bytes it takes.
func leadingInteger(s string) (bool, int) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	first := i
	digit := isDigit
	if strings.HasPrefix(s[i:], "0x") || strings.HasPrefix(s[i:], "0X") {
		if i+2 < len(s) && isHex(s[i+2]) {
			digit, i = isHex, i+2
		}
	} else if i < len(s) && s[i] == '0' {
		digit = func(c byte) bool { return c >= '0' && c <= '7' }
	}
	begin := i
	for i < len(s) && digit(s[i]) {
		i++
	}
	if i == first {
		return false, 0
	}
	return strings.Trim(s[begin:i], "0") != "", i
}

// predicates are the functions of a condition and the number of their arguments, all strings.
var predicates = []struct {
	name string
	args int
	eval func(c *condEnv, a []string) (bool, error)
}{
	{"defined", 1, func(c *condEnv, a []string) (bool, error) { return c.env(a[0]), nil }},
	{"feature", 1, func(c *condEnv, a []string) (bool, error) { return c.o.Features[a[0]], nil }},
	{"streq", 2, func(c *condEnv, a []string) (bool, error) { return a[0] == a[1], nil }},
	{"strneq", 2, func(c *condEnv, a []string) (bool, error) { return a[0] != a[1], nil }},
	{"strstr", 2, func(c *condEnv, a []string) (bool, error) { return strings.Contains(a[0], a[1]), nil }},
	{"version_atleast", 1, func(c *condEnv, a []string) (bool, error) { return c.versionBefore(a[0]) <= 0, nil }},
	{"version_before", 1, func(c *condEnv, a []string) (bool, error) { return c.versionBefore(a[0]) > 0, nil }},
	{"openssl_version_atleast", 1, func(c *condEnv, a []string) (bool, error) {
		n, err := c.tlsBefore(a[0])
		return n <= 0, err
	}},
	{"openssl_version_before", 1, func(c *condEnv, a []string) (bool, error) {
		n, err := c.tlsBefore(a[0])
		return n > 0, err
	}},
	{"ssllib_name_startswith", 1, func(c *condEnv, a []string) (bool, error) { return strings.HasPrefix(c.o.TLSName, a[0]), nil }},
	{"awslc_api_atleast", 1, func(c *condEnv, a []string) (bool, error) { return false, errPredicate }},
	{"awslc_api_before", 1, func(c *condEnv, a []string) (bool, error) { return false, errPredicate }},
	{"enabled", 1, func(c *condEnv, a []string) (bool, error) { return c.enabled(a[0]), nil }},
}

var errPredicate = errors.New("argument cannot be compared")

func (p *condParser) predicate(start int) (condition, *condError) {
	name := p.text[p.pos:]
	if i := strings.IndexAny(name, " ("); i >= 0 {
		name = name[:i]
	}
	for _, pred := range predicates {
		if pred.name != name {
			continue
		}
		list := parseArgs(p.text[p.pos+len(name):], pred.args)
		p.pos += len(name) + list.used
		if list.err != "" {
			return nil, p.errorf(p.pos, "%s in argument %d of predicate '%s' used in conditional expression", list.err, list.pos, name)
		}
		return func() (bool, *condError) {
			ok, err := pred.eval(p.env, list.args)
			if err != nil {
				return false, &condError{text: fmt.Sprintf("invalid argument to conditional expression predicate '%s': '%s'", name, list.args[0])}
			}
			return ok, nil
		}, nil
	}
	return nil, p.errorf(start, "unparsable conditional expression '%s'", p.text[start:])
}

// argList is a parsed argument list; err is HAProxy's text and pos the argument it names.
type argList struct {
	args []string
	used int
	err  string
	pos  int
}

// parseArgs reads "(a,b)" with exactly n string arguments (manual section 2.2, second level of quoting).
func parseArgs(s string, n int) argList {
	l := argList{}
	if !strings.HasPrefix(s, "(") {
		l.args = append(l.args, "")
		if n > 1 {
			l.err = fmt.Sprintf("missing arguments (got 1/%d), type 'string' expected", n)
		}
		l.pos = 1
		return l
	}
	i := 1
	for {
		arg, next := parseArg(s, i)
		l.args, i = append(l.args, arg), next
		if i >= len(s) || s[i] == ')' || len(l.args) >= n {
			break
		}
		i++ // the comma
	}
	l.pos, l.used = len(l.args), i
	switch {
	case len(l.args) < n:
		l.err = fmt.Sprintf("missing arguments (got %d/%d), type 'string' expected", len(l.args), n)
	case i < len(s) && s[i] == ')':
		l.used++
	default:
		l.err = "expected ')'"
		if i < len(s) {
			l.err = fmt.Sprintf("expected ')' before '%s'", s[i:])
		}
		if l.pos > 1 {
			l.pos--
		}
	}
	return l
}

// parseArg reads one argument from offset i and returns it with the offset of the ',' or ')' that ends it.
func parseArg(s string, i int) (string, int) {
	var out []byte
	squote, dquote := false, false
	for i < len(s) {
		switch c := s[i]; {
		case c == '"' && !squote:
			dquote = !dquote
		case c == '\'' && !dquote:
			squote = !squote
		case c == '\\' && !squote && i+1 < len(s):
			switch n := s[i+1]; n {
			case '\\', ' ', '"', '\'':
				out, i = append(out, n), i+1
			case 'r':
				out, i = append(out, '\r'), i+1
			case 'n':
				out, i = append(out, '\n'), i+1
			case 't':
				out, i = append(out, '\t'), i+1
			default:
				out = append(out, c)
			}
		case (c == ',' || c == ')') && !squote && !dquote:
			return string(out), i
		default:
			out = append(out, c)
		}
		i++
	}
	return string(out), i
}

func (c *condEnv) enabled(option string) bool {
	switch option {
	case "POLL", "EPOLL", "SPLICE", "GETADDRINFO", "REUSEPORT", "FAST-FORWARD":
		return true
	case "SERVER-SSL-VERIFY-NONE":
		return c.verifyNone
	}
	return false
}

// versionBefore compares a version with ours: negative when ours is newer, positive when older. As HAProxy's, a text
// that is no version counts as older than everything.
func (c *condEnv) versionBefore(text string) int {
	ours, ok := splitVersion(c.o.Version)
	if !ok {
		return -2
	}
	theirs, ok := splitVersion(text)
	if !ok {
		return -3
	}
	for i := range ours {
		if theirs[i] != ours[i] {
			if theirs[i] < ours[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// splitVersion reads A[.B[.C[.D]]][-devN|-rcN|-preN][-...-COMMITS]. A release outranks its rc and dev versions.
func splitVersion(v string) ([7]int, bool) {
	out := [7]int{4: 3}
	if v == "" {
		return out, false
	}
	rest := v
	for i := 0; ; i++ {
		n, used := strtol(rest)
		out[i], rest = n, rest[used:]
		if rest == "" {
			return out, true
		}
		if rest[0] == '-' {
			break
		}
		if rest[0] != '.' || i == 3 {
			return out, false
		}
		rest = rest[1:]
	}
	rest = rest[1:]
	for _, tag := range []struct {
		name string
		rank int
	}{{"dev", 1}, {"rc", 2}, {"pre", 2}} {
		if strings.HasPrefix(rest, tag.name) {
			n, used := strtol(rest[len(tag.name):])
			out[4], out[5], rest = tag.rank, n, rest[len(tag.name)+used:]
			if rest == "" {
				return out, true
			}
			if rest[0] != '-' {
				return out, false
			}
			rest = rest[1:]
			break
		}
	}
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		rest = rest[i+1:]
		if rest == "" {
			return out, false
		}
	}
	if n, err := strconv.Atoi(rest); err == nil {
		out[6] = n
	}
	return out, true
}

// tlsBefore compares an OpenSSL version such as 1.1.1f or 3.0.0-beta1 with the one we answer for.
func (c *condEnv) tlsBefore(text string) (int, error) {
	ours, ok1 := splitTLSVersion(c.o.TLSVersion)
	theirs, ok2 := splitTLSVersion(text)
	if !ok1 || !ok2 {
		return 0, errPredicate
	}
	for i := range ours {
		if theirs[i] != ours[i] {
			if theirs[i] < ours[i] {
				return -1, nil
			}
			return 1, nil
		}
	}
	return 0, nil
}

// splitTLSVersion gives major, minor, fix, patch letter and status (release 15, betaN N, dev 0).
func splitTLSVersion(v string) ([5]int, bool) {
	out := [5]int{4: 15}
	rest := v
	for i := range 3 {
		if rest == "" || !isDigit(rest[0]) {
			return out, false
		}
		n, used := strtol(rest)
		out[i], rest = n, rest[used:]
		if i < 2 {
			if rest == "" || rest[0] != '.' {
				return out, false
			}
			rest = rest[1:]
		}
	}
	for rest != "" && rest[0] >= 'a' && rest[0] <= 'z' {
		out[3] += int(rest[0]-'a') + 1
		rest = rest[1:]
	}
	if rest == "" {
		return out, true
	}
	if rest[0] != '-' {
		return out, false
	}
	switch rest = rest[1:]; {
	case strings.HasPrefix(rest, "dev"):
		out[4] = 0
	case strings.HasPrefix(rest, "beta"):
		out[4] = atol(rest[4:])
	}
	return out, true
}
