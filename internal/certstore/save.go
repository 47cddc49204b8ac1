package certstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// saver makes one new version of one certificate durable. Store.write is held while it works.
type saver struct {
	*Store
	entry    *entry
	bundle   *cert.Bundle
	warnings []string
	unsaved  bool   // it is in memory only although it should be durable
	disk     string // what the files hold, when unsaved
	reason   string // why it is unsaved
	passing  bool   // because the disk is full or read-only
}

// save makes b durable where the entry's certificate is read from, as the package comment says. When it returns an error, what was there before
// is what a restart finds.
func (s *Store) save(e *entry, b *cert.Bundle) (*saver, error) {
	v := &saver{Store: s, entry: e, bundle: b}
	if v.skipped() {
		return v, nil
	}
	if err := v.settle(v.touches()...); err != nil {
		return v, err
	}
	writes, keep, err := v.intent()
	switch {
	case err != nil:
		return v, err
	case keep:
		return v, v.keepOver()
	case len(writes) == 0:
		return v, v.dropKept() // the files hold it already: what is kept must not win over them
	case len(writes) > 1:
		return v, v.writeAll(writes)
	}
	w := writes[0]
	err = v.o.Host.ReplaceFile(w.Path, w.Data, fs.FileMode(w.Perm))
	if blocked(err) {
		return v, v.keepOver()
	}
	if err != nil {
		return v, fmt.Errorf("cannot write '%s': %w", w.Path, clean(err))
	}
	return v, v.dropKept()
}

// skipped tells that nothing is to be made durable.
func (v *saver) skipped() bool {
	if v.ephemeral(v.entry) {
		return true
	}
	// HAProxy takes a certificate whose key comes later as long as nobody uses it. A file without key would be none that loads, unless it is for tokens.
	return !v.bundle.HasKey() && (v.entry.src == nil || !v.entry.src.keyless())
}

