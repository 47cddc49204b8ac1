package socket

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// tableCommands read and change stick tables (management guide 9.3, "show table" and its neighbours).
func (w *Worker) tableCommands() []Command {
	run := func(act tableAct) func(context.Context, *Request) {
		return func(ctx context.Context, r *Request) { w.tableCommand(ctx, r, act) }
	}
	return []Command{
		{Words: []string{"show", "table"}, Level: User, Usage: "show table [<table> [<filter>]*]",
			Help: "report table usage stats or dump this table's contents (filter: data/key)", Run: run(actShow)},
		{Words: []string{"set", "table"}, Level: Operator, Usage: "set table <table> key <k> [data.* <v>]*",
			Help: "update or create a table entry's data", Run: run(actSet)},
		{Words: []string{"clear", "table"}, Level: Operator, Usage: "clear table <table> [<filter>]*",
			Help: "remove an entry from a table (filter: data/key)", Run: run(actClear)},
	}
}

// tableAct is what a command does with the entries it names.
type tableAct struct {
	verb  string // of the message about keys that cannot be written
	usage string
}

var (
	actShow  = tableAct{"Showing keys from", "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key> or ptr <ptr>"}
	actClear = tableAct{"Removing keys from", "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key> or <table> ptr <ptr>"}
	actSet   = tableAct{"Inserting keys into", "Required arguments: <table> key <key> [data.<store_data_type> <value>]* or <table> ptr <ptr> [data.<store_data_type> <value>]*"}
)

func (w *Worker) tableCommand(ctx context.Context, r *Request, act tableAct) {
	tables := w.o.Tables()
	name, what := r.Args.At(2), r.Args.At(3)
	if name == "" {
		if act != actShow {
			r.Err(act.usage)
			return
		}
		for _, t := range tables {
			t.Sweep()
			r.Print(tableHead(t))
		}
		return
	}
	t := tableNamed(tables, name)
	switch {
	case t == nil:
		r.Err("No such table")
	case what == "key":
		oneByKey(r, t, act)
	case what == "ptr":
		oneByPtr(r, t, act)
	case what == "" && act != actSet, strings.HasPrefix(what, "data."):
		manyEntries(ctx, r, t, act)
	default: // without a key HAProxy's `set table` removes everything, which nobody can mean
		r.Err(act.usage)
	}
}

