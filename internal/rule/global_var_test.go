package rule

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

func TestGlobalVariables(t *testing.T) {
	env := newEnv()
	for _, line := range []config.GlobalVar{
		{Name: "proc.a", Words: []string{"int(5),add(2)"}},
		{Name: "proc.b", Words: []string{"a%[var(proc.a)]"}, Fmt: true},
		{Name: "proc.b,ifnotexists", Words: []string{"str(other)"}},
	} {
		var diags config.Diags
		set := (&Compiler{Diags: &diags}).GlobalVar(line)
		if set == nil {
			t.Fatalf("%+v: %v", line, diags)
		}
		set(env)
	}
	a, _ := env.Var("a")
	b, _ := env.Var("b")
	if a.Int != 7 || string(b.Bytes) != "a7" {
		t.Errorf("a is %+v, b is %q", a, b.Bytes)
	}
}

// The texts are those of HAProxy 3.4.
func TestGlobalVariablesThatAreWrong(t *testing.T) {
	for _, tc := range []struct {
		line config.GlobalVar
		want string
	}{
		{config.GlobalVar{Name: "txn.x", Words: []string{"int(1)"}}, "'set-var': cannot set variable 'txn.x', only scope 'proc' is permitted in the global section."},
		{config.GlobalVar{Name: "proc.x", Words: []string{"nope"}}, "unknown fetch method 'nope'"},
		{config.GlobalVar{Name: "proc.x", Words: []string{"src"}}, "fetch method 'set-var(proc.x)' extracts information from 'client address', none of which is available here"},
		{config.GlobalVar{Name: "proc.x,foo", Words: []string{"int(1)"}}, `unknown condition "foo"`},
		{config.GlobalVar{Name: "txn.x", Words: []string{"a"}, Fmt: true}, "'set-var-fmt': cannot set variable 'txn.x', only scope 'proc' is permitted in the global section."},
	} {
		var diags config.Diags
		if set := (&Compiler{Diags: &diags}).GlobalVar(tc.line); set != nil || len(diags) != 1 || !strings.Contains(diags[0].Text, tc.want) {
			t.Errorf("%+v: got %v, want %s", tc.line, diags, tc.want)
		}
	}
}

func TestConditionsOfVariables(t *testing.T) {
	proc, sess := variable{scope: scopeProc, name: "v"}, variable{scope: scopeSess, name: "v"}
	number, word, empty := integer(5), text([]byte("a")), text(nil)
	for _, tc := range []struct {
		test     string
		v        variable
		old, val *Value
		want     bool
	}{
		{"ifexists", sess, nil, &number, false}, {"ifexists", sess, &word, &number, true}, {"ifexists", proc, nil, &number, true},
		{"ifnotexists", sess, nil, &number, true}, {"ifnotexists", proc, nil, &number, false},
		{"ifset", sess, nil, &number, false}, {"ifset", sess, &empty, &number, true}, {"ifset", proc, nil, &number, false},
		{"ifnotset", sess, &word, &number, false}, {"ifnotset", proc, nil, &empty, true},
		{"ifempty", sess, nil, &empty, true}, {"ifempty", sess, nil, &number, false}, {"ifnotempty", sess, nil, &empty, false},
		{"ifgt", sess, &number, &number, false}, {"ifgt", sess, &word, &number, true}, {"iflt", sess, &number, &word, true}, {"iflt", sess, nil, &number, true},
	} {
		env, s := newEnv(), &stream.Stream{Conn: &stream.Conn{}}
		if tc.old != nil {
			tc.v.set(s, env, *tc.old)
		}
		if got := assignVar(s, env, tc.v, []varTest{varTests[tc.test]}, *tc.val); got != tc.want {
			t.Errorf("%s of scope %v, was %v, becomes %v: %v, want %v", tc.test, tc.v.scope, tc.old, *tc.val, got, tc.want)
		}
	}
}
