// Package storagetest is the suite that every implementation of storage.Store passes.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/storage"
)

// Run runs the suite; open returns a new empty store.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s storage.Store)
	}{
		{"what is put is got back with its revision", putGet},
		{"revisions grow over all keys", revisionsGrow},
		{"a stale revision is refused and changes nothing", conflict},
		{"delete wants the revision too", deletes},
		{"list returns the prefix in order", list},
		{"a batch is one change", batch},
		{"bounds are kept", bounds},
		{"values are copies", copies},
		{"of many who put under one revision one wins", race},
		{"a watch sees later changes of its prefix in order", watch},
		{"a watch ends with its context, with the store, and when nobody reads", watchEnds},
		{"a closed store refuses everything", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			c.run(t, s)
		})
	}
}

func batch(t *testing.T, s storage.Store) {
	first := put(t, s, "a", "1", storage.Absent)
	changes, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Batch(t.Context(), []storage.Change{{Key: "a", Delete: true}, {Key: "b", Value: []byte("2")}, {Key: "none", Delete: true}, {Key: "c", Value: []byte("3")}}); err != nil {
		t.Fatal(err)
	}
	items, err := s.List(t.Context(), "")
	if err != nil || len(items) != 2 || items[0].Key != "b" || string(items[1].Value) != "3" || items[0].Revision <= first || items[1].Revision <= items[0].Revision {
		t.Errorf("after the batch there is %+v, %v", items, err)
	}
	for _, want := range []string{"a true", "b false", "c false"} {
		if got := <-changes; fmt.Sprint(got.Key, " ", got.Deleted) != want {
			t.Errorf("the watch tells %+v, want %s", got, want)
		}
	}
	if err := s.Batch(t.Context(), []storage.Change{{Key: "d", Value: []byte("4")}, {Key: ""}}); err == nil {
		t.Error("a batch with an empty key was taken")
	}
	if _, err := s.Get(t.Context(), "d"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("half of a refused batch is there: %v", err)
	}
}

func put(t *testing.T, s storage.Store, key, value string, rev int64) int64 {
	t.Helper()
	r, err := s.Put(t.Context(), key, []byte(value), rev)
	if err != nil {
		t.Fatalf("Put(%q, %q, %d): %v", key, value, rev, err)
	}
	return r
}

func putGet(t *testing.T, s storage.Store) {
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("Get of nothing: %v, want ErrNotFound", err)
	}
	rev := put(t, s, "a", "1", storage.Absent)
	got, err := s.Get(t.Context(), "a")
	if err != nil || got.Key != "a" || string(got.Value) != "1" || got.Revision != rev || got.Deleted {
		t.Fatalf("Get = %+v, %v; want a=1 at %d", got, err, rev)
	}
	put(t, s, "empty", "", storage.Any)
	if got, err := s.Get(t.Context(), "empty"); err != nil || got.Value == nil || len(got.Value) != 0 {
		t.Fatalf("empty value came back as %v, %v", got.Value, err)
	}
}

func revisionsGrow(t *testing.T, s storage.Store) {
	last := int64(0)
	for i := range 5 {
		rev := put(t, s, fmt.Sprint("k", i%2), "v", storage.Any)
		if rev <= last {
			t.Fatalf("revision %d after %d", rev, last)
		}
		last = rev
	}
	if err := s.Delete(t.Context(), "k0", storage.Any); err != nil {
		t.Fatal(err)
	}
	if rev := put(t, s, "k0", "again", storage.Absent); rev <= last+1 {
		t.Fatalf("after a deletion the revision is %d, want more than %d", rev, last+1)
	}
}

func conflict(t *testing.T, s storage.Store) {
	first := put(t, s, "a", "1", storage.Absent)
	second := put(t, s, "a", "2", first)
	for _, stale := range []int64{first, storage.Absent, second + 10} {
		if _, err := s.Put(t.Context(), "a", []byte("3"), stale); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("Put under revision %d: %v, want ErrConflict", stale, err)
		}
	}
	if _, err := s.Put(t.Context(), "b", nil, 7); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Put of an absent key under revision 7: %v, want ErrConflict", err)
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || string(got.Value) != "2" || got.Revision != second {
		t.Errorf("after refused puts: %+v, %v", got, err)
	}
}

