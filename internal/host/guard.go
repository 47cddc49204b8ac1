package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// ErrDenied means that the configuration does not name the place a worker wanted to change. errors.Is(err,
// fs.ErrPermission) holds for every error that wraps it.
var ErrDenied error = deniedError{}

type deniedError struct{}

func (deniedError) Error() string        { return "not named by the configuration as a place to write" }
func (deniedError) Is(target error) bool { return target == fs.ErrPermission }

// Policy says what a worker may ask its master to change, as one configuration names it. Everything else is denied; reading
// is not limited. Paths are absolute and clean. A Policy is immutable once a Guard has it.
type Policy struct {
	Files   map[string]bool // these may be replaced and removed: certificates, their side files, account keys
	Dirs    map[string]bool // so may any file directly in these: directories of certificates
	Trees   []string        // anything below these, directories and open files included: state-dir
	Sockets map[string]bool // unix sockets that may be bound
	Ports   map[int]bool    // TCP ports that may be bound
	Names   map[string]bool // abstract sockets that may be bound

	Passphrase []string // the program, with its arguments, that may be asked for passphrases of keys
}

// NewPolicy returns a policy that denies everything.
func NewPolicy() *Policy {
	return &Policy{Files: map[string]bool{}, Dirs: map[string]bool{}, Sockets: map[string]bool{}, Ports: map[int]bool{}, Names: map[string]bool{}}
}

// Guard passes to Host what its policy allows. The policy may be replaced at any time; nil denies every change.
type Guard struct {
	Host
	policy atomic.Pointer[Policy]
}

var _ Host = (*Guard)(nil)

// NewGuard returns a Guard that denies every change.
func NewGuard(h Host) *Guard { return &Guard{Host: h} }

// SetPolicy makes p the policy of requests from now on.
func (g *Guard) SetPolicy(p *Policy) { g.policy.Store(p) }

func denied(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: ErrDenied} }

// resolve returns the place that name means: absolute, its directory without symbolic links. The last part stays as it is:
// replacing, removing and opening with O_NOFOLLOW never follow it.
func resolve(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// file tells whether name is one of the files, directly in one of the directories, or below a tree of the policy, and where
// it is once its directory is resolved.
func (p *Policy) file(name string) (string, bool) {
	if p == nil {
		return "", false
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", false
	}
	// The name as the configuration spells it decides; its links are the operator's, made with rights that a worker lacks.
	named := p.Files[abs] || p.Dirs[filepath.Dir(abs)]
	place, err := resolve(abs)
	if err != nil {
		return "", false
	}
	return place, named || p.tree(place)
}

// tree tells whether an already resolved place is below one of the trees.
func (p *Policy) tree(place string) bool {
	for _, root := range p.Trees {
		if real, err := filepath.EvalSymlinks(root); err == nil {
			root = real
		}
		if place == root || strings.HasPrefix(place, root+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

func (g *Guard) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	place, ok := g.policy.Load().file(name)
	if !ok {
		return denied(opReplace, name)
	}
	return g.Host.ReplaceFile(place, data, perm)
}

// ReplaceFiles replaces none when one of them is denied.
func (g *Guard) ReplaceFiles(files []File) error {
	p := g.policy.Load()
	allowed := make([]File, len(files))
	for i, f := range files {
		place, ok := p.file(f.Name)
		if !ok {
			return denied(opReplace, f.Name)
		}
		allowed[i] = File{place, f.Data, f.Perm}
	}
	return g.Host.ReplaceFiles(allowed)
}

func (g *Guard) Remove(name string) error {
	place, ok := g.policy.Load().file(name)
	if !ok {
		return denied(opRemove, name)
	}
	return g.Host.Remove(place)
}

// MkdirAll makes trees and what is below them; the parents of a tree come with it.
func (g *Guard) MkdirAll(name string) error {
	p := g.policy.Load()
	abs, err := filepath.Abs(name)
	if err != nil || p == nil {
		return denied(opMkdir, name)
	}
	// What exists of the path is resolved, what does not is plain: a link cannot lead out of the tree.
	existing, rest := abs, ""
	for {
		real, err := filepath.EvalSymlinks(existing)
		if err == nil {
			existing = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || existing == "/" {
			return denied(opMkdir, name)
		}
		rest = filepath.Join(filepath.Base(existing), rest)
		existing = filepath.Dir(existing)
	}
	place := filepath.Join(existing, rest)
	if !p.tree(place) && !p.treeRoot(abs) {
		return denied(opMkdir, name)
	}
	return g.Host.MkdirAll(place)
}

func (p *Policy) treeRoot(abs string) bool {
	for _, root := range p.Trees {
		if root == abs {
			return true
		}
	}
	return false
}

// OpenFile is for reading anywhere, for writing below a tree.
func (g *Guard) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND) == 0 {
		return g.Host.OpenFile(name, flag, perm)
	}
	p := g.policy.Load()
	place, err := resolve(name)
	if err != nil {
		return nil, err
	}
	if p == nil || !p.tree(place) {
		return nil, denied(opOpen, name)
	}
	return g.Host.OpenFile(place, flag, perm)
}

func (g *Guard) Listen(spec ListenSpec) (*os.File, error) {
	p := g.policy.Load()
	ok := false
	switch {
	case p == nil:
	case spec.Network == "tcp":
		ok = p.Ports[int(spec.Addr.Port())]
	case spec.Network == "unix":
		abs, err := filepath.Abs(spec.Path)
		ok = err == nil && p.Sockets[abs]
	case spec.Network == "abns":
		ok = p.Names[spec.Path]
	}
	if !ok {
		return nil, fmt.Errorf("listening on %s: %w", spec, ErrDenied)
	}
	return g.Host.Listen(spec)
}
