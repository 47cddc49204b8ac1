package certstore

import (
	"slices"
	"strings"

	"gatehouse/internal/cert"
)

// Planned is one certificate of a plan: what declares it and what its files hold.
type Planned struct {
	Name   string
	Pos    string       // "FILE:LINE" of the declaration, or the directory it stands in; "" for a name made at run time
	PEM    string       // the file with the certificate, "" for a name made at run time
	Key    string       // the file with the private key; PEM's when it is in there
	Bundle *cert.Bundle // nil when Err is set
	Kept   bool         // the bundle is a version in the state directory that no file has, or that supersedes the files
	ACME   string       // the acme section that issues it, "" for none
	// Persist: a change is written to PEM and Key.
	Persist bool
	Err     error
}

// Planned lists what was declared, in its order, then the names made at run time that the state directory keeps, sorted.
func (p *Plan) Planned() []Planned {
	p.read()
	list := make([]Planned, 0, len(p.order))
	for _, it := range p.order {
		one := Planned{Name: it.src.Name, Pos: it.src.Pos, PEM: it.paths.crt, Key: it.paths.key, Bundle: it.bundle, Kept: it.fromKept, Persist: it.src.Persist, Err: it.err}
		if a := it.src.Attrs; a != nil {
			one.ACME = a.ACME
		}
		list = append(list, one)
	}
	declared := len(list)
	for name, k := range p.loader.kept {
		if p.items[name] != nil || len(k.files) > 0 {
			continue
		}
		b, err := cert.ParseArchive(name, k.body)
		if err == nil {
			b = p.loader.issuers.Complete(b)
		}
		list = append(list, Planned{Name: name, Bundle: b, Kept: true, Persist: true, Err: err})
	}
	slices.SortFunc(list[declared:], func(a, b Planned) int { return strings.Compare(a.Name, b.Name) })
	return list
}
