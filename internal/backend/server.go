package backend

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// ServerOptions is one server line and what other rooms made of its words.
type ServerOptions struct {
	Line config.Server
	IP   netip.Addr // the resolved address when Line.Addr holds a name
	TLS  *TLSOptions
	// SNI appends the server name to present, from `sni EXPR`, to dst. nil with TLS in mode http presents the Host header without
	// its port (sni-auto); nil otherwise presents none.
	SNI func(dst []byte, s *stream.Stream) []byte
	// PoolName appends what idle connections are told apart by, from pool-conn-name; nil tells them apart by the server name presented.
	PoolName func(dst []byte, s *stream.Stream) []byte
	TLVs     []TLV // set-proxy-v2-tlv-fmt
	// NoAutoSNI is `no-sni-auto`.
	NoAutoSNI bool
}

// Server is one server in one generation. Its options do not change; what changes is in life.
type Server struct {
	backend *Backend
	o       ServerOptions
	id      int
	address string // what is dialled; "" when the port depends on the client
	network string
	tls     *client // nil: clear
	*life
}

// life is what one server keeps across generations: everything that time and operators change.
type life struct {
	counters stats.Counters
	served   atomic.Int64 // requests that hold a slot now
	usable   atomic.Bool  // may be chosen
	alive    atomic.Bool  // neither down nor in maintenance: may be asked by those who belong to it
	weight   atomic.Int32 // the one in force before slow start, `set weight`
	maxconn  atomic.Int32 // 0: unlimited; `set maxconn server`
	initial  int          // weight of the configuration
	checker  atomic.Pointer[Backend]
	pool     pool
	open     connSet
	kick     chan struct{} // wakes the check loop

	mu         sync.Mutex // guards the fields below
	op         OpState
	admin      Admin
	health     health
	lastChange time.Time
	downTime   time.Duration
	downs      int64

	// backends are the generations to tell of a change; replaced whole under mu, read without it.
	backends atomic.Pointer[[]*Backend]
}

// OpState is a server's operational state, numbered as in `show servers state`.
type OpState uint8

// The operational states.
const (
	Stopped OpState = iota
	Starting
	Running
	Stopping
)

// Admin is the mask of administrative states of `show servers state`.
type Admin uint8

// The bits of Admin that we set.
const (
	ForcedMaint Admin = 0x01
	ConfigMaint Admin = 0x04 // `disabled` in the configuration
	ForcedDrain Admin = 0x08
	Maint             = ForcedMaint | ConfigMaint
	Drain             = ForcedDrain
)

func newServer(b *Backend, o ServerOptions, old *Backend) *Server {
	s := &Server{backend: b, o: o, id: o.Line.ID}
	s.network, s.address = target(o)
	if old != nil {
		s.inherit(old.Server(o.Line.Name))
	}
	if s.life == nil {
		s.life = newLife(o)
	}
	if o.TLS != nil && s.tls == nil {
		s.tls = newClient(o.TLS, o.SNI != nil)
	}
	return s
}

// inherit takes over the life of the server's earlier generation when it still is the same machine.
func (s *Server) inherit(old *Server) {
	if old == nil || old.network != s.network || old.address != s.address || old.o.Line.Addr.Port != s.o.Line.Addr.Port {
		return
	}
	s.life = old.life
	if s.o.TLS != nil && same(old.o.TLS, s.o.TLS) {
		s.tls = &client{o: s.o.TLS, named: s.o.SNI != nil, kept: old.tls.kept}
	}
	s.life.adopt(&old.o.Line, &s.o.Line)
}

// adopt lets the values an operator changed at run time stand unless the configuration itself changed them.
func (l *life) adopt(old, line *config.Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old.Weight != line.Weight {
		l.weight.Store(int32(line.Weight))
	}
	l.initial = line.Weight
	if old.MaxConn != line.MaxConn {
		l.maxconn.Store(int32(line.MaxConn))
	}
	if old.Disabled && !line.Disabled {
		l.admin &^= Maint
	} else if !old.Disabled && line.Disabled {
		l.admin |= Maint
	}
	if !line.Check && l.admin&Maint == 0 && old.Check {
		l.op = Running // nothing would ever raise it again
	}
	l.health.adopt(line)
	l.refreshLocked()
}

