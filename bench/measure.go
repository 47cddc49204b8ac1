package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	requestsPerRound   = 60_000
	handshakesPerRound = 4_000
	rsaPerRound        = 1_500
	idleConnections    = 2_000
	commitsPerRound    = 1_000
	clients            = 16
)

// clientTLS makes full handshakes only: no session cache, X25519.
func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "bench.test", MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}
}

func (b *bench) crt() string { return "crt " + b.dir + "/ecdsa.pem" }

// cpuPerRequest: microseconds of edge CPU per request over 16 keep-alive connections.
func cpuPerRequest(ctx context.Context, b *bench, p program) (float64, error) {
	e, err := b.start(ctx, p, b.crt(), "")
	if err != nil {
		return 0, err
	}
	defer e.stop()
	if err := requests(clients * 200); err != nil { // warm up: connections to the server, pools
		return 0, err
	}
	return perUnit(e, requestsPerRound, func() error { return requests(requestsPerRound) })
}

func requests(n int) error {
	return parallel(clients, n/clients, func(count int) error {
		c, err := tls.Dial("tcp", edgeHTTPS, clientTLS())
		if err != nil {
			return err
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for range count {
			if err := request(c, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func request(c io.Writer, r *bufio.Reader) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != 1024) {
		err = fmt.Errorf("status %d with %d bytes", resp.StatusCode, n)
	}
	return err
}

// handshake: microseconds of edge CPU per full TLS 1.3 handshake with the given kind of certificate.
func handshake(kind string) func(context.Context, *bench, program) (float64, error) {
	addr, n := edgeHTTPS, handshakesPerRound
	if kind == "rsa" {
		addr, n = edgeRSA, rsaPerRound
	}
	return func(ctx context.Context, b *bench, p program) (float64, error) {
		e, err := b.start(ctx, p, b.crt(), "")
		if err != nil {
			return 0, err
		}
		defer e.stop()
		do := func(total int) error {
			return parallel(4, total/4, func(count int) error {
				for range count {
					c, err := tls.Dial("tcp", addr, clientTLS())
					if err != nil {
						return err
					}
					// closing with RST keeps the machine free of sockets in TIME_WAIT
					c.NetConn().(*net.TCPConn).SetLinger(0)
					c.NetConn().Close()
				}
				return nil
			})
		}
		if err := do(200); err != nil {
			return 0, err
		}
		return perUnit(e, n, func() error { return do(n) })
	}
}

// perUnit is microseconds of edge CPU per unit while work does n units.
func perUnit(e *edge, n int, work func() error) (float64, error) {
	before, err := e.cpu()
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := e.cpu()
	return float64((after - before).Microseconds()) / float64(n), err
}

// memoryPerConnection: KiB of resident memory per TLS connection that made one request and then rested.
func memoryPerConnection(ctx context.Context, b *bench, p program) (float64, error) {
	e, err := b.start(ctx, p, b.crt(), "")
	if err != nil {
		return 0, err
	}
	defer e.stop()
	if err := requests(clients * 200); err != nil {
		return 0, err
	}
	if err := rest(ctx, b.idle); err != nil {
		return 0, err
	}
	before, err := e.rss()
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	err = parallel(clients, idleConnections/clients, func(count int) error {
		for range count {
			c, err := tls.Dial("tcp", edgeHTTPS, clientTLS())
			if err != nil {
				return err
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			if err := request(c, bufio.NewReader(c)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := rest(ctx, b.idle); err != nil {
		return 0, err
	}
	after, err := e.rss()
	return (after - before) / 1024 / idleConnections, err
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// memoryPerCertificate: KiB of resident memory that ten thousand certificates add, divided by their number.
func memoryPerCertificate(ctx context.Context, b *bench, p program) (float64, error) {
	var rss [2]float64
	for i, folder := range []string{"few", "many"} {
		e, err := b.start(ctx, p, "crt "+filepath.Join(b.dir, folder), "")
		if err != nil {
			return 0, err
		}
		err = rest(ctx, b.idle)
		if err == nil {
			rss[i], err = e.rss()
		}
		e.stop()
		if err != nil {
			return 0, err
		}
	}
	return (rss[1] - rss[0]) / 1024 / manyCerts, nil
}

// startCPU: milliseconds of CPU until the first connection is accepted with ten thousand certificates.
func startCPU(ctx context.Context, b *bench, p program) (float64, error) {
	e, err := b.start(ctx, p, "crt "+filepath.Join(b.dir, "many"), "")
	if err != nil {
		return 0, err
	}
	defer e.stop()
	cpu, err := e.cpu()
	return float64(cpu.Milliseconds()), err
}

// commitsPerSecond replaces one of ten thousand certificates after another, each by set and commit on one connection in
// interactive mode, as a script does. haproxy keeps them in memory; ours does the same with persist off, or writes each one
// durably first.
func commitsPerSecond(durable bool) func(context.Context, *bench, program) (float64, error) {
	return func(ctx context.Context, b *bench, p program) (float64, error) {
		extra := "gatehouse\n    persist off\n"
		if durable {
			extra = ""
		}
		e, err := b.start(ctx, p, "crt "+filepath.Join(b.dir, "many"), extra)
		if err != nil {
			return 0, err
		}
		defer e.stop()
		bundles, err := renewals(100)
		if err != nil {
			return 0, err
		}
		c, err := net.Dial("unix", filepath.Join(b.dir, "admin.sock"))
		if err != nil {
			return 0, err
		}
		defer c.Close()
		r := bufio.NewReader(c)
		if err := tell(c, r, "prompt\n", "> "); err != nil {
			return 0, err
		}
		start := time.Now()
		for i := range commitsPerRound {
			name := filepath.Join(b.dir, "many", fmt.Sprintf("site%05d.pem", i%len(bundles)))
			if err := tell(c, r, fmt.Sprintf("set ssl cert %s <<\n%s\n", name, bundles[i%len(bundles)]), "Transaction created"); err != nil {
				return 0, err
			}
			if err := tell(c, r, "commit ssl cert "+name+"\n", "Success!"); err != nil {
				return 0, err
			}
		}
		return commitsPerRound / time.Since(start).Seconds(), nil
	}
}

func renewals(n int) ([]string, error) {
	ca, err := newCA()
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		bundle, err := ca.issue(fmt.Sprintf("site%05d.test", i), key)
		if err != nil {
			return nil, err
		}
		out = append(out, string(bundle))
	}
	return out, nil
}

// tell sends text in prompt mode and reads up to the next main prompt; the answer must hold want.
func tell(c net.Conn, r *bufio.Reader, text, want string) error {
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	var got strings.Builder
	for {
		b, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("%w after %q", err, got.String())
		}
		got.WriteByte(b)
		if b == ' ' && r.Buffered() == 0 && strings.HasSuffix(got.String(), "\n> ") {
			if !strings.Contains(got.String(), want) {
				return fmt.Errorf("answer %q does not hold %q", got.String(), want)
			}
			return nil
		}
	}
}

// parallel runs f(count) in n goroutines and joins their errors.
func parallel(n, count int, f func(count int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(count) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
