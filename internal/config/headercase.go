package config

import (
	"errors"
	"fmt"
	"strings"
)

// globalHeaderCase reads h1-case-adjust: a name as it is known, in lower case, and as it has to be written.
func (p *parser) globalHeaderCase(s *statement) {
	if p.tooMany(s, 2, 0) {
		return
	}
	if s.arg(1) == "" || s.arg(2) == "" {
		p.alert("'%s' expects <from> and <to> as argument.", s.arg(0))
		return
	}
	g := &p.cfg.Global
	if g.HeaderCase == nil {
		g.HeaderCase = map[string]string{}
	}
	if err := addHeaderCase(g.HeaderCase, s.arg(1), s.arg(2)); err != nil {
		p.alert("%s", err)
	}
}

func (p *parser) globalHeaderCaseFile(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects <file> as argument.", s.arg(0))
		return
	}
	p.cfg.Global.HeaderCaseFile = s.arg(1)
}

// addHeaderCase checks and adds one spelling. The error texts are HAProxy's.
func addHeaderCase(to map[string]string, from, spelling string) error {
	switch {
	case spelling == "":
		return errors.New("expect <to>")
	case !strings.EqualFold(from, spelling) || len(from) != len(spelling):
		return errors.New("<from> and <to> must not differ except the case")
	case to[from] != "":
		return fmt.Errorf("duplicate entry '%s'", from)
	}
	to[from] = spelling
	return nil
}

// HeaderCases returns the spellings of h1-case-adjust and, when data is the content of h1-case-adjust-file, of that file: two words a
// line, "#" for comments. The error names the line.
func (g *Global) HeaderCases(data []byte) (map[string]string, error) {
	all := make(map[string]string, len(g.HeaderCase))
	for from, to := range g.HeaderCase {
		all[from] = to
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		from, to := line, ""
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			from, to = line[:i], strings.TrimLeft(line[i:], " \t")
		}
		if err := addHeaderCase(all, from, to); err != nil {
			return nil, fmt.Errorf("h1-headers-case-adjust-file '%s' : %w at line %d.", g.HeaderCaseFile, err, n)
		}
	}
	return all, nil
}
