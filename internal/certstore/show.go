package certstore

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/cert"
)

// Names returns the names with an open transaction, and all names, each sorted bytewise (`show ssl cert`).
func (s *Store) Names() (pending, all []string) {
	s.mu.RLock()
	for name := range s.pending {
		pending = append(pending, name)
	}
	for name := range s.groupOf {
		pending = append(pending, name)
	}
	all = make([]string, 0, len(s.entries))
	for name := range s.entries {
		all = append(all, name)
	}
	s.mu.RUnlock()
	slices.Sort(pending)
	slices.Sort(all)
	return pending, all
}

// view is a name as show and dump see it.
type view struct {
	entry
	pending bool // it is the open transaction's copy
	debt    debt
	// ephemeral: it is under persist off.
	ephemeral bool
	uses      int
}

const notFound = "Can't display the certificate: Not found or the certificate is a bundle!"

// find looks up NAME, *NAME for the open transaction, and \*NAME for a name that starts with a star.
func (s *Store) find(name string) (view, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	name, pending := strings.CutPrefix(name, "*")
	name = strings.TrimPrefix(name, "\\")
	e := s.entries[name]
	if e == nil {
		return view{}, false
	}
	v := view{entry: *e, pending: pending, uses: len(s.uses[name]), debt: s.debts[name], ephemeral: s.rules.Ephemeral}
	if e.src != nil {
		v.ephemeral = !e.src.Persist
	}
	if pending {
		switch open, g := s.pending[name], s.groupOf[name]; {
		case open != nil:
			v.bundle = open.bundle
		case g != nil:
			v.bundle = g.members[name].bundle
		default:
			return view{}, false
		}
	}
	return v, true
}

// Show prints the details of NAME, *NAME, NAME.ocsp or *NAME.ocsp as `show ssl cert` does (surface 2.7). Errors are *Error.
func (s *Store) Show(name string) (string, error) {
	if base, ok := strings.CutSuffix(name, ".ocsp"); ok {
		v, ok := s.find(base)
		if !ok {
			return "", refuse(notFound)
		}
		if v.bundle == nil || v.bundle.OCSP() == nil {
			return "", nil
		}
		return cert.DescribeOCSP(v.bundle.OCSP()), nil
	}
	v, ok := s.find(name)
	if !ok {
		return "", refuse(notFound)
	}
	var b strings.Builder
	star := ""
	if v.pending {
		star = "*"
	}
	fmt.Fprintf(&b, "Filename: %s%s\n", star, v.name)
	v.files(&b)
	ocspUpdate, jwt := "off", "off"
	if attrs := v.declared().Attrs; attrs != nil {
		if attrs.OCSPUpdate == "on" {
			ocspUpdate = "on"
		}
	}
	if v.jwt {
		jwt = "on"
	}
	fmt.Fprintf(&b, "Option: ocsp-update %s\nOption: jwt %s\nStatus: %s\n", ocspUpdate, jwt, v.status())
	if v.bundle != nil {
		b.WriteString(cert.Describe(v.bundle))
	}
	b.WriteString("OCSP Response Key: ")
	if v.bundle != nil && v.bundle.Stapling() {
		fmt.Fprintf(&b, "%x", v.bundle.OCSPKey())
	}
	b.WriteString("\n")
	b.WriteString(v.onDisk())
	return b.String(), nil
}

// files prints the lines about file names, which names made at run time do not have.
func (v *view) files(b *strings.Builder) {
	if v.src == nil {
		return
	}
	p := v.paths
	p.crt = v.src.File
	if v.src.explicit() || v.src.From == FromList {
		// as written, without base; what was found beside the PEM of a crt-list line is not told
		p = paths{crt: v.src.Crt, key: setting(v.src, "key"), ocsp: setting(v.src, "ocsp"), issuer: setting(v.src, "issuer"), sctl: setting(v.src, "sctl")}
	}
	for _, f := range []struct{ title, path string }{{"Crt filename", p.crt}, {"Key filename", p.key}, {"OCSP filename", p.ocsp},
		{"OCSP Issuer filename", p.issuer}, {"SCTL filename", p.sctl}} {
		if f.path != "" {
			fmt.Fprintf(b, "%s: %s\n", f.title, f.path)
		}
	}
}

func (v *view) status() string {
	switch {
	case v.bundle == nil:
		return "Empty"
	case v.pending:
		return "Uncommitted"
	case v.jwt:
		return "Used for JWT verification"
	case v.uses == 0:
		return "Unused"
	}
	return "Used"
}

// Dump prints key, leaf and chain of NAME or *NAME as PEM (`dump ssl cert`). It is secret. Errors are *Error.
func (s *Store) Dump(name string) ([]byte, error) {
	v, ok := s.find(name)
	if !ok {
		return nil, refuse(notFound)
	}
	if v.bundle == nil {
		return nil, nil
	}
	if v.bundle.Sealed() {
		return nil, refuse("Can't display the contents of an encrypted certificate!")
	}
	return v.bundle.PEM(), nil
}
