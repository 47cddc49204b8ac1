//go:build linux && (amd64 || arm64) && !race

package sock

import (
	"syscall"
	"unsafe"
)

// The calls below are made on non-blocking sockets only, which is what makes it right not to announce them to the scheduler:
// they cannot hold up the processor. MSG_NOSIGNAL spares the process a SIGPIPE when the peer has left.

func recvfrom(fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func sendto(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
