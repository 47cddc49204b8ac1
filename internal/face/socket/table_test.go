package socket

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/runtimeapi"
)

func nothing(context.Context, *Request) {}

func TestACommandWithoutLevelDoesNotStart(t *testing.T) {
	good := Command{Words: []string{"a"}, Level: User, Usage: "a", Help: "a", Run: nothing}
	for _, tt := range []struct {
		name, want string
		change     func(*Command)
	}{
		{"no level", "has no level", func(c *Command) { c.Level = 0 }},
		{"a level that is none", "has no level", func(c *Command) { c.Level = Admin + 1 }},
		{"no words", "has 0 words", func(c *Command) { c.Words = nil }},
		{"an empty word", "words", func(c *Command) { c.Words = []string{"a", ""} }},
		{"nothing to run", "does nothing", func(c *Command) { c.Run = nil }},
		{"no help", "has no help", func(c *Command) { c.Help = "" }},
	} {
		bad := good
		tt.change(&bad)
		if _, err := NewTable(false, []Command{bad}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := NewTable(false, []Command{good}, []Command{good}); err == nil {
		t.Error("the same words twice: no error")
	}
}

// probe is a session that collects what is written.
func probe(t *Table, level Level) (*session, *strings.Builder) {
	var out strings.Builder
	a, _ := net.Pipe()
	s := &session{table: t, level: level, conn: runtimeapi.NewConn(a, runtimeapi.Options{}), out: bufio.NewWriter(&out)}
	return s, &out
}

// TestNoCommandRunsAboveItsLevel is the matrix of every command and every role, in a worker and in a master.
func TestNoCommandRunsAboveItsLevel(t *testing.T) {
	worker, err := NewWorker(Options{Process: noProcess{}, Certificates: noCertificates{}, ACME: noACME{}, Patterns: noPatterns})
	if err != nil {
		t.Fatal(err)
	}
	master, err := NewMaster(MasterOptions{Process: noMaster{}})
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, real := range []*Table{worker.Table(), master.Table()} {
		ran := ""
		watched := slices.Clone(real.Commands())
		for i := range watched {
			name := strings.Join(watched[i].Words, " ")
			watched[i].Run = func(context.Context, *Request) { ran = name }
		}
		table, err := NewTable(real.master, watched)
		if err != nil {
			t.Fatal(err)
		}
		for i := range watched {
			c := &watched[i]
			name := strings.Join(c.Words, " ")
			for _, extra := range []string{"", "all"} {
				args := Args(c.Words)
				if extra != "" {
					args = append(slices.Clone(args), extra)
				}
				for level := User; level <= Admin; level++ {
					s, out := probe(table, level)
					if !table.exists(c, s) {
						continue
					}
					ran = ""
					table.run(context.Background(), &Request{Args: args, session: s})
					_ = s.out.Flush()
					allowed := level >= c.level(args)
					if allowed != (ran == name) || !allowed && out.String() != "Permission denied\n" {
						t.Errorf("%q at level %s (needs %s): ran %q, answered %q", args, level, c.level(args), ran, out)
					}
					cells++
				}
			}
		}
	}
	if cells < 200 {
		t.Errorf("the matrix has %d cells only", cells)
	}
}

// levels are those that HAProxy 3.4.0 was seen to demand (surface 1.3), for what we have.
func TestCommandsDemandTheLevelsOfHAProxy(t *testing.T) {
	w, err := NewWorker(Options{Process: noProcess{}, Certificates: noCertificates{}, ACME: noACME{}, Patterns: noPatterns})
	if err != nil {
		t.Fatal(err)
	}
	want := map[Level]string{
		User: "help,prompt,quit,echo,show version,show info,show stat,show servers state,show servers conn,show resolvers,show backend,show cli sockets," +
			"show cli level,get weight,set timeout,set severity-output,user",
		Operator: "operator,show env,show errors,show sess,show startup-logs,show ssl cert,show ssl transaction,show ssl cert-history,show ssl ca-file,show ssl crl-file,show ssl jwt,clear counters",
	}
	for _, c := range w.Table().Commands() {
		name := strings.Join(c.Words, " ")
		level := Admin
		for l, names := range want {
			if slices.Contains(strings.Split(names, ","), name) {
				level = l
			}
		}
		if c.Level != level {
			t.Errorf("%s demands %s, want %s", name, c.Level, level)
		}
	}
}

func TestModesHideCommands(t *testing.T) {
	ran := 0
	run := func(context.Context, *Request) { ran++ }
	table, err := NewTable(false, []Command{
		{Words: []string{"show", "x"}, Level: User, Modes: Expert, Usage: "show x", Help: "x", Run: run},
		{Words: []string{"show", "y"}, Level: User, Modes: Experimental, Usage: "show y", Help: "y", Run: run},
		{Words: []string{"show", "z"}, Level: User, Modes: MasterOnly, Usage: "show z", Help: "z", Run: run},
	})
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{
		"x": "This command is restricted to expert mode only.\n",
		"y": "This command is restricted to experimental mode only.\n",
		"z": "Unknown command: 'show'",
	} {
		s, out := probe(table, Admin)
		table.run(context.Background(), &Request{Args: Args{"show", word}, session: s})
		_ = s.out.Flush()
		if !strings.HasPrefix(out.String(), want) || strings.Contains(out.String(), "show "+word+" ") {
			t.Errorf("show %s answered %q, want %q", word, out, want)
		}
	}
	if ran != 0 {
		t.Errorf("%d of them ran", ran)
	}
	s, _ := probe(table, Admin)
	s.expert, s.experimental = true, true
	for _, word := range []string{"x", "y"} {
		table.run(context.Background(), &Request{Args: Args{"show", word}, session: s})
	}
	if ran != 2 {
		t.Errorf("%d ran with both modes on, want 2", ran)
	}
}

func TestTheLongestWordsWin(t *testing.T) {
	ran := ""
	entry := func(words ...string) Command {
		return Command{Words: words, Level: User, Modes: Hidden, Run: func(context.Context, *Request) { ran = strings.Join(words, " ") }}
	}
	table, err := NewTable(false, []Command{entry("show"), entry("show", "ssl"), entry("show", "ssl", "cert")})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"show": "show", "show x": "show", "show ssl": "show ssl", "show ssl cert x": "show ssl cert"} {
		s, _ := probe(table, User)
		table.run(context.Background(), &Request{Args: strings.Fields(line), session: s})
		if ran != want {
			t.Errorf("%q ran %q, want %q", line, ran, want)
		}
	}
}

func TestAnUnknownCommandIsAnsweredWithNearOnes(t *testing.T) {
	w, err := NewWorker(Options{Process: noProcess{}, Certificates: noCertificates{}})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"show verison":   "  show version  ",
		"sho info":       "  show info ",
		"set ssl crt x":  "  set ssl cert ",
		"add ssl crtlst": "  add ssl crt-list ",
	} {
		s, out := probe(w.Table(), Admin)
		w.Table().run(context.Background(), &Request{Args: strings.Fields(line), session: s})
		_ = s.out.Flush()
		first, rest, _ := strings.Cut(out.String(), "\n")
		word := strings.Fields(line)[0]
		if first != "Unknown command: '"+shown(word)+"', but maybe one of the following ones is a better match:" ||
			!strings.Contains("\n"+rest, "\n"+want) || !strings.HasSuffix(rest, helpTail) || strings.Count(rest, "\n") > maxMatches+3 {
			t.Errorf("%q is answered %q, which lacks %q", line, out, want)
		}
	}
}

