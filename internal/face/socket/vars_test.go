package socket_test

import (
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
