package table

import (
	"testing"

	"gatehouse/internal/stream"
)

func TestSlotsOfAStreamHideThoseOfItsConnection(t *testing.T) {
	tab := textTable(10, 0, Store{Type: SessCnt}, Store{Type: HTTPReqCnt}, Store{Type: ConnCur})
	entry := func(key string) *Entry {
		e := tab.Get([]byte(key))
		e.Enter()
		return e
	}
	c := &stream.Conn{}
	s := &stream.Stream{Conn: c}
	c.Counters.Set(0, entry("both"))
	c.Counters.Set(2, entry("conn"))
	s.Counters.Set(0, entry("stream"))
	CountSession(c)
	Count(s, HTTPReqCnt, HTTPReqRate, 1)
	if Tracked(s, 1) != nil || Tracked(s, 9) != nil || Tracked(&stream.Stream{}, 0) != nil {
		t.Error("something is tracked where nothing is")
	}
	s.Counters.Leave()
	c.Counters.Leave()
	for key, want := range map[string][3]int64{"both": {1, 0, 0}, "conn": {1, 1, 0}, "stream": {0, 1, 0}} {
		e := tab.Lookup([]byte(key))
		got := [3]int64{value(t, e, SessCnt, 0), value(t, e, HTTPReqCnt, 0), value(t, e, ConnCur, 0)}
		if got != want || e.Holders() != 1 {
			t.Errorf("%s: %v, want %v; %d holders", key, got, want, e.Holders())
		}
	}
}
