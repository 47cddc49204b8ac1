package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
)

// certificates starts the plan of certificates with what the crt-store sections load.
func (b *builder) certificates() {
	g := &b.cfg.Global
	b.plan.certs = b.e.o.Store.Plan(certstore.LoadRules{ExtraFiles: g.LoadExtraFiles, DelExt: g.LoadExtraDelExt, IssuersChain: g.IssuersChain, StateDir: b.e.stateDir(b.cfg), OCSPUpdate: g.OCSPUpdate.Mode, Ephemeral: !b.persists(""),
		Passphrase: b.passphrase()})
	for _, s := range b.cfg.CrtStores {
		bases := certstore.Bases{Crt: orElse(s.CrtBase, g.CrtBase), Key: orElse(s.KeyBase, g.KeyBase)}
		for _, l := range s.Loads {
			name := certstore.StoreName(s.Name, l.Crt, l.Alias, g.CrtBase)
			src, err := certstore.NewSource(name, l.Crt, certstore.FromStore, loadSettings(l.Settings), bases)
			if err != nil {
				b.diags.Alert(l.Pos, "'load' in section 'crt-store': %v", err)
				continue
			}
			src.Persist = b.persists(s.Name)
			b.declareSource(src, l.Pos)
		}
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

func loadSettings(settings []config.Setting) []cert.LoadSetting {
	out := make([]cert.LoadSetting, 0, len(settings))
	for _, s := range settings {
		out = append(out, cert.LoadSetting{Name: s.Name, Arg: strings.Join(s.Args, ",")})
	}
	return out
}

// persists says whether changes of the certificates of a crt-store ("" for all others) are written back.
func (b *builder) persists(store string) bool {
	gh := &b.cfg.Gatehouse
	if on, ok := gh.PersistBy[store]; ok && store != "" {
		return on
	}
	return gh.Persist == nil || *gh.Persist
}

// declare declares the certificate of a `crt`; settings are its load keywords, nil for none.
func (b *builder) declare(name, file string, pos config.Pos, settings []cert.LoadSetting) bool {
	from := certstore.FromCrt
	if len(settings) > 0 {
		from = certstore.FromList
	}
	src, err := certstore.NewSource(name, file, from, settings, certstore.Bases{})
	if err != nil {
		b.diags.Alert(pos, "'%s' : %v", name, err)
		return false
	}
	src.Persist = b.persists("")
	return b.declareSource(src, pos)
}

func (b *builder) declareSource(src certstore.Source, pos config.Pos) bool {
	src.Pos = fmt.Sprintf("%s:%d", pos.File, pos.Line)
	if err := b.plan.certs.Declare(src); err != nil {
		b.diags.Alert(pos, "%v", err)
		return false
	}
	return true
}

// fill puts what a bind line names into its index.
func (b *builder) fill(g *proxyGen, n *bindGen) {
	for _, use := range n.cfg.Crts {
		path := b.certPath(use.Path)
		switch use.Kind {
		case "crt-list":
			b.addList(n, use.Path, use.Pos)
		case "default-crt":
			b.addCrt(n, path, use.Pos, true, nil)
		default:
			b.addCrt(n, path, use.Pos, false, b.acmeOf(n.cfg))
		}
	}
	b.addUses(g, n)
	if n.index.Len() == 0 && len(n.lists) == 0 {
		b.noCertificate(g, n)
	}
}

// acmeOf are the load settings that our extension `acme NAME domains a,b` on a bind line stands for.
func (b *builder) acmeOf(line *config.Bind) []cert.LoadSetting {
	if line.ACME == "" {
		return nil
	}
	return []cert.LoadSetting{{Name: "acme", Arg: line.ACME}, {Name: "domains", Arg: strings.Join(line.Domains, ",")}}
}

// noCertificate words what HAProxy says of an ssl bind line without any certificate.
func (b *builder) noCertificate(g *proxyGen, n *bindGen) {
	where := fmt.Sprintf("bind '%s' at [%s:%d]", n.cfg.Text, n.cfg.Pos.File, n.cfg.Pos.Line)
	if n.index.StrictSNI() && !n.cfg.GenerateCerts {
		b.diags.Add(config.LevelWarning, fmt.Sprintf("config : Proxy '%s': no SSL certificate specified for %s, ssl connections will fail (use 'crt').", g.cfg.Name, where))
		return
	}
	if b.hadCrt(n, g) {
		return // told already: what is named cannot be used
	}
	b.diags.Add(config.LevelAlert, fmt.Sprintf("config : Proxy '%s': no SSL certificate specified for %s (use 'crt').", g.cfg.Name, where))
}

// strictDefault words what HAProxy says of a default-crt that strict-sni keeps from being one.
func (b *builder) strictDefault(g *proxyGen, n *bindGen) {
	explicit := func(use config.CrtUse) bool { return use.Kind == "default-crt" }
	if n.index.StrictSNI() && slices.ContainsFunc(n.cfg.Crts, explicit) {
		b.diags.Add(config.LevelWarning, fmt.Sprintf("config : Proxy '%s': both 'default-crt' and 'strict-sni' keywords are used in bind '%s' at [%s:%d], certificates won't be used as fallback (use 'crt' instead).",
			g.cfg.Name, n.cfg.Text, n.cfg.Pos.File, n.cfg.Pos.Line))
	}
}

func (b *builder) hadCrt(n *bindGen, g *proxyGen) bool { return len(n.cfg.Crts)+len(g.cfg.SSLFUse) > 0 }

// addCrt puts the certificate, directory or bundle that a `crt` names into the index.
func (b *builder) addCrt(n *bindGen, path string, pos config.Pos, explicitDefault bool, settings []cert.LoadSetting) {
	if !strings.HasPrefix(path, "@") && settings == nil && !b.plan.certs.Declared(path) {
		info, err := b.e.o.Host.Stat(path)
		switch {
		case err == nil && info.Mode.IsDir():
			b.addDir(n, path, pos)
			return
		case errors.Is(err, fs.ErrNotExist) && b.addBundle(n, path, pos, explicitDefault):
			return
		}
	}
	if !b.declare(path, path, pos, settings) {
		return
	}
	b.addEntry(n, &cert.Entry{Name: path, Default: explicitDefault})
}

// addBundle adds PATH.dsa, PATH.ecdsa and PATH.rsa, those that exist (surface 2.1); false when none does or bundles are off.
func (b *builder) addBundle(n *bindGen, path string, pos config.Pos, explicitDefault bool) bool {
	kinds := b.cfg.Global.LoadExtraFiles
	if kinds != nil && !slices.Contains(kinds, "all") && !slices.Contains(kinds, "bundle") || b.plan.certs.Declared(path) {
		return false
	}
	first := n.index.Len() == 0
	found := false
	for _, ext := range []string{".dsa", ".ecdsa", ".rsa"} {
		if _, err := b.e.o.Host.Stat(path + ext); err != nil {
			continue
		}
		found = true
		if b.declare(path+ext, path+ext, pos, nil) {
			b.addEntry(n, &cert.Entry{Name: path + ext, Default: explicitDefault || first})
		}
	}
	return found
}

// addDir adds a directory, which is a crt-list whose name is the directory without trailing slashes.
func (b *builder) addDir(n *bindGen, path string, pos config.Pos) {
	dir := strings.TrimRight(path, "/")
	lines, errs := b.plan.certs.DeclareDir(dir, b.persists(""))
	b.listProblems(errs, pos)
	b.addLines(n, dir, lines)
}

// addList adds the lines of a crt-list file.
func (b *builder) addList(n *bindGen, file string, pos config.Pos) {
	lines, errs := b.plan.certs.DeclareList(file, b.cfg.Global.CrtBase, b.persists(""))
	b.listProblems(errs, pos)
	b.addLines(n, strings.TrimRight(file, "/"), lines)
}

func (b *builder) listProblems(errs []error, pos config.Pos) {
	for _, err := range errs {
		b.diags.Alert(pos, "%v", err)
	}
}

func (b *builder) addLines(n *bindGen, list string, lines []cert.Line) {
	n.lists = append(n.lists, list)
	told := map[string]bool{}
	for _, line := range lines {
		for _, word := range line.Options.Unfollowed() {
			if !told[word] { // once for a list, however many lines say it
				told[word] = true
				b.diags.Notice(n.cfg.Pos, "'bind %s' : '%s' in crt-list '%s' line %d is accepted without effect.", n.cfg.Text, word, list, line.N)
			}
		}
		b.trust(line.Options, n.cfg.Pos)
		b.addEntry(n, n.lineEntry(list, line))
	}
}

// lineEntry is a crt-list line as an entry of the index.
func (n *bindGen) lineEntry(list string, line cert.Line) *cert.Entry {
	return &cert.Entry{Name: line.Cert, List: list, Line: line.N, Options: line.Options, Filters: line.Filters}
}

// trust loads the CA and CRL files that options name, and puts ca-base before the names, under which the store keeps them.
func (b *builder) trust(o *cert.Options, pos config.Pos) {
	if o == nil || b.trusted[o] { // a list may fill several bind lines
		return
	}
	b.trusted[o] = true
	base := b.cfg.Global.CABase
	for _, name := range []*string{&o.CAFile, &o.CAVerifyFile} {
		if *name != "" {
			b.caFile(*name, pos)
			*name = under(base, *name)
		}
	}
	if o.CRLFile != "" {
		b.crlFile(o.CRLFile, pos)
		o.CRLFile = under(base, o.CRLFile)
	}
}

// addUses adds the frontend's ssl-f-use lines, which are a crt-list named after it. The last line is the first entry (surface 2.5).
func (b *builder) addUses(g *proxyGen, n *bindGen) {
	var uses []certstore.UseLine
	for _, use := range slices.Backward(g.cfg.SSLFUse) {
		line := cert.Line{Cert: b.certPath(use.Path)}
		for _, s := range use.Load {
			if _, list, ok := cert.Keyword(s.Name); !(ok && list) && cert.IsLoadKeyword(s.Name) {
				line.Load = append(line.Load, cert.LoadSetting{Name: s.Name, Arg: strings.Join(s.Args, ",")})
				continue
			}
			if line.Options == nil {
				line.Options = &cert.Options{}
			}
			if err := line.Options.Set(s.Name, s.Args); err != nil {
				b.diags.Alert(use.Pos, "'ssl-f-use' : '%s' : %v", s.Name, err)
			}
		}
		uses = append(uses, certstore.UseLine{Line: line, File: use.Pos.File, At: use.Pos.Line})
	}
	if len(uses) == 0 {
		return
	}
	name := "@" + g.cfg.Name
	lines, errs := b.plan.certs.DeclareUses(name, uses, b.persists(""))
	b.listProblems(errs, g.cfg.SSLFUse[0].Pos)
	b.addLines(n, name, lines)
}

// addEntry puts one entry into the index. A certificate that cannot be used was told of; its entry is off until a commit
// brings a good one.
func (b *builder) addEntry(n *bindGen, e *cert.Entry) {
	if len(n.entries) == 0 {
		e.Default = true // the first certificate answers when no name matches (surface 2.5)
	}
	if merged := e.Options.Merge(n.tls); e.Options != nil {
		if _, _, err := merged.VersionRange(); err != nil {
			b.diags.Add(config.LevelAlert, fmt.Sprintf("config : %v for bind '%s' at [%s:%d].", err, n.cfg.Text, n.cfg.Pos.File, n.cfg.Pos.Line))
			return
		}
	}
	n.entries = append(n.entries, &bindEntry{bind: n, entry: e})
	bundle := b.plan.certs.Bundle(e.Name)
	switch {
	case bundle == nil:
	case !bundle.HasKey(): // one for tokens
		b.diags.Alert(n.cfg.Pos, "'%s' : No Private Key found in '%s'.", e.Name, e.Name)
	default:
		n.index.Add(e, bundle)
	}
}

// problems tells what is wrong with certificates: an error where the configuration is only checked, otherwise told while everything
// else serves.
func (b *builder) problems() {
	for _, p := range b.plan.certs.Problems() {
		text := "config : " + p.Text
		if p.Pos != "" {
			text = fmt.Sprintf("config : parsing [%s] : %s", p.Pos, p.Text)
		}
		if p.Warning {
			b.diags.Add(config.LevelWarning, text)
			continue
		}
		if !p.Fatal {
			b.diags.Add(config.LevelNotice, text)
			continue
		}
		*b.diags = append(*b.diags, config.Diag{Level: config.LevelAlert, Text: text, Soft: !b.e.o.Limits.Strict})
	}
}
