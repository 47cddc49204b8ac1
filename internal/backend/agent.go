package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
)

// agent is what the agent check of one server has found (manual 5.2, "agent-check"): a program beside the server that says how it is. Its
// health is guarded by life.mu like that of the checks; one word from the agent decides, so that rise and fall are 1.
type agent struct {
	health
	watcher atomic.Pointer[Backend]
	kick    chan struct{}

	// Where and what to ask after `set server agent-addr`, agent-port and agent-send; nil and 0: as configured.
	host atomic.Pointer[string]
	port atomic.Int32
	send atomic.Pointer[string]
}

func (a *agent) begin(line *config.Server) {
	a.health = health{configured: line.AgentCheck, enabled: line.AgentCheck, rise: 1, fall: 1, value: 1, duration: -1}
	a.kick = make(chan struct{}, 1)
	if line.AgentCheck {
		a.status = StatusInit
	}
}

// adopt follows a change of the configuration.
func (a *agent) adopt(old, line *config.Server) {
	if old.AgentCheck != line.AgentCheck {
		a.configured, a.enabled, a.value = line.AgentCheck, line.AgentCheck, 1
	}
	if old.AgentAddr != line.AgentAddr || old.AgentPort != line.AgentPort {
		a.host.Store(nil)
		a.port.Store(0)
	}
	if old.AgentSend != line.AgentSend {
		a.send.Store(nil)
	}
}

// holdsDown reports whether the agent keeps the server down, whatever its checks find. life.mu is held.
func (a *agent) holdsDown() bool { return a.enabled && a.value < a.rise }

func (s *Server) watchAgent(ctx context.Context, delay time.Duration) {
	s.repeat(ctx, delay, &s.agent.watcher, s.agent.kick, s.agentOnce)
}

func (s *Server) agentInterval() time.Duration {
	return firstSet(s.o.Line.AgentInter, firstSet(s.o.Line.Inter, 2*time.Second))
}

// agentOnce asks the agent, does what it says and returns the wait until the next time.
func (s *Server) agentOnce(ctx context.Context) time.Duration {
	every := s.agentInterval()
	s.mu.Lock()
	a := &s.agent
	if !a.enabled {
		s.mu.Unlock()
		return every
	}
	a.running = true
	s.mu.Unlock()

	begin := time.Now()
	text, failure := s.askAgent(ctx, every)
	took := time.Since(begin)

	s.mu.Lock()
	a.running = false
	off := ctx.Err() != nil || !a.enabled
	s.mu.Unlock()
	if off {
		return every
	}
	if failure != nil {
		s.agentSaid(*failure, took, false)
		return every
	}
	said := parseAgent(text)
	found := s.obey(said)
	s.agentSaid(found, took, said.health != "")
	return every
}

// askAgent returns the line that the agent sent.
func (s *Server) askAgent(ctx context.Context, limit time.Duration) (string, *outcome) {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	failedTo := func(err error, status, timeout Status) (string, *outcome) {
		found := failed(err, within.Err() != nil, status, timeout)
		return "", &found
	}
	c, err := s.backend.dial(within, "tcp", net.JoinHostPort(s.AgentHost(), strconv.Itoa(s.AgentPort())))
	if err != nil {
		return failedTo(err, L4Connection, L4Timeout)
	}
	defer c.Close()
	deadline, _ := within.Deadline()
	c.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
	if text := s.AgentSend(); text != "" {
		if _, err := io.WriteString(c, text); err != nil {
			return failedTo(err, SocketError, L7Timeout)
		}
	}
	var line []byte
	buf := make([]byte, 512)
	for len(line) < maxAgentLine {
		n, err := c.Read(buf)
		line = append(line, buf[:n]...)
		if i := bytes.IndexAny(line, "\r\n\x00"); i >= 0 {
			return string(line[:i]), nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", &outcome{status: statusChecked, info: "Ignoring incomplete line from agent"}
		case err != nil:
			return failedTo(err, SocketError, L7Timeout)
		}
	}
	return "", &outcome{status: statusChecked, info: "Ignoring incomplete line from agent"}
}

// maxAgentLine bounds what an agent may say.
const maxAgentLine = 16384

// agentWords is an agent's line: the last word of each kind, lower case.
type agentWords struct {
	health, admin string // up, down, stopped, fail; ready, drain, maint
	weight        string // "50%"
	maxconn       string
	unknown       string // the first word that is none of these
	text          string // behind #
}

func parseAgent(line string) agentWords {
	var w agentWords
	line, text, _ := strings.Cut(line, "#")
	w.text = strings.TrimLeft(text, " \t")
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		low := strings.ToLower(word)
		switch {
		case low == "up" || low == "down" || low == "stopped" || low == "fail":
			w.health = low
		case low == "ready" || low == "drain" || low == "maint":
			w.admin = low
		case word[0] >= '0' && word[0] <= '9' && strings.Contains(word, "%"):
			w.weight = word
		case strings.HasPrefix(low, "maxconn:"):
			w.maxconn = word[len("maxconn:"):]
		case strings.HasPrefix(low, "weight:"):
			w.weight = word[len("weight:"):]
		case w.unknown == "":
			w.unknown = word
		}
	}
	return w
}

