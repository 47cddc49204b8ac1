package engine

import (
	"fmt"
	"testing"

	"gatehouse/internal/table"
)

// TestFiltersOfASectionReachItsRules: limits of a frontend, of a listen's own rules of both halves, and of a backend count in one table.
func TestFiltersOfASectionReachItsRules(t *testing.T) {
	e, addr, other := newEdge(t, false), freePort(t), freePort(t)
	const filter = "\n    filter bwlim-out all limit 1g key src table rates\n"
	e.mustApply(fmt.Sprintf(base+"frontend f\n    bind %s"+filter+"    http-request set-bandwidth-limit all\n    use_backend b if { path /b }\n    default_backend l\n"+
		"listen l\n    bind %s"+filter+"    http-response set-bandwidth-limit all\n    tcp-response content set-bandwidth-limit all\n    server s %s\n"+
		"backend b"+filter+"    http-request set-bandwidth-limit all\n    server s %[3]s\n"+
		"backend rates\n    stick-table type ip size 10 store bytes_out_rate(1d)\n", addr, other, webServer(t, "web")))
	e.run()
	rates := e.Tables()[0]
	passed := func() int64 {
		entry := rates.Lookup([]byte{127, 0, 0, 1})
		if entry == nil {
			return 0
		}
		defer entry.Release()
		n, _ := entry.Value(table.BytesOutRate, 0)
		return n
	}
	c := dial(t, other)
	c.get()
	once := passed()
	if once == 0 {
		t.Fatal("nothing was counted")
	}
	c.get()
	if n := passed(); n != 2*once {
		t.Errorf("the second answer on one connection: %d bytes counted, want %d", n, 2*once)
	}
	dial(t, addr).get()
	if n := passed(); n != 4*once {
		t.Errorf("through two sections: %d bytes counted, want %d", n, 4*once)
	}
}

// TestServersThatAreNotToStickAreNotRemembered: non-stick.
func TestServersThatAreNotToStickAreNotRemembered(t *testing.T) {
	for words, want := range map[string]int{"": 1, "non-stick": 0} {
		e, addr := newEdge(t, false), freePort(t)
		e.mustApply(fmt.Sprintf(base+"listen l\n    bind %s\n    stick-table type ip size 10\n    stick on src\n    server s %s %s\n", addr, webServer(t, "web"), words))
		e.run()
		dial(t, addr).get()
		n := 0
		for entry := range e.Tables()[0].Each {
			if key, _ := entry.Server(); key != "" {
				n++
			}
		}
		if n != want {
			t.Errorf("%q: %d servers remembered, want %d", words, n, want)
		}
	}
}
