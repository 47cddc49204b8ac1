package stats

import (
	"strconv"
	"strings"
	"time"
)

// Kind is what a row is about, numbered as the type column shows it.
type Kind uint8

// The kinds.
const (
	Frontend Kind = iota
	Backend
	Server
	Listener
)

// Mask is the kind's bit in the filter of show stat: 1 frontend, 2 backend, 4 server, 8 listener.
func (k Kind) Mask() int { return 1 << k }

func (k Kind) letter() byte { return "FBSL"[k] }

func (k Kind) String() string {
	return [...]string{"Frontend", "Backend", "Server", "Listener"}[k]
}

// Type is how a value is typed in typed and JSON output.
type Type uint8

// The types that occur.
const (
	STR Type = iota
	S32
	U32
	U64
	FLT
)

func (t Type) String() string { return [...]string{"str", "s32", "u32", "u64", "flt"}[t] }

// Value is one value of a row. The zero Value is an empty cell.
type Value struct {
	set  bool
	text string
	n    int64
}

// Set says whether the cell has a value.
func (v Value) Set() bool { return v.set }

// Int is the number of a numeric cell, 0 of others.
func (v Value) Int() int64 { return v.n }

// textAs is the cell as text, "" when empty.
func (v Value) textAs(t Type) string {
	switch {
	case !v.set:
		return ""
	case t == STR:
		return v.text
	}
	return strconv.FormatInt(v.n, 10)
}

// Row is one line of the table. It belongs to whoever made it; encoders only read it. The zero Row is an empty frontend's.
type Row struct {
	Kind  Kind
	cells [NumColumns]Value
}

// Get returns one cell.
func (r *Row) Get(c Column) Value { return r.cells[c] }

// Text returns one cell as text, "" when empty.
func (r *Row) Text(c Column) string { return r.cells[c].textAs(columns[c].typ) }

// SetInt fills a numeric cell. A negative number in an unsigned column is a counter caught half-way and counts as 0.
func (r *Row) SetInt(c Column, n int64) {
	if n < 0 && columns[c].typ != S32 {
		n = 0
	}
	r.cells[c] = Value{set: true, n: n}
}

// SetText fills a text cell.
func (r *Row) SetText(c Column, s string) { r.cells[c] = Value{set: true, text: s} }

// Clear empties cells.
func (r *Row) Clear(cols ...Column) {
	for _, c := range cols {
		r.cells[c] = Value{}
	}
}

// legends are the columns that only sockets of level operator and up show.
var legends = []Column{ColAddr, ColCookie, ColAlgo}

// HideLegends empties the columns that a socket of level user does not show.
func (r *Row) HideLegends() { r.Clear(legends...) }

// Up says whether the row is a server that can be chosen; a server that is going down or coming up still counts as what it was.
func (r *Row) Up() bool {
	s := r.Text(ColStatus)
	return r.Kind == Server && (strings.HasPrefix(s, "UP") || s == "no check" || strings.HasPrefix(s, "DRAIN") || strings.HasPrefix(s, "NOLB"))
}

// Maint says whether the row is a server in maintenance, which the filters no-maint and up leave out.
func (r *Row) Maint() bool {
	return r.Kind == Server && strings.HasPrefix(r.Text(ColStatus), "MAINT")
}

// Down says whether the row is a server that is down and not on its way up ("DOWN 1/2" is), which the filter up leaves out.
func (r *Row) Down() bool {
	s := r.Text(ColStatus)
	return r.Kind == Server && (s == "DOWN" || s == "DOWN (agent)")
}

// identity fills what every row begins with.
func (r *Row) identity(k Kind, proxy, name, mode, status string, iid, sid int) {
	*r = Row{Kind: k}
	r.SetText(ColProxy, proxy)
	r.SetText(ColServer, name)
	r.SetText(ColMode, mode)
	r.SetText(ColStatus, status)
	r.SetInt(ColPID, 1)
	r.SetInt(ColIID, int64(iid))
	r.SetInt(ColSID, int64(sid))
	r.SetInt(ColType, int64(k))
}

// zero fills columns whose cause does not exist here (compression, cache, HTTP/3) as HAProxy does when it is not used.
func (r *Row) zero(cols ...Column) {
	for _, c := range cols {
		r.SetInt(c, 0)
	}
}

