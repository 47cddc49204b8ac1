package config

import (
	"strings"
	"time"
)

// beginGlobal opens a global section; several of them add up.
func (p *parser) beginGlobal(s *statement) {
	p.tooMany(s, 0, 0)
}

func (p *parser) globalScheduler(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "auto":
		p.cfg.Global.ACMEScheduler = true
	case "off":
		p.cfg.Global.ACMEScheduler = false
	default:
		what := "either 'auto' or 'off' argument"
		if s.arg(1) == "" {
			what = "an argument"
		}
		p.alert("parsing [%s:%d]: keyword '%s' in 'global' section requires %s", p.name, p.line, s.arg(0), what)
	}
}

func (p *parser) globalBase(s *statement) {
	field := map[string]*string{"ca-base": &p.cfg.Global.CABase, "crt-base": &p.cfg.Global.CrtBase, "key-base": &p.cfg.Global.KeyBase}[s.arg(0)]
	p.directory(s, field)
}

// directory sets a path that may be given once.
func (p *parser) directory(s *statement, field *string) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case *field != "":
		p.softly("'%s' already specified.", s.arg(0))
	case s.arg(1) == "":
		p.alert("global statement '%s' expects a directory path as an argument.", s.arg(0))
	default:
		*field = s.arg(1)
	}
}

func (p *parser) globalChroot(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case p.cfg.Global.Chroot != "":
		p.softly("'%s' is already specified. Continuing.", s.arg(0))
	case s.arg(1) == "":
		p.alert("'%s' expects a directory as an argument.", s.arg(0))
	default:
		p.cfg.Global.Chroot = s.arg(1)
	}
}

func (p *parser) globalDaemon(s *statement) {
	if !p.tooMany(s, 0, 0) {
		p.cfg.Global.Daemon = true
	}
}

func (p *parser) globalMasterWorker(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "":
		p.diags.at(LevelWarning, p.pos(), "The '%s' keyword is deprecated in 3.3 and will be removed in 3.5. "+
			"Use -W or -Ws in the startup script instead.", s.arg(0))
	case "no-exit-on-failure":
		p.cfg.Global.NoExitOnFailure = true
	default:
		p.alert("'%s' only supports 'no-exit-on-failure' option", s.arg(0))
		return
	}
	p.cfg.Global.MasterWorker = true
}

func (p *parser) globalDescription(s *statement) {
	if s.arg(1) == "" {
		p.alertTight("'%s' expects a string argument.", s.arg(0))
		return
	}
	p.cfg.Global.Description = s.rest(1)
}

func (p *parser) globalExpose(s *statement) {
	if !p.tooMany(s, 0, 0) {
		p.cfg.Global.Experimental = true
	}
}

// globalID reads uid and gid.
func (p *parser) globalID(s *statement) {
	g := &p.cfg.Global
	id, name, one, other := &g.UID, &g.User, "user/uid", "user"
	if s.arg(0) == "gid" {
		id, name, one, other = &g.GID, &g.Group, "group/gid", "group"
	}
	if p.tooMany(s, 1, 0) {
		return
	}
	n, used := strtol(s.arg(1))
	switch {
	case *id != nil || *name != "":
		p.softly("%s already specified. Continuing.", one)
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case used != len(s.arg(1)) || n < 0:
		p.warning(" %s: string '%s' is not a number.\n   | You might want to use the '%s' parameter to use a system %s name.",
			s.arg(0), s.arg(1), other, other)
	default:
		*id = &n
	}
}

// globalUser reads user and group; the names are looked up by the process that drops its privileges.
func (p *parser) globalUser(s *statement) {
	g := &p.cfg.Global
	id, name, one := &g.UID, &g.User, "user/uid"
	if s.arg(0) == "group" {
		id, name, one = &g.GID, &g.Group, "gid/group was"
	}
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case *id != nil || *name != "":
		p.softly("%s already specified. Continuing.", one)
	case s.arg(1) == "":
		p.alert("cannot find %s id for '%s' (0:Success)", s.arg(0), s.arg(1))
	default:
		*name = s.arg(1)
	}
}

func (p *parser) globalHardStop(s *statement) {
	if s.arg(1) == "" {
		p.alert("'%s' expects <time> as argument.", s.arg(0))
		return
	}
	d, err := ParseTime(s.arg(1), time.Millisecond)
	switch {
	case err == ErrTimeOver:
		p.alert("timer overflow in argument '%s' to '%s' (maximum value is 2147483647 ms or ~24.8 days)", s.arg(1), s.arg(0))
	case err == ErrTimeUnder:
		p.alert("timer underflow in argument '%s' to '%s' (minimum non-null value is 1 ms)", s.arg(1), s.arg(0))
	case err != nil:
		p.alert("unexpected character '%c' in argument to <%s>.", badChar(err), s.arg(0))
	default:
		p.cfg.Global.HardStop = d
	}
}

