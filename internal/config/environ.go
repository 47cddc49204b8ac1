package config

import (
	"slices"
	"strings"
)

// globalEnv changes the environment that later lines see.
func (p *parser) globalEnv(s *statement) {
	switch s.arg(0) {
	case "unsetenv":
		if s.arg(1) == "" {
			p.alert("'%s' expects at least one variable name.", s.arg(0))
		}
		for _, name := range s.words[1:] {
			delete(p.env, name)
		}
	case "resetenv":
		for name := range p.env {
			if !slices.Contains(s.words[1:], name) {
				delete(p.env, name)
			}
		}
	default:
		p.setEnv(s)
	}
}

func (p *parser) setEnv(s *statement) {
	name, value := s.arg(1), s.arg(2)
	if p.tooMany(s, 2, 0) {
		return
	}
	switch {
	case name == "":
		p.alert("'%s' expects environment variable name.", s.arg(0))
		return
	case value == "":
		p.alert("'%s' expects environment variable value for '%s'.", s.arg(0), name)
		return
	case strings.Contains(name, "="):
		p.alert("'%s' failed on variable '%s' : Invalid argument.", s.arg(0), name)
		return
	}
	if _, set := p.env[name]; set && s.arg(0) == "presetenv" {
		return
	}
	if p.envBytes += len(name) + len(value); p.envBytes > maxEnvBytes {
		p.alert("'%s' failed on variable '%s' : Cannot allocate memory.", s.arg(0), name)
		return
	}
	p.env[name] = value
}
