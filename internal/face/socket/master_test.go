package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/face/socket"
)

// fakeMaster has one worker, which serves on a socket.
type fakeMaster struct {
	worker string // path
	procs  socket.Procs
	fail   bool // reloads fail

	mu      sync.Mutex
	reloads []bool // hard
}

func (m *fakeMaster) Version() string     { return "3.4.0" }
func (m *fakeMaster) Start() time.Time    { return m.procs.Master.Start }
func (m *fakeMaster) Env() []string       { return []string{"GATEHOUSE_TEST=one two"} }
func (m *fakeMaster) StartupLogs() string { return "[NOTICE]   (100) : Loading success.\n" }
func (m *fakeMaster) Procs() socket.Procs { return m.procs }

func (m *fakeMaster) Reload(_ context.Context, hard bool) (bool, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reloads = append(m.reloads, hard)
	if m.fail {
		return false, "[ALERT]    (101) : config : bad"
	}
	return true, "[NOTICE]   (100) : Loading success.\n"
}

func (m *fakeMaster) Dial(ctx context.Context, pid int) (net.Conn, error) {
	if pid != 101 {
		return nil, errors.New("nobody there")
	}
	return new(net.Dialer).DialContext(ctx, "unix", m.worker)
}

func newFakeMaster(worker string) *fakeMaster {
	now := time.Now()
	return &fakeMaster{worker: worker, procs: socket.Procs{Master: socket.Proc{PID: 100, Start: now, Version: "3.4.0"},
		Workers: []socket.Proc{{PID: 101, Start: now, Version: "3.4.0"}}}}
}

func serveMaster(t *testing.T, p socket.MasterProcess, dir string, level socket.Level) string {
	t.Helper()
	m, err := socket.NewMaster(socket.MasterOptions{Process: p, MaxConn: 4,
		Failed: func(by string, reason any) { t.Errorf("session %s panicked: %v", by, reason) }})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "master.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ln, func(ctx context.Context) error {
		return m.Serve(ctx, ln, socket.SocketOptions{Addr: "unix@" + path, Level: level})
	})
	return path
}

func ourMaster(t *testing.T, dir, _ string) string {
	worker := serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess()}), dir, "admin")
	return serveMaster(t, newFakeMaster(worker), dir, socket.Admin)
}

func TestReloadAnswersWhatCameOfIt(t *testing.T) {
	for _, tt := range []struct {
		name, request, want string
		fail, hard          bool
	}{
		{name: "success", request: "reload\nshow version\n", want: "Success=1\n--\n[NOTICE]   (100) : Loading success.\n\n"},
		{name: "failure", request: "reload\n", want: "Success=0\n--\n[ALERT]    (101) : config : bad\n\n", fail: true},
		{name: "hard", request: "hard-reload\n", want: "Success=1\n--\n[NOTICE]   (100) : Loading success.\n\n", hard: true},
		{name: "unmarked", request: "set severity-output number;reload\n", want: "Success=1\n--\n[NOTICE]   (100) : Loading success.\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newFakeMaster("")
			m.fail = tt.fail
			got := exchange(t, "unix", serveMaster(t, m, t.TempDir(), socket.Operator), tt.request)
			if got != tt.want || len(m.reloads) != 1 || m.reloads[0] != tt.hard {
				t.Errorf("answered %q after %v, want %q", got, m.reloads, tt.want)
			}
		})
	}
	m := newFakeMaster("")
	if got := exchange(t, "unix", serveMaster(t, m, t.TempDir(), socket.User), "reload\n"); got != "Permission denied\n\n" || len(m.reloads) > 0 {
		t.Errorf("at level user: %q after %v", got, m.reloads)
	}
}

