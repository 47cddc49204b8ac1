package rule

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"gatehouse/internal/stream"
)

// httpFetches read the heads of request and response (manual 7.3.6). In mode tcp they fail.
func httpFetches() []fetch {
	return join(requestLineFetches(), headerFetches(), cookieFetches(), statusFetches(), authFetches())
}

func requestLineFetches() []fetch {
	return join(
		[]fetch{
			{"method", noArgs, stream.KindMeth, needRequest, "request method", plain(func(s *stream.Stream, _ Env) (Value, bool) {
				m := s.Received()
				return Value{Kind: stream.KindMeth, Bytes: m}, len(m) > 0
			})},
			{"path", noArgs, stream.KindStr, needReqHeaders, "path without the query", requestPart((*stream.Request).Path)},
			{"pathq", noArgs, stream.KindStr, needReqHeaders, "path and query", requestPart((*stream.Request).PathQuery)},
			{"url", noArgs, stream.KindStr, needReqHeaders, "request target as it stands in the request line", requestPart(func(r *stream.Request) []byte { return r.Target })},
			{"query", takes(0, argStr), stream.KindStr, needReqHeaders, "what follows the first ?, or starts with it (with_qm)", bindQuery},
			{"base", noArgs, stream.KindStr, needReqHeaders, "host and path", plain(base((*stream.Request).Path))},
			{"baseq", noArgs, stream.KindStr, needReqHeaders, "host, path and query", plain(base((*stream.Request).PathQuery))},
			{"http_first_req", noArgs, stream.KindBool, needRequest, "the first request of its connection", plain(func(s *stream.Stream, _ Env) (Value, bool) {
				return boolean(s.Conn.Requests <= 1), s.HTTP
			})},
		},
		alias(fetch{"req.ver", noArgs, stream.KindStr, needRequest, "HTTP version of the request, as 1.1", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return version(s, s.Req.Major, s.Req.Minor), s.Req.Major > 0
		})}, "req_ver"),
		alias(fetch{"req.proto_http", noArgs, stream.KindBool, needRequest, "the request is HTTP", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.HTTP), true
		})}, "req_proto_http"),
		alias(fetch{"url_param", takes(0, argStr, argStr, argStr), stream.KindStr, needReqHeaders, "parameter of the query string", bindURLParam}, "urlp"),
	)
}

func requestPart(of func(*stream.Request) []byte) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		b := of(&s.Req)
		return text(b), b != nil
	})
}

func version(s *stream.Stream, major, minor int) Value {
	return text(s.Scratch([]byte{byte('0' + major), '.', byte('0' + minor)}))
}

func bindQuery(a args) (source, error) {
	if a.str(0) != "" && a.str(0) != "with_qm" {
		return source{}, fmt.Errorf("supported options are: 'with_qm'")
	}
	mark := a.str(0) != ""
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		i := bytes.IndexByte(s.Req.Target, '?')
		if i < 0 {
			return Value{}, false
		}
		if i+1 < len(s.Req.Target) && mark {
			return text(s.Req.Target[i:]), true
		}
		return text(s.Req.Target[i+1:]), true
	}}, nil
}

func base(part func(*stream.Request) []byte) evalFunc {
	host := header{name: "host"}
	return func(s *stream.Stream, _ Env) (Value, bool) {
		path := part(&s.Req)
		h, _, ok := host.next(s, cursor{})
		if !ok || len(h) == 0 {
			return text(path), path != nil
		}
		if len(path) == 0 || path[0] != '/' {
			return text(h), true
		}
		b := append(s.Work(), h...)
		return text(s.Return(append(b, path...))), true
	}
}

// param finds parameters in a query string.
type param struct {
	name  string
	delim byte
	fold  bool
}

func bindURLParam(a args) (source, error) {
	p := param{name: a.str(0), delim: '?', fold: strings.HasPrefix(a.str(2), "i")}
	if a.str(1) != "" {
		p.delim = a.str(1)[0]
	}
	one := func(s *stream.Stream, _ Env) (Value, bool) {
		v, _, ok := p.next(s.Req.Target, cursor{})
		return text(v), ok
	}
	return source{one, func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
		v, next, ok := p.next(s.Req.Target, at)
		return text(v), next, ok
	}}, nil
}

// next returns the value of the parameter that starts at or after the cursor's offset in the target.
func (p param) next(target []byte, at cursor) ([]byte, cursor, bool) {
	i := at.offset
	if i == 0 {
		if i = bytes.IndexByte(target, p.delim) + 1; i == 0 {
			return nil, at, false
		}
	}
	return p.from(target, i)
}

// from returns the value of the parameter at or after offset i.
func (p param) from(target []byte, i int) ([]byte, cursor, bool) {
	for i < len(target) {
		end := i
		for end < len(target) && !p.separates(target[end]) {
			end++
		}
		part := target[i:end]
		i = end + 1
		name, value, ok := bytes.Cut(part, []byte("="))
		if ok && (p.name == "" || string(name) == p.name || p.fold && foldEqual(name, p.name)) {
			return value, cursor{0, i}, true
		}
	}
	return nil, cursor{0, i}, false
}

// separates: "&" between parameters of a query; in a path (another delimiter than "?") ";" too.
func (p param) separates(b byte) bool {
	return b == '&' || b == ';' || b == p.delim
}

func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lowerByte(b[i]) != lowerByte(s[i]) {
			return false
		}
	}
	return true
}

