package certstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// LoadRules are the global keywords on how certificates are read (surface 2.2).
type LoadRules struct {
	ExtraFiles   []string // ssl-load-extra-files: all, none, bundle, sctl, ocsp, issuer, key; nil is all
	DelExt       bool     // ssl-load-extra-del-ext
	IssuersChain string   // issuers-chain-path
	OCSPUpdate   bool     // ocsp-update.mode on
	// StateDir is where versions and redo records are looked for. It need not exist; "" is the store's Options.StateDir.
	StateDir string
	// Passphrase returns what opens the encrypted key in a file (ssl-passphrase-cmd); nil opens none.
	Passphrase func(file string) ([]byte, error)
	// Ephemeral tells that CA and CRL files made at run time are not kept (persist off).
	Ephemeral bool
}

func (r LoadRules) extra(kind string) bool {
	return r.ExtraFiles == nil || slices.Contains(r.ExtraFiles, "all") || slices.Contains(r.ExtraFiles, kind)
}

func (r LoadRules) parser() *cert.Parser {
	return &cert.Parser{Passphrases: &cert.Passphrases{Ask: r.Passphrase}}
}

// paths are the files one certificate is read from; empty ones are not read. key equals crt when the key is in the PEM.
type paths struct{ crt, key, ocsp, issuer, sctl string }

// loaded is a certificate as its files hold it.
type loaded struct {
	bundle   *cert.Bundle
	paths    paths
	files    []fileSum // every file that was looked at, in the order of paths
	obsolete bool      // a kept version exists whose files have changed since
	fromKept bool
	dummy    bool // bundle was made here, see generate-dummy
	notice   string
	warning  string // one of HAProxy's
	noIssuer string // why nothing can be stapled, which is an error under -c
	err      error
}

// loader reads certificates. It is used by many goroutines and changes nothing.
type loader struct {
	host    host.Host
	rules   LoadRules
	overlay overlay
	kept    map[string]*kept
	issuers *cert.Issuers
	parser  *cert.Parser
	facts   *facts
	dirs    map[string]map[string]bool   // names in the directories that the plan listed; what is not there need not be looked for
	standIn func() (*cert.Bundle, error) // the certificate that stands in for those ACME has not issued

	responses map[string]bool // file names of OCSP responses in the state directory
	now       func() time.Time
}

// reader collects the checksums of what one certificate is read from.
type reader struct {
	*loader
	files []fileSum
	sum   digest // of what was read last
}

func (r *reader) read(path string) ([]byte, error) {
	var data []byte
	err := fs.ErrNotExist
	if dir, base := filepath.Split(path); r.dirs[dir] == nil || r.dirs[dir][base] {
		data, err = r.host.ReadFile(path, cert.MaxPEM)
	}
	data, err = r.overlay.over(path, data, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.files = append(r.files, fileSum{path, absent})
	case err == nil:
		r.sum = sha256.Sum256(data)
		r.files = append(r.files, fileSum{path, hex.EncodeToString(r.sum[:])})
	default:
		return nil, err
	}
	return data, err
}

// load reads one certificate, or takes the kept version that supersedes its files.
func (l *loader) load(src *Source) loaded {
	got := l.loadVersion(src)
	if got.err == nil && got.bundle != nil {
		l.staple(src, &got)
	}
	return got
}

func (l *loader) loadVersion(src *Source) loaded {
	r := &reader{loader: l}
	got := r.fromFiles(src)
	if got.err != nil && cert.IsMismatch(got.err) {
		// Another process may have been replacing certificate and key; it does so through a redo record, so a second look sees both.
		again := &reader{loader: l}
		got = again.fromFiles(src)
		r = again
	}
	got.files = r.files
	k := l.kept[src.Name]
	if k == nil {
		return got
	}
	if !k.wins(got.files) {
		got.obsolete = true
		return got
	}
	b, err := l.parser.ParseArchive(src.Name, k.body)
	if err == nil && b.HasKey() {
		err = b.CheckKey()
	}
	if err != nil {
		got.notice = fmt.Sprintf("the kept version of '%s' cannot be used: %v", src.Name, err)
		return got
	}
	got.bundle, got.err, got.fromKept, got.notice = l.issuers.Complete(b), nil, true, ""
	return got
}

func (r *reader) fromFiles(src *Source) loaded {
	got := loaded{paths: paths{crt: src.File}}
	data, err := r.read(src.File)
	if errors.Is(err, fs.ErrNotExist) && src.Attrs != nil && src.Attrs.GenerateDummy {
		// HAProxy makes one anew at each start. What was committed since is in the file, and goes on serving here.
		got.dummy = true
		got.paths.key = src.keyPath()
		got.bundle, got.err = cert.NewDummy(src.Attrs.KeyType, src.Attrs.Bits, src.Attrs.Curves)
		return got
	}
	if errors.Is(err, fs.ErrNotExist) && src.Attrs != nil && src.Attrs.ACME != "" {
		got.paths.key = src.keyPath()
		if got.paths.key != src.File {
			_, _ = r.read(got.paths.key) // for its checksum
		}
		got.bundle, got.err = r.standIn()
		got.notice = fmt.Sprintf("No certificate available for '%s', generating a temporary key pair before getting the ACME certificate", src.File)
		return got
	}
	if err != nil {
		got.err = fmt.Errorf("unable to stat SSL certificate from file '%s' : %s.", src.File, host.Strerror(err))
		return got
	}
	b, err := r.facts.parse(r.parser, src.File, data, r.sum)
	if err == nil {
		if src.explicit() {
			b, err = r.explicitFiles(src, b, &got)
		} else {
			b, err = r.extraFiles(src, b, &got)
		}
	}
	if err != nil {
		got.err = err
		return got
	}
	got.bundle = r.issuers.Complete(b)
	return got
}

