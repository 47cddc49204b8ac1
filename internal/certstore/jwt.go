package certstore

import (
	"crypto"
	"maps"
	"slices"
)

// jwtKeys are the public keys of the certificates that may verify JSON Web Tokens, by name. A value is immutable: requests read it without a lock.
type jwtKeys map[string]crypto.PublicKey

// UseForJWT lets a declared name verify tokens, as `jwt on` does: a rule names it (manual, "jwt_verify_cert"). It has no effect on names that are
// not declared.
func (p *Plan) UseForJWT(name string) {
	if it := p.items[name]; it != nil {
		it.jwt = true
	}
}

// forJWT tells whether a declaration, or a rule, lets the certificate verify tokens.
func (it *item) forJWT() bool { return it.jwt || it.src.Attrs != nil && it.src.Attrs.JWT }

// JWTKey returns the public key of a certificate that may verify tokens. A nil key with known says that the name is there and may not. It takes
// no lock unless the answer is nil.
func (s *Store) JWTKey(name []byte) (key crypto.PublicKey, known bool) {
	if keys := s.jwt.Load(); keys != nil {
		if key, ok := (*keys)[string(name)]; ok {
			return key, true
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[string(name)]
	return nil, e != nil && !e.jwt
}

// SetJWT allows or forbids that a name verifies tokens, until the configuration is read anew (`add ssl jwt`, `del ssl jwt`). A certificate that comes
// later by a commit follows. Errors are *Error.
func (s *Store) SetJWT(name string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e == nil {
		return refuse(notFound)
	}
	e.jwt = on
	s.rekeyLocked(e)
	return nil
}

// JWTNames returns the names that may verify tokens, sorted bytewise (`show ssl jwt`).
func (s *Store) JWTNames() (names []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, e := range s.entries {
		if e.jwt {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// rekeyLocked has requests see what an entry says now.
func (s *Store) rekeyLocked(e *entry) {
	old := s.jwt.Load()
	serves := e.jwt && e.bundle != nil
	if !serves && (old == nil || (*old)[e.name] == nil) {
		return
	}
	keys := jwtKeys{}
	if old != nil {
		maps.Copy(keys, *old)
	}
	delete(keys, e.name)
	if serves {
		keys[e.name] = e.bundle.X509().PublicKey
	}
	s.jwt.Store(&keys)
}

// rekeyAllLocked is rekeyLocked for a new generation.
func (s *Store) rekeyAllLocked() {
	keys := jwtKeys{}
	for name, e := range s.entries {
		if e.jwt && e.bundle != nil {
			keys[name] = e.bundle.X509().PublicKey
		}
	}
	s.jwt.Store(&keys)
}

// keyless tells that a name was declared to need no private key.
func (s *Store) keyless(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[name]
	return e != nil && e.src != nil && e.src.keyless()
}
