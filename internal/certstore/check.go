package certstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// CheckOptions say what Plan.Check looks at besides the files of the configuration and the state directory.
type CheckOptions struct {
	// DB is the state database, nil when it cannot be had; then Held says why and the records of the history are not compared.
	DB   storage.Store
	Held string
	// Repair finishes and removes what is left over in the state directory. It needs DB. Operators' files are never changed.
	Repair bool
	// Memory returns the SHA-1 fingerprint (upper-case hex) of what a running process serves under a name, "" for none; nil: no
	// process is asked.
	Memory func(name string) (string, error)
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity string `json:"severity"` // error: something would be lost or not serve; warning: it would not
	Kind     string `json:"kind"`     // file, kept, redo, history, mode, memory
	Subject  string `json:"subject"`  // a certificate's name or a path
	Text     string `json:"text"`
	Repaired bool   `json:"repaired"`
}

// Report is what a check came to.
type Report struct {
	Certificates int       `json:"certificates"` // that were looked at
	Kept         int       `json:"kept"`         // versions in the state directory
	Versions     int       `json:"versions"`     // of the history
	Findings     []Finding `json:"findings"`
}

// Errors counts the findings of severity error that were not repaired.
func (r Report) Errors() (n int) {
	for _, f := range r.Findings {
		if f.Severity == "error" && !f.Repaired {
			n++
		}
	}
	return n
}

// checker is one check at work.
type checker struct {
	Report
	o    CheckOptions
	host host.Host
	dir  string
}

func (c *checker) find(severity, kind, subject, text string) *Finding {
	c.Findings = append(c.Findings, Finding{severity, kind, subject, text, false})
	return &c.Findings[len(c.Findings)-1]
}

// repair runs fix, if repairs are wanted, and notes that the last finding is gone.
func (c *checker) repair(fix func() error) {
	if !c.o.Repair || c.o.DB == nil {
		return
	}
	if f := &c.Findings[len(c.Findings)-1]; fix() == nil {
		f.Repaired = true
	}
}

// Check compares what the plan's configuration declares with the disk, the state directory, the history and a running process. It reads only,
// unless repairs are asked for.
func (p *Plan) Check(o CheckOptions) Report {
	c := &checker{o: o, host: p.loader.host, dir: p.loader.rules.StateDir}
	if c.dir != "" {
		c.redo()
		c.kept(p)
		c.history()
	}
	for _, pr := range p.Problems() {
		severity := "warning"
		if pr.Fatal {
			severity = "error"
		}
		c.find(severity, "file", pr.Name, pr.Text)
	}
	for _, it := range p.order {
		c.certificate(it)
	}
	slices.SortStableFunc(c.Findings, func(a, b Finding) int { return strings.Compare(a.Severity, b.Severity) })
	return c.Report
}

// certificate looks at one declared certificate: its files' modes and leftovers, and what serves under its name.
func (c *checker) certificate(it *item) {
	c.Certificates++
	for _, f := range it.files {
		if f.sum == absent {
			continue
		}
		if info, err := c.host.Stat(f.path); err == nil && info.Mode.Perm()&0o004 != 0 && (f.path == it.paths.key || f.path == it.src.Key) {
			c.find("warning", "mode", f.path, fmt.Sprintf("everybody can read the private key (mode %04o)", info.Mode.Perm()))
		}
		tmp := filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".gatehouse-tmp")
		if _, err := c.host.Lstat(tmp); err == nil {
			c.find("warning", "file", tmp, "left by a process that died while it replaced the file")
			c.repair(func() error { return c.host.Remove(tmp) })
		}
	}
	if c.o.Memory == nil || it.err != nil || it.bundle == nil || it.bundle.Temporary() || it.src.Attrs != nil && it.src.Attrs.GenerateDummy {
		return
	}
	served, err := c.o.Memory(it.src.Name)
	switch want := it.bundle.SHA1(); {
	case err != nil:
		c.find("error", "memory", it.src.Name, fmt.Sprintf("the running process does not tell: %v", err))
	case served == "":
		c.find("error", "memory", it.src.Name, "the running process does not serve it")
	case served != want && it.src.Persist:
		c.find("error", "memory", it.src.Name, fmt.Sprintf("the running process serves %s, the disk holds %s", served, want))
	case served != want:
		c.find("warning", "memory", it.src.Name, fmt.Sprintf("the running process serves %s, the disk holds %s (persist off)", served, want))
	}
}

