//go:build linux && (amd64 || arm64) && !race

package sock

import (
	"syscall"
	"unsafe"
)

const batchSize = 64

// message is struct mmsghdr of sendmmsg(2).
type message struct {
	hdr syscall.Msghdr
	n   uint32
	_   [4]byte
}

// batch is the room for one call.
type batch struct {
	messages [batchSize]message
	vectors  [batchSize]syscall.Iovec
}

// send makes one call for the datagrams of p that begin at start and end at ends.
func (b *batch) send(fd uintptr, p []byte, start int, ends []int) (int, error) {
	for i, end := range ends {
		b.vectors[i].Base = unsafe.SliceData(p[start:end])
		b.vectors[i].SetLen(end - start)
		b.messages[i].hdr.Iov = &b.vectors[i]
		b.messages[i].hdr.Iovlen = 1
		start = end
	}
	n, _, errno := syscall.RawSyscall6(sysSendmmsg, fd, uintptr(unsafe.Pointer(&b.messages[0])), uintptr(len(ends)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
	for i := range ends {
		b.vectors[i].Base = nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
