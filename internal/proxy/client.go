package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// client is one client connection in mode http. Between requests it is all that exists of the connection: everything a request
// needs is in an exchange, which is borrowed.
type client struct {
	handle   *Handle
	conn     *stream.Conn
	wire     h1.Conn
	in       h1.Reader
	session  backend.Session
	ended    time.Time   // when the previous response ended, at first when serving began
	switched bool        // a rule turned the session of a frontend in mode tcp into an HTTP connection
	served   int         // requests that were answered
	gone     atomic.Bool // the client left while a server was working for it

	mu       sync.Mutex
	idle     bool // guarded by mu: waiting for the first byte of a request
	lingers  bool // guarded by mu: a stop leaves it idle; the next answer tells the client to close
	stopping bool // guarded by mu: close after the current request
}

// serve reads and answers requests until the connection ends.
func (cl *client) serve() {
	defer cl.session.Close()
	defer cl.in.Release()
	cl.ended = time.Now()
	for cl.await() && cl.request() {
	}
}

// request serves one request in a borrowed exchange. It is a function of its own so that a waiting connection's stack stays
// shallow.
func (cl *client) request() bool {
	x := exchanges.Get().(*exchange)
	defer x.giveBack()
	x.begin(cl)
	return x.serve()
}

// await returns true when the first byte of a request is there.
func (cl *client) await() bool {
	if cl.in.Buffered() > 0 {
		return !cl.isStopping()
	}
	f := cl.handle.Frontend()
	if f == nil {
		return false
	}
	if f.o.IdleCloseOnResponse {
		cl.mu.Lock()
		cl.lingers = true
		cl.mu.Unlock()
	}
	if !cl.setIdle(true) {
		return false
	}
	limit := f.o.Timeouts.KeepAlive
	if cl.served == 0 {
		limit = f.o.Timeouts.HTTPRequest
	}
	cl.wire.ReadBy(cl.ended, limit)
	err := cl.in.Wait()
	goOn := cl.setIdle(false)
	if err == nil {
		return goOn
	}
	if cl.served == 0 && goOn {
		cl.neverSpoke(f, err)
	}
	return false
}

// deadline is from plus limit, zero when there is no limit.
func deadline(from time.Time, limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return from.Add(limit)
}

// neverSpoke ends a connection that sent nothing: a probe, or a client that was too slow.
func (cl *client) neverSpoke(f *Frontend, err error) {
	if f.o.IgnoreProbes {
		return
	}
	x := exchanges.Get().(*exchange)
	defer x.giveBack()
	x.begin(cl)
	x.s.Log.Start = cl.ended
	x.silent = f.o.Log.DontLogNull
	x.badHead(err)
}

// setIdle notes whether the connection waits for a request; false says that it must close instead.
func (cl *client) setIdle(idle bool) bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.idle = idle
	if cl.lingers {
		return true
	}
	if cl.stopping && !idle {
		// A request that won the race with the stop is still answered, with connection: close.
		cl.wire.Resume()
		return cl.in.Buffered() > 0
	}
	return !cl.stopping
}

func (cl *client) isStopping() bool {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.stopping
}

// stop ends the connection at once when it is idle and else after its current request. Any goroutine may call it.
func (cl *client) stop() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.stopping = true
	if cl.idle && !cl.lingers {
		cl.wire.Interrupt()
	}
}

// closeGently closes a connection whose client may still be sending: an answer that is followed by a reset can get lost, so
// our side is shut first and what arrives is dropped, within bounds.
func (cl *client) closeGently() {
	w, ok := cl.wire.NetConn().(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	cl.wire.Resume()
	cl.wire.ReadUntil(time.Now().Add(lingerTime))
	b := cl.handlePool().Get()
	defer cl.handlePool().Put(b)
	for left := lingerBytes; left > 0; {
		n, err := cl.wire.Read(b.B)
		if err != nil {
			return
		}
		left -= n
	}
}

// dropUnread takes what has arrived off the socket, within bounds: closing over unread bytes would reset the connection.
func (cl *client) dropUnread() {
	b := cl.handlePool().Get()
	defer cl.handlePool().Put(b)
	for n, left := len(b.B), lingerBytes; n == len(b.B) && left > 0; left -= n {
		n, _ = cl.wire.ReadNow(b.B)
	}
}

const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

func (cl *client) handlePool() *h1.Pool { return poolOf(h1.DefaultBuffer) }

// isTimeout tells an expired deadline from a broken connection.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// isEnd tells whether the peer ended the connection in order.
func isEnd(err error) bool { return err == io.EOF || err == h1.ErrTruncated }
