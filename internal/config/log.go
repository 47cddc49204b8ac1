package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	logFormats    = []string{"local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw"}
	logFacilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

// syslogPort is where a log address without port goes.
const syslogPort = 514

// logLine reads `log ...` or `no log` and returns the list that results (manual section 3.1 and 4.2).
func (p *parser) logLine(s *statement, logs []Log) []Log {
	if s.no {
		if s.arg(1) != "" {
			p.alert("%s : 'no log' does not expect arguments", s.arg(0))
			return logs
		}
		return nil
	}
	inGlobal := p.section.Name == "global"
	if s.arg(1) == "global" && s.arg(2) == "" {
		if inGlobal {
			p.alert("%s : 'global' is not supported for a global syslog server", s.arg(0))
			return logs
		}
		return p.globalTargets(s, logs)
	}
	l, err := p.logTarget(s, inGlobal)
	if err != nil {
		p.alert("%s : %s", s.arg(0), err)
		return logs
	}
	return append(logs, l)
}

// globalTargets copies the global targets declared so far, each once.
func (p *parser) globalTargets(s *statement, logs []Log) []Log {
	s.px.LogGlobal = true
	for _, g := range p.cfg.Global.Logs {
		g.FromGlobal = true
		if !slices.ContainsFunc(logs, func(l Log) bool { return l == g }) {
			logs = append(logs, g)
		}
	}
	return logs
}

func (p *parser) proxyLog(s *statement) {
	s.px.Logs = p.logLine(s, s.px.Logs)
	if s.no {
		s.px.LogGlobal = false
	}
}

// logTarget reads the words of one target in HAProxy's fixed order.
func (p *parser) logTarget(s *statement, inGlobal bool) (Log, error) {
	l := Log{Pos: s.pos}
	if s.arg(1) == "" || s.arg(2) == "" {
		global := "or global"
		if inGlobal {
			global = ""
		}
		return l, fmt.Errorf("expects <address> and <facility> %s as arguments", global)
	}
	i := 2
	if s.arg(i) == "len" {
		if l.Len = atol(s.arg(i + 1)); l.Len < 80 || l.Len > 65535 {
			return l, fmt.Errorf("invalid log length '%s', must be between 80 and 65535", s.arg(i+1))
		}
		i += 2
	}
	if s.arg(i) == "format" {
		if l.Format = s.arg(i + 1); !slices.Contains(logFormats, l.Format) {
			return l, fmt.Errorf("unknown log format '%s'", l.Format)
		}
		i += 2
	}
	if s.arg(i) == "sample" {
		l.Sample = s.arg(i + 1)
		if _, err := SampleSlots(l.Sample); err != nil {
			return l, err
		}
		i += 2
	}
	if s.arg(i) == "profile" {
		return l, fmt.Errorf("'profile' is not supported")
	}
	if l.Facility = s.arg(i); !slices.Contains(logFacilities, l.Facility) {
		return l, fmt.Errorf("unknown log facility '%s'", l.Facility)
	}
	if l.Level = s.arg(i + 1); l.Level != "" && !slices.Contains(logLevels, l.Level) {
		return l, fmt.Errorf("unknown optional log level '%s'", l.Level)
	}
	if l.MinLevel = s.arg(i + 2); l.MinLevel != "" && !slices.Contains(logLevels, l.MinLevel) {
		return l, fmt.Errorf("unknown optional minimum log level '%s'", l.MinLevel)
	}
	if extra := s.arg(i + 3); extra != "" {
		return l, fmt.Errorf("cannot handle unexpected argument '%s'", extra)
	}
	return p.logAddr(l, s.arg(1))
}

// maxSample bounds the period of a sample.
const maxSample = 65536

// SampleSlots reads `sample RANGES:SIZE` of a log line: which of every SIZE lines, counted from 1, are sent.
func SampleSlots(text string) ([]bool, error) {
	ranges, sizeText, ok := strings.Cut(text, ":")
	if !ok {
		return nil, fmt.Errorf("Missing sample size")
	}
	if ranges == "" {
		return nil, fmt.Errorf("no sampling ranges given")
	}
	size, err := strconv.ParseUint(sizeText, 10, 32)
	if err != nil || size == 0 || size > maxSample {
		return nil, fmt.Errorf("wrong sample size '%s' for sample range '%s'", sizeText, ranges)
	}
	slots, highest := make([]bool, size), uint64(0)
	for r := range strings.SplitSeq(ranges, ",") {
		first, last, isRange := strings.Cut(r, "-")
		if !isRange {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 32)
		high, err2 := strconv.ParseUint(last, 10, 32)
		if err1 != nil || err2 != nil || low == 0 || high < low {
			return nil, fmt.Errorf("malformed sampling range '%s'", r)
		}
		if highest = max(highest, high); highest > size {
			return nil, fmt.Errorf("sample size %d should be greater or equal to %d the maximum of the high ranges limits", size, highest)
		}
		for n := low; n <= high; n++ {
			if slots[n-1] {
				return nil, fmt.Errorf("ranges are overlapping at %d", n)
			}
			slots[n-1] = true
		}
	}
	return slots, nil
}

func (p *parser) logAddr(l Log, text string) (Log, error) {
	switch {
	case text == "stdout" || text == "stderr":
		l.Addr = Addr{Text: text, Network: text, FD: 1 + slices.Index([]string{"stdout", "stderr"}, text)}
		return l, nil
	case strings.HasPrefix(text, "ring@"):
		l.Addr = Addr{Text: text, Network: "ring", Host: text[len("ring@"):]}
		return l, nil
	case strings.HasPrefix(text, "backend@"):
		return l, fmt.Errorf("log target '%s' is not supported", text)
	}
	addrs, err := ParseAddr(p.expandAddr(text), AddrLog)
	if err != nil {
		return l, err
	}
	if err := p.resolve(addrs); err != nil {
		return l, err
	}
	l.Addr = addrs[0]
	if l.Addr.Network == "udp" || l.Addr.Network == "tcp" {
		if l.Addr.Port == 0 {
			l.Addr.Port, l.Addr.NoPort = syslogPort, false
		}
	}
	return l, nil
}
