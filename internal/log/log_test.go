package log

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is a writer that tests can read while it is written.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// written runs the target until all that was queued is delivered.
func written(t *testing.T, o Options, write func(*Target)) string {
	t.Helper()
	var s sink
	o.Network, o.Writer = "writer", &s
	target, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	write(target)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := target.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestFormats(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	const stamp = `[A-Z][a-z][a-z] [ 1-3][0-9] \d\d:\d\d:\d\d`
	const iso = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[-+]\d\d:\d\d`
	for _, tc := range []struct {
		o    Options
		want string
	}{
		{Options{}, `<134>` + stamp + ` haproxy\[` + pid + `\]: text`},
		{Options{Hostname: "box"}, `<134>` + stamp + ` box haproxy\[` + pid + `\]: text`},
		{Options{Format: "rfc3164"}, `<134>` + stamp + ` localhost haproxy\[` + pid + `\]: text`},
		{Options{Format: "local", Hostname: "box", Facility: "daemon", Tag: "edge"}, `<30>` + stamp + ` edge\[` + pid + `\]: text`},
		{Options{Format: "rfc5424", Hostname: "box"}, `<134>1 ` + iso + ` box haproxy ` + pid + ` - - text`},
		{Options{Format: "rfc5424"}, `<134>1 ` + iso + ` - haproxy ` + pid + ` - - text`},
		{Options{Format: "priority"}, `<134>text`},
		{Options{Format: "short"}, `<6>text`},
		{Options{Format: "timed"}, `<6>` + iso + ` text`},
		{Options{Format: "iso"}, iso + ` text`},
		{Options{Format: "raw"}, `text`},
	} {
		got := written(t, tc.o, func(l *Target) { l.Write(Info, []byte("text")) })
		if !regexp.MustCompile("^" + tc.want + "\n$").MatchString(got) {
			t.Errorf("%+v: got %q, want %s", tc.o, got, tc.want)
		}
	}
}

func TestLevels(t *testing.T) {
	got := written(t, Options{Format: "short", Level: "notice", MinLevel: "err"}, func(l *Target) {
		for level := Emerg; level <= Debug; level++ {
			l.Write(level, []byte(level.String()))
		}
	})
	if want := "<3>emerg\n<3>alert\n<3>crit\n<3>err\n<4>warning\n<5>notice\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLinesAreBoundedAndWhole(t *testing.T) {
	got := written(t, Options{Format: "raw", Len: 8}, func(l *Target) {
		l.Write(Info, []byte("0123456789"))
		l.Write(Info, []byte("a\nb\r\x00c"))
	})
	if want := "0123456\na b  c\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	var dropped uint64
	got := written(t, Options{Format: "raw", Queue: 10}, func(l *Target) {
		for range 10 {
			l.Write(Info, []byte("12345"))
		}
		dropped = l.Dropped()
	})
	if got != "12345\n12345\n" || dropped != 8 {
		t.Errorf("got %q and %d dropped, want two lines and 8", got, dropped)
	}
}

type failing struct{}

func (failing) Write(p []byte) (int, error) { return 2, errors.New("broken") }

func TestFailedWritesAreCounted(t *testing.T) {
	target, err := New(Options{Network: "writer", Writer: failing{}, Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	target.Write(Info, []byte("a"))
	target.Write(Info, []byte("b"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	target.Run(ctx)
	if target.Dropped() != 1 {
		t.Errorf("dropped %d, want the line that was not written", target.Dropped())
	}
}

func TestDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, network := range []string{"udp", "unixgram"} {
		var conn net.PacketConn
		var err error
		if network == "udp" {
			conn, err = net.ListenPacket("udp", "127.0.0.1:0")
		} else {
			conn, err = net.ListenPacket("unixgram", path)
		}
		if err != nil {
			t.Fatal(err)
		}
		target, err := New(Options{Network: network, Addr: conn.LocalAddr().String(), Format: "short"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); target.Run(ctx) }()
		logger := Logger{Targets: []*Target{target}}
		logger.Send(Notice, []byte("one"))
		logger.SendText("alert", "two")
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 100)
		for _, want := range []string{"<5>one\n", "<1>two\n"} {
			n, _, err := conn.ReadFrom(buf)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("%s: got %q, %v, want %q", network, buf[:n], err, want)
			}
		}
		cancel()
		<-ended
		conn.Close()
	}
}

func TestSyslogThatRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	first, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	s := sender{o: &Options{Network: "unixgram", Addr: path}}
	defer s.close()
	if s.send([]byte("a"), []int{1}) > 0 {
		t.Fatal("the first line was lost")
	}
	first.Close()
	os.Remove(path)
	if s.send([]byte("b"), []int{1}) == 0 {
		t.Error("a line was delivered to nobody")
	}
	second, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if s.send([]byte("c"), []int{1}) > 0 {
		t.Error("the line after the restart was lost")
	}
	second.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 10)
	if n, _, err := second.ReadFrom(buf); err != nil || string(buf[:n]) != "c" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, o := range []Options{
		{Network: "udp"}, {Network: "writer"}, {Network: "carrier", Addr: "pigeon"},
		{Network: "udp", Addr: "x", Format: "cbor"}, {Network: "udp", Addr: "x", Facility: "x"}, {Network: "udp", Addr: "x", Level: "x"},
		{Network: "udp", Addr: "x", MinLevel: "x"},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "\n") && !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWritingDoesNotAllocate(t *testing.T) {
	var s sink
	target, err := New(Options{Network: "writer", Writer: &s, Queue: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	l := Logger{Targets: []*Target{target}}
	msg := bytes.Repeat([]byte("x"), 200)
	for range 2000 { // fill the queue, so that it has its room
		l.Send(Info, msg)
	}
	target.lines, target.ends = target.lines[:0], target.ends[:0]
	if n := testing.AllocsPerRun(100, func() { l.Send(Info, msg) }); n > 0 {
		t.Errorf("allocations per line: %v", n)
	}
}
