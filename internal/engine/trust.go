package engine

import (
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// under puts a global base directory before a relative name.
func under(base, name string) string {
	if base == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@") {
		return name
	}
	return base + "/" + name
}

// certPath is the store's name of a certificate given on a bind, server or crt-list line (surface 2.1).
func (b *builder) certPath(name string) string { return under(b.cfg.Global.CrtBase, name) }

// caFile declares a ca-file; nil after an error was told. Outside of a plan it is the one in memory.
func (b *builder) caFile(name string, pos config.Pos) *cert.CAFile {
	name = under(b.cfg.Global.CABase, name)
	if b.plan.certs == nil {
		return b.e.o.Store.CA(name)
	}
	ca, err := b.plan.certs.DeclareCA(name, b.persists(""))
	b.trustProblem(name, pos, err)
	return ca
}

// crlFile declares a crl-file; nil after an error was told. Outside of a plan it is the one in memory.
func (b *builder) crlFile(name string, pos config.Pos) *cert.CRLFile {
	name = under(b.cfg.Global.CABase, name)
	if b.plan.certs == nil {
		return b.e.o.Store.CRL(name)
	}
	crl, err := b.plan.certs.DeclareCRL(name, b.persists(""))
	b.trustProblem(name, pos, err)
	return crl
}

// trustProblem tells once per plan why a file cannot be used.
func (b *builder) trustProblem(name string, pos config.Pos, err error) {
	if err == nil || b.plan.untrusted[name] {
		return
	}
	b.plan.untrusted[name] = true
	b.diags.Alert(pos, "unable to load %s: %s.", name, host.Strerror(err))
}

// Uses implements certstore.TrustUse: as in HAProxy, an entry uses the files it is verified by, and none when it asks for no certificate.
func (n *bindGen) Uses(name string) (count int) {
	if n.index == nil {
		return 0
	}
	for _, e := range n.index.Entries() {
		verify, files := n.trustOf(e)
		if verify && (files[0] == name || files[1] == name || files[2] == name) {
			count++
		}
	}
	return count
}

// trustOf is what an entry's clients are verified by: its own line's words before those of the bind line.
func (n *bindGen) trustOf(e *cert.Entry) (verify bool, files [3]string) {
	how := n.tls.Verify
	files = [3]string{n.tls.CAFile, n.tls.CAVerifyFile, n.tls.CRLFile}
	if o := e.Options; o != nil {
		if o.Verify != "" {
			how = o.Verify
		}
		for i, own := range [3]string{o.CAFile, o.CAVerifyFile, o.CRLFile} {
			if own != "" {
				files[i] = own
			}
		}
	}
	return how == "optional" || how == "required", files
}

// serverTrust is a server line that verifies by the files of these names.
type serverTrust [2]string

// Uses implements certstore.TrustUse.
func (t serverTrust) Uses(name string) int {
	if t[0] == name || t[1] == name {
		return 1
	}
	return 0
}
