package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// tunnel moves bytes both ways until both sides have ended, one broke, or nothing moved for too long. It serves mode tcp and
// connections that were upgraded. Between sockets the kernel moves the bytes (splice); otherwise a buffer is borrowed while there
// are some.
type tunnel struct {
	client, server *h1.Conn
	pool           *h1.Pool
	limit          time.Duration // of inactivity; 0: none
	clientFin      time.Duration // the limit once the client, or the server, has shut its sending side; 0: limit
	serverFin      time.Duration
	cause          byte         // who is slow when limit expires: 'c' or 's'
	slow           atomic.Int32 // the same once one side has ended: the other; 0: cause

	// judge decides on what the server sends first, before any of it is passed on; nil: nothing is asked. What it has read
	// lies in a reader, which it returns with the verdict.
	judge func() (read *h1.Reader, v rule.VerdictKind)

	// The bandwidth limits of both directions; nil: there are none, and none will come.
	upPace, downPace *pace

	last    atomic.Int64 // when bytes last moved, unix nanoseconds
	in, out atomic.Int64 // bytes from the client, from the server
	fin     atomic.Int64 // the limit in force after a half-close, nanoseconds; 0: limit
}

// run returns the termination cause: '-', 'C' or 'c' for the client, 'S' or 's' for the server, 'P' when judge refused. What early holds
// has come from the client already and goes to the server first; nil: nothing has.
func (t *tunnel) run(early *h1.Reader) byte {
	t.last.Store(time.Now().UnixNano())
	t.client.WriteWithin(t.limit)
	t.server.WriteWithin(t.limit)
	if early != nil && early.Buffered() > 0 && !t.pass(t.server, early.Unread(), &t.in, t.upPace) {
		return 'S'
	}
	if early != nil {
		early.Release() // nothing is held beyond the inspection
	}
	up := make(chan byte, 1)
	go func() { up <- t.move(t.server, t.client, &t.in, 'C', 'S', t.clientFin, t.upPace) }()
	down := t.answer()
	if down == '-' {
		down = t.move(t.client, t.server, &t.out, 'S', 'C', t.serverFin, t.downPace)
	}
	if down != '-' {
		t.client.Interrupt()
	}
	sent := <-up
	if down != '-' && down != 'x' {
		return down
	}
	if sent == 'x' {
		return '-'
	}
	return sent
}

// pass writes bytes that were read before the tunnel began.
func (t *tunnel) pass(dst *h1.Conn, b []byte, count *atomic.Int64, p *pace) bool {
	err := t.write(dst, b, p)
	if err == nil {
		count.Add(int64(len(b)))
	}
	t.last.Store(time.Now().UnixNano())
	return err == nil
}

// write writes b at the pace that is allowed.
func (t *tunnel) write(dst *h1.Conn, b []byte, p *pace) error {
	if p != nil && p.on.Load() {
		return t.slowly(dst, b, p)
	}
	if _, err := dst.Write(b); err != nil {
		return sideError{err: err, write: true}
	}
	return nil
}

// answer lets judge decide, when there is one: '-' says that the rest may follow.
func (t *tunnel) answer() byte {
	if t.judge == nil {
		return '-'
	}
	read, kind := t.judge()
	t.last.Store(time.Now().UnixNano())
	pass := kind == rule.VerdictGo || kind == rule.VerdictAllow
	switch {
	case !pass && kind != rule.VerdictClose:
		return 'P'
	case !pass:
		return 'x' // the server's side ends here, and with it the session
	case read.Buffered() > 0 && !t.pass(t.client, read.Unread(), &t.out, t.downPace):
		return 'C'
	}
	read.Release()
	return '-'
}

