package backend

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"gatehouse/internal/stream"
)

// TCPInfo returns what the kernel knows of a connection, below TLS; false when that is no TCP connection.
func TCPInfo(nc net.Conn) (info stream.TCPInfo, ok bool) {
	if t, is := nc.(interface{ NetConn() net.Conn }); is {
		nc = t.NetConn()
	}
	sc, is := nc.(syscall.Conn)
	if !is {
		return info, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return info, false
	}
	err = raw.Control(func(fd uintptr) {
		t, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		info = stream.TCPInfo{
			RTT: int64(t.Rtt), RTTVar: int64(t.Rttvar), Unacked: t.Unacked, Sacked: t.Sacked, Lost: t.Lost, Retrans: t.Retrans,
			Fackets: t.Fackets, Reordering: t.Reordering,
		}
		ok = true
	})
	return info, ok && err == nil
}
