// Package sock reads and writes sockets at the least cost. It waits as package net does, in the runtime's poller with the
// connection's deadlines, but makes the calls themselves without telling the scheduler: on a non-blocking socket they return at
// once, and a scheduler that hears of a system call watches for one that does not. On one processor that watch wakes up
// thousands of times a second and moves the work between threads: with it a proxied request costs a third more (figure `request`
// of bench).
//
// It works below package net's connections and changes nothing of them: deadlines, Close and descriptors stay theirs.
package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// IO does the reads and writes of one socket. One goroutine may read while another writes. It allocates nothing per call.
type IO struct {
	raw     syscall.RawConn
	in, out transfer
}

// transfer is one call on its way; step is a method value made once, so that calls cost no memory.
type transfer struct {
	p    []byte
	n    int
	err  error
	step func(fd uintptr) bool
}

// New returns the IO of a socket, nil for connections that are none: a wrapper may hold bytes that the descriptor has no more.
func New(nc net.Conn) *IO {
	var raw syscall.RawConn
	var err error
	switch s := nc.(type) {
	case *net.TCPConn:
		raw, err = s.SyscallConn()
	case *net.UnixConn:
		raw, err = s.SyscallConn()
	case *net.UDPConn: // a connected one: each Write is a datagram
		raw, err = s.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	o := &IO{raw: raw}
	o.in.step = o.receive
	o.out.step = o.send
	return o
}

// Read reads once, as net.Conn's does.
func (o *IO) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	o.in.p = p
	err := o.raw.Read(o.in.step)
	o.in.p = nil
	if err != nil {
		return 0, err
	}
	return o.in.n, o.in.err
}

// receive is called by the poller at once and whenever the socket becomes readable; false means "wait on".
func (o *IO) receive(fd uintptr) bool {
	n, err := Receive(fd, o.in.p)
	if err == syscall.EAGAIN {
		return false
	}
	o.in.n, o.in.err = n, err
	return true
}

// Write writes all of p unless it fails.
func (o *IO) Write(p []byte) (int, error) {
	o.out.p, o.out.n, o.out.err = p, 0, nil
	err := o.raw.Write(o.out.step)
	o.out.p = nil
	if err == nil {
		err = o.out.err
	}
	return o.out.n, err
}

func (o *IO) send(fd uintptr) bool {
	t := &o.out
	for t.n < len(t.p) {
		n, err := sendto(fd, t.p[t.n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			t.err = os.NewSyscallError("write", err)
			return true
		default:
			t.n += n
		}
	}
	return true
}

// ReadWhenReady waits until f says that it is done; f is called with the descriptor at once and whenever the socket becomes readable.
func (o *IO) ReadWhenReady(f func(fd uintptr) bool) error { return o.raw.Read(f) }

// Receive reads what is there: io.EOF at the end, syscall.EAGAIN when nothing is there. It is for the inside of callbacks that hold the
// descriptor, and p must not be empty.
func Receive(fd uintptr, p []byte) (int, error) { return receive(fd, p, 0) }

// Peek is Receive that leaves the bytes in the socket.
func Peek(fd uintptr, p []byte) (int, error) { return receive(fd, p, syscall.MSG_PEEK) }

func receive(fd uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, err := recvfrom(fd, p, flags)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, syscall.EAGAIN
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Quiet reports whether nothing waits in a socket, neither bytes nor an end nor an error, without reading or waiting. room is a byte of
// the caller's.
func Quiet(fd uintptr, room *[1]byte) bool {
	_, err := recvfrom(fd, room[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return errors.Is(err, syscall.EAGAIN)
}
