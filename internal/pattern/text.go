package pattern

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"strings"

	"gatehouse/internal/stream"
)

// asis and lower are what becomes of a byte before it is compared.
var asis, lower = func() (a, l [256]byte) {
	for i := range a {
		a[i], l[i] = byte(i), byte(i)
		if i >= 'A' && i <= 'Z' {
			l[i] += 'a' - 'A'
		}
	}
	return a, l
}()

func folded(text string, fold bool) string {
	if !fold {
		return text
	}
	b := []byte(text)
	for i := range b {
		b[i] = lower[b[i]]
	}
	return string(b)
}

// delimiters stand between the words that dir and dom compare.
var delimiters = map[Method]string{Dir: "/?", Dom: "/?.:"}

// few is how many texts are compared one by one; more are hashed.
const few = 8

// newTextIndex makes the index for the methods that compare text: str, bin, beg, end, sub, dir, dom.
func newTextIndex(u Use, entries []*Entry) index {
	texts := make([]string, len(entries))
	for i, e := range entries {
		switch u.Method {
		case Bin:
			texts[i], _ = ParseHex(e.Key) // checked when the entry came in
		case Dir, Dom:
			texts[i] = strings.Trim(folded(e.Key, u.Fold), delimiters[u.Method])
		default:
			texts[i] = folded(e.Key, u.Fold)
		}
	}
	switch {
	case len(entries) <= few:
		return newTextList(u, texts, entries)
	case u.Method == Sub:
		return newSubTable(u, texts, entries)
	}
	return newTextTable(u, texts, entries)
}

// textList compares a few texts one by one.
type textList struct {
	use     Use
	fold    *[256]byte
	delims  [256]bool
	texts   []string
	entries []*Entry
}

func newTextList(u Use, texts []string, entries []*Entry) *textList {
	x := &textList{use: u, fold: foldTable(u.Fold), texts: texts, entries: entries}
	x.delims = delimiterSet(u.Method)
	return x
}

func foldTable(fold bool) *[256]byte {
	if fold {
		return &lower
	}
	return &asis
}

func delimiterSet(m Method) (set [256]bool) {
	for _, c := range []byte(delimiters[m]) {
		set[c] = true
	}
	return set
}

func (x *textList) find(v stream.Value, any bool) (*Entry, uint32) {
	var best *Entry
	for i, e := range x.entries {
		if !x.accepts(v.Bytes, x.texts[i]) || e.dead.Load() {
			continue
		}
		if any || !x.use.longest() {
			return e, 0
		}
		if best == nil || len(e.Key) > len(best.Key) {
			best = e
		}
	}
	if best == nil {
		return nil, 0
	}
	return best, longerFirst(len(best.Key))
}

// longerFirst makes the rank of a pattern of n bytes: the longer the smaller.
func longerFirst(n int) uint32 { return ^uint32(n) }

func (x *textList) accepts(b []byte, text string) bool {
	if len(text) > len(b) {
		return false
	}
	switch x.use.Method {
	case Beg:
		return x.same(b[:len(text)], text)
	case End:
		return x.same(b[len(b)-len(text):], text)
	case Sub:
		return x.contains(b, text)
	case Dir, Dom:
		return x.containsWord(b, text)
	}
	return x.same(b, text)
}

func (x *textList) same(b []byte, text string) bool {
	if !x.use.Fold {
		return string(b) == text
	}
	return sameFolded(b, text, x.fold)
}

func sameFolded(b []byte, text string, fold *[256]byte) bool {
	if len(b) != len(text) {
		return false
	}
	for i := range b {
		if fold[b[i]] != text[i] {
			return false
		}
	}
	return true
}

func (x *textList) contains(b []byte, text string) bool {
	if text == "" {
		return false // as HAProxy, whose search starts with the first byte
	}
	if !x.use.Fold {
		for from := 0; ; from++ {
			i := bytes.IndexByte(b[from:], text[0])
			if i < 0 || from+i+len(text) > len(b) {
				return false
			}
			from += i
			if string(b[from:from+len(text)]) == text {
				return true
			}
		}
	}
	for i := 0; i+len(text) <= len(b); i++ {
		if x.fold[b[i]] == text[0] && sameFolded(b[i:i+len(text)], text, x.fold) {
			return true
		}
	}
	return false
}

func (x *textList) containsWord(b []byte, text string) bool {
	if text == "" {
		return false
	}
	for i := 0; i+len(text) <= len(b); i++ {
		if i > 0 && !x.delims[b[i-1]] {
			continue
		}
		end := i + len(text)
		if (end == len(b) || x.delims[b[end]]) && x.same(b[i:end], text) {
			return true
		}
	}
	return false
}

