package proxy

import (
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// fail answers with the error page of a status, through the after-response rules.
func (x *exchange) fail(status int) {
	x.answer(x.pages().get(status))
}

// pages are the error pages in force: the backend's once there is one.
func (x *exchange) pages() *ErrorPages {
	if x.b != nil && x.b.o.Errors != nil {
		return x.b.o.Errors
	}
	return x.f.o.Errors
}

// reply sends what a rule decided.
func (x *exchange) reply(v rule.Verdict) {
	r := v.Reply
	if r == nil {
		x.fail(v.Status)
		return
	}
	if r.Close {
		x.keep = false
	}
	if r.ErrorFile != 0 {
		p := x.pages().get(r.ErrorFile)
		x.load(p)
		x.s.Res.Fields = append(x.s.Res.Fields, r.Fields...)
		x.deliver(p.body, p)
		return
	}
	res := &x.s.Res
	res.Reset()
	res.Status, res.Major, res.Minor = r.Status, 1, 1
	reason := r.Reason
	if reason == "" {
		reason = reasonOf(r.Status)
	}
	res.Reason = x.s.ScratchString(reason)
	res.Fields = append(res.Fields, r.Fields...)
	x.deliver(r.Body, nil)
}

// answer sends a page through the after-response rules.
func (x *exchange) answer(p *page) {
	x.load(p)
	x.deliver(p.body, p)
}

// load makes a page the stream's response.
func (x *exchange) load(p *page) {
	res := &x.s.Res
	res.Reset()
	res.Status, res.Reason, res.Major, res.Minor = p.status, p.reason, 1, 1
	res.Fields = append(res.Fields, p.fields...)
}

// deliver sends the stream's response, which is ours, with body. When after-response rules make something of it that cannot be
// sent, the connection closes.
func (x *exchange) deliver(body []byte, p *page) {
	s, o := &x.s, &x.f.o
	if p != nil && p.silent {
		x.keep = false
		return
	}
	if p != nil && p.close {
		x.keep = false
	}
	if x.b != nil {
		x.b.o.AfterResponse.Run(s, o.Env)
	}
	o.AfterResponse.Run(s, o.Env)
	x.write(body)
}

// writePage sends a page as it is: answers to what never became a request that rules could see.
func (x *exchange) writePage(p *page) {
	x.load(p)
	if p.silent {
		x.keep = false
		return
	}
	if p.close {
		x.keep = false
	}
	x.write(p.body)
}

// write puts the stream's response and body on the wire, to be flushed by finish.
func (x *exchange) write(body []byte) {
	s := &x.s
	res := &s.Res
	res.Body, res.Length = stream.BodyLength, int64(len(body))
	if res.Status == 304 && len(body) == 0 {
		res.Body = stream.BodyNone
	}
	x.own = true
	if !x.drained() {
		x.keep = false
	}
	if s.Log.ResHead.IsZero() && s.Log.Term[0] == '-' {
		s.Log.ResHead = time.Now()
	}
	x.out.Release()
	closes, err := x.out.Response(res, h1.ResponseOptions{
		Close:    !x.keep || x.cl.isStopping(),
		HTTP10:   s.Req.Major == 1 && s.Req.Minor == 0,
		Bodyless: x.head,
	})
	if err != nil {
		x.out.Release()
		x.keep = false
		return
	}
	if closes {
		x.keep = false
	}
	x.note(res.Status)
	if !x.head && res.Status != 204 && res.Status != 304 {
		if err := x.out.Body(body); err != nil {
			x.keep = false
			x.termIfNone(clientCause(err), 'D')
			return
		}
	}
	if err := x.out.End(nil); err != nil && !x.head {
		x.keep = false
	}
}

// note records the status of the answer for log and counters.
func (x *exchange) note(status int) {
	x.s.Log.Status = status
	x.f.o.Counters.Status(status)
	if x.b != nil {
		x.b.o.Counters.Status(status)
	}
}

// drained drops the rest of a request body that is already here, and reports whether the request is over: only then can another
// one follow it.
func (x *exchange) drained() bool {
	in := &x.cl.in
	for !in.Done() {
		p, err := in.Ready()
		if err != nil || len(p) == 0 && !in.Done() {
			return false
		}
	}
	return true
}
