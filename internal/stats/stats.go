// Package stats holds the counters of proxies, servers and the process, and the rows of the one table that the Runtime
// API, the metrics and the dashboard show. Counters are atomics: the data path adds, faces read at any time.
package stats

import (
	"sync/atomic"
	"time"
)

// Counters of one frontend, backend or server. The field comments name the CSV columns of surface 1.7.
type Counters struct {
	Cur, Max, Tot                     atomic.Int64    // scur, smax, stot
	QCur, QMax                        atomic.Int64    // qcur, qmax
	BytesIn, BytesOut                 atomic.Int64    // bin, bout
	DeniedReq, DeniedRes              atomic.Int64    // dreq, dresp
	ErrReq, ErrConn, ErrRes           atomic.Int64    // ereq, econ, eresp
	Retries, Redispatches             atomic.Int64    // wretr, wredis
	HTTP                              [6]atomic.Int64 // hrsp_1xx..5xx at 1..5, other at 0
	Reqs                              atomic.Int64    // req_tot
	Conns                             atomic.Int64    // conn_tot
	DeniedConn, DeniedSess            atomic.Int64    // dcon, dses
	Intercepted                       atomic.Int64    // intercepted
	Chosen                            atomic.Int64    // lbtot
	Connects, Reuses                  atomic.Int64    // connect, reuse
	CliAborts, SrvAborts              atomic.Int64    // cli_abrt, srv_abrt
	LastSess                          atomic.Int64    // unix nanoseconds of the last assignment, 0 never
	SSLStapled, SSLUnstapled          atomic.Int64    // ssl_ocsp_staple, ssl_failed_ocsp_staple
	SSLConns, SSLResumed, SSLFailed   atomic.Int64    // ssl_sess, ssl_reused_sess, ssl_failed_handshake
	CompIn, CompOut, CompByp, CompRsp atomic.Int64    // comp_in, comp_out, comp_byp, comp_rsp
	SessRate, ReqRate                 Rate
	Times                             Times // qtime, ctime, rtime, ttime
}

// Enter counts one more current session and keeps the maximum.
func (c *Counters) Enter() int64 {
	n := c.Cur.Add(1)
	c.Tot.Add(1)
	for {
		m := c.Max.Load()
		if n <= m || c.Max.CompareAndSwap(m, n) {
			return n
		}
	}
}

// Leave counts one current session less.
func (c *Counters) Leave() { c.Cur.Add(-1) }

// Status counts one response by its class.
func (c *Counters) Status(code int) {
	i := code / 100
	if i < 1 || i > 5 {
		i = 0
	}
	c.HTTP[i].Add(1)
}

// Rate counts events per second over the current and the last second, as freq_ctr does.
type Rate struct {
	second         atomic.Int64
	cur, prev, max atomic.Int64
}

// Add counts one event at now.
func (r *Rate) Add(now time.Time) { r.AddN(now, 1) }

// AddN counts n events at now.
func (r *Rate) AddN(now time.Time, n int64) {
	s := now.Unix()
	if old := r.second.Load(); old != s && r.second.CompareAndSwap(old, s) {
		last := r.cur.Swap(0)
		if s != old+1 {
			last = 0
		}
		r.prev.Store(last)
	}
	n = r.cur.Add(n)
	if n > r.max.Load() {
		r.max.Store(n)
	}
}

// PerSecond is the rate at now: the running second plus the part of the last one that is still within a second.
func (r *Rate) PerSecond(now time.Time) int64 {
	s, part := now.Unix(), now.Nanosecond()
	switch r.second.Load() {
	case s:
		return r.cur.Load() + r.prev.Load()*int64(1e9-part)/1e9
	case s - 1:
		return r.cur.Load() * int64(1e9-part) / 1e9
	}
	return 0
}

// Max is the highest count of one second so far.
func (r *Rate) Max() int64 { return r.max.Load() }

// Clear resets the maxima to what is current, and with all every counter that is not a gauge (`clear counters`).
func (c *Counters) Clear(all bool) {
	c.Max.Store(c.Cur.Load())
	c.QMax.Store(c.QCur.Load())
	c.SessRate.max.Store(0)
	c.ReqRate.max.Store(0)
	if !all {
		return
	}
	for _, n := range []*atomic.Int64{
		&c.Tot, &c.BytesIn, &c.BytesOut, &c.DeniedReq, &c.DeniedRes, &c.ErrReq, &c.ErrConn, &c.ErrRes, &c.Retries, &c.Redispatches,
		&c.Reqs, &c.Conns, &c.DeniedConn, &c.DeniedSess, &c.Intercepted, &c.Chosen, &c.Connects, &c.Reuses, &c.CliAborts, &c.SrvAborts,
		&c.SSLConns, &c.SSLResumed, &c.SSLFailed, &c.SSLStapled, &c.SSLUnstapled,
	} {
		n.Store(0)
	}
	for i := range c.HTTP {
		c.HTTP[i].Store(0)
	}
}
