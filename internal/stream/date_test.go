package stream

import (
	"testing"
	"time"
)

func TestDateWritesWhatPackageTimeWrites(t *testing.T) {
	begin := time.Date(2026, 10, 25, 0, 59, 58, 0, time.UTC) // an hour of two zones
	for _, layout := range []string{LogDate, "02/Jan/2006:15:04:05 -0700", time.Stamp} {
		for _, utc := range []bool{true, false} {
			d := NewDate(layout, utc)
			for i := range 4000 {
				at := begin.Add(time.Duration(i) * 37 * time.Millisecond)
				if i%3 == 2 {
					at = at.Add(-time.Second) // lines need not come in the order of their dates
				}
				want := at.Local().Format(layout)
				if utc {
					want = at.UTC().Format(layout)
				}
				if got := string(d.Append(nil, at)); got != want {
					t.Fatalf("%q: %s is written %q, want %q", layout, at, got, want)
				}
			}
		}
	}
}

func BenchmarkDate(b *testing.B) {
	b.ReportAllocs()
	d, now, room := NewDate(LogDate, false), time.Now(), make([]byte, 0, 64)
	for b.Loop() {
		room = d.Append(room[:0], now)
	}
}
