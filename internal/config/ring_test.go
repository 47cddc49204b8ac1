package config

import (
	"strings"
	"testing"
	"time"
)

func TestRings(t *testing.T) {
	cfg, diags := Parse([]Source{{Name: "t.cfg", Data: []byte(`
global
    log ring@edge local0
    log ring@buf0 local0
ring edge
    description "My events"
    format rfc5424
    maxlen 1200
    size 32k
    timeout connect 5s
    timeout server 10s
    server s1 127.0.0.1:6514 log-proto octet-count
    server s2 127.0.0.1
ring plain
`)}}, ParseOptions{})
	if diags.HasErrors() || len(cfg.Rings) != 2 {
		t.Fatalf("%v, %d rings", diags, len(cfg.Rings))
	}
	r, plain := cfg.Rings[0], cfg.Rings[1]
	if r.Description != "My events" || r.Format != "rfc5424" || r.MaxLen != 1200 || r.Size != 32768 || r.Connect != 5*time.Second || r.Server != 10*time.Second {
		t.Errorf("%+v", r)
	}
	if len(r.Servers) != 2 || !r.Servers[0].OctetCount || r.Servers[0].Addr.Port != 6514 || r.Servers[1].OctetCount || r.Servers[1].Name != "s2" {
		t.Errorf("%+v", r.Servers)
	}
	if plain.Description != "plain" || plain.Format != "raw" || cfg.Global.Logs[0].Ring() != "edge" {
		t.Errorf("%+v, %+v", plain, cfg.Global.Logs[0])
	}
}

// The texts are those of HAProxy 3.4.
func TestRingsThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"ring":                               "parsing [t.cfg:1] : missing ring name.",
		"ring a/b":                           "parsing [t.cfg:1] : invalid ring name 'a/b' (character '/' is not permitted).",
		"ring buf0":                          "parsing [t.cfg:1] : sink named 'buf0' already exists.",
		"ring r\nring r":                     "parsing [t.cfg:2] : sink named 'r' already exists.",
		"ring r\nformat foo":                 "parsing [t.cfg:2] : unknown format 'foo'.",
		"ring r\nbar x":                      "parsing [t.cfg:2] : unknown statement 'bar'.",
		"ring r\nsize 0":                     "parsing [t.cfg:2] : invalid size '0' for new sink buffer.",
		"ring r\nmaxlen 0":                   "parsing [t.cfg:2] : invalid size '0' for new sink buffer.",
		"ring r\ndescription":                "parsing [t.cfg:2] : missing ring description text.",
		"ring r\ntimeout connect":            "parsing [t.cfg:2] : 'timeout connect' expects <time> as argument.",
		"ring r\ntimeout server 5x":          "parsing [t.cfg:2]: unexpected character 'x' in argument to <timeout server>.",
		"ring r\nserver s 1.2.3.4 log-proto": "[t.cfg:2] : 'server r/s' : 'log-proto' expects one of 'legacy' or 'octet-count' but got ''.",
		"ring r\nserver s 1.2.3.4 log-prota": "[t.cfg:2] : 'server r/s' : unknown keyword 'log-prota'; did you mean 'log-proto' maybe ?",
		"ring r\nserver s 1.2.3.4 check":     "[t.cfg:2] : 'server r/s' : 'check' option is not supported in a ring",
		"ring r\nserver s":                   "[t.cfg:2] : 'server' expects <name> and <addr>[:<port>] as arguments.",
		"ring r\nbacking-file x":             "not supported",
		"global\nlog ring@x local0":          "global log directive declared in file t.cfg at line '2' uses unknown ring named 'x'.",
		"frontend f\nlog ring@stdout local0": "log directive declared in proxy section 'f' in file 't.cfg' at line 2 uses incompatible ring 'stdout'.",
	} {
		_, diags := Parse([]Source{{Name: "t.cfg", Data: []byte(text + "\n")}}, ParseOptions{})
		found := false
		var all []string
		for _, d := range diags {
			found = found || d.Level == LevelAlert && strings.Contains(d.Text, want)
			all = append(all, d.Text)
		}
		if !found {
			t.Errorf("%q: got %q, want %q", text, all, want)
		}
	}
}
