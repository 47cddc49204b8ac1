package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programVar makes the test binary be the program, with the fake engine; every process that it starts is one too.
const programVar = "GATEHOUSE_TEST_PROGRAM"

// patience is how long a test waits for another process before it gives up.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(programVar) != "" {
		os.Exit(Main(context.Background(), os.Args, newFake))
	}
	os.Exit(m.Run())
}

// program is one run of the program.
type program struct {
	*exec.Cmd
	t      *testing.T
	dir    string
	out    bytes.Buffer
	diag   *io.PipeReader // stderr line by line; see waitFor
	lines  *bufio.Scanner
	seen   []string
	exited chan error
	ended  bool
}

// newProgram prepares a run in its own directory, which also holds the files.
func newProgram(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command("/proc/self/exe", args...), t: t, dir: dir, exited: make(chan error, 1)}
	p.Args[0] = "haproxy"
	p.Dir = dir
	p.Env = append(os.Environ(), programVar+"=1", "NOTIFY_SOCKET=")
	p.Stdout = &p.out
	r, w := io.Pipe()
	p.diag, p.Stderr = r, w
	p.lines = bufio.NewScanner(r)
	p.lines.Buffer(nil, 1<<20)
	// A daemon keeps no pipe open; should one be left, it must not keep the test waiting.
	p.WaitDelay = patience
	return p
}

func (p *program) start() *program {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		err := p.Wait()
		p.Stderr.(*io.PipeWriter).Close()
		p.exited <- err
	}()
	p.t.Cleanup(func() {
		if !p.ended {
			_ = p.Process.Kill()
			for p.lines.Scan() {
			}
			<-p.exited
		}
	})
	return p
}

// waitFor reads stderr up to a line that matches.
func (p *program) waitFor(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timer := time.AfterFunc(patience, func() { p.diag.CloseWithError(os.ErrDeadlineExceeded) })
	defer timer.Stop()
	for p.lines.Scan() {
		p.seen = append(p.seen, p.lines.Text())
		if re.MatchString(p.lines.Text()) {
			return p.lines.Text()
		}
	}
	p.t.Fatalf("stderr has no %q:\n%s", pattern, strings.Join(p.seen, "\n"))
	return ""
}

// end waits for the exit and returns the status as a shell has it and the whole stderr.
func (p *program) end() (code int, stderr string) {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = p.Process.Kill() })
	defer timer.Stop()
	for p.lines.Scan() {
		p.seen = append(p.seen, p.lines.Text())
	}
	err := <-p.exited
	p.ended = true
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("waiting: %v", err)
	}
	code, _ = exitCode(p.ProcessState)
	return code, strings.Join(p.seen, "\n")
}

func (p *program) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// configText is a configuration with one frontend.
func configText(global, name, bind string) string {
	return fmt.Sprintf("global\n%s\ndefaults\n mode tcp\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nfrontend %s\n bind %s\n", global, name, bind)
}

// inherited gives the program a listening socket as descriptor 3, as VTest does, and returns its address.
func (p *program) inherit() string {
	p.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	p.ExtraFiles = append(p.ExtraFiles, f)
	return ln.Addr().String()
}

// client is a connection to the fake engine.
type client struct {
	net.Conn
	*bufio.Reader
}

func (c client) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func dial(t *testing.T, network, addr string) client {
	t.Helper()
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return client{c, bufio.NewReader(c)}
}

// who returns the generation and the pid that answer on this connection.
func (c client) who(t *testing.T) (name string, pid int) {
	t.Helper()
	line, err := c.ReadString('\n')
	if err != nil {
		t.Fatalf("reading who serves: %q, %v", line, err)
	}
	if _, err := fmt.Sscanf(line, "%s %d", &name, &pid); err != nil {
		t.Fatalf("who serves: %q: %v", line, err)
	}
	return name, pid
}

func (c client) again(t *testing.T) (name string, pid int) {
	t.Helper()
	if _, err := io.WriteString(c.Conn, "again\n"); err != nil {
		t.Fatal(err)
	}
	return c.who(t)
}

// ask sends a line to a command-line socket and reads the answer to its end.
func ask(t *testing.T, path, line string) string {
	t.Helper()
	c := dial(t, "unix", path)
	if _, err := io.WriteString(c.Conn, line+"\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.Conn.(*net.UnixConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%s: %q, %v", line, answer, err)
	}
	return string(answer)
}

// notifySocket is a NOTIFY_SOCKET and what was said on it.
func (p *program) notifySocket() func(want string) {
	p.t.Helper()
	path := filepath.Join(p.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	p.Env = append(p.Env, "NOTIFY_SOCKET="+path)
	return func(want string) {
		p.t.Helper()
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		n, err := conn.Read(buf)
		if err != nil || !regexp.MustCompile(want).Match(buf[:n]) {
			p.t.Fatalf("notified %q, %v; want %q", buf[:n], err, want)
		}
	}
}

func pidOf(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(data), "\n"))
	if err != nil {
		t.Fatalf("pid file holds %q", data)
	}
	return pid
}
