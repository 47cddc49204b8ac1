package behaviour

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for something that should happen soon.
const patience = 30 * time.Second

// commands are the words scripts have beyond testscript's own.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"edge":       cmdEdge,
	"web":        cmdWeb,
	"mkcert":     cmdMkcert,
	"serial":     cmdSerial,
	"pebble":     cmdPebble,
	"eventually": cmdEventually,
	"raw":        cmdRaw,
	"repeat":     cmdRepeat,
	"subst":      cmdSubst,
	"syslog":     cmdSyslog,
	"echo":       cmdEcho,
	"tunnel":     cmdTunnel,
	"dribble":    cmdDribble,
	"example":    cmdExample,
	"mkcrl":      cmdMkcrl,
	"envfile":    cmdEnvfile,
}

// world is what one script has started.
type world struct {
	edge    *exec.Cmd
	edgeOut *lockedBuffer
	ca      *authority
	tunnel  net.Conn
	done    []func()
}

type worldKey struct{}

func setup(env *testscript.Env) error {
	w := &world{}
	env.Values[worldKey{}] = w
	env.Setenv("PROGRAM", os.Getenv(programVar))
	env.Setenv("BIN", os.Getenv(builtVar))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("PATH", os.Getenv("PATH"))
	env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
	env.Defer(func() {
		w.stopEdge(syscall.SIGKILL)
		for _, f := range w.done {
			f()
		}
	})
	return nil
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// edge start [-wait ADDR] [args...] | stop [SIGNAL] | signal SIGNAL | output | status
func cmdEdge(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	switch {
	case len(args) > 0 && args[0] == "start":
		w.startEdge(ts, args[1:])
	case len(args) > 0 && args[0] == "stop":
		sig := syscall.SIGTERM
		if len(args) > 1 {
			sig = signalNamed(ts, args[1])
		}
		ts.Logf("edge ended: %s", w.stopEdge(sig))
	case len(args) == 2 && args[0] == "signal":
		if err := w.edge.Process.Signal(signalNamed(ts, args[1])); err != nil {
			ts.Fatalf("edge signal: %v", err)
		}
	case len(args) == 2 && args[0] == "exits":
		got := w.waitEdge()
		if (got == args[1]) == neg {
			ts.Fatalf("edge exited with %q, want %q\n%s", got, args[1], w.edgeOut.String())
		}
	case len(args) == 2 && args[0] == "says":
		deadline := time.Now().Add(patience)
		for {
			found := strings.Contains(w.edgeOut.String(), args[1])
			if found && !neg {
				return
			}
			if neg {
				if found {
					ts.Fatalf("edge says %q\n%s", args[1], w.edgeOut.String())
				}
				return
			}
			if time.Now().After(deadline) {
				ts.Fatalf("edge does not say %q; it said:\n%s", args[1], w.edgeOut.String())
			}
			time.Sleep(20 * time.Millisecond)
		}
	default:
		ts.Fatalf("usage: edge start|stop|signal|exits|says ...")
	}
}

func (w *world) startEdge(ts *testscript.TestScript, args []string) {
	var waits []string
	for len(args) > 1 && args[0] == "-wait" {
		waits = append(waits, args[1])
		args = args[2:]
	}
	if len(args) == 0 {
		args = []string{"-db", "-f", "haproxy.cfg"}
	}
	cmd := exec.Command(ts.Getenv("PROGRAM"), args...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = environ(ts)
	w.edgeOut = &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = w.edgeOut, w.edgeOut
	if err := cmd.Start(); err != nil {
		ts.Fatalf("edge start: %v", err)
	}
	w.edge = cmd
	for _, addr := range waits {
		if err := waitFor(addr); err != nil {
			w.stopEdge(syscall.SIGKILL)
			ts.Fatalf("edge start: %v; it said:\n%s", err, w.edgeOut.String())
		}
	}
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, k := range []string{"HOME", "PATH", "STATE_DIRECTORY", "WORK"} {
		env = append(env, k+"="+ts.Getenv(k))
	}
	for _, k := range exampleVars {
		if v := ts.Getenv(k); v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

func (w *world) stopEdge(sig syscall.Signal) string {
	if w.edge == nil {
		return "not running"
	}
	w.edge.Process.Signal(sig)
	return w.waitEdge()
}

// waitEdge returns the exit status as a shell would show it: "0", "1", "signal 2".
func (w *world) waitEdge() string {
	if w.edge == nil {
		return "not running"
	}
	cmd := w.edge
	w.edge = nil
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if st := exit.Sys().(syscall.WaitStatus); st.Signaled() {
			return fmt.Sprintf("signal %d", st.Signal())
		}
		return strconv.Itoa(exit.ExitCode())
	}
	if err != nil {
		return err.Error()
	}
	return "0"
}

func signalNamed(ts *testscript.TestScript, name string) syscall.Signal {
	s, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}[name]
	if !ok {
		ts.Fatalf("unknown signal %s", name)
	}
	return s
}

// web ADDR NAME [-tls FILE]: a web server whose every answer is NAME, the request line and the request's headers.
func cmdWeb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 4 {
		ts.Fatalf("usage: web ADDR NAME [-tls FILE]")
	}
	w := worldOf(ts)
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		ts.Fatalf("web: %v", err)
	}
	if len(args) == 4 {
		pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[3]), ts.MkAbs(args[3]))
		if err != nil {
			ts.Fatalf("web: %v", err)
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s\n%s %s %s\nHost: %s\n", args[1], r.Method, r.RequestURI, r.Proto, r.Host)
		r.Header.Write(&b)
		fmt.Fprintf(&b, "body %d\n", len(body))
		rw.Header().Set("X-Server", args[1])
		rw.Write(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n")))
	})}
	go srv.Serve(ln)
	w.done = append(w.done, func() { srv.Close() })
}

