package storage

import (
	"context"
	"strings"
	"sync"
)

// watchBuffer is how many changes a reader may fall behind.
const watchBuffer = 256

// Watchers hands changes to the readers of a Store that lives in one process. The zero value is ready.
type Watchers struct {
	mu     sync.Mutex
	closed bool
	list   map[*watcher]struct{}
}

type watcher struct {
	prefix string
	ch     chan Item
}

// Add starts a watch; see Store.Watch. It ends with ctx, with Close, or when the reader falls behind.
func (w *Watchers) Add(ctx context.Context, prefix string) (<-chan Item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	if w.list == nil {
		w.list = map[*watcher]struct{}{}
	}
	one := &watcher{prefix, make(chan Item, watchBuffer)}
	w.list[one] = struct{}{}
	context.AfterFunc(ctx, func() { w.drop(one) })
	return one.ch, nil
}

func (w *Watchers) drop(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropLocked(one)
}

func (w *Watchers) dropLocked(one *watcher) {
	if _, ok := w.list[one]; ok {
		delete(w.list, one)
		close(one.ch)
	}
}

// Send hands one change to everybody it concerns. It never waits; who is too far behind loses the watch.
func (w *Watchers) Send(item Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.list {
		if !strings.HasPrefix(item.Key, one.prefix) {
			continue
		}
		select {
		case one.ch <- item:
		default:
			w.dropLocked(one)
		}
	}
}

// Close ends all watches.
func (w *Watchers) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for one := range w.list {
		w.dropLocked(one)
	}
}
