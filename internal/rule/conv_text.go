package rule

import (
	"bytes"
	"fmt"
	"strings"

	"gatehouse/internal/stream"
)

// textConverters cut and change text (manual 7.3.1).
func textConverters() []converter {
	const str, num = stream.KindStr, stream.KindInt
	return []converter{
		{"lower", noArgs, str, str, false, "ASCII letters in lower case", pure(mapBytes(lowerByte))},
		{"upper", noArgs, str, str, false, "ASCII letters in upper case", pure(mapBytes(upperByte))},
		{"length", noArgs, str, num, false, "number of bytes", pure(func(_ *stream.Stream, v Value) (Value, bool) { return integer(int64(len(v.Bytes))), true })},
		{"field", takes(2, argInt, argStr, argInt), str, str, false, "n-th field between delimiters, from the end when negative; several of them with a third argument", bindCut(field)},
		{"word", takes(2, argInt, argStr, argInt), str, str, false, "n-th word between runs of delimiters, as field", bindCut(word)},
		{"concat", takes(1, argStr, argStr, argStr), str, str, false, "text, a variable and text appended", bindConcat},
		{"regsub", takes(2, argStr, argStr, argStr), str, str, false, "first match of a regular expression replaced; flags g (all) and i (any case)", bindRegsub},
		{"ltrim", takes(1, argStr), str, str, false, "bytes of a set removed in front", bindTrim(bytes.TrimLeft)},
		{"rtrim", takes(1, argStr), str, str, false, "bytes of a set removed at the end", bindTrim(bytes.TrimRight)},
		{"cut_crlf", noArgs, str, str, false, "up to the first line break", pure(cutCRLF)},
		{"strcmp", takes(1, argStr), str, num, false, "comparison with a variable: below 0, 0, or above", bindStrcmp},
		{"host_only", noArgs, str, str, false, "host without port, in lower case", pure(hostOnly)},
		{"port_only", noArgs, str, num, false, "port behind a host, 0 when there is none", pure(portOnly)},
		{"iif", takes(2, argStr, argStr), stream.KindBool, str, false, "one text for true, another for false", bindIif},
		{"bytes", takes(1, argStr, argStr), stream.KindBin, stream.KindBin, false, "bytes from an offset, up to a length", bindBytes},
	}
}

func mapBytes(f func(byte) byte) func(*stream.Stream, Value) (Value, bool) {
	return func(s *stream.Stream, v Value) (Value, bool) {
		for i, b := range v.Bytes {
			if f(b) != b { // usually nothing is to be done
				w := s.Scratch(v.Bytes)
				for ; i < len(w); i++ {
					w[i] = f(w[i])
				}
				return text(w), true
			}
		}
		return v, true
	}
}

func upperByte(b byte) byte {
	if b >= 'a' && b <= 'z' {
		return b + 'A' - 'a'
	}
	return b
}

// bindCut makes field and word: cut gets the number, the delimiters and the count.
func bindCut(cut func(b []byte, n int64, delims string, count int64) ([]byte, bool)) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		n, delims, count := a.num(0, 0), a.str(1), a.num(2, 1)
		if n == 0 {
			return nil, fmt.Errorf("Unexpected value 0 for index")
		}
		if delims == "" {
			return nil, fmt.Errorf("Empty separators list")
		}
		if count < 0 {
			return nil, fmt.Errorf("expects a non-negative number of fields")
		}
		return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
			b, ok := cut(v.Bytes, n, delims, count)
			return text(b), ok
		}, nil
	}
}

// field returns fields n to n+count-1 (count 0: to the end) with the delimiters between them. Negative n counts from the end,
// and further fields are added in front.
func field(b []byte, n int64, delims string, count int64) ([]byte, bool) {
	switch {
	case n == 0:
		return nil, false
	case n < 0:
		end := len(b)
		for ; n < -1; n++ {
			if end = bytes.LastIndexAny(b[:end], delims); end < 0 {
				return nil, false
			}
		}
		start := end
		for more := true; more; count-- {
			start = bytes.LastIndexAny(b[:max(start, 0)], delims)
			more = start >= 0 && count != 1
		}
		return b[start+1 : end], true
	}
	start := 0
	for ; n > 1; n-- {
		i := bytes.IndexAny(b[start:], delims)
		if i < 0 {
			return nil, false
		}
		start += i + 1
	}
	end := start
	for ; ; count-- {
		i := bytes.IndexAny(b[end:], delims)
		if i < 0 {
			return b[start:], true
		}
		if end += i; count == 1 {
			return b[start:end], true
		}
		end++
	}
}

