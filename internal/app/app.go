package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"

	"gatehouse/internal/acme"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/engine"
	"gatehouse/internal/event"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/log"
	"gatehouse/internal/ocsp"
)

// house is the serving half of a process: the wings, the engine that joins them, and the faces. It is built bottom-up here and
// nowhere else.
type house struct {
	o     WorkerOptions
	store *certstore.Store
	acme  *acme.Manager
	ocsp  *ocsp.Updater
	eng   *engine.Engine
	cli   *socket.Worker
	state stateDir

	mu      sync.Mutex
	loaded  *config.Config // waiting for Apply
	current *config.Config
	sockets []*statsSocket  // in the order of the configuration
	running context.Context // of Run; nil before it
	wg      sync.WaitGroup  // of the stats sockets' accept loops
}

// NewHouse builds the serving half of a process.
func NewHouse(o WorkerOptions) (Engine, error) {
	h := &house{o: o}
	h.state = stateDir{host: o.Host, notify: o.Notify}
	h.store = certstore.New(certstore.Options{Host: o.Host, State: h.state.open, Emit: h.emit})
	h.acme = acme.New(acme.Options{
		Store: h.store, State: h.state.open, Host: o.Host, Emit: h.emit, Log: h.log, UserAgent: "gatehouse/" + Version,
	})
	h.ocsp = ocsp.New(ocsp.Options{
		Store: h.store, UserAgent: "gatehouse/" + Version, Lookup: o.Host.LookupIP, Emit: h.emit, Log: func(level, text string) { h.eng.Log(level, text) },
	})
	h.eng = engine.New(engine.Options{
		Host: o.Host, Store: h.store, Parse: o.Parse, Check: h.check, Challenge: h.acme.KeyAuthorization, Notify: o.Notify, Emit: h.emit, StateDir: o.StateDir,
		Info: processFace{h}.Info,
		Limits: engine.Limits{
			Files:   openFiles(),
			MaxConn: o.Flags.MaxConn, ProxyMaxConn: o.Flags.ProxyMaxConn, IgnoreUnresolved: o.Flags.IgnoreUnresolved,
			ServerVerifyNone: o.Flags.ServerVerifyNone, NoReusePort: o.Flags.NoReusePort, Strict: o.Flags.Check,
		},
	})
	var err error
	h.cli, err = socket.NewWorker(socket.Options{
		Process: processFace{h}, Certificates: certificates{h.store, h.acme}, ACME: h.acme, Staples: h.store, OCSP: h.ocsp, Patterns: h.eng.Patterns,
		Sockets: h.socketList, Tables: h.eng.Tables, Var: h.eng.ShowVar, SetVar: h.eng.SetVar, Sinks: h.eng.Sinks, Tickets: h.eng.TicketFiles, ECH: h.eng.ECHBinds, Names: h.eng, GetSocks: h.sendSockets, Failed: h.sessionFailed,
		SavePattern: h.savePattern,
	})
	return h, err
}

// check is the check phase of the certificate wing, so that -c covers its sections.
func (h *house) check(cfg *config.Config, managed []certstore.Managed, diags *config.Diags) {
	*diags = append(*diags, h.acme.Check(cfg, managed)...)
}

// Load plans the next generation.
func (h *house) Load(ctx context.Context, sources []config.Source) (*config.Config, config.Diags) {
	cfg, diags := h.eng.Load(ctx, sources)
	h.checkStatsSockets(ctx, cfg, &diags)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.loaded = cfg
	return cfg, diags
}

// Apply makes the loaded plan current: sockets first, because they can fail.
func (h *house) Apply(ctx context.Context) config.Diags {
	h.mu.Lock()
	defer h.mu.Unlock()
	var diags config.Diags
	cfg := h.loaded
	if cfg == nil {
		diags.Add(config.LevelAlert, "config : nothing was loaded.")
		return diags
	}
	wanted, opened := h.openStatsSockets(ctx, cfg, &diags)
	if !diags.HasErrors() {
		h.state.use(h.o.StateDir(cfg))
		diags = append(diags, h.eng.Apply(ctx)...)
	}
	if diags.HasErrors() {
		for _, s := range opened {
			s.ln.Close()
		}
		return diags
	}
	h.loaded, h.current = nil, cfg
	g := &cfg.Global
	useThreads(g.Threads)
	h.cli.Update(socket.Settings{
		Timeout: g.StatsTimeout, MaxConn: g.StatsMaxConn, MaxPayload: g.CLIMaxPayload, BufSize: g.BufSize,
		AdminFrom: cfg.Gatehouse.AdminFrom, CrtBase: g.CrtBase,
	})
	h.swapStatsSocketsLocked(wanted)
	h.acme.Update(cfg)
	h.updateStore(cfg)
	h.ocsp.Update(ocspSettings(&g.OCSPUpdate))
	return diags
}

