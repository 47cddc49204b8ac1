package backend

import (
	"net/netip"
	"slices"
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
	// Dynamic is a server that `add server` made: it is not in the configuration and begins in maintenance.
	Dynamic bool
	// Release is called once when a dynamic server is gone for good; may be nil.
	Release func()
	// Made is told of each server that is made of the options: once per generation of a dynamic server; may be nil.
	Made func(*Server)
	// Saved is the state that an earlier process wrote, for a server that has none yet; nil: there is none.
	Saved *stats.ServerState
	// Track is the server whose state this one follows; nil follows none.
	Track *Server
}

// Server is one server in one generation. Its options do not change; what changes is in life.
type Server struct {
	backend *Backend
	o       ServerOptions
	id      int
	where   place         // of the configuration
	tls     *client       // nil: the server has no TLS settings
	gone    chan struct{} // closed when the server is removed
	*life
}

// life is what one server keeps across generations: everything that time and operators change.
type life struct {
	counters  stats.Counters
	served    atomic.Int64 // requests that hold a slot now
	usable    atomic.Bool  // may be chosen
	alive     atomic.Bool  // neither down nor in maintenance: may be asked by those who belong to it
	weight    atomic.Int32 // the one in force before slow start, `set weight`
	maxconn   atomic.Int32 // 0: unlimited; `set maxconn server`
	initial   int          // weight of the configuration
	checker   atomic.Pointer[Backend]
	pool      pool
	open      connSet
	kick      chan struct{}              // wakes the check loop
	moved     atomic.Pointer[place]      // `set server addr`: where it is now; nil: as configured
	epoch     atomic.Uint32              // counts moves and changes of TLS: connections of an earlier one are not used again
	speaks    atomic.Int32               // `set server ssl`: one of the tls values
	port      atomic.Int32               // `set server check-port`: 0 as configured
	checkHost atomic.Pointer[netip.Addr] // `set server check-addr`: nil as configured

	agent agent

	mu         sync.Mutex // guards the fields below
	op         OpState
	admin      Admin
	health     health
	lastChange time.Time
	downTime   time.Duration
	downs      int64
	follow     []*Server // that track this one; replaced whole

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
	ForcedMaint    Admin = 0x01
	InheritedMaint Admin = 0x02 // of the tracked server
	ConfigMaint    Admin = 0x04 // `disabled` in the configuration
	ForcedDrain    Admin = 0x08
	InheritedDrain Admin = 0x10 // of the tracked server
	Maint                = ForcedMaint | InheritedMaint | ConfigMaint
	Drain                = ForcedDrain | InheritedDrain
)

func newServer(b *Backend, o ServerOptions, old *Backend) *Server {
	s := &Server{backend: b, o: o, id: o.Line.ID, where: target(o), gone: make(chan struct{})}
	if old != nil {
		s.inherit(old.Server(o.Line.Name))
	}
	fresh := s.life == nil
	if fresh {
		s.life = newLife(o)
	}
	if o.TLS != nil && s.tls == nil {
		s.tls = newClient(o.TLS, o.SNI != nil)
	}
	if fresh && o.Saved != nil {
		s.restore(o.Saved)
	}
	if o.Made != nil {
		o.Made(s)
	}
	return s
}

// inherit takes over the life of the server's earlier generation when it still is the same machine.
func (s *Server) inherit(old *Server) {
	if old == nil || old.where != s.where {
		return
	}
	s.life = old.life
	if s.o.TLS != nil && old.tls != nil && same(old.o.TLS, s.o.TLS) {
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
	if old.CheckPort != line.CheckPort || old.CheckAddr != line.CheckAddr {
		l.port.Store(0)
		l.checkHost.Store(nil)
	}
	if old.SSL != line.SSL || old.NoSSL != line.NoSSL {
		l.speaks.Store(tlsAsConfigured)
	}
	if old.Disabled && !line.Disabled {
		l.admin &^= ForcedMaint | ConfigMaint
	} else if !old.Disabled && line.Disabled {
		l.admin |= ForcedMaint | ConfigMaint
	}
	if !line.Check && l.admin&Maint == 0 && old.Check {
		l.op = Running // nothing would ever raise it again
	}
	l.health.adopt(line)
	l.agent.adopt(old, line)
	l.refreshLocked()
}

func newLife(o ServerOptions) *life {
	l := &life{initial: o.Line.Weight, op: Running, lastChange: time.Now(), kick: make(chan struct{}, 1)}
	l.weight.Store(int32(o.Line.Weight))
	l.maxconn.Store(int32(o.Line.MaxConn))
	l.health = newHealth(&o.Line)
	l.agent.begin(&o.Line)
	if o.Dynamic {
		l.admin, l.op = ForcedMaint, Stopped
		l.health.value, l.health.enabled, l.agent.enabled = 0, false, false
	}
	if o.Line.Disabled {
		l.admin = ForcedMaint | ConfigMaint // HAProxy shows 5
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

// Name is the server's name.
func (s *Server) Name() string { return s.o.Line.Name }

// NonStick reports whether stick tables leave the server out.
func (s *Server) NonStick() bool { return s.o.Line.NonStick }

// Backend is the generation the server belongs to.
func (s *Server) Backend() *Backend { return s.backend }

// Line is the server line as configured.
func (s *Server) Line() *config.Server { return &s.o.Line }

// Counters of the server's row.
func (s *Server) Counters() *stats.Counters { return &s.life.counters }

// Served is how many requests hold the server now.
func (s *Server) Served() int { return int(s.served.Load()) }

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
