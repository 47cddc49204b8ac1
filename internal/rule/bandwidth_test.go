package rule

import (
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
	"gatehouse/internal/table"
)

// filterTables are those that the filters of these tests may count in.
func filterTables(name string) *table.Table {
	o := table.Options{Name: name, Key: stream.KindIPv4, Size: 10}
	switch name {
	case "in":
		o.Store = []table.Store{{Type: table.BytesInRate, Period: time.Second}}
	case "out":
		o.Store = []table.Store{{Type: table.BytesOutRate, Period: time.Second}}
	case "text":
		o.Key, o.KeyLen, o.Store = stream.KindBool, 0, []table.Store{{Type: table.BytesOutRate, Period: time.Second}}
	default:
		return nil
	}
	return table.New(o)
}

// TestBandwidthErrors has the texts of HAProxy 3.4, but for the filter that is not there: it takes the section's last one then.
func TestBandwidthErrors(t *testing.T) {
	own := config.BandwidthLimit{Name: "a", Limit: 1, Period: time.Second}
	shared := func(in bool, table, key string) config.BandwidthLimit {
		return config.BandwidthLimit{Name: "a", In: in, Limit: 1, Key: strings.Fields(key), Table: table}
	}
	for _, row := range []struct {
		filter     config.BandwidthLimit
		rule, want string
	}{
		{own, "set-bandwidth-limit", "missing bwlim filter name."},
		{own, "set-bandwidth-limit b", "Proxy 'f': unable to find bwlim filter 'b' referenced by set-bandwidth-limit rule."},
		{own, "set-bandwidth-limit a limit", "'limit': invalid size value or unknown fetch method ''."},
		{own, "set-bandwidth-limit a limit foo", "'limit': invalid size value or unknown fetch method 'foo'."},
		{own, "set-bandwidth-limit a period 1x", "'period': invalid time value or unknown fetch method '1x'."},
		{own, "set-bandwidth-limit a limit res.hdr(x)", "Proxy 'f': set-bandwidth-limit rule uses a limit extracting information from 'HTTP response headers', none of which is available here."},
		{own, "set-bandwidth-limit a period res.hdr(x)", "Proxy 'f': set-bandwidth-limit rule uses a period extracting information from 'HTTP response headers', none of which is available here."},
		{own, "set-bandwidth-limit a limit 10k period 1s foo", "'http-request set-bandwidth-limit' expects either 'if' or 'unless' followed by a condition but found 'foo'."},
		{shared(false, "out", "src"), "set-bandwidth-limit a limit 1k", "Proxy 'f': set-bandwidth-limit rule cannot define a limit for a shared bwlim filter."},
		{shared(false, "out", "src"), "set-bandwidth-limit a period 1s", "Proxy 'f': set-bandwidth-limit rule cannot define a period for a shared bwlim filter."},
		{shared(false, "out", "res.hdr(x)"), "set-bandwidth-limit a", "Proxy 'f': bwlim filter 'a uses a key extracting information from 'HTTP response headers', none of which is available here."},
		{shared(false, "in", "src"), "allow", "Proxy f : stick-table 'in' uses a data type incompatible with bwlim filter 'a'. It must be 'bytes_out_rate'"},
		{shared(true, "out", "src"), "allow", "Proxy f : stick-table 'out' uses a data type incompatible with bwlim filter 'a'. It must be 'bytes_in_rate'"},
		{shared(true, "", "src"), "allow", "Proxy f : unable to find table 'f' referenced by bwlim filter 'a'"},
		{shared(false, "text", "src"), "allow", "Proxy f : stick-table 'text' uses a key type incompatible with bwlim filter 'a'"},
		{shared(false, "out", "foo"), "allow", "'filter' : unknown fetch method 'foo'"},
		{shared(false, "out", "src foo"), "allow", "'filter bwlim-out' : unknown keyword 'foo'."},
	} {
		c := &Compiler{Diags: new(config.Diags), HTTP: true, Kind: "frontend", Proxy: "f", Tables: filterTables}
		c.Limits = c.Bandwidths([]config.BandwidthLimit{row.filter})
		c.HTTPRequest([]config.Rule{{Words: strings.Fields(row.rule)}}, c.ACLs(nil))
		if len(*c.Diags) == 0 || !strings.Contains((*c.Diags)[0].Text, row.want) {
			t.Errorf("%s: got %v, want %q", row.rule, *c.Diags, row.want)
		}
	}
}

// TestContentRulesOfSectionsThatDoNotWait has HAProxy's warnings about rules that read what may not have come yet.
func TestContentRulesOfSectionsThatDoNotWait(t *testing.T) {
	const random = "explicitly depending on request contents without any 'tcp-request inspect-delay' setting."
	for rule, want := range map[string]string{
		"set-bandwidth-limit a limit req.len": "frontend 'f' : a 'tcp-request content set-bandwidth-limit*' rule " + random,
		"track-sc0 req.hdr(x) table out":      "frontend 'f' : a 'tcp-request content track-sc*' rule " + random,
		"capture req.hdr(x) len 3":            "frontend 'f' : a 'tcp-request capture' rule " + random,
		"track-sc0 src table out":             "frontend 'f' : a 'tcp-request content track-sc*' rule not depending on request contents for an HTTP frontend should be executed",
		"track-sc0 src table out if HTTP":     "",
		"set-bandwidth-limit a limit int(3)":  "",
		"capture src len 3":                   "",
	} {
		for _, delay := range []bool{false, true} {
			c := &Compiler{Diags: new(config.Diags), HTTP: true, Kind: "frontend", Proxy: "f", NoDelay: !delay, Tables: filterTables}
			c.Limits = c.Bandwidths([]config.BandwidthLimit{{Name: "a", Limit: 1, Period: time.Second}})
			c.TCPContent([]config.Rule{{Words: strings.Fields(rule)}}, c.ACLs(nil))
			var said string
			for _, d := range *c.Diags {
				said += d.Level + " " + d.Text + "\n"
			}
			expected := want
			if delay && strings.Contains(want, random) {
				expected = ""
			}
			if expected == "" && said != "" || !strings.Contains(said, expected) {
				t.Errorf("%s, delay %v: said %q, want %q", rule, delay, said, expected)
			}
		}
	}
}
