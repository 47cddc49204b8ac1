package certstore

import (
	"context"
	"time"

	"gatehouse/internal/event"
)

// tick is how often Run looks for what became due.
const tick = time.Second

// Run does what follows a change and need not hold up who made it: it finishes redo records of large transactions, drops expired
// ones, tries again what a disk refused, writes the history, reads files that were edited. It returns when ctx is done.
func (s *Store) Run(ctx context.Context) error {
	s.running.Store(true)
	defer s.running.Store(false)
	w := &watcher{store: s, events: make(chan []string), dirty: map[string]time.Time{}}
	defer w.stop()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		w.follow(ctx)
		select {
		case <-ctx.Done():
			s.flushHistory(context.WithoutCancel(ctx))
			return ctx.Err()
		case <-t.C:
			s.fillHistory()
			w.poll()
			w.quietOnes()
		case paths := <-w.events:
			w.changed(paths)
			continue
		case <-s.wakeUp:
		}
		s.chores(ctx)
	}
}

func (s *Store) chores(ctx context.Context) {
	s.mu.Lock()
	s.expireLocked()
	s.mu.Unlock()
	s.payDebts()
	s.flushHistory(ctx) // before files of a transaction are replaced: they hold what was there before
	for s.finishChunk() && ctx.Err() == nil {
	}
	s.writeIndex()
}

// finishChunk replaces some files of a large transaction, and lets commits pass in between.
func (s *Store) finishChunk() (more bool) {
	s.write.Lock()
	defer s.write.Unlock()
	return len(s.left) > 0 && s.finishSome(soonFiles) == nil && len(s.left) > 0
}

func (s *Store) wake() {
	select {
	case s.wakeUp <- struct{}{}:
	default:
	}
}

// tellOnce emits an event unless the same was told before; untell lets it be told again.
func (s *Store) tellOnce(key string, kind event.Kind, level, subject, text string) {
	s.tell.Lock()
	again := s.told[key]
	s.told[key] = true
	s.tell.Unlock()
	if !again {
		s.emit(kind, level, subject, text)
	}
}

func (s *Store) untell(key string) (was bool) {
	s.tell.Lock()
	defer s.tell.Unlock()
	was = s.told[key]
	delete(s.told, key)
	return was
}
