package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// maxKeysTried bounds how many files of a directory are looked into for a key.
const maxKeysTried = 1000

// Gather reads the files of a bought certificate and puts it together. When its key is in none of them, it is looked for in *.key files beside them and in keyDirs:
// where `cert request` left it. passphrase is asked once at most, nil knows none.
func Gather(files, keyDirs []string, passphrase func() ([]byte, error)) (*cert.Joined, error) {
	h := host.Direct{}
	p := &cert.Pieces{Passphrase: passphrase}
	var errs []error
	for _, file := range files {
		data, err := h.ReadFile(file, cert.MaxPEM)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", file, host.Strerror(err)))
			continue
		}
		errs = append(errs, p.Add(file, data))
		keyDirs = append(slices.Clip(keyDirs), filepath.Dir(file))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	_, hasKey, err := p.Leaf()
	if err != nil {
		return nil, err
	}
	if !hasKey {
		searchKey(h, p, files, keyDirs)
	}
	j, err := p.Join(files[0])
	if err != nil && !hasKey {
		slices.Sort(keyDirs)
		return nil, fmt.Errorf("%w\nNo *.key file in %s belongs to it", err, strings.Join(slices.Compact(keyDirs), ", "))
	}
	return j, err
}

// searchKey adds the first key found that belongs to the leaf.
func searchKey(h host.Host, p *cert.Pieces, files, dirs []string) {
	tried := 0
	for _, dir := range dirs {
		names, err := h.ReadDir(dir)
		if err != nil {
			continue // what cannot be looked into has no key for us
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			if !strings.HasSuffix(name, ".key") || slices.Contains(files, path) || tried == maxKeysTried {
				continue
			}
			tried++
			data, err := h.ReadFile(path, cert.MaxPEM)
			if err == nil && p.AddFittingKey(path, data) {
				return
			}
		}
	}
}

// WriteBundle puts a certificate with its key where a bind line's `crt` reads it, whole or not at all. A file that exists keeps its owner and its mode less
// access for others. What is there already is left alone; changed tells whether it was not.
func WriteBundle(path string, b *cert.Bundle) (changed bool, err error) {
	h := host.Direct{}
	data := b.FilePEM(true)
	switch old, err := h.ReadFile(path, cert.MaxPEM); {
	case err == nil && bytes.Equal(old, data):
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%s: %s", path, host.Strerror(err))
	}
	if err := h.ReplaceFile(path, data, 0o600); err != nil {
		return false, fmt.Errorf("writing %s: %s: nothing was changed; `gatehouse doctor` names the path to mend", path, host.Strerror(err))
	}
	return true, nil
}

// LocalCA opens the authority of a directory, ca.pem and ca.key, making both when neither is there; made tells that.
func LocalCA(dir string, shape cert.Shape) (ca *cert.Bundle, made bool, err error) {
	h := host.Direct{}
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	certText, err := h.ReadFile(certFile, cert.MaxPEM)
	keyText, keyErr := h.ReadFile(keyFile, cert.MaxPEM)
	switch {
	case err == nil && keyErr == nil:
		ca, err = cert.Parse(certFile, certText)
		if err == nil {
			ca, err = ca.WithKey(keyFile, keyText)
		}
		if err == nil {
			err = ca.CheckKey()
		}
		return ca, false, err
	case errors.Is(err, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
	default:
		return nil, false, fmt.Errorf("%s and %s must both be there and readable, or neither: %w", certFile, keyFile, errors.Join(err, keyErr))
	}
	key, err := cert.NewKey("ecdsa")
	if err != nil {
		return nil, false, err
	}
	if ca, err = cert.Make(shape, key, nil); err != nil {
		return nil, false, err
	}
	if err := h.MkdirAll(dir); err != nil {
		return nil, false, fmt.Errorf("%s: %s", dir, host.Strerror(err))
	}
	err = WriteNew(keyFile, ca.KeyPEM(), 0o600, false)
	if err == nil {
		err = WriteNew(certFile, ca.CertPEM(), 0o644, false)
	}
	return ca, true, err
}
