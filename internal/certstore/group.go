package certstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
)

// Bounds of transactions over many names.
const (
	maxGroups     = 16       // open at a time
	maxGroupNames = 10000    // in one
	maxGroupBytes = 24 << 20 // of PEM in one
	groupLife     = 10 * time.Minute
)

// group is an open transaction over many names (`begin ssl transaction`). It belongs to the store and survives who opened it; ten minutes after its
// last change it is gone. A name is in one open transaction at a time, its own or a group's. Guarded by Store.mu.
type group struct {
	name       string
	by         string // who began it
	touched    time.Time
	members    map[string]*member
	order      []*member
	bytes      int
	committing bool
}

// member is one name in a group: a certificate that takes its place, with fresh also the name itself.
type member struct {
	name   string
	bundle *cert.Bundle // nil: only made new so far
	fresh  bool
	size   int
}

// GroupInfo is an open transaction as `show ssl transaction` tells it.
type GroupInfo struct {
	Name, By string
	Expires  time.Time
	Bytes    int
	Members  []GroupMember // in the order in which they came
}

// GroupMember is one name of it. State is Empty (made, nothing set), New (made and set) or Changed.
type GroupMember struct {
	Name, State string
}

// Begin opens a transaction over many names. Errors are *Error.
func (s *Store) Begin(t, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	switch {
	case !groupName(t):
		return refuse("the name of a transaction is 1 to 64 letters, digits and any of -_.:")
	case s.groups[t] != nil:
		return refuse(fmt.Sprintf("Transaction '%s' already exists!", t))
	case len(s.groups) >= maxGroups:
		return refuse(fmt.Sprintf("Can't begin '%s': %d transactions are open, commit or abort one of them", t, maxGroups))
	}
	if s.groups == nil {
		s.groups, s.groupOf = map[string]*group{}, map[string]*group{}
	}
	s.groups[t] = &group{name: t, by: by, touched: s.o.Now(), members: map[string]*member{}}
	return nil
}

