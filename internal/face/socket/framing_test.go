package socket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/face/socket"
	"gatehouse/internal/runtimeapi"
)

// peer is a connection that comes from where a test says.
type peer struct {
	net.Conn
	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

// talk serves one connection in memory, sends request and returns everything that comes back.
func talk(t *testing.T, w *socket.Worker, from net.Addr, level socket.Level, request string) string {
	t.Helper()
	client, server := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		w.ServeConn(context.Background(), peer{server, from}, socket.SocketOptions{Addr: "ipv4@0.0.0.0:9999", Level: level})
	}()
	go io.WriteString(client, request) //nolint:errcheck // the server may close first
	answer, err := io.ReadAll(client)
	if err != nil {
		t.Fatalf("reading the answer to %q: %v", request, err)
	}
	client.Close()
	<-served
	return string(answer)
}

func tcp(addr string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

func TestAdminOverTCPIsForLoopbackAndAdminFrom(t *testing.T) {
	refusal := func(ip string) string {
		return "Permission denied: level admin over TCP is only for loopback, not for " + ip + "." +
			" To allow it, add this line to the 'gatehouse' section:\n    admin-from " + ip + "\n\n"
	}
	for _, tt := range []struct{ from, command, want string }{
		{"127.0.0.1:5", "show cli level", "admin\n\n"},
		{"[::1]:5", "show cli level", "admin\n\n"},
		{"[::ffff:127.0.0.1]:5", "show cli level", "admin\n\n"},
		{"192.0.2.7:5", "show cli level", "operator\n\n"},
		{"192.0.2.7:5", "show version", "3.4.0\n\n"},
		{"192.0.2.7:5", "disable server be1/s1", refusal("192.0.2.7")},
		{"192.0.2.7:5", "expert-mode on", refusal("192.0.2.7")},
		{"192.0.2.7:5", "operator;expert-mode on", "\nPermission denied\n\n"},
		{"[2001:db8::1%eth0]:5", "disable server be1/s1", refusal("2001:db8::1")},
		{"198.51.100.9:5", "show cli level", "admin\n\n"},
		{"[::ffff:198.51.100.9]:5", "show cli level", "admin\n\n"},
		{"198.51.101.9:5", "show cli level", "operator\n\n"},
	} {
		w := newWorkerWith(t, socket.Options{Process: newFakeProcess()})
		w.Update(socket.Settings{AdminFrom: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
		if got := talk(t, w, tcp(tt.from), socket.Admin, tt.command+"\n"); got != tt.want {
			t.Errorf("%s from %s\ngot  %q\nwant %q", tt.command, tt.from, got, tt.want)
		}
	}
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess()})
	if got := talk(t, w, tcp("192.0.2.7:5"), socket.Operator, "disable server be1/s1\n"); got != "Permission denied\n\n" {
		t.Errorf("on a socket of level operator: %q", got)
	}
}

func TestABrowserIsNotAnswered(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nshow version\n",
		"POST /;prompt;disable server be1/s1 HTTP/1.1\r\n\r\ndisable server be1/s1\n",
	} {
		p := newFakeProcess()
		w := newWorkerWith(t, socket.Options{Process: p})
		if got := talk(t, w, tcp("127.0.0.1:5"), socket.Admin, request); got != "" {
			t.Errorf("%q is answered %q", request, got)
		}
		if s, _ := p.Server("be1", "s1"); s.(*fakeServer).state != "ready" {
			t.Errorf("%q changed a server", request)
		}
	}
}

func TestWindowsLineEndsEndAnAnswerOnce(t *testing.T) {
	for request, want := range map[string]string{
		"show version\r\n":                "3.4.0\n\n",
		"\r\n":                            "\n",
		"show version;show cli level\r\n": "3.4.0\n\nadmin\n\n",
	} {
		w := newWorkerWith(t, socket.Options{Process: newFakeProcess()})
		if got := talk(t, w, tcp("127.0.0.1:5"), socket.Admin, request); got != want {
			t.Errorf("%q is answered %q, want %q", request, got, want)
		}
	}
}

