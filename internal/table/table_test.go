package table

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/stream"
)

func textTable(size int, expire time.Duration, store ...Store) *Table {
	return New(Options{Name: "t", Key: stream.KindStr, KeyLen: 32, Size: size, Store: store, Settings: Settings{Expire: expire}})
}

func value(t *testing.T, e *Entry, d DataType, index int) int64 {
	t.Helper()
	v, ok := e.Value(d, index)
	if !ok {
		t.Fatalf("%v[%d] is not stored", d, index)
	}
	return v
}

func TestEntryIsGoneOnceItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := textTable(10, time.Minute, Store{Type: HTTPReqCnt})
		e := tab.Get([]byte("a"))
		e.Count(HTTPReqCnt, HTTPReqRate, 3)
		e.Release()
		time.Sleep(59 * time.Second)
		e = tab.Lookup([]byte("a"))
		if e == nil || value(t, e, HTTPReqCnt, 0) != 3 || e.Remaining() != 1000 || e.Idle() != 59000 {
			t.Fatalf("before its time: %+v", e)
		}
		e.Touch()
		e.Release()
		time.Sleep(59 * time.Second)
		if e = tab.Lookup([]byte("a")); e == nil {
			t.Fatal("touched, and gone all the same")
		}
		time.Sleep(2 * time.Second) // over, but held
		if tab.Sweep(); tab.Used() != 1 {
			t.Fatal("an entry was removed while it was held")
		}
		e.Release()
		if tab.Used() != 0 || tab.Lookup([]byte("a")) != nil {
			t.Errorf("%d entries after the time", tab.Used())
		}
		tab.Get([]byte("b")).Release()
		time.Sleep(61 * time.Second)
		if tab.Sweep(); tab.Used() != 0 {
			t.Errorf("%d entries after a sweep", tab.Used())
		}
		e = tab.Get([]byte("b"))
		defer e.Release()
		if got := value(t, e, HTTPReqCnt, 0); got != 0 {
			t.Errorf("a new entry begins with %d", got)
		}
	})
}

func TestFullTableGivesUpTheOldestThatNobodyHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := textTable(3, 0)
		held := tab.Get([]byte("held"))
		for _, k := range []string{"x", "y", "z", "w"} {
			time.Sleep(time.Second)
			e := tab.Get([]byte(k))
			if e == nil {
				t.Fatalf("no room for %s", k)
			}
			e.Release()
		}
		if tab.Used() > 3 || tab.Lookup([]byte("w")) == nil {
			t.Errorf("%d entries, the newest is there: %v", tab.Used(), tab.Lookup([]byte("w")) != nil)
		}
		if again := tab.Lookup([]byte("held")); again != held {
			t.Error("an entry that was held is gone")
		}
	})
}

func TestNoPurgeRefusesWhatDoesNotFit(t *testing.T) {
	tab := New(Options{Name: "t", Key: stream.KindInt, Size: 2, Settings: Settings{NoPurge: true}})
	for i := range 2 {
		tab.Get(binary.LittleEndian.AppendUint32(nil, uint32(i))).Release()
	}
	if e := tab.Get([]byte{9, 0, 0, 0}); e != nil {
		t.Errorf("a third entry: %v", e.Key())
	}
	if tab.Used() != 2 {
		t.Errorf("%d entries", tab.Used())
	}
	tab.Update(Settings{})
	if e := tab.Get([]byte{9, 0, 0, 0}); e == nil {
		t.Error("no room although old entries may go")
	}
}

func TestTableOfHeldEntriesIsFull(t *testing.T) {
	tab := textTable(2, time.Minute)
	for i := range 2 {
		tab.Get(fmt.Append(nil, i))
	}
	if e := tab.Get([]byte("third")); e != nil || tab.Used() != 2 {
		t.Errorf("got %v, %d entries", e, tab.Used())
	}
}

func TestRateSlidesOverItsPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := textTable(1, 0, Store{Type: HTTPReqRate, Period: 10 * time.Second})
		e := tab.Get([]byte("k"))
		e.Count(HTTPReqCnt, HTTPReqRate, 10)
		for _, step := range []struct {
			sleep time.Duration
			want  int64
		}{{0, 10}, {9 * time.Second, 10}, {6 * time.Second, 5}, {4 * time.Second, 1}, {2 * time.Second, 0}} {
			time.Sleep(step.sleep)
			if got := value(t, e, HTTPReqRate, 0); got != step.want {
				t.Errorf("after %v more: %d, want %d", step.sleep, got, step.want)
			}
		}
		e.Count(HTTPReqCnt, HTTPReqRate, 4)
		time.Sleep(11 * time.Second)
		e.Count(HTTPReqCnt, HTTPReqRate, 6)
		if got := value(t, e, HTTPReqRate, 0); got != 9 {
			t.Errorf("6 and nine tenths of 4 are %d", got)
		}
		if !e.Set(HTTPReqRate, 0, 50) || value(t, e, HTTPReqRate, 0) != 50 {
			t.Error("a rate that was set is not read back")
		}
	})
}

func TestLoneEventCountsForAWholePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := textTable(1, 0, Store{Type: ConnRate, Period: 10 * time.Second}).Get([]byte("k"))
		e.Enter()
		time.Sleep(19 * time.Second)
		if got := value(t, e, ConnRate, 0); got != 1 {
			t.Errorf("in its second period it is %d", got)
		}
		time.Sleep(2 * time.Second)
		if got := value(t, e, ConnRate, 0); got != 0 {
			t.Errorf("after it, %d", got)
		}
	})
}

func TestBytesRatesAreDividedByTheirFactor(t *testing.T) {
	tab := New(Options{Name: "t", Key: stream.KindStr, KeyLen: 8, Size: 1, BratesFactor: 100,
		Store: []Store{{Type: BytesInCnt}, {Type: BytesInRate, Period: time.Minute}}})
	e := tab.Get([]byte("k"))
	e.Count(BytesInCnt, BytesInRate, 5_000_000_001)
	if n, r := value(t, e, BytesInCnt, 0), value(t, e, BytesInRate, 0); n != 5_000_000_001 || r != 5_000_000_100 {
		t.Errorf("%d bytes, rate %d", n, r)
	}
}

func TestConnectionsAreCountedWhileTheyLast(t *testing.T) {
	tab := textTable(1, time.Minute, Store{Type: ConnCur}, Store{Type: ConnCnt})
	for range 2 {
		tab.Get([]byte("k")).Enter()
	}
	e := tab.Lookup([]byte("k"))
	if value(t, e, ConnCur, 0) != 2 || value(t, e, ConnCnt, 0) != 2 || e.Holders() != 3 {
		t.Errorf("cur %d, cnt %d, %d holders", value(t, e, ConnCur, 0), value(t, e, ConnCnt, 0), e.Holders())
	}
	e.Leave()
	e.Leave()
	if value(t, e, ConnCur, 0) != 0 || value(t, e, ConnCnt, 0) != 2 || e.Holders() != 1 {
		t.Errorf("after both: cur %d, cnt %d, %d holders", value(t, e, ConnCur, 0), value(t, e, ConnCnt, 0), e.Holders())
	}
}

func TestSingleCountersAreElementsOfTheArray(t *testing.T) {
	tab := textTable(1, 0, Store{Type: GPC, N: 2}, Store{Type: GPCRate, N: 2, Period: time.Minute}, Store{Type: GPT, N: 3})
	e := tab.Get([]byte("k"))
	for _, c := range []struct {
		counter, rate DataType
		index         int
		want          int64
	}{{GPC1, GPC1Rate, 0, 1}, {GPC, GPCRate, 1, 2}, {GPC0, GPC0Rate, 0, 1}} {
		if got, ok := e.Add(c.counter, c.rate, c.index, 1); !ok || got != c.want {
			t.Errorf("%v: %d %v, want %d", c.counter, got, ok, c.want)
		}
	}
	if got := value(t, e, GPCRate, 1); got != 2 {
		t.Errorf("rate of the second is %d", got)
	}
	if _, ok := e.Value(GPC, 2); ok {
		t.Error("an element behind the end is there")
	}
	if e.Set(GPT, 2, 7); value(t, e, GPT, 2) != 7 {
		t.Error("tag was not set")
	}
	if old, ok := e.Clear(GPC1, 0); !ok || old != 2 || value(t, e, GPC, 1) != 0 {
		t.Errorf("cleared %d %v", old, ok)
	}
}

