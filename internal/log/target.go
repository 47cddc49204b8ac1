package log

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/stream"
)

// Options describe one log line of the configuration.
type Options struct {
	// Network is "udp" or "unixgram" with Addr a host:port or a path, "writer" with Writer set, or "ring" with Ring set.
	Network string
	Addr    string
	Writer  io.Writer // stdout, stderr or an inherited descriptor; each Write holds whole lines
	Ring    *Ring

	Facility string // "" is local0
	Format   string // "" is "rfc3164" with a Hostname, else "local"
	Len      int    // longest line with its header and newline; 0: 1024
	Level    string // worst lines only, up to this severity; "" is debug: all
	MinLevel string // lines that are worse are sent as this; "" is emerg: as they are
	Tag      string // "" is "haproxy"
	Hostname string // log-send-hostname

	Queue int // bytes that may wait; 0: 1 MiB

	Say func(level, text string) // is told, once each, that the target takes no lines and that it does again; nil: nobody. It may take its time.
}

const (
	defaultLen   = 1024
	defaultQueue = 1 << 20
	keepQueue    = 64 << 10 // room a queue keeps after a burst
	sendTimeout  = time.Second
)

// Target is one place that log lines go to. New makes it, any goroutine may Write, Run delivers.
type Target struct {
	o         Options
	facility  int
	max, min  Level
	pid       string
	stamp     *stream.Date // dates of RFC 3164
	dropped   atomic.Uint64
	delivered atomic.Uint64
	wake      chan struct{} // holds one token while lines wait
	many      chan struct{} // holds one token when burst lines have come to wait
	full      chan struct{} // holds one token when lines were dropped since Run last looked

	mu    sync.Mutex
	lines []byte // guarded by mu: waiting lines, each with its newline
	ends  []int  // guarded by mu: where each of them ends
}

// New makes a target; nothing is opened before Run.
func New(o Options) (*Target, error) {
	if o.Format == "" {
		o.Format = "local"
		if o.Hostname != "" {
			o.Format = "rfc3164"
		}
	}
	if !slices.Contains(Formats(), o.Format) {
		return nil, fmt.Errorf("unknown log format %q", o.Format)
	}
	if o.Facility == "" {
		o.Facility = "local0"
	}
	if o.Level == "" {
		o.Level = "debug"
	}
	if o.MinLevel == "" {
		o.MinLevel = "emerg"
	}
	if o.Tag == "" {
		o.Tag = "haproxy"
	}
	if o.Len <= 0 {
		o.Len = defaultLen
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	t := &Target{o: o, pid: strconv.Itoa(os.Getpid()), stamp: stream.NewDate(time.Stamp, false), wake: make(chan struct{}, 1), many: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	var errs [3]error
	t.facility, errs[0] = ParseFacility(o.Facility)
	t.max, errs[1] = ParseLevel(o.Level)
	t.min, errs[2] = ParseLevel(o.MinLevel)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	switch {
	case o.Network == "writer" && o.Writer != nil, o.Network == "ring" && o.Ring != nil, (o.Network == "udp" || o.Network == "unixgram") && o.Addr != "":
		return t, nil
	}
	return nil, fmt.Errorf("log target %q %q names no place", o.Network, o.Addr)
}

// Dropped counts lines that found the queue full or could not be delivered.
func (t *Target) Dropped() uint64 { return t.dropped.Load() }

// Write queues one line, without its newline. It never waits for the reader.
func (t *Target) Write(level Level, msg []byte) { t.write(level, "", Line{Text: msg}) }

func (t *Target) write(level Level, tag string, line Line) {
	if level > t.max {
		return
	}
	level = max(level, t.min)
	if tag == "" {
		tag = t.o.Tag
	}
	now := time.Now()
	if t.o.Ring != nil {
		t.o.Ring.write(t, level, tag, line, now)
		return
	}
	t.mu.Lock()
	start := len(t.lines)
	if start >= t.o.Queue {
		t.mu.Unlock()
		t.dropped.Add(1)
		signal(t.full)
		return
	}
	t.lines = t.header(t.lines, t.o.Format, level, tag, line.SD, now)
	at := len(t.lines)
	t.lines = append(t.lines, line.Text...)
	if n := start + t.o.Len - 1; len(t.lines) > n {
		t.lines = t.lines[:n]
	}
	if !line.Binary {
		oneLine(t.lines[min(at, len(t.lines)):])
	}
	t.lines = append(t.lines, '\n')
	t.ends = append(t.ends, len(t.lines))
	waiting := len(t.ends)
	t.mu.Unlock()
	switch waiting {
	case 1:
		signal(t.wake)
	case burst:
		signal(t.many)
	}
}

// signal leaves a token unless there is one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// oneLine makes sure that one event is one line, whatever its text holds (threat H16). Formats escape what clients send; this
// is the last resort for everything else.
func oneLine(b []byte) {
	for i, c := range b {
		if c == '\n' || c == '\r' || c == 0 {
			b[i] = ' '
		}
	}
}
