package stats

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Info is what show info tells of the process. Zero fields show as 0, as HAProxy shows what is not used.
type Info struct {
	Name        string // product
	Version     string // of HAProxy that is spoken
	ReleaseDate string // 2026/06/03
	BuildInfo   string
	Node        string
	Description string // the line is absent when empty
	Threads     int
	Pid         int
	Start       time.Time
	BootTime    time.Duration

	NotOnDisk int64 // certificates and files that the disk has not taken yet

	MemUsed, MemAlloc                      int64 // bytes
	UlimitN, Maxsock, Maxconn, HardMax     int64
	CurrConns, CumConns, CumReq            int64
	MaxSSLConns, CurrSSLConns, CumSSL      int64
	ConnRate, MaxConnRate, ConnRateLimit   int64
	SessRate, MaxSessRate, SessRateLimit   int64
	SSLRate, MaxSSLRate, SSLRateLimit      int64
	CompressIn, CompressOut, CompressLimit int64 // bytes a second
	SSLKeyRate, MaxSSLKeyRate              int64
	SSLReusePercent                        int64
	SSLBackendKeyRate, MaxSSLBackendKey    int64
	SSLCacheLookups, SSLCacheMisses        int64
	Tasks, RunQueue, IdlePercent           int64
	Stopping                               bool
	Jobs, UnstoppableJobs, Listeners       int64
	DroppedLogs, FailedResolutions         int64
	BytesOut, BytesOutRate                 int64
	Warnings, MaxconnReached               int64
	CurrStreams, CumStreams                int64
	PatternsAdded                          int64
}

// InfoField is one line of show info.
type InfoField struct {
	Pos   int
	Name  string
	Tags  string
	Type  Type
	Value string
	Desc  string
}

// Fields are the lines in HAProxy's order as seen at now. With float, durations and rates are of type flt.
func (i *Info) Fields(now time.Time, float bool) []InfoField {
	l := &infoList{float: float}
	i.product(l, now)
	i.limits(l)
	i.rates(l)
	i.activity(l)
	i.rest(l)
	return l.fields
}

type infoList struct {
	fields []InfoField
	pos    int
	float  bool
}

func (l *infoList) text(name, tags, value, desc string) {
	l.fields = append(l.fields, InfoField{l.pos, name, tags, STR, value, desc})
	l.pos++
}

func (l *infoList) num(name, tags string, t Type, n int64, desc string) {
	l.fields = append(l.fields, InfoField{l.pos, name, tags, t, strconv.FormatInt(max(0, n), 10), desc})
	l.pos++
}

func (l *infoList) u32(name, tags string, n int64, desc string) { l.num(name, tags, U32, n, desc) }
func (l *infoList) u64(name, tags string, n int64, desc string) { l.num(name, tags, U64, n, desc) }

// rate is a number that float makes a fraction; tags are its tags then, HAProxy's differ for some.
func (l *infoList) rate(name, tags, floatTags string, n int64, desc string) {
	if l.float {
		l.num(name, floatTags, FLT, n, desc)
		return
	}
	l.num(name, tags, U32, n, desc)
}

// secs is a time in seconds, with float to the microsecond.
func (l *infoList) secs(name string, d time.Duration, desc string) {
	if !l.float {
		l.num(name, "MDPV", U32, int64(d/time.Second), desc)
		return
	}
	v := strings.TrimRight(fmt.Sprintf("%.6f", d.Seconds()), "0")
	l.fields = append(l.fields, InfoField{l.pos, name, "MDPV", FLT, strings.TrimSuffix(v, "."), desc})
	l.pos++
}

