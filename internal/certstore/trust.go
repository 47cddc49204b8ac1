package certstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// TrustKind tells the two kinds of files by which certificates of others are verified.
type TrustKind uint8

// The kinds. Their names are one name space, as in HAProxy: a CRL file cannot have the name of a CA file.
const (
	CAs  TrustKind = iota // ca-file, ca-verify-file
	CRLs                  // crl-file
)

// word is what HAProxy calls a file of the kind.
func (k TrustKind) word() string {
	if k == CRLs {
		return "CRL"
	}
	return "CA"
}

// holding is what a CA or CRL file holds: a *cert.CAFile or a *cert.CRLFile. It never changes.
type holding interface {
	Len() int
	PEM() []byte
	Describe(i int) string
}

func (k TrustKind) parse(name string, data []byte) (holding, error) {
	if k == CRLs {
		return orNil(cert.ParseCRLs(name, data))
	}
	return orNil(cert.ParseCAs(name, data))
}

// orNil keeps a nil pointer from becoming a holding that is not nil.
func orNil[T any, P interface {
	*T
	holding
}](p P, err error) (holding, error) {
	if p == nil {
		return nil, err
	}
	return p, err
}

// trustFile is one CA or CRL file of the store. It is replaced, never changed.
type trustFile struct {
	name     string
	kind     TrustKind
	declared bool    // the configuration names it; otherwise it was made at run time
	persist  bool    // changes are written back, or kept
	path     string  // the file to write to; "" when the name is a directory or @system-ca
	value    holding // nil: empty
	seq      uint64  // of the commit that brought value, 0: read from disk
	unsaved  bool    // value should be durable and is not
	disk     string  // what the files held when value became current
}

// trustFiles are all CA and CRL files. Handshakes read the view without a lock; Store.mu guards the rest.
type trustFiles struct {
	view    atomic.Pointer[trustView]
	files   map[string]*trustFile
	pending map[string]*trustTxn
	uses    []*trustAttachment
	persist bool // of files that are made at run time
}

// trustView is what handshakes look up. It is immutable.
type trustView struct {
	cas  map[string]*cert.CAFile
	crls map[string]*cert.CRLFile
}

// trustTxn is an open transaction.
type trustTxn struct {
	kind       TrustKind
	value      holding
	committing bool
}

// CA returns a ca-file or ca-verify-file that is in memory, nil when there is none of this name or it is empty. It takes no lock.
func (s *Store) CA(name string) *cert.CAFile {
	if v := s.trust.view.Load(); v != nil {
		return v.cas[name]
	}
	return nil
}

// CRL returns a crl-file that is in memory, nil when there is none of this name or it is empty. It takes no lock.
func (s *Store) CRL(name string) *cert.CRLFile {
	if v := s.trust.view.Load(); v != nil {
		return v.crls[name]
	}
	return nil
}

// publishTrustLocked makes the files what handshakes see, all at one moment.
func (s *Store) publishTrustLocked() {
	v := &trustView{cas: map[string]*cert.CAFile{}, crls: map[string]*cert.CRLFile{}}
	for name, f := range s.trust.files {
		switch h := f.value.(type) {
		case *cert.CAFile:
			v.cas[name] = h
		case *cert.CRLFile:
			v.crls[name] = h
		}
	}
	s.trust.view.Store(v)
}

// TrustUse is a bind line or a server that verifies by CA and CRL files, which it looks up by name at each handshake. Uses tells in how many
// places it does so with one of them.
type TrustUse interface {
	Uses(name string) int
}

type trustAttachment struct{ use TrustUse }

// AttachTrust counts u among the users of CA and CRL files until detach. It may be called inside Apply's swap.
func (s *Store) AttachTrust(u TrustUse) (detach func()) {
	a := &trustAttachment{u}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trust.uses = append(slices.Clip(s.trust.uses), a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.trust.uses = slices.DeleteFunc(slices.Clone(s.trust.uses), func(x *trustAttachment) bool { return x == a })
	}
}

// trustUses counts the uses of a file. The caller does not hold s.mu: uses look at indexes of many entries.
func (s *Store) trustUses(name string) (n int) {
	s.mu.RLock()
	all := s.trust.uses
	s.mu.RUnlock()
	for _, a := range all {
		n += a.use.Uses(name)
	}
	return n
}

// trustItem is one file that a plan declares.
type trustItem struct {
	trustFile
	files    []fileSum
	kept     bool  // the value is the kept version's
	obsolete bool  // there is a kept version whose files have changed
	err      error // of reading it
}

// DeclareCA reads a ca-file, ca-verify-file, directory of them or `@system-ca`, once per plan. What cannot be read, or holds no certificate, is an error:
// verification never fails open.
func (p *Plan) DeclareCA(name string, persist bool) (*cert.CAFile, error) {
	h, err := p.declareTrust(CAs, name, persist)
	ca, _ := h.(*cert.CAFile)
	return ca, err
}

// DeclareCRL reads a crl-file, like DeclareCA.
func (p *Plan) DeclareCRL(name string, persist bool) (*cert.CRLFile, error) {
	h, err := p.declareTrust(CRLs, name, persist)
	crl, _ := h.(*cert.CRLFile)
	return crl, err
}

