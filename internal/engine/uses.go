package engine

import (
	"fmt"
	"sync/atomic"

	"gatehouse/internal/backend"
	"gatehouse/internal/cert"
)

// bindEntry is one entry of a bind line's index, and the use of its certificate.
type bindEntry struct {
	bind   *bindGen
	entry  *cert.Entry
	detach func() // ends the use; nil before the generation serves
}

// Prepare refuses a bundle with which no handshake could be made.
func (u *bindEntry) Prepare(b *cert.Bundle) error { return b.CheckKey() }

// Publish makes the entry serve b. An entry that was off for want of a usable certificate comes on.
func (u *bindEntry) Publish(b *cert.Bundle) { u.bind.index.Add(u.entry, b) }

// serverUse keeps a server's client certificate in use. The server asks the store at each handshake; what was opened with an earlier
// certificate is not used again.
type serverUse struct {
	of atomic.Pointer[backend.Server]
}

func (*serverUse) Prepare(b *cert.Bundle) error { return b.CheckKey() }

// Publish lets no connection nor session of the earlier certificate be used again.
func (u *serverUse) Publish(*cert.Bundle) {
	if s := u.of.Load(); s != nil {
		s.Renew()
	}
}

// listUse lets a bind line follow a crt-list or directory. Its methods are called one at a time, by the store.
type listUse struct {
	e    *Engine
	bind *bindGen
	list string
}

// PrepareAdd refuses a line with which no handshake could be made.
func (u *listUse) PrepareAdd(line cert.Line, b *cert.Bundle) error {
	if line.Options != nil {
		merged := line.Options.Merge(u.bind.tls)
		if _, _, err := merged.VersionRange(); err != nil {
			return fmt.Errorf("'%s': %w", line.Cert, err)
		}
	}
	return b.CheckKey()
}

// Add makes the line answer handshakes.
func (u *listUse) Add(line cert.Line, b *cert.Bundle) {
	use := &bindEntry{bind: u.bind, entry: u.bind.lineEntry(u.list, line)}
	use.entry.Default = len(u.bind.entries) == 0
	u.bind.entries = append(u.bind.entries, use)
	use.detach = u.e.o.Store.Attach(line.Cert, use)
	u.bind.index.Add(use.entry, b)
}

// Remove takes the line out; handshakes that chose it finish.
func (u *listUse) Remove(line cert.Line) {
	i := u.find(line)
	if i < 0 {
		return
	}
	use := u.bind.entries[i]
	use.detach()
	u.bind.index.Remove(use.entry)
	u.bind.entries = append(u.bind.entries[:i:i], u.bind.entries[i+1:]...)
}

// Defaults names the bind line when the line is its default certificate, which cannot go away.
func (u *listUse) Defaults(line cert.Line) []string {
	i := u.find(line)
	if i < 0 || !u.bind.entries[i].entry.Default || u.bind.index.StrictSNI() {
		return nil
	}
	return []string{fmt.Sprintf("%s:%d", u.bind.cfg.Pos.File, u.bind.cfg.Pos.Line)}
}

func (u *listUse) find(line cert.Line) int {
	for i, use := range u.bind.entries {
		e := use.entry
		if e.List == u.list && e.Line == line.N && e.Name == line.Cert {
			return i
		}
	}
	return -1
}

// follow attaches the uses of a generation. Commits are held back by the caller.
func (e *Engine) follow(g *generation) {
	store := e.o.Store
	for _, x := range g.proxies {
		for _, b := range x.binds {
			for _, u := range b.entries {
				u.detach = store.Attach(u.entry.Name, u)
			}
			if b.index != nil {
				g.detach = append(g.detach, store.AttachTrust(b))
			}
			for _, list := range b.lists {
				g.detach = append(g.detach, store.AttachList(list, &listUse{e: e, bind: b, list: list}))
			}
		}
		x.uses = map[string][]func(){}
		for _, c := range x.crts {
			u := &serverUse{}
			u.of.Store(x.servers.Server(c.server))
			x.uses[c.server] = append(x.uses[c.server], store.Attach(c.name, u))
		}
		for _, t := range x.trusts {
			x.uses[t.server] = append(x.uses[t.server], store.AttachTrust(t.serverTrust))
		}
	}
}

// unfollow ends the uses of a generation.
func (g *generation) unfollow() {
	for _, x := range g.proxies {
		for _, b := range x.binds {
			for _, u := range b.entries {
				u.detach()
			}
		}
	}
	for _, detach := range g.detach {
		detach()
	}
	for _, x := range g.proxies {
		for server := range x.uses {
			x.release(server)
		}
	}
}

// release ends the uses of what a server's line names.
func (x *proxyGen) release(server string) {
	for _, detach := range x.uses[server] {
		detach()
	}
	delete(x.uses, server)
}

// serverCrt and serverTrustOf are what a server line names.
type (
	serverCrt     struct{ server, name string }
	serverTrustOf struct {
		server string
		serverTrust
	}
)
