package certstore

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// list is a crt-list file or a directory. Its lines slice is replaced, never changed, under Store.mu.
type list struct {
	name string
	file string // as it is opened
	// crtBase is what was put before the names of its lines.
	crtBase string
	dir     bool
	// persist: changes are written into the file.
	persist bool
	lines   []cert.Line
	count   int // line numbers given so far
}

// Lists returns the names of all crt-lists and directories, sorted.
func (s *Store) Lists() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.lists))
	for name := range s.lists {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Lines returns the lines of a list, nil when there is none of this name.
func (s *Store) Lines(name string) []cert.Line {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l := s.lists[trimSlashes(name)]; l != nil {
		return l.lines
	}
	return nil
}

// ShowList writes a list as `show ssl crt-list [-n] NAME` does, line by line: nothing waits for a slow reader, and nothing is kept for it. Errors are *Error.
func (s *Store) ShowList(w io.Writer, name string, lineNumbers bool) error {
	s.mu.RLock()
	l := s.lists[trimSlashes(name)]
	var lines []cert.Line
	if l != nil {
		lines = l.lines // replaced, never changed
	}
	s.mu.RUnlock()
	if l == nil {
		return refuse("didn't find the specified filename")
	}
	if _, err := fmt.Fprintf(w, "# %s\n", l.name); err != nil {
		return nil // the client is gone
	}
	for _, line := range lines {
		line.Load = s.loadWords(line)
		if _, err := io.WriteString(w, line.Format(lineNumbers)+"\n"); err != nil {
			return nil
		}
	}
	return nil
}

// loadWords are the load keywords to print on a line: what a crt-store says of the certificate stands on every line that uses it.
func (s *Store) loadWords(line cert.Line) []cert.LoadSetting {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[line.Cert]; e != nil && e.src != nil && e.src.From == FromStore && len(line.Load) == 0 {
		return append([]cert.LoadSetting{{Name: "crt", Arg: e.src.Crt}}, e.src.Settings...)
	}
	return line.Load
}

// listedLocked tells whether a certificate stands in any list.
func (s *Store) listedLocked(name string) bool {
	for _, l := range s.lists {
		if slices.ContainsFunc(l.lines, func(line cert.Line) bool { return line.Cert == name }) {
			return true
		}
	}
	return false
}

// AddLine adds one line, a crt-list line or only a certificate's name, to a list (`add ssl crt-list`, surface 2.8). crtBase is put before a relative name.
// printed is the certificate's name for the answer. dot is called for each bind line that took it. Errors are *Error.
//
// The line is in the list's file before it counts; a directory finds the certificate's file by itself.
func (s *Store) AddLine(listName, text, by, crtBase string, dot func()) (printed string, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	listName = trimSlashes(listName)
	line, err := s.checkLine(listName, text, crtBase)
	if err != nil {
		return "", refuse(strings.Split(strings.TrimRight("Can't edit the crt-list: "+err.Error(), "\n"), "\n")...)
	}
	b := s.Bundle(line.Cert)
	if err := checkKey(line.Cert, b); err != nil {
		return line.Cert, failed(err)
	}
	uses := s.listUsesOf(listName)
	for _, a := range uses {
		if dot != nil {
			dot()
		}
		if err := a.use.PrepareAdd(line, b); err != nil {
			return line.Cert, failed(err)
		}
	}
	s.mu.RLock()
	l := s.lists[listName]
	s.mu.RUnlock()
	warning, err := s.saveAdded(l, text)
	if err != nil {
		return line.Cert, failed(err)
	}
	if warning != "" {
		s.emit(event.CertUnsaved, "warning", listName, warning)
	}
	s.mu.Lock()
	l.count++
	line.N = l.count
	l.lines = append(slices.Clip(l.lines), line)
	s.mu.Unlock()
	for _, a := range uses {
		a.use.Add(line, b)
	}
	s.emit(event.CertUsed, "info", line.Cert, "line added to "+listName)
	return line.Cert, nil
}

// checkLine makes HAProxy's checks in HAProxy's order.
func (s *Store) checkLine(listName, text, crtBase string) (line cert.Line, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[listName]
	if l == nil {
		return line, fmt.Errorf("crt-list '%s' does not exist!", listName)
	}
	if strings.Contains(text, "\n") {
		return line, fmt.Errorf("only one line of payload is supported!")
	}
	if line, err = cert.ParseLine("CLI", 1, text); err != nil {
		var option *cert.OptionError
		if errors.As(err, &option) {
			return line, option
		}
		return line, err
	}
	if err := s.trustLocked(line.Options); err != nil {
		return line, err
	}
	if line.Cert == "" {
		return line, fmt.Errorf("'add ssl crtlist' should contain the certificate name in the payload")
	}
	line.Cert = WithBase(crtBase, line.Cert)
	e := s.entries[line.Cert]
	switch {
	case e == nil:
		return line, fmt.Errorf("certificate '%s' does not exist!", line.Cert)
	case e.bundle == nil:
		return line, fmt.Errorf("certificate '%s' is empty!", line.Cert)
	}
	src, err := s.compatibleLocked(e, line)
	if err != nil {
		return line, err
	}
	if l.dir && slices.ContainsFunc(l.lines, func(have cert.Line) bool { return have.Cert == line.Cert }) {
		return line, fmt.Errorf("file already exists in this directory!")
	}
	if l.dir && (line.Options != nil || len(line.Filters) > 0 || len(line.Load) > 0) {
		return line, fmt.Errorf("this is a directory, SSL configuration, crt-store keywords and filters are not allowed")
	}
	if src != nil && e.src == nil {
		e.said = src
	} else if src != nil {
		e.src = src
	}
	if src != nil && src.Attrs != nil && src.Attrs.JWT {
		e.jwt = true
		s.rekeyLocked(e)
	}
	return line, nil
}

// trustLocked refuses CA and CRL files that are not in memory: commands do not read files.
func (s *Store) trustLocked(o *cert.Options) error {
	if o == nil {
		return nil
	}
	for _, f := range []struct {
		keyword, file string
		known         bool
	}{{"ca-file", o.CAFile, s.CA(o.CAFile) != nil}, {"ca-verify-file", o.CAVerifyFile, s.CA(o.CAVerifyFile) != nil},
		{"crl-file", o.CRLFile, s.CRL(o.CRLFile) != nil}} {
		if f.file != "" && !f.known {
			return fmt.Errorf("'%s' : unable to load %s", f.keyword, f.file)
		}
	}
	return nil
}

// compatibleLocked compares the line's load keywords with those of the certificate. A certificate that nobody uses takes over the line's; that
// source is returned, to be put in place when all other checks are passed.
func (s *Store) compatibleLocked(e *entry, line cert.Line) (*Source, error) {
	src, err := NewSource(line.Cert, line.Cert, FromList, line.Load, Bases{})
	if err != nil {
		return nil, err
	}
	have := e.declared()
	if len(s.uses[e.name]) == 0 {
		if len(line.Load) == 0 && e.said == nil {
			return nil, nil
		}
		one := *have
		one.Settings, one.Attrs, one.From = src.Settings, src.Attrs, FromList
		if e.src == nil && slices.ContainsFunc(line.Load, func(l cert.LoadSetting) bool { return l.Name != "ocsp-update" }) {
			return nil, fmt.Errorf("'%s' is not declared by the configuration, which crt-store keywords need", line.Cert)
		}
		return &one, nil
	}
	if lines := incompatible(have, &src, s.rules.OCSPUpdate); lines != nil {
		return nil, fmt.Errorf("'%s' is already instantiated with incompatible parameters:\n %s", line.Cert, strings.Join(lines, "\n"))
	}
	return nil, nil
}

// DelLine removes a line from a list; arg is CERT or CERT:LINE (`del ssl crt-list`). The certificate stays in the store. The line is
// gone from the list's file before it stops to count; a directory's file is left alone, so its line is back after a reload. Errors are *Error.
func (s *Store) DelLine(listName, arg string) error {
	s.write.Lock()
	defer s.write.Unlock()
	listName = trimSlashes(listName)
	line, err := s.findLine(listName, arg)
	if err == nil {
		err = s.notDefault(listName, line)
	}
	if err != nil {
		return refuse(strings.Split("Can't delete the entry: "+err.Error(), "\n")...)
	}
	s.mu.RLock()
	l := s.lists[listName]
	s.mu.RUnlock()
	warning, err := s.saveRemoved(l, line)
	if err != nil {
		return &Error{Lines: []string{"Can't delete the entry: " + err.Error()}, cause: err}
	}
	if warning != "" {
		s.emit(event.CertUnsaved, "warning", listName, warning)
	}
	s.mu.Lock()
	i := slices.IndexFunc(l.lines, func(have cert.Line) bool { return have.Cert == line.Cert && have.N == line.N })
	l.lines = slices.Delete(slices.Clone(l.lines), i, i+1)
	s.mu.Unlock()
	for _, a := range s.listUsesOf(listName) {
		a.use.Remove(line)
	}
	s.emit(event.CertUsed, "info", line.Cert, "line deleted from "+listName)
	return nil
}

func (s *Store) findLine(listName, arg string) (line cert.Line, err error) {
	name, number := arg, 0
	if before, after, ok := strings.Cut(arg, ":"); ok {
		name = before
		if number, err = strconv.Atoi(after); err != nil {
			return line, fmt.Errorf("wrong line number after colons in '%s'!", arg)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.lists[listName]
	if l == nil {
		return line, fmt.Errorf("crt-list '%s' does not exist!", listName)
	}
	e := s.entries[name]
	switch {
	case e == nil:
		return line, fmt.Errorf("certificate '%s' does not exist!", name)
	case e.bundle == nil:
		return line, fmt.Errorf("certificate '%s' is empty!", name)
	}
	var numbers []string
	var found []cert.Line
	for _, have := range l.lines {
		if have.Cert != name {
			continue
		}
		numbers = append(numbers, strconv.Itoa(have.N))
		if number == 0 || have.N == number {
			found = append(found, have)
		}
	}
	all := strings.Join(numbers, ", ")
	switch {
	case len(numbers) == 0:
		return line, fmt.Errorf("certificate '%s' can't be found in crt-list '%s'!", name, listName)
	case len(found) == 0:
		return line, fmt.Errorf("found a certificate '%s' but the line number is incorrect, please specify a correct line number preceded by colons (%s)!", name, all)
	case number == 0 && len(found) > 1:
		return line, fmt.Errorf("found the certificate '%s' in several entries, please specify a line number preceded by colons (%s)!", name, all)
	}
	return found[0], nil
}

// notDefault refuses a line that some bind line falls back on.
func (s *Store) notDefault(listName string, line cert.Line) error {
	var where []string
	for _, a := range s.listUsesOf(listName) {
		where = append(where, a.use.Defaults(line)...)
	}
	if len(where) == 0 {
		return nil
	}
	return fmt.Errorf("certificate '%s' cannot be deleted, it is used as default certificate by the following frontends:\n\t- %s",
		line.Cert, strings.Join(where, "\n\t- "))
}
