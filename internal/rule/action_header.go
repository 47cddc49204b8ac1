package rule

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"gatehouse/internal/stream"
)

func headerActions() []action {
	return []action{
		{"set-header", atAll, "replace all lines of a field by one", bindSetHeader(true)},
		{"add-header", atAll, "add a line", bindSetHeader(false)},
		{"del-header", atAll, "remove fields by name, or by -m beg, end, sub, reg", bindDelHeader},
		{"replace-header", atAll, "replace lines that match a regular expression", bindReplace(true)},
		{"replace-value", atAll, "replace comma-separated values that match", bindReplace(false)},
	}
}

// framingFields say where a message ends and what happens to its connection. The codec writes them from the message's facts;
// a rule that wrote its own would let two readers disagree (RFC 9112 section 11.2).
var framingFields = map[string]bool{"content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"proxy-connection": true, "upgrade": true}

// fieldName checks a name that a rule writes.
func fieldName(name string) ([]byte, error) {
	if name == "" {
		return nil, fmt.Errorf("empty header name")
	}
	for i := 0; i < len(name); i++ {
		if b := name[i]; !isAlnum(b) && strings.IndexByte("!#$%&'*+-.^_`|~", b) < 0 {
			return nil, fmt.Errorf("header name '%s' contains a character that is not allowed in names", name)
		}
	}
	name = strings.ToLower(name)
	if framingFields[name] {
		return nil, fmt.Errorf("setting '%s' is not supported: it is written from what is known of the message", name)
	}
	return []byte(name), nil
}

// fieldFormat compiles a field's value; a constant that could not be a value is refused.
func (p *ruleParser) fieldFormat(text string) (*Format, error) {
	f, err := p.httpFormat(text)
	if err != nil {
		return nil, err
	}
	for _, n := range f.nodes {
		if !headerSafe([]byte(n.lit)) {
			return nil, fmt.Errorf("a header value must not contain CR, LF or NUL")
		}
	}
	return f, nil
}

// fieldValue makes a field's value. Expressions were percent-encoded on the way; what else might slip through (a replacement
// with \x0a) is dropped here, the one door for values.
func fieldValue(b []byte) []byte {
	if headerSafe(b) {
		return b
	}
	w := 0
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			b[w] = c
			w++
		}
	}
	return b[:w]
}

func bindSetHeader(replace bool) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		w, err := p.take(2, "expects exactly 2 arguments")
		if err != nil {
			return nil, err
		}
		name, err := fieldName(w[0])
		if err != nil {
			return nil, err
		}
		f, err := p.fieldFormat(w[1])
		if err != nil {
			return nil, err
		}
		key := string(name)
		return func(s *stream.Stream, env Env) Verdict {
			value := fieldValue(f.bytes(s, env))
			fields := p.fields(s)
			if replace {
				s.Room.Take(-fieldBytes(*fields, key))
				p.drop(s, func(name []byte) bool { return string(name) == key })
			}
			if crowded(s, *fields, len(name)+len(value)+4) {
				return overflow(s)
			}
			*fields = append(*fields, stream.Field{Name: name, Value: value})
			return goOn
		}, nil
	}
}

// fieldBytes is the room that the lines of a field take.
func fieldBytes(fields []stream.Field, name string) int {
	n := 0
	for i := range fields {
		if string(fields[i].Name) == name {
			n += len(name) + len(fields[i].Value) + 4
		}
	}
	return n
}

func bindDelHeader(p *ruleParser) (actionFunc, error) {
	name, ok := p.next()
	if !ok {
		return nil, fmt.Errorf("expects at least 1 argument")
	}
	lower := strings.ToLower(name)
	test := func(b []byte) bool { return string(b) == lower }
	if len(p.words) > 0 && p.words[0] == "-m" {
		p.next()
		method, _ := p.next()
		switch method {
		case "str":
		case "beg":
			test = func(b []byte) bool { return bytes.HasPrefix(b, []byte(lower)) }
		case "end":
			test = func(b []byte) bool { return bytes.HasSuffix(b, []byte(lower)) }
		case "sub":
			test = func(b []byte) bool { return bytes.Contains(b, []byte(lower)) }
		case "reg":
			re, err := compileRegex(name, true)
			if err != nil {
				return nil, err
			}
			test = re.Match
		default:
			return nil, fmt.Errorf("-m with unsupported matching method '%s'", method)
		}
	}
	return func(s *stream.Stream, _ Env) Verdict {
		p.drop(s, test)
		return goOn
	}, nil
}

// drop removes fields by name, and keeps the place of the one that delimits the body.
func (p *ruleParser) drop(s *stream.Stream, test func(name []byte) bool) {
	fields, at := &s.Req.Fields, &s.Req.LengthAt
	if p.at != atRequest {
		fields, at = &s.Res.Fields, &s.Res.LengthAt
	}
	w, before := 0, *at
	for i, f := range *fields {
		if test(f.Name) {
			if i < before {
				*at--
			}
			continue
		}
		(*fields)[w] = f
		w++
	}
	*fields = (*fields)[:w]
}

// bindReplace makes replace-header (whole lines) and replace-value (each value of a line). What matches is replaced as a whole.
func bindReplace(full bool) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		w, err := p.take(3, "expects exactly 3 arguments")
		if err != nil {
			return nil, err
		}
		name, err := fieldName(w[0])
		if err != nil {
			return nil, err
		}
		re, f, err := p.replacement(w[1], w[2])
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env) Verdict {
			fields := p.fields(s)
			for i := range *fields {
				field := &(*fields)[i]
				if string(field.Name) != string(name) || !full && !re.Match(field.Value) {
					continue
				}
				value := field.Value
				if full {
					value = replaceWhole(s, env, value, re, f)
				} else {
					value = replaceValues(s, env, value, re, f)
				}
				if crowded(s, nil, len(value)-len(field.Value)) {
					return overflow(s)
				}
				field.Value = value
			}
			return goOn
		}, nil
	}
}

// replacement compiles the regular expression and the format of a replace rule.
func (p *ruleParser) replacement(pattern, with string) (*regexp.Regexp, *Format, error) {
	re, err := compileRegex(pattern, false)
	if err != nil {
		return nil, nil, err
	}
	f, err := p.fieldFormat(with)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := f.constant(); ok {
		err = checkTemplate(t)
	}
	return re, f, err
}

// replaceWhole returns the replacement for b, or b when it does not match.
func replaceWhole(s *stream.Stream, env Env, b []byte, re *regexp.Regexp, f *Format) []byte {
	if !re.Match(b) {
		return b
	}
	m := re.FindSubmatchIndex(b)
	tpl := f.bytes(s, env)
	return fieldValue(s.Return(expand(s.Work(), tpl, b, m)))
}

func replaceValues(s *stream.Stream, env Env, line []byte, re *regexp.Regexp, f *Format) []byte {
	var out []byte
	for {
		end := valueEnd(line)
		if value := bytes.Trim(line[:end], " \t"); re.Match(value) { // the blanks around it go too
			out = append(out, replaceWhole(s, env, value, re, f)...)
		} else {
			out = append(out, line[:end]...)
		}
		if end == len(line) {
			return s.Scratch(out)
		}
		out = append(out, ',')
		line = line[end+1:]
	}
}