// badChar is the character a time or size could not be read at, a space at its end.
func badChar(err error) byte {
	if e, ok := err.(*CharError); ok && e.Char() != 0 {
		return e.Char()
	}
	return ' '
}

func (p *parser) globalLog(s *statement) {
	logs := p.logLine(s, p.cfg.Global.Logs)
	p.cfg.Global.Logs = logs
}

func (p *parser) globalLogHost(s *statement) {
	if p.cfg.Global.LogSendHost != nil {
		p.softly("'%s' already specified. Continuing.", s.arg(0))
		return
	}
	name := s.arg(1)
	p.cfg.Global.LogSendHost = &name
}

func (p *parser) globalLogTag(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects a tag for use in syslog.", s.arg(0))
		return
	}
	p.cfg.Global.LogTag = s.arg(1)
}

func (p *parser) globalMaxConn(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	n, used := strtol(s.arg(1))
	switch {
	case p.cfg.Global.MaxConn != 0:
		p.softly("'%s' already specified. Continuing.", s.arg(0))
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case used != len(s.arg(1)) || n < 0:
		p.alert("cannot parse '%s' value '%s', an integer is expected.", s.arg(0), s.arg(1))
	default:
		p.cfg.Global.MaxConn = n
	}
}

func (p *parser) globalNode(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	ok := s.arg(1) != ""
	for i := 0; i < len(s.arg(1)); i++ {
		c := s.arg(1)[i]
		ok = ok && (isAlnum(c) || c == '_' || c == '-' || c == '.')
	}
	if !ok {
		p.alertTight("'%s' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), dot(.), hyphen(-) or underscode(_).", s.arg(0))
		return
	}
	p.cfg.Global.Node = s.arg(1)
}

func (p *parser) globalPidFile(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case p.cfg.Global.PidFile != "":
		p.softly("'%s' already specified. Continuing.", s.arg(0))
	case s.arg(1) == "":
		p.alert("'%s' expects a file name as an argument.", s.arg(0))
	default:
		p.cfg.Global.PidFile = s.arg(1)
	}
}

func (p *parser) globalSpread(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	n := atol(s.arg(1))
	switch {
	case p.cfg.Global.SpreadChecks != 0:
		p.softTight("spread-checks already specified. Continuing.")
	case s.arg(1) == "":
		p.alertTight("'%s' expects an integer argument (0..50).", s.arg(0))
	case n < 0 || n > 50:
		p.alertTight("'spread-checks' needs a positive value in range 0..50.")
	default:
		p.cfg.Global.SpreadChecks = n
	}
}

func (p *parser) softTight(format string, args ...any) {
	p.at(LevelAlert, "parsing [%s:%d]: "+format, args)
	p.diags[len(p.diags)-1].Soft = true
}

func (p *parser) globalStats(s *statement) {
	g := &p.cfg.Global
	switch s.arg(1) {
	case "socket":
		p.statsSocket(s)
	case "timeout":
		d, err := ParseTime(s.arg(2), time.Millisecond)
		switch {
		case err == ErrTimeOver:
			p.alert("timer overflow in argument '%s' to '%s %s' (maximum value is 2147483647 ms or ~24.8 days)", s.arg(2), s.arg(0), s.arg(1))
		case err == ErrTimeUnder:
			p.alert("timer underflow in argument '%s' to '%s %s' (minimum non-null value is 1 ms)", s.arg(2), s.arg(0), s.arg(1))
		case err != nil:
			p.alert("'%s %s' : unexpected character '%c'", s.arg(0), s.arg(1), badChar(err))
		case d == 0:
			p.alert("'%s %s' expects a positive value", s.arg(0), s.arg(1))
		default:
			g.StatsTimeout = d
		}
	case "maxconn":
		if g.StatsMaxConn = atol(s.arg(2)); g.StatsMaxConn <= 0 {
			p.alert("'%s %s' expects a positive value", s.arg(0), s.arg(1))
		}
	case "calculate-max-counters":
		switch strings.ToLower(s.arg(2)) {
		case "on":
		case "off":
			p.noEffect("stats calculate-max-counters off")
		default:
			p.alert("'%s' only supports 'on' and 'off', received '%s'", s.arg(1), s.arg(2))
		}
	case "bind-process":
		p.alert("'%s %s' is not supported anymore.", s.arg(0), s.arg(1))
	default:
		p.alert("'%s' only supports 'socket', 'maxconn', 'bind-process', 'calculate-max-counters'  and 'timeout' (got '%s')", s.arg(0), s.arg(1))
	}
}

func (p *parser) globalZeroWarning(s *statement) {
	if !p.tooMany(s, 0, 0) {
		p.cfg.Global.ZeroWarning = true
	}
}

func (p *parser) globalNbproc(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if n, used := strtol(s.arg(1)); used == 0 || n != 1 {
		p.alert("nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor machines if available.")
		return
	}
	p.noEffect("nbproc")
}
