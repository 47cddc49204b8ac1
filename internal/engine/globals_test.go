package engine

import (
	"strings"
	"testing"
)

// The texts are those of HAProxy 3.4.
func TestAVariableOfTheProcessIsSetAtRunTime(t *testing.T) {
	e := newEdge(t, false)
	if err := e.SetVar("proc.x", "int(1)", false); err == nil {
		t.Error("a variable is set before anything is served")
	}
	e.mustApply("global\n\tset-var proc.s str(a)\ndefaults\n\tmode http\n\ttimeout client 1s\n\ttimeout server 1s\n\ttimeout connect 1s\nbackend b\n\tserver s1 127.0.0.1:1\n")
	for _, tc := range []struct {
		name, text string
		format     bool
		want       string // type and text, or the error
	}{
		{"proc.s", "str(b)", false, "str <b>"},
		{"proc.n", "int(5),add(2)", false, "sint <7>"},
		{"proc.s", "%[var(proc.s)]x", true, "str <bx>"},
		{"proc.s,ifnotexists", "str(q)", false, "str <bx>"},
		{"proc.up", "nbsrv(b)", false, "sint <1>"},
		{"txn.s", "str(x)", false, "'set var': cannot set variable 'txn.s', only scope 'proc' is permitted here."},
		{"proc.s", "foo", false, "unknown fetch method 'foo'"},
		{"proc.s", "src", false, "fetch method 'set-var(proc.s)' extracts information from 'client address', none of which is available here"},
		{"proc.s", "%[src]", true, "sample fetch <src> may not be reliably used here because it needs 'client address' which is not available here"},
		{"proc.s", "str(x),map(/nofile)", false, "map: cannot load map at runtime"},
		{"proc.s", "nbsrv(nope)", false, "unable to find backend 'nope'"},
		{"proc.s,foo", "str(b)", false, `unknown condition "foo"`},
	} {
		err := e.SetVar(tc.name, tc.text, tc.format)
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s %s: got error %q, want %q", tc.name, tc.text, err, tc.want)
			}
			continue
		}
		name, _, _ := strings.Cut(tc.name, ",")
		kind, text, _ := e.ShowVar(name)
		if got := kind + " " + text; got != tc.want {
			t.Errorf("%s %s: got %q, want %q", tc.name, tc.text, got, tc.want)
		}
	}
	if _, text, _ := e.ShowVar("proc.s"); text != "<bx>" {
		t.Errorf("a command that was refused left %s", text)
	}
}
