package stats

import "strings"

// metric is one family of a kind of object: the column it shows and what HAProxy's exporter calls it.
type metric struct {
	col   Column
	name  string
	kinds string // letters as Kind.letter has them
	how   metricForm
}

// metricForm is how a column becomes samples.
type metricForm uint8

const (
	plainMetric  metricForm = iota
	httpMetric              // only of sections in mode http
	secondsOf               // milliseconds, shown in seconds
	stateMetric             // one sample per state, 1 for the one that holds
	classMetric             // responses by class, six columns in one family
	serversBy               // servers of a backend by state
	checksBy                // servers of a backend by result of the check
	checkMetric             // only of servers that are checked
	moduleMetric            // asked for with extra-counters
)

// metrics are the families in the order of the exporter of HAProxy 3.4.
var metrics = []metric{
	{ColQCur, "current_queue", "BS", plainMetric},
	{ColQMax, "max_queue", "BS", plainMetric},
	{ColSCur, "current_sessions", "FLBS", plainMetric},
	{ColSMax, "max_sessions", "FLBS", plainMetric},
	{ColSLim, "limit_sessions", "FLBS", plainMetric},
	{ColSTot, "sessions_total", "FLBS", plainMetric},
	{ColBytesIn, "bytes_in_total", "FLBS", plainMetric},
	{ColBytesOut, "bytes_out_total", "FLBS", plainMetric},
	{ColDeniedReq, "requests_denied_total", "FLB", plainMetric},
	{ColDeniedResp, "responses_denied_total", "FLBS", plainMetric},
	{ColErrReq, "request_errors_total", "FL", plainMetric},
	{ColErrConn, "connection_errors_total", "BS", plainMetric},
	{ColErrResp, "response_errors_total", "BS", plainMetric},
	{ColRetries, "retry_warnings_total", "BS", plainMetric},
	{ColRedispatches, "redispatch_warnings_total", "BS", plainMetric},
	{ColStatus, "status", "FLBS", stateMetric},
	{ColWeight, "weight", "BS", plainMetric},
	{ColAct, "active_servers", "B", plainMetric},
	{ColAct, "active", "S", plainMetric},
	{ColBck, "backup_servers", "B", plainMetric},
	{ColBck, "backup", "S", plainMetric},
	{ColChkfail, "check_failures_total", "S", plainMetric},
	{ColChkdown, "check_up_down_total", "BS", plainMetric},
	{ColLastchg, "check_last_change_seconds", "BS", plainMetric},
	{ColDowntime, "downtime_seconds_total", "BS", plainMetric},
	{ColQlimit, "queue_limit", "S", plainMetric},
	{ColThrottle, "current_throttle", "S", plainMetric},
	{ColLbtot, "loadbalanced_total", "BS", plainMetric},
	{ColRate, "current_session_rate", "FBS", plainMetric},
	{ColRateLim, "limit_session_rate", "F", plainMetric},
	{ColRateMax, "max_session_rate", "FBS", plainMetric},
	{ColCheckStatus, "check_status", "S", checkMetric},
	{ColCheckCode, "check_code", "S", checkMetric},
	{ColCheckDuration, "check_duration_seconds", "S", secondsOf},
	{ColHrsp1xx, "http_responses_total", "FBS", classMetric},
	{ColReqRateMax, "http_requests_rate_max", "F", httpMetric},
	{ColReqTot, "http_requests_total", "FBS", httpMetric},
	{ColCliAbrt, "client_aborts_total", "BS", plainMetric},
	{ColSrvAbrt, "server_aborts_total", "BS", plainMetric},
	{ColCompIn, "http_comp_bytes_in_total", "FB", httpMetric},
	{ColCompOut, "http_comp_bytes_out_total", "FB", httpMetric},
	{ColCompByp, "http_comp_bytes_bypassed_total", "FB", httpMetric},
	{ColCompRsp, "http_comp_responses_total", "FB", httpMetric},
	{ColLastsess, "last_session_seconds", "BS", plainMetric},
	{ColQtime, "queue_time_average_seconds", "BS", secondsOf},
	{ColCtime, "connect_time_average_seconds", "BS", secondsOf},
	{ColRtime, "response_time_average_seconds", "BS", secondsOf},
	{ColTtime, "total_time_average_seconds", "BS", secondsOf},
	{ColConnRateMax, "connections_rate_max", "F", plainMetric},
	{ColConnTot, "connections_total", "FL", plainMetric},
	{ColIntercepted, "intercepted_requests_total", "F", httpMetric},
	{ColDcon, "denied_connections_total", "FL", plainMetric},
	{ColDses, "denied_sessions_total", "FL", plainMetric},
	{ColWrew, "failed_header_rewriting_total", "FLBS", plainMetric},
	{ColConnect, "connection_attempts_total", "BS", plainMetric},
	{ColReuse, "connection_reuses_total", "BS", plainMetric},
	{ColCacheLookups, "http_cache_lookups_total", "FB", httpMetric},
	{ColCacheHits, "http_cache_hits_total", "FB", httpMetric},
	{ColSrvIcur, "idle_connections_current", "S", plainMetric},
	{ColSrcIlim, "idle_connections_limit", "S", plainMetric},
	{ColQtimeMax, "max_queue_time_seconds", "BS", secondsOf},
	{ColCtimeMax, "max_connect_time_seconds", "BS", secondsOf},
	{ColRtimeMax, "max_response_time_seconds", "BS", secondsOf},
	{ColTtimeMax, "max_total_time_seconds", "BS", secondsOf},
	{ColEint, "internal_errors_total", "FLBS", plainMetric},
	{ColIdleConnCur, "unsafe_idle_connections_current", "S", plainMetric},
	{ColSafeConnCur, "safe_idle_connections_current", "S", plainMetric},
	{ColUsedConnCur, "used_connections_current", "S", plainMetric},
	{ColNeedConnEst, "need_connections_current", "S", plainMetric},
	{ColUweight, "uweight", "BS", plainMetric},
	{ColAggServerStatus, "agg_server_status", "B", serversBy},
	{ColAggServerCheckStatus, "agg_server_check_status", "B", serversBy},
	{ColAggCheckStatus, "agg_check_status", "B", checksBy},
	{ColPrivIdleCur, "private_idle_connections_current", "S", plainMetric},
	{ColReqbin, "req_bytes_in_total", "FLBS", plainMetric},
	{ColReqbout, "req_bytes_out_total", "FLBS", plainMetric},
	{ColResbin, "res_bytes_in_total", "FLBS", plainMetric},
	{ColResbout, "res_bytes_out_total", "FLBS", plainMetric},
	{ColSSLSess, "ssl_sess", "FLBS", moduleMetric},
	{ColSSLReusedSess, "ssl_reused_sess", "FLBS", moduleMetric},
	{ColSSLFailedHandshake, "ssl_failed_handshake", "FLBS", moduleMetric},
	{ColSSLOCSPStaple, "ssl_ocsp_staple", "FLBS", moduleMetric},
	{ColSSLFailedOCSPStaple, "ssl_failed_ocsp_staple", "FLBS", moduleMetric},
}

