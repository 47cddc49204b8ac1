package certstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

// trustSaver makes one new content of a CA or CRL file durable. Store.write is held while it works.
type trustSaver struct {
	*Store
	file     *trustFile
	value    holding
	warnings []string
	unsaved  bool   // it is in memory only although it should be durable
	disk     string // what the files hold, when unsaved
}

// save writes the file that the configuration names; a directory, `@system-ca`, a name that no file declares, a symbolic link and a place that takes no
// files of ours have their version in the state directory. When it returns an error, what was there before is what a restart finds.
func (v *trustSaver) save() error {
	if !v.file.persist {
		return nil
	}
	if !v.file.declared {
		return v.keep(nil)
	}
	data, path, files, err := readTrust(v.o.Host, v.file.name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && v.file.path != "":
		path, files = v.file.path, []fileSum{{v.file.path, absent}}
	case err != nil && !blocked(err):
		return fmt.Errorf("cannot read '%s': %w", v.file.name, clean(err))
	case err == nil && path != "":
		if old, err := v.file.kind.parse(v.file.name, data); err == nil && string(old.PEM()) == string(v.value.PEM()) {
			return v.forget() // the file holds it already: what is kept must not win over it
		}
	}
	if path == "" || !v.regular(path) {
		return v.keep(files)
	}
	err = v.o.Host.ReplaceFile(path, v.value.PEM(), 0o644)
	if blocked(err) {
		return v.keep(files)
	}
	if err != nil {
		return fmt.Errorf("cannot write '%s': %w", path, clean(err))
	}
	return v.forget()
}

// regular tells a file to replace from an operator's layout of links.
func (v *trustSaver) regular(path string) bool {
	info, err := v.o.Host.Lstat(path)
	return err != nil || info.Mode.IsRegular()
}

// keep puts the version into the state directory until one of the files it supersedes changes.
func (v *trustSaver) keep(files []fileSum) error {
	dir, err := v.stateDir()
	if errors.Is(err, errMemoryOnly) {
		v.unsaved, v.disk = true, diskSum(files)
		text := fmt.Sprintf("'%s' is in memory only and will be lost at a restart: no file of the configuration can hold it and %v", v.file.name, errMemoryOnly)
		v.warnings = append(v.warnings, text)
		v.emit(event.CertUnsaved, "warning", v.file.name, text)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	k := &kept{name: keptTrustName(v.file.kind, v.file.name), files: files, body: v.value.PEM()}
	path := keptTrustPath(dir, k.name)
	if err := v.o.Host.MkdirAll(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot make '%s': %w", filepath.Dir(path), clean(err))
	}
	if err := v.o.Host.ReplaceFile(path, k.encode(), 0o600); err != nil {
		return fmt.Errorf("cannot write '%s': %w", path, clean(err))
	}
	return nil
}

// forget removes the kept version, if there is one.
func (v *trustSaver) forget() error {
	kept := v.keptDir()
	if kept == "" {
		return nil
	}
	path := keptTrustPath(kept, keptTrustName(v.file.kind, v.file.name))
	if _, err := v.o.Host.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir, err := v.stateDir()
	if err == nil {
		err = v.o.Host.Remove(keptTrustPath(dir, keptTrustName(v.file.kind, v.file.name)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove '%s', which would come back at a restart: %w", path, clean(err))
	}
	return nil
}

// keptTrustName is the name of a kept version: the kind and the file's own.
func keptTrustName(kind TrustKind, name string) string {
	return strings.ToLower(kind.word()) + " " + name
}

func splitTrustName(kept string) (kind TrustKind, name string, ok bool) {
	word, name, ok := strings.Cut(kept, " ")
	switch word {
	case "ca":
		return CAs, name, ok
	case "crl":
		return CRLs, name, ok
	}
	return 0, "", false
}

// keptTrustPath is where the version of a CA or CRL file is kept under a state directory.
func keptTrustPath(dir, keptName string) string {
	return filepath.Join(dir, "trust", sumOf([]byte(keptName))[:40]+".pem")
}

// readKeptTrust reads all kept versions below a state directory. Damaged ones are returned as errors that name the file.
func readKeptTrust(h host.Host, dir string) (map[string]*kept, []error) {
	found := map[string]*kept{}
	if dir == "" {
		return found, nil
	}
	names, err := h.ReadDir(filepath.Join(dir, "trust"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return found, nil
		}
		return found, []error{fmt.Errorf("reading kept CA and CRL files: %w", err)}
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".pem") {
			continue
		}
		path := filepath.Join(dir, "trust", name)
		data, err := h.ReadFile(path, maxTrustFile+maxKept)
		var k *kept
		if err == nil {
			k, err = decodeKept(data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading kept file %s: %w", path, err))
			continue
		}
		found[k.name] = k
	}
	return found, errs
}

// tidyTrust removes kept versions whose files have changed.
func (s *Store) tidyTrust(p *Plan) {
	for name, it := range p.trust {
		if !it.obsolete {
			continue
		}
		if _, err := s.stateDir(); err != nil {
			return // what is kept is read again next time
		}
		if err := (&trustSaver{Store: s, file: &it.trustFile}).forget(); err != nil {
			s.emit(event.CertUnsaved, "warning", name, err.Error())
		}
	}
}
