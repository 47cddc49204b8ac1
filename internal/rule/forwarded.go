package rule

import (
	"bytes"
	"net/netip"
	"strconv"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// Forwarded is a compiled option forwarded (RFC 7239).
type Forwarded struct {
	proto            bool
	host             forwardedPart
	by, byPort       forwardedPart
	forNode, forPort forwardedPart
}

type forwardedPart struct {
	on   bool
	expr *Expr // nil: what is known of the connection
}

// Forwarded compiles option forwarded. Errors are reported to Diags.
func (c *Compiler) Forwarded(o *config.Forwarded) *Forwarded {
	part := func(p config.ForwardedPart) forwardedPart {
		if p.Expr == "" {
			return forwardedPart{on: p.On}
		}
		return forwardedPart{on: true, expr: c.Expr(p.Expr, o.Pos)}
	}
	return &Forwarded{proto: o.Proto, host: part(o.Host), by: part(o.By), byPort: part(o.ByPort), forNode: part(o.For), forPort: part(o.ForPort)}
}

var forwardedName = []byte("forwarded")

// Add adds the element to the request: behind what the client sent when all of that is well-formed, and on a line of its own
// otherwise, so that it can be told from what cannot be trusted.
func (f *Forwarded) Add(s *stream.Stream, env Env) {
	own := f.element(s, env)
	last := -1
	for i := range s.Req.Fields {
		field := &s.Req.Fields[i]
		if string(field.Name) != "forwarded" {
			continue
		}
		for line := field.Value; ; {
			end := valueEnd(line)
			if _, ok := parseForwarded(bytes.Trim(line[:end], " \t")); !ok {
				s.Req.Fields = append(s.Req.Fields, stream.Field{Name: forwardedName, Value: own})
				return
			}
			if end == len(line) {
				break
			}
			line = line[end+1:]
		}
		last = i
	}
	if last < 0 {
		s.Req.Fields = append(s.Req.Fields, stream.Field{Name: forwardedName, Value: own})
		return
	}
	field := &s.Req.Fields[last]
	field.Value = s.Return(append(append(append(s.Work(), field.Value...), ", "...), own...))
}

// element makes proto=...;host="...";by=...;for=...
func (f *Forwarded) element(s *stream.Stream, env Env) []byte {
	var room [512]byte
	b := room[:0]
	next := func(name string) {
		if len(b) > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	if f.proto {
		next("proto=http")
		if s.Conn.TLS != nil {
			b = append(b, 's')
		}
	}
	if f.host.on {
		next(`host="`)
		b = append(append(b, f.hostOf(s, env)...), '"')
	}
	if f.by.on {
		next("by=")
		b = appendNode(b, s, env, f.by, f.byPort, s.Dst())
	}
	if f.forNode.on {
		next("for=")
		b = appendNode(b, s, env, f.forNode, f.forPort, s.Src())
	}
	return s.Scratch(b)
}

// hostOf returns the host, nothing when it could not stand between quotes.
func (f *Forwarded) hostOf(s *stream.Stream, env Env) []byte {
	var b []byte
	if f.host.expr != nil {
		b, _ = f.host.expr.Text(s, env)
	} else {
		b, _, _ = header{name: "host"}.next(s, cursor{})
	}
	if len(b) == 0 {
		return nil
	}
	if rest, ok := skipForwardedHost(b, true); !ok || len(rest) > 0 {
		return nil
	}
	return b
}

// appendNode writes the name of a node and its port; quotes are needed for a port, and for IPv6.
func appendNode(b []byte, s *stream.Stream, env Env, name, port forwardedPart, addr netip.AddrPort) []byte {
	start := len(b)
	if port.on {
		b = append(b, '"')
	}
	named := len(b)
	b = appendNodeName(b, s, env, name, addr.Addr().Unmap(), port.on)
	if len(b) == named {
		b = append(b, "unknown"...)
	}
	if port.on {
		b = append(b, ':')
		before := len(b)
		if b = appendNodePort(b, s, env, port, addr); len(b) == before {
			b = b[:before-1]
		}
	}
	if b[start] == '"' {
		b = append(b, '"')
	}
	return b
}

func appendNodeName(b []byte, s *stream.Stream, env Env, name forwardedPart, addr netip.Addr, quoted bool) []byte {
	if name.expr == nil {
		return appendNodeAddr(b, addr, quoted)
	}
	v, ok := name.expr.Eval(s, env)
	if !ok {
		return b
	}
	if v.Kind == stream.KindIPv6 {
		return appendNodeAddr(b, v.Addr, quoted)
	}
	if v, ok = cast(s, v, stream.KindStr); !ok {
		return b
	}
	if _, rest, ok := parseNode(v.Bytes, true); ok && len(rest) == 0 && bytes.IndexByte(v.Bytes, ':') < 0 {
		return append(b, v.Bytes...)
	}
	if a, ok := parseAddr(bytes.Trim(v.Bytes, "[]")); ok && a.Is6() && len(v.Bytes) > 0 && v.Bytes[0] == '[' {
		return appendNodeAddr(b, a, quoted)
	}
	return appendObfuscated(b, v.Bytes)
}

func appendNodeAddr(b []byte, a netip.Addr, quoted bool) []byte {
	switch {
	case a.Is4():
		return a.AppendTo(b)
	case a.Is6():
		if !quoted {
			b = append(b, '"')
		}
		return append(a.AppendTo(append(b, '[')), ']')
	}
	return b
}

// appendObfuscated makes an identifier of text that can be one (RFC 7239 section 6.3).
func appendObfuscated(b, text []byte) []byte {
	for _, c := range text {
		if !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return b
		}
	}
	if len(text) == 0 {
		return b
	}
	return append(append(b, '_'), text...)
}

func appendNodePort(b []byte, s *stream.Stream, env Env, port forwardedPart, addr netip.AddrPort) []byte {
	if port.expr == nil {
		if !addr.IsValid() {
			return b
		}
		return strconv.AppendInt(b, int64(addr.Port()), 10)
	}
	t, ok := port.expr.Text(s, env)
	if !ok {
		return b
	}
	if n, err := strconv.ParseUint(string(t), 10, 16); err == nil && n > 0 || len(t) > 1 && t[0] == '_' && len(appendObfuscated(nil, t[1:])) > 0 {
		return append(b, t...)
	}
	return appendObfuscated(b, t)
}
