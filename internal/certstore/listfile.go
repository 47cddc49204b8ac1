package certstore

import (
	"bytes"
	"fmt"
	"strings"

	"gatehouse/internal/cert"
)

// appendLine is a crt-list file with one line more.
func appendLine(old []byte, text string) []byte {
	out := bytes.Clone(old)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(append(out, strings.TrimSpace(text)...), '\n')
}

// removeLine is a crt-list file without the line that stands for gone; everything else of it stays as it is. have are the list's lines: of several that
// read the same, the one at the same place among them goes. false when the file has no such line, because an operator changed it or because the
// line also stands for another certificate (PATH.rsa and PATH.ecdsa).
func removeLine(name, crtBase string, old []byte, have []cert.Line, gone cert.Line) ([]byte, bool) {
	same := func(l cert.Line) bool {
		l.N = gone.N
		return l.Format(false) == gone.Format(false)
	}
	nth := 0
	for _, l := range have {
		if l.N == gone.N && l.Cert == gone.Cert {
			break
		}
		if same(l) {
			nth++
		}
	}
	lines, _ := cert.ParseList(name, old)
	for _, l := range lines {
		l.Cert = WithBase(crtBase, l.Cert)
		n := l.N
		if !same(l) {
			continue
		}
		if nth > 0 {
			nth--
			continue
		}
		physical := bytes.SplitAfter(old, []byte("\n"))
		if n < 1 || n > len(physical) {
			return old, false
		}
		return bytes.Join(append(physical[:n-1:n-1], physical[n:]...), nil), true
	}
	return old, false
}

// saveAdded writes a line into the file of a crt-list, before the line counts. A directory finds its files by itself.
func (s *Store) saveAdded(l *list, text string) (warning string, err error) {
	if l.dir || !l.persist {
		return "", nil
	}
	s.files.Lock()
	defer s.files.Unlock()
	return s.saveFile(l.file, func(old []byte) []byte { return appendLine(old, text) })
}

// saveRemoved takes a line out of the file of a crt-list.
func (s *Store) saveRemoved(l *list, gone cert.Line) (warning string, err error) {
	if l.dir || !l.persist {
		return "", nil
	}
	s.files.Lock()
	defer s.files.Unlock()
	found := false
	warning, err = s.saveFile(l.file, func(old []byte) (data []byte) {
		data, found = removeLine(l.name, l.crtBase, old, l.lines, gone)
		return data
	})
	if err == nil && !found {
		warning = fmt.Sprintf("the file '%s' was left as it is, because no line of it is for '%s' alone: after a reload the entry is back", l.file, gone.Cert)
	}
	return warning, err
}
