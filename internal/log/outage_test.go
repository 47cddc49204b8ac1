package log

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// In all of these, Write returns though nobody takes the lines: the loops below would never end otherwise.

func TestUnixSocketThatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var told said
	target, err := New(Options{Network: "unixgram", Addr: path, Format: "raw", Say: told.say})
	if err != nil {
		t.Fatal(err)
	}
	running(t, target.Run)
	for range 500 {
		target.Write(Info, []byte("lost"))
	}
	await(t, "the losses", func() bool { return target.Dropped() == 500 })
	await(t, "the warning", func() bool { return len(told.lines()) == 1 })
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	target.Write(Info, []byte("here"))
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 10)
	if n, _, err := conn.ReadFrom(buf); err != nil || string(buf[:n]) != "here\n" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	await(t, "the end of the outage", func() bool { // a fault told late asks for one more line
		target.Write(Info, []byte("more"))
		conn.ReadFrom(buf)
		return len(told.lines()) == 2
	})
	got := told.lines()
	if !strings.HasPrefix(got[0], "warning log target "+path+": ") || got[1] != "notice log target "+path+" takes lines again, 500 were lost" || target.Dropped() != 500 {
		t.Errorf("said %q, %d lost", got, target.Dropped())
	}
}

func TestUDPThatNobodyListensTo(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := conn.LocalAddr().String()
	conn.Close()
	var told said
	target, err := New(Options{Network: "udp", Addr: addr, Format: "raw", Say: told.say})
	if err != nil {
		t.Fatal(err)
	}
	running(t, target.Run)
	target.Write(Info, []byte("first"))
	total := uint64(1)
	await(t, "the warning", func() bool { // the machine tells with the next line
		target.Write(Info, []byte("next"))
		total++
		return len(told.lines()) > 0
	})
	if n := target.Dropped(); n == 0 || n > total {
		t.Errorf("%d lost of %d", n, total)
	}
	if got := told.lines(); len(got) != 1 || got[0] != "warning log target "+addr+": nobody listens there; lines are lost" {
		t.Errorf("said %q", got)
	}
}

func TestPipeThatIsFull(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var told said
	target, err := New(Options{Network: "writer", Writer: w, Format: "raw", Queue: 4096, Say: told.say})
	if err != nil {
		t.Fatal(err)
	}
	running(t, target.Run)
	total := uint64(20000)
	for i := range total { // 200 kB into a pipe of 64 that nobody reads
		target.Write(Info, fmt.Appendf(nil, "%09d", i))
	}
	await(t, "the warning", func() bool { return len(told.lines()) == 1 })
	got := make(chan uint64)
	go func() {
		n, buf := uint64(0), make([]byte, 4000)
		for {
			m, err := r.Read(buf)
			if n += uint64(strings.Count(string(buf[:m]), "\n")); err != nil {
				got <- n
				return
			}
		}
	}()
	await(t, "the queue", func() bool { return target.delivered.Load()+target.Dropped() == total })
	await(t, "the end of the outage", func() bool {
		target.Write(Info, []byte("after"))
		total++
		return len(told.lines()) == 2
	})
	await(t, "the last line", func() bool { return target.delivered.Load()+target.Dropped() == total })
	w.Close()
	if n, lost := <-got, target.Dropped(); lost == 0 || n+lost != total {
		t.Errorf("%d arrived and %d were lost of %d", n, lost, total)
	}
	if lines := told.lines(); !strings.HasSuffix(lines[0], "its reader is too slow; lines are lost") || !strings.HasSuffix(lines[1], fmt.Sprintf(" takes lines again, %d were lost", target.Dropped())) {
		t.Errorf("said %q", lines)
	}
}

// TestLinesAreWrittenBeforeAnyIsRead shows by the order of events that no target holds up who writes: everything is written to
// all of them before the first reader begins.
func TestLinesAreWrittenBeforeAnyIsRead(t *testing.T) {
	unix, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	ring := NewRing(RingOptions{})
	forward := NewForward(ForwardOptions{Ring: ring, Addr: tcp.Addr().String()})
	running(t, forward.Run)
	var logger Logger
	for _, o := range []Options{
		{Network: "unixgram", Addr: unix.LocalAddr().String()}, {Network: "writer", Writer: w}, {Network: "ring", Ring: ring},
		{Network: "unixgram", Addr: filepath.Join(t.TempDir(), "missing")}, {Network: "udp", Addr: "127.0.0.1:9"},
	} {
		o.Format, o.Queue = "raw", 64<<10
		target, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		running(t, target.Run)
		logger.Targets = append(logger.Targets, target)
	}
	line := make([]byte, 500)
	for range 5000 {
		logger.Send(Info, line)
	}
	for i, n := range []int{0, 1} { // those that have a reader who sleeps: the queue is full and the rest was counted
		await(t, "losses", func() bool { return logger.Targets[n].Dropped() > 0 })
		if lost := logger.Targets[n].Dropped(); lost > 5000 {
			t.Errorf("target %d lost %d of 5000", i, lost)
		}
	}
	go func() { // now the pipe has a reader, so that the target can end
		buf := make([]byte, 64<<10)
		for {
			if _, err := r.Read(buf); err != nil {
				return
			}
		}
	}()
}

// BenchmarkDatagrams is what a line costs its writer while a reader takes them.
func BenchmarkDatagrams(b *testing.B) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	s := sender{o: &Options{Network: "udp", Addr: conn.LocalAddr().String()}}
	defer s.close()
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var lines []byte
			var ends []int
			for range n {
				lines = append(lines, make([]byte, 200)...)
				ends = append(ends, len(lines))
			}
			b.ReportAllocs()
			for b.Loop() {
				s.send(lines, ends)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/line")
		})
	}
}
