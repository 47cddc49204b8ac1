package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// at is a server line for an address.
func at(t testing.TB, name, address string) ServerOptions {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return ServerOptions{Line: config.Server{Name: name, Weight: 1,
		Addr: config.Addr{Network: "tcp", IP: ap.Addr(), Port: int(ap.Port())}}}
}

// echo listens on loopback and answers every connection with what it sends.
func echo(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

func build(t testing.TB, o Options, old *Backend) *Backend {
	t.Helper()
	if o.Name == "" {
		o.Name = "be"
	}
	b, err := New(o, old)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newStream() *stream.Stream {
	s := &stream.Stream{Conn: &stream.Conn{}}
	s.Reset()
	return s
}

func connect(t testing.TB, b *Backend, s *stream.Stream, o ConnectOptions) *Conn {
	t.Helper()
	c, err := b.Connect(t.Context(), s, o)
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return c
}

func TestReleasedConnectionServesTheNextRequest(t *testing.T) {
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{at(t, "s1", echo(t))}}, nil)
	s := newStream()
	first := connect(t, b, s, ConnectOptions{First: true})
	if first.Reused || s.Server != "s1" || s.Log.Connected.Before(s.Log.Queued) {
		t.Fatalf("first: reused %v, server %q, log %+v", first.Reused, s.Server, s.Log)
	}
	first.Release(true)
	s.Reset()
	second := connect(t, b, s, ConnectOptions{})
	if second != first || !second.Reused || second.Requests != 2 {
		t.Fatalf("second request got another connection (%p, %p) or the wrong facts: %+v", first, second, second)
	}
	second.Release(false)
	srv := b.Server("s1")
	if n := srv.Served(); n != 0 {
		t.Errorf("served is %d after all were released", n)
	}
	if c, r := srv.Counters().Connects.Load(), srv.Counters().Reuses.Load(); c != 1 || r != 1 {
		t.Errorf("connects %d reuses %d, want 1 and 1", c, r)
	}
}

func TestReusingAnIdleConnectionAllocatesNothing(t *testing.T) {
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{at(t, "s1", echo(t))}}, nil)
	s := newStream()
	connect(t, b, s, ConnectOptions{}).Release(true)
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		s.Reset()
		c, err := b.Connect(ctx, s, ConnectOptions{})
		if err != nil || !c.Reused {
			t.Fatalf("reused connection expected, got %v %v", c, err)
		}
		c.Release(true)
	})
	if n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func TestReusePolicies(t *testing.T) {
	for _, test := range []struct {
		policy     string
		requests   int // carried by the idle connection so far
		first      bool
		wantReused bool
	}{
		{"never", 2, false, false},
		{"safe", 1, true, false}, {"safe", 2, true, false}, {"safe", 1, false, true},
		{"aggressive", 1, true, false}, {"aggressive", 2, true, true}, {"aggressive", 1, false, true},
		{"always", 1, true, true}, {"always", 1, false, true},
	} {
		b := build(t, Options{HTTP: true, Reuse: test.policy, Servers: []ServerOptions{at(t, "s1", echo(t))}}, nil)
		c := connect(t, b, newStream(), ConnectOptions{})
		c.Requests = test.requests
		c.Release(true)
		got := connect(t, b, newStream(), ConnectOptions{First: test.first})
		if got.Reused != test.wantReused {
			t.Errorf("%+v: reused %v", test, got.Reused)
		}
		got.Release(false)
	}
}

// First requests of clients open connections that nobody takes: without a bound a burst of short clients would fill the pool.
func TestPoolHoldsNoMoreConnectionsThanWereNeededAtOnce(t *testing.T) {
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{at(t, "s1", echo(t))}}, nil)
	srv := b.Server("s1")
	for range 20 {
		connect(t, b, newStream(), ConnectOptions{First: true}).Release(true)
	}
	if n := srv.IdleConns(); n != 1 {
		t.Errorf("after twenty clients in turn: %d idle connections, want 1", n)
	}
	for range 2 {
		var busy []*Conn
		for range 3 {
			busy = append(busy, connect(t, b, newStream(), ConnectOptions{First: true}))
		}
		for _, c := range busy {
			c.Release(true)
		}
		if n := srv.IdleConns(); n != 3 {
			t.Errorf("after three at once: %d idle connections, want 3", n)
		}
	}
	// What was needed is forgotten after two quiet rounds of purging.
	for range 2 {
		srv.pool.purge(false)
	}
	connect(t, b, newStream(), ConnectOptions{First: true}).Release(true)
	if n := srv.IdleConns(); n != 1 {
		t.Errorf("long after: %d idle connections, want 1", n)
	}
}

func TestPrivateConnectionStaysWithItsClient(t *testing.T) {
	b := build(t, Options{HTTP: true, Reuse: "never", Servers: []ServerOptions{at(t, "s1", echo(t))}}, nil)
	var mine, other Session
	first := connect(t, b, newStream(), ConnectOptions{Session: &mine})
	first.Release(true)
	if c := connect(t, b, newStream(), ConnectOptions{Session: &other}); c == first {
		t.Error("another client got the connection")
	}
	if c := connect(t, b, newStream(), ConnectOptions{Session: &mine}); c != first || !c.Reused {
		t.Error("the client did not get its own connection back")
	}
	first.Release(true)
	mine.Close()
	if _, err := first.Write([]byte("x")); err == nil {
		t.Error("closing the session left its connection open")
	}
}

