package engine

import (
	"errors"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// maxCAFile bounds a file of CA certificates or revocation lists.
const maxCAFile = 16 << 20

// under puts a global base directory before a relative name.
func under(base, name string) string {
	if base == "" || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@") {
		return name
	}
	return base + "/" + name
}

// certPath is the store's name of a certificate given on a bind, server or crt-list line (surface 2.1).
func (b *builder) certPath(name string) string { return under(b.cfg.Global.CrtBase, name) }

// caFile reads a ca-file once per plan; nil after an error was told.
func (b *builder) caFile(name string, pos config.Pos) *cert.CAFile {
	name = under(b.cfg.Global.CABase, name)
	if ca, ok := b.plan.cas[name]; ok {
		return ca
	}
	data, err := b.trustFile(name)
	var ca *cert.CAFile
	if err == nil {
		ca, err = cert.ParseCAs(name, data)
	}
	if err != nil {
		b.diags.Alert(pos, "unable to load %s: %s.", name, host.Strerror(err))
		ca = nil
	}
	b.plan.cas[name] = ca
	return ca
}

// crlFile reads a crl-file once per plan; nil after an error was told.
func (b *builder) crlFile(name string, pos config.Pos) *cert.CRLFile {
	name = under(b.cfg.Global.CABase, name)
	if crl, ok := b.plan.crls[name]; ok {
		return crl
	}
	data, err := b.trustFile(name)
	var crl *cert.CRLFile
	if err == nil {
		crl, err = cert.ParseCRLs(name, data)
	}
	if err != nil {
		b.diags.Alert(pos, "unable to load %s: %s.", name, host.Strerror(err))
		crl = nil
	}
	b.plan.crls[name] = crl
	return crl
}

// systemBundles are where distributions keep the system's own roots.
var systemBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

// trustFile reads a file of CA certificates or revocation lists, all such files of a directory, or the system's roots.
func (b *builder) trustFile(name string) ([]byte, error) {
	h := b.e.o.Host
	if name == "@system-ca" {
		for _, file := range systemBundles {
			if data, err := h.ReadFile(file, maxCAFile); err == nil {
				return data, nil
			}
		}
		return nil, errors.New("the system has no CA certificates")
	}
	info, err := h.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsDir() {
		return h.ReadFile(name, maxCAFile)
	}
	names, err := h.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, file := range names {
		if !cert.IsCAFileName(file) {
			continue
		}
		data, err := h.ReadFile(name+"/"+file, maxCAFile)
		if err != nil {
			return nil, err
		}
		all = append(append(all, data...), '\n')
	}
	return all, nil
}