// useThreads runs n goroutines at a time, as many as there are processors when n is 0.
func useThreads(n int) {
	if n == 0 {
		runtime.SetDefaultGOMAXPROCS()
	} else if n != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}

// Run serves until ctx is done or a soft stop is complete.
func (h *house) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h.mu.Lock()
	h.running = ctx
	for _, s := range h.sockets {
		h.serveStatsSocketLocked(s)
	}
	h.mu.Unlock()
	var acmeErr error
	var wings sync.WaitGroup
	wings.Go(func() { acmeErr = h.acme.Run(ctx) })
	wings.Go(func() { _ = h.store.Run(ctx) }) // its error is that of ctx
	wings.Go(func() { _ = h.ocsp.Run(ctx) })  // returns nil
	wings.Go(func() { tidyMemory(ctx) })
	err := h.eng.Run(ctx)
	stop()
	wings.Wait()
	h.wg.Wait()
	if errors.Is(acmeErr, context.Canceled) {
		acmeErr = nil
	}
	return errors.Join(err, acmeErr, h.state.close())
}

// SoftStop closes the listeners and lets connections finish.
func (h *house) SoftStop() { h.eng.SoftStop() }

// CutOld ends the connections that still belong to earlier generations.
func (h *house) CutOld() { h.eng.CutOld() }

// Pause stops accepting; Resume undoes it.
func (h *house) Pause() { h.eng.Pause() }

// Resume accepts again.
func (h *house) Resume() { h.eng.Resume() }

// DumpState tells the state of every server and proxy.
func (h *house) DumpState() {
	for row := range h.eng.Rows() {
		h.o.Notify("NOTICE", stateLine(row))
	}
}

// ServeCLI serves the Runtime API at level admin on a connection that the master opened.
func (h *house) ServeCLI(ctx context.Context, nc net.Conn) {
	h.cli.ServeConn(ctx, nc, socket.SocketOptions{Addr: "sockpair", Level: socket.Admin})
}

// emit turns events into lines for the operator. Servers log theirs themselves.
func (h *house) emit(ev event.Event) {
	switch ev.Kind {
	case event.ServerUp, event.ServerDown, event.ConfigLoaded, event.ConfigRefused:
		return
	case event.CertUsed:
		h.ocsp.Changed(ev.Subject)
		return
	case event.OCSPRevoked: // clients of the log expect the line of the update alone
		h.o.Notify(log.StartupWord(ev.Level), ev.Text)
		return
	case event.CertCommitted:
		h.ocsp.Changed(ev.Subject)
	}
	h.log(ev.Level, ev.Text)
}

// log prints a line of the certificate wing on stderr and sends it to the global log targets.
func (h *house) log(level, text string) {
	h.o.Notify(log.StartupWord(level), text)
	h.eng.Log(level, text)
}

func (h *house) sessionFailed(by string, reason any) {
	h.o.Notify(config.LevelAlert, fmt.Sprintf("a session of %s ended by a fault of ours: %v", by, reason))
}

// environ is what show env prints: the environment after setenv and its kin, and the sockets.
func (h *house) environ() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current == nil {
		return nil
	}
	env := make([]string, 0, len(h.current.Env)+1)
	for k, v := range h.current.Env {
		if k != "HAPROXY_CLI" {
			env = append(env, k+"="+v)
		}
	}
	var list []string
	for _, s := range h.sockets {
		list = append(list, s.o.Addr)
	}
	return append(env, "HAPROXY_CLI="+strings.Join(list, ";"))
}
