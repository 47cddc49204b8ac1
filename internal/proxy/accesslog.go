package proxy

import (
	"sync"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/log"
	"gatehouse/internal/stats"
)

// line is a borrowed buffer for one log line.
type line struct{ b []byte }

var lines = sync.Pool{New: func() any { return &line{b: make([]byte, 0, 1024)} }}

// log writes the access log line, once, and accounts the bytes.
func (x *exchange) log() {
	s := &x.s
	s.Log.BytesOut = x.out.Sent() + x.tunnelled
	x.account()
	if x.own {
		s.Log.BytesOut = 0
	}
	if s.Log.Status == 0 && s.HTTP && x.hinted == 0 {
		s.Log.Status = -1 // nothing was answered
	}
	if x.logged || x.silent {
		return
	}
	x.logged = true
	x.writeLog()
}

// writeLog formats and sends the line.
func (x *exchange) writeLog() {
	s, o := &x.s, &x.f.o
	a := &o.Log
	if a.Logger == nil || a.Format == nil || s.Log.Level == "silent" {
		return
	}
	bad := s.Log.Term[0] != '-' && s.Log.Term[0] != 'L' || s.Log.Status >= 500 || s.Log.Retries > 0
	if a.DontLogNormal && !bad {
		return
	}
	x.occupancy()
	s.Log.Partial = a.ASAP
	format, level := a.Format, log.Info
	if s.HTTP && s.Log.ReqDone.IsZero() && s.Log.RequestLine == nil && a.Error != nil {
		format = a.Error
	}
	if bad && a.SeparateErrors {
		level = log.Err
	}
	if s.Log.Level != "" {
		if l, err := log.ParseLevel(s.Log.Level); err == nil {
			level = l
		}
	}
	l := lines.Get().(*line)
	l.b = format.Append(l.b[:0], s, o.Env)
	text := len(l.b)
	l.b = a.SD.Append(l.b, s, o.Env)
	a.Logger.SendLine(level, log.Line{Text: l.b[:text], SD: l.b[text:], Binary: format.Binary()})
	lines.Put(l)
}

// occupancy fills in how busy everything is at this moment.
func (x *exchange) occupancy() {
	l := &x.s.Log
	l.FeConn = int(x.f.o.Counters.Cur.Load())
	l.ActConn = l.FeConn
	if x.b != nil {
		l.BeConn = int(x.b.o.Counters.Cur.Load())
	}
	l.LogCount = x.f.logged.Add(1)
	l.RequestCount = x.f.requests.Load()
}

// took adds what srv has answered, or a tunnel to it, to the mean times of the server and of its backend.
func (x *exchange) took(srv *backend.Server) {
	l := &x.s.Log
	asked, response := l.ReqDone, time.Duration(0)
	if asked.IsZero() {
		asked = l.Start
	}
	if !l.ResHead.IsZero() {
		response = l.ResHead.Sub(l.Connected)
	}
	total := time.Since(l.Start)
	for _, c := range [...]*stats.Counters{srv.Counters(), x.b.o.Counters} {
		c.Times.Add(l.Queued.Sub(asked), l.Connected.Sub(l.Queued), response, total)
	}
}

// account adds the bytes of the exchange to the counters.
func (x *exchange) account() {
	l := &x.s.Log
	x.f.o.Counters.BytesIn.Add(l.BytesIn)
	x.f.o.Counters.BytesOut.Add(l.BytesOut)
	if x.b != nil {
		x.b.o.Counters.BytesIn.Add(l.BytesIn)
		x.b.o.Counters.BytesOut.Add(l.BytesOut)
	}
}
