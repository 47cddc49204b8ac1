package listener

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/stats"
)

// TestThreat_N06: a client that is silent, or speaks byte by byte, where a PROXY header or a handshake is due, is gone when that is
// overdue; the deadline counts from the accept, so that a header in its last moment buys no second one.
func TestThreat_N06(t *testing.T) {
	const soon = 60 * time.Millisecond
	a := newAuthority(t, "ca")
	header := v2(0x21, proxyTCP4, addrs4...)
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for _, tc := range []struct {
		name  string
		proxy bool
		send  string
		slow  bool
		want  string
	}{
		{"silent where a PROXY header is due", true, "", false, "Timeout while waiting for PROXY protocol header"},
		{"a PROXY header of version 1 byte by byte", true, "PROXY ", true, "Timeout while waiting for PROXY protocol header"},
		{"half a PROXY header of version 2", true, header[:14], false, "Timeout while waiting for PROXY protocol header"},
		{"silent behind its PROXY header", true, header, false, "Timeout during SSL handshake"},
		{"silent where a handshake is due", false, "", false, "Timeout during SSL handshake"},
		{"half a ClientHello", false, hello, false, "Timeout during SSL handshake"},
		{"a ClientHello byte by byte", false, hello, true, "Timeout during SSL handshake"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t, Options{AcceptProxy: tc.proxy, TLS: &cert.Options{}, Index: index(false, a.bundle(t, "a.test")), HandshakeTimeout: soon})
			nc := dial(t, r)
			if _, err := io.WriteString(nc, tc.send); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _, _ = io.Copy(io.Discard, nc) }()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for open := true; open; {
				select {
				case <-ended:
					open = false
				case <-tick.C:
					if tc.slow {
						_, _ = io.WriteString(nc, "1") // fails once the connection is gone
					}
				}
			}
			if got := <-r.errors; !strings.HasPrefix(got, tc.want) {
				t.Errorf("told %q, want %q", got, tc.want)
			}
		})
	}
}

// TestThreat_N08: client certificates that are dear to verify, and chains that are long, cost a bounded amount and are refused.
func TestThreat_N08(t *testing.T) {
	a := newAuthority(t, "ca")
	ca := a.caFile(t, "ca.pem")
	chain, by := []*x509.Certificate(nil), a
	for i := range maxPresentedCert + 1 {
		by = by.under(t, fmt.Sprint("under ", i))
		chain = append([]*x509.Certificate{by.crt}, chain...)
	}
	leaf := by.client(t, x509.Certificate{})
	long := tls.Certificate{PrivateKey: leaf.PrivateKey, Certificate: [][]byte{leaf.Certificate[0]}}
	for _, c := range chain {
		long.Certificate = append(long.Certificate, c.Raw)
	}
	deep := tls.Certificate{PrivateKey: long.PrivateKey, Certificate: long.Certificate[:maxVerifyDepth+3]}
	var names []string
	for i := range 8000 {
		names = append(names, fmt.Sprintf("name-%d.a.rather.long.domain.example.test", i))
	}
	many := a.client(t, x509.Certificate{DNSNames: names}) // more than the 256 KiB that crypto/tls reads
	r := start(t, Options{TLS: &cert.Options{Verify: "required", CAFile: "ca.pem"}, Index: index(false, a.bundle(t, "a.test")), CA: func(string) *cert.CAFile { return ca }})
	for name, c := range map[string]tls.Certificate{"long": long, "deep": deep, "many names": many} {
		if _, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{c}}); err == nil {
			t.Errorf("%s: the client came in", name)
			continue
		}
		if text := <-r.errors; !strings.HasPrefix(text, "SSL ") && !strings.HasPrefix(text, "Connection ") {
			t.Errorf("%s: logged %q", name, text)
		}
	}
	// The largest curve is no attack: its owner comes in.
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := tls.Certificate{PrivateKey: key, Certificate: [][]byte{issue(t, &x509.Certificate{Subject: a.crt.Subject}, key, a).Raw}}
	if _, err := r.shakeHands(t, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{good}}); err != nil {
		t.Errorf("P-521: %v", err)
	}
}

