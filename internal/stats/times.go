package stats

import (
	"sync/atomic"
	"time"
)

// timesWindow is how many of the last requests the mean times are about (HAProxy: TIME_STATS_SAMPLES).
const timesWindow = 512

// Times are how long the phases of requests took, as means over about the last 512 and as maxima: waiting in the queue, connecting,
// waiting for the response, and all in all (qtime, ctime, rtime, ttime and their _max, in milliseconds).
type Times struct {
	n                               atomic.Int64
	queue, connect, response, total span
}

// Add counts one request.
func (t *Times) Add(queue, connect, response, total time.Duration) {
	n := t.n.Add(1)
	t.queue.add(queue, n)
	t.connect.add(connect, n)
	t.response.add(response, n)
	t.total.add(total, n)
}

// span is the sum of the samples in the window, which slides once it is full, and the largest sample ever, in milliseconds.
type span struct{ sum, max atomic.Int64 }

func (s *span) add(d time.Duration, n int64) {
	ms := max(0, d.Milliseconds())
	for {
		old := s.sum.Load()
		sum := old + ms
		if n > timesWindow {
			sum -= (old + timesWindow - 1) / timesWindow
		}
		if s.sum.CompareAndSwap(old, sum) {
			break
		}
	}
	for {
		m := s.max.Load()
		if ms <= m || s.max.CompareAndSwap(m, ms) {
			return
		}
	}
}

// mean is rounded up, as HAProxy does.
func (s *span) mean(n int64) int64 {
	n = min(max(n, 1), timesWindow)
	return (s.sum.Load() + n - 1) / n
}

// times fills the columns of the mean and the largest times.
func (r *Row) times(t *Times) {
	n := t.n.Load()
	for _, c := range [...]struct {
		mean, max Column
		span      *span
	}{
		{ColQtime, ColQtimeMax, &t.queue}, {ColCtime, ColCtimeMax, &t.connect}, {ColRtime, ColRtimeMax, &t.response}, {ColTtime, ColTtimeMax, &t.total},
	} {
		r.SetInt(c.mean, c.span.mean(n))
		r.SetInt(c.max, c.span.max.Load())
	}
}
