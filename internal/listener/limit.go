package listener

import (
	"context"
	"sync"
	"sync/atomic"
)

// Limit is a maxconn: of a bind line, of a frontend with several, or of the process. A listener that finds it reached stops accepting,
// so that further connections wait in the kernel's queue as they do with HAProxy, instead of being refused.
type Limit struct {
	n   atomic.Int64
	max atomic.Int64 // 0: none

	mu    sync.Mutex
	freed chan struct{} // closed when there may be room again; nil while nobody waits
}

// NewLimit makes a limit of max connections, 0 for none.
func NewLimit(max int) *Limit {
	l := new(Limit)
	l.max.Store(int64(max))
	return l
}

// Set changes the limit; connections above a lower one stay.
func (l *Limit) Set(max int) {
	l.max.Store(int64(max))
	l.wake()
}

// Max is the limit, 0 for none.
func (l *Limit) Max() int { return int(l.max.Load()) }

// Len is how many connections count against the limit now.
func (l *Limit) Len() int { return int(l.n.Load()) }

// TryAcquire counts one connection if there is room.
func (l *Limit) TryAcquire() bool {
	for {
		n, max := l.n.Load(), l.max.Load()
		if max > 0 && n >= max {
			return false
		}
		if l.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// acquire counts one connection, waiting for room until ctx is done.
func (l *Limit) acquire(ctx context.Context) bool {
	for !l.TryAcquire() {
		freed := l.waiting()
		if l.TryAcquire() { // freed between the first try and now
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Release counts one connection less.
func (l *Limit) Release() {
	l.n.Add(-1)
	l.wake()
}

func (l *Limit) waiting() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freed == nil {
		l.freed = make(chan struct{})
	}
	return l.freed
}

func (l *Limit) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}
