package sock

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair is two ends of one TCP connection.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	x, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*net.TCPConn), y.(*net.TCPConn)
}

func TestBytesArriveHoweverLittleRoomThereIs(t *testing.T) {
	a, b := pair(t)
	a.SetWriteBuffer(4096)
	sent := make([]byte, 1<<20) // more than the kernel takes at once: the writer has to wait in between
	rand.Read(sent)
	go func() {
		New(a).Write(sent)
		a.Close()
	}()
	got, err := io.ReadAll(New(b))
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestErrorsAreThoseOfTheConnection(t *testing.T) {
	a, b := pair(t)
	o := New(a)
	a.SetReadDeadline(time.Unix(1, 0))
	if _, err := o.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	a.SetDeadline(time.Time{})
	b.SetLinger(0)
	b.Close()
	if _, err := o.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after a reset: %v", err)
	}
	if _, err := o.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after a reset: %v", err)
	}
	a.Close()
	if _, err := o.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if n, err := o.Read(nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
}

func TestQuietSeesBytesAndTheEnd(t *testing.T) {
	a, b := pair(t)
	quiet := func() (is bool) {
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var room [1]byte
		raw.Control(func(fd uintptr) { is = Quiet(fd, &room) })
		return is
	}
	await := func() { // until something is there, without taking it
		if err := New(a).ReadWhenReady(func(fd uintptr) bool { var room [1]byte; return !Quiet(fd, &room) }); err != nil {
			t.Fatal(err)
		}
	}
	if !quiet() {
		t.Error("a connection nobody spoke on is not quiet")
	}
	b.Write([]byte("x"))
	await()
	if quiet() {
		t.Error("a byte was not seen")
	}
	if n, err := New(a).Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("the byte was taken: %d, %v", n, err)
	}
	b.Close()
	await()
	if quiet() {
		t.Error("the end was not seen")
	}
}

func TestOnlySocketsHaveIO(t *testing.T) {
	a, _ := net.Pipe()
	if New(a) != nil {
		t.Error("a pipe in memory has a descriptor")
	}
}

// BenchmarkPingPong sends a byte there and back. What sock saves is CPU of other threads, which shows in figure `request` of bench only.
func BenchmarkPingPong(b *testing.B) {
	for _, kind := range []string{"net", "sock"} {
		b.Run(kind, func(b *testing.B) {
			x, y := pair(b)
			var near, far io.ReadWriter = x, y
			if kind == "sock" {
				near, far = New(x), New(y)
			}
			go func() {
				p := make([]byte, 1)
				for {
					if _, err := far.Read(p); err != nil {
						return
					}
					far.Write(p)
				}
			}()
			p := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				near.Write(p)
				if _, err := near.Read(p); err != nil {
					b.Fatal(err)
				}
			}
			x.Close()
		})
	}
}
