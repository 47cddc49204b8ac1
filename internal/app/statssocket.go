package app

import (
	"context"
	"fmt"
	"net"
	"slices"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
)

// statsSocket is one listening socket of the Runtime API, kept as long as the configuration names it with the same options.
type statsSocket struct {
	key  string // of its address
	ln   net.Listener
	o    socket.SocketOptions
	stop context.CancelFunc // nil until it is served
}

// checkStatsSockets tells what is wrong with the lines themselves, so that -c knows: names of hosts, users and groups, inherited
// descriptors, and what we do on bind lines only.
func (h *house) checkStatsSockets(ctx context.Context, cfg *config.Config, diags *config.Diags) {
	for _, line := range cfg.Global.StatsSockets {
		switch {
		case line.SSL, len(line.Crts) > 0:
			diags.Alert(line.Pos, "'stats socket' : 'ssl' is not supported on stats sockets.")
		case line.AcceptProxy:
			diags.Alert(line.Pos, "'stats socket' : 'accept-proxy' is not supported on stats sockets.")
		}
		for _, a := range line.Addrs {
			addr, err := listener.NewAddress(ctx, h.o.Host, line, a)
			if err == nil {
				err = addr.Usable()
			}
			if err == nil {
				_, err = socketOptions(line, addr)
			}
			if err != nil {
				diags.Alert(line.Pos, "'stats socket' : %v", err)
			}
		}
	}
}

// openStatsSockets opens the stats sockets that cfg names and the process has not got yet. wanted are all of them in their
// order, opened the new ones.
func (h *house) openStatsSockets(ctx context.Context, cfg *config.Config, diags *config.Diags) (wanted, opened []*statsSocket) {
	for _, line := range cfg.Global.StatsSockets {
		for _, a := range line.Addrs {
			s, err := h.statsSocket(ctx, line, a)
			if err != nil {
				diags.Alert(line.Pos, "'stats socket' : %v", err)
				continue
			}
			wanted = append(wanted, s)
			if s.stop == nil && !slices.Contains(h.sockets, s) {
				opened = append(opened, s)
			}
		}
	}
	return wanted, opened
}

// statsSocket is the socket of one address: the one the process has, or a new one.
func (h *house) statsSocket(ctx context.Context, line *config.Bind, a config.Addr) (*statsSocket, error) {
	addr, err := listener.NewAddress(ctx, h.o.Host, line, a)
	if err != nil {
		return nil, err
	}
	o, err := socketOptions(line, addr)
	if err != nil {
		return nil, err
	}
	s := &statsSocket{key: addr.Key(), o: o}
	for _, old := range h.sockets {
		if old.key == s.key && old.o == s.o {
			return old, nil
		}
	}
	if s.ln, err = addr.Open(h.o.Host); err != nil {
		return nil, fmt.Errorf("cannot bind socket (%s) [%s]", host.Strerror(err), o.Addr)
	}
	return s, nil
}

// socketOptions reads the words of a stats socket line, which those of -S are too.
func socketOptions(line *config.Bind, addr listener.Address) (socket.SocketOptions, error) {
	o := socket.SocketOptions{Addr: addr.String(), ExposeFD: line.ExposeFD}
	var ok bool
	if o.Level, ok = socket.ParseLevel(line.Level); !ok {
		return o, fmt.Errorf("unknown level '%s'", line.Level)
	}
	if line.Severity != "" {
		if o.Severity, ok = socket.ParseSeverity(line.Severity); !ok {
			return o, fmt.Errorf("unknown severity-output '%s'", line.Severity)
		}
	}
	return o, nil
}

// swapStatsSocketsLocked serves the new sockets and closes those the configuration does not name any more. Sessions go on.
func (h *house) swapStatsSocketsLocked(wanted []*statsSocket) {
	old := h.sockets
	h.sockets = wanted
	for _, s := range wanted {
		if s.stop == nil && h.running != nil {
			h.serveStatsSocketLocked(s)
		}
	}
	for _, s := range old {
		if slices.Contains(wanted, s) {
			continue
		}
		if s.stop != nil {
			s.stop()
		} else {
			s.ln.Close()
		}
	}
}

// serveStatsSocketLocked starts the accept loop of a socket.
func (h *house) serveStatsSocketLocked(s *statsSocket) {
	ctx, stop := context.WithCancel(h.running)
	s.stop = stop
	h.wg.Go(func() {
		defer stop()
		if err := h.cli.Serve(ctx, s.ln, s.o); err != nil {
			h.o.Notify(config.LevelAlert, fmt.Sprintf("stats socket %s: %v", s.o.Addr, err))
		}
	})
}

// socketList is what show cli sockets prints.
func (h *house) socketList() []socket.SocketOptions {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]socket.SocketOptions, 0, len(h.sockets))
	for _, s := range h.sockets {
		out = append(out, s.o)
	}
	return out
}
