package proxy

import (
	"io"
	"time"
)

// bufferBody waits for the request body before a server is chosen (option http-buffer-request): until it is complete, the buffer is
// full, or `timeout http-request` has passed since the request began. False means that the request was answered.
func (x *exchange) bufferBody() bool {
	in := &x.cl.in
	if in.Done() || x.s.Req.Expect100 {
		return true
	}
	x.cl.wire.ReadUntil(deadline(x.s.Log.Start, x.f.o.Timeouts.HTTPRequest))
	defer x.cl.wire.ReadWithin(x.f.o.Timeouts.Client)
	for !in.Whole() {
		err := in.More()
		if err == nil {
			continue
		}
		if err == io.ErrShortBuffer {
			break
		}
		x.keep = false
		x.s.Log.ReqDone = time.Time{}
		x.f.o.Counters.ErrReq.Add(1)
		if isTimeout(err) {
			x.term('c', 'R')
			x.fail(408)
		} else {
			x.term('C', 'R')
			x.fail(400)
		}
		return false
	}
	x.s.Log.ReqDone = time.Now()
	return true
}

// tarpit holds the request for `timeout tarpit`; a client that leaves ends it, and then nothing else follows.
func (x *exchange) tarpit() {
	limit := x.f.o.Timeouts.Tarpit
	if limit <= 0 {
		return
	}
	end := time.Now().Add(limit)
	x.cl.wire.ReadUntil(end)
	var err error
	for err == nil {
		err = x.cl.in.More()
	}
	switch {
	case isTimeout(err):
	case err == io.ErrShortBuffer: // it keeps talking: nothing is read any more
		timer := time.NewTimer(time.Until(end))
		defer timer.Stop()
		<-timer.C
	default:
		x.keep = false
	}
}
