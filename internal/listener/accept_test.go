package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

func dial(t testing.TB, r *running) net.Conn {
	t.Helper()
	c, err := net.Dial(r.Addr().Network(), r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echoes sends a byte and waits for it to come back.
func echoes(t testing.TB, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestClearConnectionIsDescribedAndCounted(t *testing.T) {
	counters, own, ids := new(stats.Counters), new(stats.Counters), new(atomic.Uint64)
	ids.Store(41)
	limit := NewLimit(10)
	r := start(t, Options{Frontend: "fe", Name: "1", ID: 7, Counters: counters, Own: own, IDs: ids, Limits: []*Limit{limit}})
	c := dial(t, r)
	echoes(t, c)
	got := <-r.served
	if got.ID != 42 || got.Src.String() != c.LocalAddr().String() || got.Dst.String() != c.RemoteAddr().String() || got.TLS != nil || got.BindID != 7 || got.Accepted.IsZero() {
		t.Errorf("facts %+v", got)
	}
	if counters.Cur.Load() != 1 || own.Tot.Load() != 1 || counters.Conns.Load() != 1 || limit.Len() != 1 || r.Conns() != 1 {
		t.Errorf("cur %d, own tot %d, conns %d, limit %d", counters.Cur.Load(), own.Tot.Load(), counters.Conns.Load(), limit.Len())
	}
	c.Close()
	r.stop()
	if counters.Cur.Load() != 0 || limit.Len() != 0 || r.Conns() != 0 {
		t.Errorf("after the end: cur %d, limit %d, conns %d", counters.Cur.Load(), limit.Len(), r.Conns())
	}
}

func TestUnixSocketIsServed(t *testing.T) {
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	inherited, err := FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan *stream.Conn, 1)
	l, err := New(inherited, Options{Serve: func(_ context.Context, nc net.Conn, c *stream.Conn) { served <- c; nc.Close() }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	c, err := net.Dial("unix", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Read(make([]byte, 1))
	if got := <-served; !got.SrcUnix || got.Src.IsValid() {
		t.Errorf("facts %+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestReachedMaxconnMakesConnectionsWait(t *testing.T) {
	limit := NewLimit(1)
	r := start(t, Options{Limits: []*Limit{NewLimit(0), limit}})
	first, second := dial(t, r), dial(t, r)
	echoes(t, first)
	second.Write([]byte("x"))
	<-r.served
	if limit.TryAcquire() {
		t.Fatal("there is room above the limit")
	}
	select {
	case <-r.served:
		t.Fatal("the second connection was served above maxconn")
	default:
	}
	first.Close()
	if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
		t.Errorf("the second connection was not served when there was room: %v", err)
	}
	third := dial(t, r)
	limit.Set(2)
	echoes(t, third)
}

func TestStopServesWhatTheKernelHadAccepted(t *testing.T) {
	r := &running{served: make(chan *stream.Conn, 10)}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(socket, Options{Serve: func(_ context.Context, nc net.Conn, c *stream.Conn) {
		nc.Write([]byte("y"))
		nc.Close()
		r.served <- c
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Listener = l
	var waiting []net.Conn
	for range 3 {
		waiting = append(waiting, dial(t, r))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // stopped before the first accept
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for i, c := range waiting {
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("connection %d was lost: %v", i, err)
		}
	}
	if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestPausedSocketRefusesAndComesBack(t *testing.T) {
	// The kernel keeps a paused socket's port only when it was asked for, so one is looked for on an address nobody else uses.
	probe, err := net.Listen("tcp", "127.83.65.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	r := startAt(t, probe.Addr().String(), Options{})
	before := dial(t, r)
	echoes(t, before)
	for range 2 {
		if err := r.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := net.Dial("tcp", r.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while paused: %v", err)
	}
	echoes(t, before) // open connections go on
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	echoes(t, dial(t, r))
}

func TestUpdateIsForConnectionsThatComeAfter(t *testing.T) {
	r := start(t, Options{Frontend: "old"})
	echoes(t, dial(t, r))
	if c := <-r.served; c.Frontend != "old" {
		t.Errorf("frontend %q", c.Frontend)
	}
	o := r.settings.Load().Options
	o.Frontend = "new"
	if err := r.Update(o); err != nil {
		t.Fatal(err)
	}
	echoes(t, dial(t, r))
	if c := <-r.served; c.Frontend != "new" {
		t.Errorf("frontend %q", c.Frontend)
	}
}

// poor is a socket whose accepts fail for want of descriptors a few times, then for good.
type poor struct {
	net.Listener
	errs []error
	at   []time.Time
}

func (p *poor) Accept() (net.Conn, error) {
	p.at = append(p.at, time.Now())
	err := p.errs[0]
	p.errs = p.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: err}
}
func (p *poor) Close() error   { return nil }
func (p *poor) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptBacksOffWhenDescriptorsRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		p := &poor{errs: []error{syscall.EMFILE, syscall.EMFILE, syscall.ENFILE, broken}}
		var said []string
		l, err := New(p, Options{Frontend: "fe", Log: func(level, text string) { said = append(said, level+" "+text) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Run: %v", err)
		}
		for i, want := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
			if got := p.at[i+1].Sub(p.at[i]); got != want {
				t.Errorf("wait %d was %v, want %v", i, got, want)
			}
		}
		if len(said) != 1 {
			t.Errorf("said %q, want one line", said)
		}
	})
}

func TestKillClosesEverything(t *testing.T) {
	r := start(t, Options{})
	c := dial(t, r)
	echoes(t, c)
	r.Kill()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestPanicCostsOneConnection(t *testing.T) {
	said := make(chan string, 1)
	limit := NewLimit(1)
	r := start(t, Options{Frontend: "fe", Limits: []*Limit{limit}, Log: func(level, text string) { said <- level + " " + text },
		Serve: func(context.Context, net.Conn, *stream.Conn) { panic("oops") }})
	for range 2 { // the second has room only if the first was cleaned up
		if _, err := dial(t, r).Read(make([]byte, 1)); err == nil {
			t.Error("the connection stayed open")
		}
		if text := <-said; !strings.HasPrefix(text, "alert Proxy fe: a connection was given up: oops\n") {
			t.Errorf("said %q", text)
		}
	}
}
