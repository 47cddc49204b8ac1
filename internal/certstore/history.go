package certstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// HistoryRules bound what is kept of each name. The zero value keeps nothing.
type HistoryRules struct {
	Versions int           // at most so many
	Age      time.Duration // older ones go, except the newest; 0 is no bound
}

// Version is one version of a certificate that was served.
type Version struct {
	Name        string    `json:"name"`
	N           int       `json:"n"`   // from 1, per name
	Sum         string    `json:"sum"` // SHA-256 of the PEM bytes, which names their file
	When        time.Time `json:"when"`
	By          string    `json:"by"` // through which door it came; "file": it was found there
	Serial      string    `json:"serial"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the leaf
	NotAfter    time.Time `json:"notAfter"`
	Names       []string  `json:"names,omitempty"` // the first of them
	Current     bool      `json:"-"`               // it is what serves
}

// history is the versions that wait to be written. Records of a name are written in the order in which they were served.
type history struct {
	write sync.Mutex // held while a batch is written

	mu    sync.Mutex
	rules HistoryRules
	queue []record
	begin int // ticks until the first versions of files are looked at
	next  string
}

type record struct {
	name   string
	bundle *cert.Bundle
	by     string
	when   time.Time
}

const (
	historyBatch = 256  // records written as one
	historyQueue = 8192 // that wait at most; older ones are given up while the disk refuses
	historyWait  = 10   // ticks after the start, before first versions are looked at
)

// SetHistory says what is kept from now on.
func (s *Store) SetHistory(r HistoryRules) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.rules = r
}

// historyKey is the prefix of a name's records in the storage.
func historyKey(name string) string { return "history/" + sumOf([]byte(name))[:40] + "/" }

// objectPath is the file of one version. The name's hash keeps the versions of different names apart, so that a file goes when its record goes.
func objectPath(dir, name, sum string) string {
	return filepath.Join(dir, "history", sum[:2], sumOf([]byte(name))[:16]+"-"+sum+".pem")
}

// remember queues a version for history. Names under persist off and certificates without key have none.
func (s *Store) remember(e *entry, b *cert.Bundle, by string) {
	if b == nil || !b.HasKey() || b.Temporary() || s.ephemeral(e) || e.src != nil && e.src.Attrs != nil && e.src.Attrs.GenerateDummy {
		return
	}
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rules.Versions == 0 {
		return
	}
	h.queue = append(h.queue, record{e.name, b, by, s.o.Now()})
	if len(h.queue) > historyQueue {
		h.queue = slices.Delete(h.queue, 0, len(h.queue)-historyQueue)
		s.tellOnce("history full", event.CertUnsaved, "warning", e.name, "the history of certificates loses versions, because it cannot be written")
	}
}

// first sees to it that what serves is in the history before it is replaced.
func (s *Store) first(e *entry, now bool) {
	s.mu.Lock()
	b, done := e.bundle, e.recorded
	e.recorded = true
	s.mu.Unlock()
	if done || b == nil {
		return
	}
	s.remember(e, b, "file")
	if now {
		s.flushHistory(context.Background())
	}
}

// flushHistory writes what waits. What cannot be written waits on.
func (s *Store) flushHistory(ctx context.Context) {
	h := &s.history
	h.write.Lock()
	defer h.write.Unlock()
	for ctx.Err() == nil {
		h.mu.Lock()
		batch, rules := slices.Clone(h.queue[:min(len(h.queue), historyBatch)]), h.rules
		h.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := s.writeHistory(batch, rules); err != nil {
			s.tellOnce("history", event.CertUnsaved, "warning", "history", fmt.Sprintf("the history of certificates cannot be written, versions wait in memory: %v", err))
			return
		}
		if s.untell("history") {
			s.emit(event.CertSaved, "notice", "history", "the history of certificates is on disk again")
		}
		h.mu.Lock()
		h.queue = slices.Delete(h.queue, 0, min(len(batch), len(h.queue)))
		if len(h.queue) == 0 {
			h.queue = nil
		}
		h.mu.Unlock()
	}
}

// writeHistory makes a batch durable: first the PEM files, then the records that name them, then what has become too old goes.
func (s *Store) writeHistory(batch []record, rules HistoryRules) error {
	db, dir, err := s.historyState()
	if err != nil {
		return err
	}
	w := historyWriter{dir: dir, db: db, host: s.o.Host, rules: rules, now: s.o.Now(), last: map[string][]Version{}}
	for _, r := range batch {
		if err := w.add(r); err != nil {
			return err
		}
	}
	return w.commit()
}

func (s *Store) historyState() (storage.Store, string, error) {
	if s.o.State == nil {
		return nil, "", errMemoryOnly
	}
	db, dir, err := s.o.State()
	if errors.Is(err, storage.ErrLocked) || err == nil && (dir == "" || db == nil) {
		return nil, "", errMemoryOnly
	}
	return db, dir, err
}

type historyWriter struct {
	dir     string
	db      storage.Store
	host    host.Host
	rules   HistoryRules
	now     time.Time
	last    map[string][]Version // of the batch's names, oldest first
	files   []host.File
	changes []storage.Change
	gone    []string // files
}

func (w *historyWriter) add(r record) error {
	list, ok := w.last[r.name]
	if !ok {
		var err error
		if list, err = versions(w.db, r.name); err != nil {
			return err
		}
	}
	data := archiveOf(r.bundle)
	v := Version{Name: r.name, N: 1, Sum: sumOf(data), When: r.when, By: r.by, Serial: r.bundle.Serial(), Fingerprint: fmt.Sprintf("%x", r.bundle.Fingerprint),
		NotAfter: r.bundle.NotAfter, Names: r.bundle.Names[:min(len(r.bundle.Names), 5)]}
	if n := len(list); n > 0 {
		if list[n-1].Sum == v.Sum {
			w.last[r.name] = list
			return nil
		}
		v.N = list[n-1].N + 1
	}
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, storage.Change{Key: versionKey(v), Value: value})
	path := objectPath(w.dir, v.Name, v.Sum)
	if !slices.ContainsFunc(w.files, func(f host.File) bool { return f.Name == path }) {
		w.files = append(w.files, host.File{Name: path, Data: data, Perm: 0o600})
	}
	w.last[r.name] = w.trim(append(list, v))
	return nil
}

// archiveOf is what a version is made of. An OCSP response is none of it: it comes and goes every few days.
func archiveOf(b *cert.Bundle) []byte {
	data := b.Archive()
	if i := bytes.Index(data, []byte("-----BEGIN OCSP RESPONSE-----")); i >= 0 {
		const end = "-----END OCSP RESPONSE-----\n"
		if j := bytes.Index(data[i:], []byte(end)); j >= 0 {
			data = append(data[:i:i], data[i+j+len(end):]...)
		}
	}
	return data
}

func versionKey(v Version) string { return fmt.Sprintf("%s%010d", historyKey(v.Name), v.N) }

// trim drops the oldest of a list that are too many or too old.
func (w *historyWriter) trim(list []Version) []Version {
	for len(list) > 1 && (len(list) > w.rules.Versions || w.rules.Age > 0 && w.now.Sub(list[0].When) > w.rules.Age) {
		old := list[0]
		list = list[1:]
		w.changes = append(w.changes, storage.Change{Key: versionKey(old), Delete: true})
		if !slices.ContainsFunc(list, func(v Version) bool { return v.Sum == old.Sum }) {
			w.gone = append(w.gone, objectPath(w.dir, old.Name, old.Sum))
		}
	}
	return list
}

func (w *historyWriter) commit() error {
	dirs := map[string]bool{}
	for _, f := range w.files {
		if dir := filepath.Dir(f.Name); !dirs[dir] {
			dirs[dir] = true
			if err := w.host.MkdirAll(dir); err != nil {
				return err
			}
		}
	}
	if err := w.host.ReplaceFiles(w.files); err != nil {
		return err
	}
	if len(w.changes) == 0 {
		return nil
	}
	if err := w.db.Batch(context.Background(), w.changes); err != nil {
		return err
	}
	for _, path := range w.gone {
		if err := w.host.Remove(path); err != nil {
			return err // store check finds it
		}
	}
	return nil
}

// versions reads the records of a name, oldest first.
func versions(db storage.Store, name string) ([]Version, error) {
	items, err := db.List(context.Background(), historyKey(name))
	if err != nil {
		return nil, err
	}
	list := make([]Version, 0, len(items))
	for _, it := range items {
		var v Version
		if err := json.Unmarshal(it.Value, &v); err != nil {
			return nil, fmt.Errorf("record %s of the history: %w", it.Key, err)
		}
		if v.Name == name {
			list = append(list, v)
		}
	}
	return list, nil
}

// History lists the versions of a name, oldest first, those that wait to be written included. Errors are *Error.
func (s *Store) History(name string) ([]Version, error) {
	s.mu.RLock()
	e := s.entries[name]
	var now *cert.Bundle
	if e != nil {
		now = e.bundle
	}
	s.mu.RUnlock()
	s.flushHistory(context.Background())
	db, _, err := s.historyState()
	var list []Version
	if err == nil {
		list, err = versions(db, name)
	}
	if err != nil {
		return nil, &Error{Lines: []string{fmt.Sprintf("Can't display the history: %v", err)}, cause: err}
	}
	if e == nil && len(list) == 0 {
		return nil, refuse(notFound)
	}
	if now != nil {
		sum := sumOf(archiveOf(now))
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].Sum == sum {
				list[i].Current = true
				break
			}
		}
	}
	return list, nil
}

// Rollback makes an earlier version serve again, as a commit does; n is its number, 0 the one that was served before this. Errors are
// *Error.
func (s *Store) Rollback(name string, n int, by string, dot func()) (v Version, warnings []string, err error) {
	list, err := s.History(name)
	if err != nil {
		return v, nil, err
	}
	v, err = pick(list, n)
	if err != nil {
		return v, nil, refuse(fmt.Sprintf("Can't roll back '%s': %v", name, err))
	}
	b, err := s.recall(v)
	if err != nil {
		return v, nil, &Error{Lines: []string{fmt.Sprintf("Can't roll back '%s': %v", name, err)}, cause: err}
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	e, issuers := s.entries[name], s.issuers
	s.mu.RUnlock()
	if e == nil {
		return v, nil, refuse(fmt.Sprintf("Can't roll back '%s': the name is not in the store any more", name))
	}
	b = issuers.Complete(b)
	warnings, err = s.commit(e, b, fmt.Sprintf("%s, rollback to version %d", by, v.N), dot)
	if err != nil {
		return v, nil, failed(err)
	}
	return v, append(s.remarks(name, b), warnings...), nil
}

// Recall returns version n of a name as it was served. Errors are *Error.
func (s *Store) Recall(name string, n int) (*cert.Bundle, error) {
	list, err := s.History(name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(v Version) bool { return v.N == n })
	if n < 1 || i < 0 {
		return nil, refuse(fmt.Sprintf("Can't display the history: there is no version %d", n))
	}
	b, err := s.recall(list[i])
	if err != nil {
		return nil, &Error{Lines: []string{fmt.Sprintf("Can't display the history: %v", err)}, cause: err}
	}
	return b, nil
}

func pick(list []Version, n int) (Version, error) {
	if n == 0 {
		i := slices.IndexFunc(list, func(v Version) bool { return v.Current })
		if i < 0 {
			i = len(list)
		}
		if i == 0 {
			return Version{}, errors.New("there is no version before the one that serves")
		}
		return list[i-1], nil
	}
	i := slices.IndexFunc(list, func(v Version) bool { return v.N == n })
	if i < 0 {
		return Version{}, fmt.Errorf("there is no version %d", n)
	}
	return list[i], nil
}

// recall reads a version's bytes back and judges them.
func (s *Store) recall(v Version) (*cert.Bundle, error) {
	_, dir, err := s.historyState()
	if err != nil {
		return nil, err
	}
	return readObject(s.o.Host, dir, v)
}

func readObject(h host.Host, dir string, v Version) (*cert.Bundle, error) {
	path := objectPath(dir, v.Name, v.Sum)
	data, err := h.ReadFile(path, maxKept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("'%s' is missing", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read '%s': %w", path, clean(err))
	}
	if sumOf(data) != v.Sum {
		return nil, fmt.Errorf("'%s': %w", path, errDamaged)
	}
	b, err := cert.ParseArchive(v.Name, data)
	if err == nil {
		err = b.CheckKey()
	}
	return b, err
}

// fillHistory looks at some certificates whose first version is not known to be in the history, and records it.
func (s *Store) fillHistory() {
	h := &s.history
	h.mu.Lock()
	h.begin++
	from, wait := h.next, h.begin < historyWait || len(h.queue) > 0 || h.rules.Versions == 0
	h.mu.Unlock()
	if wait {
		return
	}
	names := s.unrecorded(from)
	for _, name := range names {
		s.mu.RLock()
		e := s.entries[name]
		s.mu.RUnlock()
		if e != nil {
			s.first(e, false)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next = ""; len(names) == historyBatch {
		h.next = names[len(names)-1]
	}
}

// unrecorded returns some names behind from whose certificate may not be in the history, sorted.
func (s *Store) unrecorded(from string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.filled == s.generation {
		return nil
	}
	var names []string
	for name, e := range s.entries {
		if name > from && e.bundle != nil && !e.recorded {
			names = append(names, name)
		}
	}
	if len(names) == 0 && from == "" {
		s.filled = s.generation
	}
	slices.SortFunc(names, strings.Compare)
	return names[:min(len(names), historyBatch)]
}
