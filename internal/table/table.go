package table

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
)

// Options of a table. Name, Key and Size are required.
type Options struct {
	Name   string
	Key    stream.Kind // KindInt, KindIPv4, KindIPv6, KindStr or KindBin
	KeyLen int         // longest text, or exact length of binary keys, in bytes
	Size   int         // entries
	Store  []Store
	// BratesFactor divides the bytes that rates count, so that they fit; 0 is 1.
	BratesFactor int

	Settings
}

// Settings may change while the table lives.
type Settings struct {
	Expire    time.Duration // 0: entries do not expire
	NoPurge   bool          // a full table takes no new entries, instead of giving up the oldest
	ByAddress bool          // servers are remembered by address, not by name (srvkey addr)
}

// Table is a stick table. New makes it; the generations of a configuration share it.
type Table struct {
	o      Options
	cells  [numTypes]cells
	words  int
	seed   uint32
	epoch  time.Time
	set    atomic.Pointer[Settings]
	used   atomic.Int64
	ids    atomic.Uint64
	shards [shardCount]shard
}

const shardCount = 64

type shard struct {
	mu      sync.Mutex
	entries map[string]*Entry // guarded by mu, as is due
	due     heap
	_       [24]byte // each shard has a cache line of its own
}

// farPast keeps the clock away from 0, so that a counter that never ran is older than any period.
const farPast = 1 << 40

// New makes an empty table.
func New(o Options) *Table {
	o.BratesFactor = max(o.BratesFactor, 1)
	switch o.Key {
	case stream.KindInt, stream.KindIPv4:
		o.KeyLen = 4
	case stream.KindIPv6:
		o.KeyLen = 16
	}
	t := &Table{o: o, seed: uint32(xxh64([]byte(o.Name), 0)), epoch: time.Now()}
	for i := range t.cells {
		t.cells[i].off = -1
	}
	for _, s := range o.Store {
		c := &t.cells[s.Type]
		*c = cells{off: int16(t.words), n: 1, period: uint32(s.Period / time.Millisecond)}
		if types[s.Type].array {
			c.n = uint16(min(max(s.N, 1), MaxArray))
		}
		t.words += int(c.n) * width(s.Type)
	}
	t.Update(o.Settings)
	return t
}

// Update changes the settings. Entries keep the expiry they have until they are touched.
func (t *Table) Update(s Settings) { t.set.Store(&s) }

// SameAs reports whether a table with these options could go on as t: only the settings differ.
func (t *Table) SameAs(o Options) bool {
	return t.o.Key == o.Key && (t.o.KeyLen == o.KeyLen || o.KeyLen == 0) && t.o.Size == o.Size && t.o.BratesFactor == max(o.BratesFactor, 1) &&
		slices.Equal(t.o.Store, o.Store)
}

// Name is the table's name: that of its section.
func (t *Table) Name() string { return t.o.Name }

// Kind is the type of the keys.
func (t *Table) Kind() stream.Kind { return t.o.Key }

// Size is how many entries there can be, and Used how many there are.
func (t *Table) Size() int { return t.o.Size }

// Used is how many entries there are, among them some that have just expired.
func (t *Table) Used() int { return int(t.used.Load()) }

// ByAddress reports whether servers are remembered by address.
func (t *Table) ByAddress() bool { return t.set.Load().ByAddress }

// TypeName is the word for the type of the keys.
func (t *Table) TypeName() string {
	switch t.o.Key {
	case stream.KindInt:
		return "integer"
	case stream.KindIPv4:
		return "ip"
	case stream.KindIPv6:
		return "ipv6"
	case stream.KindStr:
		return "string"
	}
	return "binary"
}

// now is the table's clock in milliseconds. It never goes back.
func (t *Table) now() int64 { return farPast + int64(time.Since(t.epoch)/time.Millisecond) }

