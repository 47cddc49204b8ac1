package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// program is one of the two that are compared.
type program struct {
	name, path string
	ours       bool
}

// bench is the workplace of one run: a folder with certificates and configurations, and a web server behind the edge.
type bench struct {
	dir    string
	server *http.Server
	idle   time.Duration
}

const (
	edgeHTTPS  = "127.0.0.1:18443"
	edgeRSA    = "127.0.0.1:18444"
	serverAddr = "127.0.0.1:18481"
	manyCerts  = 10_000
	baseConfig = `global
    stats socket %s/admin.sock level admin mode 600
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 10m
    timeout http-keep-alive 10m
    timeout server 30s
frontend web
    bind 127.0.0.1:18443 ssl %s
    bind 127.0.0.1:18444 ssl crt %s/rsa.pem
    default_backend app
` + rulesFront + `backend app
    server s1 127.0.0.1:18481
`
)

func newBench(idle time.Duration) (*bench, error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, idle: idle}
	if err := errors.Join(b.writeCertificates(), b.writeRuleList()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ln, err := net.Listen("tcp", serverAddr)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	body := bytes.Repeat([]byte("x"), 1024)
	b.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(body) })}
	go b.server.Serve(ln)
	return b, nil
}

func (b *bench) close() {
	b.server.Close()
	os.RemoveAll(b.dir)
}

// writeCertificates makes ecdsa.pem, rsa.pem, a folder of ten and a folder of ten thousand certificates, all from one CA
// with one intermediate, as a public CA's are.
func (b *bench) writeCertificates() error {
	ca, err := newCA()
	if err != nil {
		return err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, key := range map[string]any{"ecdsa.pem": ecKey, "rsa.pem": rsaKey} {
		if err := ca.write(filepath.Join(b.dir, name), "bench.test", key); err != nil {
			return err
		}
	}
	for folder, n := range map[string]int{"few": 10, "many": manyCerts} {
		if err := os.Mkdir(filepath.Join(b.dir, folder), 0o755); err != nil {
			return err
		}
		for i := range n {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return err
			}
			if err := ca.write(filepath.Join(b.dir, folder, fmt.Sprintf("site%05d.pem", i)), fmt.Sprintf("site%05d.test", i), key); err != nil {
				return err
			}
		}
	}
	return nil
}

type issuer struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain []byte
	next  int64
}

func newCA() (*issuer, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	}
	root := template(1, "Bench Root")
	der, err := x509.CreateCertificate(rand.Reader, template(2, "Bench Intermediate"), root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &issuer{cert: cert, key: key, chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), next: 100}, err
}

func (c *issuer) write(file, name string, key any) error {
	bundle, err := c.issue(name, key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, bundle, 0o600)
}

func (c *issuer) issue(name string, key any) ([]byte, error) {
	c.next++
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(c.next), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name, "www." + name},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(900 * time.Hour)}
	var public any
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		public = k.Public()
	case *rsa.PrivateKey:
		public = k.Public()
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.cert, public, c.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	out = append(out, c.chain...)
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), nil
}

// edge is one running program under measurement.
type edge struct {
	cmd     *exec.Cmd
	out     bytes.Buffer
	started time.Time
}

// start runs p on the base configuration with the certificates that crt names, on core 0, and waits until it answers.
func (b *bench) start(ctx context.Context, p program, crt, extra string) (*edge, error) {
	cfg := filepath.Join(b.dir, p.name+".cfg")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, baseConfig, b.dir, crt, b.dir, b.dir), 0o600); err != nil {
		return nil, err
	}
	args := []string{"-c", "0", p.path, "-db", "-f", cfg}
	if p.ours && extra != "" {
		more := filepath.Join(b.dir, "extra.cfg")
		if err := os.WriteFile(more, []byte(extra), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-f", more)
	}
	e := &edge{cmd: exec.CommandContext(ctx, "taskset", args...), started: time.Now()}
	e.cmd.Dir = b.dir
	e.cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+filepath.Join(b.dir, "state"))
	e.cmd.Stdout, e.cmd.Stderr = &e.out, &e.out
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", edgeHTTPS, time.Second)
		if err == nil {
			c.Close()
			return e, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			e.stop()
			return nil, fmt.Errorf("%s does not answer: %w\n%s", p.name, err, e.out.String())
		}
	}
}

func (e *edge) stop() {
	e.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { e.cmd.Process.Kill() })
	defer timer.Stop()
	e.cmd.Wait()
}

// cpu is the process's user and system time so far. The kernel counts in ticks of 10 ms.
func (e *edge) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("stat of the process has another shape")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// rss is the process's resident memory in bytes.
func (e *edge) rss() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("status of the process has no VmRSS")
}
