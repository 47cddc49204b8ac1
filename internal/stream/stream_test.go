package stream

import (
	"net/netip"
	"testing"
)

func TestScratchMemoryKeepsWhatItGave(t *testing.T) {
	var s Stream
	s.Reset()
	a := s.ScratchString("first")
	for range 100 {
		s.Scratch(make([]byte, 1000))
	}
	b := s.Return(append(s.Work(), s.ScratchString("asked on the way")...))
	if string(a) != "first" || string(b) != "asked on the way" || s.Size() != 5+100000+2*len(b) {
		t.Errorf("%q %q, %d bytes", a, b, s.Size())
	}
	if _ = append(a, 'X'); string(s.Scratch(nil)) != "" {
		t.Error("appending to a lent slice reached its neighbour")
	}
	s.Reset()
	if s.Size() != 0 {
		t.Errorf("%d bytes after Reset", s.Size())
	}
}

func TestVariablesHoldOneValueForEachName(t *testing.T) {
	var v Vars
	v.Set("a", Value{Kind: KindInt, Int: 1})
	v.Set("b", Value{Kind: KindIPv4, Addr: netip.MustParseAddr("192.0.2.1")})
	v.Set("a", Value{Kind: KindStr, Bytes: []byte("x")})
	if got, ok := v.Get("a"); !ok || string(got.Bytes) != "x" || got.Kind != KindStr {
		t.Errorf("a is %+v", got)
	}
	v.Unset("a")
	if _, ok := v.Get("a"); ok {
		t.Error("a is still set")
	}
	if _, ok := v.Get("b"); !ok {
		t.Error("b went away with a")
	}
	v.Clear()
	if _, ok := v.Get("b"); ok {
		t.Error("b survived Clear")
	}
}

func TestCloneHasBytesOfItsOwn(t *testing.T) {
	b := []byte("abc")
	c := Value{Kind: KindStr, Bytes: b}.Clone()
	b[0] = 'X'
	if string(c.Bytes) != "abc" {
		t.Errorf("clone changed to %q", c.Bytes)
	}
}
