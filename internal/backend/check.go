package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
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

// checkStart spreads the first checks of the backend's servers over one interval; the first server is asked at once.
func (b *Backend) checkStart(index int) time.Duration {
	n, at := 0, 0
	for i, s := range b.servers {
		if s.checked() {
			if i < index {
				at++
			}
			n++
		}
	}
	inter := firstSet(b.servers[index].o.Line.Inter, 2*time.Second)
	if n < 2 || inter < time.Second { // HAProxy spreads only intervals of a second and more
		return 0
	}
	return inter * time.Duration(at) / time.Duration(n)
}

// kicked wakes the check loop because an operator changed something.
func (l *life) kicked() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// watch checks the server until ctx is done or a later generation has taken over.
func (s *Server) watch(ctx context.Context, delay time.Duration) {
	s.checker.Store(s.backend)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.kick:
		}
		if s.checker.Load() != s.backend {
			return
		}
		next := s.checkOnce(ctx)
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
		line = s.checkLineLocked()
	}
	to := s.op
	switch {
	case h.value == 0:
		to = Stopped
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
func (s *Server) checkLineLocked() string {
	h := &s.life.health
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
	return fmt.Sprintf("Health check for %s %s/%s %s%s, status: %d/%d %s", who, s.backend.o.Name, s.Name(), how, h.reason(), done, of, state)
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

// checkTLS reports whether checks speak TLS: check-ssl says so, or the server does and the check goes to the same place.
func (s *Server) checkTLS() bool {
	line := &s.o.Line
	if line.CheckSSL != nil {
		return *line.CheckSSL && s.o.TLS != nil
	}
	return s.tls != nil && line.CheckPort == 0 && line.CheckAddr == ""
}

// checkConfig is the TLS configuration of checks: never resumed, or a check would prove less than a handshake.
func (s *Server) checkConfig() *tls.Config {
	t := s.tls
	if t == nil {
		t = newClient(s.o.TLS, s.o.Line.CheckSNI != "")
	}
	cfg := t.config(s.o.Line.CheckSNI)
	cfg.ClientSessionCache = nil
	return cfg
}

// checkTarget is where checks connect to: the server's address unless `addr` or `port` say otherwise.
func (s *Server) checkTarget() (network, address string) {
	line := &s.o.Line
	if s.network == "unix" || (line.CheckPort == 0 && line.CheckAddr == "" && s.address != "") {
		return s.network, s.address
	}
	host, port := line.CheckAddr, line.CheckPort
	if host == "" {
		host = serverHost(s.o)
	}
	if port == 0 {
		port = line.Addr.Port
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
