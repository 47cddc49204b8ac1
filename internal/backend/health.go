package backend

import (
	"fmt"
	"time"

	"gatehouse/internal/config"
)

// Status is the outcome of a check, spelled as the check_status column of `show stat`.
type Status uint8

// The outcomes, numbered as HAProxy's srv_check_status in `show servers state`.
const (
	StatusUnknown Status = iota
	StatusInit
	statusStart
	statusChecked
	statusHana
	SocketError
	L4OK
	L4Timeout
	L4Connection
	L6OK
	L6Timeout
	L6Response
	L7Timeout
	L7Response
	statusL57Data // from here on a check has a code
	L7OK
	L7OKConditional
	L7Status
)

type statusText struct {
	short, long string
	result      Result
}

var statusTexts = [...]statusText{
	StatusUnknown:   {"UNK", "Unknown", ResultUnknown},
	StatusInit:      {"INI", "Initializing", ResultUnknown},
	statusStart:     {"", "", ResultUnknown},
	statusChecked:   {"CHECKED", "No status change", ResultNeutral},
	statusHana:      {"HANA", "Health analyze", ResultFailed},
	SocketError:     {"SOCKERR", "Socket error", ResultFailed},
	L4OK:            {"L4OK", "Layer4 check passed", ResultPassed},
	L4Timeout:       {"L4TOUT", "Layer4 timeout", ResultFailed},
	L4Connection:    {"L4CON", "Layer4 connection problem", ResultFailed},
	L6OK:            {"L6OK", "Layer6 check passed", ResultPassed},
	L6Timeout:       {"L6TOUT", "Layer6 timeout", ResultFailed},
	L6Response:      {"L6RSP", "Layer6 invalid response", ResultFailed},
	L7Timeout:       {"L7TOUT", "Layer7 timeout", ResultFailed},
	L7Response:      {"L7RSP", "Layer7 invalid response", ResultFailed},
	statusL57Data:   {"", "", ResultUnknown},
	L7OK:            {"L7OK", "Layer7 check passed", ResultPassed},
	L7OKConditional: {"L7OKC", "Layer7 check conditionally passed", ResultCondPass},
	L7Status:        {"L7STS", "Layer7 wrong status", ResultFailed},
}

// String is the short spelling, "L4OK".
func (s Status) String() string { return statusTexts[s].short }

// Text is the spelling for people, "Layer4 check passed".
func (s Status) Text() string { return statusTexts[s].long }

// Result is what an outcome means, numbered as srv_check_result.
type Result uint8

// The results.
const (
	ResultUnknown Result = iota
	ResultNeutral
	ResultFailed
	ResultPassed
	ResultCondPass
)

// health is what the checks of one server have found, guarded by life.mu. value runs from 0 to rise+fall-1; the server is up
// from rise on. A server starts at rise: one failure takes it down, one success makes it solid.
type health struct {
	configured bool
	enabled    bool // false after `disable health`
	paused     bool // in maintenance
	running    bool
	value      int
	rise, fall int
	status     Status
	code       int
	info       string
	duration   time.Duration
	last       time.Time
	failures   int64
}

func newHealth(line *config.Server) health {
	h := health{configured: line.Check, enabled: line.Check, status: StatusUnknown, duration: -1}
	h.rise, h.fall = max(line.Rise, 1), max(line.Fall, 1)
	if line.Rise == 0 {
		h.rise = 2
	}
	if line.Fall == 0 {
		h.fall = 3
	}
	h.value = h.rise
	if line.Check {
		h.status = StatusInit
	}
	return h
}

// adopt takes over the check settings of a new generation and keeps what is known of the server.
func (h *health) adopt(line *config.Server) {
	up := h.value >= h.rise
	fresh := newHealth(line)
	if !h.configured && fresh.configured { // checks begin now
		*h = fresh
		return
	}
	h.configured, h.rise, h.fall = fresh.configured, fresh.rise, fresh.fall
	h.enabled = h.enabled && fresh.configured
	if up {
		h.value = h.rise + h.fall - 1
	} else {
		h.value = min(h.value, h.rise-1)
	}
}

// outcome is what one check found.
type outcome struct {
	status Status
	code   int // HTTP status, 0 when there is none
	info   string
}

// note counts an outcome and reports whether it is news worth a line under option log-health-checks.
func (h *health) note(o outcome, took time.Duration, now time.Time) (news bool) {
	news = o.status != h.status
	h.status, h.code, h.info, h.duration, h.last = o.status, o.code, o.info, took, now
	switch statusTexts[o.status].result {
	case ResultFailed:
		if h.value > 0 {
			h.failures++
			news = true
			if h.value--; h.value < h.rise {
				h.value = 0
			}
		}
	case ResultPassed, ResultCondPass:
		if h.value < h.rise+h.fall-1 {
			news = true
			if h.value++; h.value >= h.rise {
				h.value = h.rise + h.fall - 1
			}
		}
	}
	return news
}

// steps are the two numbers shown as "1/3": steps done and steps of the direction.
func (h *health) steps() (done, of int) {
	if h.value >= h.rise {
		return h.value - h.rise + 1, h.fall
	}
	return h.value, h.rise
}

// reason is the part of a line that says what the last check found.
func (h *health) reason() string {
	text := ", reason: " + h.status.Text()
	if h.status >= statusL57Data {
		text += fmt.Sprintf(", code: %d", h.code)
	}
	if h.info != "" {
		text += `, info: "` + escape(h.info) + `"`
	}
	if h.duration >= 0 {
		text += fmt.Sprintf(", check duration: %dms", h.duration.Milliseconds())
	}
	return text
}

// escape makes a server's words safe for one line: quotes, backslashes and what is not printable as backslash sequences.
func escape(text string) string {
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c >= 0x7f:
			out = fmt.Appendf(out, `\%02x`, c)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// interval is the wait until the next check: inter when all is solid, downinter when the server is down, fastinter between.
func (s *Server) intervalLocked() time.Duration {
	line, h := &s.o.Line, &s.life.health
	inter := line.Inter
	if inter <= 0 {
		inter = 2 * time.Second
	}
	switch {
	case h.value == h.rise+h.fall-1:
		return inter
	case s.op == Stopped && h.value == 0:
		return firstSet(line.DownInter, inter)
	}
	return firstSet(line.FastInter, inter)
}

func firstSet(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
