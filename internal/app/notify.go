package app

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells systemd what the master does (sd_notify(3)). Without a socket it tells nobody.
type notifier struct{ path string }

// newNotifier takes NOTIFY_SOCKET out of the environment, so that no child speaks for the master.
func newNotifier(enabled bool) notifier {
	path := os.Getenv("NOTIFY_SOCKET")
	_ = os.Unsetenv("NOTIFY_SOCKET")
	if !enabled {
		path = ""
	}
	return notifier{path: path}
}

// send is best effort: a service manager that does not listen is no reason not to serve.
func (n notifier) send(lines ...string) {
	if n.path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n") + "\n"))
}

func (n notifier) ready() {
	n.send("READY=1", fmt.Sprintf("MAINPID=%d", os.Getpid()), "STATUS=Ready.")
}

func (n notifier) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	n.send("RELOADING=1", "STATUS=Reloading Configuration.", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// reloadFailed ends the reloading state; the old configuration is as ready as before.
func (n notifier) reloadFailed() {
	n.send("READY=1", fmt.Sprintf("MAINPID=%d", os.Getpid()), "STATUS=Reload failed, the former configuration keeps serving.")
}

func (n notifier) stopping() { n.send("STOPPING=1") }
