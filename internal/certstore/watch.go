package certstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// Files that an operator edits are read again: inotify(7) tells of those that were closed after writing or renamed, and when two seconds
// passed without more, the certificate is read. Where there is no inotify the files are looked at now and then.
const (
	quiet     = 2 * time.Second
	pollEvery = 30 * time.Second
	maxDirty  = 1 << 17 // names that wait; more of them is a look at all
)

// watcher is what Run knows of the files. It belongs to Run's goroutine.
type watcher struct {
	store      *Store
	generation uint64 // of the names below
	on         bool
	events     chan []string     // paths, "" for all; from the reader
	file       *os.File          // inotify; nil: none
	done       chan struct{}     // closed when the reader of file has ended
	byFile     map[string]string // name of the certificate, for files that its name does not tell
	polled     []string          // names whose directories cannot be watched
	seen       map[string]string // what a poll saw of them
	pollDue    time.Time
	dirty      map[string]time.Time // names, with when they changed last
}

// SetWatch says whether edits of files are read while the process runs (`watch on|off`).
func (s *Store) SetWatch(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != on {
		s.watch = on
		s.generation++
	}
}

// follow brings the watcher up to the generation that serves.
func (w *watcher) follow(ctx context.Context) {
	s := w.store
	s.mu.RLock()
	generation, on, planned := s.generation, s.watch, s.planned
	if generation == w.generation {
		s.mu.RUnlock()
		return
	}
	sources := make([]*Source, 0, len(s.entries))
	for _, e := range s.entries {
		if e.src != nil && on && (e.src.Attrs == nil || !e.src.Attrs.GenerateDummy) {
			sources = append(sources, e.src)
		}
	}
	s.mu.RUnlock()
	w.stop()
	w.generation, w.on = generation, on
	w.byFile, w.polled, w.seen = map[string]string{}, nil, map[string]string{}
	if len(sources) > 0 {
		w.start(ctx, sources)
		w.missed(sources, planned)
	}
}

// missed marks files that may have changed between being read and being watched.
func (w *watcher) missed(sources []*Source, planned time.Time) {
	since := planned.Add(-quiet).UnixNano() // clocks of file systems are coarse
	now := w.store.o.Now()
	for _, src := range sources {
		for _, f := range src.allFiles() {
			if f == "" {
				continue
			}
			if info, err := w.store.o.Host.Stat(f); err == nil && info.ModTime >= since {
				w.dirty[src.Name] = now
			}
		}
	}
}

func (src *Source) allFiles() []string {
	return []string{src.File, src.Key, src.OCSP, src.Issuer, src.SCTL}
}

func (w *watcher) start(ctx context.Context, sources []*Source) {
	dirs := map[string][]string{} // names by directory
	for _, src := range sources {
		for i, f := range src.allFiles() {
			if f == "" {
				continue
			}
			if f = filepath.Clean(f); i > 0 || f != src.Name {
				w.byFile[f] = src.Name
			}
			dir := filepath.Dir(f)
			if n := len(dirs[dir]); n == 0 || dirs[dir][n-1] != src.Name {
				dirs[dir] = append(dirs[dir], src.Name)
			}
		}
	}
	list := make([]string, 0, len(dirs))
	for dir := range dirs {
		list = append(list, dir)
	}
	slices.Sort(list)
	file, watches, err := w.store.o.Host.Watch(list)
	if err != nil {
		watches = make([]int32, len(list))
		for i := range watches {
			watches[i] = -1
		}
	}
	byWatch := map[int32]string{}
	for i, wd := range watches {
		if wd < 0 {
			w.polled = append(w.polled, dirs[list[i]]...)
			continue
		}
		byWatch[wd] = list[i]
	}
	w.poll()
	if file == nil {
		return
	}
	w.file, w.done = file, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		readEvents(ctx, file, byWatch, w.events)
	}(w.done)
}

// stop ends the reader and waits for it.
func (w *watcher) stop() {
	if w.file == nil {
		return
	}
	w.file.Close()
	for {
		select {
		case <-w.events: // it may wait to send
		case <-w.done:
			w.file = nil
			return
		}
	}
}

// readEvents sends the paths of events until the file is closed. See inotify(7) for their form.
func readEvents(ctx context.Context, file *os.File, dirs map[int32]string, out chan<- []string) {
	buf := make([]byte, 64<<10)
	for {
		n, err := file.Read(buf)
		if err != nil {
			return
		}
		var paths []string
		for b := buf[:n]; len(b) >= 16; {
			wd, size := int32(binary.NativeEndian.Uint32(b)), int(binary.NativeEndian.Uint32(b[12:]))
			if 16+size > len(b) {
				break
			}
			name := strings.TrimRight(string(b[16:16+size]), "\x00")
			dir, ok := dirs[wd]
			switch {
			case wd == -1: // the queue ran over
				paths = append(paths, "")
			case ok && name != "":
				paths = append(paths, filepath.Join(dir, name))
			}
			b = b[16+size:]
		}
		select {
		case out <- paths:
		case <-ctx.Done():
			return
		}
	}
}

