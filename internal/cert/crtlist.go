package cert

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of HAProxy on a crt-list line.
const (
	maxLineSize = 65536
	maxLineArgs = 2048
)

// Line is one line of a crt-list (surface 2.4): a certificate, its options, how it is loaded, and the names it answers to.
type Line struct {
	Cert    string        // as written
	Options *Options      // nil: no brackets, or none of the TLS keywords in them
	Load    []LoadSetting // crt-store keywords in the brackets
	Filters []Filter      // as written; none: the names of the certificate
	N       int           // line number, from 1

	misplaced bool // names stood before the brackets; they do not count
}

// LoadSetting is one keyword of a crt-store load line with its argument (surface 2.3).
type LoadSetting struct{ Name, Arg string }

// loadKeywords are the keywords of a load line that a crt-list line may have; each takes one argument.
var loadKeywords = []string{"alias", "crt", "key", "ocsp", "issuer", "sctl", "ocsp-update", "jwt", "acme", "domains", "ips", "generate-dummy",
	"keytype", "bits"}

// IsLoadKeyword tells whether name is a keyword of crt-store's load that crt-list brackets take as well. `curves` is one too, but in
// brackets it is the TLS option.
func IsLoadKeyword(name string) bool { return slices.Contains(loadKeywords, name) }

// Filter is one SNI filter of a crt-list line: "name", "*.name", "*" or "!name".
type Filter string

// split takes a filter apart. A wildcard's name is what follows the star: ".name", or "" for the default.
func (f Filter) split() (name string, neg, wild bool) {
	name = strings.ToLower(string(f))
	name, neg = strings.CutPrefix(name, "!")
	name, wild = strings.CutPrefix(name, "*")
	return name, neg, wild
}

// ParseList reads a whole crt-list. Bad lines do not stop the others: the error joins one error per bad line, in HAProxy's words
// "parsing [NAME:LINE]: ...", and the good lines are returned beside it.
func ParseList(name string, data []byte) ([]Line, error) {
	var lines []Line
	var errs []error
	for n := 1; len(data) > 0; n++ {
		raw, rest, ended := bytes.Cut(data, []byte{'\n'})
		data = rest
		if len(raw) == 0 || raw[0] == '#' || raw[0] == '\r' {
			continue
		}
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("parsing [%s:%d]: %s", name, n, fmt.Sprintf(format, args...)))
		}
		if i := bytes.IndexByte(raw, 0); i >= 0 {
			fail("Stray NUL character at position %d.", i+1)
			continue
		}
		line, err := ParseLine(name, n, string(raw))
		switch {
		case err != nil:
			errs = append(errs, err)
		case !ended:
			fail("Missing LF on last line, file might have been truncated at position %d.", len(raw)+1)
		case line.Cert != "":
			lines = append(lines, line)
		}
	}
	return lines, errors.Join(errs...)
}

// ParseLine reads one line; file and n are used in errors. An empty line gives a Line without Cert.
func ParseLine(file string, n int, text string) (Line, error) {
	p := lineParser{line: Line{N: n}}
	if err := p.parse(text); err != nil {
		return Line{}, fmt.Errorf("parsing [%s:%d]: %w", file, n, err)
	}
	return p.line, nil
}

// OptionError is an option in brackets that cannot be what its line says. HAProxy prints it without file and line on its command socket.
type OptionError struct{ Err error }

func (e *OptionError) Error() string { return e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

type lineParser struct {
	line        Line
	words       []string
	open, close int // how many words stood before '[' and before ']'; open is 0 without brackets
	closed      bool
}

func (p *lineParser) parse(text string) error {
	if len(text) >= maxLineSize-1 {
		return fmt.Errorf("line too long, limit is %d characters", maxLineSize-1)
	}
	if err := p.split(text); err != nil {
		return err
	}
	if len(p.words) == 0 {
		return nil
	}
	p.line.Cert = p.words[0]
	filters := p.words[1:]
	if p.open > 0 {
		p.line.misplaced = p.open > 1
		if !p.closed {
			return errors.New("missing ']'")
		}
		if err := p.options(); err != nil {
			return err
		}
		filters = p.words[p.close:]
	}
	for _, f := range filters {
		p.line.Filters = append(p.line.Filters, Filter(f))
	}
	return nil
}

func (p *lineParser) split(text string) error {
	start := -1
	end := func(i int) {
		if start >= 0 {
			p.words = append(p.words, text[start:i])
			start = -1
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\v', '\f', '\r':
			end(i)
		case '[':
			end(i)
			if p.open > 0 {
				return errors.New("too many '['")
			}
			if len(p.words) == 0 {
				return errors.New("file must start with a cert")
			}
			p.open = len(p.words)
		case ']':
			end(i)
			if p.closed {
				return errors.New("too many ']'")
			}
			if p.open == 0 {
				return errors.New("missing '['")
			}
			p.close, p.closed = len(p.words), true
		default:
			if start < 0 {
				if len(p.words) >= maxLineArgs {
					return errors.New("too many args ")
				}
				start = i
			}
		}
	}
	end(len(text))
	return nil
}

func (p *lineParser) options() error {
	for i := p.open; i < p.close; {
		name := p.words[i]
		args, list, ok := Keyword(name)
		isLoad := !(ok && list) && IsLoadKeyword(name)
		if isLoad {
			args = 1
		} else if !ok || !list {
			return fmt.Errorf("unknown ssl keyword %s", name)
		}
		if i+1+args > p.close {
			return fmt.Errorf("ssl args out of '[]' for %s", name)
		}
		if isLoad {
			p.line.Load = append(p.line.Load, LoadSetting{name, p.words[i+1]})
		} else {
			if p.line.Options == nil {
				p.line.Options = &Options{}
			}
			if err := p.line.Options.Set(name, p.words[i+1:i+1+args]); err != nil {
				return &OptionError{err}
			}
		}
		i += 1 + args
	}
	return nil
}

// Warning is what HAProxy says about a line that means less than its author thinks, "" when there is nothing to say.
func (l Line) Warning() string {
	if l.misplaced {
		return "malformated line, filters can't be between filename and options!"
	}
	neg, wild := 0, 0
	for _, f := range l.Filters {
		name, isNeg, isWild := f.split()
		switch {
		case isNeg && isWild && name != "":
			return fmt.Sprintf("crt-list: Unsupported exclusion (!) on a wildcard filter \"!*%s\"", name)
		case isNeg && !isWild:
			neg++
		case isWild && name != "":
			wild++
		}
	}
	if neg > 0 && wild == 0 {
		return fmt.Sprintf("crt-list: negative filters on crt-list line \"%s\" without a positive wildcard filter won't do anything!", l.Cert)
	}
	return ""
}

// Format prints the line as `show ssl crt-list` does, with ":N" after the certificate when numbered.
func (l Line) Format(numbered bool) string {
	var b strings.Builder
	b.WriteString(l.Cert)
	if numbered {
		fmt.Fprintf(&b, ":%d", l.N)
	}
	words := l.Options.Words()
	for _, s := range l.Load {
		if s.Name == "ocsp-update" { // the only one that HAProxy prints
			words = strings.TrimPrefix(words+" ocsp-update "+s.Arg, " ")
		}
	}
	if l.Options != nil || len(l.Load) > 0 {
		b.WriteString(" [" + words + "]")
	}
	for _, f := range l.Filters {
		b.WriteString(" " + string(f))
	}
	return b.String()
}
