// Package pattern keeps the sets of patterns behind ACLs and maps, and finds the entry that accepts a value.
//
// A Ref is one set: the patterns written in one acl line, or one file, or one virt@ name; everything of a configuration that names the
// same file shares one Ref. Refs is the registry of all sets of one configuration, with the names and numbers by which the
// Runtime API calls them. A View is one use of a set: a match method, with or without regard to case, and for a map the kind of its
// values. Sets change at run time; every view sees a change once the method that made it has returned.
//
// Looking up takes no lock and does not allocate: a view reads one pointer to a snapshot. The snapshot is a list of levels, each an
// immutable index of some entries, the older and larger ones first. A new entry goes to the last, small level, and levels of the
// same size are joined, so that an addition costs a logarithm and not the size of the set. A deleted entry is marked and skipped
// until its level is built anew.
//
// Which entry is found when several accept follows HAProxy: the longest for beg and ip, the first for all others and for beg
// without regard to case.
//
// The package starts no goroutines and knows nothing of where files are. Source: HAProxy's manual, 7.1 (matching) and 7.3.1 (map).
package pattern
