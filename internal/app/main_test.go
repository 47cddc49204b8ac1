package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/host"
)

const head = "[NOTICE]   (PID) : haproxy version is 3.4.0\n[NOTICE]   (PID) : path to executable is EXE\n"

func TestOneShotRunsAnswerAsHAProxy(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "ok.cfg", configText("", "f", "127.0.0.1:1"))
	write(t, dir, "bad.cfg", "frontend f\n    bindx :1\n    bind 127.0.0.1:1\n    mode http\n")
	write(t, dir, "warn.cfg", "frontend f\n    bind 127.0.0.1:1\n    mode http\n")
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "d/b.cfg", "frontend f\n    bindx :1\n")
	write(t, dir, "d/.hidden.cfg", "nonsense\n")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string // whole; with a trailing ~ a prefix
		stderr string // whole; with a trailing ~ a prefix
	}{
		{[]string{"-c", "-f", "ok.cfg"}, 0, "", ""},
		{[]string{"-c", "-V", "-f", "ok.cfg"}, 0, "Configuration file is valid\n", ""},
		{[]string{"-Ws", "-f", "ok.cfg", "-c", "-q", "-S", "/run/m.sock"}, 0, "", ""},
		{[]string{"-c", "-V", "-f", "warn.cfg"}, 0, "Warnings were found.\nConfiguration file is valid\n", head + "[WARNING]  (PID) : missing timeouts for frontend 'f'.\n~"},
		{[]string{"-c", "-f", "bad.cfg"}, 1, "", head +
			"[ALERT]    (PID) : config : parsing [bad.cfg:2] : unknown keyword 'bindx' in 'frontend' section; did you mean 'bind' maybe ?\n" +
			"[ALERT]    (PID) : config : Error(s) found in configuration file : bad.cfg\n" +
			"[ALERT]    (PID) : config : Fatal errors found in configuration.\n"},
		{[]string{"-c", "-f", "d"}, 1, "", head +
			"[ALERT]    (PID) : config : parsing [d/b.cfg:2] : unknown keyword 'bindx' in 'frontend' section; did you mean 'bind' maybe ?\n~"},
		{[]string{"-q", "-c", "-f", "bad.cfg"}, 1, "", ""},
		{[]string{"-c", "-f", "/nonexistent"}, 1, "", head + "[ALERT]    (PID) : config : Cannot open configuration file/directory /nonexistent : No such file or directory\n"},
		{[]string{"-C", "/nonexistent", "-c", "-f", "ok.cfg"}, 1, "", head + "[ALERT]    (PID) : Could not change to directory /nonexistent : No such file or directory\n"},
		{[]string{"-C", "d", "-c", "-f", "../ok.cfg"}, 0, "", ""},
		{[]string{"-cc", "feature(OPENSSL)"}, 0, "", ""},
		{[]string{"-dM", "-dI", "-dW", "-cc", "version_atleast(9)"}, 1, "", ""},
		{[]string{"-cc", "1 rrr"}, 2, "", head + "[ALERT]    (PID) : Failed to evaluate condition: unexpected character 'r' at the end of conditional expression '1 rrr'\n"},
		{[]string{"-cc", `"a`}, 2, "", head + "[ALERT]    (PID) : Syntax Error in condition: Unmatched quote.\n"},
		{[]string{"-cc", "ssllib_name_startswith(OpenSSL)"}, 0, "", ""},
		{[]string{"-cc", "openssl_version_atleast(1.1.1)"}, 0, "", ""},
		{[]string{"-cc", "openssl_version_atleast(3.0.0)"}, 1, "", ""},
		{nil, 1, "HAProxy version 3.4.0 2026/06/03 - https://haproxy.org/\n~", "Usage : haproxy [-f <cfgfile|cfgdir>]* ~"},
		{[]string{"-h"}, 1, "HAProxy version 3.4.0 ~", "Usage : haproxy ~"},
		{[]string{"-c"}, 1, "HAProxy version 3.4.0 ~", "Usage : haproxy ~"},
		{[]string{"-x"}, 1, "HAProxy version 3.4.0 ~", head + "[ALERT]    (PID) : Unix socket path expected with the -x flag\n~"},
		{[]string{"-v"}, 0, "HAProxy version 3.4.0 2026/06/03 - https://haproxy.org/\nGatehouse 0.1.0~", ""},
		{[]string{"-vq"}, 0, "3.4.0\n", ""},
		{[]string{"-vqb"}, 0, "3.4\n", ""},
		{[]string{"-db", "-f", "ok.cfg", "-S", "/nonexistent/s", "-W"}, 1, "", head +
			"[ALERT]    (PID) : Binding [master-socket:0] for proxy MASTER: No such file or directory for [/nonexistent/s].\n[ALERT]    (PID) : Can't create the master's CLI.\n"},
		{[]string{"-db", "-f", "ok.cfg", "-S", "/nonexistent/s,zz", "-W"}, 1, "", head + "[ALERT]    (PID) : '/nonexistent/s zz' : ~"},
		{[]string{"-db", "-f", "ok.cfg", "-x", "/nonexistent"}, 1, "", head +
			"[WARNING]  (PID) : Failed to connect to the old process socket '/nonexistent'\n[ALERT]    (PID) : Failed to get the sockets from the old process!\n"},
		{[]string{"-db", "-dW", "-f", "warn.cfg"}, 1, "", head + "[WARNING]  (PID) : missing timeouts for frontend 'f'.\n~"},
	} {
		p := newProgram(t, dir, c.args...).start()
		code, stderr := p.end()
		if stderr != "" {
			stderr += "\n"
		}
		stderr = strings.ReplaceAll(strings.ReplaceAll(stderr, "("+strconv.Itoa(p.Process.Pid)+")", "(PID)"), exe, "EXE")
		if code != c.code || !matches(p.out.String(), c.stdout) || !matches(stderr, c.stderr) {
			t.Errorf("haproxy %q: exit %d, stdout %q, stderr %q\nwant exit %d, stdout %q, stderr %q", c.args, code, p.out.String(), stderr, c.code, c.stdout, c.stderr)
		}
	}
}