// traffic fills what all kinds count.
func (r *Row) traffic(c *Counters) {
	r.SetInt(ColSCur, c.Cur.Load())
	r.SetInt(ColSMax, c.Max.Load())
	r.SetInt(ColSTot, c.Tot.Load()-c.DeniedConn.Load()-c.DeniedSess.Load()) // what rules turned away was no session
	r.SetInt(ColBytesIn, c.BytesIn.Load())
	r.SetInt(ColBytesOut, c.BytesOut.Load())
	r.SetInt(ColDeniedResp, c.DeniedRes.Load())
	r.SetInt(ColReqbin, c.BytesIn.Load())
	r.SetInt(ColReqbout, c.BytesIn.Load())
	r.SetInt(ColResbin, c.BytesOut.Load())
	r.SetInt(ColResbout, c.BytesOut.Load())
	r.SetInt(ColSSLSess, c.SSLConns.Load())
	r.SetInt(ColSSLReusedSess, c.SSLResumed.Load())
	r.SetInt(ColSSLFailedHandshake, c.SSLFailed.Load())
	r.SetInt(ColSSLOCSPStaple, c.SSLStapled.Load())
	r.SetInt(ColSSLFailedOCSPStaple, c.SSLUnstapled.Load())
	r.zero(ColWrew, ColEint)
}

// responses fills the classes of HTTP responses; TCP proxies leave them empty.
func (r *Row) responses(c *Counters) {
	for i, col := range []Column{ColHrspOther, ColHrsp1xx, ColHrsp2xx, ColHrsp3xx, ColHrsp4xx, ColHrsp5xx} {
		r.SetInt(col, c.HTTP[i].Load())
	}
}

// FrontendFacts are what the FRONTEND row shows.
type FrontendFacts struct {
	Name     string
	IID      int
	Mode     string // "tcp" or "http"
	Status   string // OPEN, STOP or PAUSED
	MaxConn  int
	Counters *Counters
}

// Row writes the facts into r as seen at now.
func (f FrontendFacts) Row(r *Row, now time.Time) {
	c := f.Counters
	r.identity(Frontend, f.Name, "FRONTEND", f.Mode, f.Status, f.IID, 0)
	r.traffic(c)
	r.SetInt(ColSLim, int64(f.MaxConn))
	r.SetInt(ColDeniedReq, c.DeniedReq.Load())
	r.SetInt(ColErrReq, c.ErrReq.Load())
	r.SetInt(ColRate, c.SessRate.PerSecond(now))
	r.SetInt(ColRateMax, c.SessRate.Max())
	r.SetInt(ColReqRate, c.ReqRate.PerSecond(now))
	r.SetInt(ColReqRateMax, c.ReqRate.Max())
	r.SetInt(ColReqTot, c.Reqs.Load())
	r.SetInt(ColConnRate, c.SessRate.PerSecond(now))
	r.SetInt(ColConnRateMax, c.SessRate.Max())
	r.SetInt(ColConnTot, c.Conns.Load())
	r.SetInt(ColDcon, c.DeniedConn.Load())
	r.SetInt(ColDses, c.DeniedSess.Load())
	r.compression(c)
	r.zero(ColRateLim,
		ColSessOther, ColH1sess, ColH2sess, ColH3sess, ColReqOther, ColH1req, ColH2req, ColH3req)
	if f.Mode == "http" {
		r.responses(c)
		r.SetInt(ColIntercepted, c.Intercepted.Load())
		r.SetInt(ColH1sess, c.Conns.Load())
		r.SetInt(ColH1req, c.Reqs.Load())
		r.zero(ColCacheLookups, ColCacheHits)
		return
	}
	r.SetInt(ColSessOther, c.Conns.Load())
	r.SetInt(ColReqOther, c.Reqs.Load())
}

// ListenerFacts are what the row of one bind line shows, with option socket-stats.
type ListenerFacts struct {
	Proxy    string
	Name     string // name of the bind line, or sock-N
	IID, SID int
	Mode     string
	Status   string // OPEN, WAITING, FULL
	MaxConn  int
	Addr     string // address:port
	Proto    string // tcpv4, tcpv6 or unix_stream
	Counters *Counters
}

