package table

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// TestThreat_N11: no number of events makes a counter or a rate small again, so that a limit once reached holds.
func TestThreat_N11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := textTable(4, time.Hour, Store{Type: GPC0}, Store{Type: GPC0Rate, Period: time.Minute}, Store{Type: HTTPReqCnt}, Store{Type: HTTPReqRate, Period: time.Minute},
			Store{Type: BytesOutCnt}, Store{Type: BytesOutRate, Period: time.Minute}, Store{Type: ConnCur})
		e := tab.Get([]byte("k"))
		defer e.Release()
		for _, n := range []uint32{math.MaxUint32, 1, math.MaxUint32, 7} {
			if v, ok := e.Add(GPC0, GPC0Rate, 0, n); !ok || v != math.MaxUint32 {
				t.Errorf("after %d more the counter is %d, %v", n, v, ok)
			}
			e.Count(HTTPReqCnt, HTTPReqRate, uint64(n))
		}
		for _, n := range []uint64{math.MaxUint64, 1, math.MaxInt64, 5 << 32} {
			e.Count(BytesOutCnt, BytesOutRate, n)
		}
		for d, want := range map[DataType]int64{GPC0: math.MaxUint32, GPC0Rate: math.MaxUint32, HTTPReqCnt: math.MaxUint32, HTTPReqRate: math.MaxUint32,
			BytesOutCnt: math.MaxInt64, BytesOutRate: math.MaxUint32} {
			if v, ok := e.Value(d, 0); !ok || v != want {
				t.Errorf("%v is %d, %v, want %d", types[d].name, v, ok, want)
			}
		}
		// The next period's events stay apart from the full one's, which fades.
		time.Sleep(90 * time.Second)
		e.Count(HTTPReqCnt, HTTPReqRate, 1)
		if v, _ := e.Value(HTTPReqRate, 0); v < math.MaxUint32/2-1 || v > math.MaxUint32/2+2 {
			t.Errorf("half a period later the rate is %d", v)
		}
	})
}
