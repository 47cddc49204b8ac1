package app

import (
	"errors"
	"fmt"
	"sync"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
	"gatehouse/internal/storage/bolt"
)

// stateDir is the state directory: opened and locked at the first write, given up at the end.
type stateDir struct {
	host   host.Host
	notify func(level, text string)

	mu    sync.Mutex
	path  string
	store storage.Store
	// memory: another process holds the directory, and nothing is written into it.
	memory bool
}

// use names the directory of the configuration that serves. A directory that is open stays: moving state is a restart's work.
func (s *stateDir) use(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		s.path = path
	} else if s.path != path {
		s.notify(config.LevelWarning, fmt.Sprintf("state-dir stays %s until the next start", s.path))
	}
}

// open opens the state on first use. A directory that another process has locked, or that can't be had, is told once, and
// state is kept in memory.
func (s *stateDir) open() (storage.Store, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory {
		return s.store, "", nil
	}
	if s.store != nil {
		return s.store, s.path, nil
	}
	if s.path == "" {
		return nil, "", errors.New("no state directory yet")
	}
	err := s.host.MkdirAll(s.path)
	if err == nil {
		s.store, err = bolt.Open(s.host, s.path+"/state.db")
	}
	switch {
	case err == nil:
		return s.store, s.path, nil
	case errors.Is(err, storage.ErrLocked):
		s.notify(config.LevelWarning, fmt.Sprintf("state-dir %s is locked by another process: this one keeps its state in memory only", s.path))
		s.store, s.memory = storage.Memory(), true
		return s.store, "", nil
	}
	return nil, "", fmt.Errorf("opening state-dir %s: %w", s.path, err)
}

func (s *stateDir) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		return nil
	}
	err := s.store.Close()
	s.store = nil
	return err
}
