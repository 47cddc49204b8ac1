package backend

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/event"
)

// change is what one step of a server's life does to the rest: the line to log and whether other rooms must hear of it.
type change struct {
	level, text string
	after       string // a second line, always notice
	counted     bool   // append the counts of servers left
	drop        bool   // close idle connections
}

// title is how lines name the server: "Server be/srv", "Backup Server be/srv".
func (s *Server) title() string {
	title := "Server " + s.backend.o.Name + "/" + s.Name()
	if s.o.Line.Backup {
		title = "Backup " + title
	}
	return title
}

// apply lets all generations see a change of life and writes its lines. It is called without life.mu.
func (s *Server) apply(was OpState, c change) {
	lost := false
	for _, b := range s.generations() {
		if b.rebuild() && b == s.backend {
			lost = true
		}
	}
	if c.drop {
		s.pool.purge(true)
	}
	for _, b := range s.generations() {
		b.queue.wake(b)
	}
	defer s.lead()
	if c.text == "" {
		return
	}
	text := c.text
	if c.counted {
		text += s.counts()
	}
	s.backend.log(c.level, "%s.", text)
	s.tell(was, c.level, text)
	if c.after != "" {
		s.backend.log("notice", "%s.", c.after)
	}
	if lost {
		s.backend.sayOutage()
	}
}

// tell emits the event of a state that changed.
func (s *Server) tell(was OpState, level, text string) {
	now := s.Op()
	if (was == Stopped) == (now == Stopped) {
		return
	}
	kind := event.ServerUp
	if now == Stopped {
		kind = event.ServerDown
	}
	s.backend.emit(kind, level, s.backend.o.Name+"/"+s.Name(), text)
}

// counts is the end of a state line: who is left.
func (s *Server) counts() string {
	active, backup := s.backend.Usable()
	running := ""
	if backup > 0 && active == 0 {
		running = " Running on backup."
	}
	if s.Op() == Stopped {
		return fmt.Sprintf(". %d active and %d backup servers left.%s %d sessions active, 0 requeued, 0 remaining in queue",
			active, backup, running, s.life.counters.Cur.Load())
	}
	return fmt.Sprintf(". %d active and %d backup servers online.%s 0 sessions requeued, 0 total in queue", active, backup, running)
}

// moveLocked sets the operational state and keeps the history.
func (l *life) moveLocked(to OpState) {
	if l.op == to {
		return
	}
	now := time.Now()
	switch {
	case l.op == Stopped:
		l.downTime += now.Sub(l.lastChange)
	case to == Stopped:
		l.downs++
	}
	l.op, l.lastChange = to, now
	l.refreshLocked()
}

// settle moves the server between up, stopping and down after cause (a piece of the line, empty when checks log themselves).
func (s *Server) settle(to OpState, cause string) {
	s.mu.Lock()
	was := s.op
	if was == to || s.admin&Maint != 0 {
		s.mu.Unlock()
		return
	}
	stopping := was == Stopping || s.admin&Drain != 0
	s.moveLocked(to)
	s.mu.Unlock()

	c := change{level: "notice", counted: true}
	switch to {
	case Stopped:
		c.text = s.title() + " is DOWN" + cause
		if !stopping { // no alarm about a server that was leaving anyway
			c.level = "alert"
		}
	case Stopping:
		c.text = s.title() + " is stopping" + cause
	default:
		c.text = s.title() + " is UP" + cause
	}
	s.apply(was, c)
}

