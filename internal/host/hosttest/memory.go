package hosttest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"gatehouse/internal/host"
)

// Memory is a host whose files are in memory. It takes the same steps as host.Direct and keeps two states: what a process sees,
// and what would be there after a loss of power. Sockets are real; names are looked up in Hosts. Make one with NewMemory.
type Memory struct {
	Fault func(step host.Step, name string) error // as host.Direct's
	Hosts map[string][]netip.Addr

	mu      sync.Mutex
	seen    map[string]*node // what processes see, by clean absolute path
	durable map[string]*node // what survives a loss of power
	// unsynced are changes of names since their directory was synced, by directory.
	unsynced map[string][]change
	clock    int64
	ino      uint64
}

// node is one file or directory. A file's content is a memfd only when somebody opened it.
type node struct {
	dir     bool
	data    []byte
	synced  bool // data survives a loss of power
	fd      *os.File
	mode    fs.FileMode
	uid     int
	gid     int
	ino     uint64
	modTime int64
}

var _ host.Host = (*Memory)(nil)

// NewMemory returns a host with an empty root directory.
func NewMemory() *Memory {
	m := &Memory{Hosts: map[string][]netip.Addr{}, seen: map[string]*node{}, durable: map[string]*node{}}
	m.seen["/"] = m.newNode(true, 0o755)
	m.durable["/"] = m.seen["/"]
	return m
}

func (m *Memory) newNode(dir bool, mode fs.FileMode) *node {
	m.ino++
	m.clock++
	return &node{dir: dir, mode: mode, ino: m.ino, modTime: m.clock * 1e9}
}

// WriteFile puts a file there as an operator would, with its missing directories, durably and without steps.
func (m *Memory) WriteFile(name string, data []byte, mode fs.FileMode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = clean(name)
	for dir := path.Dir(name); m.seen[dir] == nil; dir = path.Dir(dir) {
		m.seen[dir] = m.newNode(true, 0o755)
		m.durable[dir] = m.seen[dir]
	}
	n := m.newNode(false, mode)
	n.data, n.synced = append([]byte(nil), data...), true
	m.seen[name], m.durable[name] = n, n
}

// Reboot returns the host as it is after a loss of power: only what was made durable is left. lucky keeps also what a kernel
// may have written on its own account.
func (m *Memory) Reboot(lucky bool) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := NewMemory()
	after.Hosts, after.clock, after.ino = m.Hosts, m.clock, m.ino
	from := m.durable
	if lucky {
		from = m.seen
	}
	for name, n := range from {
		copied := *n
		copied.data = n.content()
		copied.fd = nil
		after.seen[name], after.durable[name] = &copied, &copied
	}
	return after
}

func clean(name string) string { return path.Join("/", name) }

func (n *node) content() []byte {
	if n.fd == nil {
		return n.data
	}
	info, err := n.fd.Stat()
	if err != nil {
		return nil
	}
	data := make([]byte, info.Size())
	k, _ := n.fd.ReadAt(data, 0)
	return data[:k]
}

func (m *Memory) before(step host.Step, name string) error {
	if m.Fault == nil {
		return nil
	}
	if err := m.Fault(step, name); err != nil {
		return pathError(string(step), name, err)
	}
	return nil
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// findLocked returns what has a name, or why nothing can.
func (m *Memory) findLocked(op, name string) (*node, error) {
	at := clean(name)
	if n := m.seen[at]; n != nil {
		return n, nil
	}
	for dir := path.Dir(at); ; dir = path.Dir(dir) {
		if n := m.seen[dir]; n != nil {
			if !n.dir {
				return nil, pathError(op, name, syscall.ENOTDIR)
			}
			return nil, pathError(op, name, syscall.ENOENT)
		}
	}
}

func (m *Memory) ReadFile(name string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, pathError("read", name, syscall.EISDIR)
	}
	data := n.content()
	if int64(len(data)) > limit {
		return nil, pathError("read", name, host.ErrTooLarge)
	}
	return append([]byte{}, data...), nil
}

func (m *Memory) Stat(name string) (host.Info, error)  { return m.info("stat", name) }
func (m *Memory) Lstat(name string) (host.Info, error) { return m.info("lstat", name) }

