package cert

import (
	"iter"
	"slices"
)

// SNIRow is one name an entry stands under, for `show ssl sni`.
type SNIRow struct {
	SNI     string   // name, "*.name" or "*"
	Exclude []string // names its line excludes, on wildcards and defaults
	Entry   *Entry
}

// Rows goes through exact names first, then the defaults, then wildcards, each sorted. It takes no lock and holds nothing but the names themselves: whoever
// writes the rows may be as slow as the reader is, and sees each name's entries as they are when its turn comes.
func (x *Index) Rows() iter.Seq[SNIRow] {
	return func(yield func(SNIRow) bool) {
		exact, wild := x.keys()
		for _, names := range [][]string{exact, wild} {
			slices.Sort(names) // "*" goes before "*.name"
			for _, name := range names {
				for _, e := range x.lookup(x.table.Load(), []byte(name)) {
					row := SNIRow{SNI: name, Entry: e}
					if name[0] == '*' {
						row.Exclude = e.excluded()
					}
					if !yield(row) {
						return
					}
				}
			}
		}
	}
}

// keys are the names under which entries stand.
func (x *Index) keys() (exact, wild []string) {
	t := x.table.Load()
	for i := range t.buckets {
		for n := t.buckets[i].Load(); n != nil; n = n.next {
			if n.name[0] == '*' {
				wild = append(wild, n.name)
			} else {
				exact = append(exact, n.name)
			}
		}
	}
	return exact, wild
}

// excluded are the names that the entry's line excludes, the last one first, as HAProxy lists them.
func (e *Entry) excluded() (names []string) {
	for _, f := range slices.Backward(e.Filters) {
		if name, neg, isWild := f.split(); neg && !isWild {
			names = append(names, name)
		}
	}
	return names
}
