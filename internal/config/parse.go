package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Source is one configuration file, already read.
type Source struct {
	Name string
	Data []byte
}

// ParseOptions is what the language asks of the process that reads it.
type ParseOptions struct {
	Env        map[string]string // the environment; not modified
	Version    string            // HAProxy version answered by version_atleast, "3.4.0"
	Features   map[string]bool   // what feature() answers
	TLSName    string            // what ssllib_name_startswith() compares with
	TLSVersion string            // what openssl_version_atleast() compares with
	Diag       bool              // -dD: keep .diag messages
	LookupHost func(string) (netip.Addr, bool)
}

// ExpandSources lists the files that one -f argument names: the file itself, or the *.cfg files of a directory that
// are not hidden, in C order.
func ExpandSources(name string, readDir func(string) ([]string, error), isDir func(string) bool) ([]string, error) {
	if !isDir(name) {
		return []string{name}, nil
	}
	entries, err := readDir(name)
	if err != nil {
		return nil, &OpenError{Name: name, Err: err}
	}
	var files []string
	for _, e := range entries {
		if !strings.HasSuffix(e, ".cfg") || strings.HasPrefix(e, ".") {
			continue
		}
		if full := filepath.Join(name, e); !isDir(full) {
			files = append(files, full)
		}
	}
	sort.Strings(files)
	return files, nil
}

// OpenError is a file or directory of -f that cannot be read, in HAProxy's words.
type OpenError struct {
	Name string
	Err  error
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("Cannot open configuration file/directory %s : %v", e.Name, e.Err)
}

func (e *OpenError) Unwrap() error { return e.Err }

// Parse reads the sources one after the other as one configuration. The Config is never nil, but is complete only when
// the Diags have no error. LookupHost, when set, resolves names on bind and log lines; without it they stay names.
func Parse(sources []Source, o ParseOptions) (*Config, Diags) {
	p := newParser(o)
	for _, src := range sources {
		p.cfg.Files = append(p.cfg.Files, src.Name)
	}
	for _, src := range sources {
		p.file(src)
		if p.aborted {
			break
		}
	}
	if !p.aborted {
		p.finish()
	}
	p.cfg.Env = p.env
	return p.cfg, p.diags
}

// parser holds one run of Parse.
type parser struct {
	o     ParseOptions
	cfg   *Config
	diags Diags
	env   map[string]string
	t     *tables

	name     string // file being read
	line     int
	fatal    int  // errors of this file
	aborted  bool // nothing after this can be understood
	quiet    bool // no more warnings
	stopped  bool // nothing after this line of the file is read
	conds    []condState
	envBytes int
	warned   map[string]bool // messages that are said once

	section     *Keyword // section being read, nil outside
	sectionName string   // what ${.SECTION} shows

	px      *Proxy
	lastDef *defaults
	defs    map[string]*defaults
	byName  map[string]*Proxy
	ids     map[int]*Proxy
	store   *CrtStore
	acme    *ACME
	users   *Userlist
	ring    *Ring
	state   map[*Proxy]*proxyState
	loads   map[string]bool // names that load lines have taken
}

func newParser(o ParseOptions) *parser {
	p := &parser{
		o: o, t: newTables(), warned: map[string]bool{},
		env:    maps.Clone(o.Env),
		defs:   map[string]*defaults{},
		byName: map[string]*Proxy{},
		ids:    map[int]*Proxy{},
		state:  map[*Proxy]*proxyState{},
		loads:  map[string]bool{},
	}
	if p.env == nil {
		p.env = map[string]string{}
	}
	p.cfg = &Config{}
	p.cfg.Global.ACMEScheduler = true
	p.cfg.Global.OCSPUpdate = OCSPUpdate{MinDelay: defaultOCSPMin, MaxDelay: defaultOCSPMax}
	p.cfg.Global.ErrCodes, p.cfg.Global.FailCodes = ErrCodes(), FailCodes()
	return p
}

// statement is one line: its words and the "no" or "default" that stood before them.
type statement struct {
	pos   Pos
	words []string
	no    bool
	reset bool // "default"
	key   *Keyword
	at    int // on bind, server and load lines: index of the keyword being read

	px    *Proxy
	bind  *Bind
	srv   *serverLine
	where string // how messages name the line: 'bind :443' in section 'frontend'
}

// arg returns word i, "" when there are fewer.
func (s *statement) arg(i int) string {
	if i >= 0 && i < len(s.words) {
		return s.words[i]
	}
	return ""
}

// rest returns the words from i on, joined by spaces.
func (s *statement) rest(i int) string {
	if i >= len(s.words) {
		return ""
	}
	return strings.Join(s.words[i:], " ")
}

func (p *parser) pos() Pos { return Pos{File: p.name, Line: p.line} }

