package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// stopTimeout is how long a worker may take to die of SIGINT or SIGTERM before it is killed.
const stopTimeout = 10 * time.Second

// master keeps its rights and serves no client: it starts the worker, reads and writes files and opens sockets for it, and tells
// it what to load. The worker lives as long as the master; a reload hands it the next generation.
//
//	starting --loaded--> serving --reload--> reloading --loaded or not--> serving
//	any --SIGINT, SIGTERM, SIGUSR1, the worker's death--> stopping --> gone
type master struct {
	p       *process
	guard   *host.Guard
	notify  notifier
	started time.Time

	worker  *os.Process
	spawned time.Time
	control *exchange
	exited  chan *os.ProcessState // one value: how the worker ended

	reloading sync.Mutex                    // one reload at a time
	current   atomic.Pointer[config.Config] // what the worker serves; written under reloading

	mu      sync.Mutex
	serving bool // the worker loaded its first generation
	reloads int  // attempts
	failed  int  // attempts that failed since the last that did not
}

// master is the main function of a master. cfg is what the sources say, as far as they parse.
func (p *process) master(ctx context.Context, cfg *config.Config) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGTTIN)
	m := &master{p: p, guard: host.NewGuard(host.Direct{}), notify: newNotifier(p.o.Systemd), started: time.Now(),
		exited: make(chan *os.ProcessState, 1)}
	m.current.Store(cfg)
	sockets, ok := p.openMasterSockets(ctx)
	if !ok {
		p.print.Alert("Can't create the master's CLI.")
		return 1
	}
	m.guard.SetPolicy(m.policy(cfg))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if err := m.spawn(ctx, &running); err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	running.Go(func() { m.receive(ctx) })
	cli, err := m.newCLI(sockets)
	if err != nil {
		p.print.Alert("%v", err)
		_ = m.worker.Kill()
		return 1
	}
	for _, s := range sockets {
		running.Go(func() { m.serveCLI(ctx, cli, s) })
	}
	return m.run(ctx, stop, signals)
}

func (m *master) policy(configs ...*config.Config) *host.Policy {
	return policyOf(m.guard, environment(m.p.o, nil, true), configs...)
}

// spawn starts the worker with its ends of two socketpairs.
func (m *master) spawn(ctx context.Context, running *sync.WaitGroup) error {
	hostConn, hostEnd, err := host.NewPair()
	if err != nil {
		return err
	}
	defer hostEnd.Close()
	controlConn, controlEnd, err := host.NewPair()
	if err != nil {
		hostConn.Close()
		return err
	}
	defer controlEnd.Close()
	m.worker, err = spawn("worker", m.p.inherited, false, hostEnd, controlEnd)
	if err != nil {
		hostConn.Close()
		controlConn.Close()
		return err
	}
	for _, fd := range m.p.inherited {
		// The worker has them now. A listening socket that stays open here would keep accepting for nobody once the worker closed it.
		_ = syscall.Close(fd)
	}
	m.p.inherited, m.spawned = nil, time.Now()
	m.p.print.Notice("Initializing new worker (%d)", m.worker.Pid)
	m.control = newExchange(controlConn)
	running.Go(func() { _ = host.Serve(ctx, hostConn, m.guard) })
	running.Go(func() {
		state, err := m.worker.Wait()
		if err != nil {
			state = nil
		}
		m.exited <- state
	})
	return nil
}

// run starts the first generation and then does what signals and sockets ask for until the worker is gone.
func (m *master) run(ctx context.Context, stop context.CancelFunc, signals chan os.Signal) int {
	loaded := make(chan outcome, 1)
	var background sync.WaitGroup
	background.Go(func() { loaded <- m.load(ctx, m.p.sources, false) })
	defer background.Wait()
	defer stop()
	var fatal os.Signal
	var kill <-chan time.Time
	for {
		select {
		case o := <-loaded:
			if o.err == nil && o.ok && m.begin() {
				continue
			}
			if o.err == nil && o.ok { // it serves, but we cannot
				fatal = syscall.SIGTERM
				_ = m.worker.Signal(syscall.SIGTERM)
			}
			kill = time.After(stopTimeout)
		case state := <-m.exited:
			stop()
			return m.ended(state, fatal)
		case <-kill:
			_ = m.worker.Kill()
		case sig := <-signals:
			switch sig {
			case syscall.SIGUSR2, syscall.SIGHUP:
				background.Go(func() { m.Reload(ctx, false) })
			case syscall.SIGTTOU, syscall.SIGTTIN:
				_ = m.worker.Signal(sig)
			default:
				if fatal == nil {
					m.p.print.Warning("Exiting Master process...")
					m.notify.stopping()
				}
				fatal = sig
				_ = m.worker.Signal(sig)
				if sig != syscall.SIGUSR1 && kill == nil {
					kill = time.After(stopTimeout)
				}
			}
		}
	}
}

