package config

import (
	"strings"
	"testing"
)

// The texts of what is refused are those of HAProxy 3.4, which takes h2 in mode http.
func TestProtocolsOfBindLines(t *testing.T) {
	for _, tc := range []struct{ mode, words, level, text string }{
		{"http", "proto h1", "", ""},
		{"tcp", "proto none", "", ""},
		{"http", "proto none", LevelAlert, "frontend 'f' : MUX protocol 'none' is not usable for 'bind :80' at [t.cfg:7]."},
		{"http", "proto h2", LevelAlert, "frontend 'f' : MUX protocol 'h2' is not usable for 'bind :80' at [t.cfg:7]."},
		{"tcp", "proto h1", LevelAlert, "frontend 'f' : MUX protocol 'h1' is not usable for 'bind :80' at [t.cfg:7]."},
		{"tcp", "proto h2", LevelAlert, "frontend 'f' : MUX protocol 'h2' is not usable for 'bind :80' at [t.cfg:7]."},
		{"http", "proto h2 proto h1", "", ""},
		{"http", "alpn http/1.1", "", ""},
		{"http", "alpn http/1.1,h2", LevelNotice, "parsing [t.cfg:7] : 'bind :80' : 'alpn' names 'h2', which is not offered: HTTP/2 is not supported yet."},
		{"tcp", "alpn h2", "", ""}, // the server's to speak
	} {
		text := "defaults\n\tmode " + tc.mode + "\n\ttimeout client 1s\n\ttimeout server 1s\n\ttimeout connect 1s\nfrontend f\n\tbind :80 " + tc.words + "\n"
		_, diags := Parse([]Source{{"t.cfg", []byte(text)}}, testOptions())
		var got []string
		for _, d := range diags {
			got = append(got, d.Level+" "+d.Text)
		}
		want := strings.TrimSpace(tc.level + " " + tc.text)
		if strings.Join(got, "; ") != want {
			t.Errorf("mode %s, %s: got %q, want %q", tc.mode, tc.words, got, want)
		}
	}
}