// alert reports an error on the current line and counts it.
func (p *parser) alert(format string, args ...any) {
	p.fatal++
	p.diags.Alert(p.pos(), format, args...)
}

// alertTight is alert in the form that has no space before the colon, which HAProxy uses in places.
func (p *parser) alertTight(format string, args ...any) {
	p.fatal++
	p.at(LevelAlert, "parsing [%s:%d]: "+format, args)
}

func (p *parser) warnTight(format string, args ...any) {
	p.at(LevelWarning, "parsing [%s:%d]: "+format, args)
}

func (p *parser) at(level, format string, args []any) {
	p.diags.at(level, p.pos(), format, append([]any{p.name, p.line}, args...)...)
}

// softly reports an ALERT after which HAProxy continues.
func (p *parser) softly(format string, args ...any) {
	p.diags.Alert(p.pos(), format, args...)
	p.diags[len(p.diags)-1].Soft = true
}

func (p *parser) warning(format string, args ...any) { p.diags.Warning(p.pos(), format, args...) }
func (p *parser) notice(format string, args ...any)  { p.diags.Notice(p.pos(), format, args...) }

// tooMany reports words beyond n arguments after word idx.
func (p *parser) tooMany(s *statement, n, idx int) bool {
	extra := s.arg(idx + n + 1)
	if extra == "" {
		return false
	}
	p.alert("'%s' cannot handle unexpected argument '%s'.", strings.Join(s.words[:idx+1], " "), extra)
	return true
}

// file reads one source. Each starts outside any section.
func (p *parser) file(src Source) {
	p.name, p.line, p.fatal = src.Name, 0, 0
	p.section, p.sectionName, p.conds, p.stopped = nil, "", nil, false
	if len(src.Data) > maxFileBytes {
		p.alert("file too large (%d bytes, max %d).", len(src.Data), maxFileBytes)
		return
	}
	data := src.Data
	for len(data) > 0 && !p.aborted && !p.stopped {
		raw, rest, found := bytes.Cut(data, []byte{'\n'})
		data = rest
		p.line++
		if p.line > maxLines {
			p.alert("too many lines (max %d), stopping now.", maxLines)
			return
		}
		if p.fatal >= maxFatal {
			p.alertTight("too many fatal errors (%d), stopping now.", p.fatal)
			break
		}
		if i := bytes.IndexByte(raw, 0); i >= 0 {
			p.alertTight("Stray NUL character at position %d.", i+1)
			break
		}
		p.oneLine(string(raw))
		if !found && !p.aborted {
			p.alertTight("Missing LF on last line, file might have been truncated at position %d.", len(raw)+1)
		}
	}
	if p.aborted {
		return
	}
	p.leaveSection()
	if len(p.conds) > 0 {
		p.alertTight("non-terminated '.if' block.")
		p.aborted = true
	}
	p.aborted = p.aborted || p.stopped
	p.section = nil
}

// oneLine reads one line without its LF.
func (p *parser) oneLine(raw string) {
	line := strings.TrimLeft(raw, " \t\v\f\r")
	indent := len(raw) - len(line)
	if strings.HasPrefix(line, "[") {
		p.alertTight("scope lines such as '%.40s' are not supported.", line)
		return
	}
	x := newLexer(line, p.variable)
	x.run()
	if p.lexFault(x, line, indent) {
		return
	}
	words := x.words
	if len(words) == 0 || words[0] == "" {
		return
	}
	if words[0][0] == '.' && p.conditional(words) {
		return
	}
	if p.masked() {
		return
	}
	if words[0][0] == '.' {
		p.message(words)
		return
	}
	if i := slices.Index(words, ""); i >= 0 {
		p.emptyArgument(x, line, indent, i)
		return
	}
	p.statement(words)
}

// lexFault reports what the lexer found wrong with a line.
func (p *parser) lexFault(x *lexer, line string, indent int) bool {
	switch f := x.fault; {
	case x.tooLong:
		p.alertTight("line too long, cannot allocate memory.")
	case f == nil:
		return false
	case f.word != "":
		p.alertTight("too many words, truncating after word %d, position %d: <%s>.", MaxWords, f.out+1, f.word)
	default:
		p.alertTight("%s at position %d:\n%s", f.text, indent+f.at+1, pointer("", line, f.at, 80))
	}
	return true
}

// emptyArgument refuses a line with an empty word: what follows it would be lost.
func (p *parser) emptyArgument(x *lexer, line string, indent, n int) {
	at := max(x.emptyAt, 0)
	hint := ""
	if !p.warned["empty"] {
		p.warned["empty"] = true
		hint = "\nAborting to prevent all subsequent arguments from being silently ignored. If this is caused by an environment " +
			"variable expansion, please have a look at section 2.3 of the configuration manual to find solutions to address this."
	}
	p.alertTight("argument number %d at position %d is empty and marks the end of the argument list:\n%s%s",
		n, indent+at+1, pointer("", line, at, 80), hint)
	if at < len(line) && (isAlnum(line[at]) || line[at] == '_') {
		end := at
		for end < len(line) && (isAlnum(line[end]) || line[end] == '_') {
			end++
		}
		if alt := Nearest(line[at:end], slices.Sorted(maps.Keys(p.env))); alt != "" {
			p.diags.Add(LevelNotice, "config : Hint: maybe you meant "+alt+" instead ?")
		}
	}
}

