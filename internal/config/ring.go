package config

import (
	"slices"
	"strings"
	"time"
)

// Ring is one ring section (manual section 12.5): a buffer of events, shown by `show events` and sent to its servers.
type Ring struct {
	Pos         Pos
	Name        string
	Description string // the name unless said
	Format      string // of every event; raw unless said
	MaxLen      int    // longest event; 0: the limit of the log line
	Size        int    // bytes; 0: tune.bufsize
	Connect     time.Duration
	Server      time.Duration
	Servers     []RingServer
}

// RingServer is one server line of a ring.
type RingServer struct {
	Pos        Pos
	Name       string
	Addr       Addr
	OctetCount bool // log-proto octet-count
}

// maxRing bounds a ring, in bytes.
const maxRing = 1 << 30

// BuiltinSinks are the names of what receives events without being configured, as `show events` lists them.
func BuiltinSinks() []string { return []string{"stdout", "stderr", "buf0", "dpapi"} }

func ringKeywords() []Keyword {
	k := func(name, args string, parse func(p *parser, s *statement)) Keyword {
		return Keyword{Name: name, Args: args, In: InRing, Manual: "12.5", parse: parse}
	}
	list := []Keyword{
		k("description", "<text>", (*parser).ringDescription),
		k("format", "<format>", (*parser).ringFormat),
		k("maxlen", "<length>", (*parser).ringMaxLen),
		k("server", "<name> <address> [log-proto legacy|octet-count]", (*parser).ringServer),
		k("size", "<size>", (*parser).ringSize),
		k("timeout", "connect|server <timeout>", (*parser).ringTimeout),
	}
	return append(list, refused(InRing, "12.5", "backing-file <file>")...)
}

func (p *parser) beginRing(s *statement) {
	p.ring = nil
	name := s.arg(1)
	if name == "" {
		p.alert("missing ring name.")
		return
	}
	if c, bad := invalidChar(name); bad {
		p.alert("invalid ring name '%s' (character '%c' is not permitted).", name, c)
		return
	}
	if slices.Contains(BuiltinSinks(), name) || p.ringCalled(name) != nil {
		p.alert("sink named '%s' already exists.", name)
		return
	}
	p.ring = &Ring{Pos: s.pos, Name: name, Description: name, Format: "raw"}
	p.cfg.Rings = append(p.cfg.Rings, p.ring)
}

