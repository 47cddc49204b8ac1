package config

import (
	"strconv"
	"strings"
	"time"
)

// StickTable is the stick-table line of a section, whose name the table has (manual section 11.1).
type StickTable struct {
	Pos          Pos
	Type         string // "ip", "ipv6", "integer", "string" or "binary"
	KeyLen       int    // string: the longest key; binary: the length of every key, in bytes
	Size         int64  // entries
	Expire       time.Duration
	NoPurge      bool
	ByAddress    bool // srvkey addr
	BratesFactor int
	Store        []StickData
}

// StickData is one word of store.
type StickData struct {
	Name   string
	N      int           // elements of an array
	Period time.Duration // of a rate
}

// stickData are the words of store: whether a number of elements and whether a period follows.
var stickData = map[string]struct{ array, period bool }{
	"server_id": {}, "server_key": {}, "gpt0": {}, "gpc0": {}, "gpc1": {}, "conn_cnt": {}, "conn_cur": {}, "sess_cnt": {},
	"http_req_cnt": {}, "http_err_cnt": {}, "http_fail_cnt": {}, "bytes_in_cnt": {}, "bytes_out_cnt": {}, "glitch_cnt": {},
	"gpc0_rate": {period: true}, "gpc1_rate": {period: true}, "conn_rate": {period: true}, "sess_rate": {period: true},
	"http_req_rate": {period: true}, "http_err_rate": {period: true}, "http_fail_rate": {period: true},
	"bytes_in_rate": {period: true}, "bytes_out_rate": {period: true}, "glitch_rate": {period: true},
	"gpt": {array: true}, "gpc": {array: true}, "gpc_rate": {array: true, period: true},
}

const (
	maxStickArray = 100     // elements of gpc(n), gpt(n) and gpc_rate(n,T)
	maxStickKey   = 1 << 14 // bytes of a key
)

// proxyStickTable reads a stick-table line.
func (p *parser) proxyStickTable(s *statement) {
	if other := p.stickTableOwner(s.px); other != nil {
		pos := other.StickTable.Pos
		p.alert("stick-table name '%s' conflicts with table declared in %s '%s' at %s:%d.", s.px.Name, other.Kind, s.px.Name, pos.File, pos.Line)
		return
	}
	t := &StickTable{Pos: s.pos, BratesFactor: 1}
	line := stickLine{p: p, t: t, words: s.words[1:]}
	for len(line.words) > 0 {
		if !line.argument() {
			return
		}
	}
	switch {
	case t.Size == 0:
		p.alert("stick-table: missing size.")
	case t.Type == "":
		p.alert("stick-table: missing type.")
	default:
		s.px.StickTable = t
	}
}

// stickTableOwner is the section whose table has the name that px's would have.
func (p *parser) stickTableOwner(px *Proxy) *Proxy {
	if px.StickTable != nil {
		return px
	}
	for _, other := range p.cfg.Proxies {
		if other.Name == px.Name && other.StickTable != nil {
			return other
		}
	}
	return nil
}

// stickLine reads the arguments of one stick-table line.
type stickLine struct {
	p     *parser
	t     *StickTable
	words []string
}

