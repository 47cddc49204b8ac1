package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
	"gatehouse/internal/storage/bolt"
)

// StoreCheckOptions say what `gatehouse store check` looks at.
type StoreCheckOptions struct {
	Files  []string // of the configuration, as -f has them
	Repair bool
	// Memory returns the SHA-1 fingerprint of what a running process serves under a name, "" for none; nil asks no process.
	Memory func(name string) (string, error)
}

// StoreCheck loads a configuration as -c does and compares what it declares with the disk, the state directory, the history and a running process.
// The error is about the configuration or the state directory as a whole.
func StoreCheck(ctx context.Context, o StoreCheckOptions) (certstore.Report, error) {
	var none certstore.Report
	loaded, err := loadOffline(ctx, o.Files)
	if err != nil {
		return none, err
	}
	plan := loaded.plan()
	if plan == nil || loaded.diags.HasErrors() {
		return none, fmt.Errorf("the configuration does not load: %s", firstError(loaded.diags))
	}
	check := certstore.CheckOptions{Repair: o.Repair, Memory: o.Memory}
	db, err := openToCheck(loaded.host, filepath.Join(loaded.stateDir(loaded.cfg), "state.db"), o.Repair)
	switch {
	case errors.Is(err, storage.ErrLocked):
		check.Held = "a running process holds the state directory"
	case errors.Is(err, fs.ErrNotExist): // nothing was ever written
	case err != nil:
		return none, err
	default:
		defer db.Close()
		check.DB = db
	}
	return plan.Check(check), nil
}

// openToCheck opens a state database that exists; without repairs it is not written to.
func openToCheck(h host.Host, path string, repair bool) (storage.Store, error) {
	if _, err := h.Stat(path); err != nil {
		return nil, err
	}
	if repair {
		return bolt.Open(h, path)
	}
	return bolt.OpenToRead(h, path)
}

func firstError(diags config.Diags) string {
	for _, d := range diags {
		if d.Level == config.LevelAlert && !d.Soft {
			return strings.TrimSpace(d.Text)
		}
	}
	return "errors were found"
}
