package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// bindRetries times bindPause is how long a new process waits for the old ones of -sf and -st to let go of an address.
const (
	bindRetries = 100
	bindPause   = 20 * time.Millisecond
)

// server is what a process alone and a worker have in common: an engine that runs, the generation it serves, and how it stops.
type server struct {
	p      *process
	host   host.Host
	engine Engine

	reloading sync.Mutex   // one generation after the other
	hardStop  atomic.Int64 // hard-stop-after of the current generation
}

// alone is a process that keeps its own rights as long as it needs them: it opens everything, drops, and serves.
func (p *process) alone(ctx context.Context) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGTTIN)
	h, done, ok := p.takeOver(host.Direct{})
	if !ok {
		return 1
	}
	s := &server{p: p, host: h}
	var err error
	if s.engine, err = p.engine(h, s.reload, false); err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	cfg, _, ok := p.load(ctx, s.engine, h, p.sources)
	if !ok || !s.first(ctx) {
		return 1
	}
	done()
	s.hardStop.Store(int64(cfg.Global.HardStop))
	if p.o.Daemon && !p.writePidFile() {
		return 1
	}
	if !s.drop(cfg) {
		return 1
	}
	p.signalOld(p.o.OldSignal)
	p.ready()
	return s.serve(ctx, signals)
}

// takeOver fetches the sockets of an old process (-x). done closes those that the first generation did not ask for.
func (p *process) takeOver(h host.Host) (_ host.Host, done func(), ok bool) {
	if p.o.OldSocket == "" || p.o.OldSocket == "/dev/null" {
		return h, func() {}, true
	}
	files, err := host.FetchSockets(p.o.OldSocket)
	if err != nil {
		p.print.Warning("Failed to connect to the old process socket '%s'", p.o.OldSocket)
		p.print.Alert("Failed to get the sockets from the old process!")
		return nil, nil, false
	}
	in := host.NewInheriting(h, files)
	return in, in.Close, true
}

// first applies the first generation. Where an address is taken and there are old processes, these are asked to pause.
func (s *server) first(ctx context.Context) bool {
	diags := s.engine.Apply(ctx)
	if diags.HasErrors() && len(s.p.o.OldPids) > 0 {
		s.p.signalOld(syscall.SIGTTOU)
		pause := time.NewTicker(bindPause)
		defer pause.Stop()
		for i := 0; i < bindRetries && diags.HasErrors(); i++ {
			<-pause.C
			diags = s.engine.Apply(ctx)
		}
		if diags.HasErrors() {
			s.p.signalOld(syscall.SIGTTIN)
		}
	}
	s.p.print.Diags(diags)
	if diags.HasErrors() {
		s.p.print.Alert("[haproxy.main()] Some protocols failed to start their listeners! Exiting.")
		return false
	}
	paceCollector()
	returnMemory()
	return true
}

func (s *server) drop(cfg *config.Config) bool {
	id, err := identityOf(s.host, &cfg.Global)
	if err == nil {
		id.advise(s.p.print)
		err = id.drop()
	}
	if err != nil {
		s.p.print.Alert("%v", err)
		return false
	}
	return true
}

// serve runs the engine until a signal or the engine itself ends it. The exit code is 0, unless a signal is to be died of.
func (s *server) serve(ctx context.Context, signals chan os.Signal) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- s.engine.Run(ctx) }()
	var background sync.WaitGroup
	defer background.Wait()
	var fatal os.Signal
	var hard <-chan time.Time
	for {
		select {
		case err := <-ran:
			stop()
			return s.ended(err, fatal)
		case <-hard:
			s.p.print.Warning("soft-stop running for too long, performing a hard-stop.")
			stop()
		case sig := <-signals:
			switch sig {
			case syscall.SIGINT, syscall.SIGTERM:
				fatal = sig
				stop()
			case syscall.SIGUSR1:
				if limit := s.hardStop.Load(); hard == nil && limit > 0 {
					hard = time.After(time.Duration(limit))
				}
				s.engine.SoftStop()
			case syscall.SIGUSR2:
				background.Go(func() { s.reload(ctx) })
			case syscall.SIGHUP:
				s.engine.DumpState()
			case syscall.SIGTTOU:
				s.engine.Pause()
			case syscall.SIGTTIN:
				s.engine.Resume()
			}
		}
	}
}

