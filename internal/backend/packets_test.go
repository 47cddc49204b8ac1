package backend

import (
	"syscall"
	"testing"
)

func TestConnectionsBearTheMarksOfTheirRequests(t *testing.T) {
	b := build(t, Options{HTTP: true, Reuse: "always", Servers: []ServerOptions{at(t, "a", echo(t))}}, nil)
	defer b.Close()
	marked := newStream()
	marked.BackPackets.TOS, marked.BackPackets.HasTOS = 0x10, true
	first := connect(t, b, marked, ConnectOptions{})
	tos := 0
	raw, err := first.Conn.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { tos, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS) })
	}
	if err != nil || tos != 0x10 {
		t.Errorf("type of service %#x, %v", tos, err)
	}
	first.Release(true)
	plain := connect(t, b, newStream(), ConnectOptions{})
	if plain.Reused {
		t.Error("a request without a mark travels on a marked connection")
	}
	again := connect(t, b, marked, ConnectOptions{})
	if !again.Reused {
		t.Error("a request with the same mark opens a connection of its own")
	}
	plain.Release(false)
	again.Release(false)
}
