package certstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// maxName bounds the name of a certificate, in bytes: what a path may be.
const maxName = 4096

// NewCert makes an empty entry (`new ssl cert`).
func (s *Store) NewCert(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[name] != nil {
		return refuse(fmt.Sprintf("Certificate '%s' already exists!", name))
	}
	if g := s.groupOf[name]; g != nil {
		return refuse(s.foreignLocked(name, nil))
	}
	if !validName(name) {
		return refuse("this cannot be the name of a certificate")
	}
	s.entries[name] = &entry{name: name}
	return nil
}

func validName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsAny(name, "\n\r\x00")
}

// parts are the suffixes that make `set ssl cert` replace one part of a bundle.
var parts = []string{".key", ".ocsp", ".sctl", ".issuer"}

// Set opens a transaction on a copy of a name's bundle, or goes on with the open one (`set ssl cert NAME[.key|.ocsp|.sctl|.issuer]`, surface 2.7).
// target is the name without suffix; created tells that the transaction was opened now. Errors are *Error.
func (s *Store) Set(name string, payload []byte, by string) (created bool, target string, err error) {
	fail := func(lines ...string) (bool, string, error) {
		return false, "", refuse(append(lines, fmt.Sprintf("Can't update %s!", name))...)
	}
	target, part := splitPart(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, open := s.entries[target], s.pending[target]
	if e == nil && part != "" && s.rules.DelExt {
		target += ".crt"
		e, open = s.entries[target], s.pending[target]
	}
	switch {
	case e == nil:
		return fail("Can't replace a certificate which is not referenced by the configuration!")
	case open != nil && open.committing:
		return fail("Can't update the certificate!", "Operations on certificates are currently locked!")
	}
	if g := s.groupOf[target]; g != nil {
		return fail(s.foreignLocked(target, nil))
	}
	now := e.bundle
	if open != nil {
		now = open.bundle
	}
	b, err := changed(target, now, part, payload)
	if err != nil {
		return fail(err.Error(), "Can't load the payload")
	}
	if part == "" {
		b = s.issuers.Complete(b)
	}
	s.pending[target] = &txn{bundle: b}
	return open == nil, target, nil
}

// splitPart cuts the suffix that names a part of a bundle from a name.
func splitPart(name string) (target, part string) {
	for _, ext := range parts {
		if base, ok := strings.CutSuffix(name, ext); ok && base != "" {
			return base, ext
		}
	}
	return name, ""
}

// changed returns what a payload makes of a bundle. A PEM without suffix replaces everything.
func changed(name string, now *cert.Bundle, part string, payload []byte) (*cert.Bundle, error) {
	if part == "" {
		return cert.Parse(name, payload)
	}
	if now == nil {
		return nil, fmt.Errorf("'%s' has no certificate yet, set that first", name)
	}
	switch part {
	case ".key":
		return now.WithKey(name, payload)
	case ".issuer":
		return now.WithIssuer(name, payload)
	case ".sctl":
		return now.WithSCTL(payload)
	}
	der, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(string(payload)))
	if err != nil {
		return nil, errors.New("Error reading OCSP response in base64 format")
	}
	return now.WithOCSP(der)
}

// Abort drops the open transaction of a name.
func (s *Store) Abort(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch open := s.pending[name]; {
	case open == nil:
		return refuse("No ongoing transaction!")
	case open.committing:
		return refuse("Can't abort!", "Operations on certificates are currently locked!")
	}
	delete(s.pending, name)
	return nil
}

// Commit checks the open transaction of a name, makes it durable, and publishes it, in that order (`commit ssl cert`). dot is called for each use that
// was prepared. The warnings are for the answer, before its "Success!". Errors are *Error; when one has Failed set the transaction is gone and nothing
// has changed, otherwise it stays open.
func (s *Store) Commit(name, by string, dot func()) (warnings []string, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	e, b, err := s.beginCommit(name)
	if err != nil {
		return nil, err
	}
	warnings, err = s.commit(e, b, by, dot)
	s.mu.Lock()
	delete(s.pending, name)
	s.mu.Unlock()
	if err != nil {
		return nil, failed(err)
	}
	return append(s.remarks(name, b), warnings...), nil
}

// beginCommit takes the transaction for a commit, so that nobody changes it meanwhile.
func (s *Store) beginCommit(name string) (*entry, *cert.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := fmt.Sprintf("Can't commit %s!", name)
	open := s.pending[name]
	if open == nil {
		return nil, nil, refuse("No ongoing transaction! !", last)
	}
	if err := open.bundle.CheckKey(); err != nil && !errors.Is(err, cert.ErrNoKey) {
		return nil, nil, refuse(checkKey(name, open.bundle).Error(), last)
	}
	open.committing = true
	return s.entries[name], open.bundle, nil
}

