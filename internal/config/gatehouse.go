package config

import (
	"strconv"
	"strings"
	"time"
)

func (p *parser) beginGatehouse(s *statement) {
	if !p.tooMany(s, 0, 0) && p.cfg.Gatehouse.Pos.Line == 0 {
		p.cfg.Gatehouse.Pos = s.pos
	}
}

func (p *parser) gatehouseStateDir(s *statement) {
	g := &p.cfg.Gatehouse
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case s.arg(1) == "":
		p.alert("'%s' expects a directory as an argument.", s.arg(0))
	case g.StateDir != "":
		p.alert("'%s' already specified.", s.arg(0))
	default:
		g.StateDir = s.arg(1)
	}
}

func (p *parser) gatehousePersist(s *statement) {
	g := &p.cfg.Gatehouse
	on := s.arg(1) == "on"
	if !on && s.arg(1) != "off" {
		p.alert("'%s' expects 'on' or 'off'.", s.arg(0))
		return
	}
	switch {
	case s.arg(2) == "":
		g.Persist = &on
	case s.arg(2) != "crt-store" || s.arg(3) == "":
		p.alert("'%s %s' : 'crt-store' and its name expected, got '%s'.", s.arg(0), s.arg(1), s.rest(2))
	case !p.tooMany(s, 3, 0):
		if g.PersistBy == nil {
			g.PersistBy = map[string]bool{}
		}
		g.PersistBy[s.arg(3)] = on
	}
}

func (p *parser) gatehouseAdminFrom(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects a list of networks.", s.arg(0))
		return
	}
	if p.tooMany(s, 1, 0) {
		return
	}
	for text := range strings.SplitSeq(s.arg(1), ",") {
		net, ok := parseNet(text)
		if !ok {
			p.alert("'%s' expects <address>[/mask] as argument, got '%s'.", s.arg(0), text)
			return
		}
		p.cfg.Gatehouse.AdminFrom = append(p.cfg.Gatehouse.AdminFrom, net)
	}
}

func (p *parser) gatehouseHTTPStrict(s *statement) {
	if s.arg(1) != "on" && s.arg(1) != "off" {
		p.alert("'%s' expects 'on' or 'off'.", s.arg(0))
		return
	}
	if !p.tooMany(s, 1, 0) {
		p.cfg.Gatehouse.HTTPLoose = s.arg(1) == "off"
	}
}

func (p *parser) gatehouseWatch(s *statement) {
	if s.arg(1) != "on" && s.arg(1) != "off" {
		p.alert("'%s' expects 'on' or 'off'.", s.arg(0))
		return
	}
	if !p.tooMany(s, 1, 0) {
		p.cfg.Gatehouse.WatchOff = s.arg(1) == "off"
	}
}

// gatehouseHistory reads how many versions of each certificate are kept, and for how long.
func (p *parser) gatehouseHistory(s *statement) {
	g := &p.cfg.Gatehouse
	n, err := strconv.Atoi(s.arg(1))
	switch {
	case s.arg(1) == "off":
		n = 0
	case err != nil || n < 1 || n > 1000:
		p.alert("'%s' expects 'off' or a number of versions from 1 to 1000, got '%s'.", s.arg(0), s.arg(1))
		return
	}
	if p.tooMany(s, 2, 0) {
		return
	}
	g.History = &n
	if s.arg(2) != "" {
		age, err := ParseTime(s.arg(2), time.Second)
		if err != nil || age <= 0 {
			p.alert("'%s' expects a time as its second argument, got '%s'.", s.arg(0), s.arg(2))
			return
		}
		g.HistoryBy = age
	}
}
