package rule

import (
	"fmt"
	"net/netip"

	"gatehouse/internal/stream"
)

// addressActions change the addresses that rules, logs and servers see, and demand a PROXY header.
func addressActions() []action {
	const where = atConnection | atSession | atContent | atRequest
	src := func(s *stream.Stream) netip.AddrPort { return s.Src() }
	dst := func(s *stream.Stream) netip.AddrPort { return s.Dst() }
	return []action{
		{"set-src", where, "replace the client's address, keep its port", bindSetAddr(src, setSrc)},
		{"set-src-port", where, "replace the client's port", bindSetPort(src, setSrc)},
		{"set-dst", where, "replace the address the client connected to, keep its port", bindSetAddr(dst, setDst)},
		{"set-dst-port", where, "replace the port the client connected to", bindSetPort(dst, setDst)},
		{"expect-proxy", atConnection | atSession | atContent, "demand a PROXY header of this connection", bindExpectHeader},
		{"expect-netscaler-cip", atConnection | atSession | atContent, "demand NetScaler's client address header of this connection", bindExpectHeader},
	}
}

// A connection rule changes the connection's own ends and with them all that is derived from them, a session rule what a PROXY header may have told,
// and all others only what this stream sees (HAProxy's three levels, manual "fc_src" and "src").

func setSrc(s *stream.Stream, at place, a netip.AddrPort) {
	switch at {
	case atConnection:
		s.Conn.FcSrc, s.Conn.Src = a, a
	case atSession:
		s.Conn.Src = a
	default:
		s.NewSrc = a
	}
}

func setDst(s *stream.Stream, at place, a netip.AddrPort) {
	switch at {
	case atConnection:
		s.Conn.FcDst, s.Conn.Dst = a, a
	case atSession:
		s.Conn.Dst = a
	default:
		s.NewDst = a
	}
}

type addrSetter func(s *stream.Stream, at place, a netip.AddrPort)

func bindSetAddr(of func(*stream.Stream) netip.AddrPort, set addrSetter) func(p *ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		x, err := p.addrExpr(stream.KindAddr)
		if err != nil {
			return nil, err
		}
		at := p.at
		return func(s *stream.Stream, env Env) Verdict {
			if v, ok := x.as(s, env, stream.KindAddr); ok {
				set(s, at, netip.AddrPortFrom(v.Addr, of(s).Port()))
			}
			return goOn
		}, nil
	}
}

// bindSetPort makes 0.0.0.0 of an address that has none, as HAProxy does.
func bindSetPort(of func(*stream.Stream) netip.AddrPort, set addrSetter) func(p *ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		x, err := p.addrExpr(stream.KindInt)
		if err != nil {
			return nil, err
		}
		at := p.at
		return func(s *stream.Stream, env Env) Verdict {
			if v, ok := x.as(s, env, stream.KindInt); ok {
				a := of(s).Addr()
				if !a.IsValid() {
					a = netip.IPv4Unspecified()
				}
				set(s, at, netip.AddrPortFrom(a, uint16(v.Int)))
			}
			return goOn
		}, nil
	}
}

// addrExpr takes the expression of an address or port.
func (p *ruleParser) addrExpr(kind stream.Kind) (*Expr, error) {
	x, err := p.expr("missing fetch method")
	switch {
	case err != nil:
		return nil, err
	case !p.in.has(x.need):
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", x.text, x.need)
	case !castable(x.out, kind):
		return nil, fmt.Errorf("fetch method '%s' makes no address or port", x.text)
	}
	return x, nil
}

// bindExpectHeader demands a header in front of everything else that the client sends.
func bindExpectHeader(p *ruleParser) (actionFunc, error) {
	layer, _ := p.next()
	switch {
	case layer != "layer4":
		return nil, fmt.Errorf("'%s %s' only supports 'layer4' in %s '%s' (got '%s')", p.in.name, p.word, p.c.Kind, p.c.Proxy, layer)
	case p.at != atConnection:
		return nil, fmt.Errorf("'%s %s' is not allowed in '%s' rules in %s '%s'", p.word, layer, p.in.name, p.c.Kind, p.c.Proxy)
	}
	if p.word == "expect-netscaler-cip" {
		return func(s *stream.Stream, _ Env) Verdict {
			s.Conn.ExpectCIP = true
			return goOn
		}, nil
	}
	return func(s *stream.Stream, _ Env) Verdict {
		s.Conn.ExpectProxy = true
		return goOn
	}, nil
}
