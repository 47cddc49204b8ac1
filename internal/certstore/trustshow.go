package certstore

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ListTrust prints the files of a kind as `show ssl ca-file` and `show ssl crl-file` do: open transactions, then all, sorted.
func (s *Store) ListTrust(w io.Writer, kind TrustKind) {
	s.mu.RLock()
	var pending, all []string
	rows := map[string]string{}
	for name, open := range s.trust.pending {
		if open.kind == kind {
			pending = append(pending, "*"+name)
			rows["*"+name] = row(kind, "*"+name, open.value)
		}
	}
	for name, f := range s.trust.files {
		if f.kind == kind {
			all = append(all, name)
			rows[name] = row(kind, name, f.value)
		}
	}
	s.mu.RUnlock()
	slices.Sort(pending)
	slices.Sort(all)
	if len(pending) > 0 {
		_, _ = io.WriteString(w, "# transaction\n")
	}
	for _, name := range pending {
		_, _ = io.WriteString(w, rows[name])
	}
	_, _ = io.WriteString(w, "# filename\n")
	for _, name := range all {
		_, _ = io.WriteString(w, rows[name])
	}
}

func row(kind TrustKind, name string, value holding) string {
	if kind == CRLs {
		return name + "\n"
	}
	n := 0
	if value != nil {
		n = value.Len()
	}
	return fmt.Sprintf("%s - %d certificate(s)\n", name, n)
}

// ShowTrust prints what NAME, *NAME for the open transaction, or one of them with :INDEX (from 1) holds, a piece at a time. Errors are *Error.
func (s *Store) ShowTrust(w io.Writer, kind TrustKind, arg string) error {
	name, number, found := strings.Cut(arg, ":")
	index := 0
	if found {
		var err error
		if index, err = strconv.Atoi(number); err != nil || index <= 0 {
			return refuse(fmt.Sprintf("wrong %s index after colons in '%s'!", kind.word(), arg))
		}
	}
	name, pending := strings.CutPrefix(name, "*")
	name = strings.TrimPrefix(name, "\\")
	s.mu.RLock()
	f, open := s.trust.files[name], s.trust.pending[name]
	s.mu.RUnlock()
	if f == nil || f.kind != kind || pending && (open == nil || open.kind != kind) {
		return refuse(fmt.Sprintf("Can't display the %s file : Not found!", kind.word()))
	}
	head, value := "Filename: "+name+"\nStatus: ", f.value
	if pending {
		head, value = "Filename: *"+name+"\nStatus: ", open.value
	}
	switch {
	case value == nil:
		head += "Empty\n"
	case pending:
		head += "Uncommitted\n"
	case s.trustUses(name) == 0:
		head += "Unused\n"
	default:
		head += "Used\n"
	}
	title := "Certificate"
	if kind == CRLs {
		title = "Certificate Revocation List"
		_, _ = io.WriteString(w, head)
		head = ""
	}
	if value == nil {
		return nil // HAProxy prints nothing of an empty CA file either
	}
	for i := range value.Len() {
		if index != 0 && i != index-1 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s \n%s #%d:\n%s", head, title, i+1, value.Describe(i)); err != nil {
			return nil // the client is gone
		}
		head = ""
	}
	return nil
}
