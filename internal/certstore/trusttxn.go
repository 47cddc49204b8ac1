package certstore

import (
	"fmt"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// NewTrust makes an empty file (`new ssl ca-file`, `new ssl crl-file`).
func (s *Store) NewTrust(kind TrustKind, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trust.files[name] != nil {
		return refuse(fmt.Sprintf("%s file '%s' already exists!", kind.word(), name))
	}
	if len(name) > maxName || strings.ContainsAny(name, "\n\r\x00") {
		return refuse("this cannot be the name of a file")
	}
	s.trust.files[name] = &trustFile{name: name, kind: kind, persist: s.trust.persist}
	return nil
}

// SetTrust opens a transaction on a file with the content of payload, or goes on with the open one (`set ssl ca-file`, `set ssl crl-file`). With add
// (`add ssl ca-file`) the payload's certificates come to those that the transaction, or else the file, has. Errors are *Error.
func (s *Store) SetTrust(kind TrustKind, name string, payload []byte, add bool) (created bool, err error) {
	fail := func(lines ...string) (bool, error) {
		return false, refuse(append(lines, fmt.Sprintf("Can't update %s!", name))...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, open := s.trust.files[name], s.trust.pending[name]
	switch {
	case f == nil || f.kind != kind:
		return fail(fmt.Sprintf("Can't replace a %s file which is not referenced by the configuration!", kind.word()))
	case open != nil && open.committing:
		return fail(fmt.Sprintf("Can't update the %s file!", kind.word()), "Operations on certificates are currently locked!")
	}
	now := f.value
	if open != nil {
		now = open.value
	}
	next, err := kind.changed(name, now, payload, add)
	if err != nil {
		return fail("Invalid payload")
	}
	s.trust.pending[name] = &trustTxn{kind: kind, value: next}
	return open == nil, nil
}

// changed is what a payload makes of a file.
func (k TrustKind) changed(name string, now holding, payload []byte, add bool) (holding, error) {
	if len(payload) > maxTrustFile {
		return nil, fmt.Errorf("longer than %d bytes", maxTrustFile)
	}
	if !add || k != CAs {
		return k.parse(name, payload)
	}
	ca, _ := now.(*cert.CAFile)
	next, err := ca.With(name, payload)
	if err == nil && len(next.PEM()) > maxTrustFile {
		err = fmt.Errorf("longer than %d bytes", maxTrustFile)
	}
	return orNil(next, err)
}

// AbortTrust drops the open transaction of a file.
func (s *Store) AbortTrust(kind TrustKind, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch open := s.trust.pending[name]; {
	case open == nil || open.kind != kind:
		return refuse("No ongoing transaction!")
	case open.committing:
		return refuse("Can't abort!", "Operations on certificates are currently locked!")
	}
	delete(s.trust.pending, name)
	return nil
}

// CommitTrust makes the open transaction of a file durable and then visible to every use at once (`commit ssl ca-file`, `commit ssl crl-file`). dot is called for
// each use. Errors are *Error; when one has Failed set the transaction is gone and nothing has changed, otherwise it stays open.
func (s *Store) CommitTrust(kind TrustKind, name, by string, dot func()) (warnings []string, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	f, value, err := s.beginTrust(kind, name)
	if err != nil {
		return nil, err
	}
	if dot != nil {
		for range s.trustUses(name) {
			dot()
		}
	}
	v := &trustSaver{Store: s, file: f, value: value}
	err = v.save()
	s.mu.Lock()
	delete(s.trust.pending, name)
	if err == nil {
		next := *f
		s.seq++
		next.value, next.seq, next.unsaved, next.disk = value, s.seq, v.unsaved, v.disk
		s.trust.files[name] = &next
		s.publishTrustLocked()
	}
	s.mu.Unlock()
	if err != nil {
		s.emit(event.CertUnsaved, "alert", name, fmt.Sprintf("%s file '%s' was not changed: %v", kind.word(), name, err))
		return nil, failed(err)
	}
	s.emit(event.TrustCommitted, "notice", name, fmt.Sprintf("%s file '%s' changed by %s: it holds %d", kind.word(), name, by, value.Len()))
	return v.warnings, nil
}

// beginTrust takes the transaction for a commit, so that nobody changes it meanwhile.
func (s *Store) beginTrust(kind TrustKind, name string) (*trustFile, holding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.trust.pending[name]
	if open == nil || open.kind != kind {
		return nil, nil, refuse("No ongoing transaction! !", fmt.Sprintf("Can't commit %s!", name))
	}
	open.committing = true
	return s.trust.files[name], open.value, nil
}

// DeleteTrust removes an unused file from memory (`del ssl ca-file`, `del ssl crl-file`) and its kept version. A file of the configuration stays on disk and is
// read again at the next reload.
func (s *Store) DeleteTrust(kind TrustKind, name string) error {
	fail := func(format string) error {
		return refuse(fmt.Sprintf("Can't remove the %s file: ", kind.word()) + fmt.Sprintf(format, kind.word(), name))
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	f, open := s.trust.files[name], s.trust.pending[name]
	s.mu.RUnlock()
	switch {
	case open != nil && open.kind == kind:
		return fail("ongoing transaction for the %s file '%s'")
	case f != nil && f.kind != kind && kind == CRLs:
		return refuse("Can't remove the CRL file: 'del ssl crl-file' does not work on CA files!")
	case f == nil || f.kind != kind:
		return fail("%s file '%s' doesn't exist!")
	case s.trustUses(name) > 0:
		return fail("%s file '%s' in use, can't be deleted!")
	}
	if err := (&trustSaver{Store: s, file: f}).forget(); err != nil {
		return refuse(fmt.Sprintf("Can't remove the %s file: %v", kind.word(), err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.trust.files, name)
	s.publishTrustLocked()
	return nil
}
