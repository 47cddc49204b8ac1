package proxy

import (
	"time"

	"gatehouse/internal/h1"
	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// fail answers with the error page of a status, through the after-response rules.
func (x *exchange) fail(status int) {
	x.meant = status
	x.emit(x.page(status), true)
}

// page is the error page in force: the backend's once there is one, else the frontend's, else the built-in one.
func (x *exchange) page(status int) *stream.Reply {
	var a *rule.Answer
	if x.b != nil {
		a = x.b.o.Errors.page(status)
	}
	if a == nil {
		a = x.f.o.Errors.page(status)
	}
	if a == nil {
		a = builtin.page(status)
	}
	if a != nil {
		return a.Reply(&x.s, x.f.o.Env)
	}
	x.s.Reply = stream.Reply{Status: status, Fields: x.s.Reply.Fields[:0]}
	return &x.s.Reply
}

// reply sends what a rule decided.
func (x *exchange) reply(v rule.Verdict) {
	r := v.Reply
	if v.Kind != rule.VerdictRedirect {
		x.meant = v.Status
	}
	switch {
	case r == nil:
		r = x.page(v.Status)
	case r.ErrorFile != 0:
		challenge := r.Challenge
		r = x.page(r.ErrorFile)
		if challenge != nil {
			name := wwwAuthenticate
			if r.Status == 407 {
				name = proxyAuthenticate
			}
			r.Fields = append(stream.Del(r.Fields, string(name)), stream.Field{Name: name, Value: challenge})
		}
	}
	x.emit(r, true)
}

var wwwAuthenticate, proxyAuthenticate = []byte("www-authenticate"), []byte("proxy-authenticate")

// emit makes r the stream's response and sends it; with rules, through the after-response rules, as every answer to what rules
// could see. When they make something of it that cannot be sent, the connection closes.
func (x *exchange) emit(r *stream.Reply, rules bool) {
	s, o := &x.s, &x.f.o
	if r.Silent {
		x.keep = false
		return
	}
	if r.Close || r.LengthAt < 0 {
		x.keep = false
	}
	res := &s.Res
	res.Reset()
	res.Status, res.Major, res.Minor, res.LengthAt = r.Status, 1, 1, r.LengthAt
	if r.HTTP10 {
		res.Minor = 0
	}
	reason := r.Reason
	if reason == "" {
		reason = rule.ReasonOf(r.Status)
	}
	res.Reason = s.ScratchString(reason)
	res.Fields = append(res.Fields, r.Fields...)
	res.Body, res.Length = stream.BodyLength, int64(len(r.Body))
	if r.LengthAt < 0 {
		res.Body, res.LengthAt = stream.BodyClose, 0
	}
	own := res.Status
	if rules {
		s.EndRequest()
		if x.b != nil {
			x.b.o.AfterResponse.Run(s, o.Env)
		}
		o.AfterResponse.Run(s, o.Env)
	}
	if res.Status != own {
		x.meant = 0 // the after-response rules had the last word
	}
	x.write(r.Body)
}

// write puts the stream's response and body on the wire, to be flushed by finish.
func (x *exchange) write(body []byte) {
	s := &x.s
	res := &s.Res
	x.own = true
	if s.Log.BytesIn == 0 {
		s.Log.BytesIn = int64(x.cl.in.HeadSize()) // it went to no server, but it came
	}
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
	if x.meant != 0 {
		s.Log.Status = x.meant
	}
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
