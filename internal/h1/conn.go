package h1

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/internal/sock"
)

// Conn is one connection and the deadlines of the phase it is in. One goroutine may read while another writes.
type Conn struct {
	nc net.Conn
	io *sock.IO // nil when bytes must go through nc

	within   time.Duration // each Read may take this long; 0: until says
	late     int64         // nanoseconds by which within may be exceeded
	until    int64         // reads fail at this time, unix nanoseconds; 0: never
	readEnd  int64         // the read deadline that is set on nc; 0: none
	wwithin  time.Duration
	writeEnd int64
	stopped  atomic.Bool

	// The wait for a first byte on a raw socket: a method value kept so that waiting costs no memory.
	onReady func(fd uintptr) bool
	pool    *Pool
	got     *Buffer
	n       int
	err     error
	one     [1]byte
}

// Init makes c serve nc.
func (c *Conn) Init(nc net.Conn) {
	*c = Conn{nc: nc}
	c.io = sock.New(nc)
	c.onReady = c.readReady
}

// NetConn returns the connection c serves.
func (c *Conn) NetConn() net.Conn { return c.nc }

// ReadWithin lets each Read take at most d from now on; 0 takes the limit away.
func (c *Conn) ReadWithin(d time.Duration) { c.within, c.late, c.until = d, slack(d), 0 }

// ReadAround is ReadWithin for a wait whose end need not be exact: it may last up to twice d. Deadlines that are rarely reached
// are rarely moved then.
func (c *Conn) ReadAround(d time.Duration) { c.within, c.late, c.until = d, int64(d), 0 }

// ReadUntil makes reads fail at t, whatever their number; a zero t takes the limit away.
func (c *Conn) ReadUntil(t time.Time) {
	c.within, c.late, c.until = 0, 0, 0
	if !t.IsZero() {
		c.until = t.UnixNano()
	}
}

// ReadBy is ReadUntil for a wait of d that begins at from and need not end to the moment; 0 takes the limit away. Like
// ReadWithin's, its deadline may fire a little later, so that a run of messages does not move it for each.
func (c *Conn) ReadBy(from time.Time, d time.Duration) {
	c.within, c.late, c.until = 0, 0, 0
	if d > 0 {
		c.late, c.until = slack(d), from.Add(d).UnixNano()
	}
}

// WriteWithin lets each Write take at most d from now on; 0 takes the limit away.
func (c *Conn) WriteWithin(d time.Duration) {
	c.wwithin = d
	if d <= 0 && c.writeEnd != 0 {
		c.writeEnd = 0
		_ = c.nc.SetWriteDeadline(time.Time{})
	}
}

// Left reports whether the peer has ended the connection, as far as can be told without reading or waiting.
func (c *Conn) Left() bool { return sock.Ended(c.nc) }

func (c *Conn) setRead(end int64) {
	c.readEnd = end
	var t time.Time
	if end != 0 {
		t = time.Unix(0, end)
	}
	_ = c.nc.SetReadDeadline(t) // fails only on a closed connection, which the read reports
}

// Interrupt makes the running Read and all later ones fail with os.ErrDeadlineExceeded until Resume. Any goroutine may call it.
func (c *Conn) Interrupt() {
	c.stopped.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

// Stopped reports whether Interrupt was called and not undone.
func (c *Conn) Stopped() bool { return c.stopped.Load() }

// Resume undoes Interrupt. It is called by the goroutine that reads.
func (c *Conn) Resume() {
	c.stopped.Store(false)
	c.readEnd = -1
}

// slack says how much later than asked an inactivity deadline may fire: moving a deadline costs more than a small read, so it
// is moved only when less than the wanted time is left of it.
func slack(d time.Duration) int64 { return int64(d) / 32 }

// armRead sets the deadline of the read that follows.
func (c *Conn) armRead() error {
	if c.within > 0 {
		want := time.Now().UnixNano() + int64(c.within)
		if c.readEnd < want || c.readEnd > want+c.late {
			c.setRead(want + c.late)
		}
	} else if end := c.until; end == 0 || c.readEnd < end || c.readEnd > end+c.late {
		if end != 0 {
			end += c.late
		}
		if c.readEnd != end {
			c.setRead(end)
		}
	}
	if c.stopped.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Read reads once.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.armRead(); err != nil {
		return 0, err
	}
	return c.read(p)
}

func (c *Conn) read(p []byte) (int, error) {
	if c.io != nil {
		return c.io.Read(p)
	}
	return c.nc.Read(p)
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	c.armWrite()
	if c.io != nil {
		return c.io.Write(p)
	}
	return c.nc.Write(p)
}

func (c *Conn) armWrite() {
	if c.wwithin <= 0 {
		return
	}
	want := time.Now().UnixNano() + int64(c.wwithin)
	if c.writeEnd < want || c.writeEnd > want+slack(c.wwithin) {
		c.writeEnd = want + slack(c.wwithin)
		_ = c.nc.SetWriteDeadline(time.Unix(0, c.writeEnd))
	}
}

// ReadNow reads what is already there, and nothing (0, nil) when that is nothing: for a TLS connection the rest of a record of
// which a part was read.
func (c *Conn) ReadNow(p []byte) (int, error) {
	c.setRead(1)
	n, err := c.read(p)
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil
	}
	return n, err
}

// First waits until bytes arrive and returns them in a buffer borrowed only then. A TLS connection gives one byte, the rest of
// its record follows with the next Read.
func (c *Conn) First(pool *Pool) (*Buffer, int, error) {
	if err := c.armRead(); err != nil {
		return nil, 0, err
	}
	// Whoever waits here has just sent what the other side has to answer. On a busy edge the answer comes while others have their turn:
	// looking at once would find nothing, and cost a call, a park and a round through the poller. That was a tenth of a request's CPU.
	runtime.Gosched()
	if c.io == nil {
		n, err := c.nc.Read(c.one[:])
		if n == 0 {
			return nil, 0, err
		}
		b := pool.Get()
		b.B[0] = c.one[0]
		return b, 1, nil
	}
	c.pool, c.got, c.n, c.err = pool, nil, 0, nil
	if err := c.io.ReadWhenReady(c.onReady); err != nil {
		return nil, 0, err
	}
	b, n, err := c.got, c.n, c.err
	c.got = nil
	return b, n, err
}

// readReady is called by the poller, at once and whenever the socket becomes readable; false means "wait on".
func (c *Conn) readReady(fd uintptr) bool {
	b := c.pool.Get()
	n, err := sock.Receive(fd, b.B)
	switch err {
	case nil:
		c.got, c.n = b, n
	case syscall.EAGAIN:
		c.pool.Put(b)
		return false
	default:
		c.pool.Put(b)
		c.err = err
	}
	return true
}
