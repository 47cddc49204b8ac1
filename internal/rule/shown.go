package rule

import "gatehouse/internal/stream"

// Shown returns the type of a variable's value as HAProxy names it, and its text, in which what cannot be printed is a dot; false when
// the value has no text.
func Shown(v Value) (kind, shown string, ok bool) {
	s := &stream.Stream{Conn: &stream.Conn{}}
	kind = kindNames[v.Kind]
	v, ok = cast(s, v, stream.KindStr)
	if !ok {
		return kind, "", false
	}
	b := append([]byte(nil), v.Bytes...)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return kind, string(b), true
}