// commit is check, durable, visible for a bundle whose key was looked at. The caller holds s.write.
func (s *Store) commit(e *entry, b *cert.Bundle, by string, dot func()) (warnings []string, err error) {
	uses := s.usesOf(e.name)
	b, remarks, err := s.settleOCSP(e, b)
	if err != nil {
		return nil, err
	}
	if err := checkKey(e.name, b); err != nil && (b.HasKey() || len(uses) > 0) {
		return nil, err
	}
	for _, a := range uses {
		if err := a.use.Prepare(b); err != nil {
			return nil, err
		}
		if dot != nil {
			dot()
		}
	}
	s.first(e, true)
	v, err := s.save(e, b)
	if passes(err) {
		v.owe(err)
		err = nil
	}
	if err != nil {
		s.emit(event.CertUnsaved, "alert", e.name, fmt.Sprintf("certificate '%s' was not changed: %v", e.name, err))
		return nil, err
	}
	skipped := v.skipped()
	s.mu.Lock()
	s.seq++
	e.bundle, e.seq, e.unsaved = b, s.seq, v.unsaved
	if !skipped { // otherwise the files are what they were
		e.disk = v.disk
	}
	e.recorded = true
	s.rekeyLocked(e)
	s.oweLocked(e, v.reason, v.passing)
	s.mu.Unlock()
	for _, a := range uses {
		a.use.Publish(b)
	}
	s.remember(e, b, by)
	s.said(e, b, by)
	return append(remarks, v.warnings...), nil
}

// said tells of a change.
func (s *Store) said(e *entry, b *cert.Bundle, by string) {
	s.emit(event.CertCommitted, "info", e.name, fmt.Sprintf("certificate '%s' changed by %s: serial %s, for %s, until %s", e.name, by,
		b.Serial(), some(b.Names), cert.Date(b.NotAfter)))
}

func some(names []string) string {
	const shown = 5
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], " "), len(names)-shown)
	}
	return strings.Join(names, " ")
}

// remarks are what is said about a certificate that is accepted all the same, as HAProxy accepts it.
func (s *Store) remarks(name string, b *cert.Bundle) (lines []string) {
	now := s.o.Now()
	switch {
	case now.After(b.NotAfter):
		lines = append(lines, fmt.Sprintf("warning: certificate '%s' expired on %s", name, cert.Date(b.NotAfter)))
	case now.Before(b.NotBefore):
		lines = append(lines, fmt.Sprintf("warning: certificate '%s' is not valid before %s", name, cert.Date(b.NotBefore)))
	}
	if !b.Linked() {
		lines = append(lines, fmt.Sprintf("warning: the chain of certificate '%s' does not lead from one issuer to the next", name))
	}
	if !b.HasKey() && !s.keyless(name) {
		lines = append(lines, fmt.Sprintf("warning: certificate '%s' has no private key: it is in memory only and cannot be used until one is set", name))
	}
	if len(b.Names) == 0 {
		lines = append(lines, fmt.Sprintf("warning: certificate '%s' has neither a DNS name nor a common name", name))
	}
	return lines
}

// Put replaces a certificate as one step, set and commit in one: the door for ACME, whose stricter checks the caller has made. An open transaction of
// the name is left alone. With ErrUnsaved the certificate serves, and the caller goes on keeping it safe until another Put says nil.
func (s *Store) Put(ctx context.Context, name string, b *cert.Bundle, by string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	e, issuers := s.entries[name], s.issuers
	s.mu.RUnlock()
	if e == nil {
		return fmt.Errorf("certificate '%s' does not exist!", name)
	}
	if _, err := s.commit(e, issuers.Complete(b), by, nil); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.debts[name]; ok && d.passing {
		return fmt.Errorf("%w: %s", ErrUnsaved, d.reason)
	}
	return nil
}

// Delete removes an unused name (`del ssl cert`). A file of the configuration stays where it is and is read again at the next reload; a
// version in the state directory is removed.
func (s *Store) Delete(name string) error {
	s.write.Lock()
	defer s.write.Unlock()
	if why := s.undeletable(name); why != "" {
		return refuse("Can't remove the certificate: " + why)
	}
	if err := s.forget(name); err != nil {
		return &Error{Lines: []string{fmt.Sprintf("Can't remove the certificate: %v", err)}, cause: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[name] != nil || s.groupOf[name] != nil { // opened while the disk worked
		return refuse(fmt.Sprintf("Can't remove the certificate: ongoing transaction for the certificate '%s'", name))
	}
	delete(s.entries, name)
	s.rekeyLocked(&entry{name: name})
	return nil
}

func (s *Store) undeletable(name string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[name]
	switch {
	case s.pending[name] != nil || s.groupOf[name] != nil:
		return fmt.Sprintf("ongoing transaction for the certificate '%s'", name)
	case e == nil:
		return fmt.Sprintf("certificate '%s' doesn't exist!", name)
	case e.jwt:
		return fmt.Sprintf("certificate '%s' in use for JWT validation, can't be deleted!", name)
	case len(s.uses[name]) > 0 || s.listedLocked(name):
		return fmt.Sprintf("certificate '%s' in use, can't be deleted!", name)
	}
	return ""
}

// forget removes what the state directory keeps of a name that no file holds.
func (s *Store) forget(name string) error {
	s.mu.RLock()
	e := s.entries[name]
	s.mu.RUnlock()
	kept := s.keptDir()
	if e.src != nil || e.bundle == nil || kept == "" {
		return nil
	}
	if _, err := s.o.Host.Lstat(keptPath(kept, name)); err != nil {
		return nil
	}
	dir, err := s.stateDir()
	if err != nil {
		return err
	}
	return s.o.Host.Remove(keptPath(dir, name))
}