func (m *Memory) info(op, name string) (host.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked(op, name)
	if err != nil {
		return host.Info{}, err
	}
	info := host.Info{Name: name, Size: int64(len(n.content())), Mode: n.mode, ModTime: n.modTime, UID: n.uid, GID: n.gid, Ino: n.ino}
	if n.dir {
		info.Mode |= fs.ModeDir
	}
	return info, nil
}

func (m *Memory) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("open", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, pathError("readdir", name, syscall.ENOTDIR)
	}
	var names []string
	for other := range m.seen {
		if other != "/" && path.Dir(other) == clean(name) {
			names = append(names, path.Base(other))
		}
	}
	sort.Strings(names)
	return names, nil
}

// ReplaceFile goes through the steps of host.Direct's. The temporary file is visible, as there.
func (m *Memory) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := clean(name)
	old := m.seen[at]
	if old != nil && old.dir {
		return pathError("replace", name, syscall.EISDIR)
	}
	if _, err := m.findLocked("open", path.Dir(at)); err != nil {
		return err
	}
	if err := m.before(host.StepCreate, name); err != nil {
		return err
	}
	tmp := path.Join(path.Dir(at), "."+path.Base(at)+".gatehouse-tmp")
	n := m.newNode(false, 0o600)
	m.seen[tmp] = n
	m.noteLocked(effect{tmp, n})
	err := m.fillLocked(n, old, name, data, perm)
	if err == nil {
		err = m.publishLocked(tmp, at, name, old, n)
	}
	if !errors.Is(err, host.ErrKilled) {
		m.dropLocked(tmp)
	}
	return err
}

// dropLocked removes a name, if it is there.
func (m *Memory) dropLocked(at string) {
	if m.seen[at] != nil {
		delete(m.seen, at)
		m.noteLocked(effect{at, nil})
	}
}

// ReplaceFiles takes the steps of host.Direct's: all are written, then all renamed, then each directory is synced.
func (m *Memory) ReplaceFiles(files []host.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	var staged []*stagedFile
	for _, f := range files {
		st, err := m.stageLocked(f)
		if st != nil {
			staged = append(staged, st)
		}
		errs = append(errs, err)
		if errors.Is(err, host.ErrKilled) {
			return err
		}
	}
	dirs := map[string]bool{}
	for _, st := range staged {
		if err := m.before(host.StepRename, st.name); err != nil {
			errs = append(errs, err)
			if errors.Is(err, host.ErrKilled) {
				return err
			}
		} else {
			m.seen[st.at] = st.n
			delete(m.seen, st.tmp)
			m.noteLocked(effect{st.at, st.n}, effect{st.tmp, nil})
			dirs[path.Dir(st.at)] = true
		}
		m.dropLocked(st.tmp)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		err := m.syncDirLocked(dir)
		errs = append(errs, err)
		if errors.Is(err, host.ErrKilled) {
			return err
		}
	}
	return errors.Join(errs...)
}

type stagedFile struct {
	name, at, tmp string
	n             *node
}

// stageLocked makes the temporary file of f; nil when that fails.
func (m *Memory) stageLocked(f host.File) (*stagedFile, error) {
	st := &stagedFile{name: f.Name, at: clean(f.Name)}
	old := m.seen[st.at]
	if old != nil && old.dir {
		return nil, pathError("replace", f.Name, syscall.EISDIR)
	}
	if _, err := m.findLocked("open", path.Dir(st.at)); err != nil {
		return nil, err
	}
	if err := m.before(host.StepCreate, f.Name); err != nil {
		return nil, err
	}
	st.tmp = path.Join(path.Dir(st.at), "."+path.Base(st.at)+".gatehouse-tmp")
	st.n = m.newNode(false, 0o600)
	m.seen[st.tmp] = st.n
	m.noteLocked(effect{st.tmp, st.n})
	if err := m.fillLocked(st.n, old, f.Name, f.Data, f.Perm); err != nil {
		if !errors.Is(err, host.ErrKilled) {
			m.dropLocked(st.tmp)
		}
		return nil, err
	}
	return st, nil
}

// Watch does not exist in memory.
func (m *Memory) Watch([]string) (*os.File, []int32, error) {
	return nil, nil, pathError("inotify", "", syscall.ENOSYS)
}