// AppendKey writes the key for a value, which has the table's kind. False: no key can be made of it.
func (t *Table) AppendKey(dst []byte, v stream.Value) ([]byte, bool) {
	switch t.o.Key {
	case stream.KindInt:
		return binary.LittleEndian.AppendUint32(dst, uint32(v.Int)), true
	case stream.KindIPv4:
		if b := v.Addr.As16(); v.Addr.Is6() && [12]byte(b[:12]) == [12]byte{} { // RFC 4291, 2.5.5.1; ::1 too, as in HAProxy
			return append(dst, b[12:]...), true
		}
		a := v.Addr.Unmap()
		if !a.Is4() {
			return dst, false
		}
		b := a.As4()
		return append(dst, b[:]...), true
	case stream.KindIPv6:
		if !v.Addr.IsValid() {
			return dst, false
		}
		b := v.Addr.As16()
		return append(dst, b[:]...), true
	case stream.KindStr:
		b := v.Bytes
		if i := bytes.IndexByte(b, 0); i >= 0 {
			b = b[:i]
		}
		return append(dst, b[:min(len(b), t.o.KeyLen)]...), true
	}
	n := len(dst)
	dst = append(dst, v.Bytes[:min(len(v.Bytes), t.o.KeyLen)]...)
	for len(dst)-n < t.o.KeyLen {
		dst = append(dst, 0)
	}
	return dst, true
}

// value is the reverse of AppendKey.
func (t *Table) value(key string) stream.Value {
	v := stream.Value{Kind: t.o.Key}
	switch t.o.Key {
	case stream.KindInt:
		v.Int = int64(binary.LittleEndian.Uint32([]byte(key)))
	case stream.KindIPv4, stream.KindIPv6:
		v.Addr, _ = netip.AddrFromSlice([]byte(key))
	default:
		v.Bytes = []byte(key)
	}
	return v
}

func (t *Table) shard(key []byte) *shard { return &t.shards[xxh32(key, t.seed)%shardCount] }

// Lookup returns the entry of a key, held until Release; nil when there is none.
func (t *Table) Lookup(key []byte) *Entry {
	sh := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return t.heldLocked(sh, key)
}

// heldLocked finds an entry that is not over and holds it.
func (t *Table) heldLocked(sh *shard, key []byte) *Entry {
	e := sh.entries[string(key)]
	if e == nil {
		return nil
	}
	if e.refs.Load() == 0 && e.expired(t.now()) {
		t.removeLocked(sh, e)
		return nil
	}
	e.refs.Add(1)
	return e
}

// Get returns the entry of a key, held until Release, and makes it when there is none; nil when the table is full.
func (t *Table) Get(key []byte) *Entry {
	sh := t.shard(key)
	sh.mu.Lock()
	e := t.heldLocked(sh, key)
	sh.mu.Unlock()
	if e != nil || !t.makeRoom() {
		return e
	}
	e = &Entry{table: t, key: string(key), id: t.ids.Add(1)}
	if e.data = e.inline[:]; t.words > len(e.inline) {
		e.data = make([]uint64, t.words)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if other := t.heldLocked(sh, key); other != nil { // somebody was faster
		t.used.Add(-1)
		return other
	}
	if sh.entries == nil {
		sh.entries = map[string]*Entry{}
	}
	e.refs.Store(1)
	now := t.now()
	e.touch(now)
	e.queued = e.expire.Load()
	t.dropDueLocked(sh, now, 2)
	sh.entries[e.key] = e
	sh.due.push(e)
	return e
}

// makeRoom takes one place of the table's size, giving up an old entry when there is none left.
func (t *Table) makeRoom() bool {
	if t.used.Add(1) <= int64(t.o.Size) {
		return true
	}
	if !t.set.Load().NoPurge && t.evict() {
		return true
	}
	t.used.Add(-1)
	return false
}

// What one search for old entries may cost, as in HAProxy.
const (
	evictAtOnce = 2
	evictSearch = 200
)

// evict gives up the oldest entries of some shard that nobody holds.
func (t *Table) evict() bool {
	now, search, first := t.now(), evictSearch, rand.IntN(shardCount)
	for i := range shardCount {
		sh := &t.shards[(first+i)%shardCount]
		sh.mu.Lock()
		n := 0
		for looks := min(len(sh.due), search); n < evictAtOnce && looks > 0; looks-- {
			search--
			e := sh.due[0]
			if exp := e.expire.Load(); e.refs.Load() > 0 || exp > e.queued {
				sh.due.requeue(e, later(exp, e.queued, now))
				continue
			}
			t.removeLocked(sh, e)
			n++
		}
		sh.mu.Unlock()
		if n > 0 || search <= 0 {
			return n > 0
		}
	}
	return false
}

// later is when an entry that could not go now is looked at again: at its expiry when that has moved on.
func later(expire, queued, now int64) int64 {
	if expire > queued {
		return expire
	}
	return now + 1000
}

// Sweep drops the entries that have expired.
func (t *Table) Sweep() {
	if t.set.Load().Expire == 0 || t.used.Load() == 0 {
		return
	}
	now := t.now()
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		t.dropDueLocked(sh, now, len(sh.due))
		sh.mu.Unlock()
	}
}

