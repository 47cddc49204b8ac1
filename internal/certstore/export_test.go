package certstore

// Reread is what watching does when a certificate's files were left alone for long enough.
func (s *Store) Reread(name string) { s.reread(name) }
