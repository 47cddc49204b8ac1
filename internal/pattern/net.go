package pattern

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"

	"gatehouse/internal/stream"
)

// netIndex finds the longest network that holds an address: among those of the address's own family, else among those of the other
// one that the address stands for, else the first IPv4 network whose mask is not contiguous.
type netIndex struct {
	four, six netTree
	masked    []network
	maskedAt  []*Entry
}

func newNetIndex(_ Use, entries []*Entry) *netIndex {
	x := &netIndex{}
	var four, six netBuilder
	for _, e := range entries {
		n, _ := parseNetwork(e.Key) // checked when the entry came in
		switch {
		case !n.prefix.IsValid():
			x.masked, x.maskedAt = append(x.masked, n), append(x.maskedAt, e)
		case n.prefix.Addr().Is4():
			four.add(n.prefix, e)
		default:
			six.add(n.prefix, e)
		}
	}
	x.four, x.six = four.tree(), six.tree()
	return x
}

// Ranks of what find returns: the address's own family before the other one before masks, and in each the longest first.
const (
	rankOther  = 1 << 8
	rankMasked = 2 << 8
)

func (x *netIndex) find(v stream.Value, _ bool) (*Entry, uint32) {
	a := v.Addr
	if !a.IsValid() {
		return nil, 0
	}
	v4, stands := stream.IPv4Of(a)
	if a.Is4() {
		if e, rank := x.four.find(word4(a)); e != nil {
			return e, rank
		}
		if e, rank := x.six.find(word6(netip.AddrFrom16(a.As16()))); e != nil {
			return e, rankOther + rank
		}
	} else {
		if e, rank := x.six.find(word6(a)); e != nil {
			return e, rank
		}
		if !stands {
			return nil, 0
		}
		if e, rank := x.four.find(word4(v4)); e != nil {
			return e, rankOther + rank
		}
	}
	for i, n := range x.masked {
		if ipv4Word(v4)&n.mask == n.addr && !x.maskedAt[i].dead.Load() {
			return x.maskedAt[i], rankMasked
		}
	}
	return nil, 0
}

// wide is an address as a number.
type wide struct{ hi, lo uint64 }

func (w wide) compare(o wide) int {
	if c := cmp.Compare(w.hi, o.hi); c != 0 {
		return c
	}
	return cmp.Compare(w.lo, o.lo)
}

// after is the next number; false behind the last one.
func (w wide) after() (wide, bool) {
	w.lo++
	if w.lo == 0 {
		w.hi++
	}
	return w, w != wide{}
}

func word4(a netip.Addr) wide { return wide{0, uint64(ipv4Word(a))} }

func word6(a netip.Addr) wide {
	b := a.As16()
	return wide{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// netTree is the networks of one family, cut where another one becomes the longest.
type netTree struct {
	starts []wide  // ascending
	owners []int32 // the longest network from there on, -1 for none
	nets   []netNode
}

type netNode struct {
	entries []*Entry // those with this network, in order
	parent  int32    // the next longer network around it, -1 for none
	rank    uint32
	low, hi wide
}

type netBuilder struct {
	seen map[netip.Prefix]int32
	nets []netNode
}

func (b *netBuilder) add(p netip.Prefix, e *Entry) {
	if i, ok := b.seen[p]; ok {
		b.nets[i].entries = append(b.nets[i].entries, e)
		return
	}
	if b.seen == nil {
		b.seen = map[netip.Prefix]int32{}
	}
	b.seen[p] = int32(len(b.nets))
	n := netNode{entries: []*Entry{e}, parent: -1, rank: uint32(128 - p.Bits())}
	if a := p.Addr(); a.Is4() {
		n.low = word4(a)
		n.hi = wide{0, n.low.lo | (1<<(32-p.Bits()) - 1)}
	} else {
		n.low = word6(a)
		n.hi = n.low
		switch free := 128 - p.Bits(); {
		case free >= 64:
			n.hi.lo = ^uint64(0)
			n.hi.hi |= 1<<(free-64) - 1
		default:
			n.hi.lo |= 1<<free - 1
		}
	}
	b.nets = append(b.nets, n)
}

// tree sorts networks so that each stands behind those around it, and walks over them with a stack of those that are open.
func (b *netBuilder) tree() netTree {
	t := netTree{nets: b.nets}
	slices.SortFunc(t.nets, func(x, y netNode) int {
		if c := x.low.compare(y.low); c != 0 {
			return c
		}
		return cmp.Compare(y.rank, x.rank)
	})
	var open []int32
	top := func() int32 {
		if len(open) == 0 {
			return -1
		}
		return open[len(open)-1]
	}
	closeTop := func() {
		hi := t.nets[top()].hi
		open = open[:len(open)-1]
		if next, ok := hi.after(); ok {
			t.cut(next, top())
		}
	}
	for i := range t.nets {
		n := &t.nets[i]
		for top() >= 0 && t.nets[top()].hi.compare(n.low) < 0 {
			closeTop()
		}
		n.parent = top()
		t.cut(n.low, int32(i))
		open = append(open, int32(i))
	}
	for len(open) > 0 {
		closeTop()
	}
	return t
}

// cut says that owner is the longest network from start on.
func (t *netTree) cut(start wide, owner int32) {
	if n := len(t.starts); n > 0 && t.starts[n-1] == start {
		t.owners[n-1] = owner
		return
	}
	t.starts, t.owners = append(t.starts, start), append(t.owners, owner)
}

func (t *netTree) find(w wide) (*Entry, uint32) {
	i := sort.Search(len(t.starts), func(i int) bool { return t.starts[i].compare(w) > 0 }) - 1
	if i < 0 {
		return nil, 0
	}
	for o := t.owners[i]; o >= 0; o = t.nets[o].parent {
		for _, e := range t.nets[o].entries {
			if !e.dead.Load() {
				return e, t.nets[o].rank
			}
		}
	}
	return nil, 0
}
