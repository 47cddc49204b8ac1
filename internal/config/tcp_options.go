package config

import (
	"strings"
	"time"
)

// Probes are the parameters of TCP keepalive probes; zero fields are the system's.
type Probes struct {
	Count    int           // probes without an answer that end a connection
	Idle     time.Duration // silence before the first
	Interval time.Duration // between two
}

// sideMissing warns that a keyword of one side stands in a section that has the other only.
func (p *parser) sideMissing(what string, client bool) bool {
	here, side := inDBE, "backend"
	if client {
		here, side = inDFE, "frontend"
	}
	if p.place()&here != 0 {
		return false
	}
	p.warning("%s will be ignored because %s '%s' has no %s capability", what, typeName(p.px), p.px.Name, side)
	return true
}

// proxyProbes reads clitcpka-cnt, -idle and -intvl and their srvtcpka forms.
func (p *parser) proxyProbes(s *statement) {
	name, word := s.arg(0), s.arg(1)
	if word == "" {
		p.alert("'%s' expects an integer value", name)
		return
	}
	client := strings.HasPrefix(name, "cli")
	probes := &s.px.ServerProbes
	if client {
		probes = &s.px.ClientProbes
	}
	if strings.HasSuffix(name, "-cnt") {
		n, used := strtol(word)
		if used != len(word) {
			p.alert("'%s' : unexpected character '%c' in integer value '%s'", name, word[used], word)
			return
		}
		p.sideMissing(name, client)
		probes.Count = n
		return
	}
	d, err := ParseTime(word, time.Second)
	switch {
	case err == ErrTimeOver:
		p.alert("timer overflow in argument '%s' to '%s' (maximum value is 2147483647 ms or ~24.8 days)", word, name)
	case err == ErrTimeUnder:
		p.alert("timer underflow in argument '%s' to '%s' (minimum non-null value is 1 ms)", word, name)
	case err != nil:
		p.alert("unexpected character '%c' in argument to <%s>.", badChar(err), name)
	default:
		p.sideMissing(name, client)
		if strings.HasSuffix(name, "-idle") {
			probes.Idle = d
		} else {
			probes.Interval = d
		}
	}
}

// proxyRateLimit reads rate-limit sessions.
func (p *parser) proxyRateLimit(s *statement) {
	name, what, word := s.arg(0), s.arg(1), s.arg(2)
	switch {
	case what != "sessions":
		p.alert("'%s' only supports 'sessions' (got '%s')", name, what)
		return
	case word == "":
		p.alert("'%s %s' expects expects an integer value (in sessions/second)", name, what)
		return
	}
	n, used := strtol(word)
	if used != len(word) || n < 0 {
		p.alert("'%s %s' : unexpected character '%c' in integer value '%s'", name, what, word[min(used, len(word)-1)], word)
		return
	}
	if !p.sideMissing(name+" "+what, true) {
		if def := p.state[s.px].def; def != nil && s.px.SessionLimit != def.px.SessionLimit || def == nil && s.px.SessionLimit != 0 {
			p.warning("overwriting %s %s which was already specified", name, what)
		}
	}
	s.px.SessionLimit = n
}