func matches(got, want string) bool {
	if prefix, ok := strings.CutSuffix(want, "~"); ok {
		return strings.HasPrefix(got, prefix)
	}
	return got == want
}

func TestZeroWarningEndsWithHAProxysLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "warn.cfg", "frontend f\n    bind 127.0.0.1:1\n    mode http\n")
	p := newProgram(t, dir, "-c", "-dW", "-f", "warn.cfg").start()
	code, stderr := p.end()
	if code != 1 || !strings.HasSuffix(stderr, " : Some warnings were found and 'zero-warning' is set. Aborting.") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestBuildOptionsAreWhatScriptsParse(t *testing.T) {
	p := newProgram(t, t.TempDir(), "-dM", "-dI", "-dW", "-vv").start()
	if code, stderr := p.end(); code != 0 || stderr != "" {
		t.Fatalf("exit %d, stderr %q", code, stderr)
	}
	for _, want := range []string{`^HAProxy version 3\.4\.0 `, `(?m)^  TARGET  = linux-glibc$`, `(?m)^Feature list : .*\+OPENSSL.* \+THREAD`, `-QUIC `,
		`(?m)^Built with SSL library version : OpenSSL 1\.1\.1 \(compatible; Go crypto/tls`, `(?m)^Available filters :$`} {
		if !regexp.MustCompile(want).MatchString(p.out.String()) {
			t.Errorf("-vv has no %q:\n%s", want, p.out.String())
		}
	}
}

func TestAloneEndsAsTheSignalSays(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		code int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGUSR1, 0}} {
		dir := t.TempDir()
		write(t, dir, "a.cfg", configText("", "one", "fd@3"))
		p := newProgram(t, dir, "-d", "-f", "a.cfg", "-p", "pid")
		addr := p.inherit()
		p.start()
		if name, pid := dial(t, "tcp", addr).who(t); name != "one" || pid != p.Process.Pid {
			t.Errorf("served by %s %d, want one %d", name, pid, p.Process.Pid)
		}
		p.signal(c.sig)
		code, stderr := p.end()
		status := p.ProcessState.Sys().(syscall.WaitStatus)
		if code != c.code || status.Signaled() != (c.code != 0) {
			t.Errorf("%v: exit %d, signaled %v, want %d; stderr %s", c.sig, code, status.Signaled(), c.code, stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil {
			t.Error("a process in the foreground wrote a pid file")
		}
	}
}

func TestAloneReloadsAndKeepsWhatDoesNotLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.cfg", configText("", "one", "fd@3"))
	p := newProgram(t, dir, "-db", "-f", "a.cfg")
	addr := p.inherit()
	p.start()
	c := dial(t, "tcp", addr)
	c.who(t)
	write(t, dir, "a.cfg", configText("", "two", "fd@3"))
	p.signal(syscall.SIGUSR2)
	p.waitFor(`\[NOTICE\]   \(\d+\) : Loading success\.$`)
	if name, pid := c.again(t); name != "two" || pid != p.Process.Pid {
		t.Errorf("after reload: %s %d, want two %d", name, pid, p.Process.Pid)
	}
	write(t, dir, "a.cfg", configText("", "three", "fd@3")+" bogus\n")
	p.signal(syscall.SIGUSR2)
	p.waitFor(`unknown keyword 'bogus'`)
	p.waitFor(`Loading failed`)
	if name, _ := c.again(t); name != "two" {
		t.Errorf("after a reload that failed: %s, want two", name)
	}
	p.signal(syscall.SIGHUP)
	p.waitFor(`SIGHUP received`)
	p.signal(syscall.SIGTTOU)
	p.waitFor(`paused`)
	p.signal(syscall.SIGTTIN)
	p.waitFor(`resumed`)
}