// dropDueLocked looks at up to n entries that are due.
func (t *Table) dropDueLocked(sh *shard, now int64, n int) {
	if t.set.Load().Expire == 0 {
		return
	}
	for ; n > 0 && len(sh.due) > 0 && sh.due[0].queued <= now; n-- {
		e := sh.due[0]
		if e.refs.Load() > 0 || !e.expired(now) {
			sh.due.requeue(e, later(e.expire.Load(), now, now))
			continue
		}
		t.removeLocked(sh, e)
	}
}

func (t *Table) removeLocked(sh *shard, e *Entry) {
	delete(sh.entries, e.key)
	sh.due.remove(e)
	t.used.Add(-1)
}

// remove takes an entry out when nobody but the caller holds it, which gives up its hold either way.
func (t *Table) remove(e *Entry, onlyExpired bool) bool {
	sh := t.shard([]byte(e.key))
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e.refs.Add(-1) > 0 || onlyExpired && !e.expired(t.now()) || e.at < 0 {
		return false
	}
	t.removeLocked(sh, e)
	return true
}

// Each calls yield with every entry until it returns false: shard by shard, in each by key. The entry is held during the call.
func (t *Table) Each(yield func(*Entry) bool) {
	var batch []*Entry
	goOn := true
	for i := range t.shards {
		batch = t.hold(&t.shards[i], batch[:0])
		for _, e := range batch {
			goOn = goOn && yield(e)
			e.Release()
		}
		if !goOn {
			return
		}
	}
}

// RemoveAll takes out every entry that which accepts and nobody holds.
func (t *Table) RemoveAll(which func(*Entry) bool) {
	var batch []*Entry
	for i := range t.shards {
		batch = t.hold(&t.shards[i], batch[:0])
		for _, e := range batch {
			if which(e) {
				e.Remove()
			} else {
				e.Release()
			}
		}
	}
}

// hold appends the entries of a shard, held, sorted by key.
func (t *Table) hold(sh *shard, batch []*Entry) []*Entry {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t.dropDueLocked(sh, t.now(), len(sh.due))
	for _, e := range sh.entries {
		e.refs.Add(1)
		batch = append(batch, e)
	}
	slices.SortFunc(batch, func(a, b *Entry) int { return bytes.Compare([]byte(a.key), []byte(b.key)) })
	return batch
}

// ByID returns the entry with a number, held until Release; nil when there is none.
func (t *Table) ByID(id uint64) (found *Entry) {
	t.Each(func(e *Entry) bool {
		if e.id == id {
			e.refs.Add(1)
			found = e
		}
		return found == nil
	})
	return found
}
