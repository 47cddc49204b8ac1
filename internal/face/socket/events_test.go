package socket_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/engine"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/log"
)

// eventsServed is a worker with one ring behind a socket of a level.
func eventsServed(t *testing.T, level string, size int) (*log.Ring, string) {
	t.Helper()
	ring := log.NewRing(log.RingOptions{Name: "edge", Description: "my events", Size: size})
	sinks := []engine.Sink{{Name: "stdout", Description: "standard output (fd#1)"}, {Name: "edge", Description: "my events", Ring: ring, Dropped: 3}}
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Sinks: func() []engine.Sink { return sinks }})
	return ring, serveUnix(t, w, t.TempDir(), level)
}

func TestShowEventsAnswersAsHAProxyDoes(t *testing.T) {
	ring, at := eventsServed(t, "operator", 1024)
	ring.Write([]byte("one"))
	ring.Write([]byte("two"))
	for command, want := range map[string]string{
		"show events": "Supported events sinks are listed below. Add -0(zero), -w(wait), -n(new). Any key to stop.\n" +
			"    stdout     : type=fd, 0 dropped, standard output (fd#1)\n    edge       : type=buffer, 3 dropped, my events\n\n",
		"show events edge":                              "one\ntwo\n\n",
		"show events edge -0":                           "one\x00two\x00\n",
		"show events edge -n":                           "\n",
		"show events edge -w":                           "one\ntwo\n\n", // the client has closed its side
		"show events edge -nw":                          "\n",
		"show events edge -x":                           "unknown option\n\n",
		"show events nope":                              "No such event sink\n\n",
		"show events stdout":                            "Nothing to report for this sink\n\n",
		"set severity-output number;show events stdout": "\n[5]: Nothing to report for this sink\n\n",
	} {
		if got := exchange(t, "unix", at, command+"\n"); got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
	_, user := eventsServed(t, "user", 1024)
	if got := exchange(t, "unix", user, "show events edge\n"); got != "Permission denied\n\n" {
		t.Errorf("a user got %q", got)
	}
}

func TestShowEventsFollowsUntilTheClientSpeaks(t *testing.T) {
	ring, at := eventsServed(t, "operator", 1024)
	ring.Write([]byte("old"))
	c, err := net.Dial("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			m, err := in.Read(got[n:])
			if n += m; err != nil || !strings.HasPrefix(want, string(got[:n])) {
				t.Fatalf("got %q, %v, want %q", got[:n], err, want)
			}
		}
	}
	fmt.Fprint(c, "prompt\n")
	expect("\n> ")
	fmt.Fprint(c, "show events edge -w\n")
	expect("old\n")
	for i := range 3 {
		ring.Write(fmt.Appendf(nil, "new%d", i))
		expect(fmt.Sprintf("new%d\n", i))
	}
	fmt.Fprint(c, "show events nope\n") // ends it, and is no command
	expect("\n> ")
	fmt.Fprint(c, "show events nope\n")
	expect("No such event sink\n\n> ")
}

func TestShowEventsTellsWhatAClientMissed(t *testing.T) {
	ring, at := eventsServed(t, "operator", 100) // ten events
	c, err := net.Dial("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	ring.Write([]byte("first"))
	fmt.Fprint(c, "show events edge -w\n")
	in, got, lost, total := bufio.NewReader(c), 0, 0, 0
	if line, err := in.ReadString('\n'); line != "first\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	for ; lost == 0 && total < 1000000; total += 100 { // until the session comes too late for some of them
		for i := range 100 {
			ring.Write(fmt.Appendf(nil, "%06d", total+i))
		}
		for last := fmt.Sprintf("%06d\n", total+99); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			if _, err := fmt.Sscanf(line, "%d event", &n); err == nil && strings.HasSuffix(line, " dropped\n") {
				lost += n
				continue
			}
			if got++; line == last {
				break
			}
		}
	}
	if lost == 0 || got+lost != total {
		t.Errorf("%d shown and %d dropped of %d", got, lost, total)
	}
}
