package certstore

import (
	"fmt"
	"path/filepath"

	"gatehouse/internal/event"
)

// unfinished is a redo record of this process whose files are not all replaced. Its content counts as that of the files.
type unfinished struct {
	log    redoLog
	path   string
	record *redoRecord
	owners map[string]*saver // whose each file is
	done   int               // of the record's files
}

// leave puts a durable record aside for finishLeft. The caller holds s.write.
func (s *Store) leave(u *unfinished) {
	s.left = append(s.left, u)
	if s.leftFiles == nil {
		s.leftFiles = map[string]bool{}
	}
	for _, f := range u.record.Files {
		s.leftFiles[f.Path] = true
	}
	s.wake()
}

// finishLeft finishes what was put aside, oldest first, and returns why something still is. The caller holds s.write.
func (s *Store) finishLeft() error {
	for len(s.left) > 0 {
		if err := s.finishSome(len(s.left[0].record.Files)); err != nil {
			return err
		}
	}
	return nil
}

// finishSome replaces n files of the oldest record. The caller holds s.write.
func (s *Store) finishSome(n int) error {
	u := s.left[0]
	files := u.record.Files
	end := min(u.done+n, len(files))
	err := u.log.apply(files[u.done:end])
	if allBlocked(err) {
		err = u.keepBlocked(files[u.done:end])
	}
	if err == nil {
		if u.done = end; end == len(files) {
			err = u.log.host.Remove(u.path)
		}
	}
	if err != nil {
		s.tellOnce(u.path, event.CertUnsaved, "warning", u.log.dir, fmt.Sprintf("the files of a transaction are not all replaced yet, the rest is in the redo log: %v", err))
		return err
	}
	if end == len(files) {
		if s.left = s.left[1:]; len(s.left) == 0 {
			s.left, s.leftFiles = nil, nil
		}
	}
	return nil
}

// keepBlocked moves certificates whose place takes no files of ours to the state directory.
func (u *unfinished) keepBlocked(files []redoFile) error {
	moved := map[*saver]bool{}
	for _, f := range files {
		v := u.owners[f.Path]
		sum, err := currentSum(u.log.host, f.Path)
		if v == nil || moved[v] || err != nil || f.Remove || sum == sumOf(f.Data) || filepath.Dir(f.Path) == keptDirOf(u.log.dir) {
			continue
		}
		moved[v] = true
		if err := v.keepOver(); err != nil {
			return err
		}
	}
	return nil
}

// settle finishes earlier records before one of their files changes again, and those whose extent is not known.
func (s *Store) settle(paths ...string) error {
	for _, p := range paths {
		if s.leftFiles[p] {
			if err := s.finishLeft(); err != nil {
				return fmt.Errorf("an earlier change of several files is not finished: %w", clean(err))
			}
			break
		}
	}
	if !s.redoLeft {
		return nil
	}
	dir, err := s.stateDir()
	if err == nil {
		err = redoLog{s.o.Host, dir}.recover()
	}
	if err != nil {
		return fmt.Errorf("an earlier change of several files is not finished: %w", clean(err))
	}
	s.redoLeft = false
	return nil
}
