package log

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// dump reads what a reader has.
func dump(d *RingReader) []string {
	buf, ends := d.Next(nil, nil, 1<<20, 0, nil, nil)
	var lines []string
	start := 0
	for _, end := range ends {
		lines = append(lines, string(buf[start:end]))
		start = end
	}
	return lines
}

func TestRingKeepsTheNewest(t *testing.T) {
	r := NewRing(RingOptions{Size: 40}) // four events of six bytes, each with its length
	d, late := r.Reader(false), r.Reader(true)
	for i := range 7 {
		r.Write(fmt.Appendf(nil, "event%d", i))
		if i == 1 {
			if got := dump(d); !slices.Equal(got, []string{"event0", "event1"}) {
				t.Fatalf("got %q", got)
			}
		}
	}
	if d.Lost() != 1 || late.Lost() != 3 {
		t.Errorf("lost %d and %d, want 1 and 3", d.Lost(), late.Lost())
	}
	want := []string{"event3", "event4", "event5", "event6"}
	if got := dump(d); !slices.Equal(got, want) || d.Lost() != 1 {
		t.Errorf("got %q, %d lost", got, d.Lost())
	}
	if got := dump(r.Reader(false)); !slices.Equal(got, want) {
		t.Errorf("a new reader got %q", got)
	}
	if got := dump(r.Reader(true)); got != nil {
		t.Errorf("a reader of new events got %q", got)
	}
}

func TestRingChangesItsSize(t *testing.T) {
	r := NewRing(RingOptions{Size: 64})
	for i := range 20 {
		r.Write(fmt.Appendf(nil, "%02d", i)) // ten fit
	}
	d := r.Reader(false)
	r.Configure(RingOptions{Size: 33}) // five
	if got := dump(d); !slices.Equal(got, []string{"15", "16", "17", "18", "19"}) || d.Lost() != 5 {
		t.Errorf("smaller: got %q, %d lost", got, d.Lost())
	}
	r.Configure(RingOptions{Size: 128})
	for i := range 10 {
		r.Write(fmt.Appendf(nil, "%02d", 20+i))
	}
	if got := strings.Join(dump(r.Reader(false)), ""); got != "151617181920212223242526272829" {
		t.Errorf("larger: got %q", got)
	}
}

func TestRingCutsWhatIsTooLong(t *testing.T) {
	r := NewRing(RingOptions{Size: 20, MaxLen: 12})
	r.Write([]byte("0123456789abcdef"))
	r.Write(nil)
	if got := dump(r.Reader(false)); !slices.Equal(got, []string{"0123456789ab", ""}) {
		t.Errorf("got %q", got)
	}
	r.Configure(RingOptions{Size: 6})
	r.Write([]byte("abc"))
	if got := dump(r.Reader(false)); !slices.Equal(got, []string{"ab"}) {
		t.Errorf("got %q", got)
	}
}

func TestRingHasItsOwnFormat(t *testing.T) {
	for format, want := range map[string]string{"raw": "text", "": "<5>text", "priority": "<133>text"} {
		r := NewRing(RingOptions{Format: format})
		target, err := New(Options{Network: "ring", Ring: r, Format: "short"})
		if err != nil {
			t.Fatal(err)
		}
		target.Write(Notice, []byte("text"))
		if got := dump(r.Reader(false)); !slices.Equal(got, []string{want}) {
			t.Errorf("format %q: got %q, want %q", format, got, want)
		}
	}
}

// said collects what was told about a target.
type said struct {
	mu   sync.Mutex
	list []string
}

func (s *said) say(level, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, level+" "+text)
}

func (s *said) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// running runs something with a context until the test ends.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// await polls until done says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came: " + what)
		}
	}
}

func TestForwardFrames(t *testing.T) {
	for octets, want := range map[bool]string{false: "one\ntwo\n", true: "3 one3 two"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		r := NewRing(RingOptions{})
		f := NewForward(ForwardOptions{Ring: r, Addr: ln.Addr().String(), OctetCount: octets})
		running(t, f.Run)
		r.Write([]byte("one"))
		r.Write([]byte("two"))
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestForwardThroughAnOutage(t *testing.T) {
	ln, err := net.Listen("tcp", "127.55.1.2:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close() // nobody listens
	var told said
	r := NewRing(RingOptions{Size: 60}) // ten events
	f := NewForward(ForwardOptions{Ring: r, Name: "r/s", Addr: addr, Say: told.say})
	running(t, f.Run)
	r.Write([]byte("00"))
	await(t, "the warning", func() bool { return len(told.lines()) == 1 })
	for i := 1; i < 25; i++ {
		r.Write(fmt.Appendf(nil, "%02d", i))
	}
	if n := f.Dropped(); n != 14 { // event 0 waits in the forwarder, 15 to 24 in the ring
		t.Errorf("%d events lost, want 14", n)
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal("the port is taken: ", err)
	}
	defer ln.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewScanner(c)
	for _, want := range []int{0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24} {
		if !in.Scan() || in.Text() != fmt.Sprintf("%02d", want) {
			t.Fatalf("got %q, %v, want %02d", in.Text(), in.Err(), want)
		}
	}
	await(t, "the end of the outage", func() bool { return len(told.lines()) == 2 })
	got := told.lines()
	if !strings.HasPrefix(got[0], "warning log target r/s: dial tcp") || f.Dropped() != 14 {
		t.Errorf("said %q, %d lost", got, f.Dropped())
	}
}

func TestForwardComesBackAfterTheServerLeft(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := NewRing(RingOptions{})
	f := NewForward(ForwardOptions{Ring: r, Addr: ln.Addr().String()})
	running(t, f.Run)
	for _, text := range []string{"one", "two", "three"} {
		r.Write([]byte(text))
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != text+"\n" {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
		c.Close()
		// The forwarder sees the end before the next event is written: an event given to a dead connection is nobody's.
		await(t, "the end", func() bool { return f.connections.Load() == 0 })
	}
}

func TestForwardCountsWhatAStalledServerMissed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := NewRing(RingOptions{Size: 1 << 20})
	f := NewForward(ForwardOptions{Ring: r, Addr: ln.Addr().String(), Send: time.Hour})
	running(t, f.Run)
	const total = 30000
	event := make([]byte, 1000)
	for i := range total { // 30 MB: more than the kernel keeps for a reader who does not read. None of these waits for it.
		copy(event, fmt.Sprintf("%08d ", i))
		r.Write(event)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	in, got := bufio.NewReader(c), uint64(0)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%d lines, then %v", got, err)
		}
		got++
		if strings.HasPrefix(line, fmt.Sprintf("%08d ", total-1)) {
			break
		}
	}
	if lost := f.Dropped(); lost == 0 || got+lost != total {
		t.Errorf("%d arrived and %d were lost of %d", got, lost, total)
	}
}

func BenchmarkRing(b *testing.B) {
	r := NewRing(RingOptions{Size: 1 << 20})
	target, err := New(Options{Network: "ring", Ring: r})
	if err != nil {
		b.Fatal(err)
	}
	line := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		target.Write(Info, line)
	}
}
