package table

import (
	"math"
	"sync"
	"sync/atomic"

	"gatehouse/internal/stream"
)

// Entry is what a table keeps for one key. Get and Lookup hand it out held; it lives at least until Release or Leave.
type Entry struct {
	table  *Table
	key    string
	id     uint64
	refs   atomic.Int32 // who holds it; taken only under the shard's lock
	expire atomic.Int64 // on the table's clock
	queued int64        // guarded by the shard's mu: when to look whether it is over
	at     int32        // guarded by the shard's mu: place in the heap, -1 once removed

	mu     sync.Mutex
	data   []uint64 // guarded by mu, as is server
	server string
	inline [6]uint64 // room for data that is short
}

var _ stream.Tracked = (*Entry)(nil)

// Table is the table the entry belongs to.
func (e *Entry) Table() *Table { return e.table }

// ID is a number that no other entry of the table has.
func (e *Entry) ID() uint64 { return e.id }

// Key is the key as a value.
func (e *Entry) Key() stream.Value { return e.table.value(e.key) }

// AppendKey writes the key as it is looked up.
func (e *Entry) AppendKey(dst []byte) []byte { return append(dst, e.key...) }

// In finds the entry with the same key in another table, held until Release; nil when there is none or the keys differ in kind.
func (e *Entry) In(t *Table) *Entry {
	if !e.SameKeys(t) {
		return nil
	}
	var tmp [64]byte
	return t.Lookup(append(tmp[:0], e.key...))
}

// Holders is how many hold the entry, among them the caller.
func (e *Entry) Holders() int { return int(e.refs.Load()) }

// Remaining is how long the entry still lives untouched, in milliseconds.
func (e *Entry) Remaining() int64 { return max(e.expire.Load()-e.table.now(), 0) }

// Idle is for how long the entry has not been touched, in milliseconds; 0 in a table whose entries do not expire.
func (e *Entry) Idle() int64 {
	return max(e.table.set.Load().Expire.Milliseconds()-e.Remaining(), 0)
}

func (e *Entry) touch(now int64) {
	e.expire.Store(now + e.table.set.Load().Expire.Milliseconds())
}

// Touch puts the expiry off.
func (e *Entry) Touch() { e.touch(e.table.now()) }

func (e *Entry) expired(now int64) bool {
	return e.table.set.Load().Expire > 0 && e.expire.Load() <= now
}

// Release gives up a hold on the entry, which goes when it is over.
func (e *Entry) Release() {
	if e.expired(e.table.now()) {
		e.table.remove(e, true)
		return
	}
	e.refs.Add(-1)
}

// Remove takes the entry out of the table and gives up the hold; false when others hold it, and it stays.
func (e *Entry) Remove() bool { return e.table.remove(e, false) }

// Enter counts a connection, or a request, that begins to be tracked.
func (e *Entry) Enter() {
	t := e.table
	now := t.now()
	e.mu.Lock()
	e.addLocked(ConnCur, 0, now, 1)
	e.addLocked(ConnCnt, 0, now, 1)
	e.addLocked(ConnRate, 0, now, 1)
	e.mu.Unlock()
	e.touch(now)
}

// Leave ends what Enter began, and releases the entry.
func (e *Entry) Leave() {
	if i := e.table.find(ConnCur, 0); i >= 0 {
		e.mu.Lock()
		if e.data[i] > 0 {
			e.data[i]--
		}
		e.mu.Unlock()
		e.Touch()
	}
	e.Release()
}

// addLocked adds to an element that may be stored. Counters stay at their end: a limit once reached is not forgotten.
func (e *Entry) addLocked(d DataType, index int, now int64, n uint64) bool {
	i := e.table.find(d, index)
	if i < 0 {
		return false
	}
	switch types[d].form {
	case formRate:
		if d == BytesInRate || d == BytesOutRate {
			f := uint64(e.table.o.BratesFactor)
			n = (n + f - 1) / f
		}
		addRate(e.data[i:i+2], e.table.period(d), now, n)
	case formLong:
		e.data[i] += min(n, math.MaxInt64-e.data[i])
	default:
		e.data[i] = min(e.data[i]+min(n, math.MaxUint32), math.MaxUint32)
	}
	return true
}

