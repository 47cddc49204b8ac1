package socket

import (
	"flag"
	"fmt"
	"gatehouse/internal/table"
	"os"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/engine"
	"gatehouse/internal/pattern"
)

// pageHead is the part of docs/runtime-api.md that no table knows.
const pageHead = `# Runtime API

Written from the command tables in ` + "`internal/face/socket`" + `; run ` + "`go test ./internal/face/socket -run RuntimeAPIPage -update-page`" + ` to
rewrite it. Commands, answers and texts are those of HAProxy 3.4 (management guide, section 9.3) where HAProxy has them.
[differences.md](differences.md) says where we part.

## Asking

    echo "show ssl cert" | socat - /run/haproxy/admin.sock
    echo "@1 show info; show proc" | socat - /run/haproxy/master.sock
    socat /run/haproxy/admin.sock readline              # then: prompt

- A connection that did not say ` + "`prompt`" + ` runs one line and is closed. Commands on a line are separated by ` + "`;`" + `.
- Every answer ends with an empty line. An answer that is only the empty line is success.
- Words are separated by blanks; ` + "`\\`" + ` and quotes protect blanks and ` + "`;`" + `.
- A last word ` + "`<<`" + ` starts a payload that ends with an empty line, ` + "`<<END`" + ` one that ends with a line ` + "`END`" + `:

      printf 'set ssl cert /etc/gatehouse/site.pem <<%%EOF%%\n%s\n%%EOF%%\n' "$(cat new.pem)" | socat - /run/haproxy/admin.sock
      echo "commit ssl cert /etc/gatehouse/site.pem" | socat - /run/haproxy/admin.sock

- ` + "`set severity-output number`" + ` marks messages with their syslog level; 0 to 3 are failures.
- Bounds: a line of ` + "`tune.bufsize`" + ` bytes (16384), a payload of ` + "`tune.cli.max-payload-size`" + ` bytes (16 MiB), ` + "`stats maxconn`" + `
  connections at a time (10, others wait), ` + "`stats timeout`" + ` for each wait (10 s).

Level ` + "`user`" + ` reads, ` + "`operator`" + ` also reads what is confidential and clears maxima, ` + "`admin`" + ` changes. A command above the connection's level
is answered "Permission denied" and does nothing.
`

var updatePage = flag.Bool("update-page", false, "rewrite docs/runtime-api.md")

// page writes docs/runtime-api.md.
func page(worker, master *Table) string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("\n## On a stats socket\n\n")
	pageTable(&b, worker, func(c *Command) bool { return c.Modes&MasterOnly == 0 })
	b.WriteString("\n## On the master's socket (`-S`)\n\nA command after `@1` goes to the worker; `@1` alone, or `@1` before `prompt`, sends all that follow there.\n\n")
	pageTable(&b, master, func(c *Command) bool { return c.Modes&(InMaster|MasterOnly) != 0 })
	return b.String()
}

func pageTable(b *strings.Builder, t *Table, here func(*Command) bool) {
	b.WriteString("| Command | Level | What it does |\n|---|---|---|\n")
	rows := make([]string, 0, len(t.Commands()))
	for i := range t.Commands() {
		c := &t.Commands()[i]
		if !here(c) || strings.HasPrefix(c.Words[0], "_") { // between processes of ours
			continue
		}
		usage, help := c.Usage, c.Help
		if c.Modes&Hidden != 0 && usage == "" {
			usage, help = strings.Join(c.Words, " "), hiddenHelp[c.Words[0]]
		}
		level := c.Level.String()
		if all := slices.Concat(c.Words, []string{"all"}); c.level(all) > c.Level {
			level += ", `all`: " + c.level(all).String()
		}
		switch {
		case c.Modes&Expert != 0:
			level += ", expert-mode"
		case c.Modes&Experimental != 0:
			level += ", experimental-mode"
		}
		usage = strings.ReplaceAll(usage, " (DEPRECATED)", "")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", strings.ReplaceAll(strings.Join(strings.Fields(usage), " "), "|", `\|`), level, strings.ReplaceAll(help, "<", `\<`)))
	}
	slices.Sort(rows)
	b.WriteString(strings.Join(rows, ""))
}

// hiddenHelp describes what help does not list as a command, or lists by itself.
var hiddenHelp = map[string]string{
	"help":              "list matching or all commands",
	"prompt":            "toggle interactive mode with prompt",
	"quit":              "disconnect",
	"expert-mode":       "show or change expert mode: `on` or `off`",
	"experimental-mode": "show or change experimental mode: `on` or `off`",
}

func TestRuntimeAPIPageIsCurrent(t *testing.T) {
	worker, err := NewWorker(Options{Process: noProcess{}, Certificates: noCertificates{}, ACME: noACME{}, Patterns: noPatterns, Var: func(string) (string, string, bool) { return "", "", false }, Tables: func() []*table.Table { return nil }, Sinks: func() []engine.Sink { return nil }, Tickets: func() []*engine.TicketFile { return nil }, Names: (*engine.Engine)(nil)})
	if err != nil {
		t.Fatal(err)
	}
	master, err := NewMaster(MasterOptions{Process: noMaster{}})
	if err != nil {
		t.Fatal(err)
	}
	const name = "../../../docs/runtime-api.md"
	want := page(worker.Table(), master.Table())
	if *updatePage {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s is not what the command tables say (%v); run go test ./internal/face/socket -run RuntimeAPIPage -update-page", name, err)
	}
	if i := strings.Index(want, "| |\n"); i >= 0 || strings.Contains(want, "|  |\n") {
		t.Errorf("a command has no description:\n%s", want)
	}
}

func noPatterns() *pattern.Refs { return nil }