// textTable is a hash table of texts whose hash grows byte by byte, so that the beginnings of a value, or its ends, or words in it,
// are looked up while walking over it once.
type textTable struct {
	use     Use
	fold    *[256]byte
	delims  [256]bool
	texts   []string
	entries []*Entry
	next    []int32 // the next entry with the same text, -1 for none
	slots   []slot  // a power of two, less than half of them used
	shift   int
	lengths []uint64 // bit n is set when there is a text of n bytes
	longest int
	seed    uint64
}

type slot struct {
	tag   uint32
	entry int32 // index of the first entry, -1 for an empty slot
}

const mixer = 0x9e3779b97f4a7c15

func mix(h uint64, c byte) uint64 {
	h = (h ^ uint64(c)) * mixer
	return h ^ h>>29
}

func newTextTable(u Use, texts []string, entries []*Entry) *textTable {
	t := &textTable{
		use: u, fold: foldTable(u.Fold), delims: delimiterSet(u.Method), texts: texts, entries: entries,
		next: make([]int32, len(texts)), seed: rand.Uint64(),
	}
	for _, text := range texts {
		t.longest = max(t.longest, len(text))
	}
	t.lengths = make([]uint64, t.longest/64+1)
	size := 1 << bits.Len(uint(2*len(texts)))
	t.slots, t.shift = make([]slot, size), 64-bits.Len(uint(size-1))
	last := make([]int32, len(texts)) // of the chain that starts here
	for i := range t.slots {
		t.slots[i].entry = -1
	}
	for i, text := range texts {
		t.insert(int32(i), text, last)
	}
	return t
}

func (t *textTable) insert(i int32, text string, last []int32) {
	t.next[i], last[i] = -1, i
	t.lengths[len(text)/64] |= 1 << (len(text) % 64)
	h := t.hash(text)
	for at := h >> t.shift; ; at = (at + 1) & uint64(len(t.slots)-1) {
		s := &t.slots[at]
		switch {
		case s.entry < 0:
			*s = slot{uint32(h), i}
			return
		case s.tag == uint32(h) && t.texts[s.entry] == text:
			t.next[last[s.entry]], last[s.entry] = i, i
			return
		}
	}
}

func (t *textTable) hash(text string) uint64 {
	h := t.seed
	for i := range len(text) {
		if t.use.Method == End {
			h = mix(h, text[len(text)-1-i])
		} else {
			h = mix(h, text[i])
		}
	}
	return h
}

func (t *textTable) has(length int) bool {
	return t.lengths[length/64]&(1<<(length%64)) != 0
}

// get returns the index of the first live entry whose text is b, -1 for none. h is b's hash.
func (t *textTable) get(h uint64, b []byte) int32 {
	for at := h >> t.shift; ; at = (at + 1) & uint64(len(t.slots)-1) {
		s := &t.slots[at]
		if s.entry < 0 {
			return -1
		}
		if s.tag != uint32(h) || !t.is(b, t.texts[s.entry]) {
			continue
		}
		for i := s.entry; i >= 0; i = t.next[i] {
			if !t.entries[i].dead.Load() {
				return i
			}
		}
		return -1
	}
}

func (t *textTable) is(b []byte, text string) bool {
	if !t.use.Fold {
		return string(b) == text
	}
	return sameFolded(b, text, t.fold)
}

func (t *textTable) find(v stream.Value, any bool) (*Entry, uint32) {
	i := int32(-1)
	switch b := v.Bytes; t.use.Method {
	case Beg:
		i = t.findBeg(b, any)
	case End:
		i = t.findEnd(b, any)
	case Dir, Dom:
		i = t.findWord(b, any)
	default:
		i = t.findWhole(b)
	}
	if i < 0 {
		return nil, 0
	}
	e := t.entries[i]
	if t.use.longest() {
		return e, longerFirst(len(e.Key))
	}
	return e, 0
}

func (t *textTable) findWhole(b []byte) int32 {
	if len(b) > t.longest || !t.has(len(b)) {
		return -1
	}
	h := t.seed
	for _, c := range b {
		h = mix(h, t.fold[c])
	}
	return t.get(h, b)
}

// first keeps the entry that comes first.
func first(best, i int32) int32 {
	if i >= 0 && (best < 0 || i < best) {
		return i
	}
	return best
}

func (t *textTable) findBeg(b []byte, any bool) int32 {
	best, h := int32(-1), t.seed
	for n := 0; ; n++ {
		if t.has(n) {
			if i := t.get(h, b[:n]); i >= 0 {
				if t.use.longest() {
					best = i
				} else {
					best = first(best, i)
				}
				if any {
					return best
				}
			}
		}
		if n == len(b) || n == t.longest {
			return best
		}
		h = mix(h, t.fold[b[n]])
	}
}

