package cert

import (
	"crypto/tls"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Entry is one certificate on one bind line: a `crt`, or one line of a crt-list or of a directory. Its owner makes it, fills the exported fields, and hands
// it to one Index; from then on only the Index changes it.
type Entry struct {
	Name    string // of the certificate in the store
	List    string // crt-list or directory it came from, "" for a `crt`
	Line    int    // in that list
	Options *Options
	Filters []Filter
	Default bool // answers when no name matches: implicit or explicit default; the filter "*" has the same effect
	Ref     any  // the owner's, never looked at here

	instance atomic.Pointer[Instance]
	seq      uint64   // order of Add
	keys     []string // names it stands under in the index
}

// Instance is an entry with one version of its certificate. A handshake takes it once and uses it to its end.
type Instance struct {
	Bundle *Bundle
	Value  atomic.Pointer[tls.Config] // built by the listener at the first handshake
}

// Instance returns what the entry serves now; nil before it was added.
func (e *Entry) Instance() *Instance { return e.instance.Load() }

// Caps is what a client can verify: see surface 2.5, step 3.
type Caps struct{ ECDSA, RSA bool }

// Index chooses the entry for a handshake on one bind line. Select takes no lock and allocates nothing; changing one entry costs as much
// as the entry has names, however many entries there are.
type Index struct {
	strict bool
	table  atomic.Pointer[table]
	seed   maphash.Seed

	verifying atomic.Int32 // entries with a `verify` of their own

	mu      sync.Mutex // serialises writers
	entries map[*Entry]struct{}
	names   int // nodes in the table, under mu
	seq     uint64
}

// table is a hash table whose chains are immutable lists: a reader walks the chain it loaded, a writer replaces the head.
type table struct {
	buckets []atomic.Pointer[node]
	mask    uint64
}

// node is one name. Exact names stand under themselves, wildcards under "*" and what follows it, so "*" alone is the default.
type node struct {
	name    string
	entries []*Entry // in the order they were added
	next    *node
}

// NewIndex returns an empty index; strictSNI is the bind line's keyword.
func NewIndex(strictSNI bool) *Index {
	x := &Index{strict: strictSNI, seed: maphash.MakeSeed(), entries: map[*Entry]struct{}{}}
	x.table.Store(newTable(16))
	return x
}

func newTable(size int) *table {
	return &table{buckets: make([]atomic.Pointer[node], size), mask: uint64(size - 1)}
}

// StrictSNI tells whether the bind line refuses names it does not know.
func (x *Index) StrictSNI() bool { return x.strict }

// Mixed tells whether entries may ask clients for certificates in different ways.
func (x *Index) Mixed() bool { return x.verifying.Load() > 0 }

// Len returns the number of entries.
func (x *Index) Len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.entries)
}

// Check returns the first error of f for an entry that has options of its own.
func (x *Index) Check(f func(*Entry) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for e := range x.entries {
		if e.Options == nil {
			continue
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// Entries returns all entries in the order they were added.
func (x *Index) Entries() []*Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := make([]*Entry, 0, len(x.entries))
	for e := range x.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *Entry) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return list
}

// Add puts e into the index, serving b. The entry is visible under all of its names once Add returns.
func (x *Index) Add(e *Entry, b *Bundle) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.entries[e]; ok {
		x.updateLocked(e, b)
		return
	}
	if e.Options != nil && e.Options.Verify != "" {
		x.verifying.Add(1)
	}
	x.seq++
	e.seq = x.seq
	e.instance.Store(&Instance{Bundle: b})
	x.entries[e] = struct{}{}
	e.keys = e.keysFor(b)
	for _, key := range e.keys {
		x.insertLocked(key, e)
	}
}

// Remove takes e out. Handshakes that chose it already finish with it.
func (x *Index) Remove(e *Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.entries[e]; !ok {
		return
	}
	delete(x.entries, e)
	if e.Options != nil && e.Options.Verify != "" {
		x.verifying.Add(-1)
	}
	for _, key := range e.keys {
		x.removeLocked(key, e)
	}
	e.keys = nil
}

// Update makes e serve b. New names are found and old ones are gone once it returns; the certificate itself changes at one moment.
func (x *Index) Update(e *Entry, b *Bundle) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.entries[e]; ok {
		x.updateLocked(e, b)
	}
}

func (x *Index) updateLocked(e *Entry, b *Bundle) {
	keys := e.keysFor(b)
	same := slices.Equal(keys, e.keys)
	if !same {
		// Names go first and come last: a name never leads to a version of the certificate without it.
		for _, key := range e.keys {
			if !slices.Contains(keys, key) {
				x.removeLocked(key, e)
			}
		}
	}
	e.instance.Store(&Instance{Bundle: b})
	if !same {
		for _, key := range keys {
			if !slices.Contains(e.keys, key) {
				x.insertLocked(key, e)
			}
		}
		e.keys = keys
	}
}

// keysFor lists what e stands under when it serves b, without duplicates. Without filters and default it is the bundle's own list unless a
// wildcard needs its star.
func (e *Entry) keysFor(b *Bundle) []string {
	var keys []string
	if len(e.Filters) == 0 {
		keys = b.Names
	} else {
		for _, f := range e.Filters {
			name, neg, wild := f.split()
			if neg {
				continue
			}
			if wild {
				name = "*" + name
			}
			if name != "" && !slices.Contains(keys, name) {
				keys = append(keys, name)
			}
		}
	}
	if e.Default && !slices.Contains(keys, "*") {
		keys = append(slices.Clip(keys), "*")
	}
	return keys
}

func (x *Index) bucket(t *table, key string) *atomic.Pointer[node] {
	return &t.buckets[maphash.String(x.seed, key)&t.mask]
}