// payloads is a command that keeps what it was given.
func payloads(kept chan<- []byte) socket.Command {
	return socket.Command{Words: []string{"keep"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(_ context.Context, r *socket.Request) { kept <- bytes.Clone(r.Payload); r.Msg("kept") }}
}

func TestPayloadsOfEverySizeArrive(t *testing.T) {
	lines := func(n int, end string) []byte { return bytes.Repeat([]byte(strings.Repeat("y", 63)+end), n/64) }
	for _, tt := range []struct {
		name, head, tail string
		data, want       []byte
	}{
		{"64 KiB", "keep <<\n", "\n\n", lines(64<<10, "\n")[:64<<10-1], lines(64<<10, "\n")[:64<<10-1]},
		{"one MiB with a pattern and blank lines", "keep <<%E%\n", "\n%E%\n", lines(1<<20, "\n\n"), lines(1<<20, "\n\n")},
		{"CRLF", "keep <<E\r\n", "\r\nE\r\n", lines(64<<10, "\r\n"), lines(64<<10, "\r\n")},
		{"16 MiB", "keep <<E\n", "\nE\n", lines(16<<20, "\n"), lines(16<<20, "\n")},
		{"empty", "keep <<\n", "\n", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kept := make(chan []byte, 1)
			w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{payloads(kept)}})
			got := talk(t, w, tcp("127.0.0.1:5"), socket.Admin, tt.head+string(tt.data)+tt.tail)
			if got != "kept\n\n" {
				t.Fatalf("answered %q", got)
			}
			if data := <-kept; !bytes.Equal(data, tt.want) {
				t.Errorf("%d bytes arrived, %d were sent", len(data), len(tt.want))
			}
		})
	}
}

func TestInputThatIsTooBigIsRefused(t *testing.T) {
	const line = "The command line is too big for the buffer size." +
		" Please change 'tune.bufsize' in the configuration to use a bigger command.\n"
	const payload = "The payload is too big." +
		" Please change 'tune.cli.max-payload-size' in the configuration to use a bigger payload.\n"
	for _, tt := range []struct{ name, request, want string }{
		{"line", "echo " + strings.Repeat("x", 20000) + "\nshow version\n", line},
		{"line without end", "echo " + strings.Repeat("x", 20000), line},
		{"payload", "keep <<\n" + strings.Repeat("y\n", 60000) + "\n", payload},
		{"one line of payload", "keep <<\n" + strings.Repeat("y", 200000), payload},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kept := make(chan []byte, 1)
			w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{payloads(kept)}})
			w.Update(socket.Settings{MaxPayload: 100000})
			sock := serveUnix(t, w, t.TempDir(), "admin")
			if got := exchange(t, "unix", sock, tt.request); got != tt.want {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
			if len(kept) > 0 {
				t.Error("the command ran")
			}
		})
	}
}

