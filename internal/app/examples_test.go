package app

import (
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// TestEveryExampleIsAValidConfiguration is `gatehouse -c` on each file of examples, in the environment that `make demo` gives them:
// no error and no warning.
func TestEveryExampleIsAValidConfiguration(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.cfg")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("DEMO_DIR", dir)
			t.Setenv("DEMO_DIRECTORY", "https://127.0.0.1:14000/dir")
			ca, err := cert.NewDummy("ECDSA", 0, "")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "ca.pem", string(ca.CertPEM()))
			for _, d := range checked(t, file) {
				if d.Level != config.LevelNotice {
					t.Errorf("[%s] %s", d.Level, d.Text)
				}
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("a check left something behind: %v", left)
			}
		})
	}
}

// checked is what -c finds in one file.
func checked(t *testing.T, file string) config.Diags {
	t.Helper()
	o, err := ParseArgs([]string{"-c", "-f", file})
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(host.Direct{}, o.Files)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{o: o, print: NewPrinter(t.Output()), newEngine: NewHouse, sources: sources}
	h, err := p.engine(host.Direct{}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	_, diags := h.Load(t.Context(), sources)
	return diags
}
