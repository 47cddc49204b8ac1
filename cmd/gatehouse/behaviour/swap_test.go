package behaviour

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/runtimeapi"
)

const (
	swapCommits = 1000
	swapReloads = 20
)

// TestCommitsAndReloadsUnderLoad: handshakes and requests run while a thousand certificates are committed and twenty
// configurations are loaded. No request fails, and no handshake that began after "Success!" shows an older certificate.
func TestCommitsAndReloadsUnderLoad(t *testing.T) {
	if os.Getenv(insideVar) != "" {
		t.Skip("this process runs one script")
	}
	s := newSwap(t)
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		load.Go(func() { s.handshakes(stop) })
	}
	for range 3 {
		load.Go(func() { s.requests(stop) })
	}
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		s.reloads(t)
	}()
	s.commits(t)
	<-reloaded
	close(stop)
	load.Wait()
	if n := s.failed.Load(); n > 0 {
		t.Errorf("%d failures, the first ones:\n%s\nthe edge said:\n%s", n, strings.Join(s.reasons, "\n"), s.out.String())
	}
	if s.shaken.Load() < swapReloads || s.asked.Load() < swapReloads {
		t.Errorf("%d handshakes and %d requests are no load", s.shaken.Load(), s.asked.Load())
	}
	t.Logf("%d handshakes and %d requests, none failed", s.shaken.Load(), s.asked.Load())
}

// swap is the edge under test, a server behind it, and what was seen.
type swap struct {
	dir, addr, pem string
	edge           *exec.Cmd
	out            *lockedBuffer
	api            *runtimeapi.Client
	ca             *authority
	committed      atomic.Int64 // the serial that the last Success! was for
	failed         atomic.Int64
	shaken, asked  atomic.Int64

	mu      sync.Mutex
	reasons []string
}

func newSwap(t *testing.T) *swap {
	t.Helper()
	bin := build(t)
	s := &swap{dir: t.TempDir(), out: &lockedBuffer{}}
	var err error
	if s.ca, err = newAuthority(); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })}
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(behind)
	t.Cleanup(func() { server.Close() })
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = front.Addr().String()
	front.Close()
	s.pem = filepath.Join(s.dir, "site.pem")
	s.write(t, s.pem, s.issue(t))
	s.committed.Store(s.ca.next)
	s.config(t, behind.Addr().String(), 0)
	s.edge = exec.Command(filepath.Join(bin, "gatehouse"), "-db", "-f", filepath.Join(s.dir, "haproxy.cfg"))
	s.edge.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(s.dir, "state"), "SERVER="+behind.Addr().String())
	s.edge.Stdout, s.edge.Stderr = s.out, s.out
	if err := s.edge.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.edge.Process.Kill(); s.edge.Wait() })
	if err := waitFor(s.addr); err != nil {
		t.Fatalf("%v\n%s", err, s.out.String())
	}
	if s.api, err = runtimeapi.Dial(filepath.Join(s.dir, "admin.sock")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *swap) write(t *testing.T, name string, data []byte) {
	t.Helper()
	tmp := name + ".new"
	if err := errors.Join(os.WriteFile(tmp, data, 0o600), os.Rename(tmp, name)); err != nil {
		t.Fatal(err)
	}
}

func (s *swap) issue(t *testing.T) []byte {
	t.Helper()
	b, err := s.ca.issue(false, []string{"www.example.test"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *swap) config(t *testing.T, server string, generation int) {
	t.Helper()
	s.write(t, filepath.Join(s.dir, "haproxy.cfg"), fmt.Appendf(nil, `global
    stats socket %[1]s/admin.sock level admin mode 600
    presetenv SERVER 127.0.0.1:1
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend www
    bind %[2]s ssl crt %[1]s/site.pem
    http-request set-header x-generation %[3]d
    default_backend app
backend app
    server s1 "${SERVER}" check
`, s.dir, s.addr, generation))
}

func (s *swap) fail(format string, args ...any) {
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reasons) < 10 {
		s.reasons = append(s.reasons, fmt.Sprintf(format, args...))
	}
}

func (s *swap) dial() (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", s.addr, &tls.Config{ServerName: "www.example.test", InsecureSkipVerify: true})
}

// handshakes shakes hands over and over and looks at the serial.
func (s *swap) handshakes(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		least := s.committed.Load()
		c, err := s.dial()
		if err != nil {
			s.fail("handshake: %v", err)
			continue
		}
		if got := c.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(big.NewInt(least)) < 0 {
			s.fail("a handshake shows serial %s after Success! for %d", got, least)
		}
		c.Close()
		s.shaken.Add(1)
	}
}

// requests keeps one connection and asks over and over; a connection that the edge announced to close is replaced.
func (s *swap) requests(stop chan struct{}) {
	var c *tls.Conn
	var r *bufio.Reader
	for {
		select {
		case <-stop:
			if c != nil {
				c.Close()
			}
			return
		default:
		}
		if c == nil {
			var err error
			if c, err = s.dial(); err != nil {
				s.fail("connecting: %v", err)
				c = nil
				continue
			}
			r = bufio.NewReader(c)
		}
		closes, err := s.request(c, r)
		if err != nil {
			s.fail("request: %v", err)
		}
		s.asked.Add(1)
		if err != nil || closes {
			c.Close()
			c = nil
		}
	}
}

func (s *swap) request(c net.Conn, r *bufio.Reader) (closes bool, err error) {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n"); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %s", resp.Status)
	}
	return resp.Close, nil
}

// commits replaces the certificate a thousand times over the Runtime API.
func (s *swap) commits(t *testing.T) {
	ctx := t.Context()
	for range swapCommits {
		bundle := s.issue(t)
		if answer, err := s.api.DoPayload(ctx, bundle, "set", "ssl", "cert", s.pem); err != nil || !strings.Contains(answer, "Transaction created") {
			t.Fatalf("set: %v %s", err, answer)
		}
		answer, err := s.api.Do(ctx, "commit", "ssl", "cert", s.pem)
		if err != nil || !strings.Contains(answer, "Success!") {
			t.Fatalf("commit: %v %s", err, answer)
		}
		s.committed.Store(s.ca.next)
	}
}

// reloads changes the configuration twenty times and waits each time until it is in force.
func (s *swap) reloads(t *testing.T) {
	for n := 1; n <= swapReloads; n++ {
		s.config(t, "", n)
		before := strings.Count(s.out.String(), "Loading success")
		if err := s.edge.Process.Signal(syscall.SIGUSR2); err != nil {
			s.fail("reload: %v", err)
			return
		}
		for deadline := time.Now().Add(patience); strings.Count(s.out.String(), "Loading success") == before; {
			if time.Now().After(deadline) {
				s.fail("reload %d did not come into force", n)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