// eventually COMMAND...: runs exec COMMAND until it succeeds.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	want := ""
	if len(args) > 2 && args[0] == "-stdout" {
		want, args = args[1], args[2:]
	}
	deadline := time.Now().Add(patience)
	for {
		out, err := runTool(ts, args)
		if (err == nil && strings.Contains(out, want)) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never came true: %v\n%s", strings.Join(args, " "), err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// repeat N PREFIX COMMAND...: runs COMMAND N times and counts the first lines of its output, as "COUNT LINE" sorted lines in
// the file PREFIX.
func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("repeat: %v", err)
	}
	counts := map[string]int{}
	for range n {
		out, err := runTool(ts, args[2:])
		if err != nil {
			ts.Fatalf("repeat: %v\n%s", err, out)
		}
		first, _, _ := strings.Cut(out, "\n")
		counts[first]++
	}
	var b strings.Builder
	for _, k := range sortedKeys(counts) {
		fmt.Fprintf(&b, "%d %s\n", counts[k], k)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o644))
}

func runTool(ts *testscript.TestScript, args []string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environ(ts)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// raw ADDR FILE: sends FILE to ADDR over TCP (or a unix socket), half-closes, and makes the answer stdout-like file OUT.
func cmdRaw(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: raw ADDR FILE OUT")
	}
	network := "tcp"
	addr := args[0]
	if strings.Contains(addr, "/") {
		network, addr = "unix", ts.MkAbs(addr)
	}
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		ts.Fatalf("raw: %v", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	data := ts.ReadFile(args[1])
	if network == "tcp" && !strings.HasSuffix(args[1], ".cli") {
		data = strings.ReplaceAll(data, "\n", "\r\n")
	}
	if _, err := io.WriteString(c, data); err != nil {
		ts.Fatalf("raw: %v", err)
	}
	c.(interface{ CloseWrite() error }).CloseWrite()
	out, err := io.ReadAll(c)
	if err != nil {
		ts.Logf("raw: %v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n")), 0o644))
}

// subst FILE OLD NEW: replaces text in a file, as an editor would.
func cmdSubst(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: subst FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

func waitFor(addr string) error {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	deadline := time.Now().Add(patience)
	for {
		c, err := net.DialTimeout(network, addr, time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// syslog NETWORK ADDR FILE: collects datagrams, one a line, in FILE.
func cmdSyslog(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: syslog udp|unixgram ADDR FILE")
	}
	addr := args[1]
	if args[0] == "unixgram" {
		addr = ts.MkAbs(addr)
	}
	var c net.PacketConn
	c, err := net.ListenPacket(args[0], addr)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	w := worldOf(ts)
	done := make(chan struct{})
	w.done = append(w.done, func() { c.Close(); <-done; f.Close() })
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(f, "%s\n", bytes.TrimRight(buf[:n], "\n"))
		}
	}()
}

// echo ADDR: a server that switches protocols and then sends back what it gets.
func cmdEcho(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", args[0])
	ts.Check(err)
	w := worldOf(ts)
	w.done = append(w.done, func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
				io.Copy(c, r)
			}()
		}
	}()
}

// tunnel open ADDR PATH | says TEXT: an upgraded connection, and that TEXT comes back on it.
func cmdTunnel(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if args[0] == "open" {
		c, err := net.DialTimeout("tcp", args[1], patience)
		ts.Check(err)
		w.tunnel = c
		w.done = append(w.done, func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", args[2])
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
		ts.Check(err)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			ts.Fatalf("tunnel: %s", resp.Status)
		}
		return
	}
	w.tunnel.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(w.tunnel, args[1]); err != nil {
		ts.Fatalf("tunnel: %v", err)
	}
	got := make([]byte, len(args[1]))
	if _, err := io.ReadFull(w.tunnel, got); err != nil || string(got) != args[1] {
		ts.Fatalf("tunnel: %q %v", got, err)
	}
}
