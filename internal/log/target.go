package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/sock"
)

// Options describe one log line of the configuration.
type Options struct {
	// Network is "udp" or "unixgram" with Addr a host:port or a path, or "writer" with Writer set.
	Network string
	Addr    string
	Writer  io.Writer // stdout, stderr or an inherited descriptor; each Write holds whole lines

	Facility string // "" is local0
	Format   string // "" is "rfc3164" with a Hostname, else "local"
	Len      int    // longest line with its header and newline; 0: 1024
	Level    string // worst lines only, up to this severity; "" is debug: all
	MinLevel string // lines that are worse are sent as this; "" is emerg: as they are
	Tag      string // "" is "haproxy"
	Hostname string // log-send-hostname

	Queue int // bytes that may wait; 0: 1 MiB
}

const (
	defaultLen   = 1024
	defaultQueue = 1 << 20
	keepQueue    = 64 << 10 // room a queue keeps after a burst
	sendTimeout  = time.Second
)

// Target is one place that log lines go to. New makes it, any goroutine may Write, Run delivers.
type Target struct {
	o        Options
	facility int
	max, min Level
	pid      string
	dropped  atomic.Uint64
	wake     chan struct{} // holds one token while lines wait

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
	t := &Target{o: o, pid: strconv.Itoa(os.Getpid()), wake: make(chan struct{}, 1)}
	var errs [3]error
	t.facility, errs[0] = ParseFacility(o.Facility)
	t.max, errs[1] = ParseLevel(o.Level)
	t.min, errs[2] = ParseLevel(o.MinLevel)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	switch {
	case o.Network == "writer" && o.Writer != nil, (o.Network == "udp" || o.Network == "unixgram") && o.Addr != "":
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
	t.mu.Lock()
	start := len(t.lines)
	if start >= t.o.Queue {
		t.mu.Unlock()
		t.dropped.Add(1)
		return
	}
	t.lines = t.header(t.lines, level, tag, line.SD, now)
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
	t.mu.Unlock()
	if start == 0 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
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

// Run delivers lines until ctx is done, then what still waits, for at most sendTimeout.
func (t *Target) Run(ctx context.Context) error {
	quit := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.deliver(quit)
	}()
	<-ctx.Done()
	close(quit)
	// A descriptor whose reader hangs cannot be given a deadline; the process must end all the same.
	timer := time.NewTimer(sendTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	return nil
}

func (t *Target) deliver(quit <-chan struct{}) {
	s := sender{o: &t.o}
	defer s.close()
	var lines []byte
	var ends []int
	for last := false; ; {
		t.mu.Lock()
		lines, t.lines = t.lines, lines[:0]
		ends, t.ends = t.ends, ends[:0]
		t.mu.Unlock()
		if lost := s.send(lines, ends); lost > 0 {
			t.dropped.Add(uint64(lost))
		}
		if cap(lines) > keepQueue {
			lines = nil
		}
		if last && len(ends) == 0 {
			return
		}
		if len(ends) > 0 {
			continue
		}
		select {
		case <-t.wake:
		case <-quit:
			last = true
		}
	}
}

// sender holds the socket of a target; it belongs to the goroutine of deliver.
type sender struct {
	o    *Options
	conn net.Conn
	out  *sock.IO // of conn
}

func (s *sender) close() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// send delivers lines and returns how many were lost.
func (s *sender) send(lines []byte, ends []int) (lost int) {
	if len(ends) == 0 {
		return 0
	}
	if s.o.Network == "writer" {
		if n, err := s.o.Writer.Write(lines); err != nil {
			for _, end := range ends {
				if end > n {
					lost++
				}
			}
		}
		return lost
	}
	start := 0
	for _, end := range ends {
		if !s.datagram(lines[start:end]) {
			lost++
		}
		start = end
	}
	return lost
}

// datagram sends one line, connecting again once when the socket broke: a syslog daemon that restarts leaves a dead one behind.
func (s *sender) datagram(line []byte) bool {
	for try := 0; try < 2; try++ {
		if s.conn == nil {
			c, err := net.DialTimeout(s.o.Network, s.o.Addr, sendTimeout)
			if err != nil {
				return false
			}
			s.conn, s.out = c, sock.New(c)
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		if _, err := s.out.Write(line); err == nil {
			return true
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		s.close()
	}
	return false
}
