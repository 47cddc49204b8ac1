package config

import (
	"errors"
	"fmt"
	"strings"
)

// notDynamic are the keywords of server lines that a server added at run time cannot have (manual section 5.2).
var notDynamic = map[string]bool{
	"enabled": true, "init-addr": true, "log-bufsize": true, "log-proto": true, "namespace": true, "no-agent-check": true, "no-check": true,
	"no-check-send-proxy": true, "no-check-ssl": true, "no-send-proxy-v2-ssl": true, "no-send-proxy-v2-ssl-cn": true, "no-ssl": true,
	"no-verifyhost": true, "non-stick": true, "redir": true, "resolve-net": true, "resolve-opts": true, "resolve-prefer": true,
	"resolvers": true, "socks4": true, "ssl-reuse": true, "stick": true, "tcp-md5sig": true, "tcp-ut": true, "cc": true, "max-reuse": true,
	"quic-cc-algo": true,
}

// DynamicServerKeywords are the keywords that `add server` takes, in the order of the table.
func DynamicServerKeywords() []string {
	var names []string
	for _, k := range serverKeywords() {
		if k.State == Honoured && !notDynamic[k.Name] {
			names = append(names, k.Name)
		}
	}
	return names
}

// ParseServer reads what follows `add server <backend>/<name>` (management guide, 9.3): an address and keywords. default-server lines do
// not count for it. The error's text is HAProxy's answer.
func ParseServer(name string, words []string, o ParseOptions) (*Server, error) {
	var wrong []string
	p := newParser(o)
	l := &serverLine{Server: newServer(), dynamic: &wrong}
	switch c, bad := invalidChar(name); {
	case len(words) == 0:
		return nil, errors.New("'server' expects <name> and <addr>[:<port>] as arguments.")
	case bad:
		return nil, fmt.Errorf("character '%c' is not permitted in server name '%s'.", c, name)
	}
	l.Name = name
	addrs, err := ParseAddr(p.expandAddr(words[0]), AddrServer)
	if err != nil {
		return nil, err
	}
	l.Addr = addrs[0]
	if p.serverKeywords(&statement{words: words}, l, 1) {
		p.serverChecks(l)
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "\n"))
	}
	return l.Server, nil
}

// serverChecks holds what a line says of checks together.
func (p *parser) serverChecks(l *serverLine) bool {
	switch {
	case l.Track != "" && (l.Check || l.AgentCheck):
		p.serverAlert(l, "unable to enable checks and tracking at the same time!")
		return false
	case l.AgentCheck && l.AgentPort == 0:
		p.serverAlert(l, "server %s does not have agent port. Agent check has been disabled.", l.Name)
		return false
	}
	return true
}

// TrackTarget splits the argument of track; a name alone is a server of the same backend.
func TrackTarget(backend, track string) (px, server string) {
	if px, server, ok := strings.Cut(track, "/"); ok {
		return px, server
	}
	return backend, track
}

// serverTracks checks whom the servers of a proxy track.
func (p *parser) serverTracks(px *Proxy) {
	for _, s := range px.Servers {
		if s.Track == "" {
			continue
		}
		if err := p.cfg.Tracks(px, s); err != nil {
			p.late(LevelAlert, s.Pos, "[%s:%d] : 'server %s/%s' : %v", s.Pos.File, s.Pos.Line, px.Name, s.Name, err)
		}
	}
}

// Tracks says why s, of px, cannot track the server it names. The text is HAProxy's.
func (c *Config) Tracks(px *Proxy, s *Server) error {
	at, from := px, s
	for range 1 + len(c.Proxies)*256 { // a chain longer than that goes round
		name, server := TrackTarget(at.Name, from.Track)
		next := c.backend(name)
		if next == nil {
			return fmt.Errorf("unable to find required proxy '%s' for tracking.", name)
		}
		to := next.server(server)
		switch {
		case to == nil:
			return fmt.Errorf("unable to find required server '%s' for tracking.", server)
		case to == s:
			return fmt.Errorf("unable to track %s as it belongs to a tracking chain looping back to %s/%s.", trackedName(px, s), px.Name, s.Name)
		case to.Track == "" && !to.Check && !to.AgentCheck:
			return fmt.Errorf("unable to use %s/%s for tracking as it does not have any check nor agent enabled.", next.Name, to.Name)
		case to.Track == "":
			return nil
		}
		at, from = next, to
	}
	return fmt.Errorf("unable to track %s as it belongs to a tracking chain looping back to it.", trackedName(px, s))
}

func trackedName(px *Proxy, s *Server) string {
	name, server := TrackTarget(px.Name, s.Track)
	return name + "/" + server
}

func (c *Config) backend(name string) *Proxy {
	for _, px := range c.Proxies {
		if px.Name == name && px.Kind != "frontend" {
			return px
		}
	}
	return nil
}

func (px *Proxy) server(name string) *Server {
	for _, s := range px.Servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}
