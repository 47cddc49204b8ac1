package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/stream"
)

// jsonConverters write text for JSON and read values out of it (manual 7.3.1).
func jsonConverters() []converter {
	const str = stream.KindStr
	return []converter{
		{"json", takes(1, argStr), str, str, false, "text as it stands in a JSON string; the input is ascii, utf8, utf8s, utf8p or utf8ps", bindJSON},
		{"json_query", takes(1, argStr, argStr), str, stream.KindAny, false, "value at a JSON path; int for a whole number", bindJSONQuery},
	}
}

// jsonInput says how bytes are read: as UTF-8 or byte by byte, and whether what is not valid is skipped or makes it fail.
type jsonInput struct {
	utf8, skip bool
	lenient    bool // overlong and surrogate forms are let pass (the "p" of utf8p)
}

var jsonInputs = map[string]jsonInput{
	"": {}, "ascii": {}, "utf8": {utf8: true}, "utf8s": {utf8: true, skip: true},
	"utf8p": {utf8: true, lenient: true}, "utf8ps": {utf8: true, skip: true, lenient: true},
}

func bindJSON(a args) (convFunc, error) {
	in, ok := jsonInputs[a.str(0)]
	if !ok {
		return nil, fmt.Errorf("Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'")
	}
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		b, src := s.Work(), v.Bytes
		for len(src) > 0 && len(b) <= maxValue {
			r, n, ok := in.next(src)
			src = src[n:]
			if !ok && !in.skip {
				s.Return(b[:0])
				return Value{}, false
			}
			if ok {
				b = appendJSONRune(b, r)
			}
		}
		return text(s.Return(b)), true
	}, nil
}

// next decodes one character. HAProxy's readings: a form longer than needed is what "p" lets pass; surrogates, U+FFFE, U+FFFF and
// what has more than 16 bits are never taken.
func (in jsonInput) next(b []byte) (r rune, n int, ok bool) {
	if !in.utf8 {
		return rune(b[0]), 1, true
	}
	r, n, ok = looseRune(b)
	if !ok || r >= 0xd800 && r <= 0xdfff || r >= 0xfffe {
		return r, n, false
	}
	return r, n, in.lenient || utf8.RuneLen(r) == n
}

// looseRune decodes a sequence of up to six bytes as UTF-8 once had them (RFC 2279), whether or not it is the shortest.
func looseRune(b []byte) (r rune, n int, ok bool) {
	if b[0] < 0x80 {
		return rune(b[0]), 1, true
	}
	more := bits.LeadingZeros8(^b[0]) - 1
	if more < 1 || more > 5 || more >= len(b) {
		return 0, 1, false
	}
	r = rune(b[0]) & (1<<(6-more) - 1)
	for n = 1; n <= more; n++ {
		if b[n]&0xc0 != 0x80 {
			return 0, n, false
		}
		r = r<<6 | rune(b[n]&0x3f)
	}
	return r, n, true
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '/': `\/`, '\b': `\b`, '\f': `\f`, '\r': `\r`, '\n': `\n`, '\t': `\t`}

func appendJSONRune(dst []byte, r rune) []byte {
	if esc := jsonEscapes[r]; esc != "" {
		return append(dst, esc...)
	}
	if r >= ' ' && r < 0x7f {
		return append(dst, byte(r))
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}

func bindJSONQuery(a args) (convFunc, error) {
	if a.str(0) == "" {
		return nil, fmt.Errorf("json_path must not be empty")
	}
	query, err := jsonQuery(a.str(0), a.str(1))
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) { return query(s, v.Bytes) }, nil
}

// jsonQuery compiles a path and the type to give ("" or "int").
func jsonQuery(path, kind string) (func(s *stream.Stream, b []byte) (Value, bool), error) {
	if kind != "" && kind != "int" {
		return nil, fmt.Errorf("output_type only supports \"int\" as argument")
	}
	steps, ok := jsonPath(path)
	if !ok {
		return func(*stream.Stream, []byte) (Value, bool) { return Value{}, false }, nil // as a path that matches nothing
	}
	return func(s *stream.Stream, b []byte) (Value, bool) {
		raw, ok := findJSON(b, steps)
		if !ok || len(raw) == 0 {
			return Value{}, false
		}
		switch raw[0] {
		case 't', 'f':
			return boolean(raw[0] == 't'), true
		case '"':
			t, _, ok := appendJSONString(s.Work(), raw)
			b := s.Return(t)
			return text(b), ok
		case '[':
			return text(raw), true
		case '{', 'n':
			return Value{}, false
		}
		return jsonNumber(s, raw, kind == "int")
	}, nil
}

// The range of whole numbers that every JSON reader knows exactly (RFC 8259 section 6).
const maxJSONInt = 1<<53 - 1

func jsonNumber(s *stream.Stream, raw []byte, whole bool) (Value, bool) {
	if whole {
		n := leadingInt(raw)
		return integer(n), n >= -maxJSONInt && n <= maxJSONInt
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return Value{}, false
	}
	var room [32]byte
	return text(s.Scratch(strconv.AppendFloat(room[:0], f, 'g', 6, 64))), true // as C's %g
}

