package engine

import (
	"context"
	"slices"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// tableUse is a stick table in one generation. The table may be that of the generation before; its settings change when this one
// serves.
type tableUse struct {
	*table.Table
	settings table.Settings
}

// stickTables makes the tables of the plan before anything is compiled, because rules of every section may name them. A table
// lives on by its name when its keys, its size and its data are the same.
func (b *builder) stickTables() {
	serving := b.stuckTables()
	for _, p := range b.cfg.Proxies {
		if p.StickTable == nil {
			continue
		}
		o := tableOptions(p, serving[p.Name])
		use := &tableUse{settings: o.Settings}
		if b.last != nil {
			if t := b.last.table(p.Name); t != nil && t.SameAs(o) {
				use.Table = t
			}
		}
		if use.Table == nil {
			use.Table = table.New(o)
		}
		b.plan.tables = append(b.plan.tables, use)
	}
	slices.Reverse(b.plan.tables) // as HAProxy shows them
}

// stuckTables names the tables in which stick rules remember servers.
func (b *builder) stuckTables() map[string]bool {
	names := map[string]bool{}
	for _, p := range b.cfg.Proxies {
		for _, r := range p.Stick {
			name := p.Name
			if i := slices.Index(r.Words, "table"); i >= 0 && i+1 < len(r.Words) {
				name = r.Words[i+1]
			}
			names[name] = true
		}
	}
	return names
}

var tableKeys = map[string]stream.Kind{
	"ip": stream.KindIPv4, "ipv6": stream.KindIPv6, "integer": stream.KindInt, "string": stream.KindStr, "binary": stream.KindBin,
}

func tableOptions(p *config.Proxy, remembers bool) table.Options {
	st := p.StickTable
	o := table.Options{
		Name: p.Name, Key: tableKeys[st.Type], KeyLen: st.KeyLen, Size: int(st.Size), BratesFactor: st.BratesFactor,
		Settings: table.Settings{Expire: st.Expire, NoPurge: st.NoPurge, ByAddress: st.ByAddress},
	}
	for _, d := range st.Store {
		if t, ok := table.ParseType(d.Name); ok {
			o.Store = append(o.Store, table.Store{Type: t, N: d.N, Period: d.Period})
		}
	}
	if remembers {
		for _, t := range []table.DataType{table.ServerID, table.ServerKey} {
			if !slices.ContainsFunc(o.Store, func(s table.Store) bool { return s.Type == t }) {
				o.Store = append(o.Store, table.Store{Type: t, N: 1})
			}
		}
	}
	return o
}

// stickCounters is tune.stick-counters as rules are told it.
func (b *builder) stickCounters() int {
	n := b.cfg.Global.StickCounters
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return -1
	}
	return *n
}

// table finds a table of the generation; nil when there is none.
func (g *generation) table(name string) *table.Table {
	for _, t := range g.tables {
		if t.Name() == name {
			return t.Table
		}
	}
	return nil
}

func (g *generation) updateTables() {
	for _, t := range g.tables {
		t.Update(t.settings)
	}
}

// Tables are the stick tables that are served, in the order in which they are shown.
func (e *Engine) Tables() []*table.Table {
	g := e.gen.Load()
	if g == nil {
		return nil
	}
	all := make([]*table.Table, 0, len(g.tables))
	for _, t := range g.tables {
		all = append(all, t.Table)
	}
	return all
}

// sweepEvery is how often entries that have expired are looked for. Readers do not wait for it: to them such an entry is gone.
const sweepEvery = time.Second

func (e *Engine) sweepTables(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if g := e.gen.Load(); g != nil {
			for _, t := range g.tables {
				t.Sweep()
			}
		}
	}
}
