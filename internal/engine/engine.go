package engine

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
	"gatehouse/internal/log"
	"gatehouse/internal/pattern"
	"gatehouse/internal/proxy"
	"gatehouse/internal/stats"
)

// Options of an engine. Host, Store and Notify are required.
type Options struct {
	Host  host.Host
	Store *certstore.Store
	Parse config.ParseOptions
	// Check is run on every configuration that Load planned, so that sections of other rooms are covered by -c; may be nil.
	Check func(*config.Config, []certstore.Managed, *config.Diags)
	// Challenge answers HTTP-01 challenges of our own open orders before any rule; may be nil.
	Challenge func(token []byte) []byte
	// Notify prints one line for the operator: level is NOTICE, WARNING or ALERT.
	Notify func(level, text string)
	// StateDir names the state directory of a configuration.
	StateDir func(*config.Config) string
	Emit     event.Sink // may be nil
	// Info is what show info tells, for the metrics; nil leaves the process out of them.
	Info   func() *stats.Info
	Limits Limits
}

// Limits are what the command line says about the configuration.
type Limits struct {
	MaxConn          int  // -n; 0: the configuration's
	Files            int  // descriptors the process may have (RLIMIT_NOFILE); 0: not known
	ProxyMaxConn     int  // -N; 0: the configuration's
	IgnoreUnresolved bool // -dr
	ServerVerifyNone bool // -dV
	NoReusePort      bool // -dR
	// Strict makes certificates that cannot be used errors, as -c does. Otherwise they are told and the entry is off.
	Strict bool
}

// Engine runs generations. New makes it, Load and Apply bring in configurations, Run serves. Load and Apply are called by one
// goroutine at a time; everything else may be called by any.
type Engine struct {
	o       Options
	started time.Time
	group   group
	tickets *listener.Tickets
	// sessions are those of bind lines without tickets.
	sessions *listener.Sessions

	plan *plan // loaded, waiting for Apply

	mu         sync.Mutex            // guards the fields below
	sockets    map[string]*socket    // listening sockets of bind lines by what was asked of the machine
	retired    []*socket             // stopped, with connections that go on
	applied    time.Time             // when the generation that serves came in
	logs       map[string]*logTarget // log targets by what the configuration says of them
	rings      map[string]*ring      // rings by what names them in the configuration
	ringList   []*ring               // the same in the configuration's order
	builtin    []*log.Ring           // buf0 and dpapi
	front      map[string]*front     // frontends by name
	stopped    bool                  // SoftStop was called
	drained    chan struct{}         // closed when a soft stop is complete
	gen        atomic.Pointer[generation]
	limit      listener.Limit // of the process
	ids        atomic.Uint64  // of connections
	hardMax    atomic.Int64   // what limit was set to by the configuration
	procVar    procVars
	invalid    capturedRing
	compressed proxy.CompressionRate // of the process
	rates      listener.Rates        // of the process
}

// generation is what one configuration became. It is immutable once applied, except for what its parts do by themselves.
type generation struct {
	cfg      *config.Config
	proxies  []*proxyGen
	byName   map[string]*proxyGen
	patterns *pattern.Refs   // ACLs and maps; what commands and rules changed in them ends with the generation
	logger   *log.Logger     // the global targets
	tables   []*tableUse     // stick tables, the last one of the configuration first
	detach   []func()        // ends the uses of lists and of servers' certificates
	pinned   map[string]bool // servers, as backend/server, that rules name: they cannot be deleted
	// ticketFiles are in the order of the configuration.
	ticketFiles []*TicketFile
}

// New makes an engine without a generation.
func New(o Options) *Engine {
	return &Engine{
		o: o, started: time.Now(), tickets: listener.NewTickets(), sessions: listener.NewSessions(),
		sockets: map[string]*socket{}, logs: map[string]*logTarget{}, front: map[string]*front{}, rings: map[string]*ring{}, builtin: builtinRings(), drained: make(chan struct{}),
	}
}

// Config is the configuration that serves; nil before the first Apply.
func (e *Engine) Config() *config.Config {
	if g := e.gen.Load(); g != nil {
		return g.cfg
	}
	return nil
}

// Patterns are the ACLs and maps of the configuration that serves; nil before the first Apply.
func (e *Engine) Patterns() *pattern.Refs {
	if g := e.gen.Load(); g != nil {
		return g.patterns
	}
	return nil
}

// Run serves until ctx is done or a soft stop is complete, and returns when everything it started has returned.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case <-e.drained:
			cancel()
		case <-ctx.Done():
		}
	}()
	e.group.start(e.sweepTables)
	e.group.run(ctx)
	<-stop
	return nil
}

// emit tells an event to whoever listens.
func (e *Engine) emit(ev event.Event) {
	if e.o.Emit != nil {
		e.o.Emit(ev)
	}
}

func (e *Engine) notify(level, format string, args ...any) {
	e.o.Notify(level, fmt.Sprintf(format, args...))
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func (e *Engine) stateDir(cfg *config.Config) string {
	if e.o.StateDir == nil {
		return ""
	}
	return e.o.StateDir(cfg)
}