func (s *server) ended(err error, fatal os.Signal) int {
	if err != nil && fatal == nil {
		s.p.print.Alert("%v", err)
		return 1
	}
	if sig, ok := fatal.(syscall.Signal); ok {
		dieOf(sig)
		return 128 + int(sig)
	}
	return 0
}

// dieOf ends the process by the signal itself, so that whoever waits for it sees what happened.
func dieOf(sig syscall.Signal) {
	signal.Reset(sig)
	_ = syscall.Kill(os.Getpid(), sig)
	// The signal arrives at any moment; a blocked one must not keep the process for ever.
	<-time.After(time.Second)
}

// reload reads the configuration again and swaps generations; what does not load leaves the one before serving. logs are the
// diagnostics of the attempt.
func (s *server) reload(ctx context.Context) (ok bool, logs string) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	print := s.p.print
	print.NewAttempt()
	print.Notice("Reloading HAProxy")
	sources, err := readSources(s.host, s.p.o.Files)
	if err != nil {
		print.Alert("%v", err)
	} else {
		ok = s.next(ctx, sources)
	}
	s.p.verdict(ok)
	return ok, print.Attempt()
}

// verdict says how a reload ended.
func (p *process) verdict(ok bool) {
	if ok {
		p.print.Notice("Loading success.")
		return
	}
	p.print.Warning("Loading failed: the configuration before keeps serving.")
}

// next plans and applies one more generation. The caller holds reloading.
func (s *server) next(ctx context.Context, sources []config.Source) bool {
	cfg, _, ok := s.p.load(ctx, s.engine, s.host, sources)
	if !ok {
		return false
	}
	diags := s.engine.Apply(ctx)
	s.p.print.Diags(diags)
	if diags.HasErrors() {
		return false
	}
	s.hardStop.Store(int64(cfg.Global.HardStop))
	returnMemory()
	return true
}

func (p *process) signalOld(sig syscall.Signal) {
	for _, pid := range p.o.OldPids {
		_ = syscall.Kill(pid, sig) // it may be gone already, which is what is wanted
	}
}

func (p *process) writePidFile() bool {
	if p.o.PidFile == "" {
		return true
	}
	err := os.WriteFile(p.o.PidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	if err != nil {
		p.print.Alert("[haproxy.main()] Cannot create pidfile %s", p.o.PidFile)
	}
	return err == nil
}

// ready ends the start: who launched a daemon may go, and the daemon lets go of the terminal.
func (p *process) ready() {
	p.print.Started()
	if p.role.kind != "daemon" {
		return
	}
	releaseStdio()
	pipe := os.NewFile(uintptr(p.role.fds[0]), "readiness")
	_, _ = pipe.Write([]byte{1})
	pipe.Close()
}

// releaseStdio lets go of the terminal or pipe that a daemon was started from, so that whoever reads it sees its end. After a
// chroot there may be no /dev/null: then the descriptors become an end of a pipe that nobody reads.
func releaseStdio() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		r, w, perr := os.Pipe()
		if perr != nil {
			return
		}
		r.Close()
		null = w
	}
	for fd := range 3 {
		_ = syscall.Dup3(int(null.Fd()), fd, 0)
	}
	null.Close()
}

// detach starts the daemon and waits until it serves or is gone, so that the exit code tells which.
func (p *process) detach() int {
	r, w, err := os.Pipe()
	if err != nil {
		p.print.Alert("Cannot start the daemon: %v", err)
		return 1
	}
	defer r.Close()
	child, err := spawn("daemon", p.inherited, true, w)
	w.Close()
	if err != nil {
		p.print.Alert("Cannot start the daemon: %v", err)
		return 1
	}
	// No deadline: a start with very many certificates takes as long as it takes, and a daemon that dies closes the pipe.
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return 0
	}
	state, err := child.Wait()
	if err != nil {
		p.print.Alert("%v", fmt.Errorf("waiting for the daemon: %w", err))
		return 1
	}
	code, words := exitCode(state)
	p.print.Alert("Process %d exited with code %d (%s)", child.Pid, code, words)
	return max(code, 1)
}
