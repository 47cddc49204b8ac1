package config

import "strings"

// globalServerState reads server-state-base and server-state-file.
func (p *parser) globalServerState(s *statement) {
	field, missing := &p.cfg.Global.ServerStateBase, "'%s' expects one argument: a directory path."
	if s.arg(0) == "server-state-file" {
		field, missing = &p.cfg.Global.ServerStateFile, "'%s' expect one argument: a file path."
	}
	switch {
	case *field != "":
		p.softly("'%s' already specified. Continuing.", s.arg(0))
	case s.arg(1) == "":
		p.alert(missing, s.arg(0))
	default:
		*field = s.arg(1)
	}
}

// proxyLoadState reads load-server-state-from-file.
func (p *parser) proxyLoadState(s *statement) {
	p.sideMissing(s.arg(0), false)
	switch s.arg(1) {
	case "global", "local", "none":
		s.px.LoadServerState = s.arg(1)
	default:
		p.alert("'%s' expects 'global', 'local' or 'none'. Got '%s'", s.arg(0), s.arg(1))
	}
}

// proxyStateFile reads server-state-file-name.
func (p *parser) proxyStateFile(s *statement) {
	p.sideMissing(s.arg(0), false)
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.px.ServerStateFile = s.arg(1); s.arg(1) == "use-backend-name" {
		s.px.ServerStateFile = ""
	}
}

// StateFile is the file that `load-server-state-from-file` names for the section, "" for none: its own, without one the backend's name,
// or that of the process, below server-state-base unless it begins with a slash.
func (p *Proxy) StateFile(g *Global) string {
	name := ""
	switch p.LoadServerState {
	case "global":
		name = g.ServerStateFile
	case "local":
		if name = p.ServerStateFile; name == "" {
			name = p.Name
		}
	}
	if name == "" || name[0] == '/' || g.ServerStateBase == "" {
		return name
	}
	return strings.TrimSuffix(g.ServerStateBase, "/") + "/" + name
}
