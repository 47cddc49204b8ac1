package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// Waits after an accept that failed for want of descriptors or memory: connections end meanwhile, and those that wait are not
// lost, because the kernel keeps them.
const (
	firstBackOff = 5 * time.Millisecond
	lastBackOff  = time.Second
)

// acceptAll is the accept loop. It returns nil when ctx is done and an error when the socket is broken.
func (l *Listener) acceptAll(ctx context.Context) error {
	wait := firstBackOff
	for {
		nc, err := l.socket.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				l.begin(ctx, nc) // it was ours before the end was
			}
			return nil
		case err == nil:
			wait = firstBackOff
			if !l.begin(ctx, nc) || !l.slowDown(ctx) {
				return nil
			}
		case l.waitPaused(ctx):
		case errors.Is(err, os.ErrDeadlineExceeded): // Resume came first
		case scarce(err):
			if wait == firstBackOff {
				l.sayScarce(err)
			}
			if !pause(ctx, wait) {
				return nil
			}
			wait = min(2*wait, lastBackOff)
		default:
			return err
		}
	}
}

// slowDown waits as long as the frontend had all the sessions that `rate-limit sessions` allows in a second, or the process all that its own
// limits do; what comes meanwhile waits in the kernel. False says that ctx ended.
func (l *Listener) slowDown(ctx context.Context) bool {
	for {
		s, now := l.settings.Load(), time.Now()
		wait := s.Rates.wait(s, now)
		if n := s.SessionLimit; n > 0 && s.Counters.SessRate.PerSecond(now) >= int64(n) {
			wait = max(wait, time.Second/time.Duration(n), time.Millisecond)
		}
		if wait == 0 {
			return true
		}
		if !pause(ctx, wait) {
			return false
		}
	}
}

// orSystem makes a keepalive parameter that was not given one that is not touched.
func orSystem[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// scarce reports errors that pass with time.
func scarce(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sayScarce tells of it in HAProxy's words, once per shortage.
func (l *Listener) sayScarce(err error) {
	s := l.settings.Load()
	if s.Log == nil || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EPROTO) {
		return
	}
	text := "reached system memory limit. Please check system tunables."
	switch {
	case errors.Is(err, syscall.EMFILE):
		text = "reached process FD limit. Please check 'ulimit-n' and restart."
	case errors.Is(err, syscall.ENFILE):
		text = "reached system FD limit. Please check system tunables."
	}
	s.Log("emerg", "Proxy "+s.Frontend+" "+text)
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// waitPaused waits for the end of a pause; false when there is none.
func (l *Listener) waitPaused(ctx context.Context) bool {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused == nil {
		return false
	}
	select {
	case <-paused:
	case <-ctx.Done():
	}
	return true
}

// drain begins the connections whose handshake with the kernel was complete before the socket closes, so that a stop
// resets none of them.
func (l *Listener) drain(ctx context.Context) {
	for {
		fd := -1
		err := l.control(func(s int) (err error) {
			fd, _, err = syscall.Accept4(s, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			return err
		})
		if err == syscall.EINTR || err == syscall.ECONNABORTED {
			continue
		}
		if err != nil {
			return
		}
		f := os.NewFile(uintptr(fd), "")
		nc, err := net.FileConn(f)
		f.Close()
		if err == nil {
			l.begin(ctx, nc)
		}
	}
}

// begin takes a connection in: it waits for room under the limits and starts its goroutine. It reports false when ctx ended the
// wait; there is no room for that connection, so it is closed.
func (l *Listener) begin(ctx context.Context, nc net.Conn) bool {
	s := l.settings.Load()
	if !l.track(nc) {
		nc.Close()
		return true
	}
	for i, limit := range s.Limits {
		if !limit.acquire(ctx) {
			for _, taken := range s.Limits[:i] {
				taken.Release()
			}
			l.untrack(nc)
			nc.Close()
			return false
		}
	}
	c := l.describe(s, nc)
	l.note(nc, c)
	l.wg.Add(1)
	if s.Admit != nil && !s.Admit(nc, c) {
		l.end(s, nc, c)
		return true
	}
	s.Rates.letIn(c.Accepted)
	if s.tls != nil || c.ExpectProxy || c.ExpectCIP {
		go l.shake(ctx, s, nc, c)
	} else {
		go l.serve(ctx, s, nc, nc, c)
	}
	return true
}

func (l *Listener) track(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.killed {
		return false
	}
	l.conns[nc] = nil
	return true
}

func (l *Listener) untrack(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, nc)
}

// describe fills what is known of a connection that was just accepted, and counts it.
func (l *Listener) describe(s *settings, nc net.Conn) *stream.Conn {
	c := &stream.Conn{Accepted: time.Now(), Frontend: s.Frontend, BindName: s.Name, BindID: s.ID, ExpectProxy: s.AcceptProxy, ExpectCIP: s.AcceptCIP}
	if s.IDs != nil {
		c.ID = s.IDs.Add(1)
	} else {
		c.ID = l.ids.Add(1)
	}
	switch t := nc.(type) {
	case *net.TCPConn:
		c.Src, c.Dst = addrPort(t.RemoteAddr()), addrPort(t.LocalAddr())
		c.FcSrc, c.FcDst = c.Src, c.Dst
		if !s.KeepAlive { // Go's listeners turn probes on, which HAProxy does only when told
			t.SetKeepAlive(false)
		} else if p := s.Probes; p != (config.Probes{}) {
			_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: orSystem(p.Idle), Interval: orSystem(p.Interval), Count: orSystem(p.Count)})
		}
	case *net.UnixConn:
		c.SrcUnix = true
	}
	s.Rates.accepted(s.tls != nil, c.Accepted)
	for _, n := range [...]*stats.Counters{s.Counters, s.Own} {
		if n != nil {
			n.Enter()
			n.Conns.Add(1)
			n.SessRate.Add(c.Accepted)
		}
	}
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serve runs the connection to its end. raw is the socket below nc.
func (l *Listener) serve(ctx context.Context, s *settings, raw, nc net.Conn, c *stream.Conn) {
	defer l.end(s, raw, c)
	defer l.survive(s)
	s.Serve(ctx, nc, c)
}

// survive is deferred by the goroutines of a connection: a panic there costs that connection and a line with the stack, not the
// process and everybody else's connections.
func (l *Listener) survive(s *settings) {
	if p := recover(); p != nil && s.Log != nil {
		s.Log("alert", fmt.Sprintf("Proxy %s: a connection was given up: %v\n%s", s.Frontend, p, debug.Stack()))
	}
}

// end forgets a connection.
func (l *Listener) end(s *settings, raw net.Conn, c *stream.Conn) {
	raw.Close() // usually closed already
	l.untrack(raw)
	c.Counters.Leave()
	s.Rates.ended(s.tls != nil)
	for _, n := range [...]*stats.Counters{s.Counters, s.Own} {
		if n != nil {
			n.Leave()
		}
	}
	for _, limit := range s.Limits {
		limit.Release()
	}
	l.wg.Done()
}