// TestThreat_N09: a process without descriptors left goes on: what it has is served, what waits is served once there is room. The same
// for maxconn is in TestReachedMaxconnMakesConnectionsWait, the pause between accepts in TestAcceptBacksOffWhenDescriptorsRunOut.
func TestThreat_N09(t *testing.T) {
	const files, clients = 40, 80
	if os.Getenv("GATEHOUSE_TEST_FEW_FILES") != "" {
		fewFiles(t, files)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestThreat_N09$")
	cmd.Env = append(os.Environ(), "GATEHOUSE_TEST_FEW_FILES=1")
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the process said nothing")
	}
	addr := lines.Text()
	echoed := make(chan net.Conn, clients)
	for range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() {
			if _, err := c.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
				if err != nil {
					t.Errorf("a connection was lost: %v", err)
				}
			}
			echoed <- c
		}()
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "reached process FD limit") { // while more wait than fit
		t.Errorf("said %q", lines.Text())
	}
	for range clients { // each that ends makes room for another
		(<-echoed).Close()
	}
	in.Close()
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
}

// fewFiles is the process: it serves with a handful of descriptors until its input ends.
func fewFiles(t *testing.T, files uint64) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Frontend: "fe", Log: func(_, text string) { fmt.Println(text) }, Counters: new(stats.Counters)})
	go func() {
		for range r.served {
		}
	}()
	fmt.Println(r.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestThreat_N12: a PROXY header is believed only where the bind line asks for it, once, and within bounds. The vectors are those of
// TestProxyHeadersAreReadAsTheSpecificationSays, fuzzed in FuzzProxyHeader; here each of them comes over a connection.
func TestThreat_N12(t *testing.T) {
	if len(proxyHeaders) < 40 {
		t.Fatalf("only %d vectors", len(proxyHeaders))
	}
	asked := start(t, Options{AcceptProxy: true})
	for _, row := range proxyHeaders {
		c := dial(t, asked)
		_, _ = io.WriteString(c, row.header+"z")
		_ = c.(*net.TCPConn).CloseWrite()
		echo, _ := io.ReadAll(c)
		if (string(echo) == "z") != (row.err == 0) || len(echo) > 1 {
			t.Errorf("%s: echo %q, error %d", row.name, echo, row.err)
		}
		if row.err == 0 {
			<-asked.served
		} else if text := <-asked.errors; text == "" {
			t.Errorf("%s: nothing was said", row.name)
		}
		c.Close()
	}
	// A second header is the client's data, and where none was asked for the first is.
	plain := start(t, Options{})
	one, two := "PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n", "PROXY TCP4 203.0.113.9 198.51.100.2 1 2\r\n"
	for _, tc := range []struct {
		r          *running
		send, echo string
		src        string
	}{{asked, one + two, two, "192.0.2.1:40000"}, {plain, one, one, ""}, {plain, v2(0x21, proxyTCP4, addrs4...), v2(0x21, proxyTCP4, addrs4...), ""}} {
		c := dial(t, tc.r)
		_, _ = io.WriteString(c, tc.send)
		_ = c.(*net.TCPConn).CloseWrite()
		if echo, _ := io.ReadAll(c); string(echo) != tc.echo {
			t.Errorf("%q: echo %q", tc.send, echo)
		}
		if tc.src == "" {
			tc.src = c.LocalAddr().String()
		}
		if got := (<-tc.r.served).Src.String(); got != tc.src {
			t.Errorf("%q: source %s, want %s", tc.send, got, tc.src)
		}
	}
}

// TestThreat_T03: which certificate and whose demands a name gets is shown by TestServerNameSelectsTheCertificate,
// TestStrictSNIRefusesUnknownNames and TestANameThatDemandsACertificateIsNotReachedThroughAnother; here the ClientHello that names it
// comes in pieces, one byte per record and per packet.
func TestThreat_T03(t *testing.T) {
	a := newAuthority(t, "ca")
	r := start(t, Options{TLS: &cert.Options{}, Index: index(true, a.bundle(t, "a.test"), a.bundle(t, "b.test"))})
	for name, want := range map[string]string{"b.test": "b.test", "B.Test": "b.test", "b.test.": "b.test", "c.test": "", "": ""} {
		raw := dial(t, r)
		c := tls.Client(&torn{Conn: raw}, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		err := c.Handshake()
		switch {
		case want == "":
			if err == nil {
				t.Errorf("%q came in", name)
			}
			<-r.errors
		case err != nil:
			t.Errorf("%q: %v", name, err)
		case c.ConnectionState().PeerCertificates[0].DNSNames[0] != want:
			t.Errorf("%q: got the certificate of %q", name, c.ConnectionState().PeerCertificates[0].DNSNames)
		}
	}
}

// torn sends the first record as one record per byte.
type torn struct {
	net.Conn
	done bool
}

func (w *torn) Write(p []byte) (int, error) {
	if w.done {
		return w.Conn.Write(p)
	}
	w.done = true
	for _, b := range p[5:] {
		if _, err := w.Conn.Write([]byte{p[0], p[1], p[2], 0, 1, b}); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
