package backend

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/stream"
)

// connectTo asks b for a connection to srv and returns the name of the server that was had, "" with an error.
func connectTo(t *testing.T, b *Backend, srv *Server, force bool) (*Conn, *stream.Stream, error) {
	t.Helper()
	s := newStream()
	c, err := b.Connect(context.Background(), s, ConnectOptions{Server: srv, Force: force})
	return c, s, err
}

func TestRequestGoesToTheServerItBelongsTo(t *testing.T) {
	one, two := at(t, "one", echo(t)), at(t, "two", echo(t))
	two.Line.Weight = 0
	b := build(t, Options{Servers: []ServerOptions{one, two}, ConnectTimeout: time.Second}, nil)
	for range 3 {
		c, s, err := connectTo(t, b, b.Server("two"), false)
		if err != nil || c.Server.Name() != "two" || s.Server != "two" {
			t.Fatalf("got %v, %v, want server two, which takes no others", s.Server, err)
		}
		c.Release(false)
	}
	if n := b.Server("two").Counters().Chosen.Load(); n != 0 {
		t.Errorf("lbtot of a server that the algorithm did not choose: %d", n)
	}
}

func TestRequestLeavesItsServerOnlyByRedispatch(t *testing.T) {
	last := -1
	for _, tc := range []struct {
		name       string
		redispatch *int
		force      bool
		want       string
	}{{"no option", nil, false, ""}, {"redispatch", &last, false, "one"}, {"force-persist", &last, true, ""}} {
		t.Run(tc.name, func(t *testing.T) {
			b := build(t, Options{Servers: []ServerOptions{at(t, "one", echo(t)), at(t, "gone", "127.0.0.1:1")},
				ConnectTimeout: 10 * time.Millisecond, Retries: 1, Redispatch: tc.redispatch}, nil)
			c, s, err := connectTo(t, b, b.Server("gone"), tc.force)
			if tc.want == "" {
				if err == nil || s.Log.Redispatched {
					t.Fatalf("got server %s, want an error", s.Server)
				}
				return
			}
			if err != nil || s.Server != tc.want || !s.Log.Redispatched {
				t.Fatalf("got %q (redispatched %v), %v; want %q", s.Server, s.Log.Redispatched, err, tc.want)
			}
			c.Release(false)
		})
	}
}

func TestConnectIsNotRetriedWithoutConnFailure(t *testing.T) {
	b := build(t, Options{Servers: []ServerOptions{at(t, "gone", "127.0.0.1:1")}, ConnectTimeout: time.Second, Retries: 3, NoConnectRetry: true}, nil)
	_, s, err := connectTo(t, b, nil, false)
	var e *Error
	if !errors.As(err, &e) || e.Kind != ConnectFailed || s.Log.Retries != 0 {
		t.Errorf("got %v after %d retries, want a refused connection after none", err, s.Log.Retries)
	}
}

func TestServerQueue(t *testing.T) {
	full, other := at(t, "full", echo(t)), at(t, "other", echo(t))
	full.Line.MaxConn, full.Line.MaxQueue = 1, 1
	last := -1
	b := build(t, Options{Servers: []ServerOptions{full, other}, ConnectTimeout: time.Second, QueueTimeout: time.Minute, Redispatch: &last}, nil)
	srv := b.Server("full")
	first, _, err := connectTo(t, b, srv, false)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		c   *Conn
		s   *stream.Stream
		err error
	}
	waits := make(chan result)
	go func() {
		c, s, err := connectTo(t, b, srv, false)
		waits <- result{c, s, err}
	}()
	for end := time.Now().Add(5 * time.Second); srv.Counters().QCur.Load() == 0; {
		if time.Now().After(end) {
			t.Fatal("nobody waits in the server's queue")
		}
		time.Sleep(time.Millisecond)
	}
	if n := b.Counters().QCur.Load(); n != 0 {
		t.Errorf("backend's queue: %d, want 0: the request waits for its server", n)
	}
	// The queue is full, so the next one goes elsewhere; who belongs nowhere is not held up either.
	for _, want := range []*Server{srv, nil} {
		c, s, err := connectTo(t, b, want, false)
		if err != nil || s.Server != "other" {
			t.Fatalf("got %q, %v, want other", s.Server, err)
		}
		c.Release(false)
	}
	first.Release(false)
	r := <-waits
	if r.err != nil || r.s.Server != "full" || r.s.Log.SrvQueue != 1 {
		t.Fatalf("the one who waited got %q, %v", r.s.Server, r.err)
	}
	r.c.Release(false)
	if n := srv.Counters().QCur.Load(); n != 0 {
		t.Errorf("server's queue is %d at the end", n)
	}
}

func TestWaiterLeavesAServerThatGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, other := at(t, "full", "192.0.2.1:1"), at(t, "other", "192.0.2.2:1")
		full.Line.MaxConn = 1
		last := -1
		b := build(t, Options{Servers: []ServerOptions{full, other}, Redispatch: &last}, nil)
		srv := b.Server("full")
		if !srv.acquire() {
			t.Fatal("no slot")
		}
		got := make(chan *Server)
		go func() {
			s, _, _ := b.wait(context.Background(), &waiter{want: srv}, 0)
			got <- s
		}()
		synctest.Wait()
		if err := srv.SetState("maint"); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s == nil || s.Name() != "other" {
			t.Errorf("the waiter got %v, want other", s)
		}
		if n := srv.Counters().QCur.Load(); n != 0 {
			t.Errorf("server's queue is %d at the end", n)
		}
	})
}
