package backend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// place is where a server is. It is a value: two servers at the same place are the same machine.
type place struct {
	network  string // tcp or unix
	address  string // what is dialled; "" when the port is relative
	host     string // "" for a unix socket
	port     int
	relative bool // port is added to the client's
}

// target is where a server line says that its server is.
func target(o ServerOptions) place {
	a := &o.Line.Addr
	switch a.Network {
	case "unix":
		return place{network: "unix", address: a.Path}
	case "abns":
		return place{network: "unix", address: "@" + a.Path}
	}
	host := a.Host
	if ip := address(&o); ip.IsValid() {
		host = ip.String()
	}
	return placeAt(host, a.Port, a.NoPort || a.PortOffset || a.Port == 0) // HAProxy maps port 0 too
}

func placeAt(host string, port int, relative bool) place {
	p := place{network: "tcp", host: host, port: port, relative: relative}
	if !relative {
		p.address = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return p
}

// address is the resolved address of a server line, invalid for a unix socket or an unresolved name.
func address(o *ServerOptions) netip.Addr {
	if o.Line.Addr.IP.IsValid() {
		return o.Line.Addr.IP.Unmap()
	}
	return o.IP.Unmap()
}

// place is where the server is now.
func (s *Server) place() *place {
	if p := s.moved.Load(); p != nil {
		return p
	}
	return &s.where
}

// addressFor is the address to dial for a client that connected to port clientPort.
func (s *Server) addressFor(clientPort uint16) string {
	p := s.place()
	if !p.relative {
		return p.address
	}
	return net.JoinHostPort(p.host, strconv.Itoa((int(clientPort)+p.port)&0xffff))
}

// Address is what is dialled ("192.0.2.1:80", a path), "" when the port follows the client's.
func (s *Server) Address() string { return s.place().address }

// Host is the server's address without its port, "" for a unix socket; Port is the port, or what is added to the client's.
func (s *Server) Host() string { return s.place().host }

// Port is the server's port, 0 when it is the client's.
func (s *Server) Port() int { return s.place().port }

// IP is the server's resolved address, invalid for a unix socket or an unresolved name.
func (s *Server) IP() netip.Addr {
	if s.moved.Load() == nil {
		return address(&s.o)
	}
	ip, _ := netip.ParseAddr(s.place().host) // moves go to addresses
	return ip
}

// SetAddr moves the server to another address and, unless port is "", another port: N, or +N and -N relative to the client's. The answer
// says what changed. An operator's move lasts until the configuration gives the server another address. Requests under way end where they are.
func (s *Server) SetAddr(addr, port, by string) (answer string, err error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return "", fmt.Errorf("Invalid addr '%s'", addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := *s.place()
	if was.network != "tcp" || was.host == "" {
		return "", errors.New("changing a server's address is only supported for servers with an IPv4 or IPv6 address")
	}
	now := placeAt(ip.Unmap().String(), was.port, was.relative)
	if port != "" {
		n, relative, err := parsePort(port)
		if err != nil {
			return "", err
		}
		now = placeAt(now.host, n, relative)
	}
	var parts []string
	if now.host != was.host {
		parts = append(parts, fmt.Sprintf("IP changed from '%s' to '%s'", was.host, now.host))
	}
	if now.port != was.port || now.relative != was.relative {
		parts = append(parts, fmt.Sprintf("port changed from '%s' to '%s'", was.portText(), now.portText()))
	}
	if len(parts) == 0 {
		return "nothing changed", nil
	}
	s.moved.Store(&now)
	s.epoch.Add(1)
	s.pool.purge(true)
	s.life.kicked()
	answer = strings.Join(parts, ", ")
	if by != "" {
		answer += " by '" + by + "'"
		s.backend.log("notice", "%s/%s changed its %s.", s.backend.o.Name, s.Name(), strings.Replace(answer, "changed from", "from", 1))
	}
	return answer, nil
}

func (p *place) portText() string {
	if p.relative {
		return fmt.Sprintf("+%d", p.port&0xffff)
	}
	return strconv.Itoa(p.port)
}

// parsePort reads N, +N or -N. As in HAProxy a port that is too large loses its upper bits.
func parsePort(text string) (n int, relative bool, err error) {
	relative = strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-")
	n, err = strconv.Atoi(text)
	if err != nil {
		return 0, false, fmt.Errorf("problem converting port '%s' to an int", text)
	}
	return n & 0xffff, relative, nil
}

// CheckPort is the port that checks ask, 0 for the server's own.
func (s *Server) CheckPort() int {
	if n := s.port.Load(); n != 0 {
		return int(n)
	}
	return s.o.Line.CheckPort
}

// SetCheckPort changes the port that checks ask.
func (s *Server) SetCheckPort(n int) error {
	if !s.o.Line.Check {
		return errors.New("health checks are not enabled on this server")
	}
	s.port.Store(int32(n))
	return nil
}

// SetCheckAddr changes the address that checks ask.
func (s *Server) SetCheckAddr(ip netip.Addr) error {
	if !s.o.Line.Check {
		return errors.New("health checks are not enabled on this server")
	}
	s.checkHost.Store(&ip)
	return nil
}

// CheckHost is the address that checks ask, "" for the server's own.
func (s *Server) CheckHost() string {
	if ip := s.checkHost.Load(); ip != nil {
		return ip.String()
	}
	return s.o.Line.CheckAddr
}

// The values of life.speaks.
const (
	tlsAsConfigured = iota
	tlsOn
	tlsOff
)

// client is the TLS that the server is spoken to with now, nil for none.
func (s *Server) client() *client {
	switch s.speaks.Load() {
	case tlsOff:
		return nil
	case tlsAsConfigured:
		if s.o.Line.NoSSL {
			return nil
		}
	}
	return s.tls
}

// TLS is 1 when the server is spoken to with TLS, 0 when it is not, -1 for `no-ssl` as configured (the srv_use_ssl of `show servers state`).
func (s *Server) TLS() int {
	switch {
	case s.client() != nil:
		return 1
	case s.o.Line.NoSSL && s.speaks.Load() == tlsAsConfigured:
		return -1
	}
	return 0
}

// SetTLS turns TLS towards the server on or off (`set server ssl`). Requests under way keep their connections.
func (s *Server) SetTLS(word string) error {
	switch {
	case s.o.Dynamic:
		return errors.New("'set server <srv> ssl' not supported on dynamic servers")
	case s.tls == nil:
		return errors.New("'set server <srv> ssl' cannot be set.  default-server should define ssl settings")
	case word != "on" && word != "off":
		return errors.New("'set server <srv> ssl' expects 'on' or 'off'.")
	}
	to := int32(tlsOff)
	if word == "on" {
		to = tlsOn
	}
	if s.speaks.Swap(to) != to {
		s.epoch.Add(1)
		s.pool.purge(true)
	}
	return nil
}
