package ocsp

import (
	"testing"
	"time"
)

func TestDelaysAreHAProxys(t *testing.T) {
	d := Delays{5 * time.Minute, time.Hour}
	now := time.Unix(1700000000, 0)
	for _, c := range []struct {
		name  string
		until time.Duration // 0: no response
		want  time.Duration
	}{
		{"no response yet", 0, 0},
		{"a long one is asked for hourly", 100 * time.Hour, time.Hour},
		{"a minute before its end", 31 * time.Minute, 30 * time.Minute},
		{"not more often than the shortest delay", 2 * time.Minute, 5 * time.Minute},
		{"one that has ended", -time.Hour, 5 * time.Minute},
	} {
		var until time.Time
		if c.until != 0 {
			until = now.Add(c.until)
		}
		if got := d.next(now, until).Sub(now); got != c.want {
			t.Errorf("%s: in %v, want %v", c.name, got, c.want)
		}
	}
	for failures, want := range map[int]time.Duration{1: 2 * time.Minute, 2: 4 * time.Minute, 5: 32 * time.Minute, 6: time.Hour, 1000: time.Hour} {
		if got := d.retry(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}
