package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/host"
	"gatehouse/internal/storage"
	"gatehouse/internal/storage/bolt"
	"gatehouse/internal/storage/storagetest"
)

func open(t *testing.T, path string) storage.Store {
	t.Helper()
	s, err := bolt.Open(host.Direct{}, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBolt(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, filepath.Join(t.TempDir(), "state.db")) })
}

func TestARecordSurvivesCloseAndOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	rev, err := s.Put(t.Context(), "account/le", []byte("secret"), storage.Absent)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	defer s.Close()
	got, err := s.Get(t.Context(), "account/le")
	if err != nil || string(got.Value) != "secret" || got.Revision != rev {
		t.Fatalf("after reopening: %+v, %v; want secret at %d", got, err, rev)
	}
	if next, err := s.Put(t.Context(), "b", nil, storage.Any); err != nil || next <= rev {
		t.Fatalf("revision after reopening is %d, %v; want more than %d", next, err, rev)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("database mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestADatabaseInUseIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	defer open(t, path).Close()
	_, err := bolt.Open(host.Direct{}, path)
	if !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second open: %v; want ErrLocked naming %s", err, path)
	}
}

func TestAForeignFileIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	content := strings.Repeat("not a database\n", 1000)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(host.Direct{}, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("opening garbage: %v; want an error that names the file", err)
	}
	if got, _ := os.ReadFile(path); string(got) != content {
		t.Fatal("the foreign file was changed")
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	h := host.Direct{Fault: func(step host.Step, name string) error { return syscall.ENOSPC }}
	if _, err := bolt.Open(h, filepath.Join(t.TempDir(), "state.db")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Open on a full disk: %v, want ENOSPC", err)
	}
}
