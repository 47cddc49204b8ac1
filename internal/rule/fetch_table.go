package rule

import (
	"strconv"

	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// reading is something that is read of an entry, or changed and read: the last part of the names sc_X, sc0_X, src_X and table_X. The
// three families differ in how they come by the entry.
type reading struct {
	name    string
	conv    string // its name behind "table_" when that differs
	indexed bool   // an element's number comes first
	create  bool   // src_X and table_X make the entry
	doc     string
	get     func(e *table.Entry, index int) (int64, bool) // false: not stored
}

// stored makes a get that reads one type of data.
func stored(d table.DataType) func(*table.Entry, int) (int64, bool) {
	return func(e *table.Entry, index int) (int64, bool) { return e.Value(d, index) }
}

func kilobytes(d table.DataType) func(*table.Entry, int) (int64, bool) {
	return func(e *table.Entry, _ int) (int64, bool) {
		n, ok := e.Value(d, 0)
		return n >> 10, ok
	}
}

func cleared(d table.DataType) func(*table.Entry, int) (int64, bool) {
	return func(e *table.Entry, index int) (int64, bool) { return e.Clear(d, index) }
}

// increased always has a value: 0 where nothing is stored.
func increased(counter, rate table.DataType) func(*table.Entry, int) (int64, bool) {
	return func(e *table.Entry, index int) (int64, bool) {
		n, _ := e.Add(counter, rate, index, 1)
		return n, true
	}
}

var readings = []reading{
	{name: "bytes_in_rate", doc: "bytes from clients over the period", get: stored(table.BytesInRate)},
	{name: "bytes_out_rate", doc: "bytes to clients over the period", get: stored(table.BytesOutRate)},
	{name: "clr_gpc", indexed: true, doc: "clear a general purpose counter, give its old value", get: cleared(table.GPC)},
	{name: "clr_gpc0", doc: "clear the first general purpose counter, give its old value", get: cleared(table.GPC0)},
	{name: "clr_gpc1", doc: "clear the second general purpose counter, give its old value", get: cleared(table.GPC1)},
	{name: "conn_cnt", doc: "connections", get: stored(table.ConnCnt)},
	{name: "conn_cur", doc: "connections now", get: stored(table.ConnCur)},
	{name: "conn_rate", doc: "connections over the period", get: stored(table.ConnRate)},
	{name: "get_gpc", conv: "gpc", indexed: true, doc: "general purpose counter", get: stored(table.GPC)},
	{name: "get_gpc0", conv: "gpc0", doc: "first general purpose counter", get: stored(table.GPC0)},
	{name: "get_gpc1", conv: "gpc1", doc: "second general purpose counter", get: stored(table.GPC1)},
	{name: "get_gpt", conv: "gpt", indexed: true, doc: "general purpose tag", get: stored(table.GPT)},
	{name: "get_gpt0", conv: "gpt0", doc: "first general purpose tag", get: stored(table.GPT0)},
	{name: "glitch_cnt", doc: "glitches of connections", get: stored(table.GlitchCnt)},
	{name: "glitch_rate", doc: "glitches of connections over the period", get: stored(table.GlitchRate)},
	{name: "gpc_rate", indexed: true, doc: "increases of a general purpose counter over the period", get: stored(table.GPCRate)},
	{name: "gpc0_rate", doc: "increases of the first general purpose counter over the period", get: stored(table.GPC0Rate)},
	{name: "gpc1_rate", doc: "increases of the second general purpose counter over the period", get: stored(table.GPC1Rate)},
	{name: "http_err_cnt", doc: "requests in error", get: stored(table.HTTPErrCnt)},
	{name: "http_err_rate", doc: "requests in error over the period", get: stored(table.HTTPErrRate)},
	{name: "http_fail_cnt", doc: "failures of servers", get: stored(table.HTTPFailCnt)},
	{name: "http_fail_rate", doc: "failures of servers over the period", get: stored(table.HTTPFailRate)},
	{name: "http_req_cnt", doc: "requests", get: stored(table.HTTPReqCnt)},
	{name: "http_req_rate", doc: "requests over the period", get: stored(table.HTTPReqRate)},
	{name: "inc_gpc", indexed: true, create: true, doc: "increase a general purpose counter, give its new value", get: increased(table.GPC, table.GPCRate)},
	{name: "inc_gpc0", create: true, doc: "increase the first general purpose counter, give its new value", get: increased(table.GPC0, table.GPC0Rate)},
	{name: "inc_gpc1", create: true, doc: "increase the second general purpose counter, give its new value", get: increased(table.GPC1, table.GPC1Rate)},
	{name: "kbytes_in", doc: "kilobytes from clients", get: kilobytes(table.BytesInCnt)},
	{name: "kbytes_out", doc: "kilobytes to clients", get: kilobytes(table.BytesOutCnt)},
	{name: "sess_cnt", doc: "sessions that were accepted", get: stored(table.SessCnt)},
	{name: "sess_rate", doc: "sessions accepted over the period", get: stored(table.SessRate)},
}

// tableFetches are the samples of stick tables (manual 7.3.3 and 7.3.2).
func tableFetches() []fetch {
	const num, boolk = stream.KindInt, stream.KindBool
	own := takes(1, argTable)
	list := []fetch{
		{"table_avl", own, num, needInternal, "entries that a table still has room for", bindRoom},
		{"table_cnt", own, num, needInternal, "entries in a table", bindUsed},
		{"sc_key", takes(1, argInt), stream.KindAny, needInternal, "key that is tracked", bindCounterKey(-1)},
		{"sc_tracked", takes(1, argInt, argTable), boolk, needInternal, "whether something is tracked", bindCounter(-1, boolOf(isTracked))},
		{"sc_trackers", takes(1, argInt, argTable), num, needInternal, "who tracks the same key", bindCounter(-1, trackers)},
		{"src_updt_conn_cnt", own, num, needClient, "connections of the client's address, counted here", bindUpdateCount},
		{"sc1_clr_gpc", takes(1, argInt, argTable), num, needInternal, "clear a general purpose counter, give its old value", bindIndexed(1, cleared(table.GPC))},
	}
	for i := range DefaultCounters {
		sc := "sc" + strconv.Itoa(i) + "_"
		list = append(list,
			fetch{sc + "key", noArgs, stream.KindAny, needInternal, "key that is tracked", bindCounterKey(i)},
			fetch{sc + "tracked", takes(0, argTable), boolk, needInternal, "whether something is tracked", bindCounter(i, boolOf(isTracked))},
			fetch{sc + "trackers", takes(0, argTable), num, needInternal, "who tracks the same key", bindCounter(i, trackers)})
	}
	for _, r := range readings {
		if r.indexed {
			list = append(list,
				fetch{"sc_" + r.name, takes(2, argInt, argInt, argTable), num, needInternal, r.doc, bindIndexed(-1, r.get)},
				fetch{"src_" + r.name, takes(2, argInt, argTable), num, needClient, r.doc, bindSource(r)})
			continue
		}
		value := r.value()
		list = append(list, fetch{"sc_" + r.name, takes(1, argInt, argTable), num, needInternal, r.doc, bindCounter(-1, value)},
			fetch{"src_" + r.name, own, num, needClient, r.doc, bindSource(r)})
		for i := range DefaultCounters {
			list = append(list, fetch{"sc" + strconv.Itoa(i) + "_" + r.name, takes(0, argTable), num, needInternal, r.doc, bindCounter(i, value)})
		}
	}
	return list
}

// lookup is how a fetch came by an entry: none is given for a slot that tracks nothing, and an own hold on it is to be released.
type lookup struct {
	tracks bool         // the slot tracks something
	entry  *table.Entry // in the table asked for
	held   bool
}

// counterFunc makes a value of what a slot tracks.
type counterFunc func(l lookup) (Value, bool)

// value fails when nothing is tracked, and is 0 when the table asked for does not know the key.
func (r reading) value() counterFunc {
	get := r.get
	return func(l lookup) (Value, bool) {
		if !l.tracks {
			return Value{}, false
		}
		return entryValue(l.entry, get, 0)
	}
}

func entryValue(e *table.Entry, get func(*table.Entry, int) (int64, bool), index int) (Value, bool) {
	if e == nil {
		return integer(0), true
	}
	n, ok := get(e, index)
	return integer(n), ok
}

func isTracked(l lookup) bool { return l.tracks }

func boolOf(f func(lookup) bool) counterFunc {
	return func(l lookup) (Value, bool) { return boolean(f(l)), true }
}

func trackers(l lookup) (Value, bool) {
	switch {
	case !l.tracks:
		return Value{}, false
	case l.entry == nil:
		return integer(0), true
	case l.held:
		return integer(int64(l.entry.Holders() - 1)), true
	}
	return integer(int64(l.entry.Holders())), true
}

// inSlot finds what slot i tracks, or the entry with the same key in other when that is not nil.
func inSlot(s *stream.Stream, i int, other *table.Table) lookup {
	e := tracked(s, i)
	switch {
	case e == nil:
		return lookup{}
	case other == nil || other == e.Table():
		return lookup{tracks: true, entry: e}
	case !e.SameKeys(other):
		return lookup{}
	}
	found := e.In(other)
	return lookup{tracks: true, entry: found, held: found != nil}
}

func (l lookup) release() {
	if l.held {
		l.entry.Release()
	}
}

// slotArgs reads the arguments "(slot[,table])" from at on, of which the slot is missing when the name holds it. A slot that cannot
// exist tracks nothing.
func (a args) slotArgs(at, slot int) (int, *table.Table, error) {
	if slot < 0 {
		slot = int(min(max(a.num(at, 0), -1), 1<<30))
		at++
	}
	if a.len() <= at {
		return slot, nil, nil
	}
	t, err := a.table(at)
	return slot, t, err
}

func bindCounter(slot int, f counterFunc) func(args) (source, error) {
	return func(a args) (source, error) {
		slot, t, err := a.slotArgs(0, slot)
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			l := inSlot(s, slot, t)
			defer l.release()
			return f(l)
		}}, err
	}
}

