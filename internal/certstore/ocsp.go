package certstore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

// Stapled is a certificate that an OCSP response is sent with, or that one is fetched for.
type Stapled struct {
	Name   string
	Bundle *cert.Bundle
	Update bool // ocsp-update is on for it, and somebody uses it
	order  int
}

// Stapled lists the certificates with a response or with ocsp-update, in the order of their declaration. Whether a certificate names a responder is
// not looked at.
func (s *Store) Stapled() []Stapled {
	s.mu.RLock()
	var list []Stapled
	for _, e := range s.entries {
		if st, ok := s.stapledLocked(e); ok {
			list = append(list, st)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b Stapled) int {
		if a.order != b.order {
			return a.order - b.order
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// StapledOne is Stapled for one name; false when it is none of them.
func (s *Store) StapledOne(name string) (Stapled, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.entries[name]; e != nil {
		return s.stapledLocked(e)
	}
	return Stapled{}, false
}

func (s *Store) stapledLocked(e *entry) (Stapled, bool) {
	update := e.declared().updates(s.rules.OCSPUpdate) && len(s.uses[e.name]) > 0
	if e.bundle == nil || e.bundle.Temporary() || !update && !e.bundle.Stapling() {
		return Stapled{}, false
	}
	return Stapled{e.name, e.bundle, update, e.order}, true
}

// declared is how the certificate was declared, by the configuration or by a line added at run time.
func (e *entry) declared() *Source {
	switch {
	case e.src != nil:
		return e.src
	case e.said != nil:
		return e.said
	}
	return &Source{Name: e.name}
}

// updates tells whether ocsp-update is on; mode is what counts when the declaration does not say.
func (src *Source) updates(mode bool) bool {
	if src.Attrs == nil {
		return mode
	}
	return updates(src.Attrs.OCSPUpdate, mode)
}

// SetOCSP gives a certificate a response: it is checked, made durable in the state directory, and then sent with handshakes. A response that the certificate has
// already is nothing to do. It fails with one of the errors of package cert when the response is not for the certificate as it is now.
func (s *Store) SetOCSP(name string, r *cert.OCSPResponse, by string) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.RLock()
	e := s.entries[name]
	s.mu.RUnlock()
	if e == nil || e.bundle == nil {
		return fmt.Errorf("certificate '%s' does not exist!", name)
	}
	b := e.bundle
	if bytes.Equal(b.OCSP(), r.DER) {
		return nil
	}
	if err := b.CheckOCSP(r, s.o.Now()); err != nil {
		return err
	}
	b, err := b.WithOCSP(r.DER)
	if err != nil {
		return err
	}
	if err := s.saveResponse(e, b); err != nil {
		s.emit(event.CertUnsaved, "warning", name, fmt.Sprintf("the OCSP response of '%s' that came from %s is not used: %v", name, by, err))
		return err
	}
	s.mu.Lock()
	e.bundle = b
	s.mu.Unlock()
	for _, a := range s.usesOf(name) {
		a.use.Publish(b)
	}
	return nil
}

// InstallOCSP gives a response to all certificates that it is about and that have, or had, one (`set ssl ocsp-response`). Errors are *Error.
func (s *Store) InstallOCSP(der []byte, by string) error {
	r, err := cert.ParseOCSP(der)
	if err == nil {
		err = r.Usable(s.o.Now())
	}
	found, serial := false, ""
	if err == nil {
		serial = cert.Serial(r.SerialNumber)
	}
	for _, st := range s.Stapled() {
		if err != nil {
			break
		}
		if st.Bundle.Serial() != serial {
			continue
		}
		err = s.SetOCSP(st.Name, r, by)
		if errors.Is(err, cert.ErrOCSPOther) {
			err = nil // another issuer gave the same number
			continue
		}
		found = true
	}
	if err == nil && !found {
		err = errors.New("OCSP single response: Certificate ID does not match any certificate or issuer")
	}
	if err != nil {
		return refuse(err.Error() + ".")
	}
	return nil
}

// ByOCSPKey returns the certificate whose CertID has this DER among those of Stapled.
func (s *Store) ByOCSPKey(id []byte) (Stapled, bool) {
	serial := cert.OCSPSerial(id)
	for _, st := range s.Stapled() {
		if st.Bundle.Serial() == serial && bytes.Equal(st.Bundle.OCSPKey(), id) {
			return st, true
		}
	}
	return Stapled{}, false
}

// settleOCSP judges the response of a bundle that is to be committed: one that may not be sent is left out, as HAProxy does, with a remark for the answer. A
// certificate that comes without response, and is the one that serves, keeps that one's while ocsp-update is on.
func (s *Store) settleOCSP(e *entry, b *cert.Bundle) (*cert.Bundle, []string, error) {
	s.mu.RLock()
	on := e.declared().updates(s.rules.OCSPUpdate)
	s.mu.RUnlock()
	switch {
	case b.Temporary():
	case b.OCSP() != nil:
		r, err := cert.ParseOCSP(b.OCSP())
		if err == nil {
			err = b.CheckOCSP(r, s.o.Now())
		}
		if errors.Is(err, cert.ErrOCSPIssuer) {
			return nil, nil, errors.New(noIssuerText(e.name))
		}
		if err != nil {
			return b.WithoutOCSP(), []string{fmt.Sprintf("warning: %v. Content will be ignored.", err)}, nil
		}
	case on && e.bundle != nil && e.bundle.Fingerprint == b.Fingerprint && e.bundle.Staple(s.o.Now()) != nil:
		if with := newestOCSP(b, e.bundle); with.HasIssuer() {
			return with, nil, nil
		}
	case on && b.OCSPServer() != "" && b.HasIssuer():
		return b.WithoutOCSP(), nil, nil
	}
	return b, nil, nil
}

func (s *Store) bundleLocked(name string) *cert.Bundle {
	if e := s.entries[name]; e != nil {
		return e.bundle
	}
	return nil
}

func noIssuerText(name string) string {
	return fmt.Sprintf("'%s.ocsp' is present and activates OCSP but it is impossible to compute the OCSP certificate ID (maybe the issuer could not be found)'.", name)
}

// newestOCSP returns b with the response of old when that is of the same certificate and not older.
func newestOCSP(b, old *cert.Bundle) *cert.Bundle {
	if b == nil || old == nil || b == old || old.OCSP() == nil || b.Fingerprint != old.Fingerprint || old.OCSPThis().Before(b.OCSPThis()) {
		return b
	}
	with, err := b.WithOCSP(old.OCSP())
	if err != nil {
		return b
	}
	return with
}

// withOCSP adds the response of a file. Nothing that such a file holds keeps a certificate from serving.
func (got *loaded) withOCSP(b *cert.Bundle, file string, der []byte) *cert.Bundle {
	with, err := b.WithOCSP(der)
	if err != nil {
		got.warning = ignored(file, err)
		return b.WithoutOCSP()
	}
	return with
}

func ignored(file string, err error) string {
	return fmt.Sprintf("Loading: %v. Content will be ignored: '%s'.", err, file)
}

// staple judges the response that came with a certificate's files, and looks for a newer one in the state directory.
func (l *loader) staple(src *Source, got *loaded) {
	b, on := got.bundle, src.updates(l.rules.OCSPUpdate)
	if b.Temporary() || !on && !b.Stapling() {
		return
	}
	if on && !b.Stapling() {
		switch {
		case b.OCSPServer() == "":
			return // such certificates are not asked about
		case !b.HasIssuer():
			got.noIssuer = fmt.Sprintf("'%s' has an OCSP auto-update set to 'on' but an error occurred (maybe the OCSP URI or the issuer could not be found)'.", src.Name)
			return
		}
		b = b.WithoutOCSP()
	}
	if b.OCSP() != nil {
		r, err := cert.ParseOCSP(b.OCSP())
		if err == nil {
			err = b.CheckOCSP(r, l.now())
		}
		if errors.Is(err, cert.ErrOCSPIssuer) {
			got.noIssuer = noIssuerText(src.Name)
		} else if err != nil {
			got.warning = ignored(got.paths.ocsp, err)
		}
		if err != nil {
			b = b.WithoutOCSP()
		}
	}
	got.bundle = l.stored(b)
}

// stored returns b with the response that the state directory has for it, when that is not older and may be sent.
func (l *loader) stored(b *cert.Bundle) *cert.Bundle {
	name := responseName(b)
	if !l.responses[name] {
		return b
	}
	der, err := l.host.ReadFile(filepath.Join(responsesDir(l.rules.StateDir), name), cert.MaxOCSP)
	if err != nil {
		return b
	}
	r, err := cert.ParseOCSP(der)
	if err != nil || r.ThisUpdate.Before(b.OCSPThis()) || b.CheckOCSP(r, l.now()) != nil {
		return b
	}
	with, err := b.WithOCSP(der)
	if err != nil {
		return b
	}
	return with
}

// responsesDir holds the responses that came at run time, each under the checksum of its certificate: it belongs to that leaf and to no other.
func responsesDir(stateDir string) string { return filepath.Join(stateDir, "ocsp") }

func responseName(b *cert.Bundle) string { return hex.EncodeToString(b.Fingerprint[:20]) + ".der" }

func listResponses(h host.Host, stateDir string) (map[string]bool, error) {
	if stateDir == "" {
		return nil, nil
	}
	names, err := h.ReadDir(responsesDir(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading kept OCSP responses: %w", err)
	}
	found := map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, ".der") && !strings.HasPrefix(name, ".") {
			found[name] = true
		}
	}
	return found, nil
}

// unusedResponses names the kept responses of certificates that the plan does not have.
func (p *Plan) unusedResponses() (names []string) {
	if len(p.loader.responses) == 0 {
		return nil
	}
	used := map[string]bool{}
	for _, it := range p.order {
		if it.bundle != nil {
			used[responseName(it.bundle)] = true
		}
	}
	p.store.mu.RLock()
	defer p.store.mu.RUnlock()
	for name := range p.loader.kept {
		if p.items[name] == nil {
			return nil // names made at run time are read later; the next start looks again
		}
	}
	for name := range p.loader.responses {
		if !used[name] {
			names = append(names, name)
		}
	}
	return names
}

// saveResponse makes the response of b durable, unless the configuration says that changes of the certificate are not, or there is no place.
func (s *Store) saveResponse(e *entry, b *cert.Bundle) error {
	if s.ephemeral(e) {
		return nil
	}
	dir, err := s.stateDir()
	if errors.Is(err, errMemoryOnly) {
		return nil // it is fetched again after a restart
	}
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	path := filepath.Join(responsesDir(dir), responseName(b))
	if err := s.o.Host.MkdirAll(responsesDir(dir)); err != nil {
		return fmt.Errorf("cannot make '%s': %w", responsesDir(dir), clean(err))
	}
	if err := s.o.Host.ReplaceFile(path, b.OCSP(), 0o600); err != nil {
		return fmt.Errorf("cannot write '%s': %w", path, clean(err))
	}
	return nil
}
