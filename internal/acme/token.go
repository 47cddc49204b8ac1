package acme

import (
	"maps"
	"sync"
	"sync/atomic"
)

// tokens are the http-01 answers of the open orders. Readers see one immutable map and take no lock; writers replace it.
type tokens struct {
	snapshot atomic.Pointer[map[string][]byte]

	mu   sync.Mutex
	uses map[string]int // how many orders show a token: a CA may hand two orders of one account the same authorization
}

// lookup returns the key authorization of a token, or nil. The bytes are shared and must not be changed.
func (t *tokens) lookup(token []byte) []byte {
	m := t.snapshot.Load()
	if m == nil {
		return nil
	}
	return (*m)[string(token)]
}

// present shows an answer until the same token is withdrawn as often as it was presented.
func (t *tokens) present(token, keyAuthorization string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses == nil {
		t.uses = map[string]int{}
	}
	t.uses[token]++
	t.replaceLocked(func(m map[string][]byte) { m[token] = []byte(keyAuthorization) })
}

func (t *tokens) withdraw(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses[token]--; t.uses[token] > 0 {
		return
	}
	delete(t.uses, token)
	t.replaceLocked(func(m map[string][]byte) { delete(m, token) })
}

func (t *tokens) replaceLocked(change func(map[string][]byte)) {
	next := map[string][]byte{}
	if old := t.snapshot.Load(); old != nil {
		maps.Copy(next, *old)
	}
	change(next)
	t.snapshot.Store(&next)
}
