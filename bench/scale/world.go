package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const address = "127.0.0.1:18461"

// world is the folder of a run: n certificates in one directory, their authority, and a configuration.
type world struct {
	program, dir, key string
	n                 int
	ca                *authority
}

func newWorld(program, dir, key string, n int) (*world, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	w := &world{program: program, dir: dir, key: key, n: n, ca: ca}
	return w, w.fill()
}

func (w *world) certs() string { return filepath.Join(w.dir, fmt.Sprintf("%s-%d", w.key, w.n)) }

func site(i int) string { return fmt.Sprintf("site%07d.test", i) }

func (w *world) path(i int) string { return filepath.Join(w.certs(), site(i)+".pem") }

// fill writes the certificates, unless an earlier run has.
func (w *world) fill() error {
	done := filepath.Join(w.certs(), ".complete")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.MkdirAll(w.certs(), 0o755); err != nil {
		return err
	}
	fmt.Printf("making %d certificates in %s\n", w.n, w.certs())
	err := spread(w.n, func(i int) error {
		text, err := w.issue(i)
		if err != nil {
			return err
		}
		return os.WriteFile(w.path(i), text, 0o600)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// issue makes a new certificate for site i. RSA keys are one and the same: making them takes longer than all measurements.
func (w *world) issue(i int) ([]byte, error) {
	var key crypto.Signer
	var err error
	if w.key == "rsa" {
		key, err = rsaKey()
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	return w.ca.issue(site(i), key)
}

// spread runs f for 0 to n-1 on all processors.
func spread(n int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for p := range errs {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[p] == nil; i = int(next.Add(1)) - 1 {
				errs[p] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain []byte
	next  atomic.Int64
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Scale Intermediate"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	a := &authority{cert: cert, key: key, chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	a.next.Store(time.Now().UnixNano())
	return a, err
}

func (a *authority) issue(name string, key crypto.Signer) ([]byte, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(a.next.Add(1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "www." + name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(9000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), a.chain...)
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), nil
}

const configuration = `global
    stats socket %[1]s/admin.sock level admin mode 600
    stats timeout 10m
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout server 30s
frontend web
    bind %[2]s ssl crt %[3]s
    http-request return status 200
gatehouse
    state-dir %[1]s/state
    persist %[4]s
`

// edge is a running Gatehouse.
type edge struct {
	w     *world
	cmd   *exec.Cmd
	out   bytes.Buffer
	took  time.Duration // from its start until the last name was served
	ended chan struct{}
}

// start runs the program on a directory of certificates and waits until it serves the name.
func (w *world) start(ctx context.Context, certs, name, persist string) (*edge, error) {
	cfg := filepath.Join(w.dir, "gatehouse.cfg")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, configuration, w.dir, address, certs, persist), 0o600); err != nil {
		return nil, err
	}
	e := &edge{w: w, cmd: exec.CommandContext(ctx, w.program, "-db", "-f", cfg), ended: make(chan struct{})}
	e.cmd.Stdout, e.cmd.Stderr = &e.out, &e.out
	began := time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		e.cmd.Wait()
		close(e.ended)
	}()
	for deadline := began.Add(5 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
		err := shake(name)
		if err == nil {
			e.took = time.Since(began)
			return e, nil
		}
		select {
		case <-e.ended:
			return nil, fmt.Errorf("it ended: %s", e.out.String())
		default:
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			e.stop()
			return nil, fmt.Errorf("does not serve %s: %w\n%s", name, err, e.out.String())
		}
	}
}

func (e *edge) stop() {
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.ended:
	case <-time.After(10 * time.Second):
		e.cmd.Process.Kill()
		<-e.ended
	}
}

// shake makes one full handshake for a name and checks that its certificate came.
func shake(name string) error {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: name, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	defer func() {
		c.NetConn().(*net.TCPConn).SetLinger(0) // no sockets in TIME_WAIT
		c.NetConn().Close()
	}()
	return c.ConnectionState().PeerCertificates[0].VerifyHostname(name)
}

// cpu is the user and system time used so far. The kernel counts in ticks of 10 ms.
func (e *edge) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("stat of the process has another shape")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// rss is the resident memory in bytes.
func (e *edge) rss() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// settled is rss once it has not fallen for half a minute, or after three minutes.
func (e *edge) settled(ctx context.Context) (int64, error) {
	least, since := int64(1<<62), time.Now()
	for begin := time.Now(); time.Since(since) < 30*time.Second && time.Since(begin) < 3*time.Minute; {
		now, err := e.rss()
		if err != nil {
			return 0, err
		}
		if now < least-1<<20 {
			least, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return e.rss()
}

// talk is a connection to the socket in interactive mode.
type talk struct {
	c net.Conn
	r *bufio.Reader
}

func (e *edge) talk() (*talk, error) {
	c, err := net.Dial("unix", filepath.Join(e.w.dir, "admin.sock"))
	if err != nil {
		return nil, err
	}
	t := &talk{c, bufio.NewReaderSize(c, 1<<16)}
	_, err = t.ask("prompt", "")
	return t, err
}

// ask sends a command and returns how long its answer was, which must hold want.
func (t *talk) ask(command, want string) (int, error) {
	t.c.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(t.c, command+"\n"); err != nil {
		return 0, err
	}
	n, found := 0, want == ""
	var head strings.Builder
	for {
		line, err := t.r.ReadString('\n')
		n += len(line)
		if head.Len() < 1000 {
			head.WriteString(line)
		}
		found = found || strings.Contains(line, want)
		if err != nil {
			return n, fmt.Errorf("%w after %q", err, head.String())
		}
		if next, err := t.r.Peek(2); err == nil && string(next) == "> " && t.r.Buffered() == 2 {
			t.r.Discard(2)
			break
		}
	}
	if !found {
		return n, fmt.Errorf("%.60q is answered %q, which does not hold %q", command, head.String(), want)
	}
	return n, nil
}

// renew replaces a certificate with set and commit.
func (t *talk) renew(name, text string) error {
	if _, err := t.ask("set ssl cert "+name+" <<\n"+text, "Transaction created"); err != nil {
		return err
	}
	_, err := t.ask("commit ssl cert "+name, "Success!")
	return err
}
