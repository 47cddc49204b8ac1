package sock

import (
	"io"
	"net"
	"syscall"
)

// Ended reports whether the peer has ended a connection and nothing that it sent before waits to be read. It neither reads nor waits;
// what is no socket has not ended. Under TLS it is the connection below that is looked at.
func Ended(nc net.Conn) bool {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ended := false
	err = raw.Control(func(fd uintptr) {
		var room [1]byte
		_, err := Peek(fd, room[:])
		ended = err == io.EOF || err != nil && err != syscall.EAGAIN
	})
	return ended || err != nil
}