// Uptime prints a duration as show info does: 0d 0h00m12s.
func Uptime(d time.Duration) string {
	s := seconds(d)
	return fmt.Sprintf("%dd %dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}

func (i *Info) product(l *infoList, now time.Time) {
	up := now.Sub(i.Start)
	l.text("Name", "POSV", i.Name, "product")
	l.text("Version", "POSV", i.Version, "version")
	l.text("Release_date", "POSV", i.ReleaseDate, "date of the version")
	l.u32("Nbthread", "CGSV", int64(i.Threads), "threads that run at a time")
	l.u32("Nbproc", "CGSV", 1, "worker processes, always 1")
	l.u32("Process_num", "KGPV", 1, "number of this worker, always 1")
	l.u32("Pid", "SGPV", int64(i.Pid), "process number of this worker on the system")
	l.text("Uptime", "MDPV", Uptime(up), "time since this worker started")
	l.secs("Uptime_sec", max(0, up), "seconds since this worker started")
}

func (i *Info) limits(l *infoList) {
	l.u32("Memmax_MB", "CLPV", 0, "limit of memory in MB, 0 is none")
	l.u32("PoolAlloc_MB", "MGPV", i.MemAlloc>>20, "memory obtained from the system, in MB")
	l.u32("PoolUsed_MB", "MGPV", i.MemUsed>>20, "memory in use, in MB")
	l.u32("PoolFailed", "MCPV", 0, "allocations that failed")
	l.u32("Ulimit-n", "CLPV", i.UlimitN, "limit of file descriptors")
	l.u32("Maxsock", "CLPV", i.Maxsock, "limit of sockets")
	l.u32("Maxconn", "CLPV", i.Maxconn, "limit of connections in effect")
	l.u32("Hard_maxconn", "CLPV", i.HardMax, "limit of connections that the configuration or the system set")
	l.u32("CurrConns", "MGPV", i.CurrConns, "connections now")
	l.u32("CumConns", "MCPV", i.CumConns, "connections since start")
	l.u32("CumReq", "MCPV", i.CumReq, "requests since start")
	l.u32("MaxSslConns", "MMPV", i.MaxSSLConns, "limit of TLS connections on both sides, 0 is none")
	l.u32("CurrSslConns", "MGPV", i.CurrSSLConns, "TLS connections now, both sides")
	l.u32("CumSslConns", "MCPV", i.CumSSL, "TLS connections since start, both sides")
	l.u32("Maxpipes", "CLPV", 0, "limit of pipes for splicing")
	l.u32("PipesUsed", "MGPV", 0, "pipes in use")
	l.u32("PipesFree", "MGPV", 0, "pipes kept for use")
}

func (i *Info) rates(l *infoList) {
	l.rate("ConnRate", "MRPV", "MRPV", i.ConnRate, "connections during the last second")
	l.u32("ConnRateLimit", "CLPV", i.ConnRateLimit, "limit of connections per second, 0 is none")
	l.u32("MaxConnRate", "MMPV", i.MaxConnRate, "most connections in one second")
	l.rate("SessRate", "MRPV", "MRPV", i.SessRate, "sessions during the last second")
	l.u32("SessRateLimit", "CLPV", i.SessRateLimit, "limit of sessions per second, 0 is none")
	l.u32("MaxSessRate", "MRPV", i.MaxSessRate, "most sessions in one second")
	l.rate("SslRate", "MRPV", "MRPV", i.SSLRate, "TLS connections during the last second")
	l.u32("SslRateLimit", "CLPV", i.SSLRateLimit, "limit of TLS connections per second, 0 is none")
	l.u32("MaxSslRate", "MMPV", i.MaxSSLRate, "most TLS connections in one second")
	l.rate("SslFrontendKeyRate", "MGPV", "MRPV", i.SSLKeyRate, "full handshakes with clients during the last second")
	l.u32("SslFrontendMaxKeyRate", "MMPV", i.MaxSSLKeyRate, "most full handshakes with clients in one second")
	l.rate("SslFrontendSessionReuse_pct", "MGPV", "MRPV", i.SSLReusePercent, "per cent of handshakes with clients that resumed a session")
	l.rate("SslBackendKeyRate", "MRPV", "MRPV", i.SSLBackendKeyRate, "full handshakes with servers during the last second")
	l.u32("SslBackendMaxKeyRate", "MMPV", i.MaxSSLBackendKey, "most full handshakes with servers in one second")
	l.u32("SslCacheLookups", "MCPV", i.SSLCacheLookups, "sessions looked up")
	l.u32("SslCacheMisses", "MCPV", i.SSLCacheMisses, "sessions looked up and not found")
	l.rate("CompressBpsIn", "MRPV", "MRPV", i.CompressIn, "bytes given to compression during the last second")
	l.rate("CompressBpsOut", "MRPV", "MRPV", i.CompressOut, "bytes that compression made during the last second")
	l.u32("CompressBpsRateLim", "CLPV", i.CompressLimit, "limit of compression in bytes per second, 0 is none")
	l.u32("ZlibMemUsage", "MGPV", 0, "bytes of memory that compression uses")
	l.u32("MaxZlibMemUsage", "CLPV", 0, "limit of memory for compression, 0 is none")
}

func (i *Info) activity(l *infoList) {
	l.u32("Tasks", "MGPV", i.Tasks, "tasks (goroutines)")
	l.u32("Run_queue", "MGPV", i.RunQueue, "tasks waiting to run")
	l.u32("Idle_pct", "MaPV", i.IdlePercent, "per cent of the last second spent waiting")
	l.text("node", "COSV", i.Node, "name of this node")
	if i.Description != "" {
		l.text("description", "COSV", i.Description, "description of this node")
	} else {
		l.pos++
	}
	stopping := int64(0)
	if i.Stopping {
		stopping = 1
	}
	l.u32("Stopping", "MGPV", stopping, "1 while the worker is stopping")
	l.u32("Jobs", "MGPV", i.Jobs, "connections and listeners that keep the worker alive")
	l.u32("Unstoppable Jobs", "MGPV", i.UnstoppableJobs, "jobs of the master that stopping does not wait for")
	l.u32("Listeners", "MGPV", i.Listeners, "listening sockets")
	l.u32("ActivePeers", "MGPV", 0, "peers that are connected and verified")
	l.u32("ConnectedPeers", "MGPV", 0, "peers that are connected")
	l.u32("DroppedLogs", "MGPV", i.DroppedLogs, "log lines dropped")
	l.u32("BusyPolling", "MGPV", 0, "1 when the poller never sleeps")
	l.u32("FailedResolutions", "MGPV", i.FailedResolutions, "name resolutions that failed")
	l.u64("TotalBytesOut", "MGPV", i.BytesOut, "bytes sent since start")
	l.u64("TotalSplicedBytesOut", "MGPV", 0, "bytes sent through pipes since start")
	l.u64("BytesOutRate", "MRPV", i.BytesOutRate, "bytes sent during the last second")
	l.u32("DebugCommandsIssued", "MGPV", 0, "debugging commands run")
	l.u32("CumRecvLogs", "MCPV", 0, "log lines received for forwarding")
	l.text("Build info", "POSV", i.BuildInfo, "build")
}

func (i *Info) rest(l *infoList) {
	l.u32("Memmax_bytes", "CLPV", 0, "limit of memory in bytes, 0 is none")
	l.u64("PoolAlloc_bytes", "MGPV", i.MemAlloc, "memory obtained from the system, in bytes")
	l.u64("PoolUsed_bytes", "MGPV", i.MemUsed, "memory in use, in bytes")
	l.secs("Start_time_sec", time.Duration(i.Start.UnixMicro())*time.Microsecond, "time of start, in seconds since 1970")
	l.text("Tainted", "SGPV", "0", "experimental features that were used")
	l.u32("TotalWarnings", "MCPV", i.Warnings, "warnings since start")
	l.u32("MaxconnReached", "MCPV", i.MaxconnReached, "connections that reached Maxconn")
	l.u32("BootTime_ms", "MDPV", i.BootTime.Milliseconds(), "milliseconds from start to ready")
	l.u32("Niced_tasks", "MGPV", 0, "waiting tasks of lowered priority")
	l.u64("CurrStreams", "MGPV", i.CurrStreams, "streams now")
	l.u64("CumStreams", "MGPV", i.CumStreams, "streams since start")
	l.u32("BlockedTrafficWarnings", "MGPV", 0, "warnings about tasks that held up traffic")
	l.u64("PatternsAdded", "MGPV", i.PatternsAdded, "patterns of ACLs and maps added")
	l.u64("PatternsFreed", "MGPV", 0, "patterns of ACLs and maps removed")
	l.u32("NbThreadGroups", "CGSV", 1, "groups of threads")
	if i.NotOnDisk > 0 { // ours, and only when there is something to say
		l.u32("NotOnDisk", "MGPV", i.NotOnDisk, "certificates and files that serve and are not on disk yet")
	}
}

// AppendText appends "NAME: VALUE" and LF, with desc and the description behind it.
func (f InfoField) AppendText(dst []byte, desc bool) []byte {
	dst = append(append(append(dst, f.Name...), ": "...), oneLine(f.Value)...)
	return appendDesc(dst, f.Desc, desc)
}

// AppendTyped appends POS.NAME.PROCESS:TAGS:TYPE:VALUE and LF, with desc and the description behind it.
func (f InfoField) AppendTyped(dst []byte, desc bool) []byte {
	dst = append(strconv.AppendInt(dst, int64(f.Pos), 10), '.')
	dst = append(append(dst, f.Name...), ".1:"...)
	dst = appendTypedValue(dst, f.Tags, f.Type, f.Value)
	return appendDesc(dst, f.Desc, desc)
}

// AppendJSON appends one JSON object.
func (f InfoField) AppendJSON(dst []byte) []byte {
	return appendJSONField(append(dst, '{'), f.Pos, f.Name, f.Tags, f.Type, f.Value)
}
