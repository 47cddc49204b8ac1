package backend

import "slices"

// A server that tracks another has no checks of its own: it is up, down, stopping, in maintenance or draining when that one is
// (manual 5.2, "track"). The tracked server's life knows its followers, in all generations.

// Follow makes s track another server, once both backends exist, and takes over its state without a word.
func (s *Server) Follow(other *Server) {
	s.o.Track = other
	set, _ := other.inherited()
	op := other.Op()
	s.mu.Lock()
	s.admin = s.admin&^(InheritedMaint|InheritedDrain) | set
	if s.admin&Maint != 0 {
		op = Stopped
	}
	s.moveLocked(op)
	s.refreshLocked()
	s.mu.Unlock()
	s.backend.rebuild()
	l := other.life
	l.mu.Lock()
	list := append([]*Server{s}, l.follow...) // the newest first, as HAProxy tells of them
	l.follow = list
	l.mu.Unlock()
}

func (s *Server) followers() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.life.follow)
}

// unfollow ends the tracking of a server that goes away.
func (s *Server) unfollow() {
	other := s.o.Track
	if other == nil {
		return
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	other.life.follow = slices.DeleteFunc(slices.Clone(other.life.follow), func(x *Server) bool { return x == s })
}

// lead brings the followers to the state of s.
func (s *Server) lead() {
	for _, f := range s.followers() {
		f.imitate(s)
	}
}

// imitate takes over the state of the tracked server.
func (s *Server) imitate(other *Server) {
	set, clear := other.inherited()
	s.setAdmin(set, clear)
	s.settle(other.Op(), s.via())
}

// inherited are the administrative bits that followers of s have and do not have.
func (s *Server) inherited() (set, clear Admin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range []struct{ own, theirs Admin }{{Maint, InheritedMaint}, {Drain, InheritedDrain}} {
		if s.admin&x.own != 0 {
			set |= x.theirs
		} else {
			clear |= x.theirs
		}
	}
	return set, clear
}

// via is the part of a line that names the server which is followed.
func (s *Server) via() string {
	if name := s.Tracked(); name != "" {
		return " via " + name
	}
	return ""
}

// Tracked names the server that is followed, "" for none.
func (s *Server) Tracked() string {
	if o := s.o.Track; o != nil {
		return o.backend.o.Name + "/" + o.Name()
	}
	return ""
}
