package certstore

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

// Plan is what one configuration generation declares. It reads the disk and changes nothing; Store.Apply makes it count. One goroutine uses it.
type Plan struct {
	store    *Store
	loader   *loader
	seq      uint64 // of the store when the plan began
	began    time.Time
	items    map[string]*item
	order    []*item
	todo     []*item // declared and not read yet
	lists    map[string]*list
	dirs     map[string]bool
	trust    map[string]*trustItem // CA and CRL files
	problems []Problem
	managed  []Managed // once items is forgotten

	trustKept map[string]*kept // of CA and CRL files, read when first asked for
}

// item is one declared certificate.
type item struct {
	src *Source
	jwt bool // a rule verifies tokens with it
	loaded
}

// Problem is something to say about a certificate. Fatal ones are errors under `-c`; at start the certificate serves its last good version or
// is off, and all others serve.
type Problem struct {
	Name, Pos, Text string
	Fatal           bool
	Warning         bool // HAProxy warns of it
}

// Plan starts a plan: it looks for kept versions, redo records and issuer chains.
func (s *Store) Plan(rules LoadRules) *Plan {
	p := &Plan{store: s, items: map[string]*item{}, lists: map[string]*list{}, dirs: map[string]bool{}, trust: map[string]*trustItem{}}
	p.began = s.o.Now()
	s.mu.RLock()
	p.seq = s.seq
	s.mu.RUnlock()
	if rules.StateDir == "" {
		rules.StateDir = s.o.StateDir
	}
	l := &loader{host: s.o.Host, parser: rules.parser(), dirs: map[string]map[string]bool{}, rules: rules, standIn: s.temporary, now: s.o.Now}
	l.parser.Dense = true
	var errs []error
	var err error
	l.overlay, err = redoLog{s.o.Host, rules.StateDir}.overlay()
	l.kept, errs = readKept(s.o.Host, rules.StateDir, l.overlay)
	var unread error
	l.responses, unread = listResponses(s.o.Host, rules.StateDir)
	errs = append(errs, unread)
	l.issuers = &cert.Issuers{}
	l.facts = l.readIndex(rules.StateDir)
	p.loader = l
	for _, err := range append(errs, err, p.readIssuers(rules.IssuersChain)) {
		if err != nil {
			p.problem(&Source{}, err.Error(), false)
		}
	}
	return p
}

