package rule

import (
	"fmt"

	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// DefaultCounters is how many things can be tracked at a time when tune.stick-counters does not say it.
const DefaultCounters = 3

// counters is how many slots track-sc can use.
func (c *Compiler) counters() int {
	switch {
	case c.Counters == 0:
		return DefaultCounters
	case c.Counters < 0:
		return 0
	}
	return c.Counters
}

// findTable finds a stick table by name, nil when there is none; "" is that of the section itself.
func (c *Compiler) findTable(name string) *table.Table {
	if name == "" {
		name = c.Proxy
	}
	if c.Tables == nil {
		return nil
	}
	return c.Tables(name)
}

// table is the i-th argument, a stick table, which a missing or empty argument leaves to be that of the section itself.
func (a args) table(i int) (*table.Table, error) {
	if t := a.c.findTable(a.str(i)); t != nil {
		return t, nil
	}
	name := a.str(i)
	if name == "" {
		name = a.c.Proxy
	}
	return nil, fmt.Errorf("unable to find table '%s' referenced in arg %d", name, i+1)
}

// entryOf looks up the entry for a value, held until it is released, and makes it when create is set; nil when there is none.
func entryOf(s *stream.Stream, t *table.Table, v Value, create bool) *table.Entry {
	v, ok := cast(s, v, t.Kind())
	if !ok {
		return nil
	}
	var tmp [128]byte
	key, ok := t.AppendKey(tmp[:0], v)
	switch {
	case !ok:
		return nil
	case create:
		return t.Get(key)
	}
	return t.Lookup(key)
}

// tracked is the entry that slot i counts in.
func tracked(s *stream.Stream, i int) *table.Entry { return table.Tracked(s, i) }
