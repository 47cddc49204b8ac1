// Package log carries log lines to where the configuration's `log` lines point: syslog over UDP or a unix datagram socket, or
// a descriptor such as standard output (HAProxy's configuration manual, section 3.1 `log`).
//
// A Target is one such place. Write copies the line into a bounded queue and returns; the goroutine of Run empties the queue, so that
// a slow reader costs lines, which are counted, and never time on the data path. A Logger is the set of targets of one
// proxy with its tag.
package log

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Level is a syslog severity; smaller is worse.
type Level uint8

// The severities of RFC 3164 section 4.1.1.
const (
	Emerg Level = iota
	Alert
	Crit
	Err
	Warning
	Notice
	Info
	Debug
)

var levels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// facilities stand at their RFC 3164 number.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	"uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// ParseLevel reads a severity's name.
func ParseLevel(name string) (Level, error) {
	if i := slices.Index(levels, name); i >= 0 {
		return Level(i), nil
	}
	return 0, fmt.Errorf("unknown log level %q", name)
}

// StartupWord is what stands before a message on stderr of that severity: "ALERT", "WARNING" or "NOTICE", as at HAProxy's start.
func StartupWord(level string) string {
	l, err := ParseLevel(level)
	switch {
	case err != nil || l >= Notice:
		return "NOTICE"
	case l == Warning:
		return "WARNING"
	}
	return "ALERT"
}

func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return strconv.Itoa(int(l))
}

// ParseFacility reads a facility's name.
func ParseFacility(name string) (int, error) {
	if i := slices.Index(facilities, name); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("unknown log facility %q", name)
}

// Formats lists the names of the line formats.
func Formats() []string {
	return []string{"rfc3164", "rfc5424", "local", "priority", "short", "timed", "iso", "raw"}
}

// Logger sends the lines of one proxy to all its targets. It is immutable; the zero value sends nowhere.
type Logger struct {
	Targets []*Target
	Samples []*Sample // of the target at the same place; nil, or short, sends all
	Tag     string    // "" means the targets' own
}

// Line is one line for the log, without its newline.
type Line struct {
	Text   []byte
	SD     []byte // structured data of RFC 5424, in brackets; nil: none
	Binary bool   // Text is no text and is sent as it is
}

// Sample lets some of the lines through: `sample 1,3:5` the first and third of every five.
type Sample struct {
	take []bool
	next atomic.Uint64
}

// NewSample makes a Sample of as many lines as take has; those that are true pass.
func NewSample(take []bool) *Sample { return &Sample{take: take} }

func (s *Sample) pass() bool {
	return s == nil || len(s.take) == 0 || s.take[(s.next.Add(1)-1)%uint64(len(s.take))]
}

// Send writes one line, without its newline, to every target.
func (l *Logger) Send(level Level, msg []byte) { l.SendLine(level, Line{Text: msg}) }

// SendLine is Send for a line that is more than text.
func (l *Logger) SendLine(level Level, line Line) {
	if l == nil {
		return
	}
	for i, t := range l.Targets {
		if level > t.max || i < len(l.Samples) && !l.Samples[i].pass() {
			continue
		}
		t.write(level, l.Tag, line)
	}
}

// SendText is Send for callers that know the level by name, as events do; an unknown name counts as notice.
func (l *Logger) SendText(level, text string) {
	if l == nil || len(l.Targets) == 0 {
		return
	}
	at, err := ParseLevel(level)
	if err != nil {
		at = Notice
	}
	l.Send(at, []byte(text))
}

// header appends what stands before the text of a line at now (surface 4.19, RFC 3164 and RFC 5424).
func (t *Target) header(dst []byte, format string, level Level, tag string, sd []byte, now time.Time) []byte {
	switch format {
	case "raw":
		return dst
	case "iso":
		return append(appendISO(dst, now), ' ')
	case "short":
		return priority(dst, int(level))
	case "timed":
		return append(appendISO(priority(dst, int(level)), now), ' ')
	case "priority":
		return priority(dst, t.facility<<3|int(level))
	}
	dst = priority(dst, t.facility<<3|int(level))
	if format == "rfc5424" {
		dst = append(dst, "1 "...)
		dst = append(appendISO(dst, now), ' ')
		dst = append(dst, orDash(t.o.Hostname)...)
		dst = append(dst, ' ')
		dst = append(dst, orDash(tag)...)
		dst = append(dst, ' ')
		dst = append(dst, t.pid...)
		dst = append(dst, " - "...)
		if len(sd) == 0 {
			return append(dst, "- "...)
		}
		at := len(dst)
		dst = append(append(dst, sd...), ' ')
		oneLine(dst[at:])
		return dst
	}
	dst = t.stamp.Append(dst, now)
	dst = append(dst, ' ')
	if format == "rfc3164" {
		host := t.o.Hostname
		if host == "" {
			host = "localhost"
		}
		dst = append(dst, host...)
		dst = append(dst, ' ')
	}
	if tag != "" {
		dst = append(dst, tag...)
		dst = append(dst, '[')
		dst = append(dst, t.pid...)
		dst = append(dst, "]: "...)
	}
	return dst
}

func priority(dst []byte, value int) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(value), 10)
	return append(dst, '>')
}

func appendISO(dst []byte, now time.Time) []byte {
	return now.AppendFormat(dst, "2006-01-02T15:04:05.000000-07:00")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
