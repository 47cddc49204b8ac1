//go:build !(linux && (amd64 || arm64)) || race

package sock

import "syscall"

// Under the race detector the calls are package syscall's, which tell it what they order.

func recvfrom(fd uintptr, p []byte, flags uintptr) (int, error) {
	if flags == 0 {
		return syscall.Read(int(fd), p)
	}
	n, _, err := syscall.Recvfrom(int(fd), p, int(flags))
	return n, err
}

func sendto(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
