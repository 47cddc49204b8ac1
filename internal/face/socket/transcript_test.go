package socket_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/face/socket"
)

var update = flag.Bool("update", false, "record testdata/*.txt again from the haproxy that GATEHOUSE_HAPROXY names")

// transcript is one conversation: what a client sends before it closes its side, and everything it gets back.
//
//	=== NAME [level=LEVEL] [since=VERSION] [first-line]
//	>>>
//	what is sent; the LF before <<< is sent unless \c ends it, \r stands for CR, \t for TAB
//	<<<
//	what comes back, {dir} and {version} standing for themselves
//
// since says which HAProxy first answers so, an older one is not asked. first-line compares only the first line of each answer,
// where lists of commands follow that differ.
type transcript struct {
	name, level, since string
	firstLine          bool
	head, input, want  string
}

func readTranscripts(t *testing.T, file string) (preamble string, all []*transcript) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(data), "\n=== ")
	for _, part := range parts[1:] {
		head, body, _ := strings.Cut(part, "\n")
		body, ok := strings.CutPrefix(body, ">>>\n")
		input, want, ok2 := strings.Cut(body, "<<<\n")
		if !ok || !ok2 {
			t.Fatalf("%s: transcript %q lacks >>> or <<<", file, head)
		}
		all = append(all, parseHead(t, head, input, want))
	}
	return strings.TrimPrefix(parts[0], "\n"), all
}

func parseHead(t *testing.T, head, input, want string) *transcript {
	t.Helper()
	words := strings.Fields(head)
	tr := &transcript{name: words[0], level: "admin", head: head, input: input, want: want}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "level":
			tr.level = value
		case "since":
			tr.since = value
		case "first-line":
			tr.firstLine = true
		default:
			t.Fatalf("transcript %q: what is %q?", head, w)
		}
	}
	return tr
}

// request is what goes over the wire.
func (tr *transcript) request(dir string) string {
	text, cut := strings.CutSuffix(tr.input, "\\c\n")
	text = strings.NewReplacer(`\r`, "\r", `\t`, "\t", "{dir}", dir).Replace(text)
	if !cut && text == "" {
		text = "\n"
	}
	return text
}

