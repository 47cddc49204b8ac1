package rule

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/stream"
)

// encoding is what +json and +cbor ask for: of a whole format when they stand in %o, of one item otherwise (manual 8.2.6).
type encoding uint8

const (
	encodePlain encoding = iota
	encodeJSON
	encodeCBOR // RFC 8949
)

// label is what stands between % and an item: %(name:type).
type label struct {
	name string
	kind stream.Kind // KindAny: as it comes
}

var labelKinds = map[string]stream.Kind{"": stream.KindAny, "str": stream.KindStr, "sint": stream.KindInt, "bool": stream.KindBool}

func parseLabel(text string) (label, error) {
	name, kind, _ := strings.Cut(text, ":")
	k, ok := labelKinds[kind]
	if !ok {
		return label{}, fmt.Errorf("unexpected output type '%s' for item '%s'", kind, name)
	}
	return label{name, k}, nil
}

// numberAliases are the aliases whose encoded value is a number.
var numberAliases = func() map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq("bp cp fp sp Ts ms Th Ti TR Tq Tw Tc Tr Td Ta Tt Tu ST B U ac fc bc sc rc sq bq rt lc pid") {
		m[n] = true
	}
	return m
}()

// aliasValue makes a value of what an alias writes when no flag is set. An empty text is no value.
func aliasValue(write appender, number bool) evalFunc {
	return func(s *stream.Stream, env Env) (Value, bool) {
		b := s.Build(func(dst []byte) []byte { return write(dst, s, env) })
		if n, ok := wholeInt(string(bytes.TrimPrefix(b, []byte("+")))); ok && number {
			return integer(n), true
		}
		return text(b), len(b) > 0
	}
}

// appendItem writes one encoded value.
func appendItem(dst []byte, s *stream.Stream, env Env, n *node, o options) []byte {
	v, ok := n.value(s, env)
	if ok && n.label.kind != stream.KindAny {
		v, ok = cast(s, v, n.label.kind)
	}
	if ok && v.Kind != stream.KindBool && v.Kind != stream.KindInt && !(v.Kind == stream.KindBin && o.bin) {
		v, ok = cast(s, v, stream.KindStr)
	}
	if o.encoding == encodeCBOR {
		return appendCBOR(dst, v, ok, o.bin)
	}
	return appendJSON(dst, v, ok, n.expr)
}

// appendJSON writes null for no value, as HAProxy "" for an expression without one.
func appendJSON(dst []byte, v Value, ok, expr bool) []byte {
	switch {
	case !ok && expr:
		return append(dst, `""`...)
	case !ok:
		return append(dst, "null"...)
	case v.Kind == stream.KindBool:
		return strconv.AppendBool(dst, v.Int != 0)
	case v.Kind == stream.KindInt:
		return strconv.AppendInt(dst, v.Int, 10)
	}
	return appendJSONText(dst, v.Bytes)
}

// appendJSONText writes a JSON string. Bytes that are no UTF-8 are written as the characters of their numbers, so that the line stays
// JSON whatever a client sent.
func appendJSONText(dst, b []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1:
			dst = append(dst, '\\', 'u', '0', '0', digits[b[0]>>4], digits[b[0]&15])
		default:
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return append(dst, '"')
}

// The major types and simple values of CBOR (RFC 8949 section 3).
const (
	cborUnsigned, cborNegative, cborBytes, cborText = 0 << 5, 1 << 5, 2 << 5, 3 << 5
	cborFalse, cborTrue, cborNull                   = 0xf4, 0xf5, 0xf6
	cborMap, cborBreak                              = 0xbf, 0xff // of no announced length
)

func appendCBOR(dst []byte, v Value, ok, bin bool) []byte {
	switch {
	case !ok:
		return append(dst, cborNull)
	case v.Kind == stream.KindBool:
		return append(dst, byte(cborFalse+v.Int))
	case v.Kind == stream.KindInt && v.Int < 0:
		return appendCBORHead(dst, cborNegative, uint64(-1-v.Int))
	case v.Kind == stream.KindInt:
		return appendCBORHead(dst, cborUnsigned, uint64(v.Int))
	case v.Kind == stream.KindBin && bin:
		return append(appendCBORHead(dst, cborBytes, uint64(len(v.Bytes))), v.Bytes...)
	}
	return append(appendCBORHead(dst, cborText, uint64(len(v.Bytes))), v.Bytes...)
}

// appendCBORHead writes a major type and its argument in the fewest bytes.
func appendCBORHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n < 1<<8:
		return append(dst, major|24, byte(n))
	case n < 1<<16:
		return append(dst, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return append(dst, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, major|27)
	for shift := 56; shift >= 0; shift -= 8 {
		dst = append(dst, byte(n>>shift))
	}
	return dst
}

// appendEncodedMap writes the named items of a format whose %o asks for an encoding. Items that would make it too long are left out.
func (f *Format) appendEncodedMap(dst []byte, s *stream.Stream, env Env) []byte {
	start, cbor, first := len(dst), f.whole.encoding == encodeCBOR, true
	if cbor {
		dst = append(dst, cborMap)
	} else {
		dst = append(dst, '{')
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.value == nil || n.label.name == "" {
			continue
		}
		before := len(dst)
		if cbor {
			dst = append(appendCBORHead(dst, cborText, uint64(len(n.label.name))), n.label.name...)
		} else {
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			dst = append(appendJSONText(dst, []byte(n.label.name)), ": "...)
		}
		if dst = appendItem(dst, s, env, n, f.whole); len(dst)-start >= maxFormat {
			dst = dst[:before]
			break
		}
	}
	if !cbor {
		return append(dst, '}')
	}
	dst = append(dst, cborBreak)
	if f.whole.bin {
		return dst
	}
	return hexInPlace(dst, start)
}

// hexInPlace turns what stands behind start into hexadecimal digits.
func hexInPlace(dst []byte, start int) []byte {
	n := len(dst) - start
	dst = append(dst, dst[start:]...)
	for i := n - 1; i >= 0; i-- {
		c := dst[start+i]
		dst[start+2*i], dst[start+2*i+1] = hexDigits[c>>4], hexDigits[c&15]
	}
	return dst
}

// Binary reports whether the format writes bytes that are no text (+bin).
func (f *Format) Binary() bool { return f != nil && f.whole.bin && f.whole.encoding != encodePlain }
