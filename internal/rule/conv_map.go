package rule

import (
	"errors"
	"fmt"
	"net/netip"

	"gatehouse/internal/pattern"
	"gatehouse/internal/stream"
)

// mapConverters are map_MATCH, map_MATCH_int, map_MATCH_ip and map_MATCH_key (manual 7.3.1): they look a value up in a map.
func mapConverters() []converter {
	const str, num, addr = stream.KindStr, stream.KindInt, stream.KindAddr
	text, number, key := takes(1, argStr, argStr), takes(1, argStr, argInt), takes(1, argStr)
	list := []converter{
		{"map", text, str, str, false, "value of a map for the text", bindMap(pattern.Str, str)},
		{"map_regm", text, str, str, false, "value of a map for the first expression that matches; \\1 in it is a capture", bindMap(pattern.Regm, str)},
	}
	for _, m := range []struct {
		is   pattern.Method
		in   stream.Kind
		what string
	}{
		{pattern.Str, str, "the text"}, {pattern.Beg, str, "the longest key the text starts with"}, {pattern.Sub, str, "the first key in the text"},
		{pattern.Dir, str, "the first key that is a path component"}, {pattern.Dom, str, "the first key that is a domain label"},
		{pattern.End, str, "the first key the text ends with"}, {pattern.Reg, str, "the first expression that matches"},
		{pattern.Int, num, "the first range that holds the number"}, {pattern.IP, addr, "the longest network that holds the address"},
	} {
		name := "map_" + m.is.String()
		list = append(list,
			converter{name, text, m.in, str, false, "value of a map for " + m.what, bindMap(m.is, str)},
			converter{name + "_int", number, m.in, num, false, "number of a map for " + m.what, bindMap(m.is, num)},
			converter{name + "_ip", text, m.in, addr, false, "address of a map for " + m.what, bindMap(m.is, addr)},
			converter{name + "_key", key, m.in, str, false, "key of a map: " + m.what, bindMapKey(m.is)})
	}
	return list
}

// mapView is the view of the map that the first argument names.
func mapView(a args, m pattern.Method, out stream.Kind) (*pattern.View, error) {
	if a.c.Running {
		return nil, errors.New("map: cannot load map at runtime")
	}
	ref, err := a.c.fileSet(a.str(0), pattern.Map, true)
	if err != nil {
		return nil, err
	}
	return ref.View(pattern.Use{Method: m, NoDNS: true, Out: out})
}

func bindMap(m pattern.Method, out stream.Kind) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		view, err := mapView(a, m, out)
		if err != nil {
			return nil, err
		}
		otherwise, err := mapDefault(a, out)
		if err != nil {
			return nil, err
		}
		value := mapValue
		if m == pattern.Regm {
			value = func(s *stream.Stream, e *pattern.Entry, _ stream.Kind, v Value) (Value, bool) {
				return mapExpansion(s, view, e, v)
			}
		}
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			if e := view.Find(v); e != nil {
				return value(s, e, out, v)
			}
			return otherwise, otherwise.Kind != stream.KindAny
		}, nil
	}
}

// mapDefault is the value for what the map does not have; of KindAny when none is given.
func mapDefault(a args, out stream.Kind) (Value, error) {
	if a.len() < 2 {
		return Value{}, nil
	}
	switch out {
	case stream.KindInt:
		return integer(a.num(1, 0)), nil
	case stream.KindAddr:
		ip, err := netip.ParseAddr(a.str(1))
		if err != nil || ip.Zone() != "" {
			return Value{}, fmt.Errorf("map: cannot parse default ip <%s>.", a.str(1)) //nolint:staticcheck // HAProxy's text
		}
		return address(ip), nil
	}
	return text([]byte(a.str(1))), nil
}

// mapValue is the value of an entry. One that was added without a value is the number 1.
func mapValue(s *stream.Stream, e *pattern.Entry, out stream.Kind, _ Value) (Value, bool) {
	switch out {
	case stream.KindInt:
		if n, ok := e.Int(); ok {
			return integer(n), true
		}
	case stream.KindAddr:
		if a, ok := e.Addr(); ok {
			return address(a), true
		}
	default:
		if t, ok := e.Text(); ok {
			return textOf(s, t), true
		}
	}
	return integer(1), true
}

// mapExpansion is the value of an entry with the captures of its expression in it.
func mapExpansion(s *stream.Stream, view *pattern.View, e *pattern.Entry, v Value) (Value, bool) {
	t, ok := e.Text()
	if !ok {
		return integer(1), true
	}
	if checkTemplate(t) != nil {
		return Value{}, false
	}
	m, template := view.Regex(e).FindSubmatchIndex(v.Bytes), s.ScratchString(t)
	return text(s.Return(expand(s.Work(), template, v.Bytes, m))), true
}

func bindMapKey(m pattern.Method) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		view, err := mapView(a, m, stream.KindStr)
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			e := view.Find(v)
			if e == nil {
				return Value{}, false
			}
			return textOf(s, e.Key), true
		}, nil
	}
}
