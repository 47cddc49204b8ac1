package certstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"gatehouse/internal/event"
)

// Files that commands change besides certificates (crt-lists, maps, ACL files) are kept like these: rewritten where the configuration
// names them, or, behind a link or in a place that takes no files of ours, in the state directory until the file changes.

// maxFile bounds such a file, in bytes.
const maxFile = 256 << 20

func keptFilePath(dir, path string) string {
	return filepath.Join(dir, "files", sumOf([]byte(path))[:40])
}

// ReadFile reads a file that commands may have changed, at most limit bytes.
func (s *Store) ReadFile(path string, limit int64) ([]byte, error) {
	return readOver(s.o, s.keptDir(), path, limit)
}

// ReadFile is Store.ReadFile with the state directory of the plan.
func (p *Plan) ReadFile(path string, limit int64) ([]byte, error) {
	return readOver(p.store.o, p.loader.rules.StateDir, path, limit)
}

// readOver reads a file, or the version in a state directory that supersedes it.
func readOver(o Options, dir, path string, limit int64) ([]byte, error) {
	data, err := o.Host.ReadFile(path, limit)
	if dir == "" || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	raw, kerr := o.Host.ReadFile(keptFilePath(dir, path), limit+maxKept)
	if kerr != nil {
		return data, err
	}
	sum := absent
	if err == nil {
		sum = sumOf(data)
	}
	if k, kerr := decodeKept(raw); kerr == nil && k.name == path && k.wins([]fileSum{{path, sum}}) {
		return k.body, nil
	}
	return data, err
}

// SaveFile makes a file hold what render makes of its content, durably. A disk that is full or read-only is tried again later; then and when there is
// no place for it at all the text says so.
func (s *Store) SaveFile(path string, render func(old []byte) []byte) (warning string, err error) {
	s.files.Lock()
	defer s.files.Unlock()
	warning, err = s.saveFile(path, render)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !passes(err) {
		delete(s.fileDebts, path)
		return warning, err
	}
	if s.fileDebts == nil {
		s.fileDebts = map[string]func([]byte) []byte{}
	}
	s.fileDebts[path] = render
	s.tellOnce("unsaved "+path, event.CertUnsaved, "alert", path, fmt.Sprintf("the change of '%s' is not on disk: %v", path, err))
	return fmt.Sprintf("the change is not on disk yet and would be lost at a restart: %v; this is tried again until it is", err), nil
}

// saveFile is SaveFile without a memory. The caller holds s.files.
func (s *Store) saveFile(path string, render func(old []byte) []byte) (warning string, err error) {
	old, err := s.ReadFile(path, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read '%s': %w", path, clean(err))
	}
	data := render(old)
	if err == nil && string(data) == string(old) {
		return "", nil
	}
	if info, lerr := s.o.Host.Lstat(path); lerr == nil && info.Mode.IsRegular() || errors.Is(lerr, fs.ErrNotExist) {
		err := s.o.Host.ReplaceFile(path, data, 0o644)
		if err == nil {
			return "", s.dropFile(path)
		}
		if !blocked(err) {
			return "", fmt.Errorf("cannot write '%s': %w", path, clean(err))
		}
	}
	return s.keepFile(path, data)
}

// keepFile puts a version of a file into the state directory.
func (s *Store) keepFile(path string, data []byte) (warning string, err error) {
	dir, err := s.stateDir()
	if errors.Is(err, errMemoryOnly) {
		return fmt.Sprintf("the change of '%s' is in memory only and will be lost at a restart: it cannot be written and %v", path, errMemoryOnly), nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot open the state directory: %w", err)
	}
	sum, err := currentSum(s.o.Host, path)
	if err != nil {
		return "", fmt.Errorf("cannot read '%s': %w", path, clean(err))
	}
	place := keptFilePath(dir, path)
	k := &kept{name: path, files: []fileSum{{path, sum}}, body: data}
	if err := s.o.Host.MkdirAll(filepath.Dir(place)); err != nil {
		return "", fmt.Errorf("cannot make '%s': %w", filepath.Dir(place), clean(err))
	}
	if err := s.o.Host.ReplaceFile(place, k.encode(), 0o600); err != nil {
		return "", fmt.Errorf("cannot write '%s': %w", place, clean(err))
	}
	return "", nil
}

// dropFile removes the kept version of a file that was written. It cannot win any more, so a failure is told by nobody.
func (s *Store) dropFile(path string) error {
	kept := s.keptDir()
	if kept == "" {
		return nil
	}
	if _, err := s.o.Host.Lstat(keptFilePath(kept, path)); err != nil {
		return nil
	}
	dir, err := s.stateDir()
	if err != nil {
		return nil
	}
	return s.o.Host.Remove(keptFilePath(dir, path))
}

// payFiles tries again to save files; false when the disk refuses.
func (s *Store) payFiles() bool {
	s.files.Lock()
	defer s.files.Unlock()
	s.mu.RLock()
	todo := make(map[string]func([]byte) []byte, len(s.fileDebts))
	for path, render := range s.fileDebts {
		todo[path] = render
	}
	s.mu.RUnlock()
	for path, render := range todo {
		if _, err := s.saveFile(path, render); err != nil {
			return false
		}
		s.mu.Lock()
		delete(s.fileDebts, path)
		s.mu.Unlock()
		if s.untell("unsaved " + path) {
			s.emit(event.CertSaved, "notice", path, fmt.Sprintf("the change of '%s' is on disk now", path))
		}
	}
	return true
}
