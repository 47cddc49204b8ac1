package engine

import (
	"fmt"
	"testing"

	"gatehouse/internal/table"
)

func TestATableLivesOnWhenItsKeysSizeAndDataAreTheSame(t *testing.T) {
	e, addr := newEdge(t, false), freePort(t)
	cfg := func(args string) string {
		return fmt.Sprintf(base+"frontend f\n    bind %s\n    stick-table type ip %s\n    http-request track-sc0 src\n    http-request return status 200\n", addr, args)
	}
	e.mustApply(cfg("size 10 expire 1h store http_req_cnt"))
	e.run()
	dial(t, addr).get()
	used := func() int { return e.Tables()[0].Used() }
	if used() != 1 {
		t.Fatalf("%d entries after a request", used())
	}
	e.mustApply(cfg("size 10 expire 2h nopurge store http_req_cnt"))
	if used() != 1 {
		t.Errorf("%d entries after a reload that changed settings", used())
	}
	e.mustApply(cfg("size 10 expire 2h store http_req_cnt,gpc0"))
	if used() != 0 {
		t.Errorf("%d entries after a reload that changed the data", used())
	}
}

func TestTablesOfStickRulesRememberServers(t *testing.T) {
	e := newEdge(t, false)
	e.mustApply(base + "backend a\n    stick on src table b\nbackend b\n    stick-table type ip size 10\nbackend c\n    stick-table type ip size 10\n")
	tables := e.Tables()
	if len(tables) != 2 || tables[0].Name() != "c" || tables[1].Name() != "b" {
		t.Fatalf("%d tables, want c and b: the last one first", len(tables))
	}
	if !tables[1].Stores(table.ServerID) || !tables[1].Stores(table.ServerKey) || tables[0].Stores(table.ServerID) {
		t.Error("servers are not remembered where they are to be")
	}
	if diags := e.load(base + "backend a\n    stick on src table nope\n"); !diags.HasErrors() {
		t.Error("a table that is not there is taken")
	}
}