// move carries one direction. from and to name the sides for the cause; 'x' means that the other direction ended it.
func (t *tunnel) move(dst, src *h1.Conn, count *atomic.Int64, from, to byte, fin time.Duration, p *pace) byte {
	var err error
	d, dok := dst.NetConn().(*net.TCPConn)
	s, sok := src.NetConn().(*net.TCPConn)
	if dok && sok && p == nil {
		err = t.splice(d, s, count)
	} else {
		err = t.copy(dst, src, count, p)
	}
	var side sideError
	switch {
	case err == nil:
		if w, ok := dst.NetConn().(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			if fin > 0 {
				t.fin.Store(int64(fin))
			}
			t.slow.CompareAndSwap(0, int32(to|0x20))
			return '-'
		}
		dst.Interrupt()
		return '-'
	case err == errIdle:
		dst.Interrupt()
		if slow := t.slow.Load(); slow != 0 {
			return byte(slow)
		}
		return t.cause
	case errors.As(err, &side) && side.write:
		dst.Interrupt()
		src.Interrupt()
		if isTimeout(side.err) {
			return to | 0x20
		}
		return to
	}
	dst.Interrupt()
	if isTimeout(err) {
		return 'x'
	}
	return from
}

// errIdle says that nothing moved in either direction for the limit.
var errIdle = errors.New("tunnel idle")

// sideError tells on which side of a copy an error happened.
type sideError struct {
	err   error
	write bool
}

func (e sideError) Error() string { return e.err.Error() }
func (e sideError) Unwrap() error { return e.err }

// now is the limit in force.
func (t *tunnel) now() time.Duration {
	if f := t.fin.Load(); f > 0 {
		return time.Duration(f)
	}
	return t.limit
}

// rest is how long a direction may wait before it has to look again; negative when the tunnel has been idle for too long.
func (t *tunnel) rest() time.Duration {
	limit := t.now()
	if limit <= 0 {
		return 0
	}
	left := limit - time.Duration(time.Now().UnixNano()-t.last.Load())
	if left <= 0 {
		return -1
	}
	// A splice tells that bytes moved only when it returns, so it is asked now and then.
	return min(left, max(limit/16, minTick))
}

const minTick = 50 * time.Millisecond

// copy moves bytes through a borrowed buffer, which an idle tunnel does not hold.
func (t *tunnel) copy(dst, src *h1.Conn, count *atomic.Int64, p *pace) error {
	for {
		left := t.rest()
		if left < 0 {
			return errIdle
		}
		if left > 0 {
			src.ReadUntil(time.Now().Add(left))
		} else {
			src.ReadUntil(time.Time{})
		}
		b, n, err := src.First(t.pool)
		if err != nil {
			if err == io.EOF {
				return nil
			}
			if isTimeout(err) && !src.Stopped() {
				continue
			}
			return sideError{err: err}
		}
		if n == 1 {
			var m int
			if m, err = src.ReadNow(b.B[1:]); err == nil {
				n += m
			}
		}
		t.last.Store(time.Now().UnixNano())
		werr := t.write(dst, b.B[:n], p)
		t.pool.Put(b)
		count.Add(int64(n))
		t.last.Store(time.Now().UnixNano())
		if werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return sideError{err: err}
		}
	}
}

// Pieces of a splice: short enough that a slow peer finishes one within its timeout, long enough to cost few calls.
const (
	minPiece = 64 << 10
	maxPiece = 4 << 20
)

// splice lets the kernel move bytes between two sockets. Deadlines are absolute while activity is not, so the transfer is cut into
// pieces whose size follows the speed.
func (t *tunnel) splice(dst, src *net.TCPConn, count *atomic.Int64) error {
	piece := int64(minPiece)
	from := &io.LimitedReader{R: src}
	for {
		left := t.rest()
		if left < 0 {
			return errIdle
		}
		begin := time.Now()
		var end, writeEnd time.Time
		if left > 0 {
			end, writeEnd = begin.Add(left), begin.Add(left+t.limit)
		}
		if t.stopped(src) {
			return os.ErrDeadlineExceeded
		}
		_ = src.SetReadDeadline(end)
		_ = dst.SetWriteDeadline(writeEnd)
		if t.stopped(src) {
			return os.ErrDeadlineExceeded
		}
		from.N = piece
		n, err := dst.ReadFrom(from)
		if n > 0 {
			count.Add(n)
			t.last.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil && n < piece:
			return nil
		case err == nil:
			if time.Since(begin) < 100*time.Millisecond {
				piece = min(piece*2, maxPiece)
			} else {
				piece = max(piece/2, minPiece)
			}
		case isTimeout(err) && !isWrite(err):
			continue
		default:
			return sideError{err: err, write: isWrite(err)}
		}
	}
}

