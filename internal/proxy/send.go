package proxy

import (
	"io"
	"sync/atomic"
	"time"

	"gatehouse/internal/h1"
)

// sender forwards the part of a request body that did not come with the head, in its own goroutine, so that the server may
// answer before it is complete.
type sender struct {
	running bool
	done    chan struct{}

	finished atomic.Int64 // when it ended, unix nanoseconds; 0 before
	cause    byte         // valid after done: 0 all was sent, 'C' or 'c' the client ended it, 'P' it sent nonsense, 'S' or 's' the server, 'X' we did
}

func (d *sender) start(x *exchange) {
	if d.done == nil {
		d.done = make(chan struct{}, 1)
	}
	d.running, d.cause = true, 0
	d.finished.Store(0)
	server := x.srv.Conn()
	go func() {
		cause := d.run(x)
		d.cause = cause
		d.finished.Store(time.Now().UnixNano())
		d.done <- struct{}{}
		if cause == 'C' || cause == 'c' || cause == 'P' {
			server.Interrupt() // nobody waits for the answer; this connection is not kept
		}
	}()
}

func (d *sender) run(x *exchange) byte {
	in, up := &x.cl.in, &x.up
	for {
		p, err := in.Body()
		if err == io.EOF {
			if err := x.endServer(x.requestTrailers()); err != nil {
				return 'S'
			}
			if err := up.Flush(); err != nil {
				return serverCause(err)
			}
			return 0
		}
		if err != nil {
			if isProtocol(err) && err != h1.ErrTruncated {
				return 'P'
			}
			return clientCause(err)
		}
		for len(p) > 0 && err == nil {
			if err := x.toServer(p); err != nil {
				return serverCause(err)
			}
			p, err = in.Ready()
		}
		if err != nil {
			return 'P'
		}
		if in.Done() {
			continue
		}
		if err := x.flushServer(); err != nil {
			return serverCause(err)
		}
	}
}

// ended reports whether the sender is over, without waiting.
func (d *sender) ended() bool {
	if !d.running {
		return true
	}
	select {
	case <-d.done:
		d.running = false
		return true
	default:
		return false
	}
}

// wait returns when the sender is over; the client's timeout bounds it.
func (d *sender) wait() {
	if d.running {
		<-d.done
		d.running = false
	}
}

// stopSending ends the sender where it is. The client connection cannot go on then, unless all was sent.
func (x *exchange) stopSending() {
	if x.send.ended() {
		return
	}
	x.cl.wire.Interrupt()
	x.srv.Conn().Interrupt()
	x.send.wait()
	x.send.cause = 'X'
	x.cl.wire.Resume()
}
