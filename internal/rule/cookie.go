package rule

import (
	"bytes"
	"strings"

	"gatehouse/internal/stream"
)

// cookie finds values in Cookie and Set-Cookie lines (RFC 6265), reading them as leniently as HAProxy: blanks around names and
// values are let pass.
type cookie struct {
	name string // case matters; "" is the first one
	of   message
}

func cookieFetches() []fetch {
	return join(
		cookieFetch("req.cook", ofRequest, needReqHeaders, "cook"),
		cookieFetch("res.cook", ofResponse, needResHeaders, "scook"),
		alias(fetch{"req.cook_cnt", takes(0, argStr), stream.KindInt, needReqHeaders, "number of cookies of that name", bindCookieCount(ofRequest)}, "cook_cnt"),
		alias(fetch{"res.cook_cnt", takes(0, argStr), stream.KindInt, needResHeaders, "number of cookies of that name", bindCookieCount(ofResponse)}, "scook_cnt"),
	)
}

func cookieFetch(name string, of message, need need, short string) []fetch {
	return join(
		alias(fetch{name, takes(0, argStr), stream.KindStr, need, "value of a cookie: the last of that name", bindCookie(of, textValue)}, short),
		alias(fetch{name + "_val", takes(0, argStr), stream.KindInt, need, "value of a cookie as a number", bindCookie(of, intValue)}, short+"_val"),
	)
}

func bindCookie(of message, value func([]byte) (Value, bool)) func(args) (source, error) {
	return func(a args) (source, error) {
		ck := cookie{a.str(0), of}
		return source{
			one: func(s *stream.Stream, _ Env) (Value, bool) {
				b, _, found := ck.next(s, cursor{})
				for last, at, ok := b, (cursor{}), found; ok && ck.name != ""; {
					if last, at, ok = ck.next(s, at); ok {
						b = last
					}
				}
				if !found {
					return Value{}, false
				}
				return value(b)
			},
			each: func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
				b, next, ok := ck.next(s, at)
				if !ok {
					return Value{}, at, false
				}
				v, ok := value(b)
				return v, next, ok
			},
		}, nil
	}
}

func bindCookieCount(of message) func(args) (source, error) {
	return func(a args) (source, error) {
		ck := cookie{a.str(0), of}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			n := int64(0)
			for at, ok := (cursor{}), true; ; n++ {
				if _, at, ok = ck.next(s, at); !ok {
					return integer(n), s.HTTP
				}
			}
		}}, nil
	}
}

// next returns the value of the cookie at or after the cursor.
func (ck cookie) next(s *stream.Stream, at cursor) ([]byte, cursor, bool) {
	fields, name := s.Req.Fields, "cookie"
	if ck.of == ofResponse {
		fields, name = s.Res.Fields, "set-cookie"
	}
	for ; at.field < len(fields); at = (cursor{at.field + 1, 0}) {
		f := &fields[at.field]
		if string(f.Name) != name {
			continue
		}
		if v, end, ok := ck.find(f.Value, at.offset); ok {
			return v, cursor{at.field, end}, true
		}
	}
	return nil, at, false
}

// find reads name=value pairs of a line from an offset on; of a Set-Cookie line only the first pair is a cookie.
func (ck cookie) find(line []byte, from int) (value []byte, end int, ok bool) {
	separators := ";,"
	if ck.of == ofResponse {
		separators = ";"
	}
	for from < len(line) {
		if ck.of == ofResponse && from > 0 {
			return nil, from, false
		}
		end := pairEnd(line, from, separators)
		name, value, eq := bytes.Cut(line[from:end], []byte("="))
		name = bytes.Trim(name, " \t")
		from = end + 1
		if !eq || len(name) > 0 && name[0] == '$' {
			continue
		}
		if ck.name == "" || string(name) == ck.name {
			return bytes.Trim(value, " \t"), from, true
		}
	}
	return nil, from, false
}

// pairEnd returns where the pair that starts at from ends; separators within quotes do not end it.
func pairEnd(line []byte, from int, separators string) int {
	quoted := false
	for i := from; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(separators, c) >= 0:
			return i
		}
	}
	return len(line)
}
