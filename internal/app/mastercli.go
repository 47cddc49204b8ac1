package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
)

// masterCLI is the master as the commands of its socket see it.
type masterCLI struct{ m *master }

var _ socket.MasterProcess = masterCLI{}

func (m *master) newCLI(sockets []masterSocket) (*socket.Master, error) {
	return socket.NewMaster(socket.MasterOptions{
		Process: masterCLI{m},
		Sockets: func() []socket.SocketOptions {
			list := make([]socket.SocketOptions, len(sockets))
			for i, s := range sockets {
				list[i] = s.options
			}
			return list
		},
		AdminFrom: m.adminFrom,
		Failed: func(by string, reason any) {
			m.p.print.Alert("session %s on the master socket: %v", by, reason)
		},
	})
}

// serveCLI serves one of the master's sockets until ctx is done.
func (m *master) serveCLI(ctx context.Context, cli *socket.Master, s masterSocket) {
	if err := cli.Serve(ctx, s.Listener, s.options); err != nil && ctx.Err() == nil {
		m.p.print.Alert("master socket %s: %v", s.options.Addr, err)
	}
}

func (m *master) adminFrom() []netip.Prefix { return m.current.Load().Gatehouse.AdminFrom }

func (c masterCLI) Version() string     { return HAProxyVersion }
func (c masterCLI) Start() time.Time    { return c.m.started }
func (c masterCLI) Env() []string       { return os.Environ() }
func (c masterCLI) StartupLogs() string { return c.m.p.print.Attempt() }

func (c masterCLI) Procs() socket.Procs {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	procs := socket.Procs{
		Master:         socket.Proc{PID: os.Getpid(), Start: m.started, Version: HAProxyVersion},
		MasterReloaded: m.reloads,
		Failed:         m.failed,
	}
	if m.serving {
		procs.Workers = []socket.Proc{{PID: m.worker.Pid, Reloads: m.reloads, Start: m.spawned, Version: HAProxyVersion}}
	}
	return procs
}

func (c masterCLI) Reload(ctx context.Context, hard bool) (ok bool, logs string) {
	return c.m.Reload(ctx, hard)
}

// Dial gives the worker one end of a new socketpair, on which it serves its Runtime API at level admin.
func (c masterCLI) Dial(_ context.Context, pid int) (net.Conn, error) {
	m := c.m
	if !m.ready() || pid != m.worker.Pid {
		return nil, errors.New("no such worker")
	}
	here, there, err := host.NewPair()
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := m.control.link.Send(order{Do: "cli"}, nil, there); err != nil {
		here.Close()
		return nil, err
	}
	return here, nil
}
