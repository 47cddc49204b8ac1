package listener

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/cert"
)

// ECH is the keys of Encrypted ClientHello (RFC 9849) of one bind line. The zero value has none. Handshakes read it without a lock.
type ECH struct {
	mu      sync.Mutex // of those who change it
	entries atomic.Pointer[[]ECHEntry]
}

// ECHEntry is one key in use. It is immutable.
type ECHEntry struct {
	cert.ECHKey
	Loaded time.Time
	key    tls.EncryptedClientHelloKey
}

// Entries are the keys in use, oldest first.
func (x *ECH) Entries() []ECHEntry {
	if list := x.entries.Load(); list != nil {
		return *list
	}
	return nil
}

// maxECH bounds the keys of a bind line: a handshake may try them all.
const maxECH = 64

// Add puts keys behind those in use, or, with replace, in their place. It reports whether there was room for them.
func (x *ECH) Add(keys []cert.ECHKey, replace bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []ECHEntry
	if !replace {
		list = append(list, x.Entries()...)
	}
	for _, k := range keys {
		list = append(list, ECHEntry{k, time.Now(), tls.EncryptedClientHelloKey{Config: k.Config, PrivateKey: k.Private, SendAsRetry: true}})
	}
	if len(list) > maxECH {
		return false
	}
	x.entries.Store(&list)
	return true
}

// Drop removes the keys that are at least so old.
func (x *ECH) Drop(age time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []ECHEntry
	for _, e := range x.Entries() {
		if age > 0 && time.Since(e.Loaded) < age {
			list = append(list, e)
		}
	}
	x.entries.Store(&list)
}

// keys is asked only about clients that sent the extension.
func (x *ECH) keys(*tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
	entries := x.Entries()
	keys := make([]tls.EncryptedClientHelloKey, len(entries))
	for i := range entries {
		keys[i] = entries[i].key
	}
	return keys, nil
}

// hideNames lets clients encrypt their ClientHello. The configuration that a handshake begins with decrypts, the one it goes on with sends
// the keys to clients that used another one.
func (s *server) hideNames(cfg *tls.Config) {
	if s.o.ECH != nil {
		cfg.GetEncryptedClientHelloKeys = s.o.ECH.keys
	}
}
