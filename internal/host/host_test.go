package host_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatehouse/internal/host"
	"gatehouse/internal/host/hosttest"
)

func put(t *testing.T) func(string, []byte, fs.FileMode) {
	return func(name string, data []byte, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirect(t *testing.T) {
	hosttest.TestHost(t, func(t *testing.T) hosttest.Machine {
		faults := &hosttest.Faults{}
		return hosttest.Machine{Host: host.Direct{Fault: faults.Step}, Dir: t.TempDir(), Put: put(t), Faults: faults}
	})
}

func TestMemory(t *testing.T) {
	hosttest.TestHost(t, func(t *testing.T) hosttest.Machine {
		faults := &hosttest.Faults{}
		m := hosttest.NewMemory()
		m.Fault = faults.Step
		if err := m.MkdirAll("/certs"); err != nil {
			t.Fatal(err)
		}
		return hosttest.Machine{Host: m, Dir: "/certs", Put: m.WriteFile, Faults: faults}
	})
}

// serve starts a Remote that asks h over a socketpair.
func serve(t *testing.T, h host.Host) *host.Remote {
	t.Helper()
	here, there, err := host.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	client, err := host.UnixConn(there)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	remote := host.NewRemote(client)
	var running sync.WaitGroup
	running.Go(func() { _ = host.Serve(ctx, here, h) })
	running.Go(func() { _ = remote.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return remote
}

func TestRemote(t *testing.T) {
	hosttest.TestHost(t, func(t *testing.T) hosttest.Machine {
		faults := &hosttest.Faults{}
		remote := serve(t, host.Direct{Fault: faults.Step})
		return hosttest.Machine{Host: remote, Dir: t.TempDir(), Put: put(t), Faults: faults}
	})
}

func TestRemoteAnswersManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	remote := serve(t, host.Direct{})
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			name := filepath.Join(dir, string(rune('a'+i%26))+strings.Repeat("x", i))
			want := strings.Repeat(name, 1+i*20)
			if err := remote.ReplaceFile(name, []byte(want), 0o600); err != nil {
				t.Errorf("ReplaceFile: %v", err)
			}
			f, err := remote.OpenFile(name, os.O_RDONLY, 0)
			if err != nil {
				t.Errorf("OpenFile: %v", err)
				return
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil || info.Name() != "received" || info.Size() != int64(len(want)) {
				t.Errorf("opened %v, %v; want %d bytes", info, err, len(want))
			}
			if got, err := remote.ReadFile(name, 1<<20); err != nil || string(got) != want {
				t.Errorf("ReadFile(%q) = %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		})
	}
	callers.Wait()
}

func TestRemoteFailsWhenTheMasterIsGone(t *testing.T) {
	here, there, err := host.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	client, err := host.UnixConn(there)
	if err != nil {
		t.Fatal(err)
	}
	remote := host.NewRemote(client)
	here.Close()
	if err := remote.Run(t.Context()); err == nil {
		t.Error("Run returned nil without a master")
	}
	if _, err := remote.ReadFile("/etc/passwd", 1<<20); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("ReadFile without a master: %v, want EPIPE", err)
	}
}

func TestLinkRefusesAMessageThatAnnouncesTooMuch(t *testing.T) {
	here, there, err := host.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	defer there.Close()
	if _, err := there.Write([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	var header struct{}
	if _, _, err := host.NewLink(here).Receive(&header); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("Receive: %v, want EMSGSIZE", err)
	}
}

func TestReplaceRefusesALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "archive.pem"), filepath.Join(dir, "live.pem")
	put(t)(target, []byte("old"), 0o600)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := (host.Direct{}).ReplaceFile(link, []byte("new"), 0o600); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("ReplaceFile of a link: %v, want ELOOP", err)
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "old" {
		t.Errorf("target holds %q, %v; want the old content", data, err)
	}
}

func TestGuardAllowsOnlyWhatTheConfigurationNames(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, d := range []string{"certs", "state", "etc"} {
		if err := os.Mkdir(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t)(at("etc", "shadow"), []byte("root"), 0o600)
	if err := os.Symlink(at("etc"), at("state", "out")); err != nil {
		t.Fatal(err)
	}
	g := host.NewGuard(host.Direct{})
	if err := g.ReplaceFile(at("certs", "a.pem"), nil, 0o600); !errors.Is(err, host.ErrDenied) {
		t.Errorf("without a policy: %v, want ErrDenied", err)
	}
	p := host.NewPolicy()
	p.Files[at("one.pem")] = true
	p.Dirs[at("certs")] = true
	p.Trees = []string{at("state"), at("new", "state")}
	p.Sockets[at("s.sock")] = true
	g.SetPolicy(p)
	h := serve(t, g)
	write := func(name string) error { return h.ReplaceFile(name, []byte("x"), 0o600) }
	open := func(name string) error {
		f, err := h.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			f.Close()
		}
		return err
	}
	listen := func(name string) error {
		f, err := h.Listen(host.ListenSpec{Network: "unix", Path: name, UID: -1, GID: -1})
		if err == nil {
			f.Close()
		}
		return err
	}
	for _, c := range []struct {
		what string
		err  error
		ok   bool
	}{
		{"named file", write(at("one.pem")), true},
		{"file beside it", write(at("two.pem")), false},
		{"file in a named directory", write(at("certs", "a.pem")), true},
		{"file below a named directory", write(at("certs", "sub", "a.pem")), false},
		{"way out by dots", write(at("certs") + "/../etc/shadow"), false},
		{"file below the tree", write(at("state", "v")), true},
		{"way out by a link", write(at("state", "out", "shadow")), false},
		{"removing elsewhere", h.Remove(at("etc", "shadow")), false},
		{"removing a named file", h.Remove(at("one.pem")), true},
		{"directory below the tree", h.MkdirAll(at("state", "a", "b")), true},
		{"tree with its parents", h.MkdirAll(at("new", "state")), true},
		{"directory elsewhere", h.MkdirAll(at("other")), false},
		{"directory out by a link", h.MkdirAll(at("state", "out", "d")), false},
		{"opening below the tree", open(at("state", "db")), true},
		{"opening a certificate to write", open(at("certs", "a.pem")), false},
		{"named socket", listen(at("s.sock")), true},
		{"other socket", listen(at("t.sock")), false},
	} {
		if c.ok && c.err != nil || !c.ok && !errors.Is(c.err, fs.ErrPermission) {
			t.Errorf("%s: %v, want allowed %v", c.what, c.err, c.ok)
		}
	}
	if data, err := os.ReadFile(at("etc", "shadow")); err != nil || string(data) != "root" {
		t.Errorf("protected file holds %q, %v", data, err)
	}
}

func TestInheritingGivesEachSocketOnceAndOpensTheRest(t *testing.T) {
	here, there, err := host.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	there.Close()
	here.Close()
	sock := filepath.Join(t.TempDir(), "x.sock")
	spec := host.ListenSpec{Network: "unix", Path: sock, UID: -1, GID: -1}
	tcp := host.ListenSpec{Network: "tcp", UID: -1, GID: -1}
	f, err := host.Direct{}.Listen(spec)
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Direct{}.Listen(tcp)
	if err != nil {
		t.Fatal(err)
	}
	in := host.NewInheriting(hosttest.NewMemory(), []*os.File{f, g})
	defer in.Close()
	if got, err := in.Listen(spec); err != nil || got != f {
		t.Errorf("first Listen(%s) = %v, %v; want the inherited socket", spec, got, err)
	}
	got, err := in.Listen(spec)
	if err != nil || got == f {
		t.Errorf("second Listen(%s) = %v, %v; want a new socket", spec, got, err)
	}
}

func TestGetsocksHandsOverListeningSockets(t *testing.T) {
	dir := t.TempDir()
	stats := filepath.Join(dir, "stats.sock")
	f, err := host.Direct{}.Listen(host.ListenSpec{Network: "unix", Path: stats, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	ln := listener(t, f)
	var files []*os.File
	for range 260 { // more than one batch
		f, err := host.Direct{}.Listen(host.ListenSpec{Network: "tcp", UID: -1, GID: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	var server sync.WaitGroup
	server.Go(func() {
		c, err := ln.AcceptUnix()
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer c.Close()
		line := make([]byte, len("_getsocks\n"))
		if _, err := c.Read(line); err != nil || string(line) != "_getsocks\n" {
			t.Errorf("asked %q, %v", line, err)
		}
		if err := host.SendSockets(c, files); err != nil {
			t.Errorf("SendSockets: %v", err)
		}
	})
	got, err := host.FetchSockets(stats)
	server.Wait()
	if err != nil || len(got) != len(files) {
		t.Fatalf("FetchSockets: %d sockets, %v; want %d", len(got), err, len(files))
	}
	// A blocking descriptor would be blocking for both processes, and the old one's Accept could not be woken any more.
	for _, f := range []*os.File{files[0], got[259]} {
		raw, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var flags uintptr
		if err := raw.Control(func(fd uintptr) { flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0) }); err != nil {
			t.Fatal(err)
		}
		if flags&syscall.O_NONBLOCK == 0 {
			t.Errorf("%s became blocking", f.Name())
		}
	}
	for i := range got {
		var a, b syscall.Stat_t
		if err := errors.Join(syscall.Fstat(int(got[i].Fd()), &a), syscall.Fstat(int(files[i].Fd()), &b)); err != nil || a.Ino != b.Ino {
			t.Errorf("socket %d is another one: inode %d, want %d (%v)", i, a.Ino, b.Ino, err)
		}
		got[i].Close()
	}
}

func TestRebootKeepsOnlyWhatIsDurable(t *testing.T) {
	m := hosttest.NewMemory()
	m.WriteFile("/c/a.pem", []byte("old"), 0o600)
	faults := &hosttest.Faults{}
	m.Fault = faults.Step
	for n := 1; ; n++ {
		faults.KillAt(n)
		err := m.ReplaceFile("/c/a.pem", []byte("new"), 0o600)
		data, rerr := m.Reboot(false).ReadFile("/c/a.pem", 100)
		if rerr != nil || string(data) != "old" && string(data) != "new" {
			t.Errorf("power lost at step %d: %q, %v", n, data, rerr)
		}
		if err == nil {
			if string(data) != "new" {
				t.Errorf("power lost after success: %q, want new", data)
			}
			return
		}
		m.Fault = nil
		m = m.Reboot(false)
		m.Fault = faults.Step
	}
}

func listener(t *testing.T, f *os.File) *net.UnixListener {
	t.Helper()
	ln, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.UnixListener)
}
