package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// TestEveryExampleIsAValidConfiguration is `gatehouse -c` on each file of examples, with certificates where it names some: no
// error, no warning, and nothing left behind.
func TestEveryExampleIsAValidConfiguration(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/haproxy.cfg")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { checkExample(t, filepath.Dir(file), "haproxy.cfg") })
	}
	t.Run("demo", func(t *testing.T) { checkExample(t, "../../examples", "demo.cfg") })
}

func checkExample(t *testing.T, dir, file string) {
	t.Helper()
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEMO_DIR", work)
	t.Setenv("DEMO_DIRECTORY", "https://127.0.0.1:14000/dir")
	giveFiles(t, work, file)
	t.Chdir(work)
	before := listing(t, work)
	for _, d := range checked(t, file) {
		if d.Level != config.LevelNotice {
			t.Errorf("[%s] %s", d.Level, d.Text)
		}
	}
	if after := listing(t, work); after != before {
		t.Errorf("a check left something behind:\n%s\nbefore it was\n%s", after, before)
	}
}

// giveFiles makes the files that a configuration file names.
func giveFiles(t *testing.T, work, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(work, file))
	if err != nil {
		t.Fatal(err)
	}
	giveFilesOf(t, work, string(text))
}

// giveFilesOf makes the certificates, authorities and revocation lists that a configuration names.
func giveFilesOf(t testing.TB, work, text string) {
	t.Helper()
	b, err := cert.NewDummy("ECDSA", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		words, err := config.SplitWords(line, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(words); i++ {
			name := words[i]
			switch words[i-1] {
			case "crt":
				if strings.HasSuffix(name, "/") {
					err = errors.Join(os.MkdirAll(filepath.Join(work, name), 0o755), os.WriteFile(filepath.Join(work, name, "www.pem"), b.FilePEM(true), 0o600))
				} else if !strings.Contains(line, " acme ") {
					err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755), os.WriteFile(filepath.Join(work, name), b.FilePEM(true), 0o600))
				}
			case "ca-file":
				err = os.WriteFile(filepath.Join(work, filepath.Base(name)), b.CertPEM(), 0o600)
			case "crl-file":
				err = os.WriteFile(filepath.Join(work, name), emptyCRL(t), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func emptyCRL(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte("CA"), KeyUsage: x509.KeyUsageCRLSign}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// listing names every file below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
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