// begin is the moment at which the service is up: the world may know.
func (m *master) begin() bool {
	if !m.p.writePidFile() {
		return false
	}
	m.mu.Lock()
	m.serving = true
	m.mu.Unlock()
	m.p.signalOld(m.p.o.OldSignal)
	m.p.print.Notice("Loading success.")
	m.notify.ready()
	m.p.ready()
	return true
}

// ended says how the worker ended and gives the master's exit code: 130 after SIGINT, 0 after SIGTERM, as HAProxy's.
func (m *master) ended(state *os.ProcessState, fatal os.Signal) int {
	code, words := 1, "Exit"
	if state != nil {
		code, words = exitCode(state)
	}
	m.mu.Lock()
	serving := m.serving
	m.mu.Unlock()
	print := m.p.print
	if !serving && fatal == nil {
		print.Warning("Failed to load worker (%d) exited with code %d (%s)", m.worker.Pid, code, words)
		return max(code, 1)
	}
	say := print.Alert
	if code == 0 {
		say = print.Warning
	}
	say("Current worker (%d) exited with code %d (%s)", m.worker.Pid, code, words)
	if fatal == nil && code != 0 {
		print.Alert("exit-on-failure: killing every processes with SIGTERM")
	}
	if code == 128+int(syscall.SIGTERM) {
		code = 0
	}
	if fatal == syscall.SIGINT {
		code = 128 + int(syscall.SIGINT)
	}
	print.Warning("All workers exited. Exiting... (%d)", code)
	return code
}

// load orders the worker to load these sources.
func (m *master) load(ctx context.Context, sources []config.Source, hard bool) outcome {
	parts, payload := pack(sources)
	return m.control.ask(ctx, loadTimeout, func(id uint64) error {
		return m.control.link.Send(order{Do: "load", ID: id, Sources: parts, Hard: hard, Detach: m.p.o.Daemon}, payload)
	})
}

// Reload is SIGUSR2, SIGHUP and the master socket's reload: read the files again, allow what the next configuration needs beside
// what the current one needs, and let the worker swap. What does not load changes nothing.
func (m *master) Reload(ctx context.Context, hard bool) (ok bool, logs string) {
	m.reloading.Lock()
	defer m.reloading.Unlock()
	if !m.ready() {
		return false, "the worker is not ready\n"
	}
	print := m.p.print
	print.NewAttempt()
	m.notify.reloading()
	print.Notice("Reloading HAProxy")
	ok = m.reload(ctx, hard)
	m.p.verdict(ok)
	m.mu.Lock()
	m.reloads++
	m.failed++
	if ok {
		m.failed = 0
	}
	m.mu.Unlock()
	if ok {
		m.notify.ready()
	} else {
		m.notify.reloadFailed()
	}
	return ok, print.Attempt()
}

func (m *master) reload(ctx context.Context, hard bool) bool {
	sources, err := readSources(m.guard, m.p.o.Files)
	if err != nil {
		m.p.print.Alert("%v", err)
		return false
	}
	next, _ := config.Parse(sources, parseOptions(m.p.o, environment(m.p.o, sources, true)))
	m.guard.SetPolicy(m.policy(m.current.Load(), next))
	o := m.load(ctx, sources, hard)
	m.p.print.Append(o.logs)
	if o.err != nil {
		m.p.print.Alert("asking the worker to load: %v", o.err)
	}
	if o.err == nil && o.ok {
		m.current.Store(next)
	}
	if o.err == nil { // without an answer the worker may be serving either
		m.guard.SetPolicy(m.policy(m.current.Load()))
	}
	return o.err == nil && o.ok
}

func (m *master) ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.serving
}

// receive takes the worker's reports until it is gone.
func (m *master) receive(ctx context.Context) {
	var asked sync.WaitGroup
	defer asked.Wait()
	stop := context.AfterFunc(ctx, func() { m.control.link.Close() })
	defer stop()
	for {
		var r report
		payload, files, err := m.control.link.Receive(&r)
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			m.control.end(fmt.Errorf("the worker is gone: %w", err))
			return
		}
		switch r.Say {
		case "loaded":
			m.control.answer(r.ID, outcome{ok: r.OK, logs: string(payload)})
		case "reload":
			asked.Go(func() {
				ok, logs := m.Reload(ctx, false)
				_ = m.control.link.Send(order{Do: "reloaded", ID: r.ID, OK: ok}, []byte(logs))
			})
		}
	}
}
