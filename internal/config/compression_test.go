package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestCompressionOfBothDirections(t *testing.T) {
	c, diags := parseText("global\n tune.comp.maxlevel 6\ndefaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n compression direction both\n compression type-req Text/\nfrontend f\n bind :1\n default_backend b\n" +
		"backend b\n compression algo-req gzip deflate\n compression type-req application/json\n compression minsize-req 1k\n compression algo deflate gzip\n compression minsize-res 2k\n" +
		"backend c\n compression direction request\nbackend d\n compression direction request\n compression direction response\n")
	if diags.HasErrors() {
		t.Fatal(printDiags(diags))
	}
	got := map[string]Compression{}
	for _, p := range c.Proxies {
		got[p.Name] = *p.Compression
	}
	text := []string{"text/"}
	want := map[string]Compression{
		"f": {Requests: true, Responses: true, ReqTypes: text},
		"b": {Requests: true, Responses: true, ReqTypes: []string{"text/", "application/json"}, ReqAlgo: "gzip", ReqMinSize: 1024, Algos: []string{"gzip", "deflate"}, MinSize: 2048},
		"c": {Requests: true, ReqTypes: text},
		"d": {Responses: true, ReqTypes: text},
	}
	if !reflect.DeepEqual(got, want) || c.Global.CompLevel != 6 {
		t.Errorf("got %+v, level %d\nwant %+v", got, c.Global.CompLevel, want)
	}
}

func TestCompressionFilters(t *testing.T) {
	for _, tc := range []struct {
		lines    string
		req, res bool // the filters
		comp     *Compression
	}{
		{"filter compression", true, true, nil},
		{"filter comp-req", true, false, &Compression{Requests: true}},
		{"filter comp-res", false, true, &Compression{Responses: true}},
		{"filter comp-req\n filter comp-res", true, true, &Compression{Requests: true, Responses: true}},
		{"compression offload\n filter comp-req", true, false, &Compression{Requests: true, Responses: true, Offload: true}},
	} {
		c, diags := parseText(someTimeouts + "backend b\n " + tc.lines + "\n")
		if diags.HasErrors() {
			t.Fatal(printDiags(diags))
		}
		if p := c.Proxies[0]; p.CompReq != tc.req || p.CompRes != tc.res || !reflect.DeepEqual(p.Compression, tc.comp) {
			t.Errorf("%s: %v %v %+v", tc.lines, p.CompReq, p.CompRes, p.Compression)
		}
	}
}

func TestCompressionErrors(t *testing.T) {
	for lines, want := range map[string]string{
		"listen l\n compression algo-req":                 "'compression' : '' is not a supported algorithm.",
		"listen l\n compression algo-req br":              "'compression' : 'br' is not a supported algorithm.",
		"listen l\n compression type-req":                 "'compression' expects <type>.",
		"listen l\n compression minsize-req":              "'minsize-req' expects an integer argument.",
		"listen l\n compression minsize-req x":            "unexpected 'x' after size passed to 'minsize-req'",
		"listen l\n compression direction":                "'compression' expects 'request', 'response', or 'both'.",
		"listen l\n filter":                               "missing argument for 'filter' in proxy 'l'.",
		"listen l\n filter x":                             "'filter' : unknown keyword 'x'.",
		"listen l\n filter trace":                         "'filter trace' is not supported",
		"listen l\n filter compression x":                 "'filter compression' : unknown keyword 'x'.",
		"listen l\n filter comp-req\n filter compression": "'filter' : l: Proxy supports only one compression filter",
		"listen l\n filter compression\n filter comp-res": "'filter' : l: Proxy supports only one comp-res filter",
		"global\n tune.comp.maxlevel 0":                   "'tune.comp.maxlevel' expects a numeric value between 1 and 9",
		"global\n tune.comp.maxlevel":                     "'tune.comp.maxlevel' expects a numeric value between 1 and 9",
	} {
		if _, diags := parseText(lines + "\n"); !strings.Contains(printDiags(diags), want) {
			t.Errorf("%s: no %q in %s", lines, want, printDiags(diags))
		}
	}
}
