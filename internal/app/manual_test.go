package app

import (
	"os"
	"strings"
	"testing"
)

// TestTheManualShowsTheUsageText keeps docs/gatehouse.md and -h the same.
func TestTheManualShowsTheUsageText(t *testing.T) {
	manual, err := os.ReadFile("../../docs/gatehouse.md")
	if err != nil {
		t.Fatal(err)
	}
	var usage strings.Builder
	printUsage(&usage, "gatehouse")
	for line := range strings.Lines(usage.String()) {
		if line != "\n" && !strings.Contains(string(manual), "    "+line) {
			t.Errorf("docs/gatehouse.md lacks the line of -h: %s", line)
		}
	}
}
