package host

import "os"

// rawFD returns f's descriptor number, which is good as long as f is open. os.File.Fd would make the descriptor blocking, and
// with it every copy that another listener or process holds: its Accept could then not be woken by Close.
func rawFD(f *os.File) int {
	fd := -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}