// SetState sets the administrative state from a word of `set server`: ready, drain or maint.
func (s *Server) SetState(word string) error {
	switch word {
	case "maint":
		s.setAdmin(ForcedMaint, ForcedDrain)
	case "drain":
		s.setAdmin(ForcedDrain, ForcedMaint|ConfigMaint)
	case "ready":
		s.setAdmin(0, ForcedMaint|ConfigMaint|ForcedDrain)
	default:
		return errors.New("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
	}
	return nil
}

// setAdmin sets and clears administrative bits and says what came of it.
func (s *Server) setAdmin(set, clear Admin) {
	s.mu.Lock()
	before, was := s.admin, s.op
	after := before&^clear | set
	if before == after {
		s.mu.Unlock()
		return
	}
	s.admin = after
	var c change
	switch {
	case before&Maint == 0 && after&Maint != 0:
		c = s.enterMaintLocked(before, after)
	case before&Maint != 0 && after&Maint == 0:
		c = s.leaveMaintLocked(before)
	case after&Maint != 0:
		c = s.stayMaintLocked(before, after)
	case before&Drain == 0 && after&Drain != 0:
		c = change{level: "notice", text: s.title() + " enters drain state", counted: true}
	case before&Drain != 0 && after&Drain == 0:
		if c = (change{level: "notice", text: s.title() + " is " + upDown(s.op) + " (leaving forced drain)"}); before&ForcedDrain == 0 {
			c.text = s.title() + " is " + upDown(s.op) + " (leaving drain)" + s.via()
		}
	case after&Drain != 0 && after&ForcedDrain == 0:
		c = change{level: "notice", text: s.title() + " remains in drain mode" + s.via()}
	case after&Drain != 0:
		c = change{level: "notice", text: s.title() + " remains in forced drain mode"}
	}
	s.refreshLocked()
	s.mu.Unlock()
	s.apply(was, c)
	s.life.kicked()
}

// stayMaintLocked tells of a server that lost one reason to be in maintenance and has another.
func (s *Server) stayMaintLocked(before, after Admin) change {
	switch {
	case before&ForcedMaint != 0 && after&ForcedMaint == 0:
		return change{level: "notice", text: s.title() + " is leaving forced maintenance but remains in maintenance" + s.via()}
	case before&InheritedMaint != 0 && after&InheritedMaint == 0:
		return change{level: "notice", text: s.title() + " remains in forced maintenance"}
	}
	return change{}
}

func upDown(op OpState) string {
	if op == Stopped {
		return "DOWN"
	}
	return "UP"
}

func (s *Server) enterMaintLocked(before, after Admin) change {
	via := ""
	if after&ForcedMaint == 0 {
		via = s.via()
	}
	down := s.op == Stopped
	draining := s.op == Stopping || before&Drain != 0
	s.health.value = 0
	s.health.paused = s.health.enabled
	s.moveLocked(Stopped)
	switch {
	case down:
		return change{level: "notice", text: s.title() + " was DOWN and now enters maintenance" + via, drop: true}
	case draining:
		return change{level: "notice", text: s.title() + " is going DOWN for maintenance" + via, counted: true, drop: true}
	}
	return change{level: "alert", text: s.title() + " is going DOWN for maintenance" + via, counted: true, drop: true}
}

// leaveMaintLocked lets the server back in at once; a checked one still has to confirm it with the check that follows.
func (s *Server) leaveMaintLocked(before Admin) change {
	s.health.paused = false
	s.health.value = s.health.rise
	to := Running
	if o := s.o.Track; o != nil {
		to = o.Op()
	}
	s.moveLocked(to)
	c := change{level: "notice"}
	word := "READY"
	if s.admin&Drain != 0 {
		word, c.after = "DRAIN", s.title()+" remains in forced drain mode"
	}
	forced := ""
	if before&ForcedMaint != 0 {
		forced = "forced "
	}
	c.text = fmt.Sprintf("%s is %s/%s (leaving %smaintenance)", s.title(), upDown(s.op), word, forced)
	return c
}

// SetHealth forces the outcome of the checks from a word of `set server health`: up, stopping or down.
func (s *Server) SetHealth(word string) error {
	if s.o.Track != nil {
		return errors.New("cannot change health on a tracking server.")
	}
	s.mu.Lock()
	h := &s.life.health
	to := Running
	switch word {
	case "up":
		h.value = h.rise + h.fall - 1
	case "stopping":
		h.value, to = h.rise+h.fall-1, Stopping
	case "down":
		h.value, to = 0, Stopped
	default:
		s.mu.Unlock()
		return errors.New("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
	}
	s.mu.Unlock()
	s.settle(to, ", changed from CLI")
	return nil
}

// SetChecks turns health checks on or off (`enable health`, `disable health`).
func (s *Server) SetChecks(on bool) error {
	s.mu.Lock()
	if !s.health.configured {
		s.mu.Unlock()
		if !on {
			return nil
		}
		return errors.New("Health check was not configured on this server, cannot enable.")
	}
	s.health.enabled = on
	s.mu.Unlock()
	s.life.kicked()
	return nil
}

// SetWeight sets the weight from the word of `set weight`: an absolute one (0 to 256) or a percentage of the initial weight.
func (s *Server) SetWeight(word string) error {
	percent := strings.HasSuffix(word, "%")
	n, err := strconv.Atoi(strings.TrimSuffix(word, "%"))
	static := s.backend.Fixed() || s.backend.o.Algorithm == "first"
	switch {
	case err != nil || (!percent && (n < 0 || n > 256)):
		if percent {
			return errors.New("Relative weight must be positive.")
		}
		return errors.New("Absolute weight can only be between 0 and 256 inclusive.")
	case percent && n < 0:
		return errors.New("Relative weight must be positive.")
	case percent:
		n = min(s.InitialWeight()*min(n, 256*100)/100, 256)
	}
	if static && n != 0 && n != s.InitialWeight() {
		return errors.New("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.")
	}
	s.mu.Lock()
	was := s.op
	s.weight.Store(int32(n))
	s.refreshLocked()
	s.mu.Unlock()
	s.apply(was, change{})
	return nil
}

// SetMaxConn changes how many requests the server may serve at a time, 0 for no limit.
func (s *Server) SetMaxConn(n int) {
	s.maxconn.Store(int32(max(n, 0)))
	s.apply(s.Op(), change{})
}

// Weight is the weight in force.
func (s *Server) Weight() int { return int(s.weight.Load()) }

// InitialWeight is the weight of the configuration.
func (s *Server) InitialWeight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initial
}

// MaxConn is the limit on requests served at a time, 0 for none.
func (s *Server) MaxConn() int { return int(s.maxconn.Load()) }

// Op is the operational state.
func (s *Server) Op() OpState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.op
}