func deletes(t *testing.T, s storage.Store) {
	rev := put(t, s, "a", "1", storage.Any)
	if err := s.Delete(t.Context(), "a", rev+1); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("Delete under a wrong revision: %v", err)
	}
	if err := s.Delete(t.Context(), "a", rev); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get after Delete: %v", err)
	}
	if err := s.Delete(t.Context(), "a", rev); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("second Delete: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), "a", storage.Any); err != nil {
		t.Errorf("Delete of nothing under Any: %v", err)
	}
}

func list(t *testing.T, s storage.Store) {
	for _, k := range []string{"a/2", "b", "a/1", "a", "a0"} {
		put(t, s, k, k, storage.Any)
	}
	for prefix, want := range map[string]string{"a/": "a/1 a/2", "": "a a/1 a/2 a0 b", "c": ""} {
		items, err := s.List(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, it := range items {
			if string(it.Value) != it.Key || it.Revision <= 0 {
				t.Errorf("List(%q) holds %+v", prefix, it)
			}
			keys = append(keys, it.Key)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func bounds(t *testing.T, s storage.Store) {
	for _, c := range []struct {
		key   string
		value int
	}{{"", 1}, {strings.Repeat("k", storage.MaxKey+1), 1}, {"k", storage.MaxValue + 1}} {
		if _, err := s.Put(t.Context(), c.key, make([]byte, c.value), storage.Any); err == nil {
			t.Errorf("a key of %d and a value of %d bytes were taken", len(c.key), c.value)
		}
	}
	put(t, s, strings.Repeat("k", storage.MaxKey), strings.Repeat("v", storage.MaxValue), storage.Any)
}

func copies(t *testing.T, s storage.Store) {
	value := []byte("abc")
	if _, err := s.Put(t.Context(), "a", value, storage.Any); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	got.Value[1] = 'X'
	if again, err := s.Get(t.Context(), "a"); err != nil || !bytes.Equal(again.Value, []byte("abc")) {
		t.Errorf("stored value is now %q, %v", again.Value, err)
	}
}

func race(t *testing.T, s storage.Store) {
	rev := put(t, s, "a", "0", storage.Any)
	var wg sync.WaitGroup
	won := make(chan int64, 8)
	for i := range cap(won) {
		wg.Go(func() {
			r, err := s.Put(t.Context(), "a", []byte{byte(i)}, rev)
			switch {
			case err == nil:
				won <- r
			case !errors.Is(err, storage.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d puts under one revision won, want 1", len(won))
	}
	if got, _ := s.Get(t.Context(), "a"); got.Revision != <-won {
		t.Errorf("the record is not the winner's: %+v", got)
	}
}

func watch(t *testing.T, s storage.Store) {
	put(t, s, "a/0", "before", storage.Any)
	ch, err := s.Watch(t.Context(), "a/")
	if err != nil {
		t.Fatal(err)
	}
	r1 := put(t, s, "a/1", "x", storage.Any)
	put(t, s, "b", "other", storage.Any)
	if err := s.Delete(t.Context(), "a/0", storage.Any); err != nil {
		t.Fatal(err)
	}
	first, second := <-ch, <-ch
	if first.Key != "a/1" || string(first.Value) != "x" || first.Revision != r1 || first.Deleted {
		t.Errorf("first event: %+v", first)
	}
	if second.Key != "a/0" || !second.Deleted || second.Revision <= r1 {
		t.Errorf("second event: %+v", second)
	}
}

func watchEnds(t *testing.T, s storage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	ended, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	behind, err := s.Watch(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	open, err := s.Watch(t.Context(), "nothing")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range ended { // returns when the channel is closed
	}
	for i := range 2000 {
		put(t, s, fmt.Sprint("k", i%3), "v", storage.Any)
		if i > 1 && closedNow(behind, i) {
			break
		}
	}
	n := 0
	for range behind {
		n++
	}
	if n == 0 {
		t.Error("a slow reader lost everything instead of what came last")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if it, ok := <-open; ok {
		t.Errorf("event %+v from a closed store", it)
	}
}

// closedNow tells whether a watch that nobody read must be over: it is full once as many changes were made as it holds.
func closedNow(ch <-chan storage.Item, made int) bool { return made > cap(ch)+1 }

func closed(t *testing.T, s storage.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Put(t.Context(), "a", nil, storage.Any); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Delete(t.Context(), "a", storage.Any); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Delete: %v", err)
	}
	if _, err := s.List(t.Context(), ""); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("List: %v", err)
	}
	if _, err := s.Watch(t.Context(), ""); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Watch: %v", err)
	}
}
