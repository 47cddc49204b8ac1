package proxy

import (
	"net"
	"syscall"
)

// dropQuietly ends a connection so that the peer hears nothing of it (silent-drop): in repair mode the kernel forgets a socket without a
// packet. Without the right to do so, or with a ttl, a reset is sent that gets no further than ttl hops.
func dropQuietly(nc net.Conn, ttl int) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn() // no close_notify either
	}
	defer nc.Close()
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // what fails here is only less quiet
		_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		if ttl == 0 {
			if syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpRepair, 1) == nil {
				return
			}
			ttl = 1
		}
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL, ttl)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, ttl)
	})
}

// tcpRepair is Linux's TCP_REPAIR, which package syscall does not name.
const tcpRepair = 19
