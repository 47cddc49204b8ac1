package app

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestParseArgsReadsHAProxysOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want Options
	}{
		{"-f a -f b -c -V", Options{Files: []string{"a", "b"}, Flags: Flags{Check: true, Verbose: true}}},
		{"-c -- a -b", Options{Files: []string{"a", "-b"}, Flags: Flags{Check: true}}},
		{"-cV -f a", Options{Files: []string{"a"}, Flags: Flags{Check: true}}},
		{"-Ws -f a -p pid -S /run/m.sock", Options{Files: []string{"a"}, MasterWorker: true, Systemd: true, Foreground: true, PidFile: "pid", MasterSockets: []string{"/run/m.sock"}}},
		{"-Ws -f a -c -q -S s", Options{Files: []string{"a"}, MasterWorker: true, Systemd: true, Foreground: true, Flags: Flags{Check: true, Quiet: true}, MasterSockets: []string{"s"}}},
		{"-d -W -dM -dI -dW -f a", Options{Files: []string{"a"}, MasterWorker: true, Flags: Flags{Debug: true, ZeroWarning: true}}},
		{"-D -f a -sf 1 22 -x /s", Options{Files: []string{"a"}, Daemon: true, OldPids: []int{1, 22}, OldSignal: syscall.SIGUSR1, OldSocket: "/s"}},
		{"-f a -st 7", Options{Files: []string{"a"}, OldPids: []int{7}, OldSignal: syscall.SIGTERM}},
		{"-f a -sf", Options{Files: []string{"a"}, OldSignal: syscall.SIGUSR1}},
		{"-n 12 -N 5x -m 3 -L peer -C /d -4 -dr -dV -dD -dR -dS -db -f a", Options{Files: []string{"a"}, Foreground: true, Chdir: "/d",
			Flags: Flags{MaxConn: 12, ProxyMaxConn: 5, LocalPeer: "peer", IgnoreUnresolved: true,
				ServerVerifyNone: true, Diag: true, NoReusePort: true}}},
		{"-n -c -f a", Options{Files: []string{"a"}}},
		{"-de -dp -dG -dZ -dF -dt h2 -f a", Options{Files: []string{"a"}}},
		{"-v -bogus", Options{Show: "v"}},
		{"-vvx", Options{Show: "vv"}},
		{"-vqb", Options{Show: "vqb"}},
	} {
		got, err := ParseArgs(strings.Fields(c.args))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ParseArgs(%q) = %+v, %v\nwant %+v", c.args, got, err, c.want)
		}
	}
}

func TestParseArgsSendsMistakesToTheUsage(t *testing.T) {
	for _, args := range []string{"x", "-f", "-", "-bogus", "-h", "-cc", "-p", "-sf 0", "-x", "-S", "f -c"} {
		if _, err := ParseArgs(strings.Fields(args)); !errors.Is(err, errUsage) {
			t.Errorf("ParseArgs(%q): %v, want the usage", args, err)
		}
	}
	for args, want := range map[string]string{
		"-sf 12a": "-sf option: some bytes unconsumed in PID list {12a}",
		"-dC":     "-dC is not supported: the configuration is not printed back",
	} {
		if _, err := ParseArgs(strings.Fields(args)); err == nil || err.Error() != want {
			t.Errorf("ParseArgs(%q): %v, want %q", args, err, want)
		}
	}
}
