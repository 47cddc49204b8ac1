package app

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// startMaster runs -Ws with a frontend on an inherited descriptor and a master socket, and waits until it is ready.
func startMaster(t *testing.T, dir, global string, args ...string) (p *program, addr string, notified func(string)) {
	t.Helper()
	write(t, dir, "a.cfg", configText(global, "one", "fd@3"))
	p = newProgram(t, dir, append([]string{"-Ws", "-f", "a.cfg", "-p", "pid", "-S", "unix@m.sock,mode,600"}, args...)...)
	addr = p.inherit()
	notified = p.notifySocket()
	p.start()
	notified(fmt.Sprintf(`^READY=1\nMAINPID=%d\nSTATUS=Ready\.\n$`, p.Process.Pid))
	return p, addr, notified
}

func TestMasterKeepsItsWorkerAcrossReloads(t *testing.T) {
	dir := t.TempDir()
	p, addr, notified := startMaster(t, dir, "")
	if pid := pidOf(t, filepath.Join(dir, "pid")); pid != p.Process.Pid {
		t.Errorf("pid file holds %d, want the master's %d", pid, p.Process.Pid)
	}
	c := dial(t, "tcp", addr)
	_, worker := c.who(t)
	if worker == p.Process.Pid {
		t.Error("the master serves clients")
	}
	sock := filepath.Join(dir, "m.sock")
	proc := func(reloads, failed, lived int) {
		t.Helper()
		want := regexp.MustCompile(fmt.Sprintf(`^#<PID> +<type> +<reloads> +<uptime> +<version> *\n%d +master +%d \[failed: %d\] +0d00h0\dm\d\ds +3\.4\.0 *\n# workers\n%d +worker +%d +0d00h0\dm\d\ds +3\.4\.0 *\n\n$`,
			p.Process.Pid, reloads, failed, worker, lived))
		if got := ask(t, sock, "show proc"); !want.MatchString(got) {
			t.Errorf("show proc = %q, want %s", got, want)
		}
	}
	proc(0, 0, 0)

	write(t, dir, "a.cfg", configText("", "two", "fd@3"))
	p.signal(syscall.SIGUSR2)
	notified(`^RELOADING=1\nSTATUS=Reloading Configuration\.\nMONOTONIC_USEC=\d+\n$`)
	notified(fmt.Sprintf(`^READY=1\nMAINPID=%d\n`, p.Process.Pid))
	if name, pid := c.again(t); name != "two" || pid != worker {
		t.Errorf("connection from before: %s %d, want two %d", name, pid, worker)
	}
	proc(1, 0, 1)

	write(t, dir, "a.cfg", configText("", "three", "fd@3")+" bogus\n")
	answer := ask(t, sock, "reload")
	if !regexp.MustCompile(`(?s)^Success=0\n--\n.*\[NOTICE\] .*Reloading HAProxy\n.*\[ALERT\] .*unknown keyword 'bogus'.*Fatal errors found.*\n.*keeps serving\.\n\n$`).MatchString(answer) {
		t.Errorf("reload of a bad configuration: %q", answer)
	}
	notified(`^RELOADING=1`)
	notified(`^READY=1`)
	if name, pid := c.again(t); name != "two" || pid != worker {
		t.Errorf("after the reload that failed: %s %d, want two %d", name, pid, worker)
	}
	proc(2, 1, 2)
	if logs := ask(t, sock, "show startup-logs"); !strings.Contains(logs, "unknown keyword 'bogus'") {
		t.Errorf("show startup-logs = %q", logs)
	}

	write(t, dir, "a.cfg", configText("", "four", "fd@3"))
	if answer := ask(t, sock, "hard-reload"); !strings.HasPrefix(answer, "Success=1\n--\n") || !strings.Contains(answer, "Loading success.") {
		t.Errorf("reload: %q", answer)
	}
	if name, pid := dial(t, "tcp", addr).who(t); name != "four" || pid != worker {
		t.Errorf("new connection: %s %d, want four %d", name, pid, worker)
	}
	proc(3, 0, 3)
	p.signal(syscall.SIGINT)
	if code, stderr := p.end(); code != 130 || !regexp.MustCompile(`(?s)Exiting Master process\.\.\..*Current worker \(\d+\) exited with code 130 \(Interrupt\).*All workers exited\. Exiting\.\.\. \(130\)`).MatchString(stderr) {
		t.Errorf("SIGINT: exit %d, stderr %s", code, stderr)
	}
}

