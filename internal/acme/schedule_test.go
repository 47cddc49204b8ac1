package acme

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRenewAtKeepsItsShareOfAnyLife: for lives from an hour to 398 days, renewal comes at two thirds (half under ten days), at most a
// fortieth of the life earlier and never later, and the same leaf always gives the same moment.
func TestRenewAtKeepsItsShareOfAnyLife(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 3, 1, 12, 34, 56, 0, time.UTC)
	for range 5000 {
		life := time.Hour + time.Duration(random.Int64N(int64(398*24*time.Hour)))
		var print [32]byte
		for i := range print {
			print[i] = byte(random.Uint32())
		}
		at := RenewAt(begin, begin.Add(life), print)
		latest := begin.Add(life / 3 * 2)
		if life < 10*24*time.Hour {
			latest = begin.Add(life / 2)
		}
		if at.After(latest) || at.Before(latest.Add(-life/40)) {
			t.Fatalf("life %s: renewal after %s, want %s to %s", life, at.Sub(begin), latest.Add(-life/40).Sub(begin), latest.Sub(begin))
		}
		if again := RenewAt(begin, begin.Add(life), print); !again.Equal(at) {
			t.Fatalf("life %s: renewal at %s, then at %s", life, at, again)
		}
	}
}

func TestRenewAtOfSenselessDatesIsPast(t *testing.T) {
	now := time.Now()
	for _, life := range []time.Duration{0, -time.Hour} {
		if at := RenewAt(now, now.Add(life), [32]byte{}); !at.IsZero() {
			t.Errorf("life %s: renewal at %s, want the zero time", life, at)
		}
	}
	if at := RenewAt(now, now.Add(time.Nanosecond), [32]byte{}); at.After(now) {
		t.Errorf("a life of a nanosecond is renewed at %s, after %s", at, now)
	}
}

func TestRetryPlan(t *testing.T) {
	for _, c := range []struct {
		failures int
		urgent   bool
		after    time.Duration
		spread   float64
		want     time.Duration
	}{
		{1, false, 0, 0, time.Minute},
		{2, false, 0, 0, 10 * time.Minute},
		{3, false, 0, 0, 100 * time.Minute},
		{4, false, 0, 0, 24 * time.Hour},
		{400, false, 0, 0, 24 * time.Hour},
		{1, false, 0, 1, 66 * time.Second},
		{3, true, 0, 1, time.Hour},
		{9, true, 0, 1, time.Hour},
		{1, true, 0, 0, time.Minute},
		{1, false, 2 * time.Hour, 0, 2 * time.Hour},
		{3, true, 3 * time.Hour, 0, 3 * time.Hour},
		{1, false, 1000 * time.Hour, 0, 24 * time.Hour},
		{2, false, time.Second, 0, 10 * time.Minute},
	} {
		if got := retryDelay(c.failures, c.urgent, c.after, c.spread); got != c.want {
			t.Errorf("failure %d, urgent %v, Retry-After %s, spread %v: %s, want %s", c.failures, c.urgent, c.after, c.spread, got, c.want)
		}
	}
}

func TestUrgentInTheLastQuarter(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := begin.Add(100 * time.Hour)
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{{0, false}, {75 * time.Hour, false}, {75*time.Hour + 1, true}, {200 * time.Hour, true}} {
		if got := urgent(begin, end, begin.Add(c.at)); got != c.want {
			t.Errorf("after %s of 100h: urgent %v, want %v", c.at, got, c.want)
		}
	}
	if !urgent(end, begin, begin) {
		t.Error("a certificate that ends before it begins is not urgent")
	}
}
