package backend

// ID is the number of a server of this backend: the one its line gives it, else its place.
func (b *Backend) ID(s *Server) int { return s.id }

// ByID returns the server with a number; nil when there is none.
func (b *Backend) ByID(id int) *Server {
	for _, s := range b.Servers() {
		if s.id == id && id != 0 {
			return s
		}
	}
	return nil
}

// freeID is the lowest number that no server has.
func (b *Backend) freeID() int {
	id := 1
	for b.ByID(id) != nil {
		id++
	}
	return id
}