// ephemeral tells that a name is under `persist off`.
func (s *Store) ephemeral(e *entry) bool {
	if e.src != nil {
		return !e.src.Persist
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rules.Ephemeral
}

// intent says which files have to change, or that the version is to be kept in the state directory.
func (v *saver) intent() (writes []redoFile, keep bool, err error) {
	p, ok := v.target()
	if !ok {
		return nil, true, nil
	}
	if writes, err = v.writes(p); err != nil {
		return nil, false, err
	}
	return writes, v.blockedBefore(writes), nil
}

// touches are the files that making the version durable may change.
func (v *saver) touches() []string {
	paths := []string{keptPath(v.keptDir(), v.entry.name)}
	if p, ok := v.target(); ok {
		paths = append(paths, p.crt, p.key, p.ocsp, p.issuer, p.sctl)
	}
	return paths
}

// target says which files hold the certificate; false when none does.
func (v *saver) target() (paths, bool) {
	e := v.entry
	if e.src == nil {
		i := strings.LastIndexByte(e.name, '/')
		if i < 0 || !v.dirs[e.name[:i]] || !loadable(e.name[i+1:]) {
			return paths{}, false
		}
		return v.beside(paths{crt: e.name, key: e.name}), true
	}
	p := e.paths
	p.crt = e.src.File
	if e.src.explicit() {
		p.key, p.ocsp, p.issuer, p.sctl = e.src.keyPath(), e.src.OCSP, e.src.Issuer, e.src.SCTL
		return p, true
	}
	if p.key == "" {
		p.key = p.crt
	}
	return v.beside(p), true
}

// beside adds the files next to the PEM in which a loader looks for what the bundle carries.
func (v *saver) beside(p paths) paths {
	base := p.crt
	if v.rules.DelExt {
		base = strings.TrimSuffix(base, ".crt")
	}
	if v.rules.extra("ocsp") {
		p.ocsp = base + ".ocsp"
		if v.rules.extra("issuer") {
			p.issuer = base + ".issuer"
		}
	}
	if v.rules.extra("sctl") {
		p.sctl = base + ".sctl"
	}
	return p
}

// emptySCTL is an SCT list without entries. It takes the place of a list that belonged to the version before: nothing in such a file says which
// certificate it is for, and a wrong one makes clients refuse the handshake.
var emptySCTL = []byte{0, 0}

// writes lists the files whose content has to change.
func (v *saver) writes(p paths) ([]redoFile, error) {
	b, split := v.bundle, p.key != p.crt
	var list []redoFile
	want := func(path string, data []byte, perm fs.FileMode, same func(old []byte) bool) error {
		old, err := v.o.Host.ReadFile(path, cert.MaxPEM)
		sum := absent
		switch {
		case err == nil && same(old):
			return nil
		case err == nil:
			sum = sumOf(old)
		case !errors.Is(err, fs.ErrNotExist) && !blocked(err):
			return fmt.Errorf("cannot read '%s': %w", path, clean(err))
		}
		list = append(list, redoFile{Path: path, Old: sum, Data: data, Perm: uint32(perm)})
		return nil
	}
	errs := []error{want(p.crt, b.FilePEM(!split), 0o600, func(old []byte) bool {
		was, err := cert.Parse(p.crt, old)
		return err == nil && was.SameCert(b) && (split || was.SameKey(b))
	})}
	if split && b.HasKey() {
		errs = append(errs, want(p.key, b.KeyPEM(), 0o600, func(old []byte) bool {
			was, err := b.WithKey(p.key, old)
			return err == nil && was.SameKey(b)
		}))
	}
	exact := func(path string, data []byte) {
		errs = append(errs, want(path, data, 0o644, func(old []byte) bool { return string(old) == string(data) }))
	}
	switch {
	case p.sctl != "" && b.SCTL() != nil:
		exact(p.sctl, b.SCTL())
	case p.sctl != "" && v.there(p.sctl):
		exact(p.sctl, emptySCTL)
	}
	if p.ocsp != "" && b.OCSP() != nil {
		exact(p.ocsp, b.OCSP())
	}
	if p.issuer != "" && b.Issuer() != nil {
		exact(p.issuer, b.IssuerPEM())
	}
	return list, errors.Join(errs...)
}

func (v *saver) there(path string) bool {
	_, err := v.o.Host.Stat(path)
	return err == nil
}

// blockedBefore tells whether one of the files is none to replace: a symbolic link is an operator's layout.
func (v *saver) blockedBefore(writes []redoFile) bool {
	for _, w := range writes {
		if info, err := v.o.Host.Lstat(w.Path); err == nil && !info.Mode.IsRegular() {
			return true
		}
	}
	return false
}

// blocked tells that a file's place does not take files of ours. A full or broken disk is another matter.
func blocked(err error) bool {
	for _, e := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.EROFS, syscall.ELOOP, syscall.ENOTDIR, syscall.EISDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// clean drops the path from an error of the machine whose caller names it already.
func clean(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// writeAll replaces several files as one.
func (v *saver) writeAll(writes []redoFile) error {
	dir, err := v.stateDir()
	if errors.Is(err, errMemoryOnly) {
		return v.memoryOnly("its files cannot be replaced together")
	}
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	log, record := redoLog{v.o.Host, dir}, &redoRecord{writes}
	path, err := log.write(record)
	if err != nil {
		return fmt.Errorf("cannot write '%s': %w", redoDir(dir), clean(err))
	}
	// The change has happened. What goes wrong from here on is finished by the next commit or start.
	switch err := log.finish(path, record); {
	case allBlocked(err): // their place takes no files of ours: the state directory does
		return errors.Join(v.keepOver(), v.o.Host.Remove(path))
	case err != nil:
		v.redoLeft = true
		text := fmt.Sprintf("the files of '%s' are not all replaced yet, the rest is in the redo log: %v", v.entry.name, err)
		v.warnings = append(v.warnings, text)
		v.emit(event.CertUnsaved, "warning", v.entry.name, text)
	}
	return v.dropKept()
}

// allBlocked tells that an error joins nothing but refusals of the files' places.
func allBlocked(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if !allBlocked(e) {
				return false
			}
		}
		return len(many.Unwrap()) > 0
	}
	return err != nil && blocked(err)
}

// keepOver keeps the version in the state directory until one of the files it supersedes changes.
func (v *saver) keepOver() error {
	if v.entry.src == nil {
		return v.keep(nil) // no file declares the name, so it comes back by itself
	}
	return v.keep(v.files())
}

// files are the checksums of what the configuration reads for the entry now, as a plan would see them.
func (v *saver) files() []fileSum {
	if v.entry.src == nil {
		return nil
	}
	l := &loader{host: v.o.Host, rules: v.rules, issuers: v.issuers, standIn: v.temporary, now: v.o.Now, parser: v.rules.parser()}
	return l.load(v.entry.src).files
}

func (v *saver) keep(files []fileSum) error {
	dir, err := v.stateDir()
	if errors.Is(err, errMemoryOnly) {
		return v.memoryOnly("no file of the configuration can hold it")
	}
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	path := keptPath(dir, v.entry.name)
	if err := v.o.Host.MkdirAll(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot make '%s': %w", filepath.Dir(path), clean(err))
	}
	if err := v.o.Host.ReplaceFile(path, v.keptFile(files), 0o600); err != nil {
		return fmt.Errorf("cannot write '%s': %w", path, clean(err))
	}
	return nil
}

func (v *saver) keptFile(files []fileSum) []byte {
	k := &kept{name: v.entry.name, files: files, body: v.bundle.Archive()}
	return k.encode()
}

func (v *saver) memoryOnly(why string) error {
	v.unsaved, v.disk, v.reason = true, diskSum(v.files()), errMemoryOnly.Error()
	text := fmt.Sprintf("'%s' is in memory only and will be lost at a restart: %s and %v", v.entry.name, why, errMemoryOnly)
	v.warnings = append(v.warnings, text)
	v.emit(event.CertUnsaved, "warning", v.entry.name, text)
	return nil
}

// dropKept removes a kept version of the name once the files hold a newer one.
func (v *saver) dropKept() error {
	kept := v.keptDir()
	if kept == "" {
		return nil
	}
	path := keptPath(kept, v.entry.name)
	if _, err := v.o.Host.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir, err := v.stateDir()
	if err == nil {
		err = v.o.Host.Remove(keptPath(dir, v.entry.name))
	}
	if err != nil && v.keptWouldWin(path) {
		return fmt.Errorf("cannot remove '%s', which would come back at a restart: %w", path, clean(err))
	}
	return nil
}

func (v *saver) keptWouldWin(path string) bool {
	data, err := v.o.Host.ReadFile(path, maxKept)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	k, err := decodeKept(data)
	return err == nil && k.wins(v.files())
}