func (p *Plan) declareTrust(kind TrustKind, name string, persist bool) (holding, error) {
	if it := p.trust[name]; it != nil {
		if it.kind != kind {
			return nil, fmt.Errorf("it is in use as %s file", it.kind.word())
		}
		return it.value, it.err
	}
	it := &trustItem{trustFile: trustFile{name: name, kind: kind, declared: true, persist: persist}}
	p.trust[name] = it
	data, path, files, err := readTrust(p.loader.host, name)
	if err == nil {
		it.path, it.files = path, files
		it.value, it.err = p.trustValue(it, data)
	} else {
		it.err = err
	}
	if old := p.store.trustFile(name); old != nil && it.value != nil && old.value != nil && string(old.value.PEM()) == string(it.value.PEM()) {
		it.value = old.value // sessions and pools of what serves live on
	}
	return it.value, it.err
}

// trustValue is the kept version when it supersedes what the files hold now, else what they hold.
func (p *Plan) trustValue(it *trustItem, data []byte) (holding, error) {
	if k := p.keptTrust()[keptTrustName(it.kind, it.name)]; k != nil {
		if k.wins(it.files) {
			h, err := it.kind.parse(it.name, k.body)
			if err == nil {
				it.kept = true
				return h, nil
			}
			p.problem(&Source{Name: it.name}, fmt.Sprintf("the kept version of '%s' cannot be used: %v", it.name, err), false)
		} else {
			it.obsolete = true
		}
	}
	return it.kind.parse(it.name, data)
}

func (p *Plan) keptTrust() map[string]*kept {
	if p.trustKept == nil {
		var errs []error
		p.trustKept, errs = readKeptTrust(p.loader.host, p.loader.rules.StateDir)
		for _, err := range errs {
			p.problem(&Source{}, err.Error(), false)
		}
	}
	return p.trustKept
}

func (s *Store) trustFile(name string) *trustFile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.trust.files[name]
}

// maxTrustFile bounds a file of CA certificates or revocation lists, and what commands may make of one, in bytes.
const maxTrustFile = 16 << 20

// systemCA is the name of the system's own roots.
const systemCA = "@system-ca"

// systemBundles are where distributions keep them.
var systemBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

// readTrust reads a file, all such files of a directory, or the system's roots. path is the one file that holds all of it.
func readTrust(h host.Host, name string) (data []byte, path string, files []fileSum, err error) {
	if name == systemCA {
		for _, file := range systemBundles {
			if data, err := h.ReadFile(file, maxTrustFile); err == nil {
				return data, "", []fileSum{{file, sumOf(data)}}, nil
			}
		}
		return nil, "", nil, errors.New("the system has no CA certificates")
	}
	info, err := h.Stat(name)
	if err != nil {
		return nil, "", nil, err
	}
	if !info.Mode.IsDir() {
		data, err = h.ReadFile(name, maxTrustFile)
		return data, name, []fileSum{{name, sumOf(data)}}, err
	}
	names, err := h.ReadDir(name)
	if err != nil {
		return nil, "", nil, err
	}
	for _, file := range names {
		if !cert.IsCAFileName(file) {
			continue
		}
		one, err := h.ReadFile(name+"/"+file, maxTrustFile)
		if err != nil {
			return nil, "", nil, err
		}
		files = append(files, fileSum{name + "/" + file, sumOf(one)})
		if data = append(append(data, one...), '\n'); len(data) > maxTrustFile {
			return nil, "", nil, fmt.Errorf("its files hold more than %d bytes", maxTrustFile)
		}
	}
	return data, "", files, nil
}

// adoptTrustLocked puts the plan's CA and CRL files in place. A file committed since the plan read the disk, or that could not be saved, keeps its content;
// files made at run time stay while they are kept on disk, have an open transaction, or are newer than the plan.
func (s *Store) adoptTrustLocked(p *Plan) {
	files := make(map[string]*trustFile, len(p.trust))
	for name, it := range p.trust {
		f := it.trustFile
		f.disk = diskSum(it.files)
		if old := s.trust.files[name]; old != nil && old.kind == f.kind && (old.seq > p.seq || old.unsaved && old.disk == f.disk) {
			f.value, f.seq, f.unsaved = old.value, old.seq, old.unsaved
		}
		files[name] = &f
	}
	for _, k := range p.keptTrust() {
		kind, name, ok := splitTrustName(k.name)
		if ok && files[name] == nil && len(k.files) == 0 {
			files[name] = s.restoreTrust(p, kind, name, k)
		}
	}
	for name, old := range s.trust.files {
		if files[name] == nil && !old.declared && (s.trust.pending[name] != nil || old.seq > p.seq) {
			files[name] = old
		}
	}
	maps.DeleteFunc(s.trust.pending, func(name string, t *trustTxn) bool {
		return files[name] == nil || files[name].kind != t.kind
	})
	s.trust.files, s.trust.persist = files, !p.loader.rules.Ephemeral
	s.publishTrustLocked()
}

// restoreTrust is a file that was made at run time and committed before.
func (s *Store) restoreTrust(p *Plan, kind TrustKind, name string, k *kept) *trustFile {
	if old := s.trust.files[name]; old != nil && old.kind == kind && old.value != nil && string(old.value.PEM()) == string(k.body) {
		return old
	}
	f := &trustFile{name: name, kind: kind, persist: true}
	h, err := kind.parse(name, k.body)
	if err != nil {
		p.problem(&Source{Name: name}, fmt.Sprintf("the kept version of '%s' cannot be used: %v", name, err), false)
		return f
	}
	f.value = h
	return f
}
