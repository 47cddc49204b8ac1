package pattern

import (
	"fmt"
	"net/netip"
	"regexp"
	"sync/atomic"

	"gatehouse/internal/stream"
)

// Entry is one pattern of a set. Its Ref makes it; it lives until it was deleted and the last level that holds it was built anew.
type Entry struct {
	Key string
	// ID names the entry for the Runtime API. Later entries have greater ones.
	ID uint64

	line  int // of its file, 0 for none
	dead  atomic.Bool
	value atomic.Pointer[value] // nil: there is none
	regs  []*regexp.Regexp      // by view; written before the entry can be found, and while the configuration is read
}

// value is what a map says for a key, in every form that a view wants.
type value struct {
	text string
	num  int64
	addr netip.Addr
}

// parseValue reads a map's value in the forms that uses want.
func parseValue(text string, views []*View) (*value, error) {
	v := &value{text: text}
	for _, w := range views {
		ok := true
		switch w.use.Out {
		case stream.KindInt:
			v.num, ok = valueNumber(text)
		case stream.KindAddr:
			var err error
			v.addr, err = netip.ParseAddr(text)
			ok = err == nil && v.addr.Zone() == ""
		}
		if !ok {
			return nil, fmt.Errorf("unable to parse '%s'", text)
		}
	}
	return v, nil
}

// Text is the value of a map's entry as it was written; false when it has none.
func (e *Entry) Text() (string, bool) {
	v := e.value.Load()
	if v == nil {
		return "", false
	}
	return v.text, true
}

// Int is the value as a number, for views whose Out is KindInt; false when the entry has none.
func (e *Entry) Int() (int64, bool) {
	v := e.value.Load()
	if v == nil {
		return 0, false
	}
	return v.num, true
}

// Addr is the value as an address, for views whose Out is KindAddr; false when the entry has none.
func (e *Entry) Addr() (netip.Addr, bool) {
	v := e.value.Load()
	if v == nil {
		return netip.Addr{}, false
	}
	return v.addr, true
}

// regex is the compiled pattern for a view that compares with expressions.
func (e *Entry) regex(view int) *regexp.Regexp { return e.regs[view] }

// check reads the pattern as a view wants it. The errors are HAProxy's.
func (e *Entry) check(v *View) error {
	var err error
	switch v.use.Method {
	case Int, Len, Ver:
		_, err = parseSpanFor(v.use.Method, e.Key)
	case IP:
		_, err = parseNetwork(e.Key)
	case Bin:
		_, err = ParseHex(e.Key)
	case Reg, Regm:
		var re *regexp.Regexp
		if re, err = CompileRegex(e.Key, v.use.Fold); err == nil {
			for len(e.regs) <= v.n {
				e.regs = append(e.regs, nil)
			}
			e.regs[v.n] = re
		}
	}
	return err
}
