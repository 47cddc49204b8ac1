package hosttest

import (
	"iter"
	"maps"
	"path"
	"slices"
)

// change is one change of names that a journal keeps whole: a file made, renamed (two names) or removed (nil).
type change []effect

type effect struct {
	name string
	n    *node
}

// noteLocked remembers a change that no sync of its directory has made durable yet.
func (m *Memory) noteLocked(c ...effect) {
	if m.unsynced == nil {
		m.unsynced = map[string][]change{}
	}
	dir := path.Dir(c[0].name)
	m.unsynced[dir] = append(m.unsynced[dir], c)
}

// maxSubsets bounds the changes of one directory of which every subset is tried; of more, only the prefixes are.
const maxSubsets = 8

// PowerCuts yields what the disk may hold after a loss of power now: what was made durable, with every subset of the changes of names that
// were not, and contents that were not synced whole, cut in half or empty. Each is a machine of its own.
func (m *Memory) PowerCuts() iter.Seq[*Memory] {
	m.mu.Lock()
	defer m.mu.Unlock()
	dirs := slices.Sorted(maps.Keys(m.unsynced))
	base := maps.Clone(m.durable)
	states := []map[string]*node{base}
	for _, dir := range dirs {
		var next []map[string]*node
		for _, subset := range subsets(m.unsynced[dir]) {
			for _, s := range states {
				one := maps.Clone(s)
				for _, c := range subset {
					for _, e := range c {
						if e.n == nil {
							delete(one, e.name)
						} else {
							one[e.name] = e.n
						}
					}
				}
				next = append(next, one)
			}
		}
		states = next
	}
	var after []*Memory
	for _, s := range states {
		variants := 1
		for _, n := range s {
			if !n.dir && !n.synced {
				variants = 3
			}
		}
		for v := range variants {
			after = append(after, m.rebootLocked(s, v))
		}
	}
	return slices.Values(after)
}

// subsets returns every subset of changes, in their order; of many only the first n of them, for each n.
func subsets(all []change) (list [][]change) {
	if len(all) > maxSubsets {
		for n := range len(all) + 1 {
			list = append(list, all[:n])
		}
		return list
	}
	for bits := range 1 << len(all) {
		var some []change
		for i, c := range all {
			if bits>>i&1 == 1 {
				some = append(some, c)
			}
		}
		list = append(list, some)
	}
	return list
}

// rebootLocked is a machine with these files; contents that were not synced are whole (0), cut in half (1) or empty (2).
func (m *Memory) rebootLocked(files map[string]*node, variant int) *Memory {
	after := NewMemory()
	after.Hosts, after.clock, after.ino = m.Hosts, m.clock, m.ino
	for name, n := range files {
		copied := *n
		copied.data, copied.fd, copied.synced = n.content(), nil, true
		if !n.dir && !n.synced && variant > 0 {
			copied.data = copied.data[:len(copied.data)/2*(2-variant)]
		}
		after.seen[name], after.durable[name] = &copied, &copied
	}
	return after
}