func TestMasterSocketReachesTheWorker(t *testing.T) {
	dir := t.TempDir()
	p, addr, _ := startMaster(t, dir, "")
	_, worker := dial(t, "tcp", addr).who(t)
	sock := filepath.Join(dir, "m.sock")
	for _, prefix := range []string{"@1", fmt.Sprintf("@!%d", worker)} {
		if got := ask(t, sock, prefix+" whoami"); !strings.Contains(got, fmt.Sprintf(" %d\n", worker)) && !strings.Contains(got, fmt.Sprintf("[whoami] %d\n", worker)) {
			t.Errorf("%s: %q, want the worker %d", prefix, got, worker)
		}
	}
	if got := ask(t, sock, "@1 reload"); !strings.Contains(got, "true true") {
		t.Errorf("a reload that the worker asks for: %q", got)
	}
	if got := ask(t, sock, "@1 env HAPROXY_MASTER_CLI"); !strings.Contains(got, "unix@m.sock") {
		t.Errorf("HAPROXY_MASTER_CLI: %q", got)
	}
	if got := ask(t, sock, "@1 env HAPROXY_MWORKER"); !strings.Contains(got, "1\n") {
		t.Errorf("HAPROXY_MWORKER: %q", got)
	}
	if info, err := os.Stat(sock); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("master socket: %v, %v; want mode 0600", info, err)
	}
	p.signal(syscall.SIGTERM)
	if code, stderr := p.end(); code != 0 {
		t.Errorf("SIGTERM: exit %d, stderr %s", code, stderr)
	}
}

func TestMasterFollowsItsWorkerIntoDeath(t *testing.T) {
	for _, c := range []struct {
		sig    syscall.Signal
		code   int
		stderr string
	}{
		{syscall.SIGKILL, 137, `(?s)\[ALERT\] .*Current worker \(\d+\) exited with code 137 \(Killed\).*exit-on-failure: killing every processes with SIGTERM.*All workers exited\. Exiting\.\.\. \(137\)`},
		{syscall.SIGUSR1, 0, `(?s)Current worker \(\d+\) exited with code 0 \(Exit\).*All workers exited\. Exiting\.\.\. \(0\)`},
	} {
		p, addr, _ := startMaster(t, t.TempDir(), "")
		_, worker := dial(t, "tcp", addr).who(t)
		if err := syscall.Kill(worker, c.sig); err != nil {
			t.Fatal(err)
		}
		if code, stderr := p.end(); code != c.code || !regexp.MustCompile(c.stderr).MatchString(stderr) {
			t.Errorf("worker got %v: master exit %d, want %d; stderr %s", c.sig, code, c.code, stderr)
		}
	}
}

func TestWorkerDoesNotOutliveItsMaster(t *testing.T) {
	p, addr, _ := startMaster(t, t.TempDir(), "")
	c := dial(t, "tcp", addr)
	c.who(t)
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadString('\n'); err == nil {
		t.Error("the worker still serves")
	}
}

