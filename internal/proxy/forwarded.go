package proxy

import (
	"net/netip"

	"gatehouse/internal/stream"
)

// forwardedFields tell the server who asks: Forwarded (RFC 7239), X-Forwarded-For and X-Original-To, in this order. They stand behind the
// client's own, after the rules and after hop-by-hop fields were dropped.
func (x *exchange) forwardedFields() {
	s := &x.s
	if f := x.b.o.Forwarded; f != nil {
		f.Add(s, x.f.o.Env)
	}
	x.addressField(x.f.o.ForwardFor, x.b.o.ForwardFor, "x-forwarded-for", s.Src().Addr())
	x.addressField(x.f.o.OriginalTo, x.b.o.OriginalTo, "x-original-to", s.Dst().Addr())
}

// addressField adds an address as the frontend's and the backend's option ask: either may except it, the backend names the field, and
// only if-none of both spares a request that has the field.
func (x *exchange) addressField(f, b *ForwardFor, name string, a netip.Addr) {
	s := &x.s
	a = a.Unmap()
	if f == nil && b == nil || !a.IsValid() || f.excepts(a) || b.excepts(a) {
		return
	}
	switch {
	case b != nil && b.Header != "":
		name = b.Header
	case b == nil && f.Header != "":
		name = f.Header
	}
	if (f == nil || f.IfNone) && (b == nil || b.IfNone) && stream.Has(s.Req.Fields, name) {
		return
	}
	s.Req.Fields = append(s.Req.Fields, stream.Field{Name: s.ScratchString(name), Value: appendAddr(s, a)})
}

func (f *ForwardFor) excepts(a netip.Addr) bool {
	return f != nil && f.Except.IsValid() && f.Except.Contains(a)
}

// RestrictNames says what becomes of request fields whose names have other characters than letters, digits and "-" (option
// http-restrict-req-hdr-names).
type RestrictNames uint8

// The ways to treat them. The zero value lets them pass.
const (
	PreserveNames RestrictNames = iota
	DeleteNames
	RejectNames
)

// restrict treats the fields; false says that the request is refused.
func (how RestrictNames) restrict(s *stream.Stream) bool {
	if how == PreserveNames {
		return true
	}
	w := 0
	for _, f := range s.Req.Fields {
		if !plainName(f.Name) {
			if how == RejectNames {
				return false
			}
			continue
		}
		s.Req.Fields[w] = f
		w++
	}
	s.Req.Fields = s.Req.Fields[:w]
	return true
}

func plainName(name []byte) bool {
	for _, c := range name {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// restrictNames answers a request that has fields which the frontend, or the backend, does not let pass.
func (x *exchange) restrictNames(how RestrictNames) bool {
	if how.restrict(&x.s) {
		return true
	}
	x.f.o.Counters.DeniedReq.Add(1)
	x.term('P', 'R')
	x.fail(403)
	return false
}
