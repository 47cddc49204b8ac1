package socket

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerUser says which user is at the other end of a unix socket, "" when nobody knows.
func peerUser(nc net.Conn) string {
	c, ok := nc.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return ""
	}
	var who string
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = fmt.Sprintf(" uid %d", cred.Uid)
		}
	})
	return who
}