// Up reports whether the server is neither stopped nor in maintenance, as srv_is_up sees it.
func (s *Server) Up() bool { return s.Op() != Stopped }

// Facts is everything about a server's state that `show stat` and `show servers state` print, taken at one moment.
type Facts struct {
	Status        string // "UP", "DOWN 1/2", "MAINT", "no check", ...
	Op            OpState
	Admin         Admin
	Weight        int
	InitialWeight int
	LastChange    time.Time
	DownTime      time.Duration
	Downs         int64 // chkdown

	Agent, AgentEnabled, AgentRunning bool // agent-check
	AgentStatus                       Status
	AgentInfo                         string
	AgentDuration                     time.Duration // negative: never
	AgentHealth                       int

	Checked       bool // has checks
	CheckRunning  bool
	CheckEnabled  bool
	CheckPaused   bool
	CheckStatus   Status
	CheckResult   Result
	CheckCode     int
	CheckInfo     string        // last_chk
	CheckDuration time.Duration // negative: never
	CheckHealth   int
	Rise, Fall    int
	CheckFailures int64 // chkfail
}

// Facts takes them.
func (s *Server) Facts() Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.life.health
	f := Facts{
		Status: s.statusLocked(), Op: s.op, Admin: s.admin, Weight: s.Weight(), InitialWeight: s.initial,
		LastChange: s.lastChange, DownTime: s.downTime, Downs: s.downs,
		Checked: h.configured, CheckRunning: h.running, CheckEnabled: h.enabled, CheckPaused: h.paused,
		CheckStatus: h.status, CheckResult: statusTexts[h.status].result, CheckCode: h.code, CheckInfo: h.info,
		CheckDuration: h.duration, CheckHealth: h.value, Rise: h.rise, Fall: h.fall, CheckFailures: h.failures,
	}
	a := &s.life.agent
	f.Agent, f.AgentEnabled, f.AgentRunning = a.configured, a.enabled, a.running
	f.AgentStatus, f.AgentInfo, f.AgentDuration, f.AgentHealth = a.status, a.info, a.duration, a.value
	if s.op == Stopped {
		f.DownTime += time.Since(s.lastChange)
	}
	return f
}

func (s *Server) statusLocked() string {
	h := &s.life.health
	done, of := h.steps()
	solid := !h.enabled || h.value == h.rise+h.fall-1
	draining := s.admin&Drain != 0 || s.Weight() == 0
	name := ""
	switch {
	case s.admin&ForcedMaint == 0 && s.admin&InheritedMaint != 0:
		return "MAINT (via " + s.Tracked() + ")"
	case s.admin&Maint != 0:
		return "MAINT"
	case s.op == Stopped && h.enabled && h.value > 0:
		return fmt.Sprintf("DOWN %d/%d", done, of)
	case s.op == Stopped:
		return "DOWN"
	case s.op == Stopping:
		name = "NOLB"
	case draining:
		name = "DRAIN"
	case !h.enabled && s.o.Track == nil:
		return "no check"
	default:
		name = "UP"
	}
	if solid {
		return name
	}
	return fmt.Sprintf("%s %d/%d", name, done, of)
}
