// Package backend holds the servers of one backend: it chooses one for a request, waits in the queue when all are
// full, opens a connection or takes an idle one, and watches the servers' health (HAProxy's configuration manual,
// sections 5.2 and 5.3, and management guide, section 9.3). It knows nothing of HTTP messages beyond the ones its
// checks send; package proxy carries the bytes.
//
// What always holds: choosing a server takes no lock that other requests share, a server never serves more requests
// than its maxconn, and every wait ends by a deadline or by the caller's context. A server's counters, health,
// administrative state and idle connections live in a value that generations of the configuration share, so that a
// reload forgets nothing. Goroutines: Run starts one per checked server and one that closes idle connections, and
// returns when all of them have ended.
package backend

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/stats"
)

// Options is one backend as the configuration describes it.
type Options struct {
	Name          string
	HTTP          bool     // mode http
	Algorithm     string   // first word of `balance`; "" is roundrobin
	AlgorithmArgs []string // the words after it
	Servers       []ServerOptions
	Check         CheckOptions // how checked servers are asked; zero is a TCP connect

	ConnectTimeout time.Duration // 0: none
	QueueTimeout   time.Duration // 0: ConnectTimeout
	CheckTimeout   time.Duration // 0: the check's interval

	Retries    int  // attempts after the first one; New does not default it
	Redispatch *int // option redispatch N: nil is off, 0 means the last retry only (HAProxy's -1)
	AllBackups bool // option allbackups
	Persist    bool // option persist: a request that belongs to a server goes there even when it is down
	// NoConnectRetry is retry-on without conn-failure: a failed attempt to connect is final.
	NoConnectRetry bool
	FullConn       int // sessions at which minconn has grown to maxconn; 0: a tenth is not computed here, maxconn applies at once
	Reuse          string
	Probes         config.Probes // their parameters
	KeepAlive      bool          // option tcpka or srvtcpka: TCP keepalive probes towards servers

	// ChecksBefore and OtherChecks count the checked servers of earlier backends and of all others, among which first checks are spread.
	ChecksBefore, OtherChecks int

	SpreadChecks    int // global spread-checks, in percent, 0..50
	LogHealthChecks bool

	Counters *stats.Counters // of the backend's BACKEND row; nil makes its own
	// Log receives what HAProxy sends to the backend's log: level is a syslog word, text ends without a newline. It must not block.
	Log  func(level, text string)
	Emit event.Sink
	// Dial opens a connection; nil is net.Dialer. Tests put a network in memory here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Backend is one generation of a backend. New makes it, Run brings it to life; after its configuration was replaced it
// serves the requests that hold it until they end.
type Backend struct {
	o        Options
	reuse    reuse
	counters *stats.Counters
	list     atomic.Pointer[[]*Server]            // replaced whole under lists
	cookies  atomic.Pointer[map[string][]*Server] // of list, by cookie value
	lineup   atomic.Pointer[lineup]
	cursor   atomic.Uint32
	queue    queue
	dial     func(ctx context.Context, network, address string) (net.Conn, error)

	lists sync.Mutex    // serialises changes of list
	fresh []*Server     // added and not yet watched, guarded by lists
	came  chan struct{} // wakes Run when something is in fresh

	mu         sync.Mutex // serialises rebuilds of the line-up
	lastChange atomic.Int64
	downs      atomic.Int64 // times the last usable server was lost
	downTime   atomic.Int64 // nanoseconds, past outages
	wasDown    bool         // guarded by mu
}

// New builds a backend. Servers that old knows under the same name and address keep their state, counters and idle
// connections. A generation that is given up before Run must be closed.
func New(o Options, old *Backend) (*Backend, error) {
	b := &Backend{o: o, counters: o.Counters, dial: o.Dial, came: make(chan struct{}, 1)}
	if b.counters == nil {
		b.counters = new(stats.Counters)
	}
	if b.dial == nil {
		b.dial = dialer(o.KeepAlive, o.Probes)
	}
	var err error
	if b.reuse, err = parseReuse(o.Reuse); err != nil {
		return nil, fmt.Errorf("backend %s: %w", o.Name, err)
	}
	if err := checkAlgorithm(o.Algorithm); err != nil {
		return nil, fmt.Errorf("backend %s: %w", o.Name, err)
	}
	b.lastChange.Store(time.Now().UnixNano())
	if old != nil {
		b.lastChange.Store(old.lastChange.Load())
		b.downs.Store(old.downs.Load())
		b.downTime.Store(old.downTime.Load())
	}
	servers := make([]*Server, 0, len(o.Servers))
	for i := range o.Servers {
		s := newServer(b, o.Servers[i], old)
		if s.id == 0 {
			s.id = i + 1
		}
		servers = append(servers, s)
	}
	b.setServers(servers)
	for _, s := range servers {
		s.life.attach(b)
	}
	b.rebuild()
	return b, nil
}

// Close gives up a backend that never ran: its servers stop telling it of their changes.
func (b *Backend) Close() {
	for _, s := range b.Servers() {
		s.unfollow()
		s.life.detach(b)
	}
}

// Run checks the servers and closes idle connections until ctx is done.
func (b *Backend) Run(ctx context.Context) error {
	defer b.Close()
	var wg sync.WaitGroup
	for i, s := range b.Servers() {
		b.tend(ctx, &wg, s, b.checkStart(i))
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-b.came:
			for _, s := range b.takeFresh() {
				b.tend(ctx, &wg, s, 0)
			}
		}
	}
	wg.Wait()
	for _, s := range b.Servers() {
		s.unfollow()
		s.life.leave(b)
	}
	return nil
}

// Name is the backend's name.
func (b *Backend) Name() string { return b.o.Name }

// Servers are the backend's servers in the order of the configuration, then those added at run time. The caller must not change the slice.
func (b *Backend) Servers() []*Server { return *b.list.Load() }

// Server returns the server called name, nil when there is none.
func (b *Backend) Server(name string) *Server {
	for _, s := range b.Servers() {
		if s.o.Line.Name == name {
			return s
		}
	}
	return nil
}

// Counters of the backend's row.
func (b *Backend) Counters() *stats.Counters { return b.counters }

// Usable counts the servers that can take a request: active ones and backups.
func (b *Backend) Usable() (active, backup int) {
	for _, s := range b.Servers() {
		if !s.life.usable.Load() {
			continue
		}
		if s.o.Line.Backup {
			backup++
		} else {
			active++
		}
	}
	return active, backup
}

// Queued is how many requests wait for any of the servers.
func (b *Backend) Queued() int { return int(b.queue.waiting.Load()) }

// LastChange is when the backend last gained its first usable server or lost its last one.
func (b *Backend) LastChange() time.Time { return time.Unix(0, b.lastChange.Load()) }

// Downs is how often the backend lost its last usable server, and DownTime how long it was without one.
func (b *Backend) Downs() int64 { return b.downs.Load() }

// DownTime is how long the backend has been without a usable server in all.
func (b *Backend) DownTime() time.Duration {
	d := time.Duration(b.downTime.Load())
	if a, k := b.Usable(); a+k == 0 {
		d += time.Since(b.LastChange())
	}
	return d
}

func (b *Backend) log(level, format string, args ...any) {
	if b.o.Log != nil {
		b.o.Log(level, fmt.Sprintf(format, args...))
	}
}

func (b *Backend) emit(kind event.Kind, level, subject, text string) {
	if b.o.Emit != nil {
		b.o.Emit(event.Event{Time: time.Now(), Kind: kind, Level: level, Subject: subject, Text: text})
	}
}
