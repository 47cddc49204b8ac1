package backend

import (
	"net/netip"

	"gatehouse/internal/stats"
)

// restore gives a server that no generation has had before the state that an earlier process wrote (load-server-state-from-file): what
// operators and checks changed, where the configuration did not change since. It is silent, since nothing happens to the server now.
func (s *Server) restore(v *stats.ServerState) {
	s.mu.Lock()
	s.restoreHealthLocked(v)
	s.restoreAdminLocked(v)
	l := s.life
	l.lastChange = v.LastChange
	if l.health.configured && v.CheckState&checkConfigured != 0 && v.CheckState&checkEnabled == 0 {
		l.health.enabled = false
	}
	if l.agent.configured && v.AgentState&checkConfigured != 0 && v.AgentState&checkEnabled == 0 {
		l.agent.enabled = false
	}
	if v.IWeight == l.initial {
		l.weight.Store(int32(v.UWeight))
	}
	l.refreshLocked()
	s.mu.Unlock()
	s.restorePlace(v)
}

// The bits of srv_check_state and srv_agent_state.
const (
	checkConfigured = 2
	checkEnabled    = 4
)

func (s *Server) restoreHealthLocked(v *stats.ServerState) {
	h := &s.life.health
	full := h.rise + h.fall - 1
	op := OpState(v.OpState)
	switch {
	case op == Starting && h.rise == 1:
		op = Running
	case op == Stopping && h.fall == 1:
		op = Stopped
	}
	h.value = v.CheckHealth
	switch op {
	case Stopped:
		h.value = 0
	case Starting:
		if h.value < 1 || h.value >= h.rise {
			h.value = h.rise - 1
		}
	case Stopping:
		if h.value < h.rise || h.value > full-1 {
			h.value = h.rise
		}
	default:
		h.value = full
	}
	if h.configured && v.CheckStatus < len(statusTexts) {
		h.status = Status(v.CheckStatus)
	}
	if s.op != Stopped { // not in maintenance by the configuration
		s.op = op
	}
}

// restoreAdminLocked lets a change of the configuration win over the earlier state, and that over a configuration that stayed.
func (s *Server) restoreAdminLocked(v *stats.ServerState) {
	h := &s.life.health
	was, disabled := Admin(v.AdminState), s.admin&ConfigMaint != 0
	switch {
	case disabled && was&ConfigMaint == 0: // became disabled
	case disabled && was&ForcedMaint == 0: // an operator made it ready
		s.admin &^= ForcedMaint | ConfigMaint
		h.paused = false
		if s.op = OpState(v.OpState); s.op == Stopped {
			h.value = 0
		}
	case !disabled && was&ConfigMaint != 0: // is enabled now, and nobody knows how it is
		h.value, s.op = h.rise, Running
	case !disabled && was&ForcedMaint != 0:
		s.admin |= ForcedMaint
	}
	if s.admin&ForcedMaint != 0 {
		s.op, h.value, h.paused = Stopped, 0, h.enabled
	} else if was&ForcedDrain != 0 && (v.IWeight > 0 || s.initial == 0) {
		s.admin |= ForcedDrain
	}
}

// restorePlace lets checks, agents and requests go where they went.
func (s *Server) restorePlace(v *stats.ServerState) {
	if now := s.where; now.network == "tcp" && now.host != "" && now.port != v.Port {
		moved := placeAt(now.host, v.Port, now.relative)
		s.moved.Store(&moved)
	}
	if s.tls != nil && v.SSL >= 0 && v.SSL != s.TLS() {
		s.speaks.Store([...]int32{tlsOff, tlsOn}[min(v.SSL, 1)])
	}
	if s.o.Line.Check {
		if v.CheckPort != s.o.Line.CheckPort {
			s.port.Store(int32(v.CheckPort))
		}
		if ip, err := netip.ParseAddr(v.CheckAddr); err == nil {
			s.checkHost.Store(&ip)
		}
	}
	if ip, err := netip.ParseAddr(v.AgentAddr); err == nil {
		_ = s.SetAgentAddr(ip) // a server without agent was told of
	}
	if v.AgentPort != 0 {
		_ = s.SetAgentPort(v.AgentPort)
	}
}