// obey does what the agent said of state, weight and maxconn, and says what came of it.
func (s *Server) obey(w agentWords) outcome {
	warning := ""
	note := func(err error) {
		if err != nil && warning == "" {
			warning = err.Error()
		}
	}
	if w.admin != "" {
		note(s.SetState(w.admin))
	}
	if w.weight != "" {
		note(s.SetWeight(w.weight))
	}
	if w.maxconn != "" {
		n, err := strconv.Atoi(w.maxconn)
		if err != nil || n < 0 {
			note(errors.New("maxconn string empty or preceded by garbage"))
		} else {
			s.SetMaxConn(n)
		}
	}
	odd := w.unknown
	if odd == "" {
		odd = warning
	}
	switch {
	case w.health != "":
		found := outcome{status: L7Status}
		reason := w.text
		if w.health == "up" {
			found.status = L7OK
		}
		if odd != "" && (reason == "" || found.status == L7OK) {
			reason = odd
		}
		found.info = "via agent : " + w.health
		if reason != "" {
			found.info += " (" + reason + ")"
		}
		return found
	case w.unknown != "":
		return outcome{status: statusChecked, info: "agent reports an error : " + w.unknown}
	case warning != "":
		return outcome{status: statusChecked, info: "agent warns : " + warning}
	}
	return outcome{status: statusChecked}
}

// agentSaid keeps an outcome and moves the server. An agent that cannot be asked says nothing about the server.
func (s *Server) agentSaid(o outcome, took time.Duration, decided bool) {
	s.mu.Lock()
	a := &s.agent
	news := o.status != a.status && o.status != statusChecked
	a.status, a.code, a.info, a.duration, a.last = o.status, o.code, o.info, took, time.Now()
	if decided {
		a.value = 0
		if o.status == L7OK {
			a.value = a.rise
		}
	}
	line := ""
	if news && s.backend.o.LogHealthChecks {
		line = s.checkLineLocked("Agent", &a.health)
	}
	to := s.op
	switch {
	case decided && a.value == 0:
		to = Stopped
	case decided && s.op == Stopped && (!s.health.enabled || s.health.value >= s.health.rise):
		to = Running
	}
	cause := ""
	if !s.backend.o.LogHealthChecks {
		cause = a.reason()
	}
	s.mu.Unlock()
	if line != "" {
		s.backend.log("notice", "%s.", line)
	}
	s.settle(to, cause)
}

var errNoAgent = errors.New("agent checks are not enabled on this server")

// AgentHost is where the agent is asked: agent-addr, else the server's address.
func (s *Server) AgentHost() string {
	switch h := s.agent.host.Load(); {
	case h != nil:
		return *h
	case s.o.Line.AgentAddr != "":
		return s.o.Line.AgentAddr
	}
	return s.Host()
}

// AgentPort is the port of the agent.
func (s *Server) AgentPort() int {
	if n := s.agent.port.Load(); n != 0 {
		return int(n)
	}
	return s.o.Line.AgentPort
}

// AgentSend is what is sent to the agent, "" for nothing.
func (s *Server) AgentSend() string {
	if t := s.agent.send.Load(); t != nil {
		return *t
	}
	return s.o.Line.AgentSend
}

// SetAgentAddr changes where the agent is asked.
func (s *Server) SetAgentAddr(ip netip.Addr) error {
	if !s.o.Line.AgentCheck {
		return errNoAgent
	}
	host := ip.String()
	s.agent.host.Store(&host)
	return nil
}

// SetAgentPort changes the port of the agent.
func (s *Server) SetAgentPort(n int) error {
	if !s.o.Line.AgentCheck {
		return errNoAgent
	}
	s.agent.port.Store(int32(n))
	return nil
}

// SetAgentSend changes what is sent to the agent.
func (s *Server) SetAgentSend(text string) error {
	if !s.o.Line.AgentCheck {
		return fmt.Errorf("%w.", errNoAgent)
	}
	s.agent.send.Store(&text)
	return nil
}

// SetAgent forces the agent's word: up or down (`set server agent`).
func (s *Server) SetAgent(word string) error {
	s.mu.Lock()
	a := &s.agent
	if !a.enabled {
		s.mu.Unlock()
		return fmt.Errorf("%w.", errNoAgent)
	}
	to := Running
	switch word {
	case "up":
		a.value = a.rise
	case "down":
		a.value, to = 0, Stopped
	default:
		s.mu.Unlock()
		return errors.New("'set server <srv> agent' expects 'up' or 'down'.")
	}
	s.mu.Unlock()
	s.settle(to, ", changed from CLI")
	return nil
}

// SetAgentChecks turns the agent check on or off (`enable agent`, `disable agent`).
func (s *Server) SetAgentChecks(on bool) error {
	s.mu.Lock()
	if on && !s.agent.configured {
		s.mu.Unlock()
		return errors.New("Agent was not configured on this server, cannot enable.")
	}
	s.agent.enabled = on
	if on {
		s.agent.value = s.agent.rise
	}
	s.mu.Unlock()
	s.life.kicked()
	return nil
}
