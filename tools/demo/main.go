// Demo shows the main job on one machine: a real ACME CA (Pebble), two web servers, and Gatehouse on examples/demo.cfg, which
// starts without a certificate, gets one, serves it, and renews it under load. `make demo` builds and runs it.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	edgeAddr   = "127.0.0.1:8443"
	serverName = "demo.test"
	patience   = 60 * time.Second
)

func main() {
	bin := flag.String("bin", "bin", "folder that holds gatehouse and pebble")
	cfg := flag.String("cfg", "examples/demo.cfg", "configuration to run")
	once := flag.Bool("once", false, "exit 0 after the renewal instead of staying up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *cfg, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, cfg string, once bool) error {
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{bin: bin, cfg: cfg, dir: dir}
	defer d.stopAll()
	for _, step := range []struct {
		say string
		do  func(context.Context) error
	}{
		{"starting a certificate authority (Pebble, ACME)", d.startCA},
		{"starting two web servers on 127.0.0.1:8181 and 127.0.0.1:8182", d.startServers},
		{"starting gatehouse on " + cfg + ", with no certificate", d.startEdge},
		{"waiting for the certificate of " + serverName, d.awaitCertificate},
	} {
		fmt.Println("==>", step.say)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.say, err)
		}
	}
	fmt.Printf("    got it: serial %s\n\n", d.serial)
	fmt.Printf("Try it from another terminal:\n\n    curl --resolve %s:8443:127.0.0.1 --cacert %s https://%s:8443/\n\n", serverName, d.caFile, serverName)
	fmt.Println("==> renewing under load")
	if err := d.renewUnderLoad(ctx); err != nil {
		return err
	}
	if once {
		return nil
	}
	fmt.Println("\nStill serving; Ctrl-C stops everything.")
	<-ctx.Done()
	return nil
}

// demo is what is running; it lives as long as run.
type demo struct {
	bin, cfg, dir string
	directory     string
	caFile        string
	roots         *x509.CertPool
	serial        string
	stops         []func()
}

func (d *demo) stopAll() {
	for i := len(d.stops) - 1; i >= 0; i-- {
		d.stops[i]()
	}
}

func (d *demo) startCA(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(d.bin, "pebble"), "-http-port", "8080", "-dir", d.dir)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(d.dir, "pebble.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd.Stderr = logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	d.stops = append(d.stops, func() { stdin.Close(); stopProcess(cmd) })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the CA did not start: %w", err)
	}
	var facts struct {
		Directory string `json:"directory"`
		RootFile  string `json:"root_file"`
	}
	if err := json.Unmarshal(line, &facts); err != nil {
		return err
	}
	d.directory, d.caFile = facts.Directory, facts.RootFile
	root, err := os.ReadFile(facts.RootFile)
	if err != nil {
		return err
	}
	d.roots = x509.NewCertPool()
	if !d.roots.AppendCertsFromPEM(root) {
		return errors.New("the CA has no root certificate")
	}
	return nil
}

func (d *demo) startServers(ctx context.Context) error {
	for i, name := range []string{"one", "two"} {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:818%d", i+1))
		if err != nil {
			return err
		}
		srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello from server %s\n", name)
		})}
		go srv.Serve(ln)
		d.stops = append(d.stops, func() { srv.Close() })
	}
	return nil
}

func (d *demo) startEdge(ctx context.Context) error {
	cmd := exec.Command(filepath.Join(d.bin, "gatehouse"), "-db", "-f", d.cfg)
	cmd.Env = append(os.Environ(), "DEMO_DIR="+d.dir, "DEMO_DIRECTORY="+d.directory)
	cmd.Stdout, cmd.Stderr = indented{os.Stdout}, indented{os.Stdout}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.stops = append(d.stops, func() { stopProcess(cmd) })
	return nil
}

// awaitCertificate returns once the edge shows a certificate that the CA's root verifies.
func (d *demo) awaitCertificate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		serial, err := d.handshake(ctx)
		if err == nil {
			d.serial = serial
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no certificate after %s: %w", time.Since(start).Round(time.Second), err)
		case <-tick.C:
		}
	}
}

func (d *demo) handshake(ctx context.Context) (string, error) {
	dialer := tls.Dialer{Config: &tls.Config{ServerName: serverName, RootCAs: d.roots}}
	c, err := dialer.DialContext(ctx, "tcp", edgeAddr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Text(16), nil
}

// renewUnderLoad keeps eight clients busy, half of them with a new handshake per request, while the certificate is renewed.
func (d *demo) renewUnderLoad(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var sent, failed atomic.Int64
	load, stopLoad := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 8 {
		client := d.client(i%2 == 0)
		wg.Go(func() {
			for load.Err() == nil {
				sent.Add(1)
				if err := get(ctx, client); err != nil {
					failed.Add(1)
					fmt.Println("    failed:", err)
				}
			}
		})
	}
	err := d.renew(ctx)
	stopLoad()
	wg.Wait()
	if err != nil {
		return err
	}
	old := d.serial
	if d.serial, err = d.handshake(ctx); err != nil {
		return err
	}
	fmt.Printf("    %d requests, %d failed\n    old serial %s\n    new serial %s\n", sent.Load(), failed.Load(), old, d.serial)
	if failed.Load() > 0 {
		return fmt.Errorf("%d of %d requests failed during the renewal", failed.Load(), sent.Load())
	}
	return nil
}

// renew asks for a renewal over the Runtime API and waits until the edge shows the new certificate.
func (d *demo) renew(ctx context.Context) error {
	answer, err := d.tell(ctx, "acme renew "+filepath.Join(d.dir, "demo.pem"))
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(answer); text != "" {
		return fmt.Errorf("acme renew: %s", text)
	}
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		serial, err := d.handshake(ctx)
		if err == nil && serial != d.serial {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the certificate was not renewed: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

func (d *demo) tell(ctx context.Context, command string) (string, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", filepath.Join(d.dir, "admin.sock"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(c, 1<<20))
	return string(answer), err
}

func (d *demo) client(keepAlive bool) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: !keepAlive,
		TLSClientConfig:   &tls.Config{ServerName: serverName, RootCAs: d.roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, edgeAddr)
		},
	}}
}

func get(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, "GET", "https://"+serverName+":8443/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// stopProcess ends cmd: SIGTERM, then SIGKILL after five seconds.
func stopProcess(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
}

// indented writes every line of the edge's own output behind a margin.
type indented struct{ w io.Writer }

func (i indented) Write(p []byte) (int, error) {
	for _, line := range strings.SplitAfter(string(p), "\n") {
		if line != "" {
			fmt.Fprint(i.w, "    | ", line)
		}
	}
	return len(p), nil
}
