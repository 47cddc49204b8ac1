package rule

import (
	"bytes"
	"encoding/binary"

	"gatehouse/internal/stream"
)

// hashFetches make short keys of what was asked for, for stick tables, and take targets and messages apart in ways that the plain
// fetches do not (manual 7.3.6).
func hashFetches() []fetch {
	const num, str, bin = stream.KindInt, stream.KindStr, stream.KindBin
	host := header{name: "host"}
	hostLine := header{name: "host", full: true}
	base32 := hashOf(host, (*stream.Request).Path)
	url32 := hashOf(hostLine, (*stream.Request).PathQuery)
	return join([]fetch{
		{"base32", noArgs, num, needReqHeaders, "32-bit hash of host and path", plain(hashValue(base32))},
		{"base32+src", noArgs, bin, needReqHeaders, "base32 and the client's address", plain(hashAndSource(base32))},
		{"url32", noArgs, num, needReqHeaders, "32-bit hash of host, path and query", plain(hashValue(url32))},
		{"url32+src", noArgs, bin, needReqHeaders, "url32 and the client's address", plain(hashAndSource(url32))},
		{"url_ip", noArgs, stream.KindAddr, needReqHeaders, "IPv4 address that the target names", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			v, _, ok := targetAddr(s.Req.Target)
			return v, ok
		})},
		{"url_port", noArgs, num, needReqHeaders, "port that the target names, when its host is an IPv4 address", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			_, port, ok := targetAddr(s.Req.Target)
			return integer(port), ok
		})},
		{"urlp_val", takes(0, argStr, argStr, argStr), num, needReqHeaders, "parameter of the query string as a number", bindURLParamValue},
		{"req.cook_names", takes(0, argStr), str, needReqHeaders, "names of all cookies, separated", bindCookieNames(ofRequest)},
		{"res.cook_names", takes(0, argStr), str, needResHeaders, "names of all cookies that the response sets, separated", bindCookieNames(ofResponse)},
		{"req.hdrs_bin", noArgs, bin, needReqHeaders, "all fields, as lengths and bytes", plain(packedFields(ofRequest))},
		{"res.hdrs_bin", noArgs, bin, needResHeaders, "all fields, as lengths and bytes", plain(packedFields(ofResponse))},
		{"cookie", takes(0, argStr), str, needReqHeaders | needResHeaders, "value of a cookie of the message at hand", bindEitherCookie},
	})
}

// hashOf hashes the host and, when it begins with a slash, the given part of the target: HAProxy's url hash and avalanche.
func hashOf(host header, part func(*stream.Request) []byte) func(*stream.Stream) uint32 {
	return func(s *stream.Stream) uint32 {
		h := uint32(0)
		if v, _, ok := host.next(s, cursor{}); ok {
			h = sdbmOn(h, v)
		}
		if p := part(&s.Req); len(p) > 0 && p[0] == '/' {
			h = sdbmOn(h, p)
		}
		return avalanche(h)
	}
}

// sdbmOn goes on with an sdbm hash; bytes count as signed ones.
func sdbmOn(h uint32, b []byte) uint32 {
	for _, c := range b {
		h = uint32(int32(int8(c))) + h<<6 + h<<16 - h
	}
	return h
}

func hashValue(of func(*stream.Stream) uint32) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) { return integer(int64(of(s))), s.HTTP }
}

// hashAndSource puts 4 or 16 bytes of address behind the hash.
func hashAndSource(of func(*stream.Stream) uint32) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		src := s.Src().Addr().Unmap()
		if !src.IsValid() || !s.HTTP {
			return Value{}, false
		}
		b := binary.BigEndian.AppendUint32(s.Work(), of(s))
		if src.Is4() {
			a := src.As4()
			b = append(b, a[:]...)
		} else {
			a := src.As16()
			b = append(b, a[:]...)
		}
		return binval(s.Return(b)), true
	}
}

