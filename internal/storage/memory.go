package storage

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
)

// Memory returns a store that forgets everything when the process ends.
func Memory() Store { return &memory{items: map[string]Item{}} }

type memory struct {
	watchers Watchers

	mu       sync.Mutex
	closed   bool
	revision int64
	items    map[string]Item
}

func (m *memory) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

func (m *memory) Get(ctx context.Context, key string) (Item, error) {
	if err := m.lock(ctx); err != nil {
		return Item{}, err
	}
	defer m.mu.Unlock()
	item, ok := m.items[key]
	if !ok {
		return Item{}, ErrNotFound
	}
	item.Value = bytes.Clone(item.Value)
	return item, nil
}

func (m *memory) Put(ctx context.Context, key string, value []byte, ifRevision int64) (int64, error) {
	if err := CheckPut(key, value, ifRevision); err != nil {
		return 0, err
	}
	if err := m.lock(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if err := Allowed(m.items[key].Revision, ifRevision); err != nil {
		return 0, err
	}
	m.revision++
	item := Item{Key: key, Value: append([]byte{}, value...), Revision: m.revision}
	m.items[key] = item
	item.Value = bytes.Clone(item.Value)
	m.watchers.Send(item)
	return m.revision, nil
}

func (m *memory) Delete(ctx context.Context, key string, ifRevision int64) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	old, ok := m.items[key]
	if !ok {
		if ifRevision == Any {
			return nil
		}
		return ErrNotFound
	}
	if err := Allowed(old.Revision, ifRevision); err != nil {
		return err
	}
	delete(m.items, key)
	m.revision++
	m.watchers.Send(Item{Key: key, Revision: m.revision, Deleted: true})
	return nil
}

func (m *memory) Batch(ctx context.Context, changes []Change) error {
	if err := CheckBatch(changes); err != nil {
		return err
	}
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, c := range changes {
		if _, there := m.items[c.Key]; c.Delete && !there {
			continue
		}
		m.revision++
		item := Item{Key: c.Key, Revision: m.revision, Deleted: true}
		if c.Delete {
			delete(m.items, c.Key)
		} else {
			item = Item{Key: c.Key, Value: append([]byte{}, c.Value...), Revision: m.revision}
			m.items[c.Key] = item
			item.Value = bytes.Clone(item.Value)
		}
		m.watchers.Send(item)
	}
	return nil
}

func (m *memory) List(ctx context.Context, prefix string) ([]Item, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	list := []Item{}
	for key, item := range m.items {
		if strings.HasPrefix(key, prefix) {
			item.Value = bytes.Clone(item.Value)
			list = append(list, item)
		}
	}
	slices.SortFunc(list, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}

func (m *memory) Watch(ctx context.Context, prefix string) (<-chan Item, error) {
	return m.watchers.Add(ctx, prefix)
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.watchers.Close()
	return nil
}