func TestConnectionTheServerClosedIsNotReused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b := build(t, Options{HTTP: true, Servers: []ServerOptions{at(t, "s1", ln.Addr().String())}}, nil)
	c := connect(t, b, newStream(), ConnectOptions{})
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer.Close()
	c.Read(make([]byte, 1)) // returns when the end has arrived
	c.Release(true)
	if again := connect(t, b, newStream(), ConnectOptions{}); again.Reused {
		t.Error("a closed connection was handed out")
	}
}

func TestRefusedConnectionIsRetriedAfterATurnAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		b := build(t, Options{Retries: 2, ConnectTimeout: 5 * time.Second, Servers: []ServerOptions{at(t, "s1", "192.0.2.1:80")},
			Dial: func(context.Context, string, string) (net.Conn, error) { tries++; return nil, errors.New("refused") }}, nil)
		s, begin := newStream(), time.Now()
		_, err := b.Connect(t.Context(), s, ConnectOptions{})
		var e *Error
		if !errors.As(err, &e) || e.Kind != ConnectFailed || e.Term != [2]byte{'S', 'C'} || e.Status != 503 || e.Server != "s1" {
			t.Fatalf("got %#v", err)
		}
		if took := time.Since(begin); took != 2*time.Second || tries != 3 || s.Log.Retries != 2 {
			t.Errorf("took %v, %d tries, %d retries; want 2s, 3, 2", took, tries, s.Log.Retries)
		}
		if n := b.Server("s1").Served(); n != 0 {
			t.Errorf("served %d after failure", n)
		}
	})
}

func TestRedispatchGoesToAnotherServerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := -1
		b := build(t, Options{Retries: 3, Redispatch: &last, ConnectTimeout: time.Second,
			Servers: []ServerOptions{at(t, "dead", "192.0.2.1:80"), at(t, "live", "192.0.2.2:80")},
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				if address == "192.0.2.1:80" {
					return nil, errors.New("refused")
				}
				a, _ := net.Pipe()
				return a, nil
			}}, nil)
		s, begin := newStream(), time.Now()
		c := connect(t, b, s, ConnectOptions{})
		if s.Server != "live" || !s.Log.Redispatched || s.Log.Retries != 1 || time.Since(begin) != 0 {
			t.Errorf("server %q, log %+v, took %v", s.Server, s.Log, time.Since(begin))
		}
		c.Release(false)
	})
}

func TestConnectTimeoutIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := build(t, Options{ConnectTimeout: 3 * time.Second, Servers: []ServerOptions{at(t, "s1", "192.0.2.1:80")},
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}, nil)
		begin := time.Now()
		_, err := b.Connect(t.Context(), newStream(), ConnectOptions{})
		var e *Error
		if !errors.As(err, &e) || e.Kind != ConnectTimeout || e.Term != [2]byte{'s', 'C'} || time.Since(begin) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

func TestFullServersQueueUntilASlotIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := at(t, "s1", "192.0.2.1:80")
		o.Line.MaxConn = 1
		b := build(t, Options{QueueTimeout: 10 * time.Second, Servers: []ServerOptions{o}, Dial: pipes}, nil)
		first := connect(t, b, newStream(), ConnectOptions{})
		var queued stream.Stream
		queued.Reset()
		got := make(chan *Conn)
		go func() {
			c, err := b.Connect(context.Background(), &queued, ConnectOptions{})
			if err != nil {
				t.Error(err)
			}
			got <- c
		}()
		synctest.Wait()
		if b.Queued() != 1 || b.Counters().QCur.Load() != 1 {
			t.Fatalf("queued %d, qcur %d", b.Queued(), b.Counters().QCur.Load())
		}
		time.Sleep(4 * time.Second) // the bubble's clock
		first.Release(false)
		c := <-got
		if n := b.Server("s1").Served(); n != 1 || b.Queued() != 0 {
			t.Errorf("served %d queued %d", n, b.Queued())
		}
		c.Release(false)

		hold := connect(t, b, newStream(), ConnectOptions{})
		begin := time.Now()
		_, err := b.Connect(t.Context(), newStream(), ConnectOptions{})
		var e *Error
		if !errors.As(err, &e) || e.Kind != QueueTimeout || e.Term != [2]byte{'s', 'Q'} || time.Since(begin) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		hold.Release(false)
		if b.Server("s1").Served() != 0 || b.Queued() != 0 {
			t.Errorf("served %d queued %d at the end", b.Server("s1").Served(), b.Queued())
		}
	})
}

func pipes(context.Context, string, string) (net.Conn, error) {
	a, _ := net.Pipe()
	return a, nil
}

func TestBackendWithoutServersSaysSo(t *testing.T) {
	b := build(t, Options{}, nil)
	_, err := b.Connect(t.Context(), newStream(), ConnectOptions{})
	var e *Error
	if !errors.As(err, &e) || e.Kind != NoServer || e.Term != [2]byte{'S', 'C'} {
		t.Errorf("got %v", err)
	}
}
