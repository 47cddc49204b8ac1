package app

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"gatehouse/internal/config"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
	"gatehouse/internal/listener"
)

// masterSocket is one listening socket of -S.
type masterSocket struct {
	net.Listener
	options socket.SocketOptions
}

// openMasterSockets opens what -S asks for: an address and options of a stats socket, separated by commas. What is wrong is
// printed. Addresses are told to the configuration as HAPROXY_MASTER_CLI.
func (p *process) openMasterSockets(ctx context.Context) (_ []masterSocket, ok bool) {
	var sockets []masterSocket
	var addresses []string
	for _, text := range p.o.MasterSockets {
		bind, err := config.ParseMasterSocket(text)
		if err != nil {
			p.print.Alert("'%s' : %v", strings.ReplaceAll(text, ",", " "), err)
			return nil, false
		}
		for _, addr := range bind.Addrs {
			l, options, err := p.openMasterSocket(ctx, bind, addr)
			if err != nil {
				p.print.Alert("Binding [master-socket:0] for proxy MASTER: %s for [%s].", host.Strerror(err), addr.Text)
				return nil, false
			}
			sockets = append(sockets, masterSocket{l, options})
			addresses = append(addresses, options.Addr)
		}
	}
	if len(addresses) > 0 {
		_ = os.Setenv("HAPROXY_MASTER_CLI", strings.Join(addresses, ";"))
	}
	return sockets, true
}

func (p *process) openMasterSocket(ctx context.Context, bind *config.Bind, a config.Addr) (net.Listener, socket.SocketOptions, error) {
	addr, err := listener.NewAddress(ctx, host.Direct{}, bind, a)
	if err != nil {
		return nil, socket.SocketOptions{}, err
	}
	o, err := socketOptions(bind, addr)
	if err != nil {
		return nil, o, err
	}
	l, err := addr.Open(host.Direct{})
	if err == nil && addr.Inherited {
		// It is the master's alone: the worker must not keep it open.
		_ = syscall.Close(addr.FD)
		p.inherited = slices.DeleteFunc(p.inherited, func(fd int) bool { return fd == addr.FD })
	}
	return l, o, err
}