// stopped reports whether the side that reads from src was told to end.
func (t *tunnel) stopped(src *net.TCPConn) bool {
	if t.client.NetConn() == net.Conn(src) {
		return t.client.Stopped()
	}
	return t.server.Stopped()
}

// isWrite tells whether an error of a splice came from the writing side.
func isWrite(err error) bool {
	var op *net.OpError
	for errors.As(err, &op) {
		if op.Op == "write" {
			return true
		}
		err = op.Err
	}
	return false
}

// tunnelLimit is the inactivity limit of a tunnel and who is blamed for it.
func (x *exchange) tunnelLimit() (time.Duration, byte) {
	if d := x.s.Limits.Timeout(stream.TimeoutTunnel, x.b.o.Timeouts.Tunnel); d > 0 {
		return d, 'c'
	}
	client, server := x.clientTimeout(), x.serverTimeout()
	if client > 0 && (server <= 0 || client <= server) {
		return client, 'c'
	}
	return server, 's'
}

// upgrade turns the exchange into a tunnel after a 101, or a 2xx to CONNECT. Neither connection is used for HTTP again (threat H10).
func (x *exchange) upgrade(c *backend.Conn, wire *h1.Conn) {
	s, o := &x.s, &x.f.o
	x.keep = false
	x.stopSending()
	if !x.judged(c) {
		return
	}
	x.remember()
	s.CaptureFields(true)
	x.bound(&x.srv)
	for _, set := range [2]*rule.Set{x.b.o.HTTPResponse, o.HTTPResponse} {
		if v := set.Run(s, o.Env); v.Kind != rule.VerdictGo && v.Kind != rule.VerdictAllow {
			x.refuseResponse(c, v)
			return
		}
	}
	x.markPackets()
	s.CaptureCookie(true)
	if p := x.b.o.Persistence; p != nil && p.Cookie != nil {
		p.Cookie.write(x, c.Server)
	}
	x.b.o.AfterResponse.Run(s, o.Env)
	o.AfterResponse.Run(s, o.Env)
	if _, err := x.out.Response(&s.Res, h1.ResponseOptions{}); err != nil {
		x.out.Release()
		c.Release(false)
		x.term('P', 'H')
		x.fail(502)
		return
	}
	x.note(s.Res.Status)
	if o.Log.ASAP && !x.silent {
		s.Log.Early, s.Log.End, x.logged = true, time.Now(), true
		x.writeLog()
	}
	limit, cause := x.tunnelLimit()
	t := &tunnel{client: &x.cl.wire, server: wire, pool: x.f.pool, limit: limit, cause: cause,
		clientFin: o.Timeouts.ClientFin, serverFin: x.b.o.Timeouts.ServerFin}
	t.upPace, t.downPace = x.tunnelPace(toServer), x.tunnelPace(toClient)
	early := x.srv.Unread()
	if err := x.out.Body(early); err != nil || !x.flushClient() {
		c.Release(false)
		return
	}
	sent := x.cl.in.Unread()
	if len(sent) > 0 {
		if _, err := wire.Write(sent); err != nil {
			c.Release(false)
			x.term('S', 'D')
			return
		}
	}
	x.srv.Release() // the log needs no response fields that a tunnel would have to keep a buffer for
	s.Res.Fields = s.Res.Fields[:0]
	cause = t.run(nil)
	if cause != '-' {
		x.term(cause, 'D')
	}
	x.took(c.Server)
	s.Log.BytesIn = x.up.Sent() + int64(len(sent)) + t.in.Load()
	x.tunnelled = t.out.Load()
	x.cl.in.Drop()
	c.Release(false)
	s.Log.SrvConn = int(c.Server.Counters().Cur.Load())
}
