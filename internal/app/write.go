package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"gatehouse/internal/host"
)

// WriteNew writes a file durably and whole, making its directory (0700) where it is missing. One that exists is replaced only with force, and keeps no access that perm does not give others.
func WriteNew(name string, data []byte, perm fs.FileMode, force bool) error {
	h := host.Direct{}
	switch info, err := h.Stat(name); {
	case err == nil && !force:
		return fmt.Errorf("%s exists already: choose another name, or replace it with --force", name)
	case err == nil && info.Mode.Perm()&^perm != 0 && perm&0o077 == 0:
		return fmt.Errorf("%s has mode %04o, which shows a key to others: chmod 600 %s first", name, info.Mode.Perm(), name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %s", name, host.Strerror(err))
	}
	if err := h.MkdirAll(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%s: %s", filepath.Dir(name), host.Strerror(err))
	}
	if err := h.ReplaceFile(name, data, perm); err != nil {
		return fmt.Errorf("writing %s: %s", name, host.Strerror(err))
	}
	return nil
}
