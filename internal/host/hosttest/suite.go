package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/host"
)

// Machine is one host under test.
type Machine struct {
	Host host.Host
	Dir  string // an empty directory of this host
	// Put makes a file as an operator would.
	Put func(name string, data []byte, mode fs.FileMode)
	// Faults is asked at every step that Host takes.
	Faults *Faults
}

// TestHost holds every implementation of host.Host to the contract.
func TestHost(t *testing.T, make func(t *testing.T) Machine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Machine)
	}{
		{"reads what is there and says what is not", testRead},
		{"tells sizes, modes and kinds", testStat},
		{"lists a directory sorted", testReadDir},
		{"replaces a file and keeps its mode less others", testReplace},
		{"keeps the old file when a step fails", testReplaceFails},
		{"has the old or the new file after dying at any step", testReplaceDies},
		{"replaces many files, each of them whole whatever step fails", testReplaceMany},
		{"removes a file and takes a missing one for removed", testRemove},
		{"makes directories with their parents", testMkdir},
		{"opens files of ours that exclude each other", testOpen},
		{"listens on tcp, unix and abstract sockets", testListen},
		{"replaces a unix socket without a moment without it", testListenUnixAgain},
		{"looks up names", testLookup},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, make(t)) })
	}
}

func read(t *testing.T, m Machine, name string) string {
	t.Helper()
	data, err := m.Host.ReadFile(name, 1<<20)
	if err != nil {
		t.Fatalf("ReadFile(%q): %v", name, err)
	}
	return string(data)
}

func testRead(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "a.pem")
	m.Put(name, []byte("content"), 0o600)
	if got := read(t, m, name); got != "content" {
		t.Errorf("ReadFile(%q) = %q, want %q", name, got, "content")
	}
	if _, err := m.Host.ReadFile(name, 6); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("ReadFile of 7 bytes with limit 6: %v, want ErrTooLarge", err)
	}
	if _, err := m.Host.ReadFile(name, 7); err != nil {
		t.Errorf("ReadFile of 7 bytes with limit 7: %v", err)
	}
	missing := filepath.Join(m.Dir, "missing")
	_, err := m.Host.ReadFile(missing, 1<<20)
	var path *fs.PathError
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) || !errors.As(err, &path) || path.Path != missing {
		t.Errorf("ReadFile(%q): %v, want a PathError with ENOENT", missing, err)
	}
	if _, err := m.Host.ReadFile(m.Dir, 1<<20); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("ReadFile of a directory: %v, want EISDIR", err)
	}
	if _, err := m.Host.ReadFile(filepath.Join(name, "below"), 1<<20); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("ReadFile below a file: %v, want ENOTDIR", err)
	}
}

func testStat(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "b.pem")
	m.Put(name, []byte("12345"), 0o640)
	info, err := m.Host.Stat(name)
	if err != nil || info.Size != 5 || info.Mode != 0o640 || info.Name != name || info.Ino == 0 || info.ModTime == 0 {
		t.Errorf("Stat(%q) = %+v, %v; want 5 bytes, mode 0640", name, info, err)
	}
	if info, err := m.Host.Lstat(m.Dir); err != nil || !info.Mode.IsDir() {
		t.Errorf("Lstat(%q) = %+v, %v; want a directory", m.Dir, info, err)
	}
	if _, err := m.Host.Stat(name + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of nothing: %v, want ErrNotExist", err)
	}
}

func testReadDir(t *testing.T, m Machine) {
	if names, err := m.Host.ReadDir(m.Dir); err != nil || len(names) != 0 {
		t.Errorf("ReadDir of an empty directory = %q, %v", names, err)
	}
	want := []string{".hidden", "Z", "a", "a.key", "ab\xff"}
	for _, n := range []string{"a", "ab\xff", "Z", "a.key", ".hidden"} {
		m.Put(filepath.Join(m.Dir, n), nil, 0o600)
	}
	names, err := m.Host.ReadDir(m.Dir)
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("ReadDir = %q, %v; want %q", names, err, want)
	}
	if _, err := m.Host.ReadDir(filepath.Join(m.Dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadDir of nothing: %v, want ErrNotExist", err)
	}
}

func testReplace(t *testing.T, m Machine) {
	fresh := filepath.Join(m.Dir, "fresh.pem")
	if err := m.Host.ReplaceFile(fresh, []byte("one"), 0o600); err != nil {
		t.Fatalf("ReplaceFile(%q): %v", fresh, err)
	}
	if info, err := m.Host.Stat(fresh); err != nil || info.Mode != 0o600 || read(t, m, fresh) != "one" {
		t.Errorf("new file: %+v, %v; want mode 0600 and the content", info, err)
	}
	old := filepath.Join(m.Dir, "old.pem")
	m.Put(old, []byte("old"), 0o664)
	big := strings.Repeat("x", 200<<10)
	if err := m.Host.ReplaceFile(old, []byte(big), 0o600); err != nil {
		t.Fatalf("ReplaceFile(%q): %v", old, err)
	}
	if info, err := m.Host.Stat(old); err != nil || info.Mode != 0o660 || read(t, m, old) != big {
		t.Errorf("replaced file: %+v, %v; want mode 0660 (0664 less others) and the content", info, err)
	}
	names, _ := m.Host.ReadDir(m.Dir)
	if want := []string{"fresh.pem", "old.pem"}; !slices.Equal(names, want) {
		t.Errorf("directory holds %q, want %q: no temporary file", names, want)
	}
	if err := m.Host.ReplaceFile(filepath.Join(m.Dir, "no", "dir"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReplaceFile in a missing directory: %v, want ErrNotExist", err)
	}
	if err := m.Host.ReplaceFile(m.Dir, nil, 0o600); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("ReplaceFile of a directory: %v, want EISDIR", err)
	}
}