func bindIndexed(slot int, get func(*table.Entry, int) (int64, bool)) func(args) (source, error) {
	return func(a args) (source, error) {
		index := int(a.num(0, 0))
		slot, t, err := a.slotArgs(1, slot)
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			l := inSlot(s, slot, t)
			if !l.tracks {
				return Value{}, false
			}
			defer l.release()
			return entryValue(l.entry, get, index)
		}}, err
	}
}

func bindCounterKey(slot int) func(args) (source, error) {
	return func(a args) (source, error) {
		slot, _, _ := a.slotArgs(0, slot)
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			e := tracked(s, slot)
			if e == nil {
				return Value{}, false
			}
			v := e.KeyIn(s)
			return v, true
		}}, nil
	}
}

// bindSource reads the entry of the client's address.
func bindSource(r reading) func(args) (source, error) {
	return func(a args) (source, error) {
		index, at := 0, 0
		if r.indexed {
			index, at = int(a.num(0, 0)), 1
		}
		t, err := a.table(at)
		get, create := r.get, r.create
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			addr := srcOf(s).Addr()
			if !addr.IsValid() {
				return Value{}, false
			}
			e := entryOf(s, t, address(addr.Unmap()), create)
			if e != nil {
				defer e.Release()
			}
			return entryValue(e, get, index)
		}}, err
	}
}

func bindUpdateCount(a args) (source, error) {
	t, err := a.table(0)
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		addr := srcOf(s).Addr()
		if !addr.IsValid() || !t.Stores(table.ConnCnt) {
			return Value{}, false
		}
		e := entryOf(s, t, address(addr.Unmap()), true)
		if e == nil {
			return Value{}, false
		}
		defer e.Release()
		n, ok := e.Add(table.ConnCnt, table.ConnCnt, 0, 1)
		return integer(n), ok
	}}, err
}

func bindUsed(a args) (source, error) {
	t, err := a.table(0)
	return source{one: func(*stream.Stream, Env) (Value, bool) { return integer(int64(t.Used())), true }}, err
}

func bindRoom(a args) (source, error) {
	t, err := a.table(0)
	return source{one: func(*stream.Stream, Env) (Value, bool) { return integer(int64(t.Size() - t.Used())), true }}, err
}
