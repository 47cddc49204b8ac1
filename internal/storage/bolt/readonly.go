package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// OpenToRead opens an existing database without changing a byte of it: writing calls fail. A database that another process holds is
// storage.ErrLocked, one that does not exist fs.ErrNotExist.
func OpenToRead(h host.Host, path string) (storage.Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		ReadOnly: true,
		Timeout:  time.Millisecond, // one try
		OpenFile: func(name string, flag int, perm fs.FileMode) (*os.File, error) { return h.OpenFile(name, flag, perm) },
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("state database %s: %w", path, storage.ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("opening state database %s: %w", path, err)
	}
	return &store{path: path, db: db}, nil
}