// jsonStep is one step of a path: a member's name, or an index when name is nil.
type jsonStep struct {
	name  []byte
	index int
}

// maxJSONDepth bounds nesting, in paths and in what is read.
const maxJSONDepth = 32

// jsonPath reads $.a.b[1]; a backslash takes the next character as it is.
func jsonPath(path string) ([]jsonStep, bool) {
	if !strings.HasPrefix(path, "$") {
		return nil, false
	}
	var steps []jsonStep
	for rest := path[1:]; rest != ""; {
		if len(steps) == maxJSONDepth {
			return nil, false
		}
		if rest[0] == '[' {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, false
			}
			n, err := strconv.Atoi(rest[1:end])
			if err != nil || n < 0 {
				return nil, false
			}
			steps, rest = append(steps, jsonStep{index: n}), rest[end+1:]
			continue
		}
		if rest[0] != '.' {
			return nil, false
		}
		name, i := []byte{}, 1
		for ; i < len(rest) && rest[i] != '.' && rest[i] != '['; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			name = append(name, rest[i])
		}
		steps, rest = append(steps, jsonStep{name: name}), rest[i:]
	}
	return steps, true
}

// findJSON returns the bytes of the value that steps lead to.
func findJSON(b []byte, steps []jsonStep) ([]byte, bool) {
	b = trimJSON(b)
	for _, st := range steps {
		var ok bool
		if st.name != nil {
			b, ok = jsonMember(b, st.name)
		} else {
			b, ok = jsonItem(b, st.index)
		}
		if !ok {
			return nil, false
		}
	}
	rest, ok := skipJSON(b, 0)
	return b[:len(b)-len(rest)], ok
}

func trimJSON(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// jsonMember goes to the value of a member of the object that b starts with.
func jsonMember(b, name []byte) ([]byte, bool) {
	if len(b) == 0 || b[0] != '{' {
		return nil, false
	}
	for b = trimJSON(b[1:]); len(b) > 0 && b[0] == '"'; {
		rest, ok := skipJSON(b, 0)
		if !ok {
			return nil, false
		}
		key := b[1 : len(b)-len(rest)-1]
		if b = trimJSON(rest); len(b) == 0 || b[0] != ':' {
			return nil, false
		}
		if b = trimJSON(b[1:]); bytes.Equal(key, name) {
			return b, true
		}
		if b, ok = skipJSON(b, 0); !ok {
			return nil, false
		}
		if b = trimJSON(b); len(b) == 0 || b[0] != ',' {
			return nil, false
		}
		b = trimJSON(b[1:])
	}
	return nil, false
}

// jsonItem goes to an item of the array that b starts with.
func jsonItem(b []byte, index int) ([]byte, bool) {
	if len(b) == 0 || b[0] != '[' {
		return nil, false
	}
	for b = trimJSON(b[1:]); len(b) > 0 && b[0] != ']'; index-- {
		if index == 0 {
			return b, true
		}
		var ok bool
		if b, ok = skipJSON(b, 0); !ok {
			return nil, false
		}
		if b = trimJSON(b); len(b) == 0 || b[0] != ',' {
			return nil, false
		}
		b = trimJSON(b[1:])
	}
	return nil, false
}

// skipJSON returns what follows the value that b starts with.
func skipJSON(b []byte, depth int) (rest []byte, ok bool) {
	if len(b) == 0 || depth > maxJSONDepth {
		return nil, false
	}
	switch b[0] {
	case '"':
		for i := 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				return b[i+1:], true
			}
		}
		return nil, false
	case '{', '[':
		return skipJSONList(b, depth)
	}
	end := 0
	for end < len(b) && !strings.ContainsRune(",]} \t\r\n", rune(b[end])) {
		end++
	}
	return b[end:], json.Valid(b[:end])
}

func skipJSONList(b []byte, depth int) (rest []byte, ok bool) {
	object, end := b[0] == '{', b[0]+2
	b = trimJSON(b[1:])
	if len(b) > 0 && b[0] == end {
		return b[1:], true
	}
	for {
		if object {
			if len(b) == 0 || b[0] != '"' {
				return nil, false
			}
			if b, ok = skipJSON(b, depth+1); !ok {
				return nil, false
			}
			if b = trimJSON(b); len(b) == 0 || b[0] != ':' {
				return nil, false
			}
			b = trimJSON(b[1:])
		}
		if b, ok = skipJSON(b, depth+1); !ok {
			return nil, false
		}
		if b = trimJSON(b); len(b) == 0 {
			return nil, false
		}
		switch b[0] {
		case end:
			return b[1:], true
		case ',':
			b = trimJSON(b[1:])
		default:
			return nil, false
		}
	}
}

// appendJSONString unescapes the string that b starts with.
func appendJSONString(dst, b []byte) (out, rest []byte, ok bool) {
	rest, ok = skipJSON(b, 0)
	if !ok {
		return dst, nil, false
	}
	raw := b[:len(b)-len(rest)]
	if bytes.IndexByte(raw, '\\') < 0 {
		return append(dst, raw[1:len(raw)-1]...), rest, true
	}
	var t string
	if json.Unmarshal(raw, &t) != nil {
		return dst, nil, false
	}
	return append(dst, t...), rest, true
}
