package listener

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"

	"gatehouse/internal/cert"
)

// TestMain lets the test binary be the clients of BenchmarkIdleConnection, whose memory must not count.
func TestMain(m *testing.M) {
	if address := os.Getenv("LISTENER_TEST_CLIENTS"); address != "" {
		idleClients(address)
		return
	}
	os.Exit(m.Run())
}

// idleClients opens connections until a number arrives on standard input, says so, and keeps them until the input ends.
func idleClients(address string) {
	in := bufio.NewScanner(os.Stdin)
	var open []*tls.Conn
	for in.Scan() {
		n, _ := strconv.Atoi(in.Text())
		for range n {
			c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", NextProtos: []string{"h2", "http/1.1"}})
			if err == nil {
				_, err = c.Write([]byte("x"))
			}
			if err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			if err != nil {
				fmt.Println(err)
				return
			}
			open = append(open, c)
		}
		fmt.Println("ready")
	}
	runtime.KeepAlive(open)
}

// BenchmarkIdleConnection reports the memory of a TLS connection that has carried a byte and waits for the next one.
func BenchmarkIdleConnection(b *testing.B) {
	ca := newAuthority(b, "ca")
	r := start(b, Options{HTTP: true, TLS: &cert.Options{}, Index: index(false, ca.bundle(b, "a.test")), Tickets: NewTickets()})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LISTENER_TEST_CLIENTS="+r.Addr().String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	answers := bufio.NewScanner(stdout)
	connect := func(n int) {
		fmt.Fprintln(stdin, n)
		for range n {
			<-r.served
		}
		if !answers.Scan() || answers.Text() != "ready" {
			b.Fatalf("clients: %q", answers.Text())
		}
	}
	connect(50) // what is shared is made now
	const n = 2000
	before := memory()
	connect(n)
	after := memory()
	for range b.N { // nothing to repeat: the figure is a size
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/conn")
	b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "stack-B/conn")
	b.ReportMetric(float64(after.Sys-before.Sys)/n, "sys-B/conn")
}

func memory() (m runtime.MemStats) {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkHandshake is one full TLS 1.3 handshake, ECDSA P-256 and X25519, client included.
func BenchmarkHandshake(b *testing.B) {
	for _, curve := range []tls.CurveID{tls.X25519, tls.X25519MLKEM768} {
		b.Run(curve.String(), func(b *testing.B) {
			ca := newAuthority(b, "ca")
			o := &Options{HTTP: true, TLS: &cert.Options{Curves: curve.String()}, Index: index(false, ca.bundle(b, "a.test")), Tickets: NewTickets()}
			s, err := newServer(o)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				shakeOnce(b, s, &tls.Config{InsecureSkipVerify: true, ServerName: "a.test", CurvePreferences: []tls.CurveID{curve}})
			}
		})
	}
}

func shakeOnce(b *testing.B, s *server, cfg *tls.Config) {
	near, far := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		c := tls.Client(far, cfg)
		c.Handshake()
		c.Read(make([]byte, 1))
	})
	t := tls.Server(newWire(near), s.base)
	if err := t.Handshake(); err != nil {
		b.Fatal(err)
	}
	near.Close()
	wg.Wait()
}