// Row writes the facts into r.
func (f ListenerFacts) Row(r *Row, _ time.Time) {
	c := f.Counters
	r.identity(Listener, f.Proxy, f.Name, f.Mode, f.Status, f.IID, f.SID)
	r.traffic(c)
	r.SetInt(ColSLim, int64(f.MaxConn))
	r.SetInt(ColDeniedReq, c.DeniedReq.Load())
	r.SetInt(ColErrReq, c.ErrReq.Load())
	r.SetInt(ColConnTot, c.Conns.Load())
	r.SetText(ColAddr, f.Addr)
	r.SetText(ColProto, f.Proto)
	r.SetInt(ColDcon, c.DeniedConn.Load())
	r.SetInt(ColDses, c.DeniedSess.Load())
}

// compression fills the compression counters, which are of responses.
func (r *Row) compression(c *Counters) {
	r.SetInt(ColCompIn, c.CompIn.Load())
	r.SetInt(ColCompOut, c.CompOut.Load())
	r.SetInt(ColCompRsp, c.CompRsp.Load())
	r.SetInt(ColCompByp, c.CompByp.Load())
}

// outgoing fills what backends and servers count alike.
func (r *Row) outgoing(c *Counters, mode string, now time.Time) {
	r.traffic(c)
	r.SetInt(ColQCur, c.QCur.Load())
	r.SetInt(ColQMax, c.QMax.Load())
	r.SetInt(ColErrConn, c.ErrConn.Load())
	r.SetInt(ColErrResp, c.ErrRes.Load())
	r.SetInt(ColRetries, c.Retries.Load())
	r.SetInt(ColRedispatches, c.Redispatches.Load())
	r.SetInt(ColLbtot, c.Chosen.Load())
	r.SetInt(ColRate, c.SessRate.PerSecond(now))
	r.SetInt(ColRateMax, c.SessRate.Max())
	r.SetInt(ColCliAbrt, c.CliAborts.Load())
	r.SetInt(ColSrvAbrt, c.SrvAborts.Load())
	r.SetInt(ColConnect, c.Connects.Load())
	r.SetInt(ColReuse, c.Reuses.Load())
	r.SetInt(ColLastsess, sinceSession(c, now))
	r.times(&c.Times)
	if mode == "http" {
		r.responses(c)
		r.SetInt(ColReqTot, c.Reqs.Load())
	}
}

func sinceSession(c *Counters, now time.Time) int64 {
	last := c.LastSess.Load()
	if last == 0 {
		return -1
	}
	return max(0, int64(now.Sub(time.Unix(0, last))/time.Second))
}

func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }

// BackendFacts are what the BACKEND row shows.
type BackendFacts struct {
	Name            string
	IID             int
	Mode            string
	Status          string // UP or DOWN
	FullConn        int
	Weight, UWeight int // sums over the active servers that are up, in effect and as set
	Active, Backup  int // servers that are up
	Downs           int64
	LastChange      time.Time
	Downtime        time.Duration
	HasServers      bool   // without any there is no downtime
	Algo            string // roundrobin, source, ...
	Cookie          string
	Counters        *Counters
}

// Row writes the facts into r as seen at now.
func (f BackendFacts) Row(r *Row, now time.Time) {
	c := f.Counters
	r.identity(Backend, f.Name, "BACKEND", f.Mode, f.Status, f.IID, 0)
	r.outgoing(c, f.Mode, now)
	r.SetInt(ColSLim, int64(f.FullConn))
	r.SetInt(ColDeniedReq, c.DeniedReq.Load())
	r.SetInt(ColWeight, int64(f.Weight))
	r.SetInt(ColUweight, int64(f.UWeight))
	r.SetInt(ColAct, int64(f.Active))
	r.SetInt(ColBck, int64(f.Backup))
	r.SetInt(ColChkdown, f.Downs)
	r.SetInt(ColLastchg, seconds(now.Sub(f.LastChange)))
	if f.HasServers {
		r.SetInt(ColDowntime, seconds(f.Downtime))
	}
	r.SetText(ColAlgo, f.Algo)
	if f.Cookie != "" {
		r.SetText(ColCookie, f.Cookie)
	}
	r.compression(c)
	r.zero(ColAggServerStatus, ColAggServerCheckStatus, ColAggCheckStatus)
	if f.Mode == "http" {
		r.zero(ColCacheLookups, ColCacheHits)
	}
}

// CheckFacts are what a checked server shows of its health checks.
type CheckFacts struct {
	Status             string // UNK, INI, L4OK, L4CON, L7OK, ...; "* " before it while a check runs
	Code               int    // HTTP status or such; 0 is none
	Duration           time.Duration
	Desc               string // "Layer4 check passed"
	Last               string // what the server or the network said
	Rise, Fall, Health int
	Fails, Downs       int64
	Downtime           time.Duration
	HasResult          bool // a check has finished: Status, Duration, Desc and Last mean something
}