// word is field with runs of delimiters taken as one, and delimiters at the ends ignored.
func word(b []byte, n int64, delims string, count int64) ([]byte, bool) {
	isDelim := func(i int) bool { return strings.IndexByte(delims, b[i]) >= 0 }
	if n < 0 {
		for end := len(b); ; {
			for end > 0 && isDelim(end-1) {
				end--
			}
			start := end
			for start > 0 && !isDelim(start-1) {
				start--
			}
			if start == end {
				return nil, false
			}
			if n++; n == 0 {
				for ; count != 1; count-- { // further words in front
					next := start
					for next > 0 && isDelim(next-1) {
						next--
					}
					if next == 0 {
						return b[:end], true
					}
					for start = next; start > 0 && !isDelim(start-1); {
						start--
					}
				}
				return b[start:end], true
			}
			end = start
		}
	}
	for start := 0; n > 0; {
		for start < len(b) && isDelim(start) {
			start++
		}
		end := start
		for end < len(b) && !isDelim(end) {
			end++
		}
		if start == end {
			return nil, false
		}
		if n--; n == 0 {
			for ; count != 1; count-- {
				next := end
				for next < len(b) && isDelim(next) {
					next++
				}
				if next == len(b) {
					return b[start:], true
				}
				for end = next; end < len(b) && !isDelim(end); {
					end++
				}
			}
			return b[start:end], true
		}
		start = end
	}
	return nil, false
}

func bindConcat(a args) (convFunc, error) {
	before, after := a.str(0), a.str(2)
	var v variable
	hasVar := a.str(1) != ""
	if hasVar {
		var err error
		if v, err = parseVar(a.str(1)); err != nil {
			return nil, fmt.Errorf("failed to register variable name '%s'", a.str(1))
		}
	}
	return func(s *stream.Stream, env Env, in Value) (Value, bool) {
		b := append(append(s.Work(), in.Bytes...), before...)
		if hasVar {
			if val, ok := v.get(s, env); ok {
				if val, ok = cast(s, val, stream.KindStr); ok {
					b = append(b, val.Bytes...)
				}
			}
		}
		return text(s.Return(append(b, after...))), true
	}, nil
}

func bindTrim(trim func([]byte, string) []byte) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		set := a.str(0)
		return func(_ *stream.Stream, _ Env, v Value) (Value, bool) { return text(trim(v.Bytes, set)), true }, nil
	}
}

func cutCRLF(_ *stream.Stream, v Value) (Value, bool) {
	if i := bytes.IndexAny(v.Bytes, "\r\n"); i >= 0 {
		return text(v.Bytes[:i]), true
	}
	return v, true
}

func bindStrcmp(a args) (convFunc, error) {
	other, err := parseVar(a.str(0))
	if err != nil {
		return nil, fmt.Errorf("failed to register variable name '%s'", a.str(0))
	}
	return func(s *stream.Stream, env Env, v Value) (Value, bool) {
		o, ok := other.get(s, env)
		if ok {
			o, ok = cast(s, o, stream.KindStr)
		}
		return integer(compareBytes(v.Bytes, o.Bytes)), ok
	}, nil
}

// compareBytes returns the difference of the first bytes that differ, else -1, 0 or 1 by length.
func compareBytes(a, b []byte) int64 {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int64(a[i]) - int64(b[i])
		}
	}
	switch {
	case len(a) < len(b):
		return -1
	case len(a) > len(b):
		return 1
	}
	return 0
}

// portAt returns the index of the ":" before a port, -1 when there is none.
func portAt(b []byte) int {
	if i := bytes.LastIndexAny(b, ":]"); i >= 0 && b[i] == ':' {
		return i
	}
	return -1
}

func hostOnly(s *stream.Stream, v Value) (Value, bool) {
	if i := portAt(v.Bytes); i >= 0 {
		v = text(v.Bytes[:i])
	}
	return mapBytes(lowerByte)(s, v)
}

func portOnly(_ *stream.Stream, v Value) (Value, bool) {
	i := portAt(v.Bytes)
	if i < 0 {
		return integer(0), true
	}
	return integer(leadingInt(v.Bytes[i+1:])), true
}

func bindIif(a args) (convFunc, error) {
	yes, no := text([]byte(a.str(0))), text([]byte(a.str(1)))
	return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
		if v.Int != 0 {
			return yes, true
		}
		return no, true
	}, nil
}

func bindBytes(a args) (convFunc, error) {
	from, err := parseOperand(a.str(0))
	if err != nil {
		return nil, err
	}
	if !from.isVar && from.num < 0 {
		return nil, fmt.Errorf("expects a non-negative integer")
	}
	length := operand{num: 1<<63 - 1}
	if a.len() > 1 {
		if length, err = parseOperand(a.str(1)); err != nil {
			return nil, err
		}
		if !length.isVar && length.num <= 0 {
			return nil, fmt.Errorf("expects a positive integer")
		}
	}
	return func(s *stream.Stream, env Env, v Value) (Value, bool) {
		i, ok1 := from.value(s, env)
		n, ok2 := length.value(s, env)
		if !ok1 || !ok2 || i < 0 || n < 0 {
			return Value{}, false
		}
		i = min(i, int64(len(v.Bytes)))
		return binval(v.Bytes[i : i+min(n, int64(len(v.Bytes))-i)]), true
	}, nil
}
