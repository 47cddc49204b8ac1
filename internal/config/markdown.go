package config

import (
	"fmt"
	"strings"
)

// KeywordsMarkdown renders the keyword table as docs/keywords.md.
func KeywordsMarkdown() string {
	t := newTables()
	var b strings.Builder
	b.WriteString("# Keywords\n\n" +
		"Generated from the keyword table in `internal/config`; run `go test ./internal/config -run KeywordsPage -update` to rewrite it.\n" +
		"The numbers are sections of HAProxy's configuration manual, version 3.4. A keyword that is not supported is refused\n" +
		"with file and line. A keyword without effect is accepted with one NOTICE line.\n")
	counts := map[State]int{}
	for _, k := range Keywords() {
		counts[k.State]++
	}
	fmt.Fprintf(&b, "\n%d honoured, %d accepted without effect, %d not supported.\n", counts[Honoured], counts[NoEffect], counts[Refused])
	parts := []struct {
		title string
		t     *table
		where bool
	}{
		{"Sections", t.section, false}, {"global", t.global, false}, {"Proxies", t.proxy, true}, {"option", t.option, true},
		{"timeout", t.timeout, true}, {"bind and stats socket", t.bind, false}, {"server and default-server", t.server, false},
		{"crt-store", t.crtStore, false}, {"load and ssl-f-use", t.load, false}, {"acme", t.acme, false}, {"gatehouse", t.gatehouse, false},
	}
	for _, part := range parts {
		writeTable(&b, part.title, part.t.list, part.where)
	}
	return b.String()
}

func writeTable(b *strings.Builder, title string, list []Keyword, where bool) {
	fmt.Fprintf(b, "\n## %s\n\n| Keyword | ", title)
	if where {
		b.WriteString("Where | ")
	}
	b.WriteString("State | Manual | Note |\n|---|")
	if where {
		b.WriteString("---|")
	}
	b.WriteString("---|---|---|\n")
	for i := range list {
		k := &list[i]
		word := k.Name
		if k.Args != "" {
			word += " " + k.Args
		}
		manual, note := k.Manual, k.Note
		if k.own {
			manual = "ours"
		}
		fmt.Fprintf(b, "| %s | ", code(word))
		if where {
			fmt.Fprintf(b, "%s | ", k.In&^(InOption|InTimeout))
		}
		fmt.Fprintf(b, "%s | %s | %s |\n", k.State, manual, note)
	}
}

// code quotes text for a table cell.
func code(text string) string {
	return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
}