// readAlone reads a PEM and the key beside it.
func (l *loader) readAlone(file, passphrase string) (*cert.Bundle, error) {
	r := &reader{loader: l}
	data, err := r.read(file)
	if err != nil {
		return nil, fmt.Errorf("unable to stat SSL certificate from file '%s' : %s.", file, host.Strerror(err))
	}
	alone := &reader{loader: l}
	if passphrase != "" {
		own := *l
		own.parser = &cert.Parser{Passphrases: cert.NewPassphrases(passphrase)}
		alone.loader = &own
	}
	b, err := alone.parser.Parse(file, data)
	if err == nil {
		b, err = alone.extraKey(&Source{File: file}, b, &loaded{})
	}
	return b, err
}

func (src *Source) keyPath() string {
	if src.Key != "" {
		return src.Key
	}
	return src.File
}

// extraBase is what the names of files beside a PEM begin with.
func (r *reader) extraBase(file string) string {
	if r.rules.DelExt {
		return strings.TrimSuffix(file, ".crt")
	}
	return file
}

// extraKey takes the key from the .key file when the PEM has none.
func (r *reader) extraKey(src *Source, b *cert.Bundle, got *loaded) (*cert.Bundle, error) {
	base := r.extraBase(src.File)
	got.paths.key = src.File
	if !b.HasKey() {
		if !r.rules.extra("key") {
			return withoutKey(src, b, base)
		}
		data, err := r.read(base + ".key")
		if errors.Is(err, fs.ErrNotExist) {
			return withoutKey(src, b, base+".key")
		}
		if err == nil {
			b, err = r.parser.WithKey(b, base+".key", data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s '%s' is present but cannot be read or parsed.", host.Strerror(err), base+".key")
		}
		got.paths.key = base + ".key"
	}
	return b, checkKey(src.File, b)
}

// extraFiles looks for .key, .sctl, .ocsp and .issuer beside the PEM, in HAProxy's order.
func (r *reader) extraFiles(src *Source, b *cert.Bundle, got *loaded) (*cert.Bundle, error) {
	base := r.extraBase(src.File)
	b, err := r.extraKey(src, b, got)
	if err != nil {
		return nil, err
	}
	if r.rules.extra("sctl") {
		got.paths.sctl = base + ".sctl"
		data, err := r.read(got.paths.sctl)
		if err == nil {
			b, err = b.WithSCTL(data)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf(" '%s' is present but cannot be read or parsed: %s.", got.paths.sctl, host.Strerror(err))
		}
	}
	return r.extraOCSP(src, base, b, got)
}

func (r *reader) extraOCSP(src *Source, base string, b *cert.Bundle, got *loaded) (*cert.Bundle, error) {
	if !r.rules.extra("ocsp") {
		return b, nil
	}
	got.paths.ocsp = base + ".ocsp"
	data, err := r.read(got.paths.ocsp)
	if err == nil {
		b = got.withOCSP(b, got.paths.ocsp, data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("'%s': %s", got.paths.ocsp, host.Strerror(err))
	}
	if b.OCSP() == nil && !src.updates(r.rules.OCSPUpdate) || !r.rules.extra("issuer") {
		return b, nil
	}
	got.paths.issuer = base + ".issuer"
	data, err = r.read(got.paths.issuer)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		b, err = b.WithIssuer(got.paths.issuer, data)
	}
	return b, err
}

// explicitFiles reads the files that load keywords name.
func (r *reader) explicitFiles(src *Source, b *cert.Bundle, got *loaded) (*cert.Bundle, error) {
	p := &got.paths
	p.key, p.ocsp, p.issuer, p.sctl = src.keyPath(), src.OCSP, src.Issuer, src.SCTL
	step := func(path string, add func(data []byte) (*cert.Bundle, error)) error {
		if path == "" {
			return nil
		}
		data, err := r.read(path)
		if err == nil {
			var with *cert.Bundle
			if with, err = add(data); err == nil {
				b = with
				return nil
			}
		}
		return fmt.Errorf("%s '%s' cannot be read or parsed.", host.Strerror(err), path)
	}
	err := errors.Join(
		step(src.Key, func(d []byte) (*cert.Bundle, error) { return r.parser.WithKey(b, src.Key, d) }),
		step(src.OCSP, func(d []byte) (*cert.Bundle, error) { return got.withOCSP(b, src.OCSP, d), nil }),
		step(src.Issuer, func(d []byte) (*cert.Bundle, error) { return b.WithIssuer(src.Issuer, d) }),
		step(src.SCTL, func(d []byte) (*cert.Bundle, error) { return b.WithSCTL(d) }))
	if err != nil {
		return nil, err
	}
	if !b.HasKey() {
		return withoutKey(src, b, src.File)
	}
	return b, checkKey(src.File, b)
}

// withoutKey is what a PEM without private key comes to; path is where the key was looked for.
func withoutKey(src *Source, b *cert.Bundle, path string) (*cert.Bundle, error) {
	if src.keyless() {
		return b, nil
	}
	return nil, fmt.Errorf("No Private Key found in '%s'.", path)
}

func checkKey(name string, b *cert.Bundle) error {
	err := b.CheckKey()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cert.ErrNoKey):
		return fmt.Errorf("No Private Key found in '%s'.", name)
	case cert.IsMismatch(err):
		return &mismatch{name, err}
	}
	return fmt.Errorf("unable to load private key from file '%s' (%w).", name, err)
}

// mismatch has HAProxy's text and stays recognisable.
type mismatch struct {
	name  string
	cause error
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("inconsistencies between private key and certificate loaded '%s'.", m.name)
}
func (m *mismatch) Unwrap() error { return m.cause }
