package rule

import (
	"bytes"
	"fmt"
	"strings"

	"gatehouse/internal/stream"
)

// listConverters work on text that is a list: of items, parameters, labels or languages (manual 7.3.1).
func listConverters() []converter {
	const str = stream.KindStr
	return []converter{
		{"add_item", takes(1, argStr, argStr, argStr), str, str, false, "variable or text appended behind a delimiter, which is left out in front of the first item", bindAddItem},
		{"param", takes(1, argStr, argStr), str, str, false, "value of a parameter in a list of name=value", bindParam},
		{"reverse", noArgs, str, str, false, "bytes from last to first", pure(reverse)},
		{"reverse_dom", noArgs, str, str, false, "labels of a domain from last to first", pure(reverseDomain)},
		{"language", takes(1, argStr, argStr), str, str, false, "language of a list (a;b;c) that Accept-Language prefers, or a default", bindLanguage},
	}
}

func bindAddItem(a args) (convFunc, error) {
	delim, suffix := a.str(0), a.str(2)
	var v variable
	hasVar := a.str(1) != ""
	if hasVar {
		var err error
		if v, err = parseVar(a.str(1)); err != nil {
			return nil, fmt.Errorf("failed to register variable name '%s'", a.str(1))
		}
	} else if suffix == "" {
		return nil, fmt.Errorf("one of the optional arguments has to be nonempty")
	}
	return func(s *stream.Stream, env Env, in Value) (Value, bool) {
		var item []byte
		if hasVar {
			if val, ok := v.get(s, env); ok {
				if val, ok = cast(s, val, stream.KindStr); ok {
					item = val.Bytes
				}
			}
		}
		b := append(s.Work(), in.Bytes...)
		if len(in.Bytes) > 0 && (len(item) > 0 || suffix != "") {
			b = append(b, delim...)
		}
		return text(s.Return(append(append(b, item...), suffix...))), true
	}, nil
}

func bindParam(a args) (convFunc, error) {
	name, delim := []byte(a.str(0)), byte('&')
	if a.len() > 1 {
		if len(a.str(1)) != 1 {
			return nil, fmt.Errorf("Delimiter must be exactly 1 character.")
		}
		delim = a.str(1)[0]
	}
	return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
		for b, more := v.Bytes, true; more; {
			var part []byte
			part, b, more = cutByte(b, delim)
			if !bytes.HasPrefix(part, name) {
				continue
			}
			if rest := part[len(name):]; len(rest) == 0 && (len(part) > 0 || more) {
				return text(nil), true // the parameter stands there without a value
			} else if len(rest) > 0 && rest[0] == '=' {
				return text(rest[1:]), true
			}
		}
		return Value{}, false
	}, nil
}

func cutByte(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

func reverse(s *stream.Stream, v Value) (Value, bool) {
	b := s.Scratch(v.Bytes)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return text(b), true
}

// reverseDomain fails for a name with an empty label; one dot at the end is dropped.
func reverseDomain(s *stream.Stream, v Value) (Value, bool) {
	name := bytes.TrimSuffix(v.Bytes, []byte("."))
	if len(name) == 0 {
		return Value{}, false
	}
	b := s.Work()
	for end := len(name); ; {
		start := bytes.LastIndexByte(name[:end], '.') + 1
		if start == end {
			s.Return(b[:0])
			return Value{}, false
		}
		b = append(b, name[start:end]...)
		if start == 0 {
			return text(s.Return(b)), true
		}
		b = append(b, '.')
		end = start - 1
	}
}

func bindLanguage(a args) (convFunc, error) {
	var known [][]byte
	for l := range strings.SplitSeq(a.str(0), ";") {
		known = append(known, []byte(l))
	}
	def := []byte(a.str(1))
	return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
		best, bestQ := def, 0
		for b, more := v.Bytes, true; more && bestQ < 1000; {
			var part []byte
			part, b, more = cutByte(b, ',')
			part = bytes.TrimLeft(part, spaces)
			n := bytes.IndexAny(part, ";"+spaces)
			if n < 0 {
				n = len(part)
			}
			for _, l := range known {
				if !languageMatches(part[:n], l) {
					continue
				}
				if q := quality(part[n:]); q > bestQ {
					best, bestQ = l, q
				}
				break
			}
		}
		return text(best), len(best) > 0
	}, nil
}

const spaces = " \t\n\v\f\r"

// languageMatches: the same, or the range without its last subtags is.
func languageMatches(lang, known []byte) bool {
	for len(lang) > 0 {
		if string(lang) == string(known) {
			return true
		}
		lang = lang[:max(bytes.LastIndexByte(lang, '-'), 0)]
	}
	return false
}

// quality reads ";q=0.5" in thousandths, 1000 when there is none (RFC 9110 section 12.4.2).
func quality(b []byte) int {
	for _, want := range []byte(";q=") {
		b = bytes.TrimLeft(b, spaces)
		if len(b) == 0 || b[0] != want {
			return 1000
		}
		b = b[1:]
	}
	if b = bytes.TrimLeft(b, spaces); len(b) == 0 {
		return 1000
	}
	if b[0] != '0' {
		return 1000
	}
	q := 0
	if b = b[1:]; len(b) == 0 || b[0] != '.' {
		return 0
	}
	for i, unit := 1, 100; i < len(b) && unit > 0 && b[i] >= '0' && b[i] <= '9'; i, unit = i+1, unit/10 {
		q += int(b[i]-'0') * unit
	}
	return q
}
