package socket_test

import (
	"slices"
	"testing"

	"gatehouse/internal/face/socket"
)

// TestRateLimitsAreChanged has the answers of HAProxy 3.4.0.
func TestRateLimitsAreChanged(t *testing.T) {
	const usage = "'set rate-limit' only supports :\n" +
		"   - 'connections global' to set the per-process maximum connection rate\n" +
		"   - 'sessions global' to set the per-process maximum session rate\n" +
		"   - 'ssl-sessions global' to set the per-process maximum SSL session rate\n" +
		"   - 'http-compression global' to set the per-process maximum compression speed in kB/s\n\n"
	p := newFakeProcess()
	for _, row := range []struct{ command, want string }{
		{"set rate-limit", usage},
		{"set rate-limit foo", usage},
		{"set rate-limit sessions frontend 5", usage},
		{"set rate-limit sessions global", "Expects an integer value.\n\n"},
		{"set rate-limit sessions global -1", "Value out of range.\n\n"},
		{"set rate-limit sessions global 5", "\n"},
		{"set rate-limit connections global 6x", "\n"},
		{"set rate-limit ssl-sessions global x", "\n"},
		{"set rate-limit http-compression global 7", "\n"},
	} {
		w := newWorkerWith(t, socket.Options{Process: p})
		if got := talk(t, w, tcp("127.0.0.1:5"), socket.Admin, row.command+"\n"); got != row.want {
			t.Errorf("%s: %q, want %q", row.command, got, row.want)
		}
	}
	if want := []string{"sessions 5", "connections 6", "ssl-sessions 0", "http-compression 7"}; !slices.Equal(p.rates, want) {
		t.Errorf("set %q, want %q", p.rates, want)
	}
	w := newWorkerWith(t, socket.Options{Process: p})
	if got := talk(t, w, tcp("127.0.0.1:5"), socket.Operator, "set rate-limit sessions global 5\n"); got != "Permission denied\n\n" {
		t.Errorf("as operator: %q", got)
	}
}

// TestFramingIsThatOfHAProxy asks what HAProxy 3.4.0 was asked, and expects its bytes.
func TestFramingIsThatOfHAProxy(t *testing.T) {
	const (
		v      = "3.4.0\n\n"
		kept   = "kept\n\n"
		long   = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"
		digits = " 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3"
	)
	for _, row := range []struct{ what, request, want string }{
		{"separator", "show version;show version\n", v + v},
		{"empty commands", "; show version\n", "\n" + v},
		{"separator at the end", "show version;\n", v + "\n"},
		{"escaped separator", `echo a\;b` + "\n", "a;b\n\n"},
		{"escaped blank, joined blanks", `echo a\ b  c` + "\n", "a b c\n\n"},
		{"escaped backslash", `echo a\\b` + "\n", `a\b` + "\n\n"},
		{"escaped letter", `echo \x` + "\n", "x\n\n"},
		{"quotes are letters", `echo 'x' "y"` + "\n", `'x' "y"` + "\n\n"},
		{"tabs", "\tshow\tversion\t\n", v},
		{"empty line", "\n", "\n"},
		{"only the first line", "show version\nshow info\n", v},
		{"63 words more", "echo" + digits + "\n", digits[1:] + "\n\n"},
		{"64 words more", "echo" + digits + " 4\n", "Too many arguments. Commands must have at most 64 arguments.\n\n"},
		{"prompt", "prompt\nshow version\nquit\n", "\n> " + v + "> "},
		{"prompt in a chain", "prompt;show version\nquit\n", "\n" + v + "> "},
		{"prompt p", "prompt p\nshow version\nquit\n", "\n> " + v + "> "},
		{"prompt i", "prompt i\nshow version\nshow version\nquit\n", "\n" + v + v},
		{"prompt n", "prompt n\nshow version\n", "\n"},
		{"a chain under prompt", "prompt\nshow version;show version\nquit\n", "\n> " + v + v + "> "},
		{"quit", "show version;quit;show version\n", v},
		{"a payload", "keep <<\nabc\n\n", kept},
		{"a payload with a pattern", "keep <<E\nabc\n\n E\nE \nE\n", kept},
		{"64 letters of pattern", "keep <<" + long + "\nabc\n\n" + long + "\n", kept},
		{"a payload for the last command", "show version;keep <<E\nabc\n\nE\n", v + kept},
		{"no payload: no blank before", "echo a<<\n", "a<<\n\n"},
		{"no payload: not last", "echo a <<X; show version\n", "a <<X\n\n" + v},
		{"a payload under prompt", "prompt\nkeep <<\nabc\n\nshow version\nquit\n", "\n> " + kept + "> " + v + "> "},
	} {
		w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{payloads(make(chan []byte, 1))}})
		if got := talk(t, w, tcp("127.0.0.1:5"), socket.Admin, row.request); got != row.want {
			t.Errorf("%s: %q is answered\n%q, want\n%q", row.what, row.request, got, row.want)
		}
	}
}