func (m *Memory) fillLocked(n, old *node, name string, data []byte, perm fs.FileMode) error {
	if err := m.before(host.StepWrite, name); err != nil {
		return err
	}
	n.data = append([]byte(nil), data...)
	if err := m.before(host.StepOwner, name); err != nil {
		return err
	}
	n.mode = perm.Perm()
	if old != nil {
		n.mode, n.uid, n.gid = old.mode&^0o007, old.uid, old.gid
	}
	if err := m.before(host.StepSync, name); err != nil {
		return err
	}
	n.synced = true
	return nil
}

func (m *Memory) publishLocked(tmp, at, name string, old, n *node) error {
	if err := m.before(host.StepRename, name); err != nil {
		return err
	}
	m.seen[at] = n
	if old != nil {
		m.seen[tmp] = old
	} else {
		delete(m.seen, tmp)
	}
	m.noteLocked(effect{at, n}, effect{tmp, old})
	if err := m.syncDirLocked(path.Dir(at)); err != nil {
		if !errors.Is(err, host.ErrKilled) {
			delete(m.seen, at)
			if old != nil {
				m.seen[at] = old
			}
			m.noteLocked(effect{at, old})
		}
		return err
	}
	if err := m.before(host.StepClean, name); errors.Is(err, host.ErrKilled) {
		return err
	}
	return nil
}

// syncDirLocked makes the names directly in dir durable as they are now.
func (m *Memory) syncDirLocked(dir string) error {
	if err := m.before(host.StepSyncDir, dir); err != nil {
		return err
	}
	delete(m.unsynced, dir)
	for name := range m.durable {
		if path.Dir(name) == dir && name != "/" && m.seen[name] == nil {
			delete(m.durable, name)
		}
	}
	for name, n := range m.seen {
		if path.Dir(name) == dir {
			m.durable[name] = n
		}
	}
	return nil
}

func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.before(host.StepUnlink, name); err != nil {
		return err
	}
	at := clean(name)
	n := m.seen[at]
	if n == nil {
		return nil
	}
	if n.dir {
		return pathError("remove", name, syscall.EISDIR)
	}
	m.dropLocked(at)
	return m.syncDirLocked(path.Dir(at))
}

func (m *Memory) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mkdirLocked(clean(name))
}

func (m *Memory) mkdirLocked(at string) error {
	if n := m.seen[at]; n != nil {
		if !n.dir {
			return pathError("mkdir", at, syscall.ENOTDIR)
		}
		return nil
	}
	if err := m.mkdirLocked(path.Dir(at)); err != nil {
		return err
	}
	if err := m.before(host.StepMkdir, at); err != nil {
		return err
	}
	m.seen[at] = m.newNode(true, 0o700)
	m.noteLocked(effect{at, m.seen[at]})
	return m.syncDirLocked(path.Dir(at))
}

// OpenFile gives an open file description of its own, so that locks of two opens exclude each other. What is written through it
// counts as durable.
func (m *Memory) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findLocked("open", name)
	switch {
	case err == nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, pathError("open", name, syscall.EEXIST)
	case err == nil && n.dir:
		return nil, pathError("open", name, syscall.EISDIR)
	case err != nil && flag&os.O_CREATE == 0:
		return nil, err
	}
	if flag&(os.O_CREATE|os.O_WRONLY|os.O_RDWR|os.O_TRUNC) != 0 {
		if err := m.before(host.StepOpen, name); err != nil {
			return nil, err
		}
	}
	if err != nil {
		if _, err := m.findLocked("open", path.Dir(clean(name))); err != nil {
			return nil, err
		}
		n = m.newNode(false, perm)
		n.synced = true
		m.seen[clean(name)], m.durable[clean(name)] = n, n
	}
	if n.fd == nil {
		fd, err := unix.MemfdCreate("hosttest", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		n.fd = os.NewFile(uintptr(fd), name)
		if _, err := n.fd.Write(n.data); err != nil {
			return nil, err
		}
	}
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(n.fd.Fd())), flag&^(os.O_CREATE|os.O_EXCL), 0)
}

// Listen opens a real socket.
func (m *Memory) Listen(spec host.ListenSpec) (*os.File, error) { return host.Direct{}.Listen(spec) }

// LookupIP looks into Hosts.
func (m *Memory) LookupIP(ctx context.Context, name string) ([]netip.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr}, nil
	}
	if addrs := m.Hosts[strings.ToLower(name)]; len(addrs) > 0 && ctx.Err() == nil {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