// targetAddr reads the IPv4 address and the port of an absolute target. The port is the scheme's own when none is written.
func targetAddr(target []byte) (Value, int64, bool) {
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	port := int64(80)
	switch {
	case !ok:
		return Value{}, 0, false
	case foldEqual(scheme, "https"):
		port = 443
	case !foldEqual(scheme, "http"):
		return Value{}, 0, false
	}
	if i := bytes.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	host, text, has := bytes.Cut(rest, []byte(":"))
	a, ok := parseAddr(host)
	if !ok || !a.Is4() {
		return Value{}, 0, false
	}
	if has && len(text) > 0 {
		port = leadingInt(text)
	}
	return address(a), port & 0xffff, true
}

// bindURLParamValue is url_param as a number.
func bindURLParamValue(a args) (source, error) {
	src, err := bindURLParam(a)
	if err != nil {
		return src, err
	}
	number := func(v Value, ok bool) (Value, bool) { return integer(leadingInt(v.Bytes)), ok }
	return source{func(s *stream.Stream, env Env) (Value, bool) {
		return number(src.one(s, env))
	}, func(s *stream.Stream, env Env, at cursor) (Value, cursor, bool) {
		v, next, ok := src.each(s, env, at)
		v, ok = number(v, ok)
		return v, next, ok
	}}, nil
}

// bindCookieNames lists the names of all cookies; the separator is the first character of the argument.
func bindCookieNames(of message) func(args) (source, error) {
	return func(a args) (source, error) {
		sep := byte(',')
		if t := a.str(0); t != "" {
			sep = t[0]
		}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			fields, name := s.Req.Fields, "cookie"
			if of == ofResponse {
				fields, name = s.Res.Fields, "set-cookie"
			}
			b := s.Work()
			for i := range fields {
				if string(fields[i].Name) == name {
					b = appendCookieNames(b, fields[i].Value, sep, of)
				}
			}
			return text(s.Return(b)), s.HTTP
		}}, nil
	}
}

func appendCookieNames(b, line []byte, sep byte, of message) []byte {
	separators := ";,"
	if of == ofResponse {
		separators = ";"
	}
	for from := 0; from < len(line); {
		end := pairEnd(line, from, separators)
		name, _, eq := bytes.Cut(line[from:end], []byte("="))
		from = end + 1
		if name = bytes.Trim(name, " \t"); eq && len(name) > 0 && name[0] != '$' {
			if len(b) > 0 {
				b = append(b, sep)
			}
			b = append(b, name...)
		}
		if of == ofResponse { // what follows are attributes
			break
		}
	}
	return b
}

// packedFields writes each name and value behind its length, and two empty ones at the end.
func packedFields(of message) evalFunc {
	return func(s *stream.Stream, _ Env) (Value, bool) {
		fields := s.Req.Fields
		if of == ofResponse {
			fields = s.Res.Fields
		}
		b := s.Work()
		for i := range fields {
			b = append(appendVarint(b, len(fields[i].Name)), fields[i].Name...)
			b = append(appendVarint(b, len(fields[i].Value)), fields[i].Value...)
		}
		return binval(s.Return(append(b, 0, 0))), s.HTTP
	}
}

// appendVarint writes a length as HAProxy's peers and SPOE protocols do: up to 239 in one byte, else four bits in the first byte and
// seven in each that follows.
func appendVarint(b []byte, n int) []byte {
	if n < 240 {
		return append(b, byte(n))
	}
	b = append(b, byte(n)|240)
	for n = (n - 240) >> 4; n >= 128; n = (n - 128) >> 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// bindEitherCookie reads the response's cookies once there is a response.
func bindEitherCookie(a args) (source, error) {
	req, _ := bindCookie(ofRequest, textValue)(a)
	res, _ := bindCookie(ofResponse, textValue)(a)
	pick := func(s *stream.Stream) *source {
		if s.Res.Status != 0 {
			return &res
		}
		return &req
	}
	return source{
		one: func(s *stream.Stream, env Env) (Value, bool) { return pick(s).one(s, env) },
		each: func(s *stream.Stream, env Env, at cursor) (Value, cursor, bool) {
			return pick(s).each(s, env, at)
		},
	}, nil
}