func tableNamed(tables []*table.Table, name string) *table.Table {
	for _, t := range tables {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

func tableHead(t *table.Table) string {
	return fmt.Sprintf("# table: %s, type: %s, size:%d, used:%d\n", t.Name(), t.TypeName(), t.Size(), t.Used())
}

// manyEntries shows or clears the entries that pass the filters.
func manyEntries(ctx context.Context, r *Request, t *table.Table, act tableAct) {
	filters, err := tableFilters(t, r.Args, act)
	if err != nil {
		r.Err(err.Error())
		return
	}
	t.Sweep()
	if act == actShow {
		r.Print(tableHead(t))
		if r.session.level < Operator {
			r.Print("# contents not dumped due to insufficient privileges\n")
			return
		}
	}
	if act == actClear {
		t.RemoveAll(func(e *table.Entry) bool { return passesAll(e, filters) })
		return
	}
	var line []byte
	t.Each(func(e *table.Entry) bool {
		if passesAll(e, filters) {
			line = appendEntry(line[:0], e)
			if _, err := r.Write(line); err != nil {
				return false
			}
		}
		return ctx.Err() == nil
	})
}

// oneByKey does act to the entry with the key in word 4.
func oneByKey(r *Request, t *table.Table, act tableAct) {
	text := r.Args.At(4)
	if text == "" {
		r.Err("Key value expected")
		return
	}
	key, ok := tableKey(t, text)
	if !ok {
		r.Err("Invalid key")
		return
	}
	var e *table.Entry
	if act == actSet && t.Kind() != stream.KindBin {
		if e = t.Get(key); e == nil {
			r.Err("Unable to allocate a new entry")
			return
		}
	} else {
		e = t.Lookup(key)
	}
	oneEntry(r, t, e, act)
}

// oneByPtr does act to the entry that word 4 names as show table printed it.
func oneByPtr(r *Request, t *table.Table, act tableAct) {
	digits, ok := strings.CutPrefix(r.Args.At(4), "0x")
	if !ok {
		r.Err("Pointer expected (0xffff notation)")
		return
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		r.Err("Malformed ptr.")
		return
	}
	e := t.ByID(id)
	if e == nil {
		r.Err("No entry can be found matching ptr.")
		return
	}
	oneEntry(r, t, e, act)
}

// oneEntry does act to an entry, which is held; nil is one that is not there.
func oneEntry(r *Request, t *table.Table, e *table.Entry, act tableAct) {
	switch {
	case t.Kind() == stream.KindBin:
		r.Err(act.verb + " tables of type other than ip, ipv6, string and integer is not supported")
	case e == nil || r.session.level < Operator:
	case act == actClear:
		if !e.Remove() {
			r.Err("Entry currently in use, cannot remove")
		}
		return
	case act == actSet:
		if err := setEntry(t, e, r.Args); err != nil {
			r.Err(err.Error())
		}
	default:
		r.Print(tableHead(t) + string(appendEntry(nil, e)))
	}
	if e != nil {
		e.Release()
	}
}

// setEntry stores "data.TYPE VALUE" from word 5 on; those before an error stay.
func setEntry(t *table.Table, e *table.Entry, args Args) error {
	defer e.Touch()
	for i := 5; args.At(i) != ""; i += 2 {
		name, ok := strings.CutPrefix(args.At(i), "data.")
		if !ok {
			return fmt.Errorf("\"data.<type>\" followed by a value expected")
		}
		d, index, ok := table.ParseIndexed(name)
		if !ok {
			return fmt.Errorf("Unknown data type")
		}
		if !t.Stores(d) {
			return fmt.Errorf("Data type not stored in this table")
		}
		v, err := strconv.ParseInt(args.At(i+1), 10, 64)
		if err != nil {
			return fmt.Errorf("Require a valid integer value to store")
		}
		if !e.Set(d, index, v) {
			return fmt.Errorf("index out of range in this data array")
		}
	}
	return nil
}

// tableKey reads a key as the table's type wants it.
func tableKey(t *table.Table, text string) ([]byte, bool) {
	v := stream.Value{Kind: t.Kind(), Bytes: []byte(text)}
	switch t.Kind() {
	case stream.KindIPv4, stream.KindIPv6:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, false
		}
		v.Addr = a
	case stream.KindInt:
		v.Int = int64(leadingInt(text))
	}
	return t.AppendKey(nil, v)
}

// tableFilter is one "data.TYPE OPERATOR VALUE".
type tableFilter struct {
	data  table.DataType
	index int
	holds func(data, value int64) bool
	value int64
}

const maxFilters = 4

var filterOps = map[string]func(a, b int64) bool{
	"eq": func(a, b int64) bool { return a == b }, "ne": func(a, b int64) bool { return a != b },
	"le": func(a, b int64) bool { return a <= b }, "ge": func(a, b int64) bool { return a >= b },
	"lt": func(a, b int64) bool { return a < b }, "gt": func(a, b int64) bool { return a > b },
}

// tableFilters reads the filters from word 3 on.
func tableFilters(t *table.Table, args Args, act tableAct) (filters []tableFilter, err error) {
	at := 3
	if act == actSet {
		return nil, fmt.Errorf("content-based lookup is only supported with the \"show\" and \"clear\" actions")
	}
	for ; args.At(at) != "" && len(filters) < maxFilters; at += 3 {
		n := len(filters) + 1
		f := tableFilter{holds: filterOps[args.At(at+1)]}
		name, ok := strings.CutPrefix(args.At(at), "data.")
		if ok {
			f.data, f.index, ok = table.ParseIndexed(name)
		}
		if !ok {
			return nil, fmt.Errorf("Filter entry #%d: Unknown data type", n)
		}
		if !t.Stores(f.data) {
			return nil, fmt.Errorf("Filter entry #%d: Data type not stored in this table", n)
		}
		if f.holds == nil {
			return nil, fmt.Errorf("Filter entry #%d: Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"", n)
		}
		if f.value, err = strconv.ParseInt(args.At(at+2), 10, 64); err != nil {
			return nil, fmt.Errorf("Filter entry #%d: Require a valid integer value to compare against", n)
		}
		filters = append(filters, f)
	}
	if args.At(at) != "" {
		return nil, fmt.Errorf("Detected extra data in filter, %dth word of input, after '%s'", at+1, args.At(at-1))
	}
	return filters, nil
}

func passesAll(e *table.Entry, filters []tableFilter) bool {
	for _, f := range filters {
		v, ok := e.Value(f.data, f.index)
		if !ok && f.data != table.ServerKey || !f.holds(v, f.value) {
			return false
		}
	}
	return true
}

// appendEntry writes the line of an entry that the caller holds once.
func appendEntry(b []byte, e *table.Entry) []byte {
	b = fmt.Appendf(b, "0x%x: key=", e.ID())
	switch key := e.Key(); key.Kind {
	case stream.KindInt:
		b = strconv.AppendInt(b, key.Int, 10)
	case stream.KindIPv4, stream.KindIPv6:
		b = key.Addr.AppendTo(b)
	case stream.KindStr:
		b = appendKeyText(b, key.Bytes)
	default:
		b = fmt.Appendf(b, "%X", key.Bytes)
	}
	b = fmt.Appendf(b, " use=%d exp=%d shard=0", e.Holders()-1, e.Remaining())
	return append(e.AppendData(b), '\n')
}

// appendKeyText escapes what would not stand as one word.
func appendKeyText(b, key []byte) []byte {
	for _, c := range key {
		switch {
		case c == '\\' || c == ' ' || c == '=':
			b = append(b, '\\', c)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == 0x1b:
			b = append(b, `\e`...)
		case c > ' ' && c < 0x7f:
			b = append(b, c)
		default:
			b = fmt.Appendf(b, `\x%02X`, c)
		}
	}
	return b
}
