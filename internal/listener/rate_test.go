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