func (t *textTable) findEnd(b []byte, any bool) int32 {
	best, h := int32(-1), t.seed
	for n := 0; ; n++ {
		if t.has(n) {
			if best = first(best, t.get(h, b[len(b)-n:])); any && best >= 0 {
				return best
			}
		}
		if n == len(b) || n == t.longest {
			return best
		}
		h = mix(h, t.fold[b[len(b)-1-n]])
	}
}

// findWord looks for texts that stand between delimiters or the ends; they may hold delimiters themselves.
func (t *textTable) findWord(b []byte, any bool) int32 {
	best := int32(-1)
	for from := 0; from < len(b); from++ {
		if t.delims[b[from]] || from > 0 && !t.delims[b[from-1]] {
			continue
		}
		h := t.seed
		for to := from; to < len(b) && to-from < t.longest; {
			h = mix(h, t.fold[b[to]])
			to++
			if !t.has(to-from) || to < len(b) && !t.delims[b[to]] {
				continue
			}
			if best = first(best, t.get(h, b[from:to])); any && best >= 0 {
				return best
			}
		}
	}
	return best
}

// subTable finds texts anywhere in a value. Texts of at least gram bytes are looked for only where their first bytes are those of
// one of them, which one bit says; shorter ones everywhere.
type subTable struct {
	short, long *textTable // nil when there are none
	shortAt     []int32    // which entry of the level each text is of, for their order
	longAt      []int32
	grams       []uint64 // bits, by the hash of gram bytes
	gramShift   int
}

const gram = 4

func newSubTable(u Use, texts []string, entries []*Entry) *subTable {
	x := &subTable{}
	var parts [2]struct {
		texts   []string
		entries []*Entry
	}
	for i, text := range texts {
		switch {
		case text == "": // accepts nothing, see textList
		case len(text) < gram:
			parts[0].texts, parts[0].entries = append(parts[0].texts, text), append(parts[0].entries, entries[i])
			x.shortAt = append(x.shortAt, int32(i))
		default:
			parts[1].texts, parts[1].entries = append(parts[1].texts, text), append(parts[1].entries, entries[i])
			x.longAt = append(x.longAt, int32(i))
		}
	}
	if p := parts[0]; len(p.texts) > 0 {
		x.short = newTextTable(u, p.texts, p.entries)
	}
	if p := parts[1]; len(p.texts) > 0 {
		x.long = newTextTable(u, p.texts, p.entries)
		size := max(64, 1<<bits.Len(uint(16*len(p.texts))))
		x.grams, x.gramShift = make([]uint64, size/64), 64-bits.Len(uint(size-1))
		for _, text := range p.texts {
			at := gramHash(text[0], text[1], text[2], text[3]) >> x.gramShift
			x.grams[at/64] |= 1 << (at % 64)
		}
	}
	return x
}

func gramHash(a, b, c, d byte) uint64 {
	h := (uint64(a) | uint64(b)<<8 | uint64(c)<<16 | uint64(d)<<24) * mixer
	return (h ^ h>>29) * mixer
}

func (x *subTable) find(v stream.Value, any bool) (*Entry, uint32) {
	b := v.Bytes
	best, at := (*Entry)(nil), int32(-1)
	if x.short != nil {
		for from := range b {
			if i := x.short.findFrom(b[from:]); i >= 0 && (at < 0 || x.shortAt[i] < at) {
				best, at = x.short.entries[i], x.shortAt[i]
				if any {
					return best, 0
				}
			}
		}
	}
	if x.long == nil {
		return best, 0
	}
	f := x.long.fold
	for from := 0; from+gram <= len(b); from++ {
		bit := gramHash(f[b[from]], f[b[from+1]], f[b[from+2]], f[b[from+3]]) >> x.gramShift
		if x.grams[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		if i := x.long.findFrom(b[from:]); i >= 0 && (at < 0 || x.longAt[i] < at) {
			best, at = x.long.entries[i], x.longAt[i]
			if any {
				return best, 0
			}
		}
	}
	return best, 0
}

// findFrom returns the first entry whose text b starts with.
func (t *textTable) findFrom(b []byte) int32 {
	best, h := int32(-1), t.seed
	for n := 0; n < len(b) && n < t.longest; {
		h = mix(h, t.fold[b[n]])
		n++
		if t.has(n) {
			best = first(best, t.get(h, b[:n]))
		}
	}
	return best
}
