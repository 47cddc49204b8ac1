package pattern

import (
	"fmt"
	"sync"
	"testing"
)

// TestReadersAndWritersMeet has requests look up while commands and rules change the set: what is always there is always found.
func TestReadersAndWritersMeet(t *testing.T) {
	r := newRefs()
	str := fileView(t, r, "virt@list", Use{Method: Str})
	sub := fileView(t, r, "virt@list", Use{Method: Sub, Fold: true})
	if err := str.ref.Add(Item{Key: "stays"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if !str.Match(valueFor(Str, "stays")) || !sub.Match(valueFor(Sub, "it STAYS here")) {
					t.Error("an entry that is there was not found")
					return
				}
			}
		})
	}
	for i := range 500 {
		key := fmt.Sprintf("key%d", i)
		if err := str.ref.Put(key, "v"); err != nil {
			t.Error(err)
		}
		if !str.Match(valueFor(Str, key)) {
			t.Errorf("%s is not there after it was put", key)
		}
		if i%3 != 0 {
			str.ref.Delete(key)
		}
		if str.Match(valueFor(Str, key)) != (i%3 == 0) {
			t.Errorf("%s after its deletion", key)
		}
		if i%100 == 0 {
			ver := str.ref.Prepare()
			if err := str.ref.AddTo(ver, Item{Key: "stays"}); err != nil {
				t.Error(err)
			}
			if err := str.ref.Commit(ver); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	readers.Wait()
}