// Count adds n to a counter and its rate, where they are stored.
func (e *Entry) Count(counter, rate DataType, n uint64) {
	if e.table.cells[counter].off < 0 && e.table.cells[rate].off < 0 {
		return
	}
	now := e.table.now()
	e.mu.Lock()
	e.addLocked(counter, 0, now, n)
	e.addLocked(rate, 0, now, n)
	e.mu.Unlock()
	e.touch(now)
}

// Add adds n to a general purpose counter and its rate, which is the counter again when there is none, and returns what the counter then is; the events of the rate's current
// period when only that is stored. False: neither is.
func (e *Entry) Add(counter, rate DataType, index int, n uint32) (int64, bool) {
	t := e.table
	c, r := t.find(counter, index), t.find(rate, index)
	if c < 0 && r < 0 {
		return 0, false
	}
	now := t.now()
	e.mu.Lock()
	var v uint64
	if n > 0 { // nothing is no event
		e.addLocked(counter, index, now, uint64(n))
		if rate != counter {
			e.addLocked(rate, index, now, uint64(n))
		}
	}
	if c >= 0 {
		v = e.data[c]
	} else {
		v = e.data[r+1] >> 32
	}
	e.mu.Unlock()
	e.touch(now)
	return int64(v), true
}

// Value reads one element: a counter, or the events of a rate over its period. False: it is not stored.
func (e *Entry) Value(d DataType, index int) (int64, bool) {
	t := e.table
	i := t.find(d, index)
	if i < 0 || types[d].form == formText {
		return 0, false
	}
	if types[d].form != formRate {
		e.mu.Lock()
		defer e.mu.Unlock()
		return int64(e.data[i]), true
	}
	now := t.now()
	e.mu.Lock()
	v := readRate(e.data[i:i+2], t.period(d), now)
	e.mu.Unlock()
	if d == BytesInRate || d == BytesOutRate {
		v *= uint64(t.o.BratesFactor)
	}
	return int64(v), true
}

// Set gives one element a value; a rate then holds it for a period. False: it is not stored.
func (e *Entry) Set(d DataType, index int, v int64) bool {
	t := e.table
	i := t.find(d, index)
	if i < 0 {
		return false
	}
	now := t.now()
	e.mu.Lock()
	switch types[d].form {
	case formInt:
		e.data[i] = uint64(int64(int32(v)))
	case formUint:
		e.data[i] = uint64(uint32(v))
	case formLong:
		e.data[i] = uint64(v)
	case formRate:
		setRate(e.data[i:i+2], now, uint64(uint32(v)))
	}
	e.mu.Unlock()
	e.touch(now)
	return true
}

// Clear sets a counter to 0 and returns what it was. False: it is not stored.
func (e *Entry) Clear(d DataType, index int) (int64, bool) {
	i := e.table.find(d, index)
	if i < 0 {
		return 0, false
	}
	e.mu.Lock()
	v := e.data[i]
	e.data[i] = 0
	e.mu.Unlock()
	e.Touch()
	return int64(v), true
}

// Server is the server remembered: its key, "" for none, and its number, 0 for none.
func (e *Entry) Server() (key string, id int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.table.find(ServerID, 0); i >= 0 {
		id = int(int64(e.data[i]))
	}
	return e.server, id
}

// SetServer remembers a server.
func (e *Entry) SetServer(key string, id int) {
	e.mu.Lock()
	if i := e.table.find(ServerID, 0); i >= 0 {
		e.data[i] = uint64(int64(id))
	}
	if e.table.Stores(ServerKey) {
		e.server = key
	}
	e.mu.Unlock()
	e.Touch()
}

// SameKeys reports whether t has keys of the same kind and length.
func (e *Entry) SameKeys(t *Table) bool {
	return t.o.Key == e.table.o.Key && t.o.KeyLen == e.table.o.KeyLen
}

// KeyIn is Key with bytes in the stream's memory.
func (e *Entry) KeyIn(s *stream.Stream) stream.Value {
	if k := e.table.o.Key; k == stream.KindStr || k == stream.KindBin {
		return stream.Value{Kind: k, Bytes: s.ScratchString(e.key)}
	}
	return e.Key()
}
