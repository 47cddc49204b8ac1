package host

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Step names one change of the disk. Between any two of them a process can die, and a test can make it.
type Step string

// Steps, in the order in which ReplaceFile takes them; the last three belong to the other methods.
const (
	StepCreate  Step = "create"   // the temporary file, empty
	StepWrite   Step = "write"    // its content
	StepOwner   Step = "owner"    // its owner, group and mode
	StepSync    Step = "sync"     // its content is durable
	StepRename  Step = "rename"   // it has the name
	StepSyncDir Step = "sync dir" // the name is durable
	StepClean   Step = "clean"    // the old content, now under the temporary name, goes away

	StepUnlink Step = "unlink"
	StepMkdir  Step = "mkdir"
	StepOpen   Step = "open"
)

// ErrKilled is what a Fault returns to play a process that dies at this step: nothing is cleaned up after it.
var ErrKilled = errors.New("killed")

// ReplaceFile swaps old and new content with one renameat2(RENAME_EXCHANGE) where the file system has it, so that even a
// failing fsync of the directory can be answered by swapping back. A symbolic link is refused: replacing it would cut an
// operator's layout (certbot's live/), following it would write where nobody asked.
func (d Direct) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	old, err := os.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !old.Mode().IsRegular() {
		return &fs.PathError{Op: "replace", Path: name, Err: notRegular(old.Mode())}
	}
	if err != nil {
		old = nil
	}
	if err := d.before(StepCreate, name); err != nil {
		return err
	}
	tmp, err := createTemp(name)
	if err != nil {
		return err
	}
	err = d.fill(tmp, name, data, perm, old)
	if err == nil {
		err = d.publish(tmp.Name(), name, old != nil)
	}
	if err != nil && !errors.Is(err, ErrKilled) {
		_ = os.Remove(tmp.Name())
	}
	// The lock on the temporary file ends here: what is still there after it is nobody's.
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	return err
}

func notRegular(mode fs.FileMode) error {
	switch {
	case mode&fs.ModeSymlink != 0:
		return syscall.ELOOP
	case mode.IsDir():
		return syscall.EISDIR
	}
	return syscall.EINVAL
}

// createTemp makes the temporary file of a name and locks it. Its name is always the same, so that what a dead process left
// is found and removed by the next one without reading the directory; a live neighbour's, which is locked, is left alone.
func createTemp(name string) (*os.File, error) {
	dir, base := filepath.Split(name)
	if len(base) > 200 {
		base = base[:200]
	}
	tmp := dir + "." + base + ".gatehouse-tmp"
	f, err := createLocked(tmp)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.EWOULDBLOCK) {
		removeStale(tmp)
		f, err = createLocked(tmp)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.EWOULDBLOCK) {
		var random [8]byte
		_, _ = rand.Read(random[:])
		f, err = createLocked(tmp + "-" + hex.EncodeToString(random[:]))
	}
	return f, err
}

func createLocked(tmp string) (*os.File, error) {
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: tmp, Err: err}
	}
	return f, nil
}

func removeStale(tmp string) {
	f, err := os.OpenFile(tmp, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	opened, err1 := f.Stat()
	named, err2 := os.Lstat(tmp)
	if err1 == nil && err2 == nil && os.SameFile(opened, named) {
		_ = os.Remove(tmp)
	}
}

func (d Direct) fill(f *os.File, name string, data []byte, perm fs.FileMode, old fs.FileInfo) error {
	if err := d.write(f, name, data, perm, old); err != nil {
		return err
	}
	if err := d.before(StepSync, name); err != nil {
		return err
	}
	return f.Sync()
}

// write gives the temporary file its content, owner and mode.
func (d Direct) write(f *os.File, name string, data []byte, perm fs.FileMode, old fs.FileInfo) error {
	if err := d.before(StepWrite, name); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := d.before(StepOwner, name); err != nil {
		return err
	}
	mode := perm.Perm()
	if old != nil {
		mode = old.Mode().Perm() &^ 0o007
		if err := keepOwner(f, old); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

func keepOwner(f *os.File, old fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	have, want := infoOf("", now), infoOf("", old)
	if have.UID == want.UID && have.GID == want.GID {
		return nil
	}
	return f.Chown(want.UID, want.GID)
}

// publish gives the temporary file its name.
func (d Direct) publish(tmp, name string, exists bool) error {
	if err := d.before(StepRename, name); err != nil {
		return err
	}
	exchanged := false
	if exists {
		exchanged = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, name, unix.RENAME_EXCHANGE) == nil
	}
	if !exchanged {
		if err := os.Rename(tmp, name); err != nil {
			return err
		}
	}
	if err := d.syncDir(filepath.Dir(name)); err != nil {
		if !errors.Is(err, ErrKilled) {
			unpublish(tmp, name, exists, exchanged)
		}
		return err
	}
	if err := d.before(StepClean, name); err != nil {
		// The new content is durable; only the clean-up was kept from happening.
		if errors.Is(err, ErrKilled) {
			return err
		}
		return nil
	}
	if exchanged {
		_ = os.Remove(tmp)
	}
	return nil
}

func unpublish(tmp, name string, exists, exchanged bool) {
	switch {
	case exchanged:
		_ = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, name, unix.RENAME_EXCHANGE)
	case !exists:
		_ = os.Remove(name)
	}
}

func (d Direct) syncDir(dir string) error {
	if err := d.before(StepSyncDir, dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
