package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Dynamic reports whether the server was made at run time.
func (s *Server) Dynamic() bool { return s.o.Dynamic }

// Fixed reports whether the servers of the backend cannot change at run time: the algorithm has made its choice from the configuration.
func (b *Backend) Fixed() bool { return b.o.Algorithm == "static-rr" }

// Add makes a server that is not in the configuration. It begins in maintenance, with its checks off.
func (b *Backend) Add(o ServerOptions) (*Server, error) {
	b.lists.Lock()
	defer b.lists.Unlock()
	if b.Server(o.Line.Name) != nil {
		return nil, errors.New("Already exists a server with the same name in backend.")
	}
	o.Dynamic = true
	return b.addLocked(newServer(b, o, nil)), nil
}

func (b *Backend) addLocked(s *Server) *Server {
	if s.id == 0 || b.ByID(s.id) != nil {
		s.id = b.freeID()
	}
	list := append(slices.Clone(b.Servers()), s)
	b.setServers(list)
	b.fresh = append(b.fresh, s)
	s.life.attach(b)
	b.rebuild()
	select {
	case b.came <- struct{}{}:
	default: // Run has not looked yet and finds this one too
	}
	return s
}

// Adopt brings over the servers that were added to the earlier generation at run time and returns those it does not take because
// the configuration names one like them now.
func (b *Backend) Adopt(old *Backend) (left []*Server) {
	b.lists.Lock()
	defer b.lists.Unlock()
	for _, s := range old.Servers() {
		switch {
		case !s.o.Dynamic:
		case b.Server(s.Name()) != nil:
			left = append(left, s)
		default:
			o := s.o
			o.Track = nil
			n := newServer(b, o, old)
			n.id = s.id
			b.addLocked(n)
		}
	}
	return left
}

// Removable says why the server cannot be removed now, nil if it can. pinned says that the configuration points to it.
func (s *Server) Removable(pinned bool) error {
	switch {
	case pinned || len(s.followers()) > 0:
		return errors.New("This server cannot be removed at runtime due to other configuration elements pointing to it.")
	case s.Facts().Admin&Maint == 0:
		return errors.New("Only servers in maintenance mode can be deleted.")
	case s.busy():
		return ErrBusy
	}
	return nil
}

// ErrBusy refuses to remove a server whose connections have not ended yet; it is worth waiting.
var ErrBusy = errors.New("Server still has connections attached to it, cannot remove it.")

// busy reports whether requests hold the server or wait for it.
func (s *Server) busy() bool {
	return s.Served() > 0 || s.life.counters.Cur.Load() > 0 || s.life.counters.QCur.Load() > 0
}

// Remove takes the server out of b, if it can go (see Removable).
func (b *Backend) Remove(s *Server, pinned bool) error {
	b.lists.Lock()
	defer b.lists.Unlock()
	if err := s.Removable(pinned); err != nil {
		return err
	}
	list := slices.DeleteFunc(slices.Clone(b.Servers()), func(x *Server) bool { return x == s })
	b.setServers(list)
	b.fresh = slices.DeleteFunc(b.fresh, func(x *Server) bool { return x == s })
	close(s.gone)
	s.unfollow()
	s.life.leave(b)
	b.rebuild()
	s.Forget()
	return nil
}

func (b *Backend) takeFresh() []*Server {
	b.lists.Lock()
	defer b.lists.Unlock()
	fresh := b.fresh
	b.fresh = nil
	return fresh
}

// tend starts what a server needs as long as it is there.
func (b *Backend) tend(ctx context.Context, wg *sync.WaitGroup, s *Server, delay time.Duration) {
	if s.checked() {
		wg.Go(func() { s.watch(ctx, delay) })
	}
	if s.o.Line.AgentCheck {
		wg.Go(func() { s.watchAgent(ctx, delay) })
	}
	wg.Go(func() { s.purgeEvery(ctx) })
}

// Forget ends what a server made at run time holds on to. Its backend ends, or the configuration took its place.
func (s *Server) Forget() {
	if s.o.Dynamic && s.o.Release != nil {
		s.o.Release()
	}
}
