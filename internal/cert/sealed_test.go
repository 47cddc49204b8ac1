package cert

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealed returns a certificate with its encrypted key. testdata/sealed holds one P-256 key as OpenSSL encrypts it in several ways; the passphrase is
// "correct".
func sealed(t testing.TB, file string) []byte {
	t.Helper()
	crt, err := os.ReadFile("testdata/sealed/cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/sealed/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return append(crt, key...)
}

func TestEncryptedKeysOfOpenSSLAreOpened(t *testing.T) {
	files, err := filepath.Glob("testdata/sealed/*.pem")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, path := range files {
		file := filepath.Base(path)
		if file == "cert.pem" || file == "pbes1.pem" {
			continue
		}
		asked := 0
		p := &Parser{Passphrases: &Passphrases{Ask: func(name string) ([]byte, error) {
			asked++
			return []byte("correct\n"), nil
		}}}
		for range 2 {
			b, err := p.Parse(file, sealed(t, file))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				break
			}
			if err := b.CheckKey(); err != nil || !b.Sealed() {
				t.Errorf("%s: key %v, sealed %v", file, err, b.Sealed())
			}
			if _, err := b.TLS(); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			// What is written anywhere is what the file had, and reads again with the passphrase only.
			for _, text := range [][]byte{b.PEM(), b.FilePEM(true), b.Archive(), b.KeyPEM()} {
				if !bytes.Contains(text, []byte("ENCRYPTED")) {
					t.Errorf("%s: written in the clear", file)
				}
			}
			again, err := p.ParseArchive(file, b.Archive())
			if err != nil || !again.Equal(b) {
				t.Errorf("%s: the archive reads as another certificate: %v", file, err)
			}
			if _, err := Parse(file, b.Archive()); !errors.Is(err, errNoPassphrase) {
				t.Errorf("%s: without a passphrase: %v", file, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times, want once", file, asked)
		}
	}
}

func TestWrongPassphrasesAreRefused(t *testing.T) {
	for _, row := range []struct {
		file string
		p    *Passphrases
		want string
	}{
		{"pbkdf2-aes256.pem", nil, "without an 'ssl-passphrase-cmd' defined"},
		{"pbkdf2-aes256.pem", &Passphrases{}, "without an 'ssl-passphrase-cmd' defined"},
		{"pbkdf2-aes256.pem", NewPassphrases("wrong"), "bad decrypt"},
		{"traditional-des3.pem", NewPassphrases("wrong"), "bad decrypt"},
		{"scrypt.pem", NewPassphrases("wrong"), "bad decrypt"},
		{"scrypt.pem", &Passphrases{Ask: func(string) ([]byte, error) { return nil, errors.New("exit status 3") }}, "external tool error (exit status 3)"},
		{"pbes1.pem", NewPassphrases("correct"), "only PBES2 is"},
	} {
		_, err := (&Parser{Passphrases: row.p}).Parse("a.pem", sealed(t, row.file))
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.HasPrefix(err.Error(), "unable to load private key from file 'a.pem' (") {
			t.Errorf("%s: got %v, want %q", row.file, err, row.want)
		}
	}
}

func FuzzEncryptedKeys(f *testing.F) {
	for _, file := range []string{"pbkdf2-sha1-des3.pem", "traditional-aes192.pem", "pbes1.pem"} {
		f.Add(sealed(f, file))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("scrypt")) || len(text) > 4096 {
			return
		}
		b, err := (&Parser{Passphrases: NewPassphrases("correct")}).Parse("a.pem", text)
		if err == nil && b.Sealed() && !bytes.Contains(b.KeyPEM(), []byte("ENCRYPTED")) {
			t.Errorf("a sealed key is printed in the clear")
		}
	})
}

func TestNothingIsRememberedOfACertificateWithAnEncryptedKey(t *testing.T) {
	b, err := (&Parser{Passphrases: NewPassphrases("correct")}).Parse("a.pem", sealed(t, "pbkdf2-aes256.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Facts(); ok {
		t.Error("its facts would let the key be taken as it is in the file")
	}
}
