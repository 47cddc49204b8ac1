package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
	"gatehouse/internal/log"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// edge is one frontend with one backend on loopback, and the lines of its log.
type edge struct {
	t      testing.TB
	addr   string
	handle *Handle
	stop   context.CancelFunc
	served sync.WaitGroup

	lines chan string
}

// setup is what a test may change before the edge starts.
type setup struct {
	f      FrontendOptions
	b      BackendOptions
	s      backend.Options
	format string
	errors string // error-log-format; "" is none
	header string // format of the log lines' headers
	tls    *tls.Config
}

// lineWriter cuts what a log target writes into lines.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	for _, line := range strings.SplitAfter(string(p), "\n") {
		if line != "" {
			w <- strings.TrimSuffix(line, "\n")
		}
	}
	return len(p), nil
}

// long is a timeout that no test reaches.
const long = 20 * time.Second

func newEdge(t testing.TB, server string, change func(*setup)) *edge {
	t.Helper()
	e := &edge{t: t, lines: make(chan string, 1000)}
	to := Timeouts{Client: long, Server: long, HTTPRequest: long, KeepAlive: long}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		t.Fatal(err)
	}
	var portNumber int
	fmt.Sscan(port, &portNumber)
	addrs, err := config.ParseAddr(host+":"+port, config.AddrServer)
	if err != nil {
		t.Fatal(err)
	}
	o := setup{
		f: FrontendOptions{Name: "fe", HTTP: true, Timeouts: to},
		b: BackendOptions{Name: "be", HTTP: true, Timeouts: to},
		s: backend.Options{Name: "be", HTTP: true, ConnectTimeout: long,
			Servers: []backend.ServerOptions{{Line: config.Server{Name: "s", Weight: 1, Addr: addrs[0]}}}},
		format: "%ci %ft %b/%s %ST %B %tsc %{+Q}r",
		header: "raw",
	}
	if change != nil {
		change(&o)
	}
	servers, err := backend.New(o.s, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.b.Servers = servers
	target, err := log.New(log.Options{Network: "writer", Writer: lineWriter(e.lines), Format: o.header, Len: 8192})
	if err != nil {
		t.Fatal(err)
	}
	o.f.Default = NewBackend(o.b)
	o.f.Log.Format = e.compile(o.format, o.f.HTTP)
	if o.errors != "" {
		o.f.Log.Error = e.compile(o.errors, o.f.HTTP)
	}
	o.f.Log.Logger = &log.Logger{Targets: []*log.Target{target}}
	e.handle = NewHandle(NewFrontend(o.f))
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.addr = l.Addr().String()
	var running sync.WaitGroup
	running.Go(func() { target.Run(ctx) })
	running.Go(func() { e.accept(ctx, l, o.tls) })
	t.Cleanup(func() {
		l.Close()
		cancel()
		e.served.Wait()
		running.Wait()
		servers.Close()
	})
	return e
}

func (e *edge) compile(text string, http bool) *rule.Format {
	e.t.Helper()
	var diags config.Diags
	c := rule.Compiler{Diags: &diags, HTTP: http, Kind: "frontend", Proxy: "fe"}
	f := c.Format(text, config.Pos{}, http)
	if diags.HasErrors() {
		e.t.Fatal(diags)
	}
	return f
}

func (e *edge) accept(ctx context.Context, l net.Listener, conf *tls.Config) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		e.served.Go(func() {
			c := &stream.Conn{Src: nc.RemoteAddr().(*net.TCPAddr).AddrPort(), Accepted: time.Now()}
			if conf != nil {
				t := tls.Server(nc, conf)
				if t.Handshake() != nil {
					nc.Close()
					return
				}
				nc, c.TLS = t, &stream.TLS{}
			}
			e.handle.Serve(ctx, nc, c)
		})
	}
}

// logged returns the next log line.
func (e *edge) logged() string {
	e.t.Helper()
	select {
	case l := <-e.lines:
		return l
	case <-time.After(long):
		e.t.Fatal("no log line")
		return ""
	}
}

// rules compiles http-request rules, one per line.
func rules(t testing.TB, lines ...string) (*rule.Compiler, []config.Rule) {
	t.Helper()
	c := &rule.Compiler{Diags: new(config.Diags), HTTP: true, Kind: "frontend", Proxy: "fe"}
	t.Cleanup(func() {
		if c.Diags.HasErrors() {
			t.Error(*c.Diags)
		}
	})
	var out []config.Rule
	for _, l := range lines {
		w, err := config.SplitWords(l, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, config.Rule{Words: w})
	}
	return c, out
}

func requestRules(t testing.TB, lines ...string) *rule.Set {
	c, r := rules(t, lines...)
	return c.HTTPRequest(r, c.ACLs(nil))
}

func responseRules(t testing.TB, lines ...string) *rule.Set {
	c, r := rules(t, lines...)
	return c.HTTPResponse(r, c.ACLs(nil))
}

// peer is the test's end of a connection.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (e *edge) dial() *peer {
	e.t.Helper()
	c, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return newPeer(e.t, c)
}

func newPeer(t testing.TB, c net.Conn) *peer {
	c.SetDeadline(time.Now().Add(long))
	return &peer{c, t, bufio.NewReader(c)}
}

func (p *peer) send(s string) *peer {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Errorf("sending %q: %v", s, err)
	}
	return p
}

// head reads one message head with its empty line.
func (p *peer) head() string {
	p.t.Helper()
	var b strings.Builder
	for {
		l, err := p.r.ReadString('\n')
		b.WriteString(l)
		if err != nil {
			p.t.Errorf("reading a head: %v after %q", err, b.String())
			return b.String()
		}
		if l == "\r\n" {
			return b.String()
		}
	}
}

// take reads n bytes.
func (p *peer) take(n int) string {
	p.t.Helper()
	b := make([]byte, n)
	m, err := io.ReadFull(p.r, b)
	if err != nil {
		p.t.Errorf("reading %d bytes: %v after %q", n, err, b[:m])
	}
	return string(b[:m])
}

// rest reads until the connection ends, in whatever way.
func (p *peer) rest() string {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	var ne net.Error
	if ok := err != nil; ok && asTimeout(err, &ne) {
		p.t.Errorf("connection still open after %q", b)
	}
	return string(b)
}

func asTimeout(err error, ne *net.Error) bool {
	e, ok := err.(net.Error)
	*ne = e
	return ok && e.Timeout()
}

// server is a backend whose connections run a script; conns counts them.
type server struct {
	addr string
	mu   sync.Mutex
	n    int
	open []net.Conn
}

func (s *server) conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// serve starts a server that runs script on each connection, with the connection's number from 1, and closes it afterwards.
func serve(t testing.TB, script func(p *peer, n int)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.n++
			n := s.n
			s.open = append(s.open, c)
			s.mu.Unlock()
			running.Go(func() {
				defer c.Close()
				script(newPeer(quiet{t}, c), n)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		running.Wait()
	})
	return s
}

// quiet swallows errors of server scripts: a proxy that closes a connection is not the test's failure.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

// answering is a server that answers every request with response and hands the requests on.
func answering(t testing.TB, response string) (*server, chan string) {
	got := make(chan string, 100)
	s := serve(t, func(p *peer, _ int) {
		for {
			h := p.head()
			if !strings.HasSuffix(h, "\r\n\r\n") {
				return
			}
			got <- h
			p.send(response)
		}
	})
	return s, got
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
const okOut = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

// selfSigned makes a TLS configuration for localhost.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
