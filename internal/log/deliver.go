package log

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"gatehouse/internal/sock"
)

// settle is how long an outage must be over before that is said.
const settle = time.Second

// gather is the least time between two deliveries of a target. A line that comes alone leaves at once; under load lines leave together,
// which spares the goroutine, and whoever reads them, a wake-up per line. They leave earlier when there are burst of them: a socket's
// room for datagrams is small, and what finds it full is lost without a word.
const (
	gather = 5 * time.Millisecond
	burst  = 64
)

// Run delivers lines until ctx is done, then what still waits, for at most sendTimeout. A ring keeps its lines by itself.
func (t *Target) Run(ctx context.Context) error {
	if t.o.Ring != nil {
		<-ctx.Done()
		return nil
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	faults := make(chan string, 1)
	go func() {
		defer close(ended)
		t.deliver(quit, faults)
	}()
	t.watch(ctx, faults)
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

// watch tells what happens to the target until ctx is done. It stands beside deliver, which may hang in a write. An outage is over when
// lines arrived and nothing was lost for settle: a reader that is merely slow must not fill the log with its ups and downs.
func (t *Target) watch(ctx context.Context, faults <-chan string) {
	out := outage{name: t.name(), then: "lines are lost", say: t.o.Say}
	calm := time.NewTimer(settle)
	defer calm.Stop()
	var lost, delivered uint64
	fail := func(reason string) {
		lost, delivered = t.Dropped(), t.delivered.Load()
		out.fail(reason)
		calm.Reset(settle)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case reason := <-faults:
			fail(reason)
		case <-t.full:
			fail("its reader is too slow")
		case <-calm.C:
			switch {
			case !out.down:
				continue // the next outage starts the timer
			case t.Dropped() != lost:
				lost, delivered = t.Dropped(), t.delivered.Load()
			case t.delivered.Load() != delivered:
				out.over(lost)
				continue
			}
			calm.Reset(settle)
		}
	}
}

func (t *Target) name() string {
	if t.o.Network == "writer" {
		if f, ok := t.o.Writer.(*os.File); ok {
			return f.Name()
		}
	}
	return t.o.Addr
}

// deliver sends lines until quit is closed and nothing is left. It leaves the reason of a loss in faults, unless one lies there.
func (t *Target) deliver(quit <-chan struct{}, faults chan<- string) {
	s := sender{o: &t.o}
	defer s.close()
	var lines []byte
	var ends []int
	pause := time.NewTimer(0)
	defer pause.Stop()
	for last := false; ; {
		if !last {
			select {
			case <-pause.C:
			case <-t.many:
			case <-quit:
				last = true
			}
		}
		t.mu.Lock()
		lines, t.lines = t.lines, lines[:0]
		ends, t.ends = t.ends, ends[:0]
		t.mu.Unlock()
		lost := s.send(lines, ends)
		if lost > 0 {
			t.dropped.Add(uint64(lost))
			select {
			case faults <- s.reason():
			default:
			}
		}
		if lost < len(ends) {
			t.delivered.Add(uint64(len(ends) - lost))
		}
		if cap(lines) > keepQueue {
			lines = nil
		}
		if last && len(ends) == 0 {
			return
		}
		if !last {
			pause.Reset(gather)
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
	o     *Options
	conn  net.Conn
	out   *sock.Datagrams // of conn
	bad   bool            // the last call lost lines
	fault error
}

// reason is why the last call lost lines.
func (s *sender) reason() string {
	if s.fault != nil {
		return s.fault.Error()
	}
	return "nobody listens there"
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
	s.fault = nil
	if s.o.Network == "writer" {
		n, err := s.o.Writer.Write(lines)
		if err != nil {
			s.fault = err
			for _, end := range ends {
				if end > n {
					lost++
				}
			}
		}
		return lost
	}
	lost = s.datagrams(lines, ends)
	s.bad = lost > 0
	return lost
}

// datagrams sends each line as one, connecting again once when the socket broke: a syslog daemon that restarts leaves a dead one
// behind. A line that a working socket does not take within a second is given up.
func (s *sender) datagrams(lines []byte, ends []int) (lost int) {
	for at, again := 0, false; at < len(ends); {
		if err := s.connect(); err != nil {
			s.fault = err
			return lost + len(ends) - at
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		next, refused, err := s.out.Write(lines, ends, at, s.bad)
		again = again && next == at
		at, lost = next, lost+refused
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !late {
			s.close()
		}
		if err != nil && (late || again) {
			s.fault = err
			at, lost, again = at+1, lost+1, false
			continue
		}
		again = err != nil
	}
	return lost
}

func (s *sender) connect() error {
	if s.conn != nil {
		return nil
	}
	c, err := net.DialTimeout(s.o.Network, s.o.Addr, sendTimeout)
	if err != nil {
		return err
	}
	s.conn, s.out = c, sock.NewDatagrams(sock.New(c))
	return nil
}