func TestHalfCloseDoesNotCancel(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	slow := socket.Command{Words: []string{"slow"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(ctx context.Context, r *socket.Request) {
			close(running)
			select {
			case <-release:
				r.Msg("done")
			case <-ctx.Done():
				r.Err("cancelled")
			}
		}}
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{slow}})
	nc, err := net.Dial("unix", serveUnix(t, w, t.TempDir(), "user"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "slow;show version\n")
	if err := nc.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-running
	close(release)
	got, err := io.ReadAll(nc)
	if want := "done\n\n3.4.0\n\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestSilentAndSlowClientsAreLetGo(t *testing.T) {
	endless := socket.Command{Words: []string{"flood"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(_ context.Context, r *socket.Request) {
			for {
				if _, err := r.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}}
	for name, request := range map[string]string{"says nothing": "", "half a line": "show", "half a payload": "echo <<\nx\n",
		"does not read": "flood\n", "interactive": "prompt i\n"} {
		t.Run(name, func(t *testing.T) {
			w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{endless}})
			w.Update(socket.Settings{Timeout: 30 * time.Millisecond})
			client, server := net.Pipe()
			defer client.Close()
			served := make(chan struct{})
			go func() {
				defer close(served)
				w.ServeConn(context.Background(), server, socket.SocketOptions{Level: socket.User})
			}()
			if _, err := io.WriteString(client, request); err != nil {
				t.Fatal(err)
			}
			<-served // the test's own deadline is the only other way out
			if _, err := server.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

func TestConnectionsAreLimitedAcrossSockets(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	entered := make(chan struct{}, 16)
	release := make(chan struct{})
	count := socket.Command{Words: []string{"count"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(_ context.Context, r *socket.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			entered <- struct{}{}
			<-release
			mu.Lock()
			now--
			mu.Unlock()
			r.Msg("counted")
		}}
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{count}})
	w.Update(socket.Settings{MaxConn: 2})
	dir := t.TempDir()
	socks := []string{serveUnix(t, w, dir, "user"), serveUnix(t, w, dir, "operator"), serveUnix(t, w, dir, "admin")}
	answers := make(chan string, 6)
	for i := range 6 {
		go func() { answers <- exchange(t, "unix", socks[i%3], "count\n") }()
	}
	<-entered
	<-entered
	close(release)
	for range 6 {
		if got := <-answers; got != "counted\n\n" {
			t.Errorf("answered %q", got)
		}
	}
	if most != 2 {
		t.Errorf("%d at a time, the limit is 2", most)
	}
}

func TestStoppingEndsSessionsThatWait(t *testing.T) {
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess()})
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, ln, socket.SocketOptions{Level: socket.User}) }()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "prompt\n")
	if _, err := bufio.NewReader(nc).ReadString('>'); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if rest, err := io.ReadAll(nc); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestAPanicEndsItsSessionOnly(t *testing.T) {
	failed := make(chan string, 1)
	bad := socket.Command{Words: []string{"bad"}, Level: socket.User, Modes: socket.Hidden,
		Run: func(context.Context, *socket.Request) { panic("broken") }}
	w, err := socket.NewWorker(socket.Options{Process: newFakeProcess(), Extra: []socket.Command{bad},
		Failed: func(by string, reason any) { failed <- fmt.Sprint(by, ": ", reason) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := talk(t, w, tcp("127.0.0.1:5"), socket.User, "bad\n"); got != "" {
		t.Errorf("answered %q", got)
	}
	if got, want := <-failed, "stats socket ipv4@0.0.0.0:9999 from 127.0.0.1:5: broken"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := talk(t, w, tcp("127.0.0.1:5"), socket.User, "show version\n"); got != "3.4.0\n\n" {
		t.Errorf("the next session is answered %q", got)
	}
}

func TestSocketsAreHandedOverOnlyWhereExposed(t *testing.T) {
	for _, tt := range []struct {
		name string
		so   socket.SocketOptions
		want string
	}{
		{"exposed", socket.SocketOptions{Level: socket.Admin, ExposeFD: true}, "fds"},
		{"not exposed", socket.SocketOptions{Level: socket.Admin}, ""},
		{"below admin", socket.SocketOptions{Level: socket.Operator, ExposeFD: true}, "Permission denied\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), GetSocks: func(c *net.UnixConn) error {
				_, err := io.WriteString(c, "fds")
				return err
			}})
			ln, err := net.Listen("unix", t.TempDir()+"/s")
			if err != nil {
				t.Fatal(err)
			}
			serveOn(t, ln, func(ctx context.Context) error { return w.Serve(ctx, ln, tt.so) })
			if got := exchange(t, "unix", ln.Addr().String(), "_getsocks\n"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWaitEndsWithTheClient(t *testing.T) {
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess()})
	sock := serveUnix(t, w, t.TempDir(), "admin")
	if got := exchange(t, "unix", sock, "wait 1h\n"); got != "Interrupted. (null)\n\n" {
		t.Errorf("wait without a client: %q", got)
	}
	nc, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprint(nc, "wait 5;show version\n")
	if got, err := io.ReadAll(nc); err != nil || string(got) != "Done.\n\n3.4.0\n\n" {
		t.Errorf("wait 5ms: %q, %v", got, err)
	}
}

func TestTheClientSpeaksToTheServer(t *testing.T) {
	kept := make(chan []byte, 1)
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Extra: []socket.Command{payloads(kept)}})
	c, err := runtimeapi.Dial("unix@" + serveUnix(t, w, t.TempDir(), "admin"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if got, err := c.Do(ctx, "show", "version"); err != nil || got != "3.4.0" {
		t.Errorf("show version: %q, %v", got, err)
	}
	if got, err := c.Do(ctx, "show", "backend"); err != nil || got != "# name\nbe1\nbe2\nli1" {
		t.Errorf("show backend: %q, %v", got, err)
	}
	if got, err := c.Do(ctx, "clear", "counters"); err != nil || got != "" {
		t.Errorf("clear counters: %q, %v", got, err)
	}
	var refused *runtimeapi.Error
	if _, err := c.Do(ctx, "get", "weight", "be1/x;y z"); !errors.As(err, &refused) || refused.Text != "No such server." {
		t.Errorf("get weight of nobody: %v", err)
	}
	if _, err := c.Do(ctx, "bogus"); !errors.As(err, &refused) || !strings.HasPrefix(refused.Text, "Unknown command: 'bogus'") {
		t.Errorf("an unknown command: %v", err)
	}
	data := []byte("a\n\n;b \\\n")
	if _, err := c.DoPayload(ctx, data, "keep"); err != nil {
		t.Fatal(err)
	}
	if got := <-kept; !bytes.Equal(got, data) {
		t.Errorf("payload %q arrived as %q", data, got)
	}
}
