package pattern

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Kind says what a set is used as; it can be both.
type Kind uint8

// The kinds.
const (
	ACL Kind = 1 << iota
	Map
)

// Ref is one set of patterns. Refs makes it while a configuration is read; from Refs.Finish on, what follows mu changes only with it
// held, and everything else stays as it is.
type Ref struct {
	refs       *Refs
	name       string // file or virt@ name; "" for patterns of an acl line
	id         int    // -1 until Finish, unless the configuration says one
	kind       Kind
	twoColumns bool // its file has keys and values
	at         []site
	display    string // of an acl line

	mu       sync.Mutex
	versions map[uint32]*version
	cur      uint32 // the version that is looked into
	next     uint32 // the last one given out by Prepare
	views    []*View

	now atomic.Pointer[snapshot] // of the current version
}

// version is the entries of one version. Those of the current one are in the levels of the snapshot.
type version struct {
	pending []*Entry // in order; of versions that are not current
	keys    map[string][]*Entry
}

// maxEntries bounds the entries of all sets of a configuration, which requests may fill.
const maxEntries = 16 << 20

// Errors of changing a set.
var (
	ErrNotFound = errors.New("entry not found")
	ErrNoSuchID = errors.New("key or pattern not found")
	ErrVersion  = errors.New("Version number out of range.") //nolint:staticcheck // HAProxy's text
	errTooMany  = fmt.Errorf("more than %d entries", maxEntries)
)

// Name is the name the set is known by, "" for the patterns of an acl line.
func (r *Ref) Name() string { return r.name }

// ID is the number the set is known by, after Finish.
func (r *Ref) ID() int { return r.id }

// Is reports whether the set is used as k.
func (r *Ref) Is(k Kind) bool { return r.kind&k != 0 }

// TwoColumns reports whether the set holds keys with values.
func (r *Ref) TwoColumns() bool { return r.twoColumns }

// Display says where the set comes from and who uses it.
func (r *Ref) Display() string {
	if r.name == "" {
		return r.display
	}
	var b strings.Builder
	for i, s := range r.at {
		if i == 0 {
			fmt.Fprintf(&b, "pattern loaded from file '%s' used", s.written)
		} else {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " by %s at file '%s' line %d", s.kind.word(), s.File, s.Line)
	}
	return b.String()
}

func (k Kind) word() string {
	if k&Map != 0 {
		return "map"
	}
	return "acl"
}

// Versions returns the current version and the last one that Prepare gave out.
func (r *Ref) Versions() (current, last uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cur, r.next
}

// Count is the number of entries, as HAProxy counts them: of all versions, once for each way they are stored.
func (r *Ref) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := map[Use]bool{}
	for _, v := range r.views {
		stored[v.use.storage()] = true
	}
	n := 0
	for _, v := range r.versions {
		for _, list := range v.keys {
			n += len(list)
		}
	}
	return n * len(stored)
}

// View returns the view for a use, and makes it when there is none. An error names the entry that the use cannot read. It is called
// while the configuration is read.
func (r *Ref) View(u Use) (*View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.views {
		if v.use == u {
			return v, nil
		}
	}
	v := &View{ref: r, n: len(r.views), use: u}
	views := append(slices.Clip(r.views), v)
	s := &snapshot{}
	if old := r.now.Load(); old != nil {
		for _, l := range old.levels {
			for _, e := range l.entries {
				if err := r.read(e, views, v); err != nil {
					return nil, err
				}
			}
			s.levels = append(s.levels, &level{entries: l.entries, indexes: append(slices.Clip(l.indexes), newIndex(v, l.entries)), dead: l.dead})
		}
	}
	r.views = views
	r.now.Store(s)
	return v, nil
}

// read makes an entry ready for one more view.
func (r *Ref) read(e *Entry, views []*View, v *View) error {
	var err error
	if old := e.value.Load(); old != nil {
		var val *value
		if val, err = parseValue(old.text, views); err == nil {
			e.value.Store(val)
		}
	}
	if err == nil {
		err = e.check(v)
	}
	if err != nil && e.line > 0 {
		err = fmt.Errorf("%w at line %d of file '%s'", err, e.line, r.at[0].written)
	}
	return err
}

// newLevelLocked builds the indexes of all views over entries.
func (r *Ref) newLevelLocked(entries []*Entry) *level {
	l := &level{entries: entries, indexes: make([]index, len(r.views))}
	for i, v := range r.views {
		l.indexes[i] = newIndex(v, entries)
	}
	return l
}

// Item is what an addition says. HasValue is false for patterns without one.
type Item struct {
	Key, Value string
	HasValue   bool
}

