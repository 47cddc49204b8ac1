package host

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Bounds of one message on a Link.
const (
	maxHeader  = 1 << 20
	maxPayload = 256 << 20
	maxFiles   = 8
)

// Link carries messages between two processes of ours over a socketpair: a header in JSON, a payload of plain bytes, and open
// files. On the wire a message is four little-endian 32-bit numbers (length of the header, length of the payload, number of
// files, zero), the header, the payload; the files travel as SCM_RIGHTS with the first bytes. Send may be called by any
// goroutine, Receive by one at a time.
type Link struct {
	conn *net.UnixConn

	wmu sync.Mutex // held for one whole message

	// Of the one receiver: bytes read ahead, and descriptors in the order in which they came.
	buf        []byte
	start, end int
	fds        []int
}

// NewLink takes over conn.
func NewLink(conn *net.UnixConn) *Link {
	return &Link{conn: conn, buf: make([]byte, 64<<10)}
}

// NewPair makes two connected sockets: one for a Link here, one to be inherited by another process.
func NewPair() (here *net.UnixConn, there *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	there = os.NewFile(uintptr(fds[1]), "socketpair")
	here, err = UnixConn(os.NewFile(uintptr(fds[0]), "socketpair"))
	if err != nil {
		there.Close()
		return nil, nil, err
	}
	return here, there, nil
}

// UnixConn turns an inherited or received socket into a connection and closes f.
func UnixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("descriptor is a %T, not a unix socket", c)
	}
	return uc, nil
}

// Close ends both directions; a Receive under way returns.
func (l *Link) Close() error { return l.conn.Close() }

// Send writes one message. The files stay the caller's.
func (l *Link) Send(header any, payload []byte, files ...*os.File) error {
	head, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if len(head) > maxHeader || len(payload) > maxPayload || len(files) > maxFiles {
		return fmt.Errorf("message of %d+%d bytes and %d files: %w", len(head), len(payload), len(files), unix.EMSGSIZE)
	}
	msg := make([]byte, 16, 16+len(head)+min(len(payload), 32<<10))
	binary.LittleEndian.PutUint32(msg[0:], uint32(len(head)))
	binary.LittleEndian.PutUint32(msg[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(msg[8:], uint32(len(files)))
	msg = append(msg, head...)
	if len(payload) <= 32<<10 {
		msg, payload = append(msg, payload...), nil
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = rawFD(f)
		}
		oob = unix.UnixRights(fds...)
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	n, _, err := l.conn.WriteMsgUnix(msg, oob, nil)
	if err != nil {
		return err
	}
	if n < len(msg) {
		if _, err := l.conn.Write(msg[n:]); err != nil {
			return err
		}
	}
	if len(payload) > 0 {
		_, err = l.conn.Write(payload)
	}
	return err
}

// Receive reads one message into header. The files are the caller's to close. A Link that returned an error is of no more use.
func (l *Link) Receive(header any) (payload []byte, files []*os.File, err error) {
	var lengths [16]byte
	if err := l.readFull(lengths[:]); err != nil {
		return nil, nil, err
	}
	nhead := binary.LittleEndian.Uint32(lengths[0:])
	npayload := binary.LittleEndian.Uint32(lengths[4:])
	nfiles := binary.LittleEndian.Uint32(lengths[8:])
	if nhead > maxHeader || npayload > maxPayload || nfiles > maxFiles {
		return nil, nil, fmt.Errorf("message of %d+%d bytes and %d files: %w", nhead, npayload, nfiles, unix.EMSGSIZE)
	}
	head := make([]byte, nhead)
	payload = make([]byte, npayload)
	if err := l.readFull(head); err != nil {
		return nil, nil, err
	}
	if err := l.readFull(payload); err != nil {
		return nil, nil, err
	}
	if int(nfiles) > len(l.fds) {
		return nil, nil, fmt.Errorf("message announces %d files, %d came: %w", nfiles, len(l.fds), unix.EBADMSG)
	}
	for _, fd := range l.fds[:nfiles] {
		files = append(files, os.NewFile(uintptr(fd), "received"))
	}
	l.fds = l.fds[nfiles:]
	if err := json.Unmarshal(head, header); err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return payload, files, nil
}

func (l *Link) readFull(p []byte) error {
	for len(p) > 0 {
		if l.start == l.end {
			if err := l.fillBuffer(); err != nil {
				return err
			}
		}
		n := copy(p, l.buf[l.start:l.end])
		l.start += n
		p = p[n:]
	}
	return nil
}

// fillBuffer reads what is there. The kernel never lets one read span two sends that both carry descriptors, so room for one
// message's descriptors is enough, and their order is the order of the messages.
func (l *Link) fillBuffer() error {
	oob := make([]byte, unix.CmsgSpace(maxFiles*4))
	n, oobn, flags, _, err := l.conn.ReadMsgUnix(l.buf, oob)
	if fds, ferr := parseRights(oob[:oobn]); ferr == nil {
		l.fds = append(l.fds, fds...)
	} else if err == nil {
		err = ferr
	}
	if err == nil && (flags&unix.MSG_CTRUNC != 0 || len(l.fds) > 4*maxFiles) {
		err = errors.New("more descriptors than a message can have")
	}
	if errors.Is(err, io.EOF) || err == nil && n == 0 || errors.Is(err, unix.ECONNRESET) {
		err = errPeerGone
	}
	if err != nil {
		for _, fd := range l.fds {
			unix.Close(fd)
		}
		l.fds = nil
		return err
	}
	l.start, l.end = 0, n
	return nil
}

// errPeerGone is the end of a Link whose other process is gone or closed it.
var errPeerGone = fmt.Errorf("the other process is gone: %w", unix.EPIPE)

func parseRights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		more, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // SCM_CREDENTIALS and the like: nothing to own
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
