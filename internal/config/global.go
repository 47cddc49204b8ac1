package config

import (
	"fmt"
	"slices"
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

func (p *parser) globalIssuers(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case s.arg(1) == "":
		p.alert("global statement '%s' expects a directory path as an argument.", s.arg(0))
	case p.cfg.Global.IssuersChain != "":
		p.softly("global statement '%s' already defined.", s.arg(0))
	default:
		p.cfg.Global.IssuersChain = s.arg(1)
	}
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
		p.expose = true
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

func (p *parser) globalClientCA(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects a filename as argument.", s.arg(0))
		return
	}
	p.cfg.Global.HTTPClientCA = s.arg(1)
}

func (p *parser) globalClientVerify(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "none":
		p.cfg.Global.HTTPClientVerifyNone = true
	case "required":
		p.cfg.Global.HTTPClientVerifyNone = false
	default:
		p.alert("'%s' expects 'none' or 'required' as argument.", s.arg(0))
	}
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

// globalTLSList reads the default cipher and curve lists.
func (p *parser) globalTLSList(s *statement) {
	g := &p.cfg.Global
	field := map[string]*string{
		"ssl-default-bind-ciphers": &g.DefaultBindCiphers, "ssl-default-bind-ciphersuites": &g.DefaultBindCiphersuites,
		"ssl-default-bind-curves": &g.DefaultBindCurves, "ssl-default-server-ciphers": &g.DefaultServerCiphers,
		"ssl-default-server-ciphersuites": &g.DefaultServerCiphersuites, "ssl-default-server-curves": &g.DefaultServerCurves,
	}[s.arg(0)]
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		what := "a cipher suite as an argument."
		if strings.HasSuffix(s.arg(0), "curves") {
			what = "a curves suite as an arguments."
		}
		p.alert("global statement '%s' expects %s", s.arg(0), what)
		return
	}
	*field = s.arg(1)
}

// tlsVersions are the values of ssl-min-ver and ssl-max-ver.
var tlsVersions = []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// defaultTLSOptions are the options of ssl-default-bind-options; those with false are not for servers.
var defaultTLSOptions = map[string]bool{
	"force-sslv3": true, "force-tlsv10": true, "force-tlsv11": true, "force-tlsv12": true, "force-tlsv13": true,
	"no-sslv3": true, "no-tlsv10": true, "no-tlsv11": true, "no-tlsv12": true, "no-tlsv13": true,
	"no-tls-tickets": true, "tls-tickets": true, "ssl-min-ver": true, "ssl-max-ver": true,
	"prefer-client-ciphers": false, "strict-sni": false, "no-strict-sni": false,
}

func (p *parser) globalTLSOptions(s *statement) {
	list, server := &p.cfg.Global.DefaultBindOptions, false
	if s.arg(0) == "ssl-default-server-options" {
		list, server = &p.cfg.Global.DefaultServerOptions, true
	}
	if s.arg(1) == "" {
		p.alert("global statement '%s' expects an option as an argument.", s.arg(0))
		return
	}
	for i := 1; i < len(s.words); i++ {
		set := Setting{Name: s.words[i], Pos: s.pos}
		forServer, known := defaultTLSOptions[set.Name]
		if !known || server && !forServer {
			p.alert("unknown option '%s' on global statement '%s'.", set.Name, s.arg(0))
			return
		}
		if set.Name == "ssl-min-ver" || set.Name == "ssl-max-ver" {
			i++
			if !slices.Contains(tlsVersions, s.arg(i)) {
				problem := fmt.Sprintf("'%s' : unknown ssl/tls version", s.arg(i))
				if s.arg(i) == "" {
					problem = fmt.Sprintf("'%s' : missing the ssl/tls version", set.Name)
				}
				p.alert("%s on global statement '%s'.", problem, s.arg(0))
				return
			}
			set.Args = []string{s.arg(i)}
		}
		*list = append(*list, set)
	}
}

func (p *parser) globalDelExt(s *statement) { p.cfg.Global.LoadExtraDelExt = true }

// extraFiles are the kinds of files ssl-load-extra-files names.
var extraFiles = []string{"bundle", "sctl", "ocsp", "issuer", "key"}

