package backend

// ID is the number of a server of this backend: the one its line gives it, else its place.
func (b *Backend) ID(s *Server) int {
	if s.o.Line.ID != 0 {
		return s.o.Line.ID
	}
	for i, other := range b.servers {
		if other == s {
			return i + 1
		}
	}
	return 0
}

// ByID returns the server with a number; nil when there is none.
func (b *Backend) ByID(id int) *Server {
	for i, s := range b.servers {
		if s.o.Line.ID == id && id != 0 || s.o.Line.ID == 0 && i+1 == id {
			return s
		}
	}
	return nil
}
