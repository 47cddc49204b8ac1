package listener

import (
	"net"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

func TestSessionsAreAcceptedNoFasterThanTheirLimit(t *testing.T) {
	counters := new(stats.Counters)
	r := start(t, Options{Frontend: "fe", Counters: counters, SessionLimit: 1})
	first, second := dial(t, r), dial(t, r)
	echoes(t, first)
	echoes(t, second)
	if n := counters.SessRate.Max(); n != 1 {
		t.Errorf("%d sessions in one second", n)
	}
	first.Close()
	second.Close()
	r.stop()
}

func TestRefusedConnectionsAreNotServed(t *testing.T) {
	counters, limit := new(stats.Counters), NewLimit(1)
	refuse := true
	r := start(t, Options{Frontend: "fe", Counters: counters, Limits: []*Limit{limit}, Admit: func(net.Conn, *stream.Conn) bool {
		refuse = !refuse
		return refuse
	}})
	c := dial(t, r)
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
	c = dial(t, r) // the place under the limit is free again
	echoes(t, c)
	c.Close()
	r.stop()
	if counters.Conns.Load() != 2 || counters.Cur.Load() != 0 || limit.Len() != 0 {
		t.Errorf("conns %d, cur %d, limit %d", counters.Conns.Load(), counters.Cur.Load(), limit.Len())
	}
}

func TestProbesHaveTheirParameters(t *testing.T) {
	got := make(chan [3]int, 1)
	r := start(t, Options{Frontend: "fe", KeepAlive: true, Probes: config.Probes{Count: 3, Idle: 40 * time.Second, Interval: 7 * time.Second},
		Admit: func(nc net.Conn, _ *stream.Conn) bool {
			var v [3]int
			raw, err := nc.(syscall.Conn).SyscallConn()
			if err == nil {
				err = raw.Control(func(fd uintptr) {
					for i, o := range []int{syscall.TCP_KEEPCNT, syscall.TCP_KEEPIDLE, syscall.TCP_KEEPINTVL} {
						v[i], _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, o)
					}
				})
			}
			if err != nil {
				t.Error(err)
			}
			got <- v
			return true
		}})
	c := dial(t, r)
	echoes(t, c)
	c.Close()
	if v := <-got; v != [3]int{3, 40, 7} {
		t.Errorf("count, idle, interval %v", v)
	}
	r.stop()
}

// TestTheProcessAcceptsNoFasterThanItsLimits asks for two connections and lets them in one a second.
func TestTheProcessAcceptsNoFasterThanItsLimits(t *testing.T) {
	for _, of := range []func(*Rates) *Limited{func(r *Rates) *Limited { return &r.Conns }, func(r *Rates) *Limited { return &r.Sessions }} {
		rates := new(Rates)
		limit := of(rates)
		limit.Limit.Store(1)
		r := start(t, Options{Frontend: "fe", Counters: new(stats.Counters), Rates: rates})
		for range 2 {
			c := dial(t, r)
			echoes(t, c)
			c.Close()
		}
		r.stop()
		if n := limit.Max(); n != 1 {
			t.Errorf("%d in one second", n)
		}
		if n := rates.TLS.Max() + rates.TLSNow.Load() + rates.Keys.Max(); n != 0 {
			t.Errorf("%d of clear connections counted as TLS", n)
		}
	}
}

// TestLimitsOfTLSHoldBackOnlyThat: connections without TLS go on.
func TestLimitsOfTLSHoldBackOnlyThat(t *testing.T) {
	now := time.Now()
	rates := new(Rates)
	rates.TLS.Limit.Store(4)
	for range 4 {
		rates.accepted(true, now)
	}
	if d := rates.wait(&settings{tls: new(server)}, now); d != time.Second/4 {
		t.Errorf("TLS waits %v", d)
	}
	if d := rates.wait(&settings{}, now); d != 0 {
		t.Errorf("clear connections wait %v", d)
	}
	rates.shaken(true, now)
	rates.shaken(false, now)
	rates.ended(true)
	if rates.TLSNow.Load() != 3 || rates.Keys.Max() != 1 || rates.Conns.Max() != 4 {
		t.Errorf("%d now, %d keys, %d connections", rates.TLSNow.Load(), rates.Keys.Max(), rates.Conns.Max())
	}
}
