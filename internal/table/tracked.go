package table

import "gatehouse/internal/stream"

// Tracked is the entry in which slot i of a stream counts: the stream's own, else the connection's; nil for none.
func Tracked(s *stream.Stream, i int) *Entry {
	t := s.Counters.At(i)
	if t == nil && s.Conn != nil {
		t = s.Conn.Counters.At(i)
	}
	e, _ := t.(*Entry)
	return e
}

// Count adds n to a counter and its rate in all that a stream tracks.
func Count(s *stream.Stream, counter, rate DataType, n uint64) {
	slots := s.Counters.Len()
	if s.Conn != nil {
		slots = max(slots, s.Conn.Counters.Len())
	}
	for i := range slots {
		if e := Tracked(s, i); e != nil {
			e.Count(counter, rate, n)
		}
	}
}

// CountSession counts an accepted session in all that its connection tracks.
func CountSession(c *stream.Conn) {
	for i := range c.Counters.Len() {
		if e, ok := c.Counters.At(i).(*Entry); ok {
			e.Count(SessCnt, SessRate, 1)
		}
	}
}