func TestCountersStopAtThirtyTwoBits(t *testing.T) {
	e := textTable(1, 0, Store{Type: GPC0}, Store{Type: BytesOutCnt}, Store{Type: ServerID}).Get([]byte("k"))
	e.Set(GPC0, 0, 1<<32-1)
	if got, _ := e.Add(GPC0, GPC0Rate, 0, 2); got != 1<<32-1 {
		t.Errorf("a counter at its end became %d", got)
	}
	if e.Set(BytesOutCnt, 0, 1<<40); value(t, e, BytesOutCnt, 0) != 1<<40 {
		t.Error("bytes are cut")
	}
	if e.Set(ServerID, 0, -3); value(t, e, ServerID, 0) != -3 {
		t.Errorf("server id is %d", value(t, e, ServerID, 0))
	}
}

func TestKeysOfEachKind(t *testing.T) {
	for _, row := range []struct {
		kind stream.Kind
		len  int
		in   stream.Value
		want stream.Value
	}{
		{stream.KindInt, 0, stream.Value{Int: -1}, stream.Value{Int: 1<<32 - 1}},
		{stream.KindIPv4, 0, stream.Value{Addr: netip.MustParseAddr("::ffff:192.0.2.1")}, stream.Value{Addr: netip.MustParseAddr("192.0.2.1")}},
		{stream.KindIPv4, 0, stream.Value{Addr: netip.MustParseAddr("::1")}, stream.Value{Addr: netip.MustParseAddr("0.0.0.1")}},
		{stream.KindIPv6, 0, stream.Value{Addr: netip.MustParseAddr("192.0.2.1")}, stream.Value{Addr: netip.MustParseAddr("::ffff:192.0.2.1")}},
		{stream.KindStr, 3, stream.Value{Bytes: []byte("abcd")}, stream.Value{Bytes: []byte("abc")}},
		{stream.KindStr, 3, stream.Value{Bytes: []byte("a\x00b")}, stream.Value{Bytes: []byte("a")}},
		{stream.KindBin, 4, stream.Value{Bytes: []byte("ab")}, stream.Value{Bytes: []byte("ab\x00\x00")}},
	} {
		tab := New(Options{Name: "t", Key: row.kind, KeyLen: row.len, Size: 1})
		key, ok := tab.AppendKey(nil, row.in)
		if !ok {
			t.Errorf("%v: no key", row.in)
			continue
		}
		e := tab.Get(key)
		got := e.Key()
		if got.Int != row.want.Int || got.Addr != row.want.Addr || string(got.Bytes) != string(row.want.Bytes) || got.Kind != row.kind {
			t.Errorf("%+v became %+v", row.in, got)
		}
		if other := New(Options{Name: "o", Key: row.kind, KeyLen: row.len, Size: 1}); e.In(other) != nil || other.Get(key) == nil || e.In(other) == nil {
			t.Errorf("%+v: the same key in another table", row.in)
		}
	}
	if _, ok := New(Options{Name: "t", Key: stream.KindIPv4, Size: 1}).AppendKey(nil, stream.Value{Addr: netip.MustParseAddr("2001:db8::1")}); ok {
		t.Error("an IPv6 address is a key of an IPv4 table")
	}
}

func TestEntriesComeInTheOrderOfHAProxy(t *testing.T) {
	tab := New(Options{Name: "be1", Key: stream.KindIPv6, Size: 20})
	for _, a := range []string{"192.168.1.0", "192.168.1.101", "2001:db8:c001:c01a::"} {
		key, _ := tab.AppendKey(nil, stream.Value{Addr: netip.MustParseAddr(a)})
		tab.Get(key).Release()
	}
	var got []string
	tab.Each(func(e *Entry) bool { got = append(got, e.Key().Addr.String()); return true })
	if want := "[::ffff:192.168.1.101 ::ffff:192.168.1.0 2001:db8:c001:c01a::]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	first := tab.ByID(1)
	if first == nil || first.Key().Addr.Unmap().String() != "192.168.1.0" || tab.ByID(77) != nil {
		t.Errorf("entry 1 is %v", first)
	}
	if other := tab.ByID(1); first.Remove() || other == nil {
		t.Error("an entry was removed although somebody else held it")
	} else if !other.Remove() || tab.Used() != 2 {
		t.Errorf("not removed, %d entries", tab.Used())
	}
}

