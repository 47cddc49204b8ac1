package backend

import (
	"context"
	"net"
	"syscall"

	"gatehouse/internal/stream"
)

// SetPackets asks the kernel to mark the packets of a connection. What it refuses, for want of rights or because the connection is no IP
// one, stays undone, as in HAProxy.
func SetPackets(nc net.Conn, p stream.Packets) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok || !p.Any() {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { setPackets(int(fd), p) })
	}
}

func setPackets(fd int, p stream.Packets) {
	if p.HasMark {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_MARK, p.Mark)
	}
	if p.HasTOS { // one of the two fails, by the address family
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TOS, p.TOS)
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, p.TOS)
	}
}

// packetsKey is where a context carries what the packets of a connection that is about to be opened should bear: a mark decides about
// routes and must be there for the first packet.
type packetsKey struct{}

func withPackets(ctx context.Context, p stream.Packets) context.Context {
	if !p.Any() {
		return ctx
	}
	return context.WithValue(ctx, packetsKey{}, p)
}

// markPackets is a dialer's ControlContext.
func markPackets(ctx context.Context, _, _ string, raw syscall.RawConn) error {
	if p, ok := ctx.Value(packetsKey{}).(stream.Packets); ok {
		return raw.Control(func(fd uintptr) { setPackets(int(fd), p) })
	}
	return nil
}
