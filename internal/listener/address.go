package listener

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// Address is one socket that a bind, stats socket or master socket line asks for. Equal keys are the same socket, opened the
// same way.
type Address struct {
	Spec      host.ListenSpec
	Inherited bool // fd@N: the socket came from our parent, Spec says nothing
	FD        int
}

// NewAddress reads one address of a line. Names of hosts, users and groups are looked up through h.
func NewAddress(ctx context.Context, h host.Host, line *config.Bind, a config.Addr) (Address, error) {
	spec := host.ListenSpec{Network: a.Network, Path: a.Path, UID: -1, GID: -1, Backlog: line.Backlog}
	var err error
	switch a.Network {
	case "fd":
		return Address{Inherited: true, FD: a.FD}, nil
	case "tcp":
		spec.V6Only, spec.V4V6, spec.Interface = line.V6Only, line.V4V6, line.Interface
		spec.TFO, spec.DeferAccept, spec.MSS = line.TFO, line.DeferAccept, line.MSS
		var ip netip.Addr
		ip, err = bindIP(ctx, h, a)
		spec.Addr = netip.AddrPortFrom(ip, uint16(a.Port))
	case "unix", "abns":
		spec.Mode = line.Mode
		err = owner(h, line, &spec)
	default:
		err = fmt.Errorf("this kind of address is not supported: '%s'", a.Text)
	}
	return Address{Spec: spec}, err
}

func bindIP(ctx context.Context, h host.Host, a config.Addr) (netip.Addr, error) {
	switch {
	case a.IP.IsValid():
		return a.IP, nil
	case a.Host != "":
		ip, err := host.Resolve(ctx, h, a.Host, a.Family)
		if err != nil {
			return ip, fmt.Errorf("could not resolve address '%s'", a.Host)
		}
		return ip, nil
	case a.Family == 6:
		return netip.IPv6Unspecified(), nil
	}
	return netip.IPv4Unspecified(), nil
}

// owner says who is to own a unix socket.
func owner(h host.Host, line *config.Bind, spec *host.ListenSpec) (err error) {
	if line.UID != nil {
		spec.UID = *line.UID
	}
	if line.GID != nil {
		spec.GID = *line.GID
	}
	if line.User != "" {
		if spec.UID, err = host.LookupUser(h, line.User); err != nil {
			return fmt.Errorf("unknown user name '%s'", line.User)
		}
	}
	if line.Group != "" {
		if spec.GID, err = host.LookupGroup(h, line.Group); err != nil {
			return fmt.Errorf("unknown group name '%s'", line.Group)
		}
	}
	return nil
}

// Key is the same for addresses that are the same socket.
func (a Address) Key() string {
	if a.Inherited {
		return "fd@" + strconv.Itoa(a.FD)
	}
	return a.Spec.Key()
}

// Usable tells, without opening anything, whether an inherited descriptor is there; every other address is.
func (a Address) Usable() error {
	if !a.Inherited || host.CanInherit(a.FD) {
		return nil
	}
	return fmt.Errorf("cannot use file descriptor '%d' : %s", a.FD, host.Strerror(unix.EBADF))
}

// Open opens the socket.
func (a Address) Open(h host.Host) (net.Listener, error) {
	var f *os.File
	var err error
	if a.Inherited {
		f, err = host.Inherited(a.FD)
	} else {
		f, err = h.Listen(a.Spec)
	}
	if err != nil {
		return nil, err
	}
	return FromFile(f)
}

// String writes the address as `show cli sockets` and HAPROXY_CLI do: unix@/path, abns@name, ipv4@127.0.0.1:9999.
func (a Address) String() string {
	if a.Inherited {
		return a.inherited()
	}
	if a.Spec.Network != "tcp" {
		return a.Spec.String()
	}
	return spellTCP(a.Spec.Addr)
}

func spellTCP(ap netip.AddrPort) string {
	ip := ap.Addr().Unmap()
	family := "ipv6@"
	if ip.Is4() {
		family = "ipv4@"
	}
	return family + netip.AddrPortFrom(ip, ap.Port()).String()
}

// inherited says where a socket of our parent listens.
func (a Address) inherited() string {
	ln, err := a.Open(nil)
	if err != nil {
		return a.Key()
	}
	defer ln.Close()
	if t, ok := ln.Addr().(*net.TCPAddr); ok {
		return spellTCP(t.AddrPort())
	}
	return "unix@" + ln.Addr().String()
}
