package socket_test

import (
	"errors"
	"fmt"
	"testing"

	"gatehouse/internal/face/socket"
)

func TestGetVarShowsAVariableOfTheProcess(t *testing.T) {
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Var: func(name string) (string, string, bool) {
		return "sint", "<5>", name == "proc.n"
	}})
	addr := serveUnix(t, w, t.TempDir(), "operator")
	for command, want := range map[string]string{
		"get var proc.n": "proc.n: type=sint value=<5>\n\n", "get var proc.x": "Variable not found.\n\n", "get var": "Missing process-wide variable identifier.\n\n",
	} {
		if got := exchange(t, "unix", addr, command+"\n"); got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
}

// The texts are those of HAProxy 3.4.
func TestSetVarSetsAVariableOfTheProcess(t *testing.T) {
	var set []string
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Var: func(string) (string, string, bool) { return "", "", false },
		SetVar: func(name, text string, format bool) error {
			set = append(set, fmt.Sprint(name, " ", text, " ", format))
			if text == "foo" {
				return errors.New("unknown fetch method 'foo'")
			}
			return nil
		}})
	addr := serveUnix(t, w, t.TempDir(), "admin")
	for _, tc := range []struct{ command, want, set string }{
		{"set var proc.s str(b)", "This command is restricted to experimental mode only.\n\n", ""},
		{"experimental-mode on; set var", "\nMissing process-wide variable identifier.\n\n", ""},
		{"experimental-mode on; set var proc.s", "\nMissing either 'expr', 'fmt' or expression.\n\n", ""},
		{"experimental-mode on; set var proc.s str(b)", "\n\n", "proc.s str(b) false"},
		{"experimental-mode on; set var proc.s expr str(b) more", "\n\n", "proc.s str(b) false"},
		{"experimental-mode on; set var proc.s fmt a\\ b", "\n\n", "proc.s a b true"},
		{"experimental-mode on; set var proc.s foo bar", "\n'set var': arg type must be either 'expr' or 'fmt' but got 'foo'.\n\n", ""},
		{"experimental-mode on; set var proc.s foo", "\nunknown fetch method 'foo'\n\n", "proc.s foo false"},
	} {
		set = nil
		if got := exchange(t, "unix", addr, tc.command+"\n"); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.command, got, tc.want)
		}
		if got := fmt.Sprint(set); got != "["+tc.set+"]" {
			t.Errorf("%s: set %s, want [%s]", tc.command, got, tc.set)
		}
	}
}
