package host

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// listens makes the temporary names of unix sockets of one process differ.
var listens atomic.Uint64

// Listen opens, binds and listens. The descriptor is close-on-exec and non-blocking.
func (d Direct) Listen(spec ListenSpec) (*os.File, error) {
	var f *os.File
	var err error
	switch spec.Network {
	case "tcp":
		f, err = listenTCP(spec)
	case "unix":
		f, err = listenUnix(spec)
	case "abns":
		f, err = listenAbstract(spec)
	default:
		err = unix.EPROTONOSUPPORT
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", spec, err)
	}
	return f, nil
}

// String is the address as the configuration would write it.
func (s ListenSpec) String() string {
	if s.Network == "tcp" {
		return s.Addr.String()
	}
	return s.Network + "@" + s.Path
}

// Key is the same for sockets at the same address that are opened alike.
func (s ListenSpec) Key() string {
	mode := -1
	if s.Mode != nil {
		mode = int(*s.Mode)
	}
	type fields ListenSpec // without String
	f := fields(s)
	f.Mode = nil
	return fmt.Sprintf("%+v mode %o", f, mode)
}

// backlogMax lets the kernel cut the backlog at net.core.somaxconn.
const backlogMax = 65535

func (s ListenSpec) backlog() int {
	if s.Backlog > 0 {
		return min(s.Backlog, backlogMax)
	}
	return backlogMax
}

func newSocket(family int) (*os.File, int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(fd), "listener"), fd, nil
}

func listenTCP(spec ListenSpec) (*os.File, error) {
	addr := spec.Addr.Addr()
	if !addr.IsValid() {
		addr = netip.IPv4Unspecified()
	}
	addr = addr.Unmap()
	var sa unix.Sockaddr
	family := unix.AF_INET
	if addr.Is4() {
		sa = &unix.SockaddrInet4{Port: int(spec.Addr.Port()), Addr: addr.As4()}
	} else {
		family = unix.AF_INET6
		zone, err := zoneID(addr.Zone())
		if err != nil {
			return nil, err
		}
		sa = &unix.SockaddrInet6{Port: int(spec.Addr.Port()), Addr: addr.As16(), ZoneId: zone}
	}
	f, fd, err := newSocket(family)
	if err != nil {
		return nil, err
	}
	if err := bindTCP(fd, family, sa, spec); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	data, err := os.ReadFile("/sys/class/net/" + strings.ReplaceAll(zone, "/", "_") + "/ifindex")
	if err != nil {
		return 0, unix.ENODEV
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 32)
	return uint32(n), err
}

type sockopt struct {
	when         bool
	level, name  int
	value        int
	call         string
	optionalFail bool // not every kernel or address has it, and the socket works without
}

func bindTCP(fd, family int, sa unix.Sockaddr, spec ListenSpec) error {
	options := []sockopt{
		{true, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, "SO_REUSEADDR", false},
		{!spec.NoReusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT", true},
		{family == unix.AF_INET6 && spec.V6Only, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY", false},
		{family == unix.AF_INET6 && spec.V4V6 && !spec.V6Only, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0, "IPV6_V6ONLY", false},
		{spec.MSS > 0, unix.IPPROTO_TCP, unix.TCP_MAXSEG, spec.MSS, "TCP_MAXSEG", false},
		{spec.DeferAccept, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1, "TCP_DEFER_ACCEPT", true},
		{spec.TFO, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, spec.backlog(), "TCP_FASTOPEN", true},
	}
	for _, o := range options {
		if !o.when {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil && !o.optionalFail {
			return os.NewSyscallError("setsockopt "+o.call, err)
		}
	}
	if spec.Interface != "" {
		if err := unix.BindToDevice(fd, spec.Interface); err != nil {
			return os.NewSyscallError("setsockopt SO_BINDTODEVICE", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, spec.backlog()))
}

// listenUnix follows surface 1.5: the socket is bound under a temporary name and renamed over the old one.
func listenUnix(spec ListenSpec) (*os.File, error) {
	if info, err := os.Lstat(spec.Path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, &fs.PathError{Op: "bind", Path: spec.Path, Err: unix.EADDRINUSE}
	}
	f, fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	tmp := spec.Path + "." + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatUint(listens.Add(1), 10) + ".tmp"
	if err := bindUnix(fd, tmp, spec); err != nil {
		_ = os.Remove(tmp)
		f.Close()
		return nil, err
	}
	return f, nil
}

func bindUnix(fd int, tmp string, spec ListenSpec) error {
	_ = os.Remove(tmp)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: tmp}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if spec.UID >= 0 || spec.GID >= 0 {
		if err := os.Lchown(tmp, spec.UID, spec.GID); err != nil {
			return err
		}
	}
	if spec.Mode != nil {
		if err := os.Chmod(tmp, fs.FileMode(*spec.Mode)&fs.ModePerm); err != nil {
			return err
		}
	}
	// Listening first: the moment the name is ours, a client must be able to connect.
	if err := unix.Listen(fd, spec.backlog()); err != nil {
		return os.NewSyscallError("listen", err)
	}
	return os.Rename(tmp, spec.Path)
}

// abstractLen is the length of sun_path. An abns@ name of HAProxy is padded with zeros to all of it.
const abstractLen = 108

// AbstractName is what to give to Go's net package to reach the socket that HAProxy calls abns@NAME.
func AbstractName(name string) string {
	return "@" + name + strings.Repeat("\x00", max(0, abstractLen-1-len(name)))
}

func listenAbstract(spec ListenSpec) (*os.File, error) {
	if len(spec.Path) >= abstractLen {
		return nil, unix.ENAMETOOLONG
	}
	f, fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: AbstractName(spec.Path)}); err != nil {
		f.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, spec.backlog()); err != nil {
		f.Close()
		return nil, os.NewSyscallError("listen", err)
	}
	return f, nil
}

// CanInherit tells whether descriptor number fd came from this process's parent.
func CanInherit(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && fd >= 0 && flags&unix.FD_CLOEXEC == 0
}

// Inherited returns a copy of descriptor number fd that this process got from its parent, for `fd@N` addresses. The number
// stays open, so that the next generation can ask for it again. Our own descriptors are close-on-exec and never match: a
// wrong number in a configuration cannot reach them.
func Inherited(fd int) (*os.File, error) {
	if !CanInherit(fd) {
		return nil, fmt.Errorf("using inherited descriptor %d: %w", fd, unix.EBADF)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("using inherited descriptor %d: %w", fd, err)
	}
	if err := unix.SetNonblock(dup, true); err != nil {
		unix.Close(dup)
		return nil, fmt.Errorf("using inherited descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(dup), "fd@"+strconv.Itoa(fd)), nil
}
