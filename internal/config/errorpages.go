package config

import (
	"slices"
	"strconv"
)

// ErrorLine is one line that says what is answered to requests that fail: errorfile, errorfiles, errorloc, errorloc302, errorloc303
// or http-error. Later lines win; those of the defaults section stand first.
type ErrorLine struct {
	Pos     Pos
	Keyword string
	Words   []string // what follows the keyword; codes are among errorCodes, except that http-error is checked where it is compiled
}

// HTTPErrors is one http-errors section (manual section 12.4).
type HTTPErrors struct {
	Pos   Pos
	Name  string
	Files []ErrorLine // errorfile lines; the last one of a code wins
}

// errorCodes are the statuses that have an error page.
var errorCodes = []int{200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504}

// ErrorCode reports whether a status has an error page.
func ErrorCode(status int) bool { return slices.Contains(errorCodes, status) }

func (p *parser) beginHTTPErrors(s *statement) {
	name := s.arg(1)
	if name == "" {
		p.alert("missing name for http-errors section.")
		p.aborted = true
		return
	}
	if c, bad := invalidChar(name); bad {
		p.alert("character '%c' is not permitted in '%s' name '%s'.", c, s.arg(0), name)
	}
	for _, old := range p.cfg.HTTPErrors {
		if old.Name == name {
			p.alertTight("http-errors section '%s' already exists (declared at %s:%d).", name, old.Pos.File, old.Pos.Line)
		}
	}
	p.cfg.HTTPErrors = append(p.cfg.HTTPErrors, &HTTPErrors{Pos: s.pos, Name: name})
}

// httpErrorsFile reads an errorfile line of an http-errors section.
func (p *parser) httpErrorsFile(s *statement) {
	if len(p.cfg.HTTPErrors) == 0 {
		return // the section's own line was wrong and said so
	}
	if s.arg(1) == "" || s.arg(2) == "" {
		p.alert("%s: expects <status_code> and <file> as arguments.", s.arg(0))
		return
	}
	if code := atol(s.arg(1)); !ErrorCode(code) {
		p.alert("%s : status code '%d' not handled.", s.arg(0), code)
		return
	}
	h := p.cfg.HTTPErrors[len(p.cfg.HTTPErrors)-1]
	h.Files = append(h.Files, ErrorLine{Pos: s.pos, Keyword: s.arg(0), Words: []string{strconv.Itoa(atol(s.arg(1))), s.arg(2)}})
}

// proxyErrorFile reads errorfile, errorloc, errorloc302 and errorloc303.
func (p *parser) proxyErrorFile(s *statement) {
	what := "<url>"
	if s.arg(0) == "errorfile" {
		what = "<file>"
	}
	code := atol(s.arg(1))
	switch {
	case s.arg(1) == "" || s.arg(2) == "":
		p.alert("%s : expects <status_code> and %s as arguments.", s.arg(0), what)
	case s.arg(3) != "":
		p.alert("%s : expects exactly two arguments.", s.arg(0))
	case !ErrorCode(code):
		p.alert("%s : status code '%d' not handled.", s.arg(0), code)
	default:
		p.keepErrorLine(s, strconv.Itoa(code), s.arg(2))
	}
}

func (p *parser) proxyErrorFiles(s *statement) {
	if s.arg(1) == "" {
		p.alert("%s : expects <name> as argument.", s.arg(0))
		return
	}
	words := []string{s.arg(1)}
	for _, w := range s.words[2:] {
		if code := atol(w); !ErrorCode(code) {
			p.alert("%s : status code '%d' not handled.", s.arg(0), code)
			return
		}
		words = append(words, strconv.Itoa(atol(w)))
	}
	p.keepErrorLine(s, words...)
}

func (p *parser) proxyHTTPError(s *statement) { p.keepErrorLine(s, s.words[1:]...) }

func (p *parser) keepErrorLine(s *statement, words ...string) {
	s.px.Errors = append(s.px.Errors, ErrorLine{Pos: s.pos, Keyword: s.arg(0), Words: words})
}

// proxyMonitor reads monitor fail.
func (p *parser) proxyMonitor(s *statement) {
	switch {
	case s.arg(1) != "fail":
		p.alert("'%s' only supports 'fail'.", s.arg(0))
	case s.arg(2) != "if" && s.arg(2) != "unless":
		p.alert("'%s %s' requires either 'if' or 'unless' followed by a condition.", s.arg(0), s.arg(1))
	case p.px.Kind == "defaults":
		p.alert("'%s' not allowed in 'defaults' section.", s.arg(0))
	default:
		s.px.MonitorFail = append(s.px.MonitorFail, Rule{Pos: s.pos, Words: s.words[2:]})
	}
}
