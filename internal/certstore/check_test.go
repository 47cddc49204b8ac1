package certstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoreCheckFindsAndRepairs breaks what can be broken, one thing at a time.
func TestStoreCheckFindsAndRepairs(t *testing.T) {
	object := func(w *world) string {
		files, _ := filepath.Glob(w.state + "/history/*/*.pem")
		return files[0]
	}
	for _, c := range []struct {
		name, kind, want string
		repairable       bool
		harm             func(w *world) error
	}{
		{"nothing", "", "", true, func(*world) error { return nil }},
		{"a damaged file", "file", "no start line", false, func(w *world) error { return os.WriteFile(w.path("one.pem"), []byte("x"), 0o600) }},
		{"a key that everybody reads", "mode", "everybody can read the private key", false, func(w *world) error { return os.Chmod(w.path("one.pem"), 0o644) }},
		{"what a dead process left", "file", "left by a process", true, func(w *world) error {
			return os.WriteFile(w.path(".one.pem.gatehouse-tmp"), []byte("x"), 0o600)
		}},
		{"a version that is damaged", "history", "the file is damaged", true, func(w *world) error { return os.WriteFile(object(w), []byte("x"), 0o600) }},
		{"a version that is missing", "history", "is missing", true, func(w *world) error { return os.Remove(object(w)) }},
		{"a version that nothing names", "history", "no record names", true, func(w *world) error {
			return os.WriteFile(filepath.Join(filepath.Dir(object(w)), "stray.pem"), []byte("x"), 0o600)
		}},
		{"a version that others read", "mode", "others can read it", true, func(w *world) error { return os.Chmod(object(w), 0o640) }},
		{"a record that is damaged", "history", "the record is damaged", true, func(w *world) error {
			_, err := w.db.Put(t.Context(), "history/x/1", []byte("{"), -1)
			return err
		}},
		{"a damaged redo record", "redo", "the file is damaged", false, func(w *world) error {
			if err := os.MkdirAll(redoDir(w.state), 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(redoDir(w.state), "x.redo"), []byte("x"), 0o600)
		}},
		{"a change that is not finished", "redo", "is not finished", true, func(w *world) error {
			old, err := os.ReadFile(w.path("one.pem"))
			if err != nil {
				return err
			}
			log := redoLog{w.start().o.Host, w.state}
			_, err = log.write(&redoRecord{[]redoFile{{Path: w.path("one.pem"), Old: sumOf(old), Data: old, Perm: 0o600}}})
			return err
		}},
		{"a damaged kept version", "kept", "the file is damaged", false, func(w *world) error {
			if err := os.MkdirAll(keptDirOf(w.state), 0o700); err != nil {
				return err
			}
			return os.WriteFile(keptPath(w.state, "x"), []byte("x"), 0o600)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := historyWorld(t)
			first := newPair(t, "a.example")
			if err := os.WriteFile(w.path("one.pem"), []byte(first.pem()), 0o600); err != nil {
				t.Fatal(err)
			}
			r := w.start()
			r.mustDeploy(w.path("one.pem"), newPair(t, "a.example").pem())
			r.flushHistory(t.Context())
			if err := c.harm(w); err != nil {
				t.Fatal(err)
			}
			look := func(repair bool) Report {
				p := New(r.o).Plan(w.rules)
				_ = w.plan(p)
				return p.Check(CheckOptions{DB: w.db, Repair: repair})
			}
			report := look(false)
			if c.kind == "" {
				if len(report.Findings) != 0 || report.Certificates != 1 || report.Versions != 2 {
					t.Errorf("of a whole store it says %+v", report)
				}
				return
			}
			found := func(r Report) *Finding {
				for i, f := range r.Findings {
					if f.Kind == c.kind && strings.Contains(f.Text, c.want) {
						return &r.Findings[i]
					}
				}
				return nil
			}
			if f := found(report); f == nil || f.Repaired {
				t.Fatalf("it says %+v, want a %s that tells %q", report.Findings, c.kind, c.want)
			}
			if f := found(look(true)); f == nil || f.Repaired != c.repairable {
				t.Errorf("repair: %+v, want repaired %v", f, c.repairable)
			}
			if f := found(look(false)); (f == nil) != c.repairable {
				t.Errorf("afterwards it finds %+v", f)
			}
		})
	}
}

func TestStoreCheckComparesMemoryWithDisk(t *testing.T) {
	w := historyWorld(t)
	w.write("one.pem", newPair(t, "a.example").pem())
	r := w.start()
	serving := r.Bundle(w.path("one.pem")).SHA1()
	look := func() Report {
		p := New(r.o).Plan(w.rules)
		_ = w.plan(p)
		return p.Check(CheckOptions{DB: w.db, Memory: func(string) (string, error) { return serving, nil }})
	}
	if got := look(); got.Errors() != 0 {
		t.Errorf("they are the same and it says %+v", got)
	}
	w.write("one.pem", newPair(t, "a.example").pem())
	if got := look(); got.Errors() != 1 || got.Findings[0].Kind != "memory" || !strings.Contains(got.Findings[0].Text, serving) {
		t.Errorf("they differ and it says %+v", got)
	}
	serving = ""
	if got := look(); got.Errors() != 1 || !strings.Contains(got.Findings[0].Text, "does not serve it") {
		t.Errorf("nothing is served and it says %+v", got)
	}
}