// responseClasses are the columns of http_responses_total and their labels.
var responseClasses = []struct {
	col  Column
	code string
}{{ColHrsp1xx, "1xx"}, {ColHrsp2xx, "2xx"}, {ColHrsp3xx, "3xx"}, {ColHrsp4xx, "4xx"}, {ColHrsp5xx, "5xx"}, {ColHrspOther, "other"}}

// The states that the label state takes.
var (
	upOrDown       = []string{"DOWN", "UP"}
	serverStates   = []string{"DOWN", "UP", "MAINT", "DRAIN", "NOLB"}
	listenerStates = []string{"WAITING", "OPEN", "FULL"}
	checkStates    = []string{"HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK", "L7OKC",
		"L7STS", "PROCERR", "PROCTOUT", "PROCOK"}
)

// help is the family's description.
func (m *metric) help(k Kind) string {
	switch {
	case m.how == stateMetric:
		return "1 for the state that holds, 0 for the others"
	case m.col == ColCheckStatus:
		return "1 for the result of the last health check, 0 for the others"
	case m.how == classMetric:
		return "responses by class of their status"
	case m.col == ColAct && k == Server:
		return "1 when the server is an active one"
	case m.col == ColBck && k == Server:
		return "1 when the server is a backup"
	case m.how == secondsOf:
		return strings.Replace(columns[m.col].desc, "milliseconds", "seconds", 1)
	}
	return columns[m.col].desc
}

