// Package bolt keeps storage records in one bbolt file: the state of one machine. A record is durable when Put returns; the file
// is locked while it is open (flock), so that two processes never share it.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// bucket holds all records: key -> 8 bytes revision, big endian, then the value. Its sequence is the last revision.
var bucket = []byte("items")

type store struct {
	watchers storage.Watchers
	path     string
	db       *bbolt.DB

	write sync.Mutex // holds the order of watch events to that of revisions
}

// Open opens or creates the database at path through h. A database that another process holds is storage.ErrLocked at once.
func Open(h host.Host, path string) (storage.Store, error) {
	if _, err := h.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// bbolt would create the file without making its name durable.
		if err := h.ReplaceFile(path, nil, 0o600); err != nil {
			return nil, fmt.Errorf("creating state database: %w", err)
		}
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Millisecond, // one try
		OpenFile: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
			return h.OpenFile(name, flag, perm)
		},
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("state database %s: %w", path, storage.ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("opening state database %s: %w", path, err)
	}
	s := &store{path: path, db: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing state database %s: %w", path, err), db.Close())
	}
	return s, nil
}

func (s *store) wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrConflict):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return storage.ErrClosed
	}
	return fmt.Errorf("state database %s: %w", s.path, err)
}

func decode(key, raw []byte) (storage.Item, error) {
	if len(raw) < 8 {
		return storage.Item{}, fmt.Errorf("record %q is cut short", key)
	}
	return storage.Item{Key: string(key), Value: append([]byte{}, raw[8:]...), Revision: int64(binary.BigEndian.Uint64(raw))}, nil
}

func (s *store) Get(ctx context.Context, key string) (item storage.Item, err error) {
	if err := ctx.Err(); err != nil {
		return item, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		raw := tx.Bucket(bucket).Get([]byte(key))
		if raw == nil {
			return storage.ErrNotFound
		}
		item, err = decode([]byte(key), raw)
		return err
	})
	return item, s.wrap(err)
}

// revision returns the revision of a key inside a transaction, 0 when it is absent.
func revision(b *bbolt.Bucket, key string) (int64, error) {
	raw := b.Get([]byte(key))
	if raw == nil {
		return 0, nil
	}
	item, err := decode([]byte(key), raw)
	return item.Revision, err
}

func (s *store) Put(ctx context.Context, key string, value []byte, ifRevision int64) (rev int64, err error) {
	if err := storage.CheckPut(key, value, ifRevision); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		now, err := revision(b, key)
		if err != nil {
			return err
		}
		if err := storage.Allowed(now, ifRevision); err != nil {
			return err
		}
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		rev = int64(seq)
		return b.Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, seq), value...))
	})
	if err != nil {
		return 0, s.wrap(err)
	}
	s.watchers.Send(storage.Item{Key: key, Value: bytes.Clone(value), Revision: rev})
	return rev, nil
}

func (s *store) Delete(ctx context.Context, key string, ifRevision int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	var seq uint64
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		now, err := revision(b, key)
		if err != nil {
			return err
		}
		if now == 0 {
			return storage.ErrNotFound
		}
		if err := storage.Allowed(now, ifRevision); err != nil {
			return err
		}
		if seq, err = b.NextSequence(); err != nil {
			return err
		}
		return b.Delete([]byte(key))
	})
	if errors.Is(err, storage.ErrNotFound) && ifRevision == storage.Any {
		return nil
	}
	if err != nil {
		return s.wrap(err)
	}
	s.watchers.Send(storage.Item{Key: key, Revision: int64(seq), Deleted: true})
	return nil
}

func (s *store) Batch(ctx context.Context, changes []storage.Change) error {
	if err := storage.CheckBatch(changes); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	var told []storage.Item
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for _, c := range changes {
			key := []byte(c.Key)
			if c.Delete && b.Get(key) == nil {
				continue
			}
			seq, err := b.NextSequence()
			if err != nil {
				return err
			}
			if c.Delete {
				err = b.Delete(key)
			} else {
				err = b.Put(key, append(binary.BigEndian.AppendUint64(nil, seq), c.Value...))
			}
			if err != nil {
				return err
			}
			told = append(told, storage.Item{Key: c.Key, Value: bytes.Clone(c.Value), Revision: int64(seq), Deleted: c.Delete})
		}
		return nil
	})
	if err != nil {
		return s.wrap(err)
	}
	for _, item := range told {
		s.watchers.Send(item)
	}
	return nil
}

func (s *store) List(ctx context.Context, prefix string) ([]storage.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := []storage.Item{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			item, err := decode(k, v)
			if err != nil {
				return err
			}
			list = append(list, item)
		}
		return nil
	})
	if err != nil {
		return nil, s.wrap(err)
	}
	return list, nil
}

func (s *store) Watch(ctx context.Context, prefix string) (<-chan storage.Item, error) {
	return s.watchers.Add(ctx, prefix)
}

func (s *store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.watchers.Close()
	return s.db.Close()
}
