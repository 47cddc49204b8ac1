package engine

import (
	"crypto/sha256"
	"fmt"

	"gatehouse/internal/config"
	"gatehouse/internal/listener"
)

// TicketFile is a tls-ticket-keys file of the configuration that serves. A reload keeps what commands changed as long as the file stays the same.
type TicketFile struct {
	name string
	id   int
	sum  [sha256.Size]byte
	keys *listener.Tickets
}

// Name is the path as the configuration has it.
func (f *TicketFile) Name() string { return f.name }

// ID is its number among the files: as in HAProxy, the last one of the configuration is 0.
func (f *TicketFile) ID() int { return f.id }

// Keys are the keys in use, oldest first; the second encrypts. They are secret.
func (f *TicketFile) Keys() [][]byte { return f.keys.Keys() }

// Rotate appends a key and drops the oldest. A key that is not as long as the others is listener.ErrKeySize.
func (f *TicketFile) Rotate(key []byte) error { return f.keys.Rotate(key) }

// TicketFiles lists the files of the configuration that serves, by ID.
func (e *Engine) TicketFiles() []*TicketFile {
	g := e.gen.Load()
	if g == nil {
		return nil
	}
	list := make([]*TicketFile, len(g.ticketFiles))
	for i, f := range g.ticketFiles {
		list[len(list)-1-i] = f
	}
	return list
}

// maxTicketFile bounds a tls-ticket-keys file, in bytes.
const maxTicketFile = 1 << 20

// ticketKeys are the keys of a bind line's tls-ticket-keys, read once per plan; nil after an error was told.
func (b *builder) ticketKeys(name string, pos config.Pos, where string) *listener.Tickets {
	for _, f := range b.plan.ticketFiles {
		if f.name == name {
			return f.keys
		}
	}
	f := &TicketFile{name: name}
	data, err := b.e.o.Host.ReadFile(name, maxTicketFile)
	if err != nil {
		err = fmt.Errorf("unable to load ssl tickets keys file")
	} else if f.sum = sha256.Sum256(data); !b.sameTickets(f) {
		f.keys, err = b.e.tickets.FromFile(data)
	}
	if err != nil {
		b.diags.Alert(pos, "%s : '%s' : %v", where, name, err)
		return nil
	}
	b.plan.ticketFiles = append(b.plan.ticketFiles, f)
	return f.keys
}

// sameTickets takes the keys that serve when they came from the same file content.
func (b *builder) sameTickets(f *TicketFile) bool {
	if b.last == nil {
		return false
	}
	for _, old := range b.last.ticketFiles {
		if old.name == f.name && old.sum == f.sum {
			f.keys = old.keys
			return true
		}
	}
	return false
}

// numberTickets gives the files their IDs.
func (b *builder) numberTickets() {
	for i, f := range b.plan.ticketFiles {
		f.id = len(b.plan.ticketFiles) - 1 - i
	}
}

// limitSessions puts tune.ssl.lifetime and tune.ssl.cachesize into force.
func (e *Engine) limitSessions(g *config.Global) {
	e.tickets.SetLifetime(g.SSLLifetime)
	size, life := listener.DefaultSessions, listener.DefaultSessionLife
	if g.SSLCacheSize != nil {
		size = *g.SSLCacheSize
	}
	if g.SSLLifetime > 0 {
		life = g.SSLLifetime
	}
	e.sessions.SetLimits(size, life)
}
