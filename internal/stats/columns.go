package stats

// Column is one column of the table, by its position in typed output. The CSV has one more, named "-", between the columns
// every object has and those of modules; it carries nothing.
type Column uint8

// The columns of surface 1.7, in order.
const (
	ColProxy Column = iota
	ColServer
	ColQCur
	ColQMax
	ColSCur
	ColSMax
	ColSLim
	ColSTot
	ColBytesIn
	ColBytesOut
	ColDeniedReq
	ColDeniedResp
	ColErrReq
	ColErrConn
	ColErrResp
	ColRetries
	ColRedispatches
	ColStatus
	ColWeight
	ColAct
	ColBck
	ColChkfail
	ColChkdown
	ColLastchg
	ColDowntime
	ColQlimit
	ColPID
	ColIID
	ColSID
	ColThrottle
	ColLbtot
	ColTracked
	ColType
	ColRate
	ColRateLim
	ColRateMax
	ColCheckStatus
	ColCheckCode
	ColCheckDuration
	ColHrsp1xx
	ColHrsp2xx
	ColHrsp3xx
	ColHrsp4xx
	ColHrsp5xx
	ColHrspOther
	ColHanafail
	ColReqRate
	ColReqRateMax
	ColReqTot
	ColCliAbrt
	ColSrvAbrt
	ColCompIn
	ColCompOut
	ColCompByp
	ColCompRsp
	ColLastsess
	ColLastChk
	ColLastAgt
	ColQtime
	ColCtime
	ColRtime
	ColTtime
	ColAgentStatus
	ColAgentCode
	ColAgentDuration
	ColCheckDesc
	ColAgentDesc
	ColCheckRise
	ColCheckFall
	ColCheckHealth
	ColAgentRise
	ColAgentFall
	ColAgentHealth
	ColAddr
	ColCookie
	ColMode
	ColAlgo
	ColConnRate
	ColConnRateMax
	ColConnTot
	ColIntercepted
	ColDcon
	ColDses
	ColWrew
	ColConnect
	ColReuse
	ColCacheLookups
	ColCacheHits
	ColSrvIcur
	ColSrcIlim
	ColQtimeMax
	ColCtimeMax
	ColRtimeMax
	ColTtimeMax
	ColEint
	ColIdleConnCur
	ColSafeConnCur
	ColUsedConnCur
	ColNeedConnEst
	ColUweight
	ColAggServerStatus
	ColAggServerCheckStatus
	ColAggCheckStatus
	ColSrid
	ColSessOther
	ColH1sess
	ColH2sess
	ColH3sess
	ColReqOther
	ColH1req
	ColH2req
	ColH3req
	ColProto
	ColPrivIdleCur
	ColReqbin
	ColReqbout
	ColResbin
	ColResbout
	ColSSLSess
	ColSSLReusedSess
	ColSSLFailedHandshake
	ColSSLOCSPStaple
	ColSSLFailedOCSPStaple
	// NumColumns is how many columns a row has.
	NumColumns
)