// redo looks at records that were not finished.
func (c *checker) redo() {
	log := redoLog{c.host, c.dir}
	records, err := log.pending()
	for _, e := range unjoin(err) {
		c.find("error", "redo", redoDir(c.dir), e.Error())
	}
	for path, r := range records {
		c.find("warning", "redo", path, fmt.Sprintf("a change of %d files is not finished; its content counts already", len(r.Files)))
		c.repair(func() error { return log.finish(path, r) })
	}
	c.modes(redoDir(c.dir))
}

// kept looks at versions that wait in the state directory.
func (c *checker) kept(p *Plan) {
	c.modes(keptDirOf(c.dir))
	found, errs := readKept(c.host, c.dir, p.loader.overlay)
	for _, err := range errs {
		c.find("error", "kept", keptDirOf(c.dir), err.Error())
	}
	c.Kept = len(found)
	for name, k := range found {
		b, err := cert.ParseArchive(name, k.body)
		if err == nil && b.HasKey() {
			err = b.CheckKey()
		}
		if err != nil {
			c.find("error", "kept", name, fmt.Sprintf("its version in the state directory cannot be used: %v", err))
		}
	}
}

// modes wants a directory of ours and what is in it to be closed to others, and removes what a dead process left.
func (c *checker) modes(dir string) {
	names, err := c.host.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		c.find("error", "mode", dir, err.Error())
		return
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := c.host.Lstat(path)
		if err == nil && info.Mode.IsRegular() && info.Mode.Perm()&0o077 != 0 {
			c.find("error", "mode", path, fmt.Sprintf("others can read it (mode %04o)", info.Mode.Perm()))
			c.repair(func() error { return c.tighten(path) })
		}
		if strings.HasPrefix(name, ".") && strings.Contains(name, ".gatehouse-tmp") {
			c.find("warning", "file", path, "left by a process that died while it replaced the file")
			c.repair(func() error { return c.host.Remove(path) })
		}
	}
}

// tighten writes a file of ours anew, with the mode it should have.
func (c *checker) tighten(path string) error {
	data, err := c.host.ReadFile(path, maxRedo)
	if err == nil {
		err = c.host.Remove(path)
	}
	if err == nil {
		err = c.host.ReplaceFile(path, data, 0o600)
	}
	return err
}

// history compares records and PEM files, both ways.
func (c *checker) history() {
	root := filepath.Join(c.dir, "history")
	files := map[string]bool{}
	shards, err := c.host.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.find("error", "history", root, err.Error())
	}
	for _, shard := range shards {
		dir := filepath.Join(root, shard)
		c.modes(dir)
		names, _ := c.host.ReadDir(dir)
		for _, name := range names {
			if strings.HasSuffix(name, ".pem") && !strings.HasPrefix(name, ".") {
				files[filepath.Join(dir, name)] = true
			}
		}
	}
	if c.o.DB == nil {
		if c.o.Held != "" {
			c.find("warning", "history", c.dir, "the history was not compared: "+c.o.Held)
		}
		return
	}
	items, err := c.o.DB.List(context.Background(), "history/")
	if err != nil {
		c.find("error", "history", c.dir, err.Error())
		return
	}
	for _, it := range items {
		c.Versions++
		var v Version
		if err := json.Unmarshal(it.Value, &v); err != nil || versionKey(v) != it.Key || len(v.Sum) != 64 {
			c.find("error", "history", it.Key, "the record is damaged")
			c.repair(func() error { return c.o.DB.Delete(context.Background(), it.Key, storage.Any) })
			continue
		}
		delete(files, objectPath(c.dir, v.Name, v.Sum))
		if _, err := readObject(c.host, c.dir, v); err != nil {
			c.find("error", "history", v.Name, fmt.Sprintf("version %d: %v", v.N, err))
			c.repair(func() error { return c.o.DB.Delete(context.Background(), it.Key, storage.Any) })
		}
	}
	for path := range files {
		c.find("warning", "history", path, "no record names this version")
		c.repair(func() error { return c.host.Remove(path) })
	}
}
