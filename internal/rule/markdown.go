package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// partial says of entries that do less than the manual says what they leave out.
var partial = map[string]string{
	"dst_conn":                  "all addresses of the bind line count together",
	"thread":                    "always 0: which thread runs is not known",
	"tgroup":                    "always 1",
	"proc":                      "always 1",
	"fc_http_major":             "1: there is no HTTP/2",
	"bc_http_major":             "1: there is no HTTP/2",
	"fc_nb_streams":             "always 1",
	"bc_nb_streams":             "always 1",
	"fc_glitches":               "always 0: HTTP/1 counts none",
	"bc_glitches":               "always 0: HTTP/1 counts none",
	"bc_err":                    "0 once the connection stands, nothing before",
	"bc_err_name":               "empty once the connection stands, nothing before",
	"bc_err_str":                "of a connection that stands only",
	"res.cache_hit":             "always false: there is no cache",
	"res.cache_name":            "always nothing: there is no cache",
	"quic_enabled":              "always false: there is no QUIC",
	"ssl_fc_has_early":          "always false: early data is not accepted",
	"ssl_fc_early_rcvd":         "always false: early data is not accepted",
	"waiting_entity":            "http-buffer-request only",
	"txn.id32":                  "made of the numbers of connection and request",
	"fc_settings_streams_limit": "always 1",
	"bc_settings_streams_limit": "always 1",
}

// unmeant says of names that HAProxy knows why they mean nothing here.
var unmeant = map[string]string{
	"cpu_calls": noTask, "cpu_ns_avg": noTask, "cpu_ns_tot": noTask, "lat_ns_avg": noTask, "lat_ns_tot": noTask,
	"cpu_usage_grp": noTask, "cpu_usage_proc": noTask, "cpu_usage_thr": noTask,
}

const noTask = "a stream is a goroutine, whose time nobody counts"

// misplaced are actions that other places know only to say where they belong.
var misplaced = map[string]place{"expect-proxy": atSession | atContent, "expect-netscaler-cip": atSession | atContent}

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
		p.rows[name] = "refused | " + unmeant[name]
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
