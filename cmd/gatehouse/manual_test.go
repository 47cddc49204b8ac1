package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestTheManualNamesEveryCommandAndFlag keeps docs/gatehouse.md and the commands the same.
func TestTheManualNamesEveryCommandAndFlag(t *testing.T) {
	data, err := os.ReadFile("../../docs/gatehouse.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(data)
	root := newCommand()
	for _, group := range root.Commands() {
		for _, c := range group.Commands() {
			if want := row(c); !strings.Contains(manual, want) {
				t.Errorf("docs/gatehouse.md lacks the row %s", want)
			}
		}
	}
	for line := range strings.Lines(root.PersistentFlags().FlagUsages()) {
		for _, word := range strings.Fields(line) {
			if name := strings.TrimRight(word, ","); strings.HasPrefix(name, "-") && !strings.Contains(manual, "`"+name+"`") {
				t.Errorf("docs/gatehouse.md does not describe %s", name)
			}
		}
	}
	if !strings.Contains(manual, defaultSocket) {
		t.Errorf("docs/gatehouse.md does not name %s", defaultSocket)
	}
}

func row(c *cobra.Command) string {
	_, arguments, _ := strings.Cut(c.Use, " ")
	return "| `" + strings.ReplaceAll(strings.TrimSpace(c.CommandPath()+" "+arguments), "|", `\|`) + "` | " + c.Short + " |" // a bar ends a cell
}
