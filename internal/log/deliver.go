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

// Run delivers lines until ctx is done, then what still waits, for at most sendTimeout. A ring keeps its lines by itself.
func (t *Target) Run(ctx context.Context) error {
	if t.o.Ring != nil {
		<-ctx.Done()
		return nil
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	states := make(chan state, 1)
	go func() {
		defer close(ended)
		t.deliver(quit, states)
	}()
	t.watch(ctx, states)
	close(quit)
	// A descriptor whose reader hangs cannot be given a deadline; the process must end all the same.
	timer := time.NewTimer(sendTimeout)
	defer timer.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-timer.C:
			return nil
		case <-states:
		}
	}
}

// state is what deliver learned about the target: why lines are lost, "" when they are taken.
type state struct{ fault string }

// watch tells what happens to the target until ctx is done. It stands beside deliver, which may hang in a write. An outage is over when
// nothing was lost for settle: a reader that is merely slow must not fill the log with its ups and downs.
func (t *Target) watch(ctx context.Context, states <-chan state) {
	out := outage{name: t.name(), then: "lines are lost", say: t.o.Say}
	calm := time.NewTimer(settle)
	defer calm.Stop()
	fail := func(reason string) {
		calm.Stop()
		out.fail(reason)
	}
	lost := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-states:
			if s.fault != "" {
				fail(s.fault)
				continue
			}
			lost = t.Dropped()
			calm.Reset(settle)
		case <-t.full:
			fail("its reader is too slow")
		case <-calm.C:
			if t.Dropped() == lost {
				out.over(lost)
			}
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

// deliver sends lines until quit is closed and nothing is left. It leaves what it learns in states, of which the newest counts.
func (t *Target) deliver(quit <-chan struct{}, states chan state) {
	s := sender{o: &t.o}
	defer s.close()
	var lines []byte
	var ends []int
	bad, before := false, uint64(0)
	for last := false; ; {
		t.mu.Lock()
		lines, t.lines = t.lines, lines[:0]
		ends, t.ends = t.ends, ends[:0]
		t.mu.Unlock()
		lost := s.send(lines, ends)
		if lost > 0 {
			t.dropped.Add(uint64(lost))
		}
		if now := t.Dropped(); len(ends) > 0 && (lost > 0 || bad || now != before) {
			bad, before = lost > 0, now
			tellNewest(states, s.state(lost))
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

// tellNewest replaces what nobody took yet.
func tellNewest(states chan state, s state) {
	select {
	case <-states:
	default:
	}
	states <- s // there is room: nobody else sends
}

// sender holds the socket of a target; it belongs to the goroutine of deliver.
type sender struct {
	o     *Options
	conn  net.Conn
	out   *sock.Datagrams // of conn
	bad   bool            // the last call lost lines
	fault error
}

func (s *sender) state(lost int) state {
	switch {
	case lost == 0:
		return state{}
	case s.fault != nil:
		return state{s.fault.Error()}
	}
	return state{"nobody listens there"}
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
