package pattern

import (
	"regexp"

	"gatehouse/internal/stream"
)

// View is one use of a set. It is made while the configuration is read and may be used by any number of goroutines.
type View struct {
	ref *Ref
	n   int // its place in every level
	use Use
}

// Ref is the set that the view looks into.
func (v *View) Ref() *Ref { return v.ref }

// Match reports whether a pattern accepts the value, which must have the method's kind.
func (v *View) Match(val stream.Value) bool { return v.find(val, true) != nil }

// Find returns the entry that accepts the value, nil for none.
func (v *View) Find(val stream.Value) *Entry { return v.find(val, false) }

// Regex is the expression of an entry that Find returned, for methods reg and regm.
func (v *View) Regex(e *Entry) *regexp.Regexp { return e.regex(v.n) }

func (v *View) find(val stream.Value, any bool) *Entry {
	s := v.ref.now.Load()
	if s == nil {
		return nil
	}
	var best *Entry
	var bestRank uint32
	for _, l := range s.levels {
		e, rank := l.indexes[v.n].find(val, any)
		switch {
		case e == nil:
		case any || len(s.levels) == 1:
			return e
		case best == nil || rank < bestRank: // of equal rank the older one comes first
			best, bestRank = e, rank
		}
	}
	return best
}

// snapshot is what readers of a set see.
type snapshot struct{ levels []*level }

// level is some entries of a set, in their order, and what finds them. It is immutable but for dead.
type level struct {
	entries []*Entry
	indexes []index // by view
	dead    int     // deleted entries; guarded by the Ref's mu
}

// index finds the live entry of a level that accepts a value; with any it may be any of several. Ranks compare entries of different
// levels: the smaller one wins.
type index interface {
	find(v stream.Value, any bool) (e *Entry, rank uint32)
}

func newIndex(v *View, entries []*Entry) index {
	switch v.use.Method {
	case Found:
		return found{}
	case Bool:
		return truth{}
	case Int, Len, Ver:
		return newSpanIndex(v.use, entries)
	case IP:
		return newNetIndex(v.use, entries)
	case Reg, Regm:
		return newRegIndex(v, entries)
	case Meth:
		return newMethIndex(v.use, entries)
	}
	return newTextIndex(v.use, entries)
}

// found accepts nothing by itself: that there is a value is all an ACL asks then, and rule knows it.
type found struct{}

func (found) find(stream.Value, bool) (*Entry, uint32) { return nil, 0 }

// truth is as found, for -m bool.
type truth = found

// methIndex compares request methods: those that HTTP defines as they are, case can be ignored for others.
type methIndex struct {
	use     Use
	entries []*Entry
}

func newMethIndex(u Use, entries []*Entry) methIndex { return methIndex{u, entries} }

var httpMethods = map[string]bool{"OPTIONS": true, "GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "TRACE": true, "CONNECT": true}

func (x methIndex) find(v stream.Value, _ bool) (*Entry, uint32) {
	for _, e := range x.entries {
		same := string(v.Bytes) == e.Key
		if !same && x.use.Fold && !httpMethods[e.Key] && !httpMethods[string(v.Bytes)] && len(e.Key) == len(v.Bytes) {
			same = sameFolded(v.Bytes, folded(e.Key, true), &lower)
		}
		if same && !e.dead.Load() {
			return e, 0
		}
	}
	return nil, 0
}
