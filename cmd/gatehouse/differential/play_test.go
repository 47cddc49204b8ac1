package differential

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// outcome is what one program made of one scenario.
type outcome struct {
	answers   [][]message // what the client received, per connection
	forwarded [][]message // what the server received meanwhile
	logs      []string
}

const preamble = `global
    log 127.0.0.1:@log local0
    maxconn 500
    nbthread 1
    expose-experimental-directives
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    timeout tarpit 10ms
userlist users
    group staff users user
    user user insecure-password pass
    user other insecure-password word
    user hashed password $5$saltsalt$9k0iflfLhuazVMAUTm0egnVlpP5ays5xBLqSJuoPfB9
http-errors pages
    errorfile 403 page.http
    errorfile 500 page.http
`

const (
	exchangeTime = 10 * time.Second // for one request
	stopTime     = 20 * time.Second
	maxMessage   = 1 << 20
)

// play starts program with the configurations of all cases, sends their requests and stops it.
func play(t *testing.T, program string, cases []*scenario) []outcome {
	t.Helper()
	dir := t.TempDir()
	logs := newLogSink(t)
	server := newRecorder(t)
	var cfg strings.Builder
	cfg.WriteString(strings.ReplaceAll(preamble, "@log", port(logs.conn.LocalAddr())))
	if strings.HasSuffix(program, "gatehouse") {
		fmt.Fprintf(&cfg, "gatehouse\n    state-dir %s\n", filepath.Join(dir, "state"))
	}
	var files []*os.File
	var addrs []string
	for i, c := range cases {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
		defer f.Close()
		files = append(files, f)
		cfg.WriteString(strings.NewReplacer("@fd", strconv.Itoa(3+i), "@server", server.addr, "@dead", "127.0.0.1:1").Replace(c.config()))
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(cfg.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	writeSideFiles(t, dir)
	stop := start(t, program, dir, file, cfg.String(), files)
	outcomes := make([]outcome, len(cases))
	for i, c := range cases {
		for _, r := range c.requests {
			answer := answersIn(send(t, addrs[i], c.tls, r), r.sent)
			outcomes[i].answers = append(outcomes[i].answers, answer)
			outcomes[i].forwarded = append(outcomes[i].forwarded, server.take())
		}
	}
	stop()
	for name, lines := range logs.byFrontend(t) {
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(cases) {
			t.Fatalf("log line of frontend %q", name)
		}
		outcomes[i].logs = lines
	}
	return outcomes
}

func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// start runs program until the returned function stops it in order.
func start(t *testing.T, program, dir, file, cfg string, files []*os.File) func() {
	t.Helper()
	var out bytes.Buffer
	check := exec.Command(program, "-c", "-f", file)
	check.Dir, check.ExtraFiles, check.Stdout, check.Stderr = dir, files, &out, &out
	if err := check.Run(); err != nil {
		t.Fatalf("%s -c: %v\n%s", filepath.Base(program), err, onlyErrors(out.String(), cfg))
	}
	out.Reset()
	cmd := exec.Command(program, "-db", "-q", "-f", file)
	cmd.Dir, cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = dir, files, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() {
		_ = cmd.Process.Signal(syscall.SIGUSR1)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s ended with %v\n%s", filepath.Base(program), err, tail(out.String()))
			}
		case <-time.After(stopTime):
			t.Errorf("%s does not stop\n", filepath.Base(program))
		}
	}
}

// onlyErrors leaves the warnings out.
func onlyErrors(text, cfg string) string {
	lines := strings.Split(cfg, "\n")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "ALERT") {
			b.WriteString(line)
			if m := faultLine.FindStringSubmatch(line); m != nil {
				if n, _ := strconv.Atoi(m[1]); n > 0 && n <= len(lines) {
					b.WriteString("    " + lines[n-1] + "\n")
				}
			}
		}
	}
	return tail(b.String())
}

var faultLine = regexp.MustCompile(`haproxy\.cfg:(\d+)\]`)

func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// send sends one connection's bytes and reads until the other side closes or the answer is complete.
func send(t *testing.T, addr string, secure bool, r request) string {
	t.Helper()
	c, err := net.DialTimeout("tcp4", addr, exchangeTime)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(exchangeTime))
	if _, err := io.WriteString(c, r.proxy); err != nil {
		return "cannot send: " + errorKind(err)
	}
	if secure {
		c = tls.Client(c, &tls.Config{
			InsecureSkipVerify: true, ServerName: "www.example.com", MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
	}
	if _, err := io.WriteString(c, r.raw); err != nil {
		return "cannot send: " + errorKind(err)
	}
	all, err := io.ReadAll(io.LimitReader(c, maxMessage))
	if err != nil {
		return string(all) + "<" + errorKind(err) + ">"
	}
	return string(all)
}

func errorKind(err error) string {
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		return "timeout"
	}
	return "broken"
}