func (p *parser) globalExtraFiles(s *statement) {
	kinds := []string{}
	for i, w := range s.words[1:] {
		switch {
		case slices.Contains(extraFiles, w):
			kinds = append(kinds, w)
		case w == "none" || w == "all":
			if i > 0 || len(s.words) > 2 {
				p.alert("'%s' 'none' and 'all' can be only used alone", s.arg(0))
				return
			}
		default:
			p.badExtraFiles(s)
			return
		}
	}
	switch s.arg(1) {
	case "":
		p.badExtraFiles(s)
	case "all":
		p.cfg.Global.LoadExtraFiles = nil
	default:
		p.cfg.Global.LoadExtraFiles = kinds
	}
}

func (p *parser) badExtraFiles(s *statement) {
	p.alert("'%s' expects one or multiple arguments (none, all, bundle, sctl, ocsp, issuer).", s.arg(0))
}

func (p *parser) globalServerVerify(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case "none":
		p.cfg.Global.ServerVerifyNone = true
	case "required":
		p.cfg.Global.ServerVerifyNone = false
	default:
		p.alert("'%s' expects 'none' or 'required' as argument.", s.arg(0))
	}
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

// maxBufSize bounds tune.bufsize: every connection may hold two buffers.
const maxBufSize = 16 << 20

// globalNumber reads the buffer and header limits.
func (p *parser) globalNumber(s *statement) {
	g := &p.cfg.Global
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		dot := "."
		if s.arg(0) == "tune.bufsize" {
			dot = ""
		}
		p.alert("'%s' expects an integer argument%s", s.arg(0), dot)
		return
	}
	n := atol(s.arg(1))
	switch s.arg(0) {
	case "tune.bufsize":
		size, ok := p.globalSize(s)
		switch {
		case !ok:
		case size > maxBufSize:
			p.alert("'%s' expects a size in bytes from 0 to %d.", s.arg(0), maxBufSize)
		case size == 0:
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		default:
			g.BufSize = int(size+15) &^ 15 // as HAProxy, a multiple of two pointers
		}
	case "tune.maxrewrite":
		if n < 0 {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
			return
		}
		g.MaxRewrite = max(n, 1) // 0 would mean "not set"
	case "tune.http.maxhdr":
		if g.MaxHdr = n; n < 1 || n > 32767 {
			p.alert("'%s' expects a numeric value between 1 and 32767", s.arg(0))
		}
	case "tune.http.logurilen":
		if g.LogURILen = n; n < 0 || n > maxBufSize {
			p.alert("'%s' expects a positive integer argument.", s.arg(0))
		}
	}
}

// globalSize reads the first argument as a size.
func (p *parser) globalSize(s *statement) (int64, bool) {
	n, err := ParseSize(s.arg(1))
	if err != nil {
		rest := ""
		if e, ok := err.(*CharError); ok && e.At < len(e.Text) {
			rest = e.Text[e.At:]
		}
		p.alert("unexpected '%s' after size passed to '%s'", rest, s.arg(0))
	}
	return n, err == nil
}

func (p *parser) globalPayload(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects a size argument.", s.arg(0))
		return
	}
	if n, ok := p.globalSize(s); ok {
		p.cfg.Global.CLIMaxPayload = int(n)
	}
}

func (p *parser) globalLifetime(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects ssl sessions <lifetime> in seconds as argument.", s.arg(0))
		return
	}
	d, err := ParseTime(s.arg(1), time.Second)
	switch {
	case err == ErrTimeOver:
		p.alert("timer overflow in argument '%s' to <%s> (maximum value is 2147483647 s or ~68 years).", s.arg(1), s.arg(0))
	case err == ErrTimeUnder:
		p.alert("timer underflow in argument '%s' to <%s> (minimum non-null value is 1 s).", s.arg(1), s.arg(0))
	case err != nil:
		p.alert("unexpected character '%c' in argument to <%s>.", badChar(err), s.arg(0))
	default:
		p.cfg.Global.SSLLifetime = d
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

func (p *parser) globalDHParam(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch n := atol(s.arg(1)); {
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case n < 1024:
		p.alert("'%s' expects a value >= 1024.", s.arg(0))
	default:
		p.noEffect(s.arg(0))
	}
}