func (p *Plan) readIssuers(dir string) error {
	if dir == "" {
		return nil
	}
	names, err := p.loader.host.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading issuers-chain-path: %w", err)
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		path := dir + "/" + name
		data, err := p.loader.host.ReadFile(path, cert.MaxPEM)
		if err == nil {
			err = p.loader.issuers.Add(path, data)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Plan) problem(src *Source, text string, fatal bool) {
	p.problems = append(p.problems, Problem{Name: src.Name, Pos: src.Pos, Text: text, Fatal: fatal})
}

// Read reads a certificate that is not declared and will not be in the store, such as a ca-sign-file. passphrase is for its key, "" for none.
func (p *Plan) Read(file, passphrase string) (*cert.Bundle, error) {
	return p.loader.readAlone(file, passphrase)
}

// Declared tells whether a name was declared.
func (p *Plan) Declared(name string) bool { return p.items[name] != nil }

// Declare adds one certificate. A name may be declared again when both declarations agree (surface 2.3); otherwise the error says how they
// differ. Whether its files can be used is Problems' matter.
func (p *Plan) Declare(src Source) error {
	if it := p.items[src.Name]; it != nil {
		if src.From == FromStore {
			return fmt.Errorf("store '%s' was already defined.", src.Name)
		}
		if src.From == FromCrt && it.src.Attrs != nil && it.src.Attrs.ACME != "" {
			return nil // one bind line says how it is issued, the others only use it
		}
		if lines := incompatible(it.src, &src, p.loader.rules.OCSPUpdate); lines != nil {
			return fmt.Errorf("Can't load '%s', is already defined with incompatible parameters:\n %s", src.Name, strings.Join(lines, "\n"))
		}
		return nil
	}
	p.add(&src)
	return nil
}

func (p *Plan) add(src *Source) {
	it := &item{src: src}
	p.items[src.Name] = it
	p.order = append(p.order, it)
	p.todo = append(p.todo, it)
}

// DeclareDir adds the files of a directory and the list of that name (surface 2.2). The errors concern the directory and files that are no
// certificates to try; lines of unusable certificates are returned like all others.
func (p *Plan) DeclareDir(dir string, persist bool) ([]cert.Line, []error) {
	dir = trimSlashes(dir)
	if l := p.lists[dir]; l != nil {
		return l.lines, nil
	}
	names, err := p.loader.host.ReadDir(dir)
	if err != nil {
		return nil, []error{fmt.Errorf("unable to scan directory '%s' : %s.", dir, host.Strerror(err))}
	}
	l := &list{name: dir, dir: true}
	var errs []error
	here := make(map[string]bool, len(names))
	for _, name := range names {
		here[name] = true
	}
	p.loader.dirs[dir+"/"] = here
	names = slices.DeleteFunc(names, func(name string) bool { return !loadable(name) })
	infos, problems := make([]host.Info, len(names)), make([]error, len(names))
	each(len(names), func(i int) { infos[i], problems[i] = p.loader.host.Stat(dir + "/" + names[i]) })
	for i, name := range names {
		path := dir + "/" + name
		if err := problems[i]; err != nil {
			errs = append(errs, fmt.Errorf("unable to stat SSL certificate from file '%s' : %s.", path, host.Strerror(err)))
			continue
		}
		if !infos[i].Mode.IsRegular() {
			continue
		}
		if !p.Declared(path) {
			p.add(&Source{Name: path, File: path, Persist: persist, Pos: dir})
		}
		l.lines = append(l.lines, cert.Line{Cert: path})
	}
	p.lists[dir] = l
	if persist {
		p.dirs[dir] = true
	}
	return l.lines, errs
}

// DeclareList reads a crt-list file and adds its certificates. crtBase is the global crt-base. Bad lines are returned as errors beside the good ones.
func (p *Plan) DeclareList(file, crtBase string, persist bool) ([]cert.Line, []error) {
	name := trimSlashes(file)
	if l := p.lists[name]; l != nil {
		return l.lines, nil
	}
	data, err := readOver(p.store.o, p.loader.rules.StateDir, file, maxList)
	if err != nil {
		return nil, []error{fmt.Errorf("cannot open file '%s' : %s", file, host.Strerror(err))}
	}
	lines, err := cert.ParseList(file, data)
	errs := unjoin(err)
	l := &list{name: name, file: file, crtBase: crtBase, persist: persist, count: strings.Count(string(data), "\n")}
	for _, line := range lines {
		line.Cert = WithBase(crtBase, line.Cert)
		pos := fmt.Sprintf("%s:%d", file, line.N)
		if text := line.Warning(); text != "" {
			p.problems = append(p.problems, Problem{Name: line.Cert, Pos: pos, Text: text, Warning: true})
		}
		added, err := p.declareLine(file, line, persist, pos, line.N)
		if err != nil {
			errs = append(errs, err)
		}
		l.lines = append(l.lines, added...)
	}
	p.lists[name] = l
	return l.lines, errs
}

// UseLine is a line of the crt-list that a frontend's ssl-f-use lines make, with the place it was written at.
type UseLine struct {
	cert.Line
	File string
	At   int // line in File
}

// DeclareUses makes the list of a frontend's ssl-f-use lines, in the order of the list, and adds its certificates.
func (p *Plan) DeclareUses(name string, uses []UseLine, persist bool) ([]cert.Line, []error) {
	if l := p.lists[name]; l != nil {
		return l.lines, nil
	}
	l := &list{name: name}
	var errs []error
	for _, u := range uses {
		added, err := p.declareLine(u.File, u.Line, persist, fmt.Sprintf("%s:%d", u.File, u.At), u.At)
		if err != nil {
			errs = append(errs, err)
		}
		l.lines = append(l.lines, added...)
	}
	p.lists[name] = l
	return l.lines, errs
}

// maxList bounds a crt-list file, in bytes.
const maxList = 256 << 20

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// declareLine declares the certificate of one line, or those of a bundle; each of these becomes a line of its own. file, at and pos say where it
// stands.
func (p *Plan) declareLine(file string, line cert.Line, persist bool, pos string, at int) ([]cert.Line, error) {
	src, err := NewSource(line.Cert, line.Cert, FromList, line.Load, Bases{})
	if err != nil {
		return nil, fmt.Errorf("parsing [%s]: %w", pos, err)
	}
	src.Persist, src.Pos = persist, pos
	if it := p.items[line.Cert]; it != nil {
		if lines := incompatible(it.src, &src, p.loader.rules.OCSPUpdate); lines != nil {
			return nil, fmt.Errorf("'%s' in crt-list '%s' line %d, is already defined with incompatible parameters:\n %s", line.Cert, file, at, strings.Join(lines, "\n"))
		}
		return []cert.Line{line}, nil
	}
	if p.loader.rules.extra("bundle") && !p.exists(src.File) {
		if many, err := p.bundleLines(line, &src); many != nil || err != nil {
			return many, err
		}
	}
	p.add(&src)
	return []cert.Line{line}, nil
}

func (p *Plan) exists(path string) bool {
	_, err := p.loader.host.Stat(path)
	return err == nil
}

// bundleLines declares PATH.dsa, PATH.ecdsa and PATH.rsa, those there are. The line numbers of the copies are HAProxy's: N, N+3, N+5.
func (p *Plan) bundleLines(line cert.Line, src *Source) (lines []cert.Line, err error) {
	n := line.N
	for _, ext := range []string{".dsa", ".ecdsa", ".rsa"} {
		name := line.Cert + ext
		if !p.Declared(name) {
			if !p.exists(name) {
				continue
			}
			if len(src.Settings) > 0 {
				return nil, fmt.Errorf("Can't load '%s'. Using crt-store keyword is not compatible with multi certificates bundle.", line.Cert)
			}
			one := *src
			one.Name, one.File, one.Crt, one.From = name, name, name, FromCrt
			p.add(&one)
		}
		n++
		one := line
		if len(lines) > 0 {
			n++
			one.N = n
		}
		one.Cert = name
		lines = append(lines, one)
	}
	return lines, nil
}

// read loads everything declared since it was called last, on all processors.
func (p *Plan) read() {
	todo := p.todo
	p.todo = nil
	each(len(todo), func(i int) { todo[i].loaded = p.loader.load(todo[i].src) })
	for _, it := range todo {
		if it.notice != "" {
			p.problem(it.src, it.notice, false)
		}
		if it.noIssuer != "" {
			p.problem(it.src, it.noIssuer, true)
		}
		if it.warning != "" {
			p.problems = append(p.problems, Problem{Name: it.src.Name, Pos: it.src.Pos, Text: it.warning, Warning: true})
		}
		old := p.store.Bundle(it.src.Name)
		if it.err != nil {
			p.problem(it.src, it.err.Error(), true)
			it.bundle = old // the last good version goes on serving
			continue
		}
		if it.dummy && old != nil {
			it.bundle = old // a reload keeps the key that clients may have pinned
			continue
		}
		if it.bundle = newestOCSP(it.bundle, old); old != nil && old.Equal(it.bundle) {
			it.bundle = old // what serves keeps its parsed and prepared state
		}
	}
}

// each runs f for 0 to n-1 on all processors and waits.
func each(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// Problems says what is wrong with what was declared so far.
func (p *Plan) Problems() []Problem {
	p.read()
	return p.problems
}

// Bundle returns a declared certificate as it will serve, nil when it cannot be used. Unchanged files give the bundle that serves now.
func (p *Plan) Bundle(name string) *cert.Bundle {
	p.read()
	if it := p.items[name]; it != nil {
		return it.bundle
	}
	return nil
}

// Managed lists the declared certificates with an acme keyword, as Store.Managed will after Apply.
func (p *Plan) Managed() []Managed {
	if p.items == nil {
		return p.managed
	}
	p.read()
	var list []Managed
	for _, it := range p.order {
		if a := it.src.Attrs; a != nil && a.ACME != "" {
			list = append(list, Managed{it.src.Name, *a, it.bundle, it.src.File, it.src.Pos})
		}
	}
	sortManaged(list)
	return list
}

func trimSlashes(name string) string {
	if short := strings.TrimRight(name, "/"); short != "" {
		return short
	}
	return name
}

// Apply makes p the store's content. Names that p does not declare go away, except those made at run time that are kept in the state
// directory, and those with an open transaction. A certificate committed since the plan read the disk keeps that version.
//
// swap runs when the content counts and before any commit can follow; in it the engine attaches its uses and lets the generation serve.
// Afterwards uses are told of certificates that are not as Plan.Bundle said.
func (s *Store) Apply(p *Plan, swap func()) {
	s.write.Lock()
	defer s.write.Unlock()
	p.read()
	s.tidy(p)
	s.tidyTrust(p)
	changed, replaced := s.adopt(p)
	for _, old := range replaced {
		s.remember(old, old.bundle, "file")
	}
	if swap != nil {
		swap()
	}
	for name, b := range changed {
		for _, a := range s.usesOf(name) {
			a.use.Publish(b)
		}
	}
	for _, pr := range p.problems {
		if pr.Fatal {
			s.emit(event.CertUnusable, "alert", pr.Name, pr.Text)
		}
	}
	if !p.loader.rules.Ephemeral && p.loader.facts.stale() {
		s.toIndex.Store(p.loader.facts)
		s.wake()
	}
	p.forget()
}

// forget lets go of what was read: what was compiled from the configuration may keep the plan for as long as it serves.
func (p *Plan) forget() {
	p.managed = p.Managed()
	p.items, p.order, p.todo, p.lists, p.dirs = nil, nil, nil, nil, nil
	l := p.loader
	l.overlay, l.kept, l.facts, l.dirs, l.responses, l.parser = nil, nil, nil, nil, nil, new(cert.Parser)
}

// adopt puts the plan's content in place and returns the bundles that differ from what the plan told.
func (s *Store) adopt(p *Plan) (changed map[string]*cert.Bundle, replaced []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.planned = p.began
	changed = map[string]*cert.Bundle{}
	entries := make(map[string]*entry, len(p.items))
	for i, it := range p.order {
		e := &entry{name: it.src.Name, order: i, src: it.src, paths: it.paths, bundle: it.bundle, disk: diskSum(it.files), jwt: it.forJWT()}
		old := s.entries[e.name]
		if old != nil && (old.seq > p.seq || old.unsaved && old.disk == e.disk) {
			e.bundle, e.seq, e.unsaved = old.bundle, old.seq, old.unsaved
			if e.bundle != it.bundle {
				changed[e.name] = e.bundle
				it.bundle = e.bundle
			}
		} else if old != nil {
			if b := newestOCSP(e.bundle, old.bundle); b != e.bundle {
				e.bundle, it.bundle, changed[e.name] = b, b, b
			}
		}
		if old != nil && old.bundle != nil && old.bundle == e.bundle {
			e.recorded = old.recorded
		} else if old != nil && !old.recorded {
			replaced = append(replaced, old)
		}
		entries[e.name] = e
	}
	for name, k := range p.loader.kept {
		if entries[name] == nil && len(k.files) == 0 {
			entries[name] = s.restore(p, name, k)
		}
	}
	for name, old := range s.entries {
		if entries[name] == nil && old.src == nil && (s.pending[name] != nil || s.groupOf[name] != nil || old.seq > p.seq) {
			entries[name] = old
		}
	}
	for name := range s.pending {
		if entries[name] == nil {
			delete(s.pending, name)
		}
	}
	for name := range s.debts {
		if e := entries[name]; e == nil || !e.unsaved {
			delete(s.debts, name)
		}
	}
	clear(s.fileDebts) // the files were read anew
	s.entries, s.lists, s.dirs = entries, p.lists, p.dirs
	s.rules, s.issuers = p.loader.rules, p.loader.issuers
	s.adoptTrustLocked(p)
	s.rekeyAllLocked()
	return changed, replaced
}

// restore makes the entry of a name that was made at run time and committed before.
func (s *Store) restore(p *Plan, name string, k *kept) *entry {
	b, err := p.loader.parser.ParseArchive(name, k.body)
	if err == nil {
		got := loaded{bundle: p.loader.issuers.Complete(b)}
		p.loader.staple(&Source{Name: name}, &got)
		b = newestOCSP(got.bundle, s.bundleLocked(name))
		if old := s.entries[name]; old != nil && old.bundle != nil && old.bundle.Equal(b) {
			return old
		}
		return &entry{name: name, bundle: b, jwt: s.entries[name] != nil && s.entries[name].jwt}
	}
	p.problem(&Source{Name: name}, fmt.Sprintf("the kept version of '%s' cannot be used: %v", name, err), false)
	return &entry{name: name}
}

// tidy finishes what a crash left, now that this process is the one that runs: redo records, and kept versions whose files have changed.
func (s *Store) tidy(p *Plan) {
	var obsolete []string
	for _, it := range p.order {
		if it.obsolete {
			obsolete = append(obsolete, it.src.Name)
		}
	}
	responses := p.unusedResponses()
	if len(p.loader.overlay) == 0 && len(obsolete) == 0 && len(responses) == 0 {
		return
	}
	dir, err := s.stateDir()
	if err != nil {
		return // what is kept is read again next time
	}
	errs := []error{redoLog{s.o.Host, dir}.recover()}
	for _, name := range obsolete {
		errs = append(errs, s.o.Host.Remove(keptPath(dir, name)))
	}
	for _, name := range responses {
		_ = s.o.Host.Remove(responsesDir(dir) + "/" + name) // nobody reads it; the next start tries again
	}
	if err := errors.Join(errs...); err != nil {
		s.redoLeft = true
		s.emit(event.CertUnsaved, "warning", dir, fmt.Sprintf("finishing earlier changes of certificates: %v", err))
	}
}

// diskSum folds what the files of a certificate held into one checksum.
func diskSum(files []fileSum) string {
	if len(files) == 0 {
		return ""
	}
	var b strings.Builder
	for _, f := range files {
		b.WriteString(f.sum + " " + f.path + "\n")
	}
	return sumOf([]byte(b.String()))
}
