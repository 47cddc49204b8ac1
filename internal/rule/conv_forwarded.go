package rule

import (
	"bytes"
	"strconv"

	"gatehouse/internal/stream"
)

// forwardedConverters take the Forwarded header apart and make its nodes (RFC 7239 sections 4 and 6).
func forwardedConverters() []converter {
	const str, any = stream.KindStr, stream.KindAny
	return []converter{
		{"rfc7239_is_valid", noArgs, str, stream.KindBool, false, "one element of Forwarded that HAProxy understands", pure(func(_ *stream.Stream, v Value) (Value, bool) {
			_, ok := parseForwarded(v.Bytes)
			return boolean(ok), true
		})},
		{"rfc7239_field", takes(1, argStr), str, str, false, "value of for, by, host or proto in an element of Forwarded", bindForwardedField},
		{"rfc7239_n2nn", noArgs, str, any, false, "address or name of a node", pure(nodeName)},
		{"rfc7239_n2np", noArgs, str, any, false, "port of a node", pure(nodePort)},
		{"rfc7239_nn", noArgs, any, str, false, "node name of an address, or of text, which becomes an obfuscated name", pure(makeNodeName)},
		{"rfc7239_np", noArgs, any, str, false, "node port of a number, or of text, which becomes an obfuscated port", pure(makeNodePort)},
	}
}

// forwardedNames are the parameters of an element; forwarded holds their values in the same order.
var forwardedNames = [4]string{"for", "by", "host", "proto"}

type forwarded [4][]byte

func (f *forwarded) full() bool { return f.known() == len(f) }

func (f *forwarded) known() (n int) {
	for _, v := range f {
		if v != nil {
			n++
		}
	}
	return n
}

// parseForwarded reads "for=...;by=...;host=...;proto=..." in any order, each at most once. As in HAProxy there is no blank and no
// other parameter.
func parseForwarded(b []byte) (f forwarded, ok bool) {
	for more := len(b) > 0; more; {
		name, rest, found := cutByte(b, '=')
		i := forwardedIndex(name)
		if !found || i < 0 || f[i] != nil || len(rest) == 0 {
			return f, false
		}
		quoted := rest[0] == '"'
		if quoted {
			rest = rest[1:]
		}
		after, ok := skipForwarded(i, rest, quoted)
		if !ok {
			return f, false
		}
		f[i] = rest[: len(rest)-len(after) : len(rest)]
		if quoted {
			if len(after) == 0 || after[0] != '"' {
				return f, false
			}
			after = after[1:]
		}
		if more = len(after) > 0; more {
			if after[0] != ';' {
				return f, false
			}
			after = after[1:]
		}
		if b = after; f.full() {
			break // HAProxy does not look further
		}
	}
	return f, f.known() > 0
}

func forwardedIndex(name []byte) int {
	for i, n := range forwardedNames {
		if string(name) == n {
			return i
		}
	}
	return -1
}

// skipForwarded returns what follows the value of parameter i.
func skipForwarded(i int, b []byte, quoted bool) ([]byte, bool) {
	switch forwardedNames[i] {
	case "host":
		return skipForwardedHost(b, quoted)
	case "proto":
		after, ok := bytes.CutPrefix(b, []byte("http"))
		if !ok {
			return b, false
		}
		return bytes.TrimPrefix(after, []byte("s")), true
	}
	_, after, ok := parseNode(b, quoted)
	return after, ok
}

func skipForwardedHost(b []byte, quoted bool) ([]byte, bool) {
	after := b
	if quoted && b[0] == '[' {
		var ok bool
		if _, after, ok = bracketed(b); !ok {
			return b, false
		}
	} else {
		for len(after) > 0 && (isAlnum(after[0]) || after[0] == '.') {
			after = after[1:]
		}
	}
	if len(after) == 0 || after[0] != ':' {
		return after, true
	}
	_, after, ok := nodeNumber(after[1:])
	return after, ok && quoted
}

// forwardedNode is one parsed node: its name is an address, or text ("unknown" and obfuscated ones); its port a number, text, or absent.
type forwardedNode struct {
	name Value
	port Value // Kind KindAny: there is none
}

