package proxy

import (
	"io"
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// bufferBody waits for the request body before a server is chosen (option http-buffer-request): until it is complete, the buffer is
// full, or `timeout http-request` has passed since the request began. False means that the request was answered.
func (x *exchange) bufferBody() bool {
	in := &x.cl.in
	if in.Done() || !x.askForBody() {
		return true
	}
	x.cl.wire.ReadUntil(deadline(x.s.Log.Start, x.f.o.Timeouts.HTTPRequest))
	defer x.cl.wire.ReadWithin(x.clientTimeout())
	for !in.Whole() {
		err := in.More()
		if err == nil {
			continue
		}
		if !isTimeout(err) {
			x.cutShort = err != io.ErrShortBuffer
			break
		}
		x.keep = false
		x.s.Log.Waiting = "http-buffer-request"
		x.s.Log.ReqDone = time.Time{}
		x.f.o.Counters.ErrReq.Add(1)
		x.term('c', 'R')
		x.fail(408)
		return false
	}
	x.s.Log.ReqDone = time.Now()
	return true
}

// abandoned answers a request whose client left before its body was there, once it is known which backend does without it.
func (x *exchange) abandoned() bool {
	if !x.cutShort {
		return false
	}
	x.keep = false
	x.b.o.Counters.CliAborts.Add(1)
	x.f.o.Counters.CliAborts.Add(1)
	x.term('C', 'R')
	x.fail(400)
	return true
}

// askForBody answers Expect: 100-continue in the server's stead, which then does not see it. False says that the client left.
func (x *exchange) askForBody() bool {
	s := &x.s
	if !s.Req.Expect100 {
		return true
	}
	s.Req.Expect100 = false
	s.Req.Fields = stream.Del(s.Req.Fields, "expect")
	if x.cl.in.Buffered() > 0 {
		return true
	}
	return x.interim(100, "Continue", nil)
}

// interim sends a 1xx response of our own.
func (x *exchange) interim(status int, reason string, fields []stream.Field) bool {
	if x.s.Req.Major == 1 && x.s.Req.Minor == 0 {
		return true
	}
	res := stream.Response{Status: status, Reason: []byte(reason), Major: 1, Minor: 1, Fields: fields}
	if _, err := x.out.Response(&res, h1.ResponseOptions{}); err != nil {
		x.out.Release()
		return true
	}
	return x.flushClient()
}

// tarpit holds the request for `timeout tarpit`; a client that leaves ends it, and then nothing else follows.
func (x *exchange) tarpit() {
	x.hold(x.s.Limits.Timeout(stream.TimeoutTarpit, x.f.o.Timeouts.Tarpit))
	x.s.Log.Queued = time.Now() // the log counts it as time in a queue
}

// hold does nothing for d, or until the client leaves: then the connection ends.
func (x *exchange) hold(d time.Duration) {
	if d <= 0 {
		return
	}
	end := time.Now().Add(d)
	x.cl.wire.ReadUntil(end)
	var err error
	for err == nil {
		err = x.cl.in.More()
	}
	switch {
	case isTimeout(err):
	case err == io.ErrShortBuffer: // it keeps talking: nothing is read any more
		rest(time.Until(end))
	default:
		x.keep = false
	}
}

func rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}
