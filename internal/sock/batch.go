package sock

import (
	"os"
	"syscall"
)

// Datagrams sends many datagrams over one connected socket. It belongs to one goroutine and allocates nothing per call.
type Datagrams struct {
	raw  syscall.RawConn
	p    []byte
	ends []int
	step func(fd uintptr) bool
	room batch

	sent, refused int
	doubt         bool // the kernel stopped in the middle of a batch and did not say why
	check         bool
	err           error
}

// NewDatagrams is for sockets that New takes; nil for others.
func NewDatagrams(o *IO) *Datagrams {
	if o == nil {
		return nil
	}
	d := &Datagrams{raw: o.raw}
	d.step = d.send
	return d
}

// Write sends datagrams of p, of which one stands up to each place in ends, from number at on. It returns at moved on by those that the
// socket took, and of how many the far side's machine said that nobody listens there (UDP only); these may be of an earlier call. With
// check it asks for such an answer once more at the end. It waits while the socket has no room, until the connection's deadline.
func (d *Datagrams) Write(p []byte, ends []int, at int, check bool) (next, refused int, err error) {
	d.p, d.ends, d.sent, d.refused, d.err, d.check, d.doubt = p, ends, at, 0, nil, check, false
	err = d.raw.Write(d.step)
	d.p, d.ends = nil, nil
	if err == nil {
		err = d.err
	}
	return d.sent, d.refused, err
}

func (d *Datagrams) send(fd uintptr) bool {
	again := false // the last call was refused: UDP tells that once per datagram, a unix socket every time
	for d.sent < len(d.ends) {
		n, asked, err := d.some(fd)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			d.doubt = false
			return false
		case err == syscall.ECONNREFUSED && !again:
			d.refused, again, d.doubt = d.refused+1, true, false
			continue
		case err != nil:
			d.err = os.NewSyscallError("write", err)
			return true
		}
		if again = false; d.doubt { // there was room after all, so an earlier datagram was refused
			d.refused++
		}
		d.sent += n
		d.doubt = n < asked
	}
	if d.check {
		if code, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && syscall.Errno(code) == syscall.ECONNREFUSED {
			d.refused++
		}
	}
	return true
}

func (d *Datagrams) start() int {
	if d.sent == 0 {
		return 0
	}
	return d.ends[d.sent-1]
}

// some sends the next datagrams; one when in doubt.
func (d *Datagrams) some(fd uintptr) (n, asked int, err error) {
	left := d.ends[d.sent:]
	if d.doubt || len(left) == 1 || batchSize == 1 {
		_, err = sendto(fd, d.p[d.start():left[0]])
		return 1, 1, err
	}
	left = left[:min(len(left), batchSize)]
	n, err = d.room.send(fd, d.p, d.start(), left)
	return n, len(left), err
}
