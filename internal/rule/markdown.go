package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// partial says of entries that do less than the manual says what they leave out.
var partial = map[string]string{}

// misplaced are actions that other places know only to say where they belong.
var misplaced = map[string]place{"expect-proxy": atSession | atContent}

// KeywordsMarkdown renders the tables of this package, and the names that only HAProxy 3.4 knows, for docs/keywords.md.
func KeywordsMarkdown() string {
	var b strings.Builder
	for _, set := range []struct {
		name string
		at   place
	}{{"http-request", atRequest}, {"http-response", atResponse}, {"http-after-response", atAfter}, {"tcp-request connection", atConnection},
		{"tcp-request session", atSession}, {"tcp-request content", atContent}, {"tcp-response content", atTCPResponse}} {
		page := newPage("Actions of " + set.name)
		for _, a := range actions {
			if a.where&^misplaced[a.name]&set.at != 0 {
				page.supports(a.name, a.doc)
			}
		}
		for _, name := range allActionNames(set.at) {
			if misplaced[name]&set.at == 0 {
				page.knows(name)
			}
		}
		page.write(&b)
	}
	page := newPage("Sample fetches")
	for _, f := range fetches {
		page.supports(f.name, f.doc)
	}
	for name := range strings.FieldsSeq(fetchNames) {
		page.knows(name)
	}
	page.write(&b)
	page = newPage("Converters")
	for _, c := range converters {
		page.supports(c.name, c.doc)
	}
	for name := range strings.FieldsSeq(converterNames) {
		page.knows(name)
	}
	page.write(&b)
	page = newPage("ACL criteria with a match method of their own")
	for name, d := range derived {
		page.supports(name, fmt.Sprintf("`%s -m %s`", d[0], d[1]))
	}
	for name := range strings.FieldsSeq(aclNames) {
		if fetches[name] == nil {
			page.knows(name)
		}
	}
	page.write(&b)
	page = newPage("Log format aliases")
	for _, a := range formatAliases {
		page.supports("%"+a.name, a.doc)
	}
	page.write(&b)
	return b.String()
}

// allActionNames are the actions of HAProxy 3.4 in a place.
func allActionNames(at place) []string {
	if at&atTCP != 0 {
		first, rest := tcpActionNames(at)
		return slices.Concat(first, rest)
	}
	return actionNames(at)
}

// keywordPage is one table of docs/keywords.md.
type keywordPage struct {
	title string
	rows  map[string]string // by name: state and note, as cells
}

func newPage(title string) *keywordPage { return &keywordPage{title, map[string]string{}} }

func (p *keywordPage) supports(name, doc string) {
	state := "supported"
	if how := partial[name]; how != "" {
		state = "partial: " + how
	}
	p.rows[name] = state + " | " + strings.ReplaceAll(doc, "|", `\|`)
}

func (p *keywordPage) knows(name string) {
	if _, ok := p.rows[name]; !ok {
		p.rows[name] = "refused | "
	}
}

func (p *keywordPage) write(b *strings.Builder) {
	n := 0
	for _, row := range p.rows {
		if !strings.HasPrefix(row, "refused") {
			n++
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n%d of %d.\n\n| Name | State | What it is |\n|---|---|---|\n", p.title, n, len(p.rows))
	for _, name := range slices.Sorted(maps.Keys(p.rows)) {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, p.rows[name])
	}
}
