package host

import (
	"net/netip"
	"syscall"
)

// IsLocal tells whether an address belongs to this machine, as the kernel sees it: whether a socket can be bound to it. ok is false when
// the kernel could not be asked.
func IsLocal(a netip.Addr) (local, ok bool) {
	family, to := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: a.As16()})
	if a = a.Unmap(); a.Is4() {
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Addr: a.As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer syscall.Close(fd)
	return syscall.Bind(fd, to) == nil, true
}
