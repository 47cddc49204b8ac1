package backend

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// queue holds the requests that found every server full, oldest first. A request that has a slot never touches its lock.
//
// No wake-up is lost: a waiter counts itself in waiting before it asks the servers a last time, and whoever frees a slot
// frees it before it reads waiting.
type queue struct {
	waiting atomic.Int64

	mu     sync.Mutex
	list   []*waiter
	wanted int // how many of list wait for one certain server
}

// waiter is one queued request. given receives the server whose slot was taken for it.
type waiter struct {
	given chan *Server
	avoid *Server
	want  *Server // the only server that will do, until it goes down
	force bool    // not even then another one
}

// wake gives free slots to the oldest waiters.
func (q *queue) wake(b *Backend) {
	if q.waiting.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	full := false // no server that the balance algorithm knows has a slot
	kept := q.list[:0]
	for i, w := range q.list {
		if full && q.wanted == 0 {
			kept = append(kept, q.list[i:]...)
			break
		}
		s := q.slotFor(b, w, &full)
		if s == nil {
			kept = append(kept, w)
			continue
		}
		q.left(b, w)
		w.given <- s // buffered
	}
	clear(q.list[len(kept):])
	q.list = kept
}

// slotFor takes a slot for w. A server that went down gives its waiters to the others when option redispatch is set.
func (q *queue) slotFor(b *Backend, w *waiter, full *bool) *Server {
	if w.want != nil {
		if w.want.acquire() {
			return w.want
		}
		if w.want.Alive() || b.o.Redispatch == nil || w.force {
			return nil
		}
		w.want.life.counters.QCur.Add(-1)
		q.wanted--
		w.want, w.avoid = nil, w.want
	}
	if *full {
		return nil
	}
	s, _ := b.take(w.avoid)
	*full = s == nil
	return s
}

// left counts w out; the caller holds mu.
func (q *queue) left(b *Backend, w *waiter) {
	q.waiting.Add(-1)
	if w.want != nil {
		q.wanted--
		w.want.life.counters.QCur.Add(-1)
	} else {
		b.counters.QCur.Add(-1)
	}
}

// remove takes w out; false when it was already given a server.
func (q *queue) remove(b *Backend, w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, x := range q.list {
		if x == w {
			q.list = append(q.list[:i], q.list[i+1:]...)
			q.left(b, w)
			return true
		}
	}
	return false
}

// wait queues the caller until a server, or the one that w wants, has a slot for it. position is its place in
// the queue, the backend's or that server's, counted from 1 as the log has it.
// limit bounds the wait; 0 does not.
func (b *Backend) wait(ctx context.Context, w *waiter, limit time.Duration) (s *Server, position int, err error) {
	w.given = make(chan *Server, 1)
	b.queue.mu.Lock()
	b.queue.list = append(b.queue.list, w)
	b.queue.waiting.Add(1)
	if w.want != nil {
		b.queue.wanted++
		position = noteQueue(&w.want.life.counters)
	} else {
		position = noteQueue(b.counters)
	}
	b.queue.mu.Unlock()
	b.queue.wake(b)

	var expired <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		expired = t.C
	}
	select {
	case s = <-w.given:
		return s, position, nil
	case <-expired:
		err = &Error{Kind: QueueTimeout, Status: 503, Term: [2]byte{'s', 'Q'}}
	case <-ctx.Done():
		err = &Error{Kind: Aborted, Term: [2]byte{'C', 'Q'}, Err: context.Cause(ctx)}
	}
	if !b.queue.remove(b, w) {
		(<-w.given).freeSlot() // it was given between the timeout and now: pass it on
	}
	return nil, position, err
}

// queueTimeout is how long a stream may wait; 0 is for ever.
func (b *Backend) queueTimeout(s *stream.Stream) time.Duration {
	if b.o.QueueTimeout > 0 {
		return s.Limits.Timeout(stream.TimeoutQueue, b.o.QueueTimeout)
	}
	return s.Limits.Timeout(stream.TimeoutQueue, s.Limits.Timeout(stream.TimeoutConnect, b.o.ConnectTimeout))
}

// noteQueue counts one more in a queue and returns how many stood there.
func noteQueue(c *stats.Counters) (position int) {
	n := c.QCur.Add(1)
	for {
		m := c.QMax.Load()
		if n <= m || c.QMax.CompareAndSwap(m, n) {
			return int(n)
		}
	}
}
