package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// CheckOptions say how the servers of a backend are asked for their health.
type CheckOptions struct {
	Kind string     // "" or "tcp": connect; "http": option httpchk; "ssl-hello": option ssl-hello-chk
	HTTP *HTTPCheck // for "http"
}

// checked reports whether the server line asks for checks.
func (s *Server) checked() bool { return s.o.Line.Check }

// checkStart spreads the first checks of the process's servers over one interval; the first server is asked at once.
func (b *Backend) checkStart(index int) time.Duration {
	n, at := b.o.OtherChecks, b.o.ChecksBefore
	for i, s := range b.Servers() {
		if s.checked() {
			if i < index {
				at++
			}
			n++
		}
	}
	inter := firstSet(b.Servers()[index].o.Line.Inter, 2*time.Second)
	if n < 2 || inter < time.Second { // HAProxy spreads only intervals of a second and more
		return 0
	}
	return inter * time.Duration(at) / time.Duration(n)
}

// kicked wakes the check loops because an operator changed something.
func (l *life) kicked() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
	select {
	case l.agent.kick <- struct{}{}:
	default:
	}
}

// watch checks the server until ctx is done or a later generation has taken over.
func (s *Server) watch(ctx context.Context, delay time.Duration) {
	s.repeat(ctx, delay, &s.checker, s.kick, s.checkOnce)
}

// repeat asks once after another until ctx is done, the server is removed or a later generation has taken over.
func (s *Server) repeat(ctx context.Context, delay time.Duration, owner *atomic.Pointer[Backend], kick chan struct{}, once func(context.Context) time.Duration) {
	owner.Store(s.backend)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.gone:
			return
		case <-timer.C:
		case <-kick:
		}
		if owner.Load() != s.backend {
			return
		}
		next := once(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(s.backend.spread(next))
	}
}

// spread varies an interval by spread-checks percent, so that many checks do not fall on one moment.
func (b *Backend) spread(d time.Duration) time.Duration {
	span := d * time.Duration(min(max(b.o.SpreadChecks, 0), 50)) / 100
	if span <= 0 {
		return d
	}
	return d - span + rand.N(2*span)
}

// checkOnce asks the server, judges the answer and returns the wait until the next time.
func (s *Server) checkOnce(ctx context.Context) time.Duration {
	s.mu.Lock()
	h := &s.life.health
	if !h.enabled || h.paused {
		defer s.mu.Unlock()
		return s.intervalLocked()
	}
	h.running = true
	limit := s.intervalLocked()
	s.mu.Unlock()

	begin := time.Now()
	found := s.probe(ctx, limit)
	took := time.Since(begin)

	s.mu.Lock()
	h.running = false
	if ctx.Err() != nil || !h.enabled || h.paused { // the answer is not about the server any more
		defer s.mu.Unlock()
		return s.intervalLocked()
	}
	news := h.note(found, took, time.Now())
	line := ""
	if news && s.backend.o.LogHealthChecks {
		line = s.checkLineLocked("Health", h)
	}
	to := s.op
	switch {
	case h.value == 0:
		to = Stopped
	case s.agent.holdsDown():
	case h.value >= h.rise && found.status == L7OKConditional:
		to = Stopping
	case h.value >= h.rise && statusTexts[found.status].result == ResultPassed:
		to = Running
	}
	cause := ""
	if !s.backend.o.LogHealthChecks {
		cause = h.reason()
	}
	s.mu.Unlock()

	if line != "" {
		s.backend.log("notice", "%s.", line)
	}
	s.settle(to, cause)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intervalLocked()
}

// checkLineLocked is the line of option log-health-checks.
func (s *Server) checkLineLocked(kind string, h *health) string {
	who, how, state := "server", "failed", "DOWN"
	if s.o.Line.Backup {
		who = "backup server"
	}
	switch statusTexts[h.status].result {
	case ResultPassed:
		how = "succeeded"
	case ResultCondPass:
		how = "conditionally succeeded"
	}
	if h.value >= h.rise {
		state = "UP"
		if s.Weight() == 0 {
			state = "DRAIN"
		}
	}
	done, of := h.steps()
	return fmt.Sprintf("%s check for %s %s/%s %s%s, status: %d/%d %s", kind, who, s.backend.o.Name, s.Name(), how, h.reason(), done, of, state)
}