// infoMetrics are what the exporter calls lines of show info; others are not exported.
var infoMetrics = map[string]string{
	"Nbthread": "nbthread", "Nbproc": "nbproc", "Process_num": "relative_process_id", "Uptime_sec": "uptime_seconds",
	"Start_time_sec": "start_time_seconds", "Memmax_bytes": "max_memory_bytes", "PoolAlloc_bytes": "pool_allocated_bytes",
	"PoolUsed_bytes": "pool_used_bytes", "PoolFailed": "pool_failures_total", "Ulimit-n": "max_fds", "Maxsock": "max_sockets",
	"Maxconn": "max_connections", "Hard_maxconn": "hard_max_connections", "CurrConns": "current_connections",
	"CumConns": "connections_total", "CumReq": "requests_total", "MaxSslConns": "max_ssl_connections",
	"CurrSslConns": "current_ssl_connections", "CumSslConns": "ssl_connections_total", "Maxpipes": "max_pipes",
	"PipesUsed": "pipes_used_total", "PipesFree": "pipes_free_total", "ConnRate": "current_connection_rate",
	"ConnRateLimit": "limit_connection_rate", "MaxConnRate": "max_connection_rate", "SessRate": "current_session_rate",
	"SessRateLimit": "limit_session_rate", "MaxSessRate": "max_session_rate", "SslRate": "current_ssl_rate",
	"SslRateLimit": "limit_ssl_rate", "MaxSslRate": "max_ssl_rate", "SslFrontendKeyRate": "current_frontend_ssl_key_rate",
	"SslFrontendMaxKeyRate": "max_frontend_ssl_key_rate", "SslFrontendSessionReuse_pct": "frontend_ssl_reuse",
	"SslBackendKeyRate": "current_backend_ssl_key_rate", "SslBackendMaxKeyRate": "max_backend_ssl_key_rate",
	"SslCacheLookups": "ssl_cache_lookups_total", "SslCacheMisses": "ssl_cache_misses_total", "CompressBpsIn": "http_comp_bytes_in_total",
	"CompressBpsOut": "http_comp_bytes_out_total", "CompressBpsRateLim": "limit_http_comp", "ZlibMemUsage": "current_zlib_memory",
	"MaxZlibMemUsage": "max_zlib_memory", "Tasks": "current_tasks", "Run_queue": "current_run_queue", "Idle_pct": "idle_time_percent",
	"node": "node", "description": "description", "Stopping": "stopping", "Jobs": "jobs", "Unstoppable Jobs": "unstoppable_jobs",
	"Listeners": "listeners", "ActivePeers": "active_peers", "ConnectedPeers": "connected_peers", "DroppedLogs": "dropped_logs_total",
	"BusyPolling": "busy_polling_enabled", "FailedResolutions": "failed_resolutions", "TotalBytesOut": "bytes_out_total",
	"TotalSplicedBytesOut": "spliced_bytes_out_total", "BytesOutRate": "bytes_out_rate", "CumRecvLogs": "recv_logs_total",
	"Build info": "build_info", "TotalWarnings": "total_warnings", "PatternsAdded": "patterns_added_total",
	"PatternsFreed": "patterns_freed_total", "NbThreadGroups": "nb_thread_groups",
}

// infoCounters are the lines that the exporter calls counters although show info does not.
var infoCounters = map[string]bool{"PipesUsed": true, "PipesFree": true, "CompressBpsIn": true, "CompressBpsOut": true, "DroppedLogs": true,
	"FailedResolutions": true, "TotalBytesOut": true, "TotalSplicedBytesOut": true}