// Add adds items to the current version, in order. It stops at the first one that cannot be had, whose error it returns; those
// before it are in.
func (r *Ref) Add(items ...Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(r.cur, items)
}

// AddTo is Add to a version that is being prepared. Entries of a version that is over are kept and never seen.
func (r *Ref) AddTo(ver uint32, items ...Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(ver, items)
}

func (r *Ref) addLocked(ver uint32, items []Item) error {
	entries := make([]*Entry, 0, len(items))
	var err error
	for _, it := range items {
		var e *Entry
		if e, err = r.newEntryLocked(it); err != nil {
			break
		}
		entries = append(entries, e)
	}
	r.insertLocked(ver, entries)
	return err
}

// newEntryLocked makes an entry that every view can read.
func (r *Ref) newEntryLocked(it Item) (*Entry, error) {
	e := &Entry{Key: strings.Clone(upToNUL(it.Key))}
	if it.HasValue {
		v, err := parseValue(strings.Clone(upToNUL(it.Value)), r.views)
		if err != nil {
			return nil, err
		}
		e.value.Store(v)
	}
	for _, v := range r.views {
		if err := e.check(v); err != nil {
			return nil, err
		}
	}
	if r.refs.entries.Add(1) > maxEntries {
		r.refs.entries.Add(-1)
		return nil, errTooMany
	}
	e.ID = r.refs.nextID()
	return e, nil
}

func (r *Ref) versionLocked(ver uint32) *version {
	v := r.versions[ver]
	if v == nil {
		v = &version{keys: map[string][]*Entry{}}
		r.versions[ver] = v
	}
	return v
}

func (r *Ref) insertLocked(ver uint32, entries []*Entry) {
	if len(entries) == 0 {
		return
	}
	v := r.versionLocked(ver)
	for _, e := range entries {
		v.keys[e.Key] = append(v.keys[e.Key], e)
	}
	if ver != r.cur {
		v.pending = append(v.pending, entries...)
		return
	}
	s := &snapshot{}
	if old := r.now.Load(); old != nil {
		s.levels = slices.Clone(old.levels)
	}
	s.levels = append(s.levels, nil)
	last := len(s.levels) - 1
	for last > 0 && (len(s.levels[last-1].entries) <= len(entries) || len(s.levels[last-1].entries) < smallLevel) {
		entries = slices.Concat(live(s.levels[last-1]), entries)
		last--
	}
	s.levels = s.levels[:last+1]
	s.levels[last] = r.newLevelLocked(entries)
	r.now.Store(s)
}

// smallLevel is how many entries the last level takes before another one begins.
const smallLevel = 16

// live returns the entries of a level that were not deleted.
func live(l *level) []*Entry {
	if l.dead == 0 {
		return l.entries
	}
	out := make([]*Entry, 0, len(l.entries)-l.dead)
	for _, e := range l.entries {
		if !e.dead.Load() {
			out = append(out, e)
		}
	}
	return out
}

// Has reports whether the current version holds a pattern that is written as key.
func (r *Ref) Has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.currentLocked(key)) > 0
}

func (r *Ref) currentLocked(key string) []*Entry {
	if v := r.versions[r.cur]; v != nil {
		return v.keys[upToNUL(key)]
	}
	return nil
}

// upToNUL is what HAProxy, whose texts end at a NUL, would see.
func upToNUL(text string) string {
	before, _, _ := strings.Cut(text, "\x00")
	return before
}

// Ensure adds a pattern unless there is one that is written so (add-acl).
func (r *Ref) Ensure(key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.currentLocked(key)) > 0 {
		return nil
	}
	return r.addLocked(r.cur, []Item{{Key: key}})
}

// Put gives every entry of that key the value, or adds one when there is none (set-map).
func (r *Ref) Put(key, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if list := r.currentLocked(key); len(list) > 0 {
		return r.setLocked(list, text)
	}
	return r.addLocked(r.cur, []Item{{key, text, true}})
}

// Set gives every entry of that key the value; ErrNotFound when there is none.
func (r *Ref) Set(key, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.currentLocked(key)
	if len(list) == 0 {
		return ErrNotFound
	}
	return r.setLocked(list, text)
}

func (r *Ref) setLocked(list []*Entry, text string) error {
	v, err := parseValue(strings.Clone(upToNUL(text)), r.views)
	if err != nil {
		return err
	}
	for _, e := range list {
		e.value.Store(v)
	}
	return nil
}