func (x *Index) insertLocked(key string, e *Entry) {
	t := x.table.Load()
	if x.names >= 2*len(t.buckets) {
		t = x.growLocked(t)
	}
	head := x.bucket(t, key)
	n := find(head.Load(), key)
	var list []*Entry
	if n == nil {
		x.names++
		list = []*Entry{e}
	} else {
		i, _ := slices.BinarySearchFunc(n.entries, e.seq, func(a *Entry, seq uint64) int {
			if a.seq < seq {
				return -1
			}
			return 1
		})
		list = slices.Insert(slices.Clone(n.entries), i, e)
	}
	head.Store(&node{name: key, entries: list, next: chainWithout(head.Load(), key)})
}

func (x *Index) removeLocked(key string, e *Entry) {
	head := x.bucket(x.table.Load(), key)
	n := find(head.Load(), key)
	if n == nil {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(n.entries), func(a *Entry) bool { return a == e })
	chain := chainWithout(head.Load(), key)
	if len(rest) == 0 {
		x.names--
		head.Store(chain)
		return
	}
	head.Store(&node{name: key, entries: rest, next: chain})
}

func (x *Index) growLocked(old *table) *table {
	t := newTable(4 * len(old.buckets))
	for i := range old.buckets {
		for n := old.buckets[i].Load(); n != nil; n = n.next {
			head := x.bucket(t, n.name)
			head.Store(&node{name: n.name, entries: n.entries, next: head.Load()})
		}
	}
	x.table.Store(t)
	return t
}

func find(n *node, key string) *node {
	for ; n != nil && n.name != key; n = n.next {
	}
	return n
}

// chainWithout returns the chain with key left out, sharing what stands behind it.
func chainWithout(n *node, key string) *node {
	switch {
	case n == nil:
		return nil
	case n.name == key:
		return n.next
	case find(n, key) == nil:
		return n
	}
	return &node{name: n.name, entries: n.entries, next: chainWithout(n.next, key)}
}

// maxName is the longest server name RFC 1035 allows; a longer one matches nothing.
const maxName = 255

// Select returns the entry for a ClientHello with this server name ("" when it sent none), nil when the handshake is to be refused with
// unrecognized_name: surface 2.5. Among several for one name the first added wins, per kind of key.
func (x *Index) Select(sni string, caps Caps) *Entry {
	if e := x.Named(sni, caps); e != nil {
		return e
	}
	return x.Fallback(caps)
}

// Named is Select without the default: nil when no entry is for this name.
func (x *Index) Named(sni string, caps Caps) *Entry {
	if sni == "" || len(sni) > maxName {
		return nil
	}
	t := x.table.Load()
	var buf [maxName + 1]byte
	name := lower(buf[1:1], sni)
	var c choice
	if name[0] != '*' { // a star in a ClientHello is no name; as a key it would find wildcards and defaults
		c.look(x.lookup(t, name), nil)
	}
	if dot := slices.Index(name, '.'); dot >= 0 {
		// The byte before the dot makes room for the star. It is the last of the first label, so put it back for negative filters.
		i := 1 + dot - 1
		saved := buf[i]
		buf[i] = '*'
		wild := x.lookup(t, buf[i:1+len(name)])
		buf[i] = saved
		c.look(wild, name)
	}
	return c.pick(caps)
}

// Fallback is what a client gets whose name nobody has: the default, or with strict-sni nothing.
func (x *Index) Fallback(caps Caps) *Entry {
	if x.strict {
		return nil
	}
	return x.Default(caps)
}

// Default chooses among the default entries, which there are with strict-sni too.
func (x *Index) Default(caps Caps) *Entry {
	var c choice
	c.look(x.lookup(x.table.Load(), defaultKey[:]), nil)
	return c.pick(caps)
}

var defaultKey = [1]byte{'*'}

// lower appends the ASCII lower case of s. It stays out of strings.ToLower's Unicode rules, which no peer shares.
func lower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func (x *Index) lookup(t *table, key []byte) []*Entry {
	n := t.buckets[maphash.Bytes(x.seed, key)&t.mask].Load()
	for ; n != nil; n = n.next {
		if n.name == string(key) {
			return n.entries
		}
	}
	return nil
}

// choice remembers the first candidate of each kind of key across both passes.
type choice struct{ ecdsa, rsa, other *Entry }

// look takes candidates in order; with a name given they matched by wildcard and those whose line excludes the name are passed over.
func (c *choice) look(list []*Entry, wildcardFor []byte) {
	for _, e := range list {
		if wildcardFor != nil && e.excludes(wildcardFor) {
			continue
		}
		slot := &c.other
		switch e.Instance().Bundle.KeyType {
		case KeyECDSA:
			slot = &c.ecdsa
		case KeyRSA:
			slot = &c.rsa
		}
		if *slot == nil {
			*slot = e
		}
	}
}

func (c *choice) pick(caps Caps) *Entry {
	switch {
	case caps.ECDSA && c.ecdsa != nil:
		return c.ecdsa
	case caps.RSA && c.rsa != nil:
		return c.rsa
	case c.other != nil:
		return c.other
	case c.ecdsa != nil:
		return c.ecdsa
	}
	return c.rsa
}

// excludes tells whether a "!name" filter of the entry names exactly this name.
func (e *Entry) excludes(name []byte) bool {
	for _, f := range e.Filters {
		if len(f) == len(name)+1 && f[0] == '!' && equalFold(string(f[1:]), name) {
			return true
		}
	}
	return false
}

func equalFold(filter string, name []byte) bool {
	for i := range name {
		c := filter[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
