package storage_test

import (
	"testing"

	"gatehouse/internal/storage"
	"gatehouse/internal/storage/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return storage.Memory() })
}
