package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	rt "runtime"
	"strconv"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/backend"
	"gatehouse/internal/certstore"
	"gatehouse/internal/engine"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
	"gatehouse/internal/stats"
)

// processFace answers what the Runtime API asks of the process.
type processFace struct{ h *house }

func (r processFace) Version() string                            { return HAProxyVersion }
func (r processFace) Start() time.Time                           { return r.h.eng.Started() }
func (r processFace) Rows() iter.Seq[*stats.Row]                 { return r.h.eng.Rows() }
func (r processFace) ServerStates() iter.Seq[*stats.ServerState] { return r.h.eng.ServerStates() }
func (r processFace) Backends() []string                         { return r.h.eng.Backends() }
func (r processFace) Env() []string                              { return r.h.environ() }
func (r processFace) StartupLogs() string                        { return r.h.o.StartupLogs() }
func (r processFace) ClearCounters(all bool)                     { r.h.eng.ClearCounters(all) }
func (r processFace) SetMaxconn(n int) error                     { return r.h.eng.SetMaxConn(n) }
func (r processFace) SetRateLimit(what string, n int) error      { return r.h.eng.SetRateLimit(what, n) }

// Info is what show info tells. The name is the one that monitoring matches; the build tells who we are.
func (r processFace) Info() *stats.Info {
	var mem rt.MemStats
	rt.ReadMemStats(&mem)
	i := &stats.Info{
		Name: "HAProxy", Version: HAProxyVersion, ReleaseDate: HAProxyDate, BuildInfo: "gatehouse " + Version, Node: nodeName(r.h),
		Threads: rt.GOMAXPROCS(0), Pid: os.Getpid(), Start: r.Start(),
		MemUsed: int64(mem.HeapInuse + mem.StackInuse), MemAlloc: int64(mem.Sys - mem.HeapReleased),
		Tasks: int64(rt.NumGoroutine()), IdlePercent: 100,
	}
	i.NotOnDisk = int64(r.h.store.Unsaved())
	r.h.eng.FillInfo(i)
	return i
}

func nodeName(h *house) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != nil && h.current.Global.Node != "" {
		return h.current.Global.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// CapturedErrors are the invalid messages kept for show errors.
func (r processFace) CapturedErrors() (uint64, []socket.CapturedError) {
	total, kept := r.h.eng.CapturedErrors()
	out := make([]socket.CapturedError, 0, len(kept))
	for _, c := range kept {
		out = append(out, socket.CapturedError{Proxy: c.Proxy, Response: c.Response, Text: c.Text})
	}
	return total, out
}

// Sessions yields what is being served.
func (r processFace) Sessions() iter.Seq[socket.Stream] {
	return func(yield func(socket.Stream) bool) {
		now := time.Now()
		for s := range r.h.eng.Sessions() {
			proto := "tcpv4"
			switch {
			case s.Unix:
				proto = "unix_stream"
			case !s.Src.Addr().Unmap().Is4():
				proto = "tcpv6"
			}
			if !yield(socket.Stream{
				ID: strconv.FormatUint(s.ID, 16), Proto: proto, Src: s.Src.String(), Frontend: s.Frontend, Age: now.Sub(s.Accepted),
			}) {
				return
			}
		}
	}
}

func (r processFace) ServerConns() iter.Seq[*stats.ServerConns] { return r.h.eng.ServerConns() }

func (r processFace) AddServer(ctx context.Context, px, name string, words []string) error {
	return r.h.eng.AddServer(ctx, px, name, words)
}

func (r processFace) DelServer(px, name string) error { return r.h.eng.DelServer(px, name) }

func (r processFace) Removable(px, name string) (wait bool, err error) {
	err = r.h.eng.Removable(px, name)
	return errors.Is(err, backend.ErrBusy), err
}

// CloseSession closes a client connection by its number in hexadecimal.
func (r processFace) CloseSession(id string) bool {
	n, err := strconv.ParseUint(id, 16, 64)
	return err == nil && r.h.eng.CloseSession(n)
}

// Server finds one server.
func (r processFace) Server(backendName, name string) (socket.Server, error) {
	b := r.h.eng.Backend(backendName)
	if b == nil {
		return nil, socket.ErrNoBackend
	}
	s := b.Server(name)
	if s == nil {
		return nil, socket.ErrNoServer
	}
	return serverFace{s}, nil
}

// Frontend finds one frontend.
func (r processFace) Frontend(name string) (socket.Frontend, error) {
	f := r.h.eng.Frontend(name)
	if f == nil {
		return nil, socket.ErrNoFrontend
	}
	return f, nil
}

// serverFace is one server as commands change it.
type serverFace struct{ *backend.Server }

func (s serverFace) Weight() (now, initial int) { return s.Server.Weight(), s.Server.InitialWeight() }
func (s serverFace) SetWeight(n int) error      { return s.Server.SetWeight(strconv.Itoa(n)) }
func (s serverFace) SetMaxConn(n int) error     { s.Server.SetMaxConn(n); return nil }

// SetAddr says in its answer who changed what.
func (s serverFace) SetAddr(addr, port string) (string, error) {
	return s.Server.SetAddr(addr, port, "stats socket command")
}

// KillSessions closes the connections to the server.
func (s serverFace) KillSessions() { s.Server.CloseConns() }

// certificates is the store as the commands see it; an added or changed certificate may be one that ACME manages.
type certificates struct {
	*certstore.Store
	acme *acme.Manager
}

// sendSockets hands the listening sockets to the process that asks with -x.
func (h *house) sendSockets(c *net.UnixConn) error {
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	err := h.eng.Listeners(func(l *listener.Listener) error {
		f, err := l.File()
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("collecting the listening sockets: %w", err)
	}
	return host.SendSockets(c, files)
}

// stateLine is the line of SIGHUP about one row of the table.
func stateLine(r *stats.Row) string {
	name := r.Text(stats.ColProxy)
	if r.Kind == stats.Server {
		return fmt.Sprintf("Server %s/%s is %s.", name, r.Text(stats.ColServer), r.Text(stats.ColStatus))
	}
	return fmt.Sprintf("Proxy %s %s is %s, %s sessions.", name, r.Text(stats.ColServer), r.Text(stats.ColStatus), r.Text(stats.ColSCur))
}

var _ socket.Frontend = (*engine.FrontendControl)(nil)
