package app

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// worker serves for a master: what it cannot do any more after it dropped its rights, it asks of the master through host.Remote;
// what it shall load comes as an order, the first generation like every later one.
type worker struct {
	server
	control *exchange
	loads   chan load // orders, one after the other
	cli     sync.WaitGroup
}

// load is one order to load, with its sources.
type load struct {
	order
	payload []byte
}

// worker is the main function of a worker.
func (p *process) worker(ctx context.Context) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGTTIN)
	signal.Ignore(syscall.SIGUSR2)
	hostConn, err1 := inheritedConn(p.role.fds[0])
	controlConn, err2 := inheritedConn(p.role.fds[1])
	if err := errors.Join(err1, err2); err != nil {
		p.print.Alert("%v", err)
		return 1
	}
	ctx, stop := context.WithCancel(ctx)
	remote := host.NewRemote(hostConn)
	w := &worker{server: server{p: p, host: remote}, control: newExchange(controlConn), loads: make(chan load, 1)}
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = remote.Run(ctx) })
	running.Go(func() {
		w.receive(ctx)
		stop() // a worker does not outlive its master
	})
	return w.run(ctx, signals)
}

func (w *worker) run(ctx context.Context, signals chan os.Signal) int {
	if !w.start(ctx, signals) {
		return 1
	}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	running.Go(func() { w.follow(ctx) })
	code := w.serve(ctx, signals)
	stop()
	w.cli.Wait()
	running.Wait()
	return code
}

// start loads and applies the first generation and drops the rights.
func (w *worker) start(ctx context.Context, signals chan os.Signal) bool {
	var first load
	select {
	case first = <-w.loads:
	case <-signals:
		return false
	case <-ctx.Done():
		return false
	}
	ok := w.firstGeneration(ctx, first)
	w.reportLoaded(first.ID, ok)
	if ok && first.Detach {
		releaseStdio()
	}
	return ok
}

func (w *worker) firstGeneration(ctx context.Context, first load) bool {
	p := w.p
	h, done, ok := p.takeOver(w.host)
	if !ok {
		return false
	}
	if p.sources, ok = w.sourcesOf(first); !ok {
		return false
	}
	var err error
	if w.engine, err = p.engine(h, w.askReload, true); err != nil {
		p.print.Alert("%v", err)
		return false
	}
	cfg, _, ok := p.load(ctx, w.engine, h, p.sources)
	if !ok || !w.first(ctx) || !w.drop(cfg) {
		return false
	}
	done()
	w.hardStop.Store(int64(cfg.Global.HardStop))
	p.print.Started()
	return true
}

// follow applies the generations that the master orders.
func (w *worker) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-w.loads:
			w.p.print.NewAttempt()
			sources, ok := w.sourcesOf(l)
			ok = ok && w.next(ctx, sources)
			if ok && l.Hard {
				w.engine.CutOld()
			}
			w.reportLoaded(l.ID, ok)
		}
	}
}

func (w *worker) reportLoaded(id uint64, ok bool) {
	// If the master is gone, receive learns it and ends this process.
	_ = w.control.link.Send(report{Say: "loaded", ID: id, OK: ok}, []byte(w.p.print.Attempt()))
}

// askReload is how the engine's own faces reload: the master reads the files, because this process cannot.
func (w *worker) askReload(ctx context.Context) (ok bool, logs string) {
	o := w.control.ask(ctx, askTimeout, func(id uint64) error {
		return w.control.link.Send(report{Say: "reload", ID: id}, nil)
	})
	if o.err != nil {
		return false, o.err.Error()
	}
	return o.ok, o.logs
}

// receive takes the master's orders until the master is gone.
func (w *worker) receive(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { w.control.link.Close() })
	defer stop()
	for {
		var o order
		payload, files, err := w.control.link.Receive(&o)
		if err != nil {
			w.control.end(err)
			return
		}
		switch o.Do {
		case "load":
			select {
			case w.loads <- load{o, payload}:
			case <-ctx.Done():
			}
		case "reloaded":
			w.control.answer(o.ID, outcome{ok: o.OK, logs: string(payload)})
		case "cli":
			if len(files) == 1 {
				w.serveCLI(ctx, files[0])
				files = nil
			}
		}
		for _, f := range files {
			f.Close()
		}
	}
}

// serveCLI lets the engine answer what comes from the master socket. Before the first generation is applied there is nobody to
// answer; the master does not offer it then.
func (w *worker) serveCLI(ctx context.Context, f *os.File) {
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		w.p.print.Warning("connection from the master socket: %v", err)
		return
	}
	w.cli.Go(func() { w.engine.ServeCLI(ctx, conn) })
}

func (w *worker) sourcesOf(l load) (_ []config.Source, ok bool) {
	list, err := unpack(l.Sources, l.payload)
	if err != nil {
		w.p.print.Alert("%v", err)
	}
	return list, err == nil
}