func lowerByte(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func headerFetches() []fetch {
	var list []fetch
	for _, m := range []struct {
		prefix string
		of     message
		need   need
	}{
		{"", ofEither, needReqHeaders | needResHeaders}, {"req.", ofRequest, needReqHeaders},
		{"res.", ofResponse, needResHeaders}, {"s", ofResponse, needResHeaders},
	} {
		of, need := m.of, m.need
		list = append(list, fetch{m.prefix + "hdr", takes(0, argStr, argInt), stream.KindStr, need,
			"comma-separated value of a field: the given one, else the last", bindHeader(of, false, textValue)})
		if m.prefix == "" { // only "hdr" itself looks at either message
			of, need = ofRequest, needReqHeaders
		}
		list = append(list,
			fetch{m.prefix + "hdr_cnt", takes(0, argStr), stream.KindInt, need, "number of values of a field", bindHeaderCount(of, false)},
			fetch{m.prefix + "hdr_ip", takes(0, argStr, argInt), stream.KindAddr, need, "address in a field", bindHeader(of, false, addrValue)},
			fetch{m.prefix + "hdr_val", takes(0, argStr, argInt), stream.KindInt, need, "number in a field", bindHeader(of, false, intValue)})
		if strings.HasSuffix(m.prefix, ".") {
			list = append(list,
				fetch{m.prefix + "fhdr", takes(0, argStr, argInt), stream.KindStr, need, "whole line of a field", bindHeader(of, true, textValue)},
				fetch{m.prefix + "fhdr_cnt", takes(0, argStr), stream.KindInt, need, "number of lines of a field", bindHeaderCount(of, true)},
				fetch{m.prefix + "hdrs", noArgs, stream.KindBin, need, "all lines, each with its line break, and an empty one", bindHeaderLines(of)},
				fetch{m.prefix + "hdr_names", takes(0, argStr), stream.KindStr, need, "names of all fields, separated", bindHeaderNames(of)})
		}
	}
	return list
}

// maxOccurrence is how far from the end an occurrence may be counted, as in HAProxy.
const maxOccurrence = 10

func bindHeader(of message, full bool, value func([]byte) (Value, bool)) func(args) (source, error) {
	return func(a args) (source, error) {
		if a.len() == 0 {
			return source{one: never}, nil
		}
		h := header{name: strings.ToLower(a.str(0)), of: of, full: full}
		n := int(max(min(a.num(1, 0), 1<<20), -1<<20))
		if n < -maxOccurrence {
			return source{}, fmt.Errorf("header occurrence must be >= %d", -maxOccurrence)
		}
		occ := n
		if occ == 0 {
			occ = -1
		}
		src := source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			b, ok := h.occurrence(s, occ)
			if !ok {
				return Value{}, false
			}
			return value(b)
		}}
		if n == 0 {
			src.each = func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) {
				for {
					b, next, ok := h.next(s, at)
					if !ok {
						return Value{}, at, false
					}
					if v, ok := value(b); ok {
						return v, next, true
					}
					at = next
				}
			}
		}
		return src, nil
	}
}

func textValue(b []byte) (Value, bool) { return text(b), true }

func intValue(b []byte) (Value, bool) { return integer(leadingInt(b)), true }

// addrValue reads an address with or without a port, IPv6 with or without brackets.
func addrValue(b []byte) (Value, bool) {
	if a, ok := parseAddr(b); ok {
		return address(a), true
	}
	if n := len(b); n > 2 && b[0] == '[' && b[n-1] == ']' {
		a, ok := parseAddr(b[1 : n-1])
		return address(a), ok && a.Is6()
	}
	if len(b) > 45 {
		return Value{}, false
	}
	if ap, err := netip.ParseAddrPort(string(b)); err == nil && ap.Addr().Is4() {
		return address(ap.Addr()), true
	}
	return Value{}, false
}

func bindHeaderCount(of message, full bool) func(args) (source, error) {
	return func(a args) (source, error) {
		h := header{name: strings.ToLower(a.str(0)), of: of, full: full}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(h.count(s))), s.HTTP && (of != ofResponse || s.Res.Status != 0)
		}}, nil
	}
}

func bindHeaderNames(of message) func(args) (source, error) {
	return func(a args) (source, error) {
		sep := a.str(0)
		if sep == "" {
			sep = ","
		}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			b := s.Work()
			for line := range allLines(s, of == ofResponse) {
				if len(b) > 0 {
					b = append(b, sep[0])
				}
				b = append(b, line.Name...)
			}
			return text(s.Return(b)), s.HTTP && (of == ofRequest || s.Res.Status > 0) // a head without fields has no names, which is a value
		}}, nil
	}
}

func bindHeaderLines(of message) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		b := s.Work()
		for line := range allLines(s, of == ofResponse) {
			b = append(append(append(b, line.Name...), ": "...), line.Value...)
			b = append(b, "\r\n"...)
		}
		return binval(s.Return(append(b, "\r\n"...))), s.HTTP
	})
}

func statusFetches() []fetch {
	return join(
		[]fetch{{"status", noArgs, stream.KindInt, needResponse, "status of the response", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			n := s.Res.Status
			if n == 0 {
				n = s.Log.Status
			}
			return integer(int64(n)), n > 0
		})}},
		alias(fetch{"res.ver", noArgs, stream.KindStr, needResponse, "HTTP version of the response, as 1.1", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return version(s, s.Res.Major, s.Res.Minor), s.Res.Major > 0
		})}, "resp_ver"),
	)
}
