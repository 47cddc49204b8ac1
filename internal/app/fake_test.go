package app

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"gatehouse/internal/config"
	"gatehouse/internal/listener"
)

// lingerVar makes the fake engine have connections that never end.
const lingerVar = "GATEHOUSE_TEST_LINGER"

// fakeEngine serves one line on every connection: the name of the first proxy of its generation and its pid. On a connection to
// its command line it asks the host to do something.
type fakeEngine struct {
	o       WorkerOptions
	planned *config.Config

	mu        sync.Mutex
	name      atomic.Value
	listeners map[string]net.Listener // by address as written
	conns     sync.WaitGroup
	accepting bool
	done      chan struct{} // closed by a soft stop
	stopOnce  sync.Once
}

func newFake(o WorkerOptions) (Engine, error) {
	return &fakeEngine{o: o, listeners: map[string]net.Listener{}, done: make(chan struct{})}, nil
}

func (e *fakeEngine) Load(_ context.Context, sources []config.Source) (*config.Config, config.Diags) {
	cfg, diags := config.Parse(sources, e.o.Parse)
	e.planned = cfg
	return cfg, diags
}

func (e *fakeEngine) Apply(context.Context) (diags config.Diags) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, px := range e.planned.Proxies {
		for _, b := range px.Binds {
			for _, a := range b.Addrs {
				if e.listeners[a.Text] != nil {
					continue
				}
				ln, err := e.listen(b, a)
				if err != nil {
					diags.Add(config.LevelAlert, fmt.Sprintf("Binding [%s:%d] for frontend %s: %v", b.Pos.File, b.Pos.Line, px.Name, err))
					return diags
				}
				e.listeners[a.Text] = ln
				if e.accepting {
					e.serve(ln)
				}
			}
		}
		e.name.Store(px.Name)
	}
	return nil
}

func (e *fakeEngine) listen(b *config.Bind, a config.Addr) (net.Listener, error) {
	addr, err := listener.NewAddress(context.Background(), e.o.Host, b, a)
	if err != nil {
		return nil, err
	}
	return addr.Open(e.o.Host)
}

func (e *fakeEngine) serve(ln net.Listener) {
	e.conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.conns.Go(func() {
				defer c.Close()
				// "stay" keeps the connection open and answers each line, as a client that survives reloads would want.
				fmt.Fprintf(c, "%v %d\n", e.name.Load(), os.Getpid())
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintf(c, "%v %d\n", e.name.Load(), os.Getpid())
				}
			})
		}
	})
}

func (e *fakeEngine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.accepting = true
	for _, ln := range e.listeners {
		e.serve(ln)
	}
	e.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-e.done:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ln := range e.listeners {
		ln.Close()
	}
	return nil
}

// SoftStop ends at once, or never when lingerVar is set.
func (e *fakeEngine) SoftStop() {
	if os.Getenv(lingerVar) == "" {
		e.stopOnce.Do(func() { close(e.done) })
	}
}
func (e *fakeEngine) CutOld()    { e.o.Notify(config.LevelNotice, "cut") }
func (e *fakeEngine) Pause()     { e.o.Notify(config.LevelNotice, "paused") }
func (e *fakeEngine) Resume()    { e.o.Notify(config.LevelNotice, "resumed") }
func (e *fakeEngine) DumpState() { e.o.Notify(config.LevelWarning, "SIGHUP received") }

func (e *fakeEngine) ServeCLI(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	line, _ := bufio.NewReader(nc).ReadString('\n')
	words := strings.Fields(strings.NewReplacer("prompt", "", "-;", "").Replace(line))
	if len(words) == 0 {
		fmt.Fprintln(nc)
		return
	}
	var answer any
	switch arg := words[len(words)-1]; words[0] {
	case "write":
		answer = e.o.Host.ReplaceFile(arg, []byte("written"), 0o600)
	case "read":
		_, answer = e.o.Host.ReadFile(arg, 1<<20)
	case "see":
		_, answer = os.Stat(arg)
	case "reload":
		ok, logs := e.o.Reload(ctx)
		answer = fmt.Sprint(ok, len(logs) > 0)
	case "env":
		answer = e.o.Env[arg]
	default:
		answer = fmt.Sprintf("%s %d", words, os.Getpid())
	}
	fmt.Fprintf(nc, "%v\n\n", answer)
}
