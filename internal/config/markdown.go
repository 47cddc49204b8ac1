package config

import (
	"fmt"
	"strings"
)

// KeywordsMarkdown renders the keyword table for docs/keywords.md; package rule has the rest of that page.
func KeywordsMarkdown() string {
	t := newTables()
	var b strings.Builder
	b.WriteString("# Keywords\n\n" +
		"Every keyword, action, sample fetch and converter of HAProxy 3.4 and what becomes of it here. Generated from the tables of\n" +
		"`internal/config` and `internal/rule`; `go test ./internal/rule -run KeywordsPage -update` rewrites it. The numbers are sections\n" +
		"of HAProxy's configuration manual. What is refused is an error with file and line that says \"not supported\". What is without\n" +
		"effect is accepted with one NOTICE line.\n")
	counts := map[State]int{}
	for _, k := range Keywords() {
		counts[k.State]++
	}
	fmt.Fprintf(&b, "\nKeywords: %d supported, %d partial, %d without effect, %d refused.\n",
		counts[Honoured], counts[Partial], counts[NoEffect], counts[Refused])
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