// variable answers environment and pseudo-variables.
func (p *parser) variable(name string) (string, bool) {
	switch name {
	case ".FILE":
		return p.name, true
	case ".LINE":
		return strconv.Itoa(p.line), true
	case ".SECTION":
		return p.sectionName, true
	}
	v, ok := p.env[name]
	return v, ok
}

// negatable are the keywords that "no" and "default" may stand before.
var negatable = map[string]bool{"option": true, "log": true, "busy-polling": true, "set-dumpable": true, "strict-limits": true,
	"insecure-fork-wanted": true, "numa-cpu-mapping": true}

// statement hands a line to its section or begins a section.
func (p *parser) statement(words []string) {
	s := &statement{pos: p.pos(), words: words}
	switch words[0] {
	case "no":
		s.no, s.words = true, words[1:]
	case "default":
		s.reset, s.words = true, words[1:]
	}
	if s.no || s.reset {
		if !negatable[s.arg(0)] {
			p.alertTight("negation/default currently supported only for options, log, busy-polling, set-dumpable, " +
				"strict-limits, insecure-fork-wanted and numa-cpu-mapping.")
			return
		}
	}
	if k := p.t.section.by[s.arg(0)]; k != nil {
		p.leaveSection()
		p.section, p.sectionName = k, s.arg(0)
		if s.arg(1) != "" {
			p.sectionName = s.arg(1)
		}
		s.key = k
		p.px, p.store, p.acme = nil, nil, nil
		if k.State == Refused {
			p.alert("section '%s' is not supported.", k.Name)
			return
		}
		k.parse(p, s)
		return
	}
	if p.section == nil {
		p.alertTight("unknown keyword '%s' out of section.", s.arg(0))
		return
	}
	if p.section.State == Refused {
		return // the section's own line was refused; its lines mean nothing more
	}
	p.inSection(s)
}

// inSection dispatches a line inside a section.
func (p *parser) inSection(s *statement) {
	switch p.section.Name {
	case "global":
		p.lookup(s, p.t.global, InGlobal)
	case "crt-store":
		p.lookup(s, p.t.crtStore, InCrtStore)
	case "acme":
		p.lookup(s, p.t.acme, InACME)
	case "gatehouse":
		p.lookup(s, p.t.gatehouse, InGatehouse)
	case "http-errors":
		p.lookup(s, p.t.httpErrors, InHTTPErrors)
	case "userlist":
		p.lookup(s, p.t.userlist, InUserlist)
	case "ring":
		p.inRing(s)
	default:
		p.proxyLine(s)
	}
}

// lookup finds the entry of a line's keyword and obeys it.
func (p *parser) lookup(s *statement, t *table, in Place) {
	k := t.by[s.arg(0)]
	if k == nil || k.In&in == 0 {
		p.unknown(s, t, in)
		return
	}
	p.obey(s, k)
}

func (p *parser) obey(s *statement, k *Keyword) {
	s.key = k
	switch {
	case k.State == Refused && k.parse == nil:
		p.notSupported(s)
	case k.State == NoEffect && k.parse == nil:
		p.noEffect(s.arg(0))
	default:
		k.parse(p, s)
	}
}

func (p *parser) notSupported(s *statement) {
	p.alert("'%s' is not supported in '%s' section.", s.arg(0), p.section.Name)
}

func (p *parser) noEffect(what string) {
	p.notice("'%s' is accepted without effect.", what)
}

func (p *parser) unknown(s *statement, t *table, in Place) {
	// HAProxy also offers the words that begin sections.
	var sections []string
	switch t {
	case p.t.global:
		sections = []string{"global", "defaults", "listen", "frontend", "backend", "peers", "resolvers"}
	case p.t.proxy:
		sections = []string{"listen", "frontend", "backend", "defaults"}
	}
	if near := t.nearest(s.arg(0), in, sections...); near != "" {
		p.alert("unknown keyword '%s' in '%s' section; did you mean '%s' maybe ?", s.arg(0), p.section.Name, near)
		return
	}
	p.alert("unknown keyword '%s' in '%s' section", s.arg(0), p.section.Name)
}

// leaveSection runs the checks that HAProxy makes at the end of a section.
func (p *parser) leaveSection() {
	if p.section == nil {
		return
	}
	if p.acme != nil {
		p.endACME()
	}
}
