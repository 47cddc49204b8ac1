package backend

import (
	"slices"
	"testing"
	"testing/quick"
)

func TestTurnsAreSpreadSmoothly(t *testing.T) {
	for _, test := range []struct {
		weights []int
		want    []uint16
	}{
		{[]int{1}, []uint16{0}},
		{[]int{1, 1, 1}, []uint16{0, 1, 2}},
		{[]int{10, 10}, []uint16{0, 1}},
		{[]int{5, 1, 1}, []uint16{0, 0, 1, 0, 2, 0, 0}},
		{[]int{2, 0, 1}, []uint16{0, 2, 0}},
		{nil, []uint16{}},
	} {
		if got := smooth(test.weights); !slices.Equal(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.weights, got, test.want)
		}
	}
}

func TestEveryServerGetsItsShare(t *testing.T) {
	property := func(raw []uint8) bool {
		weights, total := make([]int, min(len(raw), 20)), 0
		for i := range weights {
			weights[i] = int(raw[i])
			total += weights[i]
		}
		order := smooth(weights)
		turns := make([]int, len(weights))
		for _, i := range order {
			turns[i]++
		}
		for i, w := range weights {
			if turns[i]*total != w*len(order) {
				return false
			}
		}
		return len(order) <= maxOrder
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
	huge := make([]int, 4000)
	for i := range huge {
		huge[i] = i%256 + 1
	}
	if turns := smooth(huge); len(turns) > 2*maxOrder || len(turns) < len(huge) {
		t.Errorf("%d turns for 4000 servers", len(turns))
	}
}

// names says which servers n requests go to while earlier ones stay open.
func names(t *testing.T, b *Backend, n int) (got []string) {
	t.Helper()
	for range n {
		s := newStream()
		connect(t, b, s, ConnectOptions{Fresh: true})
		got = append(got, s.Server)
	}
	return got
}

func TestAlgorithmsAndBackups(t *testing.T) {
	server := func(name string, weight, maxconn int, backup bool) ServerOptions {
		o := at(t, name, "192.0.2.1:80")
		o.Line.Weight, o.Line.MaxConn, o.Line.Backup = weight, maxconn, backup
		return o
	}
	for _, test := range []struct {
		name string
		o    Options
		off  []string
		want []string
	}{
		{"weights", Options{Servers: []ServerOptions{server("a", 2, 0, false), server("b", 1, 0, false)}}, nil, []string{"a", "b", "a", "a", "b", "a"}},
		{"full servers are passed over", Options{Servers: []ServerOptions{server("a", 1, 1, false), server("b", 1, 0, false)}}, nil, []string{"a", "b", "b", "b"}},
		{"first", Options{Algorithm: "first", Servers: []ServerOptions{server("a", 1, 2, false), server("b", 1, 0, false)}}, nil, []string{"a", "a", "b", "b"}},
		{"leastconn", Options{Algorithm: "leastconn", Servers: []ServerOptions{server("a", 1, 0, false), server("b", 2, 0, false)}}, nil, []string{"b", "a", "b", "b", "a", "b"}},
		{"backups wait", Options{Servers: []ServerOptions{server("a", 1, 0, false), server("k", 1, 0, true)}}, nil, []string{"a", "a"}},
		{"the first backup takes over", Options{Servers: []ServerOptions{server("a", 1, 0, false), server("k", 1, 0, true), server("l", 1, 0, true)}}, []string{"a"}, []string{"k", "k"}},
		{"allbackups", Options{AllBackups: true, Servers: []ServerOptions{server("a", 1, 0, false), server("k", 1, 0, true), server("l", 1, 0, true)}}, []string{"a"}, []string{"k", "l", "k"}},
		{"weight 0", Options{Servers: []ServerOptions{server("a", 0, 0, false), server("b", 1, 0, false)}}, nil, []string{"b", "b"}},
	} {
		test.o.Dial = pipes
		b := build(t, test.o, nil)
		for _, name := range test.off {
			b.Server(name).SetState("maint")
		}
		if got := names(t, b, len(test.want)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	random := build(t, Options{Algorithm: "random", Dial: pipes, Servers: []ServerOptions{server("a", 1, 1, false), server("b", 1, 2, false)}}, nil)
	got := names(t, random, 3)
	slices.Sort(got)
	if want := []string{"a", "b", "b"}; !slices.Equal(got, want) {
		t.Errorf("random: got %v, want %v", got, want)
	}
	if _, err := New(Options{Name: "be", Algorithm: "rdp-cookie"}, nil); err == nil {
		t.Error("an algorithm nobody follows was accepted")
	}
}

func BenchmarkConnectReused(b *testing.B) {
	be := build(b, Options{HTTP: true, Servers: []ServerOptions{at(b, "s1", echo(b)), at(b, "s2", echo(b))}}, nil)
	s := newStream()
	for range 2 {
		connect(b, be, s, ConnectOptions{Fresh: true}).Release(true)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		c, err := be.Connect(b.Context(), s, ConnectOptions{})
		if err != nil {
			b.Fatal(err)
		}
		c.Release(true)
	}
}
