package engine

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/log"
)

// Sink is one place that events go to, as `show events` lists it.
type Sink struct {
	Name        string
	Description string
	Ring        *log.Ring // nil: a descriptor, which shows nothing
	Dropped     uint64    // events that a server of the ring missed
}

const builtinRing = 1 << 20 // bytes of buf0 and dpapi

// ring is a ring across generations.
type ring struct {
	*log.Ring
	forwards map[string]*forward // by what the configuration says of the server
}

// forward is one server of a ring.
type forward struct {
	*log.Forward
	task *task
}

// ringPlan is what one configuration wants of a ring.
type ringPlan struct {
	key     string // names the ring across generations
	ring    *ring
	options log.RingOptions
	servers []log.ForwardOptions
}

// builtinRings live as long as the engine.
func builtinRings() []*log.Ring {
	return []*log.Ring{
		log.NewRing(log.RingOptions{Name: "buf0", Description: "in-memory ring buffer", Format: "timed", Size: builtinRing}),
		log.NewRing(log.RingOptions{Name: "dpapi", Description: "DPAPI ring buffer", Format: "timed", Size: builtinRing}),
	}
}

// rings plans the ring sections.
func (b *builder) rings() {
	for _, r := range b.cfg.Rings {
		size := r.Size
		if size == 0 {
			size = b.cfg.Global.BufSize
		}
		p := b.planRing(r.Name, log.RingOptions{Name: r.Name, Description: r.Description, Format: r.Format, MaxLen: r.MaxLen, Size: size})
		for _, s := range r.Servers {
			network, addr := dialAddr(s.Addr)
			p.servers = append(p.servers, b.forwardOptions(p, r.Name+"/"+s.Name, network, addr, s.OctetCount, r.Connect, r.Server))
		}
	}
}

// implicitRing is the ring behind a log line that names a TCP server.
func (b *builder) implicitRing(line config.Log) *log.Ring {
	network, addr := dialAddr(line.Addr)
	key := "log " + network + " " + addr
	for _, p := range b.plan.rings {
		if p.key == key {
			return p.ring.Ring
		}
	}
	n := 1
	for _, p := range b.plan.rings {
		if strings.HasPrefix(p.key, "log ") {
			n++
		}
	}
	p := b.planRing(key, log.RingOptions{
		Name: "ring#" + strconv.Itoa(n), Size: b.cfg.Global.BufSize,
		Description: fmt.Sprintf("created from log directive declared into '%s' at line %d", line.Pos.File, line.Pos.Line),
	})
	p.servers = append(p.servers, b.forwardOptions(p, line.Addr.Text, network, addr, false, time.Second, 5*time.Second))
	return p.ring.Ring
}

func (b *builder) planRing(key string, o log.RingOptions) *ringPlan {
	b.e.mu.Lock()
	r := b.e.rings[key]
	b.e.mu.Unlock()
	if r == nil {
		r = &ring{Ring: log.NewRing(o), forwards: map[string]*forward{}}
	}
	p := &ringPlan{key: key, ring: r, options: o}
	b.plan.rings = append(b.plan.rings, p)
	return p
}

func (b *builder) forwardOptions(p *ringPlan, name, network, addr string, octets bool, connect, send time.Duration) log.ForwardOptions {
	return log.ForwardOptions{
		Ring: p.ring.Ring, Name: name, Network: network, Addr: addr, OctetCount: octets, Connect: connect, Send: send, Say: b.e.sayLog,
	}
}

func dialAddr(a config.Addr) (network, addr string) {
	if a.Network == "unix" {
		return "unix", a.Path
	}
	port := a.Port
	if port == 0 {
		port = 514
	}
	host := a.Host
	if a.IP.IsValid() {
		host = a.IP.String()
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(port))
}

// namedRing finds a ring by the name that log lines and converters use; nil when there is none.
func (b *builder) namedRing(name string) *log.Ring {
	for _, r := range b.e.builtin {
		if r.Options().Name == name {
			return r
		}
	}
	for _, p := range b.plan.rings {
		if p.key == name {
			return p.ring.Ring
		}
	}
	return nil
}

// sink finds where the converter debug writes: a ring, stdout or stderr; nil when there is no such place.
func (b *builder) sink(name string) func([]byte) {
	if r := b.namedRing(name); r != nil {
		return func(event []byte) { r.Stamp(log.Emerg, event) }
	}
	if name != "stdout" && name != "stderr" {
		return nil
	}
	t := b.target(config.Log{Addr: config.Addr{Text: name, Network: name}, Format: "raw", Len: b.cfg.Global.BufSize, Facility: "daemon"})
	if t == nil {
		return nil
	}
	return func(event []byte) { t.Write(log.Emerg, event) }
}

// sayLog tells that a log target fails or works again.
func (e *Engine) sayLog(level, text string) {
	kind := event.LogDown
	if level == "notice" {
		kind = event.LogUp
	}
	e.emit(event.Event{Kind: kind, Level: level, Text: text})
}

// swapRings configures the rings of the next generation, starts what carries them to servers and stops what nobody wants any more. It
// runs under the engine's mu.
func (e *Engine) swapRings(plans []*ringPlan) {
	next := map[string]*ring{}
	e.ringList = nil
	for _, p := range plans {
		next[p.key] = p.ring
		e.ringList = append(e.ringList, p.ring)
		p.ring.Configure(p.options)
		p.ring.swapForwards(e, p.servers)
	}
	for key, r := range e.rings {
		if next[key] == nil {
			r.swapForwards(e, nil)
		}
	}
	e.rings = next
}

func (r *ring) swapForwards(e *Engine, servers []log.ForwardOptions) {
	next := map[string]*forward{}
	for _, o := range servers {
		key := fmt.Sprint(o.Name, " ", o.Network, " ", o.Addr, " ", o.OctetCount, " ", o.Connect, " ", o.Send)
		f := r.forwards[key]
		if f == nil {
			f = &forward{Forward: log.NewForward(o)}
			f.task = e.group.start(func(ctx context.Context) { _ = f.Run(ctx) }) // returns nil
		}
		next[key] = f
	}
	for key, f := range r.forwards {
		if next[key] == nil {
			e.group.stop(f.task)
		}
	}
	r.forwards = next
}

// Sinks lists the places that events go to, in HAProxy's order.
func (e *Engine) Sinks() []Sink {
	all := []Sink{{Name: "stdout", Description: "standard output (fd#1)"}, {Name: "stderr", Description: "standard output (fd#2)"}}
	add := func(r *log.Ring, dropped uint64) {
		o := r.Options()
		all = append(all, Sink{Name: o.Name, Description: o.Description, Ring: r, Dropped: dropped})
	}
	for _, r := range e.builtin {
		add(r, 0)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.ringList {
		add(r.Ring, r.dropped())
	}
	return all
}

func (r *ring) dropped() (n uint64) {
	for _, f := range r.forwards {
		n += f.Dropped()
	}
	return n
}
