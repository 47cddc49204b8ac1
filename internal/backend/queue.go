package backend

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// queue holds the requests that found every server full, oldest first. A request that has a slot never touches its lock.
//
// No wake-up is lost: a waiter counts itself in waiting before it asks the servers a last time, and whoever frees a slot
// frees it before it reads waiting.
type queue struct {
	waiting atomic.Int64

	mu   sync.Mutex
	list []*waiter
}

// waiter is one queued request. given receives the server whose slot was taken for it.
type waiter struct {
	given chan *Server
	avoid *Server
}

// wake gives free slots to the oldest waiters.
func (q *queue) wake(b *Backend) {
	if q.waiting.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) > 0 {
		w := q.list[0]
		s, _ := b.take(w.avoid)
		if s == nil {
			return
		}
		q.list[0] = nil
		q.list = q.list[1:]
		q.waiting.Add(-1)
		w.given <- s // buffered
	}
}

// remove takes w out; false when it was already given a server.
func (q *queue) remove(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, x := range q.list {
		if x == w {
			q.list = append(q.list[:i], q.list[i+1:]...)
			q.waiting.Add(-1)
			return true
		}
	}
	return false
}

// wait queues the caller until a server has a slot for it. position is how many requests stood before it.
func (b *Backend) wait(ctx context.Context, avoid *Server) (s *Server, position int, err error) {
	w := &waiter{given: make(chan *Server, 1), avoid: avoid}
	b.queue.mu.Lock()
	position = len(b.queue.list)
	b.queue.list = append(b.queue.list, w)
	n := b.queue.waiting.Add(1)
	b.queue.mu.Unlock()
	b.noteQueue(n)
	b.queue.wake(b)
	defer func() { b.counters.QCur.Store(b.queue.waiting.Load()) }()

	var expired <-chan time.Time
	if d := b.queueTimeout(); d > 0 {
		t := time.NewTimer(d)
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
	if !b.queue.remove(w) {
		(<-w.given).freeSlot() // it was given between the timeout and now: pass it on
	}
	return nil, position, err
}

func (b *Backend) queueTimeout() time.Duration {
	if b.o.QueueTimeout > 0 {
		return b.o.QueueTimeout
	}
	return b.o.ConnectTimeout
}

func (b *Backend) noteQueue(n int64) {
	b.counters.QCur.Store(n)
	for {
		m := b.counters.QMax.Load()
		if n <= m || b.counters.QMax.CompareAndSwap(m, n) {
			return
		}
	}
}
