package app

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// StateDir is where this configuration keeps accounts, orders, history and what has no file of its own: state-dir, or
// $STATE_DIRECTORY, or a directory of its own for this set of configuration files.
func StateDir(cfg *config.Config, env map[string]string) string {
	if cfg.Gatehouse.StateDir != "" {
		return absolute(cfg.Gatehouse.StateDir)
	}
	if dirs := env["STATE_DIRECTORY"]; dirs != "" {
		first, _, _ := strings.Cut(dirs, ":")
		return absolute(first)
	}
	sum := sha256.New()
	for _, name := range cfg.Files {
		sum.Write([]byte(absolute(name)))
		sum.Write([]byte{0})
	}
	return filepath.Join("/var/lib/gatehouse", hex.EncodeToString(sum.Sum(nil)[:8]))
}

func absolute(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return filepath.Clean(name)
	}
	return abs
}

// policyOf says what a worker that serves these configurations may ask its master to change: the places that they name as
// sources of certificates, account keys, sockets and the state directory. Several configurations are those of a reload: until
// it is known to succeed, the worker may serve either.
func policyOf(h host.Host, env map[string]string, configs ...*config.Config) *host.Policy {
	w := policyWriter{h: h, p: host.NewPolicy()}
	for _, cfg := range configs {
		w.config(cfg, env)
	}
	return w.p
}

type policyWriter struct {
	h host.Host
	p *host.Policy
}

func (w policyWriter) config(cfg *config.Config, env map[string]string) {
	w.p.Trees = append(w.p.Trees, StateDir(cfg, env))
	w.trust(cfg, cfg.Global.DefaultBindOptions)
	if len(cfg.Global.PassphraseCmd) > 0 {
		w.p.Passphrase = cfg.Global.PassphraseCmd
	}
	for _, b := range cfg.Global.StatsSockets {
		w.bind(cfg, b)
	}
	for _, px := range cfg.Proxies {
		for _, b := range px.Binds {
			w.bind(cfg, b)
		}
		for _, use := range px.SSLFUse {
			w.use(cfg, use)
		}
		for _, s := range px.Servers {
			if s.Crt != "" {
				w.certificate(based(cfg.Global.CrtBase, s.Crt))
			}
			for _, name := range []string{s.CAFile, s.CRLFile} {
				if name != "" {
					w.file(based(cfg.Global.CABase, name))
				}
			}
		}
	}
	for _, st := range cfg.CrtStores {
		for _, l := range st.Loads {
			w.load(cfg, st, l)
		}
	}
	for _, a := range cfg.ACMEs {
		name := a.AccountKey
		if name == "" {
			name = a.Name + ".account.key"
		}
		w.file(name)
		w.file(based(cfg.Global.KeyBase, name))
	}
}

func (w policyWriter) bind(cfg *config.Config, b *config.Bind) {
	for _, a := range b.Addrs {
		switch a.Network {
		case "tcp":
			w.p.Ports[a.Port] = true
		case "unix":
			w.p.Sockets[absolute(a.Path)] = true
		case "abns":
			w.p.Names[a.Path] = true
		}
	}
	for _, use := range b.Crts {
		w.use(cfg, use)
	}
	w.trust(cfg, b.TLS)
}

// trust allows the CA and CRL files that TLS words of a line name.
func (w policyWriter) trust(cfg *config.Config, settings []config.Setting) {
	for _, s := range settings {
		switch s.Name {
		case "ca-file", "ca-verify-file", "crl-file":
			if len(s.Args) > 0 {
				w.file(based(cfg.Global.CABase, s.Args[0]))
			}
		}
	}
}

func (w policyWriter) use(cfg *config.Config, use config.CrtUse) {
	path := based(cfg.Global.CrtBase, use.Path)
	if use.Kind == "crt-list" {
		w.list(cfg, path)
		return
	}
	w.certificate(path)
	w.trust(cfg, use.Load)
	for _, s := range use.Load {
		w.setting(s, "", cfg.Global.KeyBase)
	}
}

// list allows a crt-list, which add and del ssl crt-list edit, and what its lines name.
func (w policyWriter) list(cfg *config.Config, path string) {
	if info, err := w.h.Stat(path); err == nil && info.Mode.IsDir() {
		w.certificate(path)
		return
	}
	w.file(path)
	data, err := w.h.ReadFile(path, host.MaxFile)
	if err != nil {
		return // the worker reports it
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		w.certificate(based(cfg.Global.CrtBase, fields[0]))
		for i, word := range fields[:len(fields)-1] {
			switch strings.TrimLeft(word, "[") {
			case "ca-file", "ca-verify-file", "crl-file":
				w.file(based(cfg.Global.CABase, strings.TrimRight(fields[i+1], "]")))
			}
		}
	}
}

func (w policyWriter) load(cfg *config.Config, st *config.CrtStore, l config.Load) {
	crtBase, keyBase := st.CrtBase, st.KeyBase
	if crtBase == "" {
		crtBase = cfg.Global.CrtBase
	}
	if keyBase == "" {
		keyBase = cfg.Global.KeyBase
	}
	if l.Crt != "" {
		w.certificate(based(crtBase, l.Crt))
	}
	for _, s := range l.Settings {
		w.setting(s, crtBase, keyBase)
	}
}

func (w policyWriter) setting(s config.Setting, crtBase, keyBase string) {
	if len(s.Args) == 0 {
		return
	}
	switch s.Name {
	case "key":
		w.file(based(keyBase, s.Args[0]))
	case "crt", "ocsp", "issuer", "sctl":
		w.file(based(crtBase, s.Args[0]))
	}
}

// sideFiles are the endings of what lies beside a certificate (ssl-load-extra-files, surface 2.2), bundles those of several
// certificates under one name.
var (
	sideFiles = []string{".key", ".ocsp", ".issuer", ".sctl"}
	bundles   = []string{"", ".rsa", ".ecdsa", ".dsa"}
)

func (w policyWriter) certificate(path string) {
	if strings.HasPrefix(path, "@") {
		return // a name in a crt-store, whose load line names the file
	}
	if info, err := w.h.Stat(path); err == nil && info.Mode.IsDir() {
		w.p.Dirs[absolute(path)] = true
		return
	}
	for _, bundle := range bundles {
		name := path + bundle
		w.file(name)
		for _, side := range sideFiles {
			w.file(name + side)
			if stem, ok := strings.CutSuffix(name, ".crt"); ok { // ssl-load-extra-del-ext
				w.file(stem + side)
			}
		}
	}
}

func (w policyWriter) file(path string) { w.p.Files[absolute(path)] = true }

// based is how crt-base and key-base apply: to names that are not absolute.
func based(base, name string) string {
	if base == "" || filepath.IsAbs(name) || strings.HasPrefix(name, "@") {
		return name
	}
	return filepath.Join(base, name)
}
