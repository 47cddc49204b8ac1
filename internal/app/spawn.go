package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// roleVar tells a process that another one of ours started it, and why: "daemon:FD" with the pipe to say ready on, or
// "worker:HOSTFD:CONTROLFD" with its ends of the master's two socketpairs. It is read once and removed.
const roleVar = "GATEHOUSE_ROLE"

type role struct {
	kind string // "", "daemon" or "worker"
	fds  []int
}

func takeRole() (role, error) {
	text := os.Getenv(roleVar)
	_ = os.Unsetenv(roleVar)
	if text == "" {
		return role{}, nil
	}
	parts := strings.Split(text, ":")
	r := role{kind: parts[0]}
	for _, p := range parts[1:] {
		fd, err := strconv.Atoi(p)
		if err != nil || fd < 3 {
			return role{}, fmt.Errorf("%s=%q: not a descriptor", roleVar, text)
		}
		unix.CloseOnExec(fd)
		r.fds = append(r.fds, fd)
	}
	if want := map[string]int{"daemon": 1, "worker": 2}[r.kind]; want == 0 || len(r.fds) != want {
		return role{}, fmt.Errorf("%s=%q: unknown role", roleVar, text)
	}
	return r, nil
}

// inheritedFDs lists the descriptors above 2 that came from our parent: everything that we open ourselves is close-on-exec.
func inheritedFDs() []int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var fds []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// spawn starts this program again with the same arguments, in the given role. The child keeps stdin, stdout, stderr and the
// descriptors in keep under their numbers, because configurations name them (fd@N); extra get the next free numbers and are
// what the role carries.
func spawn(kind string, keep []int, setsid bool, extra ...*os.File) (*os.Process, error) {
	top := 2
	for _, fd := range keep {
		top = max(top, fd)
	}
	files := make([]uintptr, top+1)
	for i := 3; i <= top; i++ {
		files[i] = ^uintptr(0)
	}
	for _, fd := range append([]int{0, 1, 2}, keep...) {
		files[fd] = uintptr(fd)
	}
	value := kind
	for _, f := range extra {
		value += ":" + strconv.Itoa(len(files))
		files = append(files, f.Fd())
	}
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), roleVar+"="+value),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setsid: setsid},
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", kind, err)
	}
	return os.FindProcess(pid)
}

// exitCode is a process's end as a shell would show it, and HAProxy's words for it.
func exitCode(state *os.ProcessState) (code int, words string) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		name := status.Signal().String()
		return 128 + int(status.Signal()), strings.ToUpper(name[:1]) + name[1:]
	}
	return state.ExitCode(), "Exit"
}