func groupName(t string) bool {
	return t != "" && len(t) <= 64 && strings.Trim(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == ""
}

// expireLocked drops transactions that nobody touched for ten minutes, and says so.
func (s *Store) expireLocked() {
	for _, g := range s.groups {
		if !g.committing && s.o.Now().Sub(g.touched) >= groupLife {
			s.dropLocked(g)
			s.emit(event.CertUnsaved, "warning", g.name, fmt.Sprintf("ssl transaction '%s' of %s over %d certificates expired, nothing of it was changed", g.name, g.by, len(g.order)))
		}
	}
}

func (s *Store) dropLocked(g *group) {
	delete(s.groups, g.name)
	for name := range g.members {
		delete(s.groupOf, name)
	}
}

const noGroup = "No such transaction '%s'!"

// openGroupLocked finds a transaction that can be changed.
func (s *Store) openGroupLocked(t string) (*group, error) {
	s.expireLocked()
	g := s.groups[t]
	switch {
	case g == nil:
		return nil, fmt.Errorf(noGroup, t)
	case g.committing:
		return nil, fmt.Errorf("Operations on certificates are currently locked!") //nolint:staticcheck // HAProxy's text
	}
	return g, nil
}

// foreignLocked says which other transaction a name is in, "" when none.
func (s *Store) foreignLocked(name string, g *group) string {
	other := s.groupOf[name]
	switch {
	case s.pending[name] != nil:
		return fmt.Sprintf("certificate '%s' has a transaction of its own, commit or abort that first!", name)
	case other != nil && other != g:
		return fmt.Sprintf("certificate '%s' is in the open transaction '%s'!", name, other.name)
	}
	return ""
}

// NewIn makes an empty entry that exists once the transaction is committed (`new ssl cert NAME txn T`). Errors are *Error.
func (s *Store) NewIn(t, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.openGroupLocked(t)
	if err != nil {
		return refuse(err.Error())
	}
	switch {
	case s.entries[name] != nil || g.members[name] != nil:
		return refuse(fmt.Sprintf("Certificate '%s' already exists!", name))
	case s.groupOf[name] != nil:
		return refuse(s.foreignLocked(name, g))
	case !validName(name):
		return refuse("this cannot be the name of a certificate")
	}
	if err := s.joinLocked(g, &member{name: name, fresh: true}); err != nil {
		return refuse(err.Error())
	}
	return nil
}

// joinLocked puts m in the place of the group's member of that name.
func (s *Store) joinLocked(g *group, m *member) error {
	old := g.members[m.name]
	size := g.bytes + m.size
	if old != nil {
		size -= old.size
	}
	switch {
	case old == nil && len(g.order) >= maxGroupNames:
		return fmt.Errorf("transaction '%s' has %d certificates, which is as many as it can have", g.name, maxGroupNames)
	case size > maxGroupBytes:
		return fmt.Errorf("transaction '%s' cannot hold more than %d MiB", g.name, maxGroupBytes>>20)
	}
	if old == nil {
		g.order = append(g.order, m)
	} else {
		g.order[slices.Index(g.order, old)] = m
	}
	g.members[m.name], s.groupOf[m.name] = m, g
	g.bytes, g.touched = size, s.o.Now()
	return nil
}

// SetIn is Set within a transaction over many names (`set ssl cert NAME[.key|...] txn T`). Errors are *Error.
func (s *Store) SetIn(t, name string, payload []byte) (target string, err error) {
	fail := func(lines ...string) (string, error) {
		return "", refuse(append(lines, fmt.Sprintf("Can't update %s!", name))...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.openGroupLocked(t)
	if err != nil {
		return fail(err.Error())
	}
	target, part := splitPart(name)
	if s.bundleInLocked(g, target) == nil && part != "" && s.rules.DelExt && s.entries[target] == nil {
		target += ".crt"
	}
	m := g.members[target]
	if s.entries[target] == nil && m == nil {
		return fail("Can't replace a certificate which is not referenced by the configuration!")
	}
	if why := s.foreignLocked(target, g); why != "" {
		return fail(why)
	}
	b, err := changed(target, s.bundleInLocked(g, target), part, payload)
	if err != nil {
		return fail(err.Error(), "Can't load the payload")
	}
	if part == "" {
		b = s.issuers.Complete(b)
	}
	if err := s.joinLocked(g, &member{name: target, bundle: b, fresh: m != nil && m.fresh, size: len(payload)}); err != nil {
		return fail(err.Error())
	}
	return target, nil
}

// bundleInLocked is what a name holds as the transaction sees it.
func (s *Store) bundleInLocked(g *group, name string) *cert.Bundle {
	if m := g.members[name]; m != nil && m.bundle != nil {
		return m.bundle
	}
	if e := s.entries[name]; e != nil {
		return e.bundle
	}
	return nil
}

// AbortGroup drops a transaction over many names. Errors are *Error.
func (s *Store) AbortGroup(t string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.openGroupLocked(t)
	if err != nil {
		return refuse(err.Error())
	}
	s.dropLocked(g)
	return nil
}

// Groups lists the open transactions over many names, by name.
func (s *Store) Groups() []GroupInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	list := make([]GroupInfo, 0, len(s.groups))
	for _, g := range s.groups {
		info := GroupInfo{Name: g.name, By: g.by, Expires: g.touched.Add(groupLife), Bytes: g.bytes, Members: make([]GroupMember, len(g.order))}
		for i, m := range g.order {
			state := "Changed"
			switch {
			case m.bundle == nil:
				state = "Empty"
			case m.fresh:
				state = "New"
			}
			info.Members[i] = GroupMember{m.name, state}
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b GroupInfo) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// CommitGroup checks all certificates of a transaction, makes all durable as one, and publishes all (`commit ssl transaction T`). dot is called for
// each use that was prepared. Errors are *Error; nothing has changed then, in memory or on disk, and the transaction stays open unless
// Failed is set.
func (s *Store) CommitGroup(t, by string, dot func()) (warnings []string, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	g, err := s.beginGroup(t)
	if err != nil {
		return nil, err
	}
	savers, err := s.prepareGroup(g, dot)
	open := false
	if err == nil {
		err = s.saveGroup(savers)
		open = err != nil
	}
	if err == nil {
		s.publishGroup(savers, by)
		for _, v := range savers {
			warnings = append(append(warnings, s.remarks(v.entry.name, v.bundle)...), v.warnings...)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.committing = false
	switch {
	case open: // the disk can be better next time
		g.touched = s.o.Now()
		e := failed(err)
		e.Lines = slices.Insert(e.Lines, len(e.Lines)-1, fmt.Sprintf("nothing was changed, and transaction '%s' stays open", t))
		s.emit(event.CertUnsaved, "alert", t, fmt.Sprintf("ssl transaction '%s' was not committed: %v", t, err))
		return nil, e
	case err != nil:
		s.dropLocked(g)
		return nil, failed(err)
	}
	s.dropLocked(g)
	return warnings, nil
}

// beginGroup makes the checks that leave the transaction open.
func (s *Store) beginGroup(t string) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := fmt.Sprintf("Can't commit '%s'!", t)
	g, err := s.openGroupLocked(t)
	if err != nil {
		return nil, refuse(err.Error(), last)
	}
	var lines []string
	for _, m := range g.order {
		e := s.entries[m.name]
		switch {
		case e == nil && !m.fresh:
			lines = append(lines, fmt.Sprintf("certificate '%s' does not exist any more!", m.name))
		case e != nil && m.fresh:
			lines = append(lines, fmt.Sprintf("Certificate '%s' already exists!", m.name))
		case m.bundle != nil:
			if err := m.bundle.CheckKey(); err != nil && !errors.Is(err, cert.ErrNoKey) {
				lines = append(lines, checkKey(m.name, m.bundle).Error())
			}
		}
	}
	if len(lines) > 0 {
		return nil, refuse(append(lines, last)...)
	}
	g.committing = true
	return g, nil
}

// prepareGroup has every use look at what is to come.
func (s *Store) prepareGroup(g *group, dot func()) ([]*saver, error) {
	savers := make([]*saver, 0, len(g.order))
	for _, m := range g.order {
		s.mu.RLock()
		e := s.entries[m.name]
		s.mu.RUnlock()
		if e == nil {
			e = &entry{name: m.name}
		}
		v := &saver{Store: s, entry: e, bundle: m.bundle}
		savers = append(savers, v)
		if m.bundle == nil {
			continue
		}
		var err error
		if m.bundle, v.warnings, err = s.settleOCSP(e, m.bundle); err != nil {
			return nil, err
		}
		v.bundle = m.bundle
		uses := s.usesOf(m.name)
		if err := checkKey(m.name, m.bundle); err != nil && len(uses) > 0 {
			return nil, err
		}
		for _, a := range uses {
			if err := a.use.Prepare(m.bundle); err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			if dot != nil {
				dot()
			}
		}
	}
	return savers, nil
}

// saveGroup makes all durable by one redo record: its rename is the commit. Files, versions in the state directory and versions there that are
// no longer wanted are all in it.
func (s *Store) saveGroup(savers []*saver) error {
	var todo []*saver
	for _, v := range savers {
		if v.bundle != nil && !v.skipped() {
			todo = append(todo, v)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	var paths []string
	for _, v := range todo {
		paths = append(paths, v.touches()...)
	}
	if err := s.settle(paths...); err != nil {
		return err
	}
	dir, err := s.stateDir()
	if errors.Is(err, errMemoryOnly) {
		return fmt.Errorf("certificates cannot be committed together: %w", err)
	}
	if err != nil {
		return fmt.Errorf("cannot open the state directory: %w", err)
	}
	record, owners, err := s.groupRecord(todo, dir)
	if err != nil || len(record.Files) == 0 {
		return err
	}
	log := redoLog{s.o.Host, dir}
	path, err := log.write(record)
	if err != nil {
		return fmt.Errorf("cannot write '%s': %w", redoDir(dir), clean(err))
	}
	// All of it has happened. What goes wrong from here on is finished by the next commit or start.
	s.leave(&unfinished{log: log, path: path, record: record, owners: owners})
	if len(record.Files) <= soonFiles || !s.running.Load() {
		_ = s.finishLeft() // told there
	}
	return nil
}

// soonFiles is how many files a commit replaces before it answers. Making thousands takes seconds, and the record holds them until then.
const soonFiles = 64

// groupRecord collects what has to change on disk, and whose each file is.
func (s *Store) groupRecord(todo []*saver, dir string) (*redoRecord, map[string]*saver, error) {
	type part struct {
		files []redoFile
		err   error
	}
	parts := make([]part, len(todo))
	each(len(todo), func(i int) {
		v := todo[i]
		writes, keep, err := v.intent()
		if err == nil && keep {
			writes, err = v.keepIn(dir)
		} else if err == nil {
			var gone []redoFile
			gone, err = v.unkeepIn(dir)
			writes = append(writes, gone...)
		}
		parts[i] = part{writes, err}
	})
	record, owners := &redoRecord{}, map[string]*saver{}
	for i, p := range parts {
		if p.err != nil {
			return nil, nil, p.err
		}
		for _, f := range p.files {
			if owners[f.Path] != nil {
				return nil, nil, fmt.Errorf("'%s' and '%s' are both kept in '%s' and cannot be changed in one transaction", owners[f.Path].entry.name, todo[i].entry.name, f.Path)
			}
			owners[f.Path] = todo[i]
		}
		record.Files = append(record.Files, p.files...)
	}
	return record, owners, nil
}

// keepIn is keepOver as an entry of a record.
func (v *saver) keepIn(dir string) ([]redoFile, error) {
	path := keptPath(dir, v.entry.name)
	sum, err := currentSum(v.o.Host, path)
	if err != nil {
		return nil, fmt.Errorf("cannot read '%s': %w", path, clean(err))
	}
	return []redoFile{{Path: path, Old: sum, Data: v.keptFile(v.files()), Perm: 0o600}}, nil
}

// unkeepIn is dropKept as an entry of a record.
func (v *saver) unkeepIn(dir string) ([]redoFile, error) {
	path := keptPath(dir, v.entry.name)
	if _, err := v.o.Host.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	sum, err := currentSum(v.o.Host, path)
	if err != nil {
		return nil, fmt.Errorf("cannot read '%s': %w", path, clean(err))
	}
	return []redoFile{{Path: path, Old: sum, Remove: true}}, nil
}

// publishGroup makes all of it serve.
func (s *Store) publishGroup(savers []*saver, by string) {
	skipped := map[*saver]bool{}
	for _, v := range savers {
		s.first(v.entry, false)
		skipped[v] = v.bundle != nil && v.skipped()
	}
	s.mu.Lock()
	s.seq++
	for _, v := range savers {
		e := v.entry
		if v.bundle != nil {
			e.bundle, e.seq, e.unsaved = v.bundle, s.seq, v.unsaved
			if !skipped[v] {
				e.disk = v.disk
			}
			e.recorded = true
			s.rekeyLocked(e)
			s.oweLocked(e, v.reason, false)
		}
		if s.entries[e.name] == nil {
			s.entries[e.name] = e
		}
	}
	s.mu.Unlock()
	for _, v := range savers {
		if v.bundle == nil {
			continue
		}
		for _, a := range s.usesOf(v.entry.name) {
			a.use.Publish(v.bundle)
		}
		s.remember(v.entry, v.bundle, by)
		s.said(v.entry, v.bundle, by)
	}
	s.wake()
}
