package proxy

import (
	"net"
	"syscall"
	"testing"

	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// tos is the type of service byte of the packets that a connection sends.
func tos(t *testing.T, nc net.Conn) (v int) {
	t.Helper()
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { v, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS) })
	}
	if err != nil {
		t.Error(err)
	}
	return v
}

func TestRulesMarkThePacketsOfTheirConnections(t *testing.T) {
	h := NewHandle(NewFrontend(FrontendOptions{TCPConnection: tcpRules(t, (*rule.Compiler).TCPConnection, "set-fc-tos 0x10 if { src 127.0.0.1 }")}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if !h.Admit(nc, &stream.Conn{Src: nc.RemoteAddr().(*net.TCPAddr).AddrPort()}) {
		t.Error("refused")
	}
	if got := tos(t, nc); got != 0x10 {
		t.Errorf("client's connection has %#x", got)
	}
}
