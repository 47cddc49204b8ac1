package engine

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/log"
	"gatehouse/internal/proxy"
	"gatehouse/internal/rule"
)

// logTarget is one place that log lines go to, shared by all sections and generations that name it alike.
type logTarget struct {
	*log.Target
	task *task // nil until it was started
}

// logger collects the targets of a section.
func (b *builder) logger(p *config.Proxy) *log.Logger {
	l := &log.Logger{Tag: p.LogTag}
	for _, line := range p.Logs {
		if t := b.target(line); t != nil {
			l.Targets = append(l.Targets, t.Target)
			l.Samples = append(l.Samples, b.sample(line))
		}
	}
	return l
}

// sample is what lets lines of a log line through. Sections that took the line over from the global section count together, as in
// HAProxy.
func (b *builder) sample(line config.Log) *log.Sample {
	if line.Sample == "" {
		return nil
	}
	if s := b.samples[line.Pos]; s != nil {
		return s
	}
	slots, err := config.SampleSlots(line.Sample)
	if err != nil {
		b.diags.Alert(line.Pos, "'log' : %v", err)
		return nil
	}
	s := log.NewSample(slots)
	b.samples[line.Pos] = s
	return s
}

// target finds or makes the target of one log line.
func (b *builder) target(line config.Log) *logTarget {
	g := &b.cfg.Global
	o := log.Options{
		Facility: line.Facility, Format: line.Format, Len: line.Len, Level: line.Level, MinLevel: line.MinLevel, Tag: g.LogTag,
	}
	if g.LogSendHost != nil {
		if o.Hostname = *g.LogSendHost; o.Hostname == "" {
			o.Hostname = b.host
		}
	}
	a := line.Addr
	switch a.Network {
	case "udp":
		port := a.Port
		if port == 0 {
			port = 514
		}
		address := a.Host
		if a.IP.IsValid() {
			address = a.IP.String()
		}
		o.Network, o.Addr = "udp", net.JoinHostPort(address, strconv.Itoa(port))
	case "unixgram", "unix":
		o.Network, o.Addr = "unixgram", a.Path
	case "stdout":
		o.Network, o.Writer = "writer", os.Stdout
	case "stderr":
		o.Network, o.Writer = "writer", os.Stderr
	case "ring":
		if o.Ring = b.namedRing(line.Ring()); o.Ring == nil {
			return nil // the configuration's own check told it
		}
		o.Network, o.Addr = "ring", a.Text
	case "tcp":
		o.Network, o.Addr, o.Ring = "ring", a.Text, b.implicitRing(line)
	case "fd":
		w, err := inheritedWriter(a.FD)
		if err != nil {
			b.diags.Alert(line.Pos, "'log' : %v", err)
			return nil
		}
		o.Network, o.Writer = "writer", w
	default:
		b.diags.Alert(line.Pos, "'log' : address '%s' is not supported", a.Text)
		return nil
	}
	if a.Network != "stderr" { // there is no better place to complain than stderr
		o.Say = b.e.sayLog
	}
	key := fmt.Sprintf("%s %s %d|%s|%s|%d|%s|%s|%s|%s", a.Network, o.Addr, a.FD, o.Facility, o.Format, o.Len, o.Level, o.MinLevel, o.Tag, o.Hostname)
	if t := b.plan.logs[key]; t != nil {
		return t
	}
	b.e.mu.Lock()
	t := b.e.logs[key]
	b.e.mu.Unlock()
	if t == nil {
		made, err := log.New(o)
		if err != nil {
			b.diags.Alert(line.Pos, "'log' : %v", err)
			return nil
		}
		t = &logTarget{Target: made}
	}
	b.plan.logs[key] = t
	return t
}

func inheritedWriter(fd int) (io.Writer, error) {
	f, err := host.Inherited(fd)
	if err != nil {
		return nil, fmt.Errorf("fd@%d: %w", fd, err)
	}
	return f, nil
}

// swapLogs starts the plan's targets and stops those that no section names any more, after their last lines.
func (e *Engine) swapLogs(next map[string]*logTarget) {
	for _, t := range next {
		if t.task == nil {
			t.task = e.group.start(func(ctx context.Context) {
				if err := t.Run(ctx); err != nil {
					e.notify("WARNING", "log target: %v", err)
				}
			})
		}
	}
	for key, t := range e.logs {
		if next[key] == nil {
			e.group.stop(t.task)
		}
	}
	e.logs = next
}

// accessLog compiles the log line of a frontend: its own format, or the one its options name, or the short default of HAProxy
// when a log target exists without any of them.
func (b *builder) accessLog(p *config.Proxy, c *rule.Compiler) (a proxy.AccessLog) {
	a = proxy.AccessLog{
		Logger: b.logger(p), DontLogNull: p.DontLogNull, DontLogNormal: p.DontLogNormal, ASAP: p.LogASAP, SeparateErrors: p.LogSeparateErrors,
	}
	defer func() { // faults of a format are told even when nothing is logged
		if len(a.Logger.Targets) == 0 {
			a.Format, a.SD, a.Error = nil, nil, nil
		}
	}()
	http := p.Mode == "http"
	text := config.Text{Pos: p.Pos}
	switch {
	case p.LogFormat != nil:
		text = *p.LogFormat
	case p.CLFLog && http && p.HTTPLog:
		text.Text = rule.HTTPCLF
	case p.CLFLog:
		text.Text = rule.TCPCLF
	case p.HTTPSLog && http:
		text.Text = rule.HTTPSLog
	case p.HTTPLog && http:
		text.Text = rule.HTTPLog
	case p.TCPLog, p.HTTPLog, p.HTTPSLog:
		text.Text = rule.TCPLog
	default:
		text.Text = shortLog(http)
	}
	a.Format = c.Format(text.Text, text.Pos, http)
	if p.LogFormatSD != nil {
		a.SD = c.Format(p.LogFormatSD.Text, p.LogFormatSD.Pos, http)
	}
	if p.ErrorLogFormat != nil {
		a.Error = c.Format(p.ErrorLogFormat.Text, p.ErrorLogFormat.Pos, http)
	}
	return a
}

// shortLog is what HAProxy logs when a frontend has a log target and no format (manual section 8.2.1).
func shortLog(http bool) string {
	if http {
		return "Connect from %ci:%cp to %fi:%fp (%f/HTTP)"
	}
	return "Connect from %ci:%cp to %fi:%fp (%f/TCP)"
}