func (l *stickLine) next() string {
	if len(l.words) == 0 {
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// argument reads one argument and its values; false after an error.
func (l *stickLine) argument() bool {
	switch word := l.next(); word {
	case "type":
		return l.kind()
	case "size":
		return l.size(word, &l.t.Size)
	case "expire":
		return l.expire()
	case "store":
		return l.store()
	case "nopurge":
		l.t.NoPurge = true
	case "srvkey":
		return l.serverKey()
	case "brates-factor":
		return l.bratesFactor(word)
	case "peers", "recv-only", "write-to":
		l.p.alert("stick-table: '%s' is not supported: there are no peers.", word)
		return false
	default:
		l.p.alert("stick-table: unknown argument '%s'.", word)
		return false
	}
	return true
}

func (l *stickLine) kind() bool {
	word := l.next()
	if word == "ipv4" {
		word = "ip"
	}
	switch word {
	case "ip", "ipv6", "integer":
		l.t.Type = word
		return true
	case "string":
		l.t.Type, l.t.KeyLen = word, 31
	case "binary":
		l.t.Type, l.t.KeyLen = word, 32
	default:
		l.p.alert("stick-table: unknown type '%s'.", word)
		return false
	}
	if len(l.words) == 0 || l.words[0] != "len" {
		return true
	}
	l.next()
	n, err := strconv.Atoi(l.next())
	if err != nil || n <= 0 {
		l.p.alert("'len' expects a positive integer argument.")
		return false
	}
	if n > maxStickKey {
		l.p.alert("'len' expects at most %d.", maxStickKey)
		return false
	}
	l.t.KeyLen = n
	return true
}

// value takes the word behind an argument.
func (l *stickLine) value(of string) (string, bool) {
	w := l.next()
	if w == "" {
		l.p.alert("stick-table: missing argument after '%s'.", of)
	}
	return w, w != ""
}

func (l *stickLine) size(word string, n *int64) bool {
	text, ok := l.value(word)
	if !ok {
		return false
	}
	v, err := ParseSize(text)
	if err != nil {
		l.p.alert("stick-table: unexpected character '%c' in argument of '%s'.", badChar(err), word)
		return false
	}
	*n = v
	return true
}

func (l *stickLine) expire() bool {
	text, ok := l.value("expire")
	if !ok {
		return false
	}
	d, err := ParseTime(text, time.Millisecond)
	switch {
	case err == ErrTimeOver:
		l.p.alertTight("stick-table: timer overflow in argument <%s> to <expire>, maximum value is 2147483647 ms (~24.8 days).", text)
	case err == ErrTimeUnder:
		l.p.alertTight("stick-table: timer underflow in argument <%s> to <expire>, minimum non-null value is 1 ms.", text)
	case err != nil:
		l.p.alert("stick-table: unexpected character '%c' in argument of 'expire'.", badChar(err))
	}
	l.t.Expire = d
	return err == nil
}

func (l *stickLine) serverKey() bool {
	word := l.next()
	if word != "name" && word != "addr" {
		l.p.alert("stick-table : unknown server key type '%s'.", word)
		return false
	}
	l.t.ByAddress = word == "addr"
	return true
}

func (l *stickLine) bratesFactor(word string) bool {
	var n int64
	if !l.size(word, &n) {
		return false
	}
	if n < 1 || n > 1024 {
		l.p.alert("stick-table: argument '%s' must be greater than 0 and lower or equal than 1024.", word)
		return false
	}
	l.t.BratesFactor = int(n)
	return true
}

// store reads the list of data, separated by commas outside parentheses.
func (l *stickLine) store() bool {
	for list := l.next(); list != ""; {
		end := strings.IndexAny(list, "(,")
		name, args := list, []string(nil)
		switch {
		case end < 0:
			list = ""
		case list[end] == ',':
			name, list = list[:end], list[end+1:]
		default:
			name = list[:end]
			inside, rest, closed := strings.Cut(list[end+1:], ")")
			if !closed {
				l.p.alert("stick-table: missing closing parenthesis after store option '%s'.", name)
				return false
			}
			args = strings.SplitN(inside, ",", 2)
			_, list, _ = strings.Cut(rest, ",")
		}
		if !l.data(name, args) {
			return false
		}
	}
	return l.exclusive()
}

func (l *stickLine) data(name string, args []string) bool {
	if name == "server_name" {
		name = "server_key"
	}
	info, known := stickData[name]
	if !known {
		l.p.alert("stick-table: unknown store option '%s'.", name)
		return false
	}
	if l.stores(name) {
		l.p.warnTight("stick-table: store option '%s' already enabled, ignored.", name)
		return true
	}
	d := StickData{Name: name, N: 1}
	missing := func() bool {
		l.p.alert("stick-table: missing argument to store option '%s'.", name)
		return false
	}
	if info.array {
		if len(args) == 0 {
			return missing()
		}
		if d.N, _ = strtol(args[0]); d.N < 1 || d.N > maxStickArray {
			l.p.alert("stick-table: array size is out of allowed range (1-%d) for store option '%s'.", maxStickArray, name)
			return false
		}
		args = args[1:]
	}
	switch {
	case info.period && len(args) == 0:
		return missing()
	case info.period:
		var err error
		if d.Period, err = ParseTime(args[0], time.Millisecond); err != nil {
			l.p.alert("stick-table: error when processing store option '%s'.", name)
			return false
		}
	case len(args) > 0:
		l.p.alert("stick-table: unexpected argument to store option '%s'.", name)
		return false
	}
	l.t.Store = append(l.t.Store, d)
	return true
}

func (l *stickLine) stores(names ...string) bool {
	for _, d := range l.t.Store {
		for _, n := range names {
			if d.Name == n {
				return true
			}
		}
	}
	return false
}

// exclusive refuses an array beside the counters it stands for.
func (l *stickLine) exclusive() bool {
	for _, x := range []struct {
		array, shown string
		single       []string
	}{{"gpt", "gpt0", []string{"gpt0"}}, {"gpc", "gpc[0/1]", []string{"gpc0", "gpc1"}}, {"gpc_rate", "gpc[0/1]_rate", []string{"gpc0_rate", "gpc1_rate"}}} {
		if l.stores(x.array) && l.stores(x.single...) {
			l.p.alert("stick-table: simultaneous usage of '%[1]s' and '%[2]s' in a same table is not permitted as '%[1]s' overrides '%[2]s'.", x.array, x.shown)
			return false
		}
	}
	return true
}

// proxyStick reads a stick line; what follows its first word is compiled with the rules.
func (p *parser) proxyStick(s *statement) {
	switch s.arg(1) {
	case "on", "match", "store", "store-request", "store-response":
	default:
		p.alert("'stick' expects 'on', 'match', or 'store'.")
		return
	}
	if s.arg(2) == "" {
		p.alert("'stick' expects a fetch method.")
		return
	}
	s.px.Stick = append(s.px.Stick, Rule{Pos: s.pos, Words: s.words[1:]})
}

// globalStickCounters reads tune.stick-counters.
func (p *parser) globalStickCounters(s *statement) {
	n, used := strtol(s.arg(1))
	switch {
	case used != len(s.arg(1)):
		p.alert("%s: '%s' is an invalid number", s.arg(0), s.arg(1))
	case n < 0 || n > 100:
		p.alert("%s: the number of stick-counters must be between 1 and 100 (was %d)", s.arg(0), n)
	default:
		p.cfg.Global.StickCounters = &n
	}
}
