package log

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// ForwardOptions describe one `server` of a ring.
type ForwardOptions struct {
	Ring       *Ring
	Name       string // for messages
	Network    string // "" is tcp
	Addr       string
	OctetCount bool          // log-proto octet-count: lengths before the lines (RFC 6587 section 3.4.1), else a newline behind them
	Connect    time.Duration // 0: 1 s
	Send       time.Duration // how long the server may take nothing; 0: 5 s
	Say        func(level, text string)
}

const (
	forwardBatch = 64 << 10
	retryAfter   = time.Second
)

// Forward carries the events of a ring to one server over a connection that is kept (RFC 6587). An event that was on its way when the
// connection broke is sent again, so that each arrives whole; what the ring had to let go meanwhile is lost, and counted.
type Forward struct {
	o    ForwardOptions
	from atomic.Pointer[RingReader]
	lost atomic.Uint64 // by readers that are closed

	connections atomic.Int32 // 0 or 1
	conn        net.Conn
	gone        chan struct{} // closed when the server closed conn
	out         outage
	buf         []byte // events that were read and not sent yet
	ends        []int  // where each of them ends in buf
	sent        int    // bytes of buf that the connection took
}

// NewForward makes a forwarder that has nothing yet; it begins with the oldest event of the ring.
func NewForward(o ForwardOptions) *Forward {
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.Connect <= 0 {
		o.Connect = time.Second
	}
	if o.Send <= 0 {
		o.Send = 5 * time.Second
	}
	f := &Forward{o: o, out: outage{name: o.Name, then: "its ring keeps the newest lines", say: o.Say}}
	f.from.Store(o.Ring.Reader(false))
	return f
}

// Dropped counts the events that the ring let go before the server took them.
func (f *Forward) Dropped() uint64 {
	if r := f.from.Load(); r != nil {
		return f.lost.Load() + r.Lost()
	}
	return f.lost.Load()
}

// Run forwards until ctx is done, then what still waits, for at most a second.
func (f *Forward) Run(ctx context.Context) error {
	r := f.from.Load()
	defer f.end(r)
	for ctx.Err() == nil {
		if f.fill(r) {
			if err := f.send(ctx); err != nil {
				f.fail(ctx, err)
				wait(ctx, retryAfter)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.Wake():
		case <-f.gone:
			f.close()
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	for f.fill(r) {
		if err := f.send(end); err != nil {
			return nil // it was said when the outage began, or the time is over
		}
	}
	return nil
}

func (f *Forward) end(r *RingReader) {
	f.close()
	f.lost.Add(r.Lost() + uint64(len(f.ends)))
	f.from.Store(nil)
	r.Close()
}

// fill reads events from the ring unless some wait already, and says whether any wait.
func (f *Forward) fill(r *RingReader) bool {
	if len(f.ends) > 0 {
		return true
	}
	f.buf, f.sent = f.buf[:0], 0
	if f.o.OctetCount {
		f.buf, f.ends = r.Next(f.buf, f.ends[:0], forwardBatch, 0, octetCount, nil)
	} else {
		f.buf, f.ends = r.Next(f.buf, f.ends[:0], forwardBatch, 0, nil, []byte{'\n'})
	}
	return len(f.ends) > 0
}

func octetCount(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 10), ' ')
}

// send writes what waits, connecting first when there is no connection.
func (f *Forward) send(ctx context.Context) error {
	if f.conn == nil {
		d := net.Dialer{Timeout: f.o.Connect}
		c, err := d.DialContext(ctx, f.o.Network, f.o.Addr)
		if err != nil {
			return err
		}
		f.connections.Store(1)
		f.conn, f.gone = c, make(chan struct{})
		go watch(c, f.gone)
	}
	// When ctx ends, a server that stalls has no more time.
	c := f.conn
	_ = c.SetWriteDeadline(time.Now().Add(f.o.Send))
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Now()) })
	defer stop()
	n, err := c.Write(f.buf[f.sent:])
	f.sent += n
	if err != nil {
		return err
	}
	f.ends = f.ends[:0]
	f.out.over(f.Dropped())
	return nil
}

// watch drops what the server says, until it closes the connection or we do.
func watch(c net.Conn, gone chan<- struct{}) {
	defer close(gone)
	_, _ = io.Copy(io.Discard, c) // how it ended does not matter
	_ = c.Close()
}

// fail ends the connection. What it took whole is not sent again; an event it took a part of is.
func (f *Forward) fail(ctx context.Context, err error) {
	f.close()
	if ctx.Err() == nil {
		f.out.fail(err.Error())
	}
	whole := 0
	for whole < len(f.ends) && f.ends[whole] <= f.sent {
		whole++
	}
	from := 0
	if whole > 0 {
		from = f.ends[whole-1]
	}
	f.buf = append(f.buf[:0], f.buf[from:]...)
	f.ends = append(f.ends[:0], f.ends[whole:]...)
	for i := range f.ends {
		f.ends[i] -= from
	}
	f.sent = 0
}

func (f *Forward) close() {
	if f.conn != nil {
		_ = f.conn.Close()
		<-f.gone
		f.conn, f.gone = nil, nil
		f.connections.Store(0)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
