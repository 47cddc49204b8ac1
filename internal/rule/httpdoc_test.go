package rule

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// actionRow is a row of the table of actions in docs/http-rules.md: name, arguments, places.
var actionRow = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)(\\([^|]*\\))?`[^|]* \\| [^|]*\\| ((?:req|res|aft)[a-z ]*) \\| [^|]+ \\|$")

// The page lists exactly the actions that the table has, each with its places.
func TestHTTPRulesPageListsTheActions(t *testing.T) {
	page, err := os.ReadFile("../../docs/http-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range actionRow.FindAllStringSubmatch(string(page), -1) {
		name := row[1]
		if name == "track-sc0" {
			name = "track-sc(*)"
		} else if row[2] != "" {
			name += "(*)"
		}
		listed = append(listed, name+": "+row[3])
	}
	var want []string
	for _, a := range actions {
		var places []string
		for _, p := range []struct {
			at   place
			name string
		}{{atRequest, "req"}, {atResponse, "res"}, {atAfter, "aft"}} {
			if a.where&^misplaced[a.name]&p.at != 0 {
				places = append(places, p.name)
			}
		}
		if len(places) > 0 {
			want = append(want, a.name+": "+strings.Join(places, " "))
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	for _, row := range want {
		if !slices.Contains(listed, row) {
			t.Errorf("docs/http-rules.md has no row %s", row)
		}
	}
	for _, row := range listed {
		if !slices.Contains(want, row) {
			t.Errorf("docs/http-rules.md has a row that no action stands behind: %s", row)
		}
	}
	if len(listed) != len(slices.Compact(slices.Clone(listed))) {
		t.Error("docs/http-rules.md lists an action twice")
	}
}
