package stats

import (
	"fmt"
	"strconv"
	"time"
)

// ServerState is one line of show servers state, which load-server-state-from-file reads back (management guide 9.3, format 1).
type ServerState struct {
	Backend, Server     string
	BackendID, ServerID int
	Addr                string // "" prints "-"
	Port                int
	FQDN                string
	OpState             int // 0 stopped, 1 starting, 2 running, 3 stopping
	AdminState          int // mask: 1 maint, 2 inherited maint, 4 disabled in the configuration, 8 drain, 16 inherited drain, 32 by resolution, 64 fqdn set
	UWeight, IWeight    int // as set, as configured
	LastChange          time.Time
	CheckStatus         int // HAProxy's number of the last result: 1 none yet, 2 INI, 6 L4OK, 8 L4CON, ...
	CheckResult         int // 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditional
	CheckHealth         int
	CheckState          int // mask: 1 in progress, 2 configured, 4 enabled, 8 paused
	BackendForced       bool
	ServerForced        bool // id given in the configuration
	SSL                 int  // 1, 0, or -1 for no-ssl
	CheckPort           int
	CheckAddr           string
	AgentState          int // as CheckState, and 16: is an agent
	AgentAddr           string
	AgentPort           int
}

// ServersStateHeader is what show servers state begins with.
const ServersStateHeader = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight" +
	" srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state" +
	" bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr" +
	" srv_agent_port\n"

// Append appends the line as seen at now.
func (s *ServerState) Append(dst []byte, now time.Time) []byte {
	return fmt.Appendf(dst, "%d %s %d %s %s %d %d %d %d %d %d %d %d %d %d %s %s %s %d - %d %d %s %s %d\n",
		s.BackendID, dash(s.Backend), s.ServerID, dash(s.Server), dash(s.Addr), s.OpState, s.AdminState, s.UWeight, s.IWeight,
		seconds(now.Sub(s.LastChange)), s.CheckStatus, s.CheckResult, s.CheckHealth, s.CheckState, s.AgentState,
		bit(s.BackendForced), bit(s.ServerForced), dash(s.FQDN), s.Port, s.SSL, s.CheckPort, dash(s.CheckAddr), dash(s.AgentAddr), s.AgentPort)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func bit(b bool) string { return strconv.Itoa(map[bool]int{true: 1}[b]) }

// ServersConnHeader is the first line of show servers conn.
const ServersConnHeader = "# bkname/svname bkid/svid addr port - purge_delay served used_cur used_max need_est idle_sess unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[1]\n"

// ServerConns is one line of show servers conn.
type ServerConns struct {
	Backend, Server     string
	BackendID, ServerID int
	Addr                string // "" prints "-"
	Port                int
	PurgeDelay          time.Duration
	Served              int64
	Used                int64 // connections in use
	UsedMax             int64
	IdleLimit           *int // pool-max-conn; nil: unlimited
	Idle                int64
}

// Append writes the line. All idle connections may be shared, and there is one place for them.
func (c *ServerConns) Append(dst []byte) []byte {
	limit := -1
	if c.IdleLimit != nil {
		limit = *c.IdleLimit
	}
	return fmt.Appendf(dst, "%s/%s %d/%d %s %d - %d %d %d %d %d 0 0 %d %d %d %d\n",
		c.Backend, c.Server, c.BackendID, c.ServerID, dash(c.Addr), c.Port, c.PurgeDelay.Milliseconds(), c.Served,
		c.Used, c.UsedMax, c.UsedMax, c.Idle, limit, c.Idle, c.Idle)
}