// recorder is the server behind both programs: it answers as the request's x-want asks and keeps what it received.
type recorder struct {
	addr  string
	mu    sync.Mutex
	got   []message       // guarded by mu, as the rest
	flaky map[string]bool // heads whose first try got no answer
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &recorder{addr: l.Addr().String(), flaky: map[string]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *recorder) take() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.got
	r.got, r.flaky = nil, map[string]bool{}
	return all
}

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	if m, ok := proxyHeader(in); ok {
		r.mu.Lock()
		r.got = append(r.got, m)
		r.mu.Unlock()
	}
	for {
		head, body, err := readMessage(in)
		if err != nil {
			return
		}
		r.mu.Lock()
		m := newMessage(head, sent{})
		m.body = body
		r.got = append(r.got, m)
		first := want(head) == "flaky" && !r.flaky[head]
		r.flaky[head] = true
		r.mu.Unlock()
		if first {
			return
		}
		answer, closes := serverAnswer(head, body)
		if _, err := io.WriteString(c, answer); err != nil || closes || lastOne.MatchString(head) {
			return
		}
	}
}

var lastOne = regexp.MustCompile(`(?i)\r\nconnection: close\r\n`)

// proxyHeader reads the PROXY header that a connection may begin with, as a message without its ports.
func proxyHeader(in *bufio.Reader) (message, bool) {
	start, err := in.Peek(6)
	if err != nil {
		return message{}, false
	}
	switch string(start) {
	case "PROXY ":
		line, _ := in.ReadString('\n')
		words := strings.Fields(line)
		return message{start: strings.Join(words[:min(len(words), 4)], " ")}, true
	case "\r\n\r\n\x00\r":
	default:
		return message{}, false
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(in, head); err != nil {
		return message{start: "half a PROXY header"}, true
	}
	body := make([]byte, binary.BigEndian.Uint16(head[14:]))
	if _, err := io.ReadFull(in, body); err != nil {
		return message{start: "half a PROXY header"}, true
	}
	ports := map[byte]int{0x11: 8, 0x21: 32}[head[13]]
	if ports > 0 && len(body) >= ports+4 {
		body = append(body[:ports], body[ports+4:]...)
	}
	return message{start: "PROXY " + hex.EncodeToString(head[12:14]) + " " + hex.EncodeToString(body)}, true
}

// readMessage reads a head and the body it announces; chunks come out joined, behind a line that says so.
func readMessage(in *bufio.Reader) (head, body string, err error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || b.Len() > maxMessage {
			return "", "", fmt.Errorf("no head: %v", err)
		}
		b.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	head = b.String()
	low := strings.ToLower(head)
	if strings.Contains(low, "\r\ntransfer-encoding: chunked\r\n") {
		body, err = readChunks(in)
		return head, body, err
	}
	if m := contentLength.FindStringSubmatch(low); m != nil {
		n, _ := strconv.Atoi(m[1])
		p := make([]byte, n)
		_, err = io.ReadFull(in, p)
		return head, string(p), err
	}
	return head, "", nil
}

var contentLength = regexp.MustCompile(`\r\ncontent-length: (\d{1,6})\r\n`)

func readChunks(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		size, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ";")
		n, err := strconv.ParseUint(size, 16, 20)
		if err != nil {
			return "", err
		}
		if n == 0 {
			_, err = in.ReadString('\n')
			return b.String(), err
		}
		p := make([]byte, n+2)
		if _, err := io.ReadFull(in, p); err != nil {
			return "", err
		}
		b.Write(p[:n])
	}
}

// logSink receives syslog datagrams.
type logSink struct {
	conn *net.UDPConn
	done chan struct{}
	mu   sync.Mutex
	all  []string // guarded by mu
}

func newLogSink(t *testing.T) *logSink {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(8 << 20)
	s := &logSink{conn: c, done: make(chan struct{})}
	t.Cleanup(func() { c.Close() })
	go func() {
		defer close(s.done)
		buf := make([]byte, 65536)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.all = append(s.all, string(buf[:n]))
			s.mu.Unlock()
		}
	}()
	return s
}

// byFrontend sorts the lines received by the number in their frontend's name. It is called when the program has ended, so that
// what it sent has arrived: the loopback keeps datagrams in the receiver's buffer.
func (s *logSink) byFrontend(t *testing.T) map[string][]string {
	t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string][]string{}
	for _, line := range s.all {
		if found := frontendName.FindStringSubmatch(line); found != nil {
			m[found[1]] = append(m[found[1]], line)
		}
	}
	return m
}

var frontendName = regexp.MustCompile(`\bfe(\d+)\b`)
