package stream

import "testing"

type leaver struct{ left *int }

func (l leaver) Leave() { *l.left++ }

func TestResetEndsWhatARequestTracks(t *testing.T) {
	var s Stream
	s.Reset()
	left := 0
	s.Counters.Set(2, leaver{&left})
	if s.Counters.At(0) != nil || s.Counters.At(2) == nil || s.Counters.At(3) != nil || s.Counters.At(-1) != nil || s.Counters.Len() != 3 {
		t.Fatalf("slots are %v", s.Counters)
	}
	s.Reset()
	s.Reset()
	if left != 1 || s.Counters.At(2) != nil {
		t.Errorf("left %d times, still tracked: %v", left, s.Counters.At(2))
	}
}
