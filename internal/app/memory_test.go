package app

import "testing"

func TestCollectorWaitsForTheFloorAndNoLonger(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{{0, 1600}, {1 << 20, 1600}, {5 << 20, 400}, {12 << 20, 100}, {heapFloor, 100}, {10 << 30, 100}} {
		got := gcPercent(test.live)
		if got != test.want {
			t.Errorf("live %d MiB: GOGC %d, want %d", test.live>>20, got, test.want)
		}
		if next := test.live + test.live*uint64(got)/100; got > 100 && next > heapFloor {
			t.Errorf("live %d MiB: the next collection comes at %d MiB", test.live>>20, next>>20)
		}
	}
}
