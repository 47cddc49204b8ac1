package ocsp

import (
	"container/heap"
	"time"
)

// HAProxy's times (ssl_ocsp-t.h).
const (
	margin     = time.Minute // a response is fetched this long before it is not sent any more
	firstRetry = time.Minute // doubled at each failure, the first one included
)

// Delays bound when a response is asked for again.
type Delays struct {
	Min time.Duration // ocsp-update.mindelay
	Max time.Duration // ocsp-update.maxdelay
}

// next is when to ask for a response that is sent until a time, zero when there is none: shortly before, not later than the longest delay, and, if
// there is one, not sooner than the shortest.
func (d Delays) next(now, until time.Time) time.Time {
	if until.IsZero() {
		return now
	}
	at := until.Add(-margin)
	if latest := now.Add(d.Max); at.After(latest) {
		at = latest
	}
	if soonest := now.Add(d.Min); at.Before(soonest) {
		at = soonest
	}
	return at
}

// retry is how long to wait after so many failures in a row.
func (d Delays) retry(failures int) time.Duration {
	const most = 20 // doublings; no delay is longer
	return min(firstRetry<<min(failures, most), d.Max)
}

// queue is the records that wait for their time, the earliest first, in the order of their declaration where it is the same.
type queue []*record

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].next.Equal(q[j].next) {
		return q[i].next.Before(q[j].next)
	}
	return q[i].seq < q[j].seq
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push and Pop are container/heap's.
func (q *queue) Push(x any) {
	r := x.(*record)
	r.at = len(*q)
	*q = append(*q, r)
}

func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	last.at = waitsNot
	return last
}

// waitsNot is the place of a record that is not in the queue.
const waitsNot = -1

// put makes r wait for a time, wherever it was before.
func (q *queue) put(r *record, at time.Time) {
	r.next = at
	if r.at == waitsNot {
		heap.Push(q, r)
		return
	}
	heap.Fix(q, r.at)
}

func (q *queue) remove(r *record) {
	if r.at != waitsNot {
		heap.Remove(q, r.at)
	}
}
