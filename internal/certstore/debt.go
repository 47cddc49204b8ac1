package certstore

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"gatehouse/internal/event"
)

// ErrUnsaved means that a change serves and is not on disk yet: the disk was full or read-only, and it is tried again.
var ErrUnsaved = errors.New("it is served and not on disk yet, which is tried again")

// passes tells a state of the disk that passes and says nothing against the change: full, over quota, read-only. Anything else
// (an I/O error, a damaged file system) refuses the change.
func passes(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// debt is why something that serves is not on disk, and since when.
type debt struct {
	reason  string
	since   time.Time
	passing bool // the disk was full or read-only
}

// Pauses between attempts to pay debts. The longest is what a disk that is well again waits for at most.
const (
	debtPause    = time.Second
	maxDebtPause = 30 * time.Second
)

// owe takes a version whose disk was full as served.
func (v *saver) owe(cause error) {
	v.unsaved, v.disk, v.passing = true, diskSum(v.files()), true
	v.reason = cause.Error()
	v.warnings = append(v.warnings, fmt.Sprintf("warning: certificate '%s' is not on disk yet and would be lost at a restart: %v; this is tried again until it is", v.entry.name, cause))
	v.tellOnce("unsaved "+v.entry.name, event.CertUnsaved, "alert", v.entry.name,
		fmt.Sprintf("certificate '%s' serves and is not on disk: %v", v.entry.name, cause))
}

// Unsaved counts what serves and should be on disk and is not.
func (s *Store) Unsaved() (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.debts) + len(s.fileDebts)
}

// oweLocked notes or strikes out the debt of an entry, after its fields were set.
func (s *Store) oweLocked(e *entry, reason string, passing bool) {
	if !e.unsaved {
		delete(s.debts, e.name)
		return
	}
	if s.debts == nil {
		s.debts = map[string]debt{}
	}
	since := s.o.Now()
	if d, ok := s.debts[e.name]; ok {
		since = d.since
	}
	s.debts[e.name] = debt{reason, since, passing}
}

// payDebts tries to save what is not on disk, when it is time to.
func (s *Store) payDebts() {
	now := s.o.Now()
	s.mu.RLock()
	names := make([]string, 0, len(s.debts))
	for name := range s.debts {
		names = append(names, name)
	}
	due := !now.Before(s.debtDue)
	s.mu.RUnlock()
	if !due {
		return
	}
	slices.Sort(names)
	ok := true
	for _, name := range names {
		if ok = s.pay(name); !ok {
			break // one refusal stands for all: it is one disk
		}
	}
	ok = s.payFiles() && ok
	s.mu.Lock()
	if ok {
		s.debtWait = 0
	} else {
		s.debtWait = min(max(2*s.debtWait, debtPause), maxDebtPause)
	}
	s.debtDue = now.Add(s.debtWait)
	s.mu.Unlock()
}

// pay saves one certificate; false when the disk refused.
func (s *Store) pay(name string) bool {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	e := s.entries[name]
	owed := e != nil && e.unsaved
	s.mu.RUnlock()
	if !owed {
		s.mu.Lock()
		delete(s.debts, name)
		s.mu.Unlock()
		return true
	}
	probe := &saver{Store: s, entry: e, bundle: e.bundle}
	if e.disk != "" && diskSum(probe.files()) != e.disk {
		// Somebody wrote the file meanwhile: it is theirs, and read by the watch or the next reload.
		s.paid(e)
		return true
	}
	v, err := s.save(e, e.bundle)
	if err != nil || v.unsaved {
		return false
	}
	s.paid(e)
	if s.untell("unsaved " + name) {
		s.emit(event.CertSaved, "notice", name, fmt.Sprintf("certificate '%s' is on disk now", name))
	}
	return true
}

func (s *Store) paid(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.unsaved, e.disk = false, "" // the files hold it, or something of their own
	delete(s.debts, e.name)
}

// onDisk is the line of `show ssl cert` that HAProxy does not have; "" with `persist off`.
func (v *view) onDisk() string {
	switch {
	case v.pending || v.bundle == nil || v.ephemeral:
		return ""
	case !v.bundle.HasKey() && (v.src == nil || !v.src.keyless()):
		return "On disk: no: it has no private key\n"
	case v.unsaved:
		return fmt.Sprintf("On disk: no, since %s: %s\n", v.debt.since.UTC().Format(time.RFC3339), v.debt.reason)
	}
	return "On disk: yes\n"
}