// SetID gives the entry with an ID the value, in whatever version it is; ErrNoSuchID when there is none.
func (r *Ref) SetID(id uint64, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, e := r.byIDLocked(id)
	if e == nil {
		return ErrNoSuchID
	}
	return r.setLocked([]*Entry{e}, text)
}

// Delete removes every entry of that key from the current version; false when there is none.
func (r *Ref) Delete(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.currentLocked(key)
	if len(list) == 0 {
		return false
	}
	for _, e := range slices.Clone(list) {
		r.deleteLocked(r.cur, e)
	}
	return true
}

// DeleteID removes the entry with an ID, in whatever version it is; false when there is none.
func (r *Ref) DeleteID(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ver, e := r.byIDLocked(id)
	if e == nil {
		return false
	}
	r.deleteLocked(ver, e)
	return true
}

func (r *Ref) byIDLocked(id uint64) (ver uint32, e *Entry) {
	for ver, v := range r.versions {
		for _, part := range r.partsLocked(ver, v) {
			if i := searchID(part, id); i < len(part) && part[i].ID == id && !part[i].dead.Load() {
				return ver, part[i]
			}
		}
	}
	return 0, nil
}

func searchID(list []*Entry, id uint64) int {
	return sort.Search(len(list), func(i int) bool { return list[i].ID >= id })
}

// partsLocked are the entries of a version in order, some of them dead.
func (r *Ref) partsLocked(ver uint32, v *version) [][]*Entry {
	if ver != r.cur {
		return [][]*Entry{v.pending}
	}
	var parts [][]*Entry
	if s := r.now.Load(); s != nil {
		for _, l := range s.levels {
			parts = append(parts, l.entries)
		}
	}
	return parts
}

func (r *Ref) deleteLocked(ver uint32, e *Entry) {
	v := r.versions[ver]
	e.dead.Store(true)
	r.refs.entries.Add(-1)
	if list := slices.DeleteFunc(slices.Clone(v.keys[e.Key]), func(o *Entry) bool { return o == e }); len(list) > 0 {
		v.keys[e.Key] = list
	} else {
		delete(v.keys, e.Key)
	}
	if ver != r.cur {
		i := searchID(v.pending, e.ID)
		v.pending = slices.Concat(v.pending[:i], v.pending[i+1:]) // a new one: somebody may be reading
		return
	}
	s := r.now.Load()
	for i, l := range s.levels {
		if at := searchID(l.entries, e.ID); at == len(l.entries) || l.entries[at] != e {
			continue
		}
		if l.dead++; 2*l.dead > len(l.entries) {
			r.rebuildLocked(s, i)
		}
		return
	}
}

// rebuildLocked replaces a level of which most entries are dead.
func (r *Ref) rebuildLocked(s *snapshot, i int) {
	n := &snapshot{levels: slices.Clone(s.levels)}
	if rest := live(s.levels[i]); len(rest) > 0 {
		n.levels[i] = r.newLevelLocked(rest)
	} else {
		n.levels = slices.Delete(n.levels, i, i+1)
	}
	r.now.Store(n)
}

// Prepare gives out a version to fill with AddTo and make current with Commit.
func (r *Ref) Prepare() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return r.next
}

// Commit makes a prepared version current and drops all older ones. ErrVersion when it was not prepared, or is over.
func (r *Ref) Commit(ver uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ver-(r.cur+1) >= r.next-r.cur {
		return ErrVersion
	}
	s := &snapshot{}
	if v := r.versions[ver]; v != nil && len(v.pending) > 0 {
		s.levels = []*level{r.newLevelLocked(v.pending)}
		v.pending = nil
	}
	r.cur = ver
	r.now.Store(s)
	for old := range r.versions {
		if int32(old-ver) < 0 {
			r.dropLocked(old)
		}
	}
	return nil
}

// Clear removes all entries of a version.
func (r *Ref) Clear(ver uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ver == r.cur {
		r.now.Store(&snapshot{})
	}
	r.dropLocked(ver)
}

func (r *Ref) dropLocked(ver uint32) {
	if v := r.versions[ver]; v != nil {
		n := 0
		for _, list := range v.keys {
			n += len(list)
		}
		r.refs.entries.Add(int64(-n))
		delete(r.versions, ver)
	}
}

// Entries yields the entries of a version in order, as they are when it is called.
func (r *Ref) Entries(ver uint32) iter.Seq[*Entry] {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts [][]*Entry
	if v := r.versions[ver]; v != nil {
		parts = r.partsLocked(ver, v)
	}
	return func(yield func(*Entry) bool) {
		for _, part := range parts {
			for _, e := range part {
				if !e.dead.Load() && !yield(e) {
					return
				}
			}
		}
	}
}
