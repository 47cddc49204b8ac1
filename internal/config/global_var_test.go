package config

import (
	"strings"
	"testing"
)

// The texts are those of HAProxy 3.4.
func TestThreadsAndVariablesOfTheGlobalSection(t *testing.T) {
	for line, want := range map[string]string{
		"nbthread":       "'nbthread' passed a missing or unparsable integer value in ''",
		"nbthread 5x":    "'nbthread' passed a missing or unparsable integer value in '5x'",
		"nbthread 0":     "'nbthread' value must be between 1 and 1024 (was 0)",
		"nbthread 1025":  "'nbthread' value must be between 1 and 1024 (was 1025)",
		"nbthread 2 3":   "'nbthread' cannot handle unexpected argument '3'.",
		"set-var proc.x": "'set-var' requires a process-wide variable name ('proc.<name>') and a sample expression.",
		"set-var-fmt":    "'set-var-fmt' requires a process-wide variable name ('proc.<name>') and a format string.",
	} {
		_, diags := Parse([]Source{{Name: "t.cfg", Data: []byte("global\n" + line + "\n")}}, ParseOptions{})
		if len(diags) == 0 || !strings.HasSuffix(diags[0].Text, "parsing [t.cfg:2] : "+want) {
			t.Errorf("%s: got %v, want %s", line, diags, want)
		}
	}
	cfg, diags := Parse([]Source{{Name: "t.cfg", Data: []byte("global\nnbthread 3\nset-var proc.a int(5),add(2)\nset-var-fmt proc.b x%[var(proc.a)]\n")}}, ParseOptions{})
	g := &cfg.Global
	if diags.HasErrors() || g.Threads != 3 || len(g.Vars) != 2 || g.Vars[0].Name != "proc.a" || g.Vars[0].Words[0] != "int(5),add(2)" || !g.Vars[1].Fmt {
		t.Errorf("%v: %d, %+v", diags, g.Threads, g.Vars)
	}
}
