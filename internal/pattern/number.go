package pattern

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sort"

	"gatehouse/internal/stream"
)

// spanIndex finds the first range that holds a number: for int and ver the value, for len its length.
type spanIndex struct {
	length  bool
	spans   []span
	entries []*Entry
	starts  []int64 // where another range becomes the first one, ascending
	winners []int32 // the first range from there on, -1 for none
}

func newSpanIndex(u Use, entries []*Entry) *spanIndex {
	x := &spanIndex{length: u.Method == Len, entries: entries}
	for _, e := range entries {
		s, _ := parseSpanFor(u.Method, e.Key) // checked when the entry came in
		x.spans = append(x.spans, s)
	}
	if len(entries) > few {
		x.sweep()
	}
	return x
}

func parseSpanFor(m Method, text string) (span, error) {
	if m == Ver {
		return parseSpan(text, Version, "dotted number")
	}
	return parseSpan(text, Number, "number")
}

// order is a heap of ranges, the first one on top.
type order []int32

func (o order) Len() int           { return len(o) }
func (o order) Less(i, j int) bool { return o[i] < o[j] }
func (o order) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *order) Push(x any)        { *o = append(*o, x.(int32)) }
func (o *order) Pop() any {
	last := (*o)[len(*o)-1]
	*o = (*o)[:len(*o)-1]
	return last
}

// sweep walks over all numbers where a range begins or has just ended, and notes which range is the first one there.
func (x *spanIndex) sweep() {
	points := make([]int64, 0, 2*len(x.spans))
	byLow := make([]int32, len(x.spans))
	for i, s := range x.spans {
		byLow[i] = int32(i)
		points = append(points, s.lo)
		if s.hi < math.MaxInt64 {
			points = append(points, s.hi+1)
		}
	}
	slices.Sort(points)
	points = slices.Compact(points)
	slices.SortFunc(byLow, func(a, b int32) int { return cmp.Compare(x.spans[a].lo, x.spans[b].lo) })
	var open order
	for _, p := range points {
		for len(byLow) > 0 && x.spans[byLow[0]].lo <= p {
			heap.Push(&open, byLow[0])
			byLow = byLow[1:]
		}
		for len(open) > 0 && x.spans[open[0]].hi < p {
			heap.Pop(&open)
		}
		winner := int32(-1)
		if len(open) > 0 {
			winner = open[0]
		}
		x.starts, x.winners = append(x.starts, p), append(x.winners, winner)
	}
}

func (x *spanIndex) find(v stream.Value, _ bool) (*Entry, uint32) {
	n := v.Int
	if x.length {
		n = int64(len(v.Bytes))
	}
	if x.starts != nil {
		i := sort.Search(len(x.starts), func(i int) bool { return x.starts[i] > n }) - 1
		if i < 0 || x.winners[i] < 0 {
			return nil, 0
		}
		if e := x.entries[x.winners[i]]; !e.dead.Load() {
			return e, 0
		}
	}
	for i, s := range x.spans { // few ranges, or the first one was deleted and the level not yet built anew
		if n >= s.lo && n <= s.hi && !x.entries[i].dead.Load() {
			return x.entries[i], 0
		}
	}
	return nil, 0
}