func TestAFailedReloadShowsInThePrompt(t *testing.T) {
	m := newFakeMaster("")
	m.procs.Failed, m.procs.MasterReloaded = 2, 3
	m.procs.Old = []socket.Proc{{PID: 90, Reloads: 1, Start: time.Now().Add(-25 * time.Hour), Version: "3.4.0"}}
	got := exchange(t, "unix", serveMaster(t, m, t.TempDir(), socket.Admin), "prompt\nshow proc\n")
	want := "master[ReloadFailed]> #<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
		"100             master          3 [failed: 2]   0d00h00m00s     3.4.0          \n" +
		"# workers\n" +
		"101             worker          0               0d00h00m00s     3.4.0          \n" +
		"# old workers\n" +
		"90              worker          1               1d01h00m00s     3.4.0          \n\nmaster[ReloadFailed]> "
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAWorkerThatIsGoneEndsTheConnection(t *testing.T) {
	m := newFakeMaster("")
	m.procs.Old = []socket.Proc{{PID: 90}}
	got := exchange(t, "unix", serveMaster(t, m, t.TempDir(), socket.Admin), "@!90 show version\nshow version\n")
	if got != "Can't connect to the target CLI!\n" {
		t.Errorf("answered %q", got)
	}
}

func TestTheMastersOwnMessagesAreMarkedToo(t *testing.T) {
	got := exchange(t, "unix", serveMaster(t, newFakeMaster(""), t.TempDir(), socket.Admin), "set severity-output number;show version\n")
	if got != "[6]: 3.4.0\n\n" {
		t.Errorf("answered %q", got)
	}
}

func TestAJoinedSessionLastsUntilTheWorkerEndsIt(t *testing.T) {
	path := ourMaster(t, t.TempDir(), "admin")
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(nc)
	for _, step := range []struct{ send, want string }{
		{"prompt\n", "master> "},
		{"@@1\n", "\n> "},
		{"show version\n", "3.4.0\n\n> "},
		{"quit\n", "master> "},
		{"show cli level\n", "admin\n\nmaster> "},
		{"@@1 wait 5; show version\n", "Done.\n\n3.4.0\n\nmaster> "},
		{"set severity-output number; @@1 get weight nope/x;show version\n", "master> [3]: No such backend.\n\n[6]: 3.4.0\n\nmaster> "},
		{"quit\n", "master> "},
	} {
		if _, err := io.WriteString(nc, step.send); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(step.want))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != step.want {
			t.Fatalf("%q is answered %q, %v, want %q", step.send, got, err, step.want)
		}
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after quit: %q, %v", rest, err)
	}
}

func TestPayloadsPassTheMaster(t *testing.T) {
	dir := t.TempDir()
	kept := make(chan []byte, 1)
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{payloads(kept)}})
	path := serveMaster(t, newFakeMaster(serveUnix(t, w, dir, "admin")), dir, socket.Admin)
	data := strings.Repeat(strings.Repeat("y", 63)+"\n", 16384)
	for _, end := range []string{"\n", "\r\n"} {
		request := "@1 keep <<%E%" + end + data + end + "%E%" + end + "show version" + end
		if got := exchange(t, "unix", path, request); got != "kept\n\n3.4.0\n\n" {
			t.Errorf("lines ending in %q: answered %q", end, got)
		}
		if got := <-kept; string(got) != data {
			t.Errorf("lines ending in %q: %d of %d bytes arrived", end, len(got), len(data))
		}
	}
}

func TestTheMasterIsStoppedWhileAWorkerIsBusy(t *testing.T) {
	dir := t.TempDir()
	busy := make(chan struct{})
	hold := socket.Command{Words: []string{"hold"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(ctx context.Context, _ *socket.Request) { close(busy); <-ctx.Done() }}
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{hold}})
	m, err := socket.NewMaster(socket.MasterOptions{Process: newFakeMaster(serveUnix(t, w, dir, "admin"))})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "master.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, ln, socket.SocketOptions{Level: socket.Admin}) }()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "@1 hold\n")
	<-busy
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestRefusalsOfTheMasterHaveNoEmptyLine(t *testing.T) {
	for request, want := range map[string]string{
		"@!999999 show version\n":                    "Can't find the target PID matching the prefix '@!999999'\n",
		"@2 show version\n":                          "Can't find the target PID matching the prefix '@2'\n",
		"@x show version;show cli level\n":           "Can't find the target PID matching the prefix '@x'\n",
		"@x show version;show env\nshow cli level\n": "Can't find the target PID matching the prefix '@x'\nadmin\n\n",
		"@@7 show version; show env\n":               "Can't find the target PID matching the prefix '@@7'\n",
		"user\noperator\nshow cli level\n":           "Permission denied!\nuser\n\n",
		"user\nexpert-mode on\n":                     "Permission denied!\n",
	} {
		if got := exchange(t, "unix", ourMaster(t, t.TempDir(), "admin"), request); got != want {
			t.Errorf("%q is answered %q, want %q", request, got, want)
		}
	}
}