func (p *parser) ringCalled(name string) *Ring {
	for _, r := range p.cfg.Rings {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// inRing finds the entry of a line of a ring section. After a wrong first line the lines mean nothing.
func (p *parser) inRing(s *statement) {
	if p.ring == nil {
		return
	}
	if p.t.ring.by[s.arg(0)] == nil {
		p.alert("unknown statement '%s'.", s.arg(0))
		return
	}
	p.lookup(s, p.t.ring, InRing)
}

func (p *parser) ringDescription(s *statement) {
	if s.arg(1) == "" {
		p.alert("missing ring description text.")
		return
	}
	p.ring.Description = s.arg(1)
}

func (p *parser) ringFormat(s *statement) {
	if !slices.Contains(logFormats, s.arg(1)) {
		p.alert("unknown format '%s'.", s.arg(1))
		return
	}
	p.ring.Format = s.arg(1)
}

func (p *parser) ringMaxLen(s *statement) {
	n := atol(s.arg(1))
	if n <= 0 {
		p.alert("invalid size '%s' for new sink buffer.", s.arg(1))
		return
	}
	p.ring.MaxLen = n
}

func (p *parser) ringSize(s *statement) {
	n, err := ParseSize(s.arg(1))
	switch {
	case err != nil || n <= 0:
		p.alert("invalid size '%s' for new sink buffer.", s.arg(1))
	case n > maxRing:
		p.alert("too large size '%d' for new sink buffer, the limit on this platform is %d bytes.", n, maxRing)
	default:
		p.ring.Size = int(n)
	}
}

func (p *parser) ringTimeout(s *statement) {
	name, v := s.arg(1), s.arg(2)
	if name != "connect" && name != "server" {
		p.alert("'timeout' supports 'connect' and 'server' (got '%s')", name)
		return
	}
	if v == "" {
		p.alert("'timeout %s' expects <time> as argument.", name)
		return
	}
	d, err := ParseTime(v, time.Millisecond)
	switch {
	case err == ErrTimeOver:
		p.alertTight("timer overflow in argument <%s> to <timeout %s>, maximum value is 2147483647 ms (~24.8 days).", v, name)
	case err == ErrTimeUnder:
		p.alertTight("timer underflow in argument <%s> to <timeout %s>, minimum non-null value is 1 ms.", v, name)
	case err != nil:
		p.alertTight("unexpected character '%c' in argument to <timeout %s>.", badChar(err), name)
	case name == "connect":
		p.ring.Connect = d
	default:
		p.ring.Server = d
	}
}

func (p *parser) ringServer(s *statement) {
	l := &serverLine{Server: newServer()}
	if s.arg(2) == "" {
		p.serverAlert(l, "'%s' expects <name> and <addr>[:<port>] as arguments.", s.arg(0))
		return
	}
	l.desc = "'server " + p.ring.Name + "/" + s.arg(1) + "' : "
	addrs, err := ParseAddr(p.expandAddr(s.arg(2)), AddrServer)
	if err == nil {
		err = p.resolve(addrs)
	}
	if err != nil {
		p.serverAlert(l, "%s", err)
		return
	}
	r := RingServer{Pos: s.pos, Name: s.arg(1), Addr: addrs[0]}
	for i := 3; i < len(s.words); i++ {
		switch word := s.arg(i); {
		case word != "log-proto" && p.t.server.by[word] != nil:
			p.serverAlert(l, "'%s' option is not supported in a ring", word)
			return
		case word != "log-proto":
			p.ringServerUnknown(l, word)
			return
		}
		i++
		switch s.arg(i) {
		case "octet-count":
			r.OctetCount = true
		case "legacy":
			r.OctetCount = false
		default:
			p.serverAlert(l, "'log-proto' expects one of 'legacy' or 'octet-count' but got '%s'.", s.arg(i))
			return
		}
	}
	p.ring.Servers = append(p.ring.Servers, r)
}

func (p *parser) ringServerUnknown(l *serverLine, word string) {
	if near := p.t.server.nearest(word, 0, "log-proto"); near != "" {
		p.serverAlert(l, "unknown keyword '%s'; did you mean '%s' maybe ?", word, near)
		return
	}
	p.serverAlert(l, "unknown keyword '%s'.", word)
}

// finishRings finds the ring of every log line that names one.
func (p *parser) finishRings() {
	for _, l := range p.cfg.Global.Logs {
		if text := p.wrongRing(l); text != "" {
			p.late(LevelAlert, l.Pos, "global log directive declared in file %s at line '%d' %s.", l.Pos.File, l.Pos.Line, text)
		}
	}
	for _, px := range p.cfg.Proxies {
		for _, l := range px.Logs {
			if text := p.wrongRing(l); text != "" && !l.FromGlobal {
				p.late(LevelAlert, l.Pos, "log directive declared in proxy section '%s' in file '%s' at line %d %s.", px.Name, l.Pos.File, l.Pos.Line, text)
			}
		}
	}
}

// wrongRing says what is wrong with the ring that a log line names, "" if nothing.
func (p *parser) wrongRing(l Log) string {
	name, is := strings.CutPrefix(l.Addr.Text, "ring@")
	switch {
	case !is || name == "buf0" || name == "dpapi" || p.ringCalled(name) != nil:
		return ""
	case slices.Contains(BuiltinSinks(), name):
		return "uses incompatible ring '" + name + "'"
	}
	return "uses unknown ring named '" + name + "'"
}

// Ring is the name of the ring that the log line writes to; "" for other targets.
func (l *Log) Ring() string {
	if l.Addr.Network == "ring" {
		return l.Addr.Host
	}
	return ""
}
