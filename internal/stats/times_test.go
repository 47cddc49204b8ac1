package stats

import (
	"testing"
	"time"
)

func TestTimesAreMeansOfTheLastRequestsAndMaxima(t *testing.T) {
	var c Counters
	c.Times.Add(10*time.Millisecond, 20*time.Millisecond, 30*time.Millisecond, 70*time.Millisecond)
	c.Times.Add(0, -time.Millisecond, 31*time.Millisecond, 30*time.Millisecond)
	check := func(story string, want map[Column]int64) {
		t.Helper()
		var r Row
		BackendFacts{Name: "be", Mode: "http", Counters: &c}.Row(&r, time.Now())
		for col, n := range want {
			if got := r.Get(col).Int(); got != n {
				t.Errorf("%s: column %s is %d, want %d", story, columns[col].name, got, n)
			}
		}
	}
	check("two requests", map[Column]int64{ColQtime: 5, ColCtime: 10, ColRtime: 31, ColTtime: 50,
		ColQtimeMax: 10, ColCtimeMax: 20, ColRtimeMax: 31, ColTtimeMax: 70})
	for range 20 * timesWindow {
		c.Times.Add(0, 0, 40*time.Millisecond, 40*time.Millisecond)
	}
	check("many others after them", map[Column]int64{ColQtime: 0, ColCtime: 0, ColRtime: 40, ColTtime: 40, ColQtimeMax: 10, ColTtimeMax: 70})
}
