package certstore

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// Options say what a Store works with. Host is required.
type Options struct {
	Host host.Host
	// StateDir is the LoadRules.StateDir of plans that name none; "" has none.
	StateDir string
	// State opens and locks the state directory, at the first write into it. A result without directory says that this process
	// runs memory-only (another one holds the lock). nil is the same.
	State func() (storage.Store, string, error)
	Emit  event.Sink       // nil drops events
	Now   func() time.Time // nil: time.Now
}

// Store holds the certificates and crt-lists of the running generation, and the open transactions. It lives as long as the process.
type Store struct {
	o Options

	write    sync.Mutex // held by whoever changes a certificate or a list, disk included
	redoLeft bool       // a redo record could not be finished; under write
	left     []*unfinished
	// leftFiles are the files of left; both under write.
	leftFiles map[string]bool

	files sync.Mutex // held by whoever changes a file besides certificates

	history    history
	watch      bool      // edits of files are read; under mu
	generation uint64    // counts Apply and changes of watch; under mu
	planned    time.Time // when the reading of this generation began; under mu
	filled     uint64    // the generation whose first versions are all in the history; under mu

	toIndex atomic.Pointer[facts] // what Run is to write into the index
	running atomic.Bool           // Run is at work
	jwt     atomic.Pointer[jwtKeys]
	wakeUp  chan struct{} // of Run
	tell    sync.Mutex
	told    map[string]bool // under tell: what was said and is still so

	mu       sync.RWMutex // guards all below; never held while the disk works
	entries  map[string]*entry
	lists    map[string]*list
	dirs     map[string]bool // directories in which a new name is written to its file
	pending  map[string]*txn
	groups   map[string]*group // transactions over many names
	groupOf  map[string]*group // the one that a name is in
	debts    map[string]debt   // by name: what serves and is not on disk
	debtDue  time.Time         // when they are tried again
	debtWait time.Duration
	uses     map[string][]*attachment
	// fileDebts are files that are not on disk, with what makes their content.
	fileDebts map[string]func(old []byte) []byte
	listUses  map[string][]*listAttachment
	trust     trustFiles
	rules     LoadRules
	issuers   *cert.Issuers
	seq       uint64 // counts commits
	standIn   *cert.Bundle
}

// entry is one name of the store. Apply and the transaction methods change it, under mu.
type entry struct {
	name     string
	order    int     // of its declaration
	src      *Source // how the configuration declares it; nil for a name made at run time
	said     *Source // what `add ssl crt-list` said of a name made at run time
	paths    paths   // files it was read from
	bundle   *cert.Bundle
	seq      uint64 // of the commit that brought bundle, 0: read from disk
	unsaved  bool   // bundle should be durable and is not
	recorded bool   // bundle is in the history or waits for it
	disk     string // what the files held when bundle became current, as one checksum
	jwt      bool   // it may verify tokens; under mu
}

// txn is an open transaction: what set left and commit takes.
type txn struct {
	bundle     *cert.Bundle
	committing bool
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Emit == nil {
		o.Emit = func(event.Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{o: o, wakeUp: make(chan struct{}, 1), told: map[string]bool{}, entries: map[string]*entry{}, lists: map[string]*list{}, dirs: map[string]bool{}, pending: map[string]*txn{},
		uses: map[string][]*attachment{}, listUses: map[string][]*listAttachment{},
		trust: trustFiles{files: map[string]*trustFile{}, pending: map[string]*trustTxn{}, persist: true}}
}

// Use is somebody who serves a certificate: a bind line, a server. Prepare may refuse a bundle; Publish makes it serve and cannot fail.
// Neither may call back into a method of Store that changes something.
type Use interface {
	Prepare(b *cert.Bundle) error
	Publish(b *cert.Bundle)
}

type attachment struct{ use Use }

// Attach has u follow the certificate of a name, which need not exist yet. It publishes nothing by itself: the caller starts from Bundle.
// It may be called inside Apply's swap and inside ListUse.Add.
func (s *Store) Attach(name string, u Use) (detach func()) {
	a := &attachment{u}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses[name] = append(s.uses[name], a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		remove(s.uses, name, a)
	}
}

// ListUse is a bind line that serves a crt-list or directory. PrepareAdd may refuse a line; Add and Remove cannot fail. Defaults returns
// "FILE:LINE" of each bind line on which the line is a default certificate that may not go away.
type ListUse interface {
	PrepareAdd(line cert.Line, b *cert.Bundle) error
	Add(line cert.Line, b *cert.Bundle)
	Remove(line cert.Line)
	Defaults(line cert.Line) []string
}

type listAttachment struct{ use ListUse }

// AttachList has u follow the lines of a list, like Attach.
func (s *Store) AttachList(name string, u ListUse) (detach func()) {
	a := &listAttachment{u}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listUses[name] = append(s.listUses[name], a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		remove(s.listUses, name, a)
	}
}

func remove[T comparable](m map[string][]T, name string, one T) {
	rest := slices.DeleteFunc(slices.Clone(m[name]), func(x T) bool { return x == one })
	if len(rest) == 0 {
		delete(m, name)
		return
	}
	m[name] = rest
}

func (s *Store) usesOf(name string) []*attachment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.uses[name]
}

func (s *Store) listUsesOf(name string) []*listAttachment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.listUses[name]
}

// Bundle returns what a name serves, nil when the store has no such name or it is empty.
func (s *Store) Bundle(name string) *cert.Bundle {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[name]; e != nil {
		return e.bundle
	}
	return nil
}

// Attrs returns the load keywords of a name, zero when it has none.
func (s *Store) Attrs(name string) Attrs {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[name]; e != nil && e.src != nil && e.src.Attrs != nil {
		return *e.src.Attrs
	}
	return Attrs{}
}

// Managed is a certificate that an acme section issues.
type Managed struct {
	Name   string
	Attrs  Attrs
	Bundle *cert.Bundle // nil: none that works
	Path   string       // the PEM file
	Pos    string       // "FILE:LINE" of the declaration
}

// Managed lists the certificates with an acme keyword, sorted by name.
func (s *Store) Managed() []Managed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Managed
	for _, e := range s.entries {
		if e.src != nil && e.src.Attrs != nil && e.src.Attrs.ACME != "" {
			list = append(list, Managed{e.name, *e.src.Attrs, e.bundle, e.src.File, e.src.Pos})
		}
	}
	sortManaged(list)
	return list
}

func sortManaged(list []Managed) {
	slices.SortFunc(list, func(a, b Managed) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (s *Store) emit(kind event.Kind, level, subject, text string) {
	s.o.Emit(event.Event{Time: s.o.Now(), Kind: kind, Level: level, Subject: subject, Text: text})
}

// errMemoryOnly says why something is not durable.
var errMemoryOnly = errors.New("the state directory is in use by another process or not available")

// stateDir opens the state directory for writing.
func (s *Store) stateDir() (string, error) {
	if s.o.State == nil {
		return "", errMemoryOnly
	}
	_, dir, err := s.o.State()
	if errors.Is(err, storage.ErrLocked) || err == nil && dir == "" {
		return "", errMemoryOnly
	}
	return dir, err
}

// keptDir is where the running generation looks for kept versions.
func (s *Store) keptDir() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rules.StateDir
}

// temporary returns the one stand-in of this process for certificates that ACME has not issued yet.
func (s *Store) temporary() (*cert.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.standIn == nil {
		b, err := cert.NewTemporary()
		if err != nil {
			return nil, err
		}
		s.standIn = b
	}
	return s.standIn, nil
}
