package stats

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Bounds of a file of servers' states, HAProxy's.
const (
	maxStateLine   = 2000
	minStateFields = 20 // the last five are younger
	maxStateFields = 25
)

// Errors of ReadServerStates besides *CorruptStateError.
var (
	ErrStateEmpty   = errors.New("empty server state file")
	ErrStateVersion = errors.New("unknown version of a server state file")
)

// CorruptStateError says which line, counted from the one after the version, cannot be one that show servers state wrote.
type CorruptStateError struct{ Line int }

func (e *CorruptStateError) Error() string { return fmt.Sprintf("corrupted at line %d", e.Line) }

// SavedServer is one line of such a file, cut into fields but not read.
type SavedServer struct{ fields []string }

// ReadServerStates cuts up what show servers state wrote (management guide 9.3, format 1).
func ReadServerStates(data []byte) ([]SavedServer, error) {
	if len(data) == 0 {
		return nil, ErrStateEmpty
	}
	version, rest, ended := bytes.Cut(data, []byte{'\n'})
	if n, err := strconv.Atoi(string(bytes.TrimLeft(version, " \t"))); !ended || err != nil || n != 1 {
		return nil, ErrStateVersion
	}
	var list []SavedServer
	for n := 1; len(rest) > 0; n++ {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		rest = after
		if !ended || len(line) > maxStateLine-2 {
			return nil, &CorruptStateError{n}
		}
		fields := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) < minStateFields || len(fields) > maxStateFields {
			return nil, &CorruptStateError{n}
		}
		list = append(list, SavedServer{fields})
	}
	return list, nil
}

// Backend and Server are the names, BackendID is be_id as written.
func (s SavedServer) Backend() string   { return s.fields[1] }
func (s SavedServer) Server() string    { return s.fields[3] }
func (s SavedServer) BackendID() string { return s.fields[0] }

// BackendForced reports whether the backend's id stood in the configuration.
func (s SavedServer) BackendForced() bool { return s.fields[15] == "1" }

// checkOutcomes is how many outcomes of checks HAProxy numbers.
const checkOutcomes = 21

// State reads the fields. An error names those that cannot be read, in HAProxy's words, and nothing of the line counts then.
func (s SavedServer) State(now time.Time) (*ServerState, error) {
	f := s.fields[4:]
	st := &ServerState{Backend: s.Backend(), Server: s.Server(), Addr: undash(f[0]), FQDN: undash(f[13])}
	var wrong strings.Builder
	number := func(i int, name string, ok func(int) bool) int {
		n, err := strconv.Atoi(f[i])
		if err != nil || !ok(n) {
			fmt.Fprintf(&wrong, ", invalid %s value '%s'", name, f[i])
		}
		return n
	}
	below := func(limit int) func(int) bool { return func(n int) bool { return n >= 0 && n < limit } }
	st.OpState = number(1, "srv_op_state", below(4))
	st.AdminState = number(2, "srv_admin_state", knownAdmin)
	st.UWeight = number(3, "srv_uweight", below(257))
	st.IWeight = number(4, "srv_iweight", below(257))
	since := number(5, "srv_last_time_change", func(n int) bool { return n >= 0 && n < 1<<32 })
	st.LastChange = now.Add(-time.Duration(since) * time.Second)
	st.CheckStatus = number(6, "srv_check_status", below(checkOutcomes))
	st.CheckResult = number(7, "srv_check_result", below(5))
	st.CheckHealth = number(8, "srv_check_health", func(int) bool { return true })
	st.CheckState = number(9, "srv_check_state", below(32))
	st.AgentState = number(10, "srv_agent_state", below(32))
	number(11, "bk_f_forced_id", below(2))
	number(12, "srv_f_forced_id", below(2))
	st.Port = number(14, "srv_port", below(1<<16))
	st.SSL = -1
	if len(f) > 16 {
		st.SSL, _ = strconv.Atoi(f[16])
	}
	if len(f) > 17 {
		st.CheckPort = number(17, "srv_check_port", below(1<<16))
	}
	if len(f) > 18 {
		st.CheckAddr = address(f[18], "srv_check_addr", &wrong)
	}
	if len(f) > 19 {
		st.AgentAddr = address(f[19], "srv_agent_addr", &wrong)
	}
	if len(f) > 20 {
		st.AgentPort = number(20, "srv_agent_port", below(1<<16))
	}
	if wrong.Len() > 0 {
		return nil, errors.New(wrong.String())
	}
	return st, nil
}

// knownAdmin reports whether n, without the bits that are found out anew, is a mask that HAProxy writes.
func knownAdmin(n int) bool {
	switch n &^ (2 | 16 | 32 | 64) {
	case 0, 1, 4, 5, 8, 12:
		return true
	}
	return false
}

func address(word, name string, wrong *strings.Builder) string {
	if word == "-" {
		return ""
	}
	ip, err := netip.ParseAddr(word)
	if err != nil {
		fmt.Fprintf(wrong, ", invalid %s value '%s'", name, word)
		return ""
	}
	return ip.String()
}

func undash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