// probe runs one check. limit is the interval, which bounds what no timeout does.
func (s *Server) probe(ctx context.Context, limit time.Duration) outcome {
	o := &s.backend.o
	connect := limit
	if o.CheckTimeout > 0 {
		limit = o.CheckTimeout
		if o.ConnectTimeout > 0 {
			connect = min(connect, o.ConnectTimeout)
		}
	}
	begin := time.Now()
	network, address := s.checkTarget()
	within, cancel := context.WithTimeout(ctx, connect)
	defer cancel()
	c, err := s.backend.dial(within, network, address)
	if err != nil {
		return failed(err, within.Err() != nil, L4Connection, L4Timeout)
	}
	defer c.Close()
	if o.CheckTimeout > 0 {
		begin = time.Now() // timeout check runs from the end of the connection's establishment
	}
	c.SetDeadline(begin.Add(limit))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	defer stop()
	if hello := s.checkGreeting(c); hello != nil {
		if _, err := c.Write(hello); err != nil {
			return failed(err, false, SocketError, L4Timeout)
		}
	}
	return s.probeOn(c)
}

// probeOn runs what follows the TCP connection: TLS, then the backend's own question.
func (s *Server) probeOn(c net.Conn) outcome {
	found := outcome{status: L4OK}
	if s.checkTLS() {
		t := tls.Client(c, s.checkConfig())
		if err := t.Handshake(); err != nil {
			return failed(err, false, L6Response, L6Timeout)
		}
		c, found.status = t, L6OK
	}
	switch s.backend.o.Check.Kind {
	case "http":
		return s.backend.o.Check.HTTP.run(c)
	case "ssl-hello":
		return sslHello(c)
	}
	return found
}

// checkTLS reports whether checks speak TLS: check-ssl says so, or the server does and the check goes to the same place. Of a server added
// at run time nothing is guessed (management guide, "add server").
func (s *Server) checkTLS() bool {
	line := &s.o.Line
	if line.CheckSSL != nil {
		return *line.CheckSSL && s.o.TLS != nil
	}
	return !s.o.Dynamic && s.client() != nil && s.CheckPort() == 0 && s.CheckHost() == ""
}

// checkConfig is the TLS configuration of checks: never resumed, or a check would prove less than a handshake.
func (s *Server) checkConfig() *tls.Config {
	t := s.client()
	if t == nil {
		t = newClient(s.o.TLS, s.o.Line.CheckSNI != "")
	}
	cfg := t.config(s.o.Line.CheckSNI)
	if offer := s.o.Line.CheckALPN; offer != nil {
		cfg.NextProtos = slices.DeleteFunc(slices.Clone(offer), func(proto string) bool { return proto == "h2" }) // which checks do not speak
	}
	cfg.ClientSessionCache = nil
	return cfg
}

// checkTarget is where checks connect to: the server's address unless `addr` or `port` say otherwise.
func (s *Server) checkTarget() (network, address string) {
	w := s.place()
	host, port := s.CheckHost(), s.CheckPort()
	if w.network == "unix" || (port == 0 && host == "" && !w.relative) {
		return w.network, w.address
	}
	if host == "" {
		host = w.host
	}
	if port == 0 {
		port = w.port
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(port))
}

// failed turns an error of a check into its outcome, with the words HAProxy has for what the operating system said.
func failed(err error, expired bool, status, timeout Status) outcome {
	var ne net.Error
	if expired || (errors.As(err, &ne) && ne.Timeout()) {
		return outcome{status: timeout}
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return outcome{status: status, info: osText(errno)}
	case status == L6Response && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return outcome{status: status, info: "Connection closed during SSL handshake"}
	case status == L6Response:
		return outcome{status: status, info: "SSL handshake failure"}
	}
	return outcome{status: status}
}

// osText is HAProxy's name of a socket error and the system's sentence for it.
func osText(errno syscall.Errno) string {
	name := "General socket error"
	switch errno {
	case syscall.ECONNREFUSED:
		name = "ECONNREFUSED returned by OS"
	case syscall.ECONNRESET:
		name = "ECONNRESET returned by OS"
	case syscall.EPIPE:
		name = "EPIPE returned by OS"
	}
	return name + " (" + sentence(errno) + ")"
}

// sentence is the C library's text of an error, which differs from Go's in its first letter.
func sentence(errno syscall.Errno) string {
	text := errno.Error()
	if text != "" && text[0] >= 'a' && text[0] <= 'z' {
		return string(text[0]-'a'+'A') + text[1:]
	}
	return text
}
