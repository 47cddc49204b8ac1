package config

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite recorded files; for testdata/diagnostics.txt $HAPROXY must name HAProxy 3.4's program")

const diagnosticsFile = "testdata/diagnostics.txt"

// recording is one case of testdata/diagnostics.txt.
type recording struct {
	name, text, want string
}

func readRecordings(t *testing.T) (head string, cases []recording) {
	t.Helper()
	data, err := os.ReadFile(diagnosticsFile)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(data), "\n=== ")
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		text, want, ok := strings.Cut(rest, "\n---\n")
		if !ok {
			t.Fatalf("case %q has no ---", name)
		}
		text += "\n"
		if trimmed, cut := strings.CutSuffix(text, "\\\n"); cut {
			text = trimmed
		}
		cases = append(cases, recording{name, text, strings.TrimRight(want, "\n")})
	}
	return strings.TrimPrefix(parts[0], "\n"), cases
}

func testOptions() ParseOptions {
	return ParseOptions{
		Env: map[string]string{"HOME": "/root"}, Version: "3.4.0", TLSName: "OpenSSL 3.0.22", TLSVersion: "3.0.22",
		Features: map[string]bool{"OPENSSL": true, "THREAD": true},
	}
}

func parseText(text string) (*Config, Diags) {
	return Parse([]Source{{Name: "F", Data: []byte(text)}}, testOptions())
}

func printDiags(d Diags) string {
	var b strings.Builder
	for _, x := range d {
		fmt.Fprintf(&b, "[%s] %s\n", x.Level, x.Text)
	}
	return strings.TrimRight(b.String(), "\n")
}

func TestDiagnosticsReadAsHAProxysOwn(t *testing.T) {
	head, cases := readRecordings(t)
	if *update && os.Getenv("HAPROXY") != "" {
		record(t, head, cases)
		return
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, diags := parseText(c.text)
			if got := printDiags(diags); got != c.want {
				t.Errorf("configuration:\n%s\ngot:\n%s\nwant:\n%s", c.text, got, c.want)
			}
		})
	}
}

var (
	levelPrefix = regexp.MustCompile(`(?m)^\[([A-Z]+)\] +\(\d+\) : `)
	frameLine   = regexp.MustCompile(`haproxy version is|path to executable|Fatal errors found|Error\(s\) found|will not start|` +
		`Automatically setting|^Warnings were found|Option 'expose-experimental`)
)

// record asks HAProxy for every case again.
func record(t *testing.T, head string, cases []recording) {
	t.Helper()
	dir := t.TempDir()
	out := head
	for _, c := range cases {
		if err := os.WriteFile(filepath.Join(dir, "F"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Getenv("HAPROXY"), "-c", "-f", "F")
		cmd.Dir, cmd.Env = dir, []string{"HOME=/root"}
		raw, _ := cmd.CombinedOutput() // it exits with 1: these are errors
		var keep []string
		for line := range strings.SplitSeq(levelPrefix.ReplaceAllString(string(raw), "[$1] "), "\n") {
			if !frameLine.MatchString(line) {
				keep = append(keep, line)
			}
		}
		text := c.text
		if !strings.HasSuffix(text, "\n") {
			text += "\\\n"
		}
		out += "\n=== " + c.name + "\n" + text + "---\n" + strings.Trim(strings.Join(keep, "\n"), "\n")
	}
	if err := os.WriteFile(diagnosticsFile, []byte(strings.TrimPrefix(out, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
