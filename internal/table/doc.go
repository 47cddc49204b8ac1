// Package table holds stick tables: entries by key (an address, a number, a text) that count connections, requests, errors and
// bytes, keep general purpose counters and tags, and remember servers (HAProxy's configuration manual, "stick-table").
//
//	t := table.New(table.Options{Name: "per_ip", Key: stream.KindIPv4, Size: 1 << 20, Expire: time.Minute,
//		Store: []table.Store{{Type: table.HTTPReqRate, Period: 10 * time.Second}}})
//	if e := t.Get(key); e != nil { // found or made, held until Leave or Release
//		e.Count(table.HTTPReqCnt, table.HTTPReqRate, 1)
//		e.Release()
//	}
//
// What always holds: a table has at most its size of entries; an entry that somebody holds is never removed, so that what was
// read and what is counted are the same; an entry nobody touched for the table's expire is gone for every reader, whether or not
// somebody took it away yet. Finding an entry and counting in it allocate nothing; an entry is allocated when its key is first
// seen. Keys spread over shards, each with its own lock, so that clients do not wait for one another.
//
// The package starts no goroutines. Old entries are dropped by whoever meets them and by Sweep, which the engine calls now and
// then; there is no timer per entry.
package table
