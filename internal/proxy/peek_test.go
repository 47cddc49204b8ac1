package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// helloFor is the ClientHello of a client that asks for name, without the header of its record.
func helloFor(t *testing.T, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() // nobody answers
		client.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return body
}

// inRecords puts a handshake message into records of size bytes (RFC 8446, section 5.1, allows that).
func inRecords(message []byte, size int) (records []byte) {
	for len(message) > 0 {
		n := min(size, len(message))
		records = append(records, 22, 3, 1, byte(n>>8), byte(n))
		records = append(records, message[:n]...)
		message = message[n:]
	}
	return records
}

// held asks the kernel how many bytes lie in a socket: received and not read (TIOCINQ), or written and not received (TIOCOUTQ).
func held(t *testing.T, c net.Conn, which uintptr) int64 {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int32
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, which, uintptr(unsafe.Pointer(&n)))
	}); err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	return int64(n)
}

// until polls for something that must come true soon.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(long); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// TestRoutingByClientHelloTakesNoMoreThanItLooksAt routes by a ClientHello of many packets and records, while the server has no room: of
// what the client sends behind it, no more is taken than one buffer holds. Once there is room, all of it arrives in order.
func TestRoutingByClientHelloTakesNoMoreThanItLooksAt(t *testing.T) {
	const buffer, chunk, packet = 16 << 10, 4 << 10, 40
	hello := inRecords(helloFor(t, "www.example.test"), 50)
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	copy(data, hello)
	busy, release, taken := make(chan struct{}), make(chan struct{}), make(chan []byte, 1)
	srv := serve(t, func(p *peer, n int) {
		if n == 1 { // it fills the server's only place
			close(busy)
			<-release
			return
		}
		sum := sha256.New()
		_, _ = io.Copy(sum, p.r)
		taken <- sum.Sum(nil)
	})
	queue := new(stats.Counters)
	e := newEdge(t, srv.addr, func(o *setup) {
		tcpMode(o)
		o.s.Servers[0].Line.MaxConn = 1
		o.s.QueueTimeout = long
		o.s.Counters = queue
		o.f.InspectDelay = long
		o.f.TCPContent = tcpRules(t, (*rule.Compiler).TCPContent, "accept if { req_ssl_hello_type 1 } { req.ssl_sni www.example.test }", "reject if WAIT_END")
	})
	e.dial().send(string(hello))
	<-busy
	client, nc := connected(t)
	e.served.Go(func() { e.handle.Serve(t.Context(), nc, &stream.Conn{Accepted: time.Now()}) })
	for at := 0; at < len(hello); at += packet {
		end := min(at+packet, len(hello))
		if _, err := client.Write(data[at:end]); err != nil {
			t.Fatal(err)
		}
		until(t, "a packet is read", func() bool { return held(t, client, syscall.TIOCOUTQ) == 0 && held(t, nc, syscall.TIOCINQ) == 0 })
	}
	var sent atomic.Int64
	sent.Store(int64(len(hello)))
	done := make(chan error, 1)
	go func() {
		for piece := range slices.Chunk(data[len(hello):], chunk) {
			if _, err := client.Write(piece); err != nil {
				done <- err
				return
			}
			sent.Add(int64(len(piece)))
		}
		done <- client.CloseWrite()
	}()
	until(t, "the session waits for a server", func() bool { return queue.QCur.Load() == 1 })
	until(t, "what follows waits in the kernel", func() bool { return held(t, nc, syscall.TIOCINQ) >= 2*buffer })
	// Bytes on their way are counted twice or not at all, so this too may need a moment until it is true, and never becomes so if more is read.
	until(t, "no more is taken than one buffer holds", func() bool {
		n := sent.Load() - held(t, client, syscall.TIOCOUTQ) - held(t, nc, syscall.TIOCINQ)
		return n >= int64(len(hello))-chunk && n <= buffer
	})
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); !bytes.Equal(<-taken, want[:]) {
		t.Error("the server did not get what the client sent")
	}
}

// connected are the two ends of a connection on loopback.
func connected(t *testing.T) (client *net.TCPConn, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(long))
	return c.(*net.TCPConn), server
}