func parseNode(b []byte, quoted bool) (n forwardedNode, after []byte, ok bool) {
	if len(b) == 0 {
		return n, b, false
	}
	switch {
	case b[0] == '_':
		if after, ok = skipObfuscated(b[1:]); !ok {
			return n, b, false
		}
		n.name = text(b[:len(b)-len(after)])
	case b[0] == 'u':
		if after, ok = bytes.CutPrefix(b, []byte("unknown")); !ok {
			return n, b, false
		}
		n.name = text(b[:len("unknown")])
	case quoted && b[0] == '[':
		if n.name, after, ok = bracketed(b); !ok {
			return n, b, false
		}
	default:
		after = bytes.TrimLeft(b, "0123456789.")
		a, valid := parseAddr(b[:len(b)-len(after)])
		if !valid || !a.Is4() {
			return n, b, false
		}
		n.name = address(a)
	}
	if len(after) == 0 || after[0] != ':' {
		return n, after, true
	}
	port := after[1:]
	if !quoted || len(port) == 0 {
		return n, b, false
	}
	if port[0] == '_' {
		after, ok = skipObfuscated(port[1:])
		n.port = text(port[:len(port)-len(after)])
		return n, after, ok
	}
	n.port, after, ok = nodeNumber(port)
	return n, after, ok
}

// bracketed reads [IPv6].
func bracketed(b []byte) (Value, []byte, bool) {
	end := bytes.IndexByte(b, ']')
	if end < 0 {
		return Value{}, b, false
	}
	a, ok := parseAddr(b[1:end])
	if !ok || !a.Is6() {
		return Value{}, b, false
	}
	return address(a), b[end+1:], true
}

func nodeNumber(b []byte) (Value, []byte, bool) {
	after := bytes.TrimLeft(b, "0123456789")
	n := leadingInt(b[:len(b)-len(after)])
	return integer(n), after, n > 0 && n < 1<<16
}

// skipObfuscated passes the letters of an obfuscated name or port; there must be one.
func skipObfuscated(b []byte) ([]byte, bool) {
	i := 0
	for i < len(b) && (isAlnum(b[i]) || b[i] == '.' || b[i] == '-' || b[i] == '_') {
		i++
	}
	return b[i:], i > 0
}

func bindForwardedField(a args) (convFunc, error) {
	i := forwardedIndex([]byte(a.str(0)))
	if i < 0 { // HAProxy takes any word and finds nothing
		return func(*stream.Stream, Env, Value) (Value, bool) { return Value{}, false }, nil
	}
	return func(_ *stream.Stream, _ Env, v Value) (Value, bool) {
		f, ok := parseForwarded(v.Bytes)
		return text(f[i]), ok && f[i] != nil
	}, nil
}

func nodeName(_ *stream.Stream, v Value) (Value, bool) {
	n, _, ok := parseNode(v.Bytes, true)
	return n.name, ok
}

func nodePort(_ *stream.Stream, v Value) (Value, bool) {
	n, _, ok := parseNode(v.Bytes, true)
	return n.port, ok && n.port.Kind != stream.KindAny
}

func makeNodeName(s *stream.Stream, v Value) (Value, bool) {
	switch v.Kind {
	case stream.KindIPv4:
		return cast(s, v, stream.KindStr)
	case stream.KindIPv6:
		var room [64]byte
		b := append(appendAddr(append(room[:0], '['), v.Addr), ']')
		return text(s.Scratch(b)), true
	}
	v, ok := cast(s, v, stream.KindStr)
	if ok && len(v.Bytes) == 0 {
		return textOf(s, "unknown"), true
	}
	return obfuscated(s, v, ok)
}

func makeNodePort(s *stream.Stream, v Value) (Value, bool) {
	if v.Kind == stream.KindInt {
		var room [20]byte
		return text(s.Scratch(strconv.AppendUint(room[:0], uint64(uint32(v.Int)), 10))), true
	}
	v, ok := cast(s, v, stream.KindStr)
	return obfuscated(s, v, ok)
}

// obfuscated puts the "_" of an obfuscated name before text that may be one.
func obfuscated(s *stream.Stream, v Value, ok bool) (Value, bool) {
	after, valid := skipObfuscated(v.Bytes)
	if !ok || !valid || len(after) > 0 {
		return Value{}, false
	}
	return text(s.Return(append(append(s.Work(), '_'), v.Bytes...))), true
}