func newLife(o ServerOptions) *life {
	l := &life{initial: o.Line.Weight, op: Running, lastChange: time.Now(), kick: make(chan struct{}, 1)}
	l.weight.Store(int32(o.Line.Weight))
	l.maxconn.Store(int32(o.Line.MaxConn))
	l.health = newHealth(&o.Line)
	if o.Line.Disabled {
		l.admin = Maint // HAProxy shows 5: forced and from the configuration
		l.op = Stopped
		l.health.value, l.health.paused = 0, l.health.enabled
	}
	l.refreshLocked()
	return l
}

// refreshLocked recomputes whether the server may be chosen.
func (l *life) refreshLocked() {
	l.alive.Store(l.op != Stopped && l.admin&Maint == 0)
	l.usable.Store(l.op != Stopped && l.op != Stopping && l.admin == 0 && l.weight.Load() > 0)
}

func (l *life) attach(b *Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := append(slices.Clone(l.generations()), b)
	l.backends.Store(&list)
}

func (l *life) detach(b *Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(l.generations()), func(x *Backend) bool { return x == b })
	l.backends.Store(&list)
}

// generations are the backends that want to know of changes.
func (l *life) generations() []*Backend {
	if p := l.backends.Load(); p != nil {
		return *p
	}
	return nil
}

// target is what to dial for a server line. The address stays empty when the port is the client's.
func target(o ServerOptions) (network, address string) {
	a := &o.Line.Addr
	switch a.Network {
	case "unix":
		return "unix", a.Path
	case "abns":
		return "unix", "@" + a.Path
	}
	if a.NoPort || a.PortOffset || a.Port == 0 { // HAProxy maps port 0 too
		return "tcp", ""
	}
	return "tcp", net.JoinHostPort(serverHost(o), strconv.Itoa(a.Port))
}

func serverHost(o ServerOptions) string {
	switch {
	case o.Line.Addr.IP.IsValid():
		return o.Line.Addr.IP.Unmap().String()
	case o.IP.IsValid():
		return o.IP.Unmap().String()
	}
	return o.Line.Addr.Host
}

// addressFor is the address to dial for a client that connected to port clientPort.
func (s *Server) addressFor(clientPort uint16) string {
	if s.address != "" {
		return s.address
	}
	port := int(clientPort)
	if s.o.Line.Addr.PortOffset {
		port += s.o.Line.Addr.Port
	}
	return net.JoinHostPort(serverHost(s.o), strconv.Itoa(port&0xffff))
}

// Name is the server's name.
func (s *Server) Name() string { return s.o.Line.Name }

// Backend is the generation the server belongs to.
func (s *Server) Backend() *Backend { return s.backend }

// Line is the server line as configured.
func (s *Server) Line() *config.Server { return &s.o.Line }

// Address is what is dialled ("192.0.2.1:80", a path), "" when the port follows the client's.
func (s *Server) Address() string { return s.address }

// Counters of the server's row.
func (s *Server) Counters() *stats.Counters { return &s.life.counters }

// Served is how many requests hold the server now.
func (s *Server) Served() int { return int(s.served.Load()) }

// IP is the server's resolved address, invalid for a unix socket or an unresolved name.
func (s *Server) IP() netip.Addr {
	if s.o.Line.Addr.IP.IsValid() {
		return s.o.Line.Addr.IP.Unmap()
	}
	return s.o.IP.Unmap()
}

// limit is the number of requests the server may serve now, 0 for unlimited (manual, `minconn`).
func (s *Server) limit() int64 {
	limit := int64(s.maxconn.Load())
	least, full := int64(s.o.Line.MinConn), int64(s.backend.o.FullConn)
	if limit == 0 || least == 0 || full == 0 || least >= limit {
		return limit
	}
	if now := s.backend.counters.Cur.Load(); now < full {
		limit = max(limit*now/full, least)
	}
	return limit
}

// acquire takes a slot; false when the server is full.
func (s *Server) acquire() bool {
	limit := s.limit()
	if limit == 0 {
		s.served.Add(1)
		return true
	}
	for {
		n := s.served.Load()
		if n >= limit {
			return false
		}
		if s.served.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// freeSlot gives a slot back and lets the queue move.
func (s *Server) freeSlot() {
	s.served.Add(-1)
	s.backend.queue.wake(s.backend)
	for _, b := range s.generations() {
		if b != s.backend {
			b.queue.wake(b)
		}
	}
}
