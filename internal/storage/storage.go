// Package storage is the contract for small durable records with revisions: ACME accounts, orders, budgets, audit. Certificates are
// not kept here; their PEM bytes stay files.
//
// Memory implements it for a process that runs without a state directory; storage/bolt for one machine. storagetest holds the suite
// that every implementation passes.
package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such key")
	ErrConflict = errors.New("changed by somebody else")
	ErrLocked   = errors.New("in use by another process")
	ErrClosed   = errors.New("storage is closed")
)

// Bounds of a record, in bytes.
const (
	MaxKey   = 1024
	MaxValue = 1 << 20
)

// Values of ifRevision that are no revision.
const (
	Any    int64 = -1 // whatever is there
	Absent int64 = 0  // the key must not exist
)

// Item is one record. Revision is greater than zero and grows with every change of any key of the store. Watch reports a deletion as an
// Item with Deleted set and the revision of the deletion.
type Item struct {
	Key      string
	Value    []byte
	Revision int64
	Deleted  bool
}

// Change is one record of a batch: a new value, or its removal.
type Change struct {
	Key    string
	Value  []byte
	Delete bool
}

// CheckBatch checks the arguments of Batch.
func CheckBatch(changes []Change) error {
	for _, c := range changes {
		if err := CheckPut(c.Key, c.Value, Any); err != nil {
			return err
		}
	}
	return nil
}

// Store keeps records. Every method may be called by any goroutine.
//
// Durability: when Put or Delete return nil, the change survives the death of the process and, where the implementation says
// so, of the machine. When they return an error other than ErrConflict or ErrNotFound, the change may or may not have happened.
// Atomicity: a reader sees a record before or after a change, never between. Values handed in and out are copies.
type Store interface {
	// Get returns the record of key, or ErrNotFound.
	Get(ctx context.Context, key string) (Item, error)
	// Put stores value under key if the key's revision is ifRevision (or Any, or Absent); otherwise ErrConflict. It returns the new revision.
	Put(ctx context.Context, key string, value []byte, ifRevision int64) (int64, error)
	// Delete removes key under the same condition. A key that does not exist is ErrNotFound, except with Any, which is satisfied.
	Delete(ctx context.Context, key string, ifRevision int64) error
	// Batch makes several unconditional changes as one: a reader, and whoever looks after a crash, sees all of them or none.
	Batch(ctx context.Context, changes []Change) error
	// List returns the records whose key starts with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Item, error)
	// Watch sends every change of keys that start with prefix that happens after it returned, in order. The channel is closed when ctx ends,
	// when the store is closed, or when the reader falls too far behind, after which it lists and watches again.
	Watch(ctx context.Context, prefix string) (<-chan Item, error)
	// Close ends all watches and gives up the store's lock. Later calls return ErrClosed.
	Close() error
}

// CheckKey and CheckPut refuse what no implementation takes.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("a key is 1 to %d bytes long, this one %d", MaxKey, len(key))
	}
	return nil
}

// CheckPut checks the arguments of Put.
func CheckPut(key string, value []byte, ifRevision int64) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fmt.Errorf("value of %s is %d bytes long, the limit is %d", key, len(value), MaxValue)
	}
	if ifRevision < Any || ifRevision == math.MaxInt64 {
		return fmt.Errorf("%d is no revision", ifRevision)
	}
	return nil
}

// Allowed tells whether a record with revision now (0: absent) may be changed under ifRevision.
func Allowed(now, ifRevision int64) error {
	if ifRevision == Any || ifRevision == now {
		return nil
	}
	return ErrConflict
}
