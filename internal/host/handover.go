package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the _getsocks exchange (surface 1.11).
const (
	sockBatch       = 252
	sockMax         = 4096
	handoverTimeout = 5 * time.Second
)

// FetchSockets asks an old process for its listening sockets over its stats socket (-x). Their order is the old process's.
func FetchSockets(path string) ([]*os.File, error) {
	conn, err := net.DialTimeout("unix", path, handoverTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(handoverTimeout))
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, unix.EPROTOTYPE
	}
	if _, err := io.WriteString(conn, "_getsocks\n"); err != nil {
		return nil, err
	}
	var count [4]byte
	if _, err := io.ReadFull(conn, count[:]); err != nil {
		return nil, fmt.Errorf("reading the number of sockets: %w", err)
	}
	want := int(int32(binary.NativeEndian.Uint32(count[:])))
	if want < 0 || want > sockMax {
		return nil, fmt.Errorf("%d sockets announced: %w", want, unix.EBADMSG)
	}
	var files []*os.File
	for len(files) < want {
		fds, err := readBatch(uc)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "listener of the old process"))
		}
		if err == nil && len(fds) == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("reading sockets: %w", err)
		}
		binary.NativeEndian.PutUint32(count[:], uint32(len(files)))
		// haproxy closes as soon as it has sent the last batch: nobody may be there to hear of that one.
		if _, err := conn.Write(count[:]); err != nil && len(files) < want {
			closeAll(files)
			return nil, err
		}
	}
	return files, nil
}

func readBatch(conn *net.UnixConn) ([]int, error) {
	// Namespace and interface name of each socket come as data; both are asked of the socket itself instead.
	data := make([]byte, sockBatch*(1+255+1+255+4))
	oob := make([]byte, unix.CmsgSpace(sockBatch*4+4))
	n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return parseRights(oob[:oobn])
}

// SendSockets answers _getsocks on conn: the server's half of FetchSockets. The files stay the caller's.
func SendSockets(conn *net.UnixConn, files []*os.File) error {
	if len(files) > sockMax {
		return fmt.Errorf("%d sockets: %w", len(files), unix.EMSGSIZE)
	}
	_ = conn.SetDeadline(time.Now().Add(handoverTimeout))
	defer func() { _ = conn.SetDeadline(time.Time{}) }()
	var count [4]byte
	binary.NativeEndian.PutUint32(count[:], uint32(len(files)))
	if _, err := conn.Write(count[:]); err != nil {
		return err
	}
	sent := 0
	for batch := range slices.Chunk(files, sockBatch) {
		if err := writeBatch(conn, batch); err != nil {
			return err
		}
		sent += len(batch)
		if _, err := io.ReadFull(conn, count[:]); err != nil {
			return err
		}
		if got := int(binary.NativeEndian.Uint32(count[:])); got != sent {
			return fmt.Errorf("the new process has %d of %d sockets: %w", got, sent, unix.EBADMSG)
		}
	}
	return nil
}

func writeBatch(conn *net.UnixConn, batch []*os.File) error {
	var data []byte
	fds := make([]int, len(batch))
	for i, f := range batch {
		fds[i] = rawFD(f)
		device, _ := unix.GetsockoptString(fds[i], unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		device = strings.TrimRight(device, "\x00")
		data = append(data, 0, byte(len(device)))
		data = append(data, device...)
		data = append(data, 0, 0, 0, 0)
	}
	n, _, err := conn.WriteMsgUnix(data, unix.UnixRights(fds...), nil)
	if err == nil && n < len(data) {
		_, err = conn.Write(data[n:])
	}
	return err
}

// Inheriting opens a listener by taking one with the same address from those that an old process handed over, and asks Host for
// the rest.
type Inheriting struct {
	Host

	mu  sync.Mutex
	old map[string][]*os.File // by address as listenKey writes it
}

// NewInheriting takes over the files.
func NewInheriting(h Host, files []*os.File) *Inheriting {
	in := &Inheriting{Host: h, old: map[string][]*os.File{}}
	for _, f := range files {
		key, err := listenKey(rawFD(f))
		if err != nil {
			f.Close()
			continue
		}
		in.old[key] = append(in.old[key], f)
	}
	return in
}

// Listen hands out each inherited socket once.
func (in *Inheriting) Listen(spec ListenSpec) (*os.File, error) {
	key := specKey(spec)
	in.mu.Lock()
	files := in.old[key]
	if len(files) > 0 {
		in.old[key] = files[1:]
	}
	in.mu.Unlock()
	if len(files) > 0 {
		return files[0], nil
	}
	return in.Host.Listen(spec)
}

// Close closes what nobody asked for. A socket that stays open and is not accepted from would swallow connections.
func (in *Inheriting) Close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, files := range in.old {
		closeAll(files)
	}
	in.old = nil
}

func specKey(spec ListenSpec) string {
	if spec.Network != "tcp" {
		return spec.Network + " " + spec.Path
	}
	addr := spec.Addr.Addr()
	if !addr.IsValid() {
		addr = netip.IPv4Unspecified()
	}
	return "tcp " + addr.Unmap().WithZone("").String() + " " + strconv.Itoa(int(spec.Addr.Port())) + " " + spec.Interface
}

func listenKey(fd int) (string, error) {
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return "", errors.New("not a listening socket")
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	device, _ := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	spec := ListenSpec{Network: "tcp", Interface: strings.TrimRight(device, "\x00")}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		spec.Addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		spec.Addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrUnix:
		spec.Network, spec.Path = "unix", unixPath(sa.Name)
		if name, abstract := strings.CutPrefix(sa.Name, "@"); abstract {
			spec.Network, spec.Path = "abns", strings.TrimRight(name, "\x00")
		}
	default:
		return "", unix.EAFNOSUPPORT
	}
	return specKey(spec), nil
}

// unixPath undoes the temporary name under which listenUnix (and HAProxy) bound a socket before renaming it.
func unixPath(name string) string {
	base, temporary := strings.CutSuffix(name, ".tmp")
	i := strings.LastIndexByte(base, '.')
	if temporary && i > 0 && strings.Trim(base[i+1:], "0123456789-") == "" {
		return base[:i]
	}
	return name
}
