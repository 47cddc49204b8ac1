package pattern

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Pos is where the configuration names a set.
type Pos struct {
	File string
	Line int
}

// site is one place that names a file, or the place of an acl line.
type site struct {
	Pos
	kind    Kind
	written string // the name with its prefix
	n       int    // which time the line names it
}

// Refs is the sets of one configuration. While the configuration is read one goroutine uses it; Finish ends that, and then any
// number may.
type Refs struct {
	read    func(name string) ([]byte, error)
	list    []*Ref
	byName  map[string]*Ref
	inline  map[inlineKey]*Ref
	targets []*Target

	entries atomic.Int64
	ids     atomic.Uint64
}

// inlineKey is the n-th acl expression of a line.
type inlineKey struct {
	Pos
	n int
}

// NewRefs makes a registry. read reads a file; with nil there are none.
func NewRefs(read func(name string) ([]byte, error)) *Refs {
	r := &Refs{read: read, byName: map[string]*Ref{}, inline: map[inlineKey]*Ref{}}
	// Entries are named by numbers that look like HAProxy's pointers. A name of an earlier configuration must not hit here.
	r.ids.Store(0x550000000000 | rand.Uint64N(1<<38)<<2)
	return r
}

func (r *Refs) nextID() uint64 { return r.ids.Add(64) }

// refName splits a name as the configuration writes it: file@ and opt@ are no part of the name, virt@ is.
func refName(written string) (name string, file, optional bool) {
	if rest, ok := strings.CutPrefix(written, "file@"); ok && rest != "" {
		return rest, true, false
	}
	if rest, ok := strings.CutPrefix(written, "opt@"); ok && rest != "" {
		return rest, true, true
	}
	if rest, ok := strings.CutPrefix(written, "virt@"); ok && rest != "" {
		return written, false, false
	}
	return written, true, false
}

// File returns the set of that name, and reads its file when it is named for the first time. kind says who names it, twoColumns how
// the file is to be read; it must be the same everywhere. The errors are HAProxy's.
//
// n counts how often the line has named it: a line that is compiled again, because several sections inherit it, is one place.
func (r *Refs) File(written string, kind Kind, twoColumns bool, at Pos, n int) (*Ref, error) {
	name, file, optional := refName(written)
	ref := r.byName[name]
	if ref == nil {
		ref = r.newRef(-1)
		ref.name, ref.twoColumns = name, twoColumns
		if file {
			if err := r.load(ref, optional); err != nil {
				return nil, err
			}
		}
		r.list, r.byName[name] = append(r.list, ref), ref
	}
	if ref.twoColumns != twoColumns {
		columns := [...]string{"one", "two"}
		is, not := columns[0], columns[1]
		if ref.twoColumns {
			is, not = not, is
		}
		return nil, fmt.Errorf("The file \"%s\" is already used as %s column file and cannot be used by as %s column file.", written, is, not) //nolint:staticcheck // HAProxy's text
	}
	ref.kind |= kind
	if s := (site{at, kind, written, n}); !slices.Contains(ref.at, s) {
		ref.at = append(ref.at, s)
	}
	return ref, nil
}

func (r *Refs) newRef(id int) *Ref {
	ref := &Ref{refs: r, id: id, versions: map[uint32]*version{}}
	ref.now.Store(&snapshot{})
	return ref
}

func (r *Refs) load(ref *Ref, optional bool) error {
	failed := fmt.Errorf("failed to open pattern file <%s>", ref.name)
	if r.read == nil {
		return failed
	}
	data, err := r.read(ref.name)
	if err != nil {
		if optional {
			return nil
		}
		return failed
	}
	var entries []*Entry
	for l := range lines(data, ref.twoColumns) {
		e, err := ref.newEntryLocked(Item{l.key, l.value, ref.twoColumns})
		if err != nil {
			return err
		}
		e.line = l.number
		entries = append(entries, e)
	}
	ref.insertLocked(ref.cur, entries)
	return nil
}

// Inline returns the set of the n-th acl expression of a line; criterion names it for Display. A line that is compiled again, because
// several sections inherit it, has the same set. id is -1, or what -u says.
func (r *Refs) Inline(criterion string, at Pos, n, id int) (ref *Ref, again bool, err error) {
	key := inlineKey{at, n}
	if ref = r.inline[key]; ref != nil {
		return ref, true, nil
	}
	if id >= 0 && r.byID(id) != nil {
		return nil, false, errors.New("the id is already used")
	}
	ref = r.newRef(id)
	ref.kind, ref.at = ACL, []site{{at, ACL, "", 0}}
	ref.display = fmt.Sprintf("acl '%s' file '%s' line %d", criterion, at.File, at.Line)
	r.list, r.inline[key] = append(r.list, ref), ref
	return ref, false, nil
}

func (r *Refs) byID(id int) *Ref {
	for _, ref := range r.list {
		if ref.id == id {
			return ref
		}
	}
	return nil
}

// Target is a set that a rule changes. It is known after Finish, because the line that reads the file may come later.
type Target struct {
	name string
	ref  *Ref
}

// Ref is the set, nil when nothing reads it.
func (t *Target) Ref() *Ref { return t.ref }

// Target returns the set of that name, to be changed.
func (r *Refs) Target(name string) *Target {
	t := &Target{name: name}
	r.targets = append(r.targets, t)
	return t
}

// Finish numbers the sets in the order of the configuration, whose files are given in theirs. Numbers that the configuration gave
// are left out.
func (r *Refs) Finish(files []string) {
	order := func(a, b site) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line))
	}
	taken := map[int]bool{}
	for _, ref := range r.list {
		slices.SortStableFunc(ref.at, order)
		taken[ref.id] = true
	}
	slices.SortStableFunc(r.list, func(a, b *Ref) int { return order(a.at[0], b.at[0]) })
	next := 0
	for _, ref := range r.list {
		if ref.id >= 0 {
			continue
		}
		for taken[next] {
			next++
		}
		ref.id = next
		next++
	}
	slices.SortFunc(r.list, func(a, b *Ref) int { return cmp.Compare(a.id, b.id) })
	for _, t := range r.targets {
		name, _, _ := refName(t.name)
		t.ref = r.byName[name]
	}
}

// All returns the sets in the order of their numbers.
func (r *Refs) All() []*Ref { return r.list }

// Lookup finds a set by what a command calls it: #3, or a name; nil when there is none.
func (r *Refs) Lookup(word string) *Ref {
	if number, ok := strings.CutPrefix(word, "#"); ok {
		id, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil {
			return nil
		}
		return r.byID(id)
	}
	name, _, _ := refName(word)
	return r.byName[name]
}
