package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
)

// openStatsSockets opens the stats sockets that cfg names and the process has not got yet. wanted are all of them, opened the new ones.
func (h *house) openStatsSockets(cfg *config.Config, diags *config.Diags) (wanted, opened map[string]*statsSocket) {
	wanted, opened = map[string]*statsSocket{}, map[string]*statsSocket{}
	for _, b := range cfg.Global.StatsSockets {
		names := spellSocket(b)
		for i, a := range b.Addrs {
			o, err := socketOptions(b, names[i])
			if err == nil {
				err = h.statsSocket(a, b, o, wanted, opened)
			}
			if err != nil {
				diags.Alert(b.Pos, "'stats socket' : %v", err)
			}
		}
	}
	return wanted, opened
}

func (h *house) statsSocket(a config.Addr, b *config.Bind, o socket.SocketOptions, wanted, opened map[string]*statsSocket) error {
	spec, err := h.statsSpec(a, b)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s %d %+v", a.Network, a.FD, spec)
	if spec.Mode != nil {
		key += fmt.Sprintf(" %o", *spec.Mode)
	}
	if old := h.sockets[key]; old != nil && old.o == o {
		wanted[key] = old
		return nil
	}
	var f *os.File
	if a.Network == "fd" {
		f, err = host.Inherited(a.FD)
	} else {
		f, err = h.o.Host.Listen(spec)
	}
	if err != nil {
		return fmt.Errorf("cannot bind socket (%s) [%s]", strerror(err), o.Addr)
	}
	ln, err := listener.FromFile(f)
	if err != nil {
		return err
	}
	s := &statsSocket{ln: ln, o: o}
	wanted[key], opened[key] = s, s
	return nil
}

func (h *house) statsSpec(a config.Addr, b *config.Bind) (host.ListenSpec, error) {
	spec := host.ListenSpec{Network: a.Network, Path: a.Path, Mode: b.Mode, UID: -1, GID: -1, Backlog: b.Backlog}
	if a.Network == "tcp" {
		ip := a.IP
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		spec.Addr = netip.AddrPortFrom(ip, uint16(a.Port))
	}
	if b.UID != nil {
		spec.UID = *b.UID
	}
	if b.GID != nil {
		spec.GID = *b.GID
	}
	var err error
	if b.User != "" {
		if spec.UID, err = LookupUser(h.o.Host, b.User); err != nil {
			return spec, err
		}
	}
	if b.Group != "" {
		if spec.GID, err = LookupGroup(h.o.Host, b.Group); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func socketOptions(b *config.Bind, addr string) (socket.SocketOptions, error) {
	o := socket.SocketOptions{Addr: addr, Level: socket.Operator, ExposeFD: b.ExposeFD}
	var ok bool
	if o.Level, ok = socket.ParseLevel(b.Level); !ok {
		return o, fmt.Errorf("unknown level '%s'", b.Level)
	}
	if b.Severity != "" {
		if o.Severity, ok = socket.ParseSeverity(b.Severity); !ok {
			return o, fmt.Errorf("unknown severity-output '%s'", b.Severity)
		}
	}
	return o, nil
}

// spellSocket writes the addresses of a stats socket as `show cli sockets` and HAPROXY_CLI do.
func spellSocket(b *config.Bind) []string {
	var out []string
	for _, a := range b.Addrs {
		switch a.Network {
		case "unix":
			out = append(out, "unix@"+a.Path)
		case "abns":
			out = append(out, "abns@"+a.Path)
		case "fd":
			out = append(out, spellInherited(a.FD))
		default:
			out = append(out, spellTCP(a.IP, a.Port))
		}
	}
	return out
}

func spellTCP(ip netip.Addr, port int) string {
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	family := "ipv4@"
	if !ip.Unmap().Is4() {
		family = "ipv6@"
	}
	return family + net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(port))
}

// spellInherited says where an inherited socket listens.
func spellInherited(fd int) string {
	f, err := host.Inherited(fd)
	if err != nil {
		return "fd@" + strconv.Itoa(fd)
	}
	ln, err := listener.FromFile(f)
	if err != nil {
		return "fd@" + strconv.Itoa(fd)
	}
	defer ln.Close()
	if t, ok := ln.Addr().(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return spellTCP(ap.Addr(), int(ap.Port()))
	}
	return "unix@" + strings.TrimPrefix(ln.Addr().String(), "@")
}

// swapStatsSockets serves the new sockets and closes those the configuration does not name any more. Sessions go on.
func (h *house) swapStatsSockets(wanted map[string]*statsSocket) {
	old := h.sockets
	h.sockets = wanted
	for _, s := range wanted {
		if s.stop == nil && h.running != nil {
			h.serveStatsSocketLocked(s)
		}
	}
	for key, s := range old {
		if wanted[key] != s && s.stop != nil {
			s.stop()
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
	var out []socket.SocketOptions
	if h.current == nil {
		return nil
	}
	for _, b := range h.current.Global.StatsSockets {
		for _, addr := range spellSocket(b) {
			if o, err := socketOptions(b, addr); err == nil {
				out = append(out, o)
			}
		}
	}
	return out
}