func TestDaemonIsReadyWhenItsLauncherReturns(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "f.sock")
	write(t, dir, "a.cfg", configText(" daemon", "one", sock))
	p := newProgram(t, dir, "-f", "a.cfg", "-p", "pid").start()
	if code, stderr := p.end(); code != 0 {
		t.Fatalf("launcher: exit %d, %s", code, stderr)
	}
	pid := pidOf(t, filepath.Join(dir, "pid"))
	c := dial(t, "unix", sock)
	if _, got := c.who(t); got != pid || pid == p.Process.Pid {
		t.Errorf("served by %d, pid file %d, launcher %d", got, pid, p.Process.Pid)
	}
	if sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); int(sid) != pid {
		t.Errorf("daemon's session is %d, want its own (%d)", sid, pid)
	}
	// A second one takes over and ends the first.
	q := newProgram(t, dir, "-D", "-f", "a.cfg", "-p", "pid", "-st", strconv.Itoa(pid)).start()
	if code, stderr := q.end(); code != 0 {
		t.Fatalf("second launcher: exit %d, %s", code, stderr)
	}
	if _, err := c.ReadString('\n'); err == nil {
		t.Error("the first daemon still serves")
	}
	next := pidOf(t, filepath.Join(dir, "pid"))
	d := dial(t, "unix", sock)
	if _, got := d.who(t); got != next || next == pid {
		t.Errorf("served by %d, pid file %d, want the second daemon", got, next)
	}
	if err := syscall.Kill(next, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = d.ReadString('\n') // until it is gone
}

func TestDaemonThatDoesNotStartFailsItsLauncher(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.cfg", configText("", "one", filepath.Join(dir, "none", "f.sock")))
	p := newProgram(t, dir, "-D", "-f", "a.cfg").start()
	code, stderr := p.end()
	if code != 1 || !regexp.MustCompile(`(?s)Binding \[a\.cfg:\d+\] for frontend one.*Some protocols failed to start.*Process \d+ exited with code 1 \(Exit\)`).MatchString(stderr) {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

// TestACheckKnowsStatsSocketsThatCannotBe has lines that only the start found wrong once.
func TestACheckKnowsStatsSocketsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]string{
		"unix@a.sock user nosuch-user":   "'stats socket' : unknown user name 'nosuch-user'",
		"unix@a.sock group nosuch-group": "'stats socket' : unknown group name 'nosuch-group'",
		"nosuch.invalid:99":              "'stats socket' : could not resolve address 'nosuch.invalid'",
		"fd@77":                          "'stats socket' : cannot use file descriptor '77' : Bad file descriptor",
		"127.0.0.1:1 ssl":                "'stats socket' : 'ssl' is not supported on stats sockets.",
		"127.0.0.1:1 accept-proxy":       "'stats socket' : 'accept-proxy' is not supported on stats sockets.",
	} {
		write(t, dir, "a.cfg", "global\n stats socket "+line+"\n"+configText("", "f", "127.0.0.1:1"))
		o, err := ParseArgs([]string{"-c", "-f", filepath.Join(dir, "a.cfg")})
		if err != nil {
			t.Fatal(err)
		}
		sources, err := readSources(host.Direct{}, o.Files)
		if err != nil {
			t.Fatal(err)
		}
		p := &process{o: o, print: NewPrinter(t.Output()), newEngine: NewHouse, sources: sources}
		if code := p.check(t.Context()); code != 1 || !strings.Contains(p.print.Attempt(), "a.cfg:2] : "+want) {
			t.Errorf("%q: exit %d and\n%s\nwant %q", line, code, p.print.Attempt(), want)
		}
	}
}