func TestServersAreRemembered(t *testing.T) {
	tab := textTable(1, 0, Store{Type: ServerID}, Store{Type: ServerKey})
	e := tab.Get([]byte("k"))
	e.SetServer("s1", 3)
	if key, id := e.Server(); key != "s1" || id != 3 {
		t.Errorf("%q %d", key, id)
	}
}

func TestTypesByName(t *testing.T) {
	for i := range numTypes {
		if d, ok := ParseType(i.String()); !ok || d != i {
			t.Errorf("%v: %v %v", i, d, ok)
		}
	}
	for _, row := range []struct {
		text  string
		d     DataType
		index int
		ok    bool
	}{{"gpc[3]", GPC, 3, true}, {"gpc0", GPC0, 0, true}, {"gpc[3", GPC, 0, false}, {"conn_cnt[0]", ConnCnt, 0, false}, {"gpc[x]", GPC, 0, false},
		{"server_name", ServerKey, 0, true}, {"nothing", 0, 0, false}} {
		d, index, ok := ParseIndexed(row.text)
		if ok != row.ok || ok && (d != row.d || index != row.index) {
			t.Errorf("%s: %v %d %v", row.text, d, index, ok)
		}
	}
}

func TestManyAtOnceLoseNothing(t *testing.T) {
	tab := textTable(50, 10*time.Millisecond, Store{Type: ConnCur}, Store{Type: GPC0}, Store{Type: ConnRate, Period: time.Second})
	hot := tab.Get([]byte("hot"))
	hot.Add(GPC0, GPC0Rate, 0, 0)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var buf [16]byte
			for i := range 2000 {
				key := fmt.Appendf(buf[:0], "k%d", (i*7+g)%200)
				if e := tab.Get(key); e != nil {
					e.Enter()
					e.Leave()
				}
				h := tab.Lookup([]byte("hot"))
				h.Enter()
				h.Add(GPC0, GPC0Rate, 0, 1)
				h.Leave()
				if i%100 == 0 {
					tab.Sweep()
					tab.Each(func(e *Entry) bool { e.Value(ConnRate, 0); return true })
				}
			}
		})
	}
	wg.Wait()
	if got := value(t, hot, GPC0, 0); got != 16000 {
		t.Errorf("%d increments, want 16000", got)
	}
	if hot.Holders() != 1 || value(t, hot, ConnCur, 0) != 0 || tab.Used() > 50 {
		t.Errorf("%d holders, %d current, %d entries", hot.Holders(), value(t, hot, ConnCur, 0), tab.Used())
	}
}

func TestFindingAndCountingAllocateNothing(t *testing.T) {
	tab := New(Options{Name: "t", Key: stream.KindIPv4, Size: 100, Store: []Store{{Type: HTTPReqRate, Period: time.Second}, {Type: ConnCur}},
		Settings: Settings{Expire: time.Minute}})
	addr := stream.Value{Addr: netip.MustParseAddr("192.0.2.1")}
	n := testing.AllocsPerRun(100, func() { count(tab, addr) })
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func count(tab *Table, addr stream.Value) {
	var tmp [64]byte
	key, _ := tab.AppendKey(tmp[:0], addr)
	e := tab.Get(key)
	e.Enter()
	e.Count(HTTPReqCnt, HTTPReqRate, 1)
	e.Leave()
}

func BenchmarkTrackOneClient(b *testing.B) {
	tab := New(Options{Name: "t", Key: stream.KindIPv4, Size: 1 << 20, Store: []Store{{Type: HTTPReqRate, Period: time.Second}, {Type: ConnCur}},
		Settings: Settings{Expire: time.Minute}})
	addr := stream.Value{Addr: netip.MustParseAddr("192.0.2.1")}
	count(tab, addr)
	b.ReportAllocs()
	for b.Loop() {
		count(tab, addr)
	}
}

func BenchmarkTrackNewClients(b *testing.B) {
	tab := New(Options{Name: "t", Key: stream.KindIPv4, Size: 10000, Store: []Store{{Type: HTTPReqRate, Period: time.Second}}})
	b.ReportAllocs()
	var n uint32
	for b.Loop() {
		n++
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], n)
		count(tab, stream.Value{Addr: netip.AddrFrom4(a)})
	}
}
