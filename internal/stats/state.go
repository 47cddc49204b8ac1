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
	SSL                 bool
	CheckPort           int
	CheckAddr           string
}

// ServersStateHeader is what show servers state begins with.
const ServersStateHeader = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight" +
	" srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state" +
	" bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr" +
	" srv_agent_port\n"

// Append appends the line as seen at now.
func (s *ServerState) Append(dst []byte, now time.Time) []byte {
	return fmt.Appendf(dst, "%d %s %d %s %s %d %d %d %d %d %d %d %d %d 0 %s %s %s %d - %s %d %s - 0\n",
		s.BackendID, dash(s.Backend), s.ServerID, dash(s.Server), dash(s.Addr), s.OpState, s.AdminState, s.UWeight, s.IWeight,
		seconds(now.Sub(s.LastChange)), s.CheckStatus, s.CheckResult, s.CheckHealth, s.CheckState,
		bit(s.BackendForced), bit(s.ServerForced), dash(s.FQDN), s.Port, bit(s.SSL), s.CheckPort, dash(s.CheckAddr))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func bit(b bool) string { return strconv.Itoa(map[bool]int{true: 1}[b]) }
