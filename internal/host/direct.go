package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"
)

// readTimeout bounds one ReadFile on something that is not a regular file, such as a FIFO whose writer never comes.
const readTimeout = 30 * time.Second

// ErrTooLarge means that a file is longer than the limit its reader gave.
var ErrTooLarge = errors.New("file too large")

// Direct does everything in this process, with this process's rights. The zero value is ready to use.
type Direct struct {
	// Fault, when set, is asked before each step that changes the disk and may fail it (see Step); tests only.
	Fault func(step Step, name string) error
}

var _ Host = Direct{}

func (d Direct) before(step Step, name string) error {
	if d.Fault == nil {
		return nil
	}
	if err := d.Fault(step, name); err != nil {
		return &fs.PathError{Op: string(step), Path: name, Err: err}
	}
	return nil
}

// ReadFile reads a regular file, or a pipe such as the shell's <(...) until its end.
func (d Direct) ReadFile(name string, limit int64) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: name, Err: err} }
	// Without O_NONBLOCK, opening a FIFO would block this thread until somebody opens the other end.
	fd, err := retry(func() (int, error) {
		return syscall.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		_ = syscall.Close(fd)
		return fail(err)
	}
	var data []byte
	switch kind := st.Mode & syscall.S_IFMT; {
	case kind == syscall.S_IFREG && st.Size > limit:
		err = ErrTooLarge
	case kind == syscall.S_IFREG:
		// Not through os.File, whose additional calls are for the poller, which cannot watch such files: a start with many certificates
		// consists of this.
		data, err = readAll(st.Size, limit, func(p []byte) (int, error) { return retry(func() (int, error) { return syscall.Read(fd, p) }) })
	case kind == syscall.S_IFDIR:
		err = syscall.EISDIR
	default:
		f := os.NewFile(uintptr(fd), name)
		defer f.Close()
		// Files that the poller cannot watch have no deadline and need none: they do not block.
		_ = f.SetReadDeadline(time.Now().Add(readTimeout))
		data, err = readAll(0, limit, f.Read)
		if err != nil && err != ErrTooLarge {
			return nil, err
		}
		fd = -1
	}
	if fd >= 0 {
		_ = syscall.Close(fd)
	}
	if err != nil {
		return fail(err)
	}
	return data, nil
}

// retry makes a call again that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != syscall.EINTR {
			return n, err
		}
	}
}

// readAll reads to the end of a file whose size is known, or 0 when it is not.
func readAll(size, limit int64, read func([]byte) (int, error)) ([]byte, error) {
	data := make([]byte, 0, size+512)
	for {
		n, err := read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case n == 0 || size > 0 && len(data) < cap(data):
			return data, nil // a regular file gives all that was asked for, except at its end
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

func (d Direct) Stat(name string) (Info, error) {
	info, err := os.Stat(name)
	return infoOf(name, info), err
}

func (d Direct) Lstat(name string) (Info, error) {
	info, err := os.Lstat(name)
	return infoOf(name, info), err
}

func infoOf(name string, info fs.FileInfo) Info {
	if info == nil {
		return Info{}
	}
	out := Info{Name: name, Size: info.Size(), Mode: info.Mode(), ModTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		out.UID, out.GID, out.Ino = int(st.Uid), int(st.Gid), st.Ino
	}
	return out
}

func (d Direct) ReadDir(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	return names, nil
}

func (d Direct) Remove(name string) error {
	if err := d.before(StepUnlink, name); err != nil {
		return err
	}
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.EISDIR}
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.syncDir(filepath.Dir(name))
}

func (d Direct) MkdirAll(name string) error {
	name = filepath.Clean(name)
	info, err := os.Stat(name)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(name)
	if parent != name {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := d.before(StepMkdir, name); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent)
}

func (d Direct) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&(os.O_CREATE|os.O_WRONLY|os.O_RDWR|os.O_TRUNC) != 0 {
		if err := d.before(StepOpen, name); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, flag|syscall.O_NOFOLLOW, perm)
}

// LookupIP asks the machine's resolver; IPv4 answers are plain IPv4, in the resolver's order.
func (d Direct) LookupIP(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("looking up %s: no address", name)
	}
	return addrs, nil
}