var volatile = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^0x[0-9a-f]+ `), "{entry} "},
	{regexp.MustCompile(`(?m)^\d+ \(\) acl 'var' file 'httpclient' .*\n`), ""}, // of HAProxy's own client
	{regexp.MustCompile(`(?m)^((?:\[6\]: )?)\d+\.\d+\.\d+\S*$`), "${1}{version}"},
	{regexp.MustCompile(`(?m)^((?:[^,\n]*,){123}[^,\n]*,).+$`), "$1"},                       // columns of modules that we do not have
	{regexp.MustCompile(`(?m)^[FBSL]\.\d+\.\d+\.\d+\.h[12]_.*\n`), ""},                      // the same, typed
	{regexp.MustCompile(`(?m)^((?:be1|be2|li1),(?:[^,\n]*,){22})\d+,`), "${1}{age},"},       // lastchg
	{regexp.MustCompile(`(?m)^([BS]\.\d+\.\d+\.23\.lastchg\.1:MAPP:u32:)\d+`), "${1}{age}"}, // the same, typed
	{regexp.MustCompile(`> \d+\.\d+\.\d+\S*\n`), "> {version}\n"},
	{regexp.MustCompile(`\b\d+> `), "{pid}> "},
	{regexp.MustCompile(`\[\d+:\d\d:\d\d:\d\d\] `), "[{up}] "},
	{regexp.MustCompile(`(?m)^\d+ +(master|worker) (.*) \d+d\d\dh\d\dm\d\ds +\S+ *$`), "{pid} $1 $2 {up} {version}"},
	{regexp.MustCompile(`(?m)^(\d+ (?:be1|be2|li1) (?:\S+ ){7})\d+ `), "${1}{age} "},
}

func (tr *transcript) normalise(answer, dir string) string {
	answer = strings.ReplaceAll(answer, dir, "{dir}")
	for _, v := range volatile {
		answer = v.re.ReplaceAllString(answer, v.with)
	}
	if tr.firstLine {
		first, _, _ := strings.Cut(answer, "\n")
		return first + "\n"
	}
	return answer
}

// exchange sends request, closes our side and reads to the end.
func exchange(t *testing.T, network, addr, request string) string {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(nc, request)
		_ = nc.(interface{ CloseWrite() error }).CloseWrite()
		written <- err
	}()
	answer, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("reading the answer to %.80q after %.200q: %v", request, answer, err)
	}
	<-written // the server may well close before it has read all
	return string(answer)
}

// kinds are the sockets that conversations are with: ours and HAProxy's return the path to connect to.
var kinds = []struct {
	file   string
	ours   func(t *testing.T, dir, level string) string
	theirs func(t *testing.T, bin, level string) (dir, path string)
}{
	{"testdata/commands.txt", ourWorker, theirWorker},
	{"testdata/master/commands.txt", ourMaster, theirMaster},
	{"testdata/maps/commands.txt", ourMaps, theirMaps},
}

func ourWorker(t *testing.T, dir, level string) string {
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), Sockets: func() []socket.SocketOptions {
		return []socket.SocketOptions{{Addr: "unix@" + dir + "/admin.sock", Level: socket.Admin},
			{Addr: "unix@" + dir + "/operator.sock", Level: socket.Operator}, {Addr: "unix@" + dir + "/user.sock", Level: socket.User}}
	}})
	return serveUnix(t, w, dir, level)
}

func theirWorker(t *testing.T, bin, level string) (string, string) {
	dir := startHAProxy(t, bin, "user.sock", "-db")
	return dir, filepath.Join(dir, level+".sock")
}

func theirMaster(t *testing.T, bin, _ string) (string, string) {
	dir := startHAProxy(t, bin, "master.sock", "-W", "-S", "{dir}/master.sock")
	path := filepath.Join(dir, "master.sock")
	for end := time.Now().Add(10 * time.Second); !hasWorker(t, path); {
		if time.Now().After(end) {
			t.Fatal("the worker does not answer")
		}
	}
	return dir, path
}

// hasWorker asks a master whether its worker is ready. A HAProxy that has none says so and keeps the connection.
func hasWorker(t *testing.T, path string) bool {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 64)
	if _, err := io.WriteString(nc, "@1 show version\n"); err != nil {
		return false
	}
	n, _ := nc.Read(answer)
	return n > 0 && !strings.HasPrefix(string(answer[:n]), "Can't")
}

func TestTranscriptsOfHAProxyAreOurs(t *testing.T) {
	for _, k := range kinds {
		_, all := readTranscripts(t, k.file)
		for _, tr := range all {
			t.Run(filepath.Dir(k.file)+"/"+tr.name, func(t *testing.T) {
				dir := t.TempDir()
				sock := k.ours(t, dir, tr.level)
				got := tr.normalise(exchange(t, "unix", sock, tr.request(dir)), dir)
				if got != tr.want {
					t.Errorf("sent\n%s\ngot\n%s\nHAProxy says\n%s", tr.input, got, tr.want)
				}
			})
		}
	}
}

// TestTranscriptsAreStillHAProxys asks a real haproxy the same. With -update it writes the answers down.
func TestTranscriptsAreStillHAProxys(t *testing.T) {
	bin, version := findHAProxy(t)
	for _, k := range kinds {
		preamble, all := readTranscripts(t, k.file)
		for _, tr := range all {
			t.Run(filepath.Dir(k.file)+"/"+tr.name, func(t *testing.T) {
				if tr.since != "" && older(version, tr.since) {
					t.Skipf("HAProxy answers so since %s, this is %s", tr.since, version)
				}
				dir, path := k.theirs(t, bin, tr.level)
				got := tr.normalise(exchange(t, "unix", path, tr.request(dir)), dir)
				if *update {
					tr.want = got
				} else if got != tr.want {
					t.Errorf("HAProxy %s: sent\n%s\ngot\n%s\nwritten down\n%s", version, tr.input, got, tr.want)
				}
			})
		}
		if *update {
			writeTranscripts(t, k.file, preamble, all)
		}
	}
}

func writeTranscripts(t *testing.T, file, preamble string, all []*transcript) {
	t.Helper()
	var b strings.Builder
	b.WriteString(preamble)
	for _, tr := range all {
		fmt.Fprintf(&b, "\n=== %s\n>>>\n%s<<<\n%s", tr.head, tr.input, tr.want)
	}
	if err := os.WriteFile(file, []byte(strings.TrimPrefix(b.String(), "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// findHAProxy finds the binary, or skips. GATEHOUSE_TEST_REQUIRE=all makes a missing one a failure.
func findHAProxy(t *testing.T) (bin, version string) {
	t.Helper()
	bin = os.Getenv("GATEHOUSE_HAPROXY")
	if bin == "" {
		bin = "haproxy"
	}
	path, err := exec.LookPath(bin)
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatalf("%v; install the package haproxy", err)
		}
		t.Skipf("%v; install the package haproxy", err)
	}
	out, err := exec.Command(path, "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`version (\d+\.\d+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("what version is this? %s", out)
	}
	return path, string(m[1])
}

func older(a, b string) bool {
	var a1, a2, b1, b2 int
	fmt.Sscanf(a, "%d.%d", &a1, &a2)
	fmt.Sscanf(b, "%d.%d", &b1, &b2)
	return slices.Compare([]int{a1, a2}, []int{b1, b2}) < 0
}

// startHAProxy runs testdata/transcript.cfg until the test ends and returns the directory of its sockets, once the one named
// ready answers.
func startHAProxy(t *testing.T, bin, ready string, args ...string) string {
	t.Helper()
	cfg, err := os.ReadFile("testdata/transcript.cfg")
	if err != nil {
		t.Fatal(err)
	}
	return startHAProxyWith(t, bin, string(cfg), ready, args...)
}

func startHAProxyWith(t *testing.T, bin, cfg, ready string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "h.cfg")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(cfg, "{dir}", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{dir}", dir)
	}
	cmd := exec.CommandContext(ctx, bin, append(args, "-f", file)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // a master takes its worker along
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = []string{"GATEHOUSE_TEST=one two", "OTHER=x=y"}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if nc, err := net.Dial("unix", filepath.Join(dir, ready)); err == nil {
			nc.Close()
			return dir
		}
	}
	t.Fatalf("haproxy does not answer: %s", stderr.String())
	return ""
}

func newWorkerWith(t *testing.T, o socket.Options) *socket.Worker {
	t.Helper()
	o.Failed = func(by string, reason any) { t.Errorf("session %s panicked: %v", by, reason) }
	w, err := socket.NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serveUnix serves w on a socket of the level until the test ends.
func serveUnix(t *testing.T, w *socket.Worker, dir, level string) string {
	t.Helper()
	path := filepath.Join(dir, level+".sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := socket.ParseLevel(level)
	if !ok {
		t.Fatalf("level %q", level)
	}
	serveOn(t, ln, func(ctx context.Context) error {
		return w.Serve(ctx, ln, socket.SocketOptions{Addr: "unix@" + path, Level: l})
	})
	return path
}

func serveOn(t *testing.T, ln net.Listener, serve func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
