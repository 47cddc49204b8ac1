package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBandwidthFilters(t *testing.T) {
	c, diags := parseText(someTimeouts + "backend b\n filter bwlim-in a default-period 100ms default-limit 10k min-size 1k\n compression algo gzip\n filter compression\n" +
		" filter bwlim-out b limit 1m key src ipmask(24) table t\n filter bwlim-in c key req.hdr(a),lower limit 1\n")
	if diags.HasErrors() {
		t.Fatal(printDiags(diags))
	}
	got := c.Proxies[0].BandwidthLimits
	for i := range got {
		got[i].Pos = Pos{}
	}
	want := []BandwidthLimit{
		{Name: "a", In: true, Limit: 10 << 10, Period: 100 * time.Millisecond, MinSize: 1 << 10},
		{Name: "b", Limit: 1 << 20, Key: []string{"src", "ipmask(24)"}, Table: "t", Compression: true},
		{Name: "c", In: true, Limit: 1, Key: []string{"req.hdr(a),lower"}, Compression: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if want[1].Word() != "bwlim-out" || want[2].Word() != "bwlim-in" {
		t.Error("the words of filters")
	}
}

// TestBandwidthFilterErrors has the texts of HAProxy 3.4.
func TestBandwidthFilterErrors(t *testing.T) {
	for line, want := range map[string]string{
		"filter bwlim-out":                                                       "'filter' : 'bwlim-out' : a name is expected as first argument ",
		"filter bwlim-out a":                                                     "'filter' : 'bwlim-out' : <default-period> option is missing",
		"filter bwlim-in a default-period 1s":                                    "'filter' : 'bwlim-in' : <default-limit> option is missing",
		"filter bwlim-out a limit 10k":                                           "'filter' : 'bwlim-out' : <key> option is missing",
		"filter bwlim-out a key src":                                             "'filter' : 'bwlim-out' : <limit> option is missing",
		"filter bwlim-in a limit 1 key src default-limit 1":                      "'filter' : 'bwlim-in' : cannot mix per-stream and shared parameter",
		"filter bwlim-in a default-limit 1 key src":                              "'filter' : 'bwlim-in' : cannot mix per-stream and shared parameter",
		"filter bwlim-in a default-limit 1z":                                     "'filter' : 'bwlim-in' : invalid value for option 'default-limit' (unexpected character 'z')",
		"filter bwlim-in a default-period 1z":                                    "'filter' : 'bwlim-in' : invalid value for option 'default-period' (unexpected character 'z')",
		"filter bwlim-in a limit 1k key":                                         "'filter' : 'bwlim-in' : the sample expression is missing for 'key' option",
		"filter bwlim-in a limit":                                                "'filter' : 'bwlim-in' : the value is missing for 'limit' option",
		"filter bwlim-in a table":                                                "'filter' : 'bwlim-in' : the table name is missing for 'table' option",
		"filter bwlim-in a min-size 1k foo":                                      "'filter bwlim-in' : unknown keyword 'foo'.",
		"filter bwlim-in a limit 1 key src\n filter bwlim-out a limit 1 key src": "'filter' : bwlim filter 'a' already declared for proxy 'b'",
		"filter bwlim-in a limit 1 key src\n compression algo gzip":              "config: backend 'b': require an explicit filter declaration to use HTTP compression",
		"filter spoe":  "'filter spoe' is not supported in 'backend' section.",
		"filter trace": "'filter trace' is not supported in 'backend' section.",
	} {
		if _, diags := parseText(someTimeouts + "backend b\n " + line + "\n"); !strings.Contains(printDiags(diags), want) {
			t.Errorf("%s: got %q, want %q", line, printDiags(diags), want)
		}
	}
}