// changed marks the certificates of some files.
func (w *watcher) changed(paths []string) {
	now := w.store.o.Now()
	for _, path := range paths {
		for _, name := range w.named(path) {
			if len(w.dirty) < maxDirty {
				w.dirty[name] = now
			}
		}
	}
}

// named returns the certificates that a file may belong to.
func (w *watcher) named(path string) (names []string) {
	s := w.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	base := filepath.Base(path)
	if path == "" || strings.HasPrefix(base, "..") { // everything, or the link that a Kubernetes volume is switched by
		for name, e := range s.entries {
			if e.src != nil && (path == "" || filepath.Dir(filepath.Clean(e.src.File)) == filepath.Dir(path)) {
				names = append(names, name)
			}
		}
		return names
	}
	add := func(file string) {
		name, ok := w.byFile[file]
		if !ok {
			name = file
		}
		if e := s.entries[name]; e != nil && e.src != nil {
			names = append(names, name)
		}
	}
	add(path)
	if stem, part := splitPart(path); part != "" {
		add(stem)
		add(stem + ".crt")
	}
	return names
}

// poll looks at the files that cannot be watched.
func (w *watcher) poll() {
	s := w.store
	now := s.o.Now()
	if len(w.polled) == 0 || now.Before(w.pollDue) {
		return
	}
	w.pollDue = now.Add(pollEvery)
	for _, name := range w.polled {
		s.mu.RLock()
		e := s.entries[name]
		s.mu.RUnlock()
		if e == nil || e.src == nil {
			continue
		}
		look := ""
		for _, f := range append(e.src.allFiles(), e.paths.key, e.paths.ocsp, e.paths.issuer, e.paths.sctl) {
			if f != "" {
				info, _ := s.o.Host.Stat(f)
				look += fmt.Sprintf("%d %d %d,", info.Size, info.ModTime, info.Ino)
			}
		}
		if was, ok := w.seen[name]; ok && was != look {
			w.dirty[name] = now
		}
		w.seen[name] = look
	}
}

// quietOnes reads certificates whose files were left alone for long enough.
func (w *watcher) quietOnes() {
	now := w.store.o.Now()
	for name, at := range w.dirty {
		if now.Sub(at) >= quiet {
			delete(w.dirty, name)
			w.store.reread(name)
		}
	}
}

// reread reads a certificate whose files may have changed. What is valid serves; otherwise the version before goes on, and that is told once.
func (s *Store) reread(name string) {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	e := s.entries[name]
	s.mu.RUnlock()
	if e == nil || e.src == nil || s.settle((&saver{Store: s, entry: e, bundle: e.bundle}).touches()...) != nil {
		return
	}
	l := &loader{host: s.o.Host, rules: s.rules, issuers: s.issuers, standIn: s.temporary, kept: s.keptOf(name), now: s.o.Now, parser: s.rules.parser()}
	got := l.load(e.src)
	got.bundle = newestOCSP(got.bundle, e.bundle) // one that was fetched is in no file of the certificate
	if got.obsolete {
		if dir, err := s.stateDir(); err == nil {
			_ = s.o.Host.Remove(keptPath(dir, name)) // it cannot win; the next start tries again
		}
	}
	sum := diskSum(got.files)
	switch {
	case got.err == nil && (got.bundle.Temporary() || sameServed(e.bundle, got.bundle)):
		s.untell("file " + name)
		return
	case got.err == nil && e.disk == sum:
		return // the files are as they were when something newer came: a debt, or persist off
	}
	err := got.err
	if err == nil {
		err = s.serveFile(e, got, sum)
	}
	if err != nil {
		s.tellOnce("file "+name, event.CertUnusable, "warning", name, fmt.Sprintf("the changed files of '%s' cannot be used, the version before goes on serving: %v", name, err))
	}
}

// sameServed tells whether a bundle that was read is the one that serves.
func sameServed(now, read *cert.Bundle) bool {
	if now == nil {
		return false
	}
	return now.Equal(read) || now.OCSP() == nil && now.WithoutOCSP().Equal(read) // a response beside it that is not for it
}

// keptOf reads the kept version of one name.
func (s *Store) keptOf(name string) map[string]*kept {
	dir := s.keptDir()
	if dir == "" {
		return nil
	}
	data, err := s.o.Host.ReadFile(keptPath(dir, name), maxKept)
	if err != nil {
		return nil
	}
	k, err := decodeKept(data)
	if err != nil || k.name != name {
		return nil
	}
	return map[string]*kept{name: k}
}

// serveFile makes what the files hold serve. It is durable already.
func (s *Store) serveFile(e *entry, got loaded, sum string) error {
	s.first(e, true)
	uses := s.usesOf(e.name)
	for _, a := range uses {
		if err := a.use.Prepare(got.bundle); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.seq++
	e.bundle, e.paths, e.seq, e.unsaved, e.disk = got.bundle, got.paths, s.seq, false, sum
	e.recorded = true
	s.rekeyLocked(e)
	s.oweLocked(e, "", false)
	s.mu.Unlock()
	for _, a := range uses {
		a.use.Publish(got.bundle)
	}
	s.untell("file " + e.name)
	s.remember(e, got.bundle, "file")
	s.said(e, got.bundle, "file")
	return nil
}
