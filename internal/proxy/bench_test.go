package proxy

import (
	"context"
	"io"
	"net"
	"testing"

	"gatehouse/internal/stream"
)

// BenchmarkRequest is one proxied keep-alive request over loopback sockets with rules-free frontend and backend and an access log
// line; the client and the server take part in the time, not in the allocations.
func BenchmarkRequest(b *testing.B) {
	c, stop := benchClient(b)
	defer stop()
	out := make([]byte, len(okOut))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := ask(c, out); err != nil {
			b.Fatal(err)
		}
	}
}

// raceDetector is set in builds with -race, where pools forget on purpose.
var raceDetector bool

func TestRequestsDoNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("pools drop what they are given under -race")
	}
	c, stop := benchClient(t)
	defer stop()
	out := make([]byte, len(okOut))
	for range 100 {
		if err := ask(c, out); err != nil {
			t.Fatal(err)
		}
	}
	// The count is of the whole process: client, edge, log and server.
	if n := testing.AllocsPerRun(500, func() {
		if err := ask(c, out); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("allocations per request: %v, want at most 2", n)
	}
}

var benchRequest = []byte("GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n")

func ask(c net.Conn, out []byte) error {
	if _, err := c.Write(benchRequest); err != nil {
		return err
	}
	_, err := io.ReadFull(c, out)
	return err
}

// benchClient connects to an edge whose server answers without allocating.
func benchClient(t testing.TB) (net.Conn, func()) {
	return clientOf(t, nil, func(f *Frontend) { f.o.Log.Logger = nil })
}

// clientOf connects to an edge that was set up by change, and after its making by then.
func clientOf(t testing.TB, change func(*setup), then func(*Frontend)) (net.Conn, func()) {
	srv := serve(t, func(p *peer, _ int) {
		buf, answer := make([]byte, 4096), []byte(okResponse)
		for {
			if _, err := p.Conn.Read(buf); err != nil {
				return
			}
			if _, err := p.Conn.Write(answer); err != nil {
				return
			}
		}
	})
	e := newEdge(t, srv.addr, change)
	then(e.f())
	client, server := pair(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.handle.Serve(context.Background(), server, &stream.Conn{Src: server.RemoteAddr().(*net.TCPAddr).AddrPort()})
	}()
	return client, func() {
		client.Close()
		<-ended
	}
}

func (e *edge) f() *Frontend { return e.handle.Frontend() }

// pair is a connected pair of sockets.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
