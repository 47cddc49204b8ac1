package rule

import (
	"gatehouse/internal/stream"
)

// fetch is one sample fetch method: an entry of the table.
type fetch struct {
	name string
	args argSpec
	out  stream.Kind
	need need
	doc  string
	bind func(a args) (source, error)
}

var noArgs = argSpec{}

// fetches is the table of all sample fetches by name, old names included.
var fetches = index(func(f *fetch) string { return f.name }, connFetches(), tlsFetches(), httpFetches(), processFetches(), captureFetches(), tableFetches(),
	loadFetches(), bodyFetches(), timeoutFetches(), timerFetches(), aclFetches(), rawFetches(), helloFetches(), hashFetches(), stateFetches())

// index makes one table of several lists.
func index[T any](name func(*T) string, lists ...[]T) map[string]*T {
	m := map[string]*T{}
	for _, list := range lists {
		for i := range list {
			n := name(&list[i])
			if m[n] != nil {
				panic("two entries for " + n) // at the program's start: the second would hide the first
			}
			m[n] = &list[i]
		}
	}
	return m
}

// plain makes the bind function of a fetch that looks at no argument.
func plain(f evalFunc) func(args) (source, error) {
	return func(args) (source, error) { return source{one: f}, nil }
}

// alias repeats an entry under other names.
func alias(f fetch, names ...string) []fetch {
	list := []fetch{f}
	for _, n := range names {
		g := f
		g.name = n
		list = append(list, g)
	}
	return list
}

func join[T any](lists ...[]T) []T {
	var all []T
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
