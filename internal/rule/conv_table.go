package rule

import (
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// tableConverters look a value up in a stick table.
func tableConverters() []converter {
	const anyk, num = stream.KindAny, stream.KindInt
	one := takes(1, argTable)
	list := []converter{
		{"in_table", one, anyk, stream.KindBool, false, "whether a table has the value as key", bindInTable},
		{"table_expire", takes(1, argTable, argInt), anyk, num, false, "milliseconds that the key's entry still lives", bindLife((*table.Entry).Remaining)},
		{"table_idle", takes(1, argTable, argInt), anyk, num, false, "milliseconds since the key's entry was touched", bindLife((*table.Entry).Idle)},
		{"table_server_id", one, anyk, num, false, "server remembered for the key", bindTableReading(reading{get: stored(table.ServerID)})},
		{"table_trackers", one, anyk, num, false, "who tracks the key, and this look at it", bindTableReading(reading{get: func(e *table.Entry, _ int) (int64, bool) {
			return int64(e.Holders()), true
		}})},
	}
	for _, r := range readings {
		name, spec := r.name, one
		if r.conv != "" {
			name = r.conv
		}
		if r.indexed {
			spec = takes(2, argInt, argTable)
		}
		list = append(list, converter{"table_" + name, spec, anyk, num, false, r.doc + ", of the value as key", bindTableReading(r)})
	}
	return list
}

func bindInTable(a args) (convFunc, error) {
	t, err := a.table(0)
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		e := entryOf(s, t, v, false)
		if e != nil {
			e.Release()
		}
		return boolean(e != nil), true
	}, err
}

func bindTableReading(r reading) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		index, at := 0, 0
		if r.indexed {
			index, at = int(a.num(0, 0)), 1
		}
		t, err := a.table(at)
		get, create := r.get, r.create
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			e := entryOf(s, t, v, create)
			if e != nil {
				defer e.Release()
			}
			return entryValue(e, get, index)
		}, err
	}
}

// bindLife gives a time, or the second argument for a key that is not there.
func bindLife(of func(*table.Entry) int64) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		t, err := a.table(0)
		def, hasDef := a.num(1, 0), a.len() > 1
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			e := entryOf(s, t, v, false)
			if e == nil {
				return integer(def), hasDef
			}
			defer e.Release()
			return integer(of(e)), true
		}, err
	}
}