func testReplaceFails(t *testing.T, m Machine) {
	for _, existing := range []bool{true, false} {
		name := filepath.Join(m.Dir, fmt.Sprintf("f-%v.pem", existing))
		if existing {
			m.Put(name, []byte("old"), 0o600)
		}
		before, _ := m.Host.ReadDir(m.Dir)
		steps := 0
		for n := 1; ; n++ {
			m.Faults.FailAt(n, syscall.ENOSPC)
			err := m.Host.ReplaceFile(name, []byte("new"), 0o600)
			if !m.Faults.Fired() || err == nil {
				// Past the last step, or at the clean-up, which cannot undo what is durable.
				break
			}
			steps++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("step %d failing with ENOSPC: %v", n, err)
			}
			after, _ := m.Host.ReadDir(m.Dir)
			if !slices.Equal(before, after) {
				t.Errorf("step %d (%v) failed: directory holds %q, want %q", n, m.Faults.Steps(), after, before)
			}
			if existing && read(t, m, name) != "old" {
				t.Errorf("step %d (%v) failed: content %q, want the old one", n, m.Faults.Steps(), read(t, m, name))
			}
		}
		if steps < 6 {
			t.Errorf("%d steps could fail, want create, write, owner, sync, rename, sync dir", steps)
		}
	}
}

func testReplaceDies(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "k.pem")
	m.Put(name, []byte("old"), 0o600)
	content := "old"
	for n := 1; ; n++ {
		next := fmt.Sprintf("new %d", n)
		m.Faults.KillAt(n)
		err := m.Host.ReplaceFile(name, []byte(next), 0o600)
		died, steps := m.Faults.Fired(), m.Faults.Steps()
		m.Faults.FailAt(0, nil)
		got := read(t, m, name)
		if !died {
			if err != nil || got != next {
				t.Fatalf("undisturbed ReplaceFile: %v, content %q, want %q", err, got, next)
			}
			break
		}
		if !errors.Is(err, host.ErrKilled) {
			t.Errorf("dying at step %d (%v): %v, want ErrKilled", n, steps, err)
		}
		if got != content && got != next {
			t.Errorf("dying at step %d (%v): content %q, want %q or %q", n, steps, got, content, next)
		}
		content = got
	}
	// What the dead left behind is gone with the next replacement of that file.
	if names, _ := m.Host.ReadDir(m.Dir); !slices.Equal(names, []string{"k.pem"}) {
		t.Errorf("directory holds %q, want only k.pem", names)
	}
}

func testRemove(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "r.pem")
	m.Put(name, nil, 0o600)
	for range 2 {
		if err := m.Host.Remove(name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
	}
	if _, err := m.Host.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v, want ErrNotExist", err)
	}
	if err := m.Host.Remove(m.Dir); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("Remove of a directory: %v, want EISDIR", err)
	}
}

func testMkdir(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "x", "y", "z")
	for range 2 {
		if err := m.Host.MkdirAll(name); err != nil {
			t.Fatalf("MkdirAll(%q): %v", name, err)
		}
	}
	if info, err := m.Host.Stat(filepath.Dir(name)); err != nil || info.Mode.Perm() != 0o700 || !info.Mode.IsDir() {
		t.Errorf("parent: %+v, %v; want a directory 0700", info, err)
	}
	file := filepath.Join(m.Dir, "file")
	m.Put(file, nil, 0o600)
	if err := m.Host.MkdirAll(file); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("MkdirAll of a file: %v, want ENOTDIR", err)
	}
}

