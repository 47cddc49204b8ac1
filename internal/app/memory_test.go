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

func TestMemoryIsGivenBackOnceTheProcessRests(t *testing.T) {
	const mib = 1 << 20
	var r rest
	for i, step := range []struct {
		allocated uint64
		want      bool
	}{
		{5 * mib, false},        // it works
		{5*mib + 1000, false},   // it rests, but there is little to collect
		{100 * mib, false},      // a burst
		{180 * mib, false},      // goes on
		{180*mib + 1000, true},  // over
		{180*mib + 2000, false}, // it was done already
		{190 * mib, false},
		{190*mib + 1000, false}, // not enough since
		{200 * mib, false},
		{200*mib + 1000, true},
	} {
		if got := r.worthwhile(step.allocated); got != step.want {
			t.Errorf("step %d, %d bytes: %v, want %v", i, step.allocated, got, step.want)
		}
	}
}
