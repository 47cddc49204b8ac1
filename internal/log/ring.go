package log

import (
	"encoding/binary"
	"sync"
	"time"
)

// RingOptions are what a `ring` section says (manual section 12.5).
type RingOptions struct {
	Name        string
	Description string
	Format      string // of every event, whatever the log line says; "": the log line's own
	MaxLen      int    // longest event with its header; 0: the log line's own limit
	Size        int    // bytes that are kept; 0: 16384
}

const (
	defaultRing = 16384
	recordHead  = 4 // length of an event before its bytes
)

// Ring keeps the last events written to it: a new one takes the place of as many of the oldest as it needs. Any goroutine may write
// and read, and nobody waits for a reader: one that is too slow misses events, and hears how many.
//
// An engine makes it, Configure may change it, and it is gone when nobody names it any more. Its memory is taken with the first event.
type Ring struct {
	mu          sync.Mutex
	o           RingOptions            // guarded by mu
	buf         []byte                 // guarded by mu: records, wrapping around; nil before the first event
	head, tail  uint64                 // guarded by mu: positions of the oldest event and behind the newest, counted on for ever
	first, next uint64                 // guarded by mu: their numbers
	room        []byte                 // guarded by mu: the event being written
	readers     map[*RingReader]uint64 // guarded by mu: the number of the event each wants next
}

// NewRing makes an empty ring.
func NewRing(o RingOptions) *Ring {
	r := &Ring{readers: map[*RingReader]uint64{}}
	r.Configure(o)
	return r
}

// Configure takes over what a new configuration says. Events that still fit are kept.
func (r *Ring) Configure(o RingOptions) {
	if o.Size <= 0 {
		o.Size = defaultRing
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.o.Size
	r.o = o
	if r.buf == nil || old == o.Size {
		return
	}
	for r.tail-r.head > uint64(o.Size) {
		r.evictLocked()
	}
	buf := make([]byte, o.Size)
	at := r.head
	for at < r.tail { // the same positions stand elsewhere in a buffer of another size
		n := min(r.tail-at, uint64(len(r.buf))-at%uint64(len(r.buf)), uint64(len(buf))-at%uint64(len(buf)))
		copy(buf[at%uint64(len(buf)):], r.buf[at%uint64(len(r.buf)):][:n])
		at += n
	}
	r.buf = buf
}

// Options returns what the ring was made or configured with.
func (r *Ring) Options() RingOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.o
}

// Write keeps one event as it is, without header.
func (r *Ring) Write(event []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(event)
}

// Stamp keeps one event with the header of the format "timed": its level and the time.
func (r *Ring) Stamp(level Level, event []byte) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room = append(appendISO(priority(r.room[:0], int(level)), now), ' ')
	at := len(r.room)
	r.room = append(r.room, event...)
	oneLine(r.room[at:])
	r.putLocked(r.room)
}

// write keeps a line of a log target.
func (r *Ring) write(t *Target, level Level, tag string, line Line, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	format := t.o.Format
	if r.o.Format != "" {
		format = r.o.Format
	}
	r.room = t.header(r.room[:0], format, level, tag, line.SD, now)
	at := len(r.room)
	r.room = append(r.room, line.Text...)
	if len(r.room) > t.o.Len {
		r.room = r.room[:t.o.Len]
	}
	if !line.Binary {
		oneLine(r.room[min(at, len(r.room)):])
	}
	r.putLocked(r.room)
	if cap(r.room) > keepQueue {
		r.room = nil
	}
}

func (r *Ring) putLocked(event []byte) {
	if n := r.o.MaxLen; n > 0 && len(event) > n {
		event = event[:n]
	}
	if n := r.o.Size - recordHead; len(event) > n {
		event = event[:max(n, 0)]
	}
	if r.buf == nil {
		r.buf = make([]byte, max(r.o.Size, recordHead))
	}
	for r.tail-r.head+recordHead+uint64(len(event)) > uint64(len(r.buf)) {
		r.evictLocked()
	}
	var size [recordHead]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(event)))
	r.copyInLocked(size[:])
	r.copyInLocked(event)
	r.next++
	for d := range r.readers {
		signal(d.wake)
	}
}

func (r *Ring) copyInLocked(p []byte) {
	at := r.tail % uint64(len(r.buf))
	n := copy(r.buf[at:], p)
	copy(r.buf, p[n:])
	r.tail += uint64(len(p))
}

// appendLocked appends n bytes from a position to dst.
func (r *Ring) appendLocked(dst []byte, pos uint64, n int) []byte {
	at := int(pos % uint64(len(r.buf)))
	if end := at + n; end > len(r.buf) {
		return append(append(dst, r.buf[at:]...), r.buf[:end-len(r.buf)]...)
	}
	return append(dst, r.buf[at:at+n]...)
}

func (r *Ring) sizeLocked(pos uint64) int {
	var size [recordHead]byte
	return int(binary.LittleEndian.Uint32(r.appendLocked(size[:0], pos, recordHead)))
}

func (r *Ring) evictLocked() {
	r.head += recordHead + uint64(r.sizeLocked(r.head))
	r.first++
}

// RingReader is one reader of a ring. One goroutine may use it; Close gives it back.
type RingReader struct {
	ring *Ring
	wake chan struct{}
	pos  uint64 // of the next event, when it is still there
	lost uint64 // guarded by the ring's mu: events it came too late for
}

// Reader makes a reader that begins with the oldest event, or with the next one to come.
func (r *Ring) Reader(fromNext bool) *RingReader {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &RingReader{ring: r, wake: make(chan struct{}, 1), pos: r.head}
	number := r.first
	if fromNext {
		d.pos, number = r.tail, r.next
	}
	r.readers[d] = number
	return d
}

// Close ends the reader.
func (d *RingReader) Close() {
	d.ring.mu.Lock()
	defer d.ring.mu.Unlock()
	delete(d.ring.readers, d)
}

// Wake has a token when events came since the last call of Next that found none.
func (d *RingReader) Wake() <-chan struct{} { return d.wake }

// Lost counts the events that were gone before the reader came for them.
func (d *RingReader) Lost() uint64 {
	d.ring.mu.Lock()
	defer d.ring.mu.Unlock()
	return d.lost + d.missedLocked()
}

func (d *RingReader) missedLocked() uint64 {
	if number, ok := d.ring.readers[d]; ok && number < d.ring.first {
		return d.ring.first - number
	}
	return 0
}

// Next appends events to dst, each followed by end, and the places where they end to ends, until dst holds about limit bytes or no event is
// left that was there before the event numbered until (0: any). It never waits.
func (d *RingReader) Next(dst []byte, ends []int, limit int, until uint64, frame func(dst []byte, n int) []byte, end []byte) ([]byte, []int) {
	r := d.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := d.missedLocked(); n > 0 {
		d.lost += n
		d.pos, r.readers[d] = r.head, r.first
	}
	for number := r.readers[d]; number < r.next && (until == 0 || number < until) && len(dst) < limit; number++ {
		n := r.sizeLocked(d.pos)
		if frame != nil {
			dst = frame(dst, n)
		}
		dst = append(r.appendLocked(dst, d.pos+recordHead, n), end...)
		ends = append(ends, len(dst))
		d.pos += recordHead + uint64(n)
		r.readers[d] = number + 1
	}
	return dst, ends
}

// Newest is the number of the next event to come, for Next.
func (r *Ring) Newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}