func testOpen(t *testing.T, m Machine) {
	name := filepath.Join(m.Dir, "state.db")
	if _, err := m.Host.OpenFile(name, os.O_RDWR, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("OpenFile of nothing: %v, want ErrNotExist", err)
	}
	first, err := m.Host.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatalf("OpenFile(%q): %v", name, err)
	}
	defer first.Close()
	second, err := m.Host.OpenFile(name, os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("OpenFile(%q) again: %v", name, err)
	}
	defer second.Close()
	if err := syscall.Flock(int(first.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatalf("locking: %v", err)
	}
	if err := syscall.Flock(int(second.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("locking twice: %v, want EWOULDBLOCK", err)
	}
	if _, err := first.WriteAt([]byte("page"), 0); err != nil {
		t.Fatalf("writing: %v", err)
	}
	if got := read(t, m, name); got != "page" {
		t.Errorf("read back %q, want %q", got, "page")
	}
}

func testListen(t *testing.T, m Machine) {
	dir := t.TempDir()
	mode := uint32(0o600)
	for _, spec := range []host.ListenSpec{
		{Network: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:0"), UID: -1, GID: -1, DeferAccept: false, MSS: 1200},
		{Network: "unix", Path: filepath.Join(dir, "s.sock"), Mode: &mode, UID: -1, GID: -1, Backlog: 5},
		{Network: "abns", Path: filepath.Base(dir) + "-" + t.Name(), UID: -1, GID: -1},
	} {
		f, err := m.Host.Listen(spec)
		if err != nil {
			t.Errorf("Listen(%s): %v", spec, err)
			continue
		}
		dialAccept(t, f)
	}
	if info, err := os.Stat(filepath.Join(dir, "s.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket file: %v, %v; want mode 0600", info, err)
	}
	if _, err := m.Host.Listen(host.ListenSpec{Network: "unix", Path: filepath.Join(dir, "no", "s"), UID: -1, GID: -1}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Listen in a missing directory: %v, want ENOENT", err)
	}
	if _, err := m.Host.Listen(host.ListenSpec{Network: "carrier pigeon"}); err == nil {
		t.Error("Listen on an unknown network succeeded")
	}
}

// dialAccept connects to a listening socket once and closes it.
func dialAccept(t *testing.T, f *os.File) {
	t.Helper()
	ln, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatalf("FileListener: %v", err)
	}
	defer ln.Close()
	addr := ln.Addr()
	network, target := addr.Network(), addr.String()
	if network == "unix" && !strings.HasPrefix(target, "@") {
		target = strings.SplitAfter(target, ".sock")[0]
	}
	if name, abstract := strings.CutPrefix(target, "@"); abstract {
		target = host.AbstractName(name)
	}
	c, err := net.DialTimeout(network, target, 5*time.Second)
	if err != nil {
		t.Fatalf("connecting to %s: %v", target, err)
	}
	defer c.Close()
	a, err := ln.Accept()
	if err != nil {
		t.Fatalf("accepting on %s: %v", target, err)
	}
	a.Close()
}

func testListenUnixAgain(t *testing.T, m Machine) {
	path := filepath.Join(t.TempDir(), "again.sock")
	spec := host.ListenSpec{Network: "unix", Path: path, UID: -1, GID: -1}
	for range 2 {
		f, err := m.Host.Listen(spec)
		if err != nil {
			t.Fatalf("Listen(%s): %v", spec, err)
		}
		dialAccept(t, f)
	}
	plain := filepath.Join(filepath.Dir(path), "plain")
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Path = plain
	if _, err := m.Host.Listen(spec); err == nil {
		t.Error("Listen replaced a plain file")
	}
	if data, err := os.ReadFile(plain); err != nil || string(data) != "precious" {
		t.Errorf("plain file holds %q, %v", data, err)
	}
}

func testLookup(t *testing.T, m Machine) {
	addrs, err := m.Host.LookupIP(t.Context(), "127.0.0.1")
	if err != nil || !slices.Contains(addrs, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("LookupIP(127.0.0.1) = %v, %v", addrs, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if addrs, err := m.Host.LookupIP(ctx, "name.invalid"); err == nil {
		t.Errorf("LookupIP of a cancelled caller = %v", addrs)
	}
}

func testReplaceMany(t *testing.T, m Machine) {
	var files []host.File
	for i := range 5 {
		name := filepath.Join(m.Dir, fmt.Sprintf("many%d", i))
		if i != 2 {
			m.Put(name, []byte("old"), 0o644)
		}
		files = append(files, host.File{Name: name, Data: []byte("new"), Perm: 0o600})
	}
	for n := 1; ; n++ {
		if n > 200 {
			t.Fatal("no end of steps")
		}
		err := error(syscall.EIO)
		if n%2 == 0 {
			err = host.ErrKilled
		}
		m.Faults.FailAt(n, err)
		got := m.Host.ReplaceFiles(files)
		fired := m.Faults.Fired()
		m.Faults.FailAt(0, nil)
		if fired != (got != nil) {
			t.Fatalf("step %d failing: %v, want %v", n, fired, got)
		}
		for i, f := range files {
			data, err := m.Host.ReadFile(f.Name, 10)
			if string(data) != "new" && string(data) != "old" && !(i == 2 && errors.Is(err, fs.ErrNotExist)) {
				t.Fatalf("step %d failing: %s holds %q, %v", n, f.Name, data, err)
			}
		}
		if !fired {
			break
		}
	}
	for i, f := range files {
		want := fs.FileMode(0o640)
		if i == 2 {
			want = 0o600
		}
		if info, err := m.Host.Stat(f.Name); err != nil || info.Mode.Perm() != want || read(t, m, f.Name) != "new" {
			t.Errorf("%s has mode %v, %v; want %v and the new content", f.Name, info.Mode, err, want)
		}
	}
	if names, err := m.Host.ReadDir(m.Dir); err != nil || len(names) != len(files) {
		t.Errorf("the directory holds %q, %v; want nothing but the files", names, err)
	}
}
