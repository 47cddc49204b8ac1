package app

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
)

// masterSocket is one listening socket of -S.
type masterSocket struct {
	net.Listener
	options socket.SocketOptions
}

// openMasterSockets opens what -S asks for: an address and options of a stats socket, separated by commas. What is wrong is
// printed. Addresses are told to the configuration as HAPROXY_MASTER_CLI.
func (p *process) openMasterSockets() (_ []masterSocket, ok bool) {
	var sockets []masterSocket
	var addresses []string
	for _, text := range p.o.MasterSockets {
		bind, err := parseMasterSocket(text)
		if err != nil {
			p.print.Alert("'%s' : %v", strings.ReplaceAll(text, ",", " "), err)
			return nil, false
		}
		for _, addr := range bind.Addrs {
			l, err := p.listenMaster(bind, addr)
			if err != nil {
				p.print.Alert("Binding [master-socket:0] for proxy MASTER: %s for [%s].", strerror(err), addr.Text)
				return nil, false
			}
			options := socket.SocketOptions{Addr: socketAddress(addr, l.Addr()), Level: levelOf(bind.Level)}
			options.Severity, _ = socket.ParseSeverity(bind.Severity)
			sockets = append(sockets, masterSocket{l, options})
			addresses = append(addresses, options.Addr)
		}
	}
	if len(addresses) > 0 {
		_ = os.Setenv("HAPROXY_MASTER_CLI", strings.Join(addresses, ";"))
	}
	return sockets, true
}

// parseMasterSocket lets the configuration language read the words, as those of a stats socket line, which they are.
func parseMasterSocket(text string) (*config.Bind, error) {
	words := strings.Split(text, ",")
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'"'"'`) + "'"
	}
	// Unlike a stats socket, the master's is for administrators unless it says otherwise.
	line := "global\n\tstats socket " + words[0] + " level admin " + strings.Join(words[1:], " ")
	cfg, diags := config.Parse([]config.Source{{Name: "master-socket", Data: []byte(line + "\n")}}, config.ParseOptions{})
	for _, d := range diags {
		if d.Level == config.LevelAlert {
			return nil, errors.New(strings.TrimPrefix(strings.TrimPrefix(d.Text, "config : "), "parsing [master-socket:2] : "))
		}
	}
	if len(cfg.Global.StatsSockets) != 1 || len(cfg.Global.StatsSockets[0].Addrs) == 0 {
		return nil, errors.New("not an address")
	}
	return cfg.Global.StatsSockets[0], nil
}

func levelOf(word string) socket.Level {
	switch word {
	case "admin":
		return socket.Admin
	case "user":
		return socket.User
	}
	return socket.Operator
}

func (p *process) listenMaster(bind *config.Bind, addr config.Addr) (net.Listener, error) {
	f, err := p.openMaster(bind, addr)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

func (p *process) openMaster(bind *config.Bind, addr config.Addr) (*os.File, error) {
	if addr.Network == "fd" {
		f, err := host.Inherited(addr.FD)
		if err == nil {
			// It is the master's alone: the worker must not keep it open.
			_ = syscall.Close(addr.FD)
			p.inherited = slices.DeleteFunc(p.inherited, func(fd int) bool { return fd == addr.FD })
		}
		return f, err
	}
	spec, err := ListenSpecOf(host.Direct{}, bind, addr)
	if err != nil {
		return nil, err
	}
	return host.Direct{}.Listen(spec)
}

// ListenSpecOf says how to open the socket of one address of a bind or stats socket line. Users and groups are looked up
// through h; the descriptors of fd@N do not come from Listen but from host.Inherited.
func ListenSpecOf(h host.Host, bind *config.Bind, addr config.Addr) (host.ListenSpec, error) {
	spec := host.ListenSpec{Network: addr.Network, Path: addr.Path, Mode: bind.Mode, UID: -1, GID: -1, Backlog: bind.Backlog,
		V6Only: bind.V6Only, V4V6: bind.V4V6, Interface: bind.Interface, TFO: bind.TFO, DeferAccept: bind.DeferAccept, MSS: bind.MSS}
	if addr.Network == "tcp" {
		ip := addr.IP
		if !ip.IsValid() {
			ip = anyAddress(addr.Family)
		}
		spec.Addr = netip.AddrPortFrom(ip, uint16(addr.Port))
		return spec, nil
	}
	id, err := identityOf(h, &config.Global{User: bind.User, Group: bind.Group, UID: bind.UID, GID: bind.GID})
	spec.UID, spec.GID = id.uid, id.gid
	return spec, err
}

func anyAddress(family int) netip.Addr {
	if family == 6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// socketAddress writes an address as HAPROXY_CLI and HAPROXY_MASTER_CLI do; bound is what the socket itself says, which for
// unix sockets is the temporary name that it had.
func socketAddress(addr config.Addr, bound net.Addr) string {
	if addr.Network == "unix" || addr.Network == "abns" {
		return addr.Network + "@" + addr.Path
	}
	if a, ok := bound.(*net.TCPAddr); ok && a.IP.To4() == nil {
		return "ipv6@" + a.String()
	}
	if _, ok := bound.(*net.TCPAddr); !ok {
		return "unix@" + bound.String()
	}
	return "ipv4@" + bound.String()
}
