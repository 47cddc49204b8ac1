package socket

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Texts of prompt. A master has no single-command mode.
const (
	promptUsage = "Usage: prompt [help | n | i | p | timed]*\n" +
		"Changes the default prompt and interactive mode. Available options:\n" +
		"  help    display this help\n" +
		"  n       set to single-command mode (no prompt, single command)\n" +
		"  i       set to interactive mode only (no prompt, multi-command)\n" +
		"  p       set to prompt+interactive mode (prompt + multi-command)\n" +
		"  timed   toggle displaying the current date in the prompt\n" +
		"Without any argument, toggles between n/i->p, p->n.\n"
	severityUsage = "one of 'none', 'number', 'string' is a required argument"
)

// sessionCommands are about the connection itself; workers and masters have them.
func sessionCommands() []Command {
	return []Command{
		{Words: []string{"help"}, Level: User, Modes: InMaster | Hidden, Run: runHelp},
		{Words: []string{"prompt"}, Level: User, Modes: InMaster | Hidden, Run: runPrompt},
		{Words: []string{"quit"}, Level: User, Modes: InMaster | Hidden, Run: runQuit},
		{Words: []string{"operator"}, Level: Operator, Modes: InMaster, Quiet: 1, Usage: "operator",
			Help: "lower the level of the current CLI session to operator", Run: lower(Operator)},
		{Words: []string{"user"}, Level: User, Modes: InMaster, Quiet: 1, Usage: "user",
			Help: "lower the level of the current CLI session to user", Run: lower(User)},
		{Words: []string{"expert-mode"}, Level: Admin, Modes: InMaster | Hidden, Quiet: 2,
			Run: toggle("expert-mode", func(s *session) *bool { return &s.expert })},
		{Words: []string{"experimental-mode"}, Level: Admin, Modes: InMaster | Hidden, Quiet: 2,
			Run: toggle("experimental-mode", func(s *session) *bool { return &s.experimental })},
		{Words: []string{"set", "severity-output"}, Level: User, Quiet: 3,
			Usage: "set severity-output [none|number|string]", Help: "set presence of severity level in feedback information",
			Run: runSetSeverity},
		{Words: []string{"set", "timeout"}, Level: User, Usage: "set timeout [cli] <delay>", Help: "change a timeout setting",
			Run: runSetTimeout},
		{Words: []string{"show", "cli", "level"}, Level: User, Modes: InMaster, Usage: "show cli level",
			Help: "display the level of the current CLI session",
			Run:  func(_ context.Context, r *Request) { r.Msg(r.session.level.String()) }},
		{Words: []string{"echo"}, Level: User, Modes: InMaster, Usage: "echo <text>", Help: "print text to the output",
			Run: func(_ context.Context, r *Request) { r.Msg(r.rest(1)) }},
	}
}

func runHelp(_ context.Context, r *Request) { r.Msg(r.session.table.usage(r.Args, r.session)) }

func runQuit(_ context.Context, r *Request) { r.session.quit = true }

func runPrompt(_ context.Context, r *Request) {
	mode, timed := "", false
	for _, a := range r.Args[1:] {
		switch a {
		case "n", "i", "p":
			mode = a
		case "timed":
			timed = true
		case "help":
			r.Msg(promptUsage)
			return
		default:
			r.Err(promptUsage)
			return
		}
	}
	s := r.session
	if timed {
		s.timed = !s.timed
	}
	if mode == "" {
		mode = "p"
		if !timed && s.prompt && s.interactive {
			mode = "n"
		}
	}
	s.prompt, s.interactive = mode == "p", mode != "n"
}

// lower gives rights up for the rest of the session. The modes go with them.
func lower(to Level) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		s := r.session
		s.level, s.noAdmin = to, ""
		s.expert, s.experimental = false, false
	}
}

func toggle(name string, flag func(*session) *bool) func(context.Context, *Request) {
	return func(_ context.Context, r *Request) {
		f := flag(r.session)
		switch {
		case r.Args.At(1) != "":
			*f = r.Args.At(1) == "on"
		case *f:
			r.Msg(name + " is ON")
		default:
			r.Msg(name + " is OFF")
		}
	}
}

func runSetSeverity(_ context.Context, r *Request) {
	v, ok := ParseSeverity(r.Args.At(2))
	if r.Args.At(2) == "" || !ok {
		r.Err(severityUsage)
		return
	}
	r.session.severity = v
}

func runSetTimeout(_ context.Context, r *Request) {
	if r.Args.At(2) != "cli" {
		r.Err("'set timeout' only supports 'cli'.")
		return
	}
	if r.Args.At(3) == "" {
		r.Err("Expects an integer value.")
		return
	}
	d, ok := parseDelay(r.Args.At(3), time.Second)
	if !ok || d < time.Second {
		r.Err("Invalid timeout value.")
		return
	}
	r.session.conn.SetTimeout(d)
}

// maxDelay is the longest time HAProxy's 31-bit milliseconds hold.
const maxDelay = (1<<31 - 1) * time.Millisecond

// parseDelay reads a number with an optional unit us, ms, s, m, h or d; without one it counts in unit.
func parseDelay(text string, unit time.Duration) (time.Duration, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	units := map[string]time.Duration{"": unit, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
		"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	u, known := units[text[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n < 0 || n > int64(maxDelay/u) {
		return 0, false
	}
	return time.Duration(n) * u, true
}