// ServerFacts are what the row of one server shows.
type ServerFacts struct {
	Proxy, Name     string
	IID, SID        int
	Mode            string
	Status          string // UP, DOWN, "UP 1/3", MAINT, DRAIN, "no check", ...
	Weight, UWeight int    // in effect and as set
	Backup          bool
	MaxConn         int // 0: unlimited, the column stays empty
	MaxQueue        int // 0: unlimited
	LastChange      time.Time
	Throttle        int         // per cent while starting slowly, 0 is not
	Tracked         string      // backend/server followed
	Check           *CheckFacts // nil: not checked
	Agent           *CheckFacts // nil: no agent
	Addr            string      // address:port
	Cookie          string
	IdleLimit       *int // pool-max-conn; nil: unlimited
	Idle, Used      int64
	Counters        *Counters
}

// Row writes the facts into r as seen at now.
func (f ServerFacts) Row(r *Row, now time.Time) {
	c := f.Counters
	r.identity(Server, f.Proxy, f.Name, f.Mode, f.Status, f.IID, f.SID)
	r.outgoing(c, f.Mode, now)
	f.limits(r)
	r.SetInt(ColWeight, int64(f.Weight))
	r.SetInt(ColUweight, int64(f.UWeight))
	r.zero(ColAct, ColBck)
	if f.Backup {
		r.SetInt(ColBck, 1)
	} else {
		r.SetInt(ColAct, 1)
	}
	r.SetInt(ColLastchg, seconds(now.Sub(f.LastChange)))
	if f.Check != nil {
		f.Check.cells(r)
	}
	if f.Agent != nil {
		f.Agent.agentCells(r)
	}
	r.SetText(ColAddr, f.Addr)
	if f.Cookie != "" {
		r.SetText(ColCookie, f.Cookie)
	}
	r.SetInt(ColSrvIcur, f.Idle)
	r.SetInt(ColSafeConnCur, f.Idle)
	r.SetInt(ColUsedConnCur, f.Used)
	r.SetInt(ColNeedConnEst, f.Used)
	r.zero(ColIdleConnCur, ColPrivIdleCur, ColSrid)
}

func (f ServerFacts) limits(r *Row) {
	if f.MaxConn > 0 {
		r.SetInt(ColSLim, int64(f.MaxConn))
	}
	if f.MaxQueue > 0 {
		r.SetInt(ColQlimit, int64(f.MaxQueue))
	}
	if f.Throttle > 0 && f.Throttle < 100 {
		r.SetInt(ColThrottle, int64(f.Throttle))
	}
	if f.Tracked != "" {
		r.SetText(ColTracked, f.Tracked)
	}
	if f.IdleLimit != nil {
		r.SetInt(ColSrcIlim, int64(*f.IdleLimit))
	}
}

// agentCells are those of an agent check.
func (f *CheckFacts) agentCells(r *Row) {
	r.SetInt(ColAgentRise, int64(f.Rise))
	r.SetInt(ColAgentFall, int64(f.Fall))
	r.SetInt(ColAgentHealth, int64(f.Health))
	r.SetText(ColAgentStatus, f.Status)
	if !f.HasResult {
		return
	}
	r.SetText(ColAgentDesc, f.Desc)
	r.SetText(ColLastAgt, f.Last)
	r.SetInt(ColAgentDuration, f.Duration.Milliseconds())
	if f.Code > 0 {
		r.SetInt(ColAgentCode, int64(f.Code))
	}
}

func (f *CheckFacts) cells(r *Row) {
	r.SetInt(ColChkfail, f.Fails)
	r.SetInt(ColChkdown, f.Downs)
	r.SetInt(ColDowntime, seconds(f.Downtime))
	r.SetInt(ColCheckRise, int64(f.Rise))
	r.SetInt(ColCheckFall, int64(f.Fall))
	r.SetInt(ColCheckHealth, int64(f.Health))
	r.SetText(ColCheckStatus, f.Status)
	if !f.HasResult {
		return
	}
	r.SetText(ColCheckDesc, f.Desc)
	r.SetText(ColLastChk, f.Last)
	r.SetInt(ColCheckDuration, f.Duration.Milliseconds())
	if f.Code > 0 {
		r.SetInt(ColCheckCode, int64(f.Code))
	}
}