func TestMasterThatCannotLoadExits(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "bad.cfg", "frontend f\n    bindx :1\n")
	p := newProgram(t, dir, "-W", "-db", "-f", "bad.cfg").start()
	code, stderr := p.end()
	if code != 1 || !regexp.MustCompile(`(?s)Initializing new worker \((\d+)\).*unknown keyword 'bindx'.*Failed to load worker \(\d+\) exited with code 1 \(Exit\)$`).MatchString(stderr) {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

func TestMasterDaemonReleasesItsLauncher(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "f.sock")
	write(t, dir, "a.cfg", configText("", "one", sock))
	p := newProgram(t, dir, "-D", "-W", "-f", "a.cfg", "-p", "pid").start()
	if code, stderr := p.end(); code != 0 {
		t.Fatalf("exit %d, stderr %s", code, stderr)
	}
	master := pidOf(t, filepath.Join(dir, "pid"))
	c := dial(t, "unix", sock)
	if _, worker := c.who(t); worker == master || worker == p.Process.Pid {
		t.Errorf("served by %d; master %d, launcher %d", worker, master, p.Process.Pid)
	}
	if err := syscall.Kill(master, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadString('\n'); err == nil {
		t.Error("the worker still serves")
	}
}

// TestWorkerWithoutRights is Debian's configuration: chroot, user, group. What the worker cannot do any more, the master does for
// it, and only where the configuration says so.
func TestWorkerWithoutRights(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "jail"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	cert, secret := write(t, dir, "certs/site.pem", "old"), write(t, dir, "secret", "root only")
	if err := os.Chmod(cert, 0o600); err != nil {
		t.Fatal(err)
	}
	global := fmt.Sprintf(" chroot %s/jail\n user nobody\n group nogroup\n daemon\n", dir)
	p, addr, notified := startMaster(t, dir, global)
	_, worker := dial(t, "tcp", addr).who(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", worker))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^Name:\thaproxy$`, `(?m)^Uid:\t65534\t65534\t65534\t65534$`, `(?m)^Gid:\t65534\t65534\t65534\t65534$`, `(?m)^Groups:\t *$`, noNewPrivs(), `(?m)^CapEff:\t0+$`} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("worker's status has no %q:\n%s", want, status)
		}
	}
	if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", worker)); err != nil || root != filepath.Join(dir, "jail") {
		t.Errorf("worker's root is %q, %v", root, err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d/mem", worker), &st); err != nil || st.Uid != 0 {
		t.Errorf("worker's /proc belongs to %d, %v: it is dumpable", st.Uid, err)
	}
	sock := filepath.Join(dir, "m.sock")
	allowed := func(command string, ok bool) {
		t.Helper()
		got := ask(t, sock, "@1 "+command)
		if ok != strings.Contains(got, "<nil>") {
			t.Errorf("%s: %q, want allowed %v", command, got, ok)
		}
	}
	allowed("see "+cert, false) // it cannot by itself
	allowed("read "+cert, true)
	allowed("write "+cert, false)
	write(t, dir, "a.cfg", configText(global, "two", fmt.Sprintf("fd@3 ssl crt %s\n bind %s/late.sock", cert, dir)))
	p.signal(syscall.SIGHUP)
	notified(`^RELOADING=1`)
	notified(`^READY=1[^~]*STATUS=Ready`)
	allowed("write "+cert, true)
	allowed("write "+secret, false)
	if data, err := os.ReadFile(cert); err != nil || string(data) != "written" {
		t.Errorf("certificate holds %q, %v", data, err)
	}
	if name, pid := dial(t, "unix", filepath.Join(dir, "late.sock")).who(t); name != "two" || pid != worker {
		t.Errorf("socket opened after the drop: %s %d, want two %d", name, pid, worker)
	}
	p.signal(syscall.SIGUSR1)
	if code, stderr := p.end(); code != 0 {
		t.Errorf("soft stop: exit %d, stderr %s", code, stderr)
	}
}

// noNewPrivs is what the status of a worker says. With cgo, which only tests are built with, Go cannot reach all threads.
func noNewPrivs() string {
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); errno == syscall.ENOTSUP {
		return `(?m)^NoNewPrivs:`
	}
	return `(?m)^NoNewPrivs:\t1$`
}

func TestAloneDropsItsRightsOnceItListens(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	sock := filepath.Join(dir, "f.sock")
	write(t, dir, "a.cfg", configText(" chroot auto\n uid 65534\n gid 65534", "one", sock))
	p := newProgram(t, dir, "-D", "-f", "a.cfg", "-p", "pid").start()
	if code, stderr := p.end(); code != 0 {
		t.Fatalf("exit %d, stderr %s", code, stderr)
	}
	c := dial(t, "unix", sock)
	_, pid := c.who(t)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/", pid)) // a directory that is removed may not be listed at all
	if len(entries) != 0 {
		t.Errorf("root directory holds %v, %v; want nothing", entries, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.Contains(string(status), "Uid:\t65534\t65534\t65534\t65534") {
		t.Errorf("status: %s, %v", status, err)
	}
}

func TestHardStopAfterBoundsASoftStop(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.cfg", configText(" hard-stop-after 1ms", "one", "fd@3"))
	p := newProgram(t, dir, "-db", "-f", "a.cfg")
	p.Env = append(p.Env, lingerVar+"=1")
	addr := p.inherit()
	p.start()
	dial(t, "tcp", addr).who(t)
	p.signal(syscall.SIGUSR1)
	if code, stderr := p.end(); code != 0 || !strings.Contains(stderr, "performing a hard-stop") {
		t.Errorf("exit %d, stderr %s", code, stderr)
	}
}

// needRoot skips a test that drops rights; where every test must run, not being root is a failure.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all":
		t.Fatal("dropping rights can only be tested as root")
	default:
		t.Skip("needs root to drop rights")
	}
}