func TestHelpListsEveryVisibleCommandSorted(t *testing.T) {
	w, err := NewWorker(Options{Process: noProcess{}, Certificates: noCertificates{}, ACME: noACME{}, Patterns: noPatterns})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := probe(w.Table(), User)
	text := strings.TrimSuffix(w.Table().usage(Args{"help"}, s), helpTail)
	lines := strings.Split(strings.TrimSpace(text), "\n")[1:]
	if !slices.IsSorted(lines) {
		t.Errorf("not sorted:\n%s", text)
	}
	visible := 0
	for _, c := range w.Table().Commands() {
		if c.Modes&Hidden == 0 {
			visible++
			if !slices.Contains(lines, "  "+c.usageLine()) {
				t.Errorf("%q is missing", c.usageLine())
			}
		}
	}
	if len(lines) != visible {
		t.Errorf("%d lines for %d commands", len(lines), visible)
	}
}

func FuzzTable(f *testing.F) {
	w, err := NewWorker(Options{Process: noProcess{}})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"show verison", "help", "help show", "expert-mode on;bogus", "", "\x00", "prompt timed"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := runtimeapi.Words(line)
		if err != nil || len(words) == 0 {
			return
		}
		s, _ := probe(w.Table(), User)
		if c := w.Table().find(words, s); c != nil && c.Modes&Hidden == 0 {
			return // known: what it does needs a process
		}
		if text := w.Table().usage(words, s); !strings.HasSuffix(text, helpTail) {
			t.Errorf("%q is answered %q", words, text)
		}
	})
}

// Processes of which only that they exist is asked.
type (
	noProcess      struct{ Process }
	noMaster       struct{ MasterProcess }
	noCertificates struct{ Certificates }
	noACME         struct{ ACME }
)

var _ io.Writer = (*Request)(nil)