var columns = [NumColumns]column{
	{"pxname", "KNSV", STR, "proxy name"},
	{"svname", "KNSV", STR, "FRONTEND, BACKEND, or the name of the server or bind line"},
	{"qcur", "MGPV", U32, "requests waiting in the queue now"},
	{"qmax", "MMPV", U32, "most requests ever waiting in the queue"},
	{"scur", "MGPV", U32, "sessions now"},
	{"smax", "MMPV", U32, "most sessions at a time since start"},
	{"slim", "CLPV", U32, "session limit (maxconn, or a backend's fullconn)"},
	{"stot", "MCPP", U64, "sessions since start"},
	{"bin", "MCPP", U64, "bytes of requests since start"},
	{"bout", "MCPP", U64, "bytes of responses since start"},
	{"dreq", "MCPP", U64, "requests denied by rules"},
	{"dresp", "MCPP", U64, "responses denied by rules"},
	{"ereq", "MCPP", U64, "invalid requests"},
	{"econ", "MCPP", U64, "failed connections to servers"},
	{"eresp", "MCPP", U64, "invalid or lost responses"},
	{"wretr", "MCPP", U64, "connection retries"},
	{"wredis", "MCPP", U64, "requests moved to another server after a failed connection"},
	{"status", "SGPV", STR, "what the object is doing: OPEN, UP, DOWN, MAINT, no check and so on"},
	{"weight", "MaPV", U32, "weight in effect, of a backend the sum over its active servers"},
	{"act", "SGPV", U32, "active servers that are up"},
	{"bck", "SGPV", U32, "backup servers that are up"},
	{"chkfail", "MCPP", U64, "failed health checks"},
	{"chkdown", "MCPP", U64, "times the server or backend went down"},
	{"lastchg", "MAPP", U32, "seconds since the last change of state"},
	{"downtime", "MCPV", U32, "seconds spent down in total"},
	{"qlimit", "CGSV", U32, "longest queue allowed (maxqueue)"},
	{"pid", "KGPV", U32, "process number, always 1"},
	{"iid", "KGSV", U32, "number of the proxy"},
	{"sid", "KGSV", U32, "number of the server or bind line within the proxy"},
	{"throttle", "MaPV", U32, "per cent of the weight while the server starts slowly"},
	{"lbtot", "MCPP", U64, "requests given to the object by balancing"},
	{"tracked", "CNSV", STR, "the server whose state this one follows"},
	{"type", "CGSV", U32, "0 frontend, 1 backend, 2 server, 3 listener"},
	{"rate", "MRPP", U32, "sessions during the last second"},
	{"rate_lim", "CLPV", U32, "limit of sessions per second"},
	{"rate_max", "MMPV", U32, "most sessions in one second"},
	{"check_status", "MOPV", STR, "result of the last health check, \"* \" before it while one runs"},
	{"check_code", "MOPV", U32, "code that the last health check got"},
	{"check_duration", "MDPV", U64, "milliseconds that the last health check took"},
	{"hrsp_1xx", "MCPP", U64, "responses with status 1xx"},
	{"hrsp_2xx", "MCPP", U64, "responses with status 2xx"},
	{"hrsp_3xx", "MCPP", U64, "responses with status 3xx"},
	{"hrsp_4xx", "MCPP", U64, "responses with status 4xx"},
	{"hrsp_5xx", "MCPP", U64, "responses with status 5xx"},
	{"hrsp_other", "MCPP", U64, "responses with any other status"},
	{"hanafail", "MCPP", U64, "failures seen by watching traffic"},
	{"req_rate", "MRPP", U32, "HTTP requests during the last second"},
	{"req_rate_max", "MMPV", U32, "most HTTP requests in one second"},
	{"req_tot", "MCPP", U64, "HTTP requests since start"},
	{"cli_abrt", "MCPP", U64, "transfers that the client aborted"},
	{"srv_abrt", "MCPP", U64, "transfers that the server aborted"},
	{"comp_in", "MCPP", U64, "bytes given to compression"},
	{"comp_out", "MCPP", U64, "bytes compression made of them"},
	{"comp_byp", "MCPP", U64, "bytes that compression left alone"},
	{"comp_rsp", "MCPP", U64, "responses compressed"},
	{"lastsess", "MAPP", S32, "seconds since the last session, -1 when there was none"},
	{"last_chk", "MOPV", STR, "what the last health check said"},
	{"last_agt", "MOPV", STR, "what the last agent check said"},
	{"qtime", "MaPV", U32, "average milliseconds in the queue"},
	{"ctime", "MaPV", U32, "average milliseconds to connect"},
	{"rtime", "MaPV", U32, "average milliseconds to the response"},
	{"ttime", "MaPV", U32, "average milliseconds in total"},
	{"agent_status", "MOPV", STR, "result of the last agent check"},
	{"agent_code", "MOPV", U32, "code that the last agent check got"},
	{"agent_duration", "MDPV", U64, "milliseconds that the last agent check took"},
	{"check_desc", "MOPV", STR, "result of the last health check in words"},
	{"agent_desc", "MOPV", STR, "result of the last agent check in words"},
	{"check_rise", "CGSV", U32, "good checks needed to go up"},
	{"check_fall", "CGSV", U32, "bad checks needed to go down"},
	{"check_health", "CGSV", U32, "checks counted towards a change, 0 to rise+fall-1"},
	{"agent_rise", "CGSV", U32, "good agent checks needed to go up"},
	{"agent_fall", "CGSV", U32, "bad agent checks needed to go down"},
	{"agent_health", "CGSV", U32, "agent checks counted towards a change"},
	{"addr", "CGSV", STR, "address and port"},
	{"cookie", "CNSV", STR, "cookie name of a backend, value of a server"},
	{"mode", "CGSV", STR, "tcp or http"},
	{"algo", "CGSV", STR, "balancing algorithm"},
	{"conn_rate", "MRPP", U32, "connections during the last second"},
	{"conn_rate_max", "MMPV", U32, "most connections in one second"},
	{"conn_tot", "MCPP", U64, "connections since start"},
	{"intercepted", "MCPP", U64, "requests answered here (redirects, stats, services)"},
	{"dcon", "MCPP", U64, "connections denied by rules"},
	{"dses", "MCPP", U64, "sessions denied by rules"},
	{"wrew", "MCPP", U64, "header rewrites that failed"},
	{"connect", "MCPP", U64, "connection attempts to servers"},
	{"reuse", "MCPP", U64, "requests sent on a connection that was open already"},
	{"cache_lookups", "MCPP", U64, "requests looked up in the cache"},
	{"cache_hits", "MCPP", U64, "requests answered from the cache"},
	{"srv_icur", "MGPV", U32, "idle connections to the server"},
	{"src_ilim", "CLPV", U32, "limit of idle connections to the server"},
	{"qtime_max", "MMPV", U32, "longest time in the queue in milliseconds"},
	{"ctime_max", "MMPV", U32, "longest time to connect in milliseconds"},
	{"rtime_max", "MMPV", U32, "longest time to the response in milliseconds"},
	{"ttime_max", "MMPV", U32, "longest total time in milliseconds"},
	{"eint", "MCPP", U64, "internal errors"},
	{"idle_conn_cur", "MGPV", U32, "idle connections not known to be safe to reuse"},
	{"safe_conn_cur", "MGPV", U32, "idle connections safe to reuse"},
	{"used_conn_cur", "MGPV", U32, "connections in use"},
	{"need_conn_est", "MGPV", U32, "connections expected to be needed"},
	{"uweight", "MaPV", U32, "weight as configured or set, of a backend the sum over its active servers"},
	{"agg_server_status", "MGPV", U32, "servers by state"},
	{"agg_server_check_status", "MGPV", U32, "servers by state, older name"},
	{"agg_check_status", "MGPV", U32, "servers by result of their checks"},
	{"srid", "MCPV", U32, "revision of the server's number"},
	{"sess_other", "MCPV", U64, "sessions that are not HTTP"},
	{"h1sess", "MCPP", U64, "HTTP/1 sessions"},
	{"h2sess", "MCPP", U64, "HTTP/2 sessions"},
	{"h3sess", "MCPP", U64, "HTTP/3 sessions"},
	{"req_other", "MCPP", U64, "requests that are not HTTP"},
	{"h1req", "MCPP", U64, "HTTP/1 requests"},
	{"h2req", "MCPP", U64, "HTTP/2 requests"},
	{"h3req", "MCPP", U64, "HTTP/3 requests"},
	{"proto", "SGPV", STR, "protocol of the socket"},
	{"priv_idle_cur", "MGPV", U32, "idle connections bound to one client"},
	{"reqbin", "MCPP", U64, "request bytes received"},
	{"reqbout", "MCPP", U64, "request bytes sent"},
	{"resbin", "MCPP", U64, "response bytes received"},
	{"resbout", "MCPP", U64, "response bytes sent"},
	{"ssl_sess", "MCPV", U64, "TLS handshakes completed"},
	{"ssl_reused_sess", "MCPV", U64, "TLS handshakes that resumed a session"},
	{"ssl_failed_handshake", "MCPV", U64, "TLS handshakes that failed"},
	{"ssl_ocsp_staple", "MCPV", U64, "OCSP responses stapled"},
	{"ssl_failed_ocsp_staple", "MCPV", U64, "OCSP responses that could not be stapled"},
}

// column is what is fixed about one column. Tags are HAProxy's four letters: origin, nature, scope, persistence.
type column struct {
	name string
	tags string
	typ  Type
	desc string
}

// firstModuleColumn is where the CSV has its "-".
const firstModuleColumn = ColSSLSess

// Name is the column's name in the CSV header.
func (c Column) Name() string { return columns[c].name }

// tags of the column on a row of kind: three columns are gauges on one kind and something else on another.
func (c Column) tagsOn(k Kind) string {
	switch {
	case k == Backend && (c == ColAct || c == ColBck), k == Backend && c == ColRateMax:
		return "MGPV"
	}
	return columns[c].tags
}
