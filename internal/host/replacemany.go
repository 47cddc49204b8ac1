package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	batchFiles = 256 // temporary files open at a time
	batchSyncs = 32  // fsyncs at a time: a file system commits those that wait together as one
)

// ReplaceFiles writes the temporary files of a batch, syncs them side by side, renames them and syncs each directory once.
func (d Direct) ReplaceFiles(files []File) error {
	var errs []error
	for len(files) > 0 {
		n := min(len(files), batchFiles)
		b := batch{Direct: d, temps: make([]temp, 0, n)}
		errs = append(errs, b.replace(files[:n]))
		if errors.Is(errs[len(errs)-1], ErrKilled) {
			break
		}
		files = files[n:]
	}
	return errors.Join(errs...)
}

// batch is some files on their way. A file that cannot be replaced leaves the batch, the others go on.
type batch struct {
	Direct
	temps []temp
}

type temp struct {
	File
	f   *os.File
	err error
}

func (b *batch) replace(files []File) error {
	for _, f := range files {
		t := temp{File: f}
		t.f, t.err = b.stage(f)
		b.temps = append(b.temps, t)
		if errors.Is(t.err, ErrKilled) {
			break
		}
	}
	if !b.killed() {
		b.sync()
	}
	dirs := map[string]bool{}
	for i := range b.temps {
		t := &b.temps[i]
		if b.killed() {
			break
		}
		if t.err == nil {
			if t.err = b.before(StepRename, t.Name); t.err == nil {
				t.err = os.Rename(t.f.Name(), t.Name)
			}
		}
		if t.err == nil {
			dirs[filepath.Dir(t.Name)] = true
		}
	}
	var errs []error
	killed := b.killed()
	for i := range b.temps {
		t := &b.temps[i]
		errs = append(errs, t.err)
		if t.f == nil {
			continue
		}
		if t.err != nil && !killed {
			_ = os.Remove(t.f.Name())
		}
		_ = t.f.Close() // its content was synced
	}
	for dir := range dirs {
		if killed {
			break
		}
		err := b.syncDir(dir)
		errs, killed = append(errs, err), errors.Is(err, ErrKilled)
	}
	return errors.Join(errs...)
}

// stage writes the temporary file of f.
func (b *batch) stage(f File) (*os.File, error) {
	old, err := os.Lstat(f.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && !old.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "replace", Path: f.Name, Err: notRegular(old.Mode())}
	}
	if err != nil {
		old = nil
	}
	if err := b.before(StepCreate, f.Name); err != nil {
		return nil, err
	}
	tmp, err := createTemp(f.Name)
	if err != nil {
		return nil, err
	}
	if err := b.write(tmp, f.Name, f.Data, f.Perm, old); err != nil {
		if !errors.Is(err, ErrKilled) {
			_ = os.Remove(tmp.Name())
		}
		tmp.Close()
		return nil, err
	}
	return tmp, nil
}

// sync makes the contents durable. One that fails is not tried again: its pages count as clean from then on.
func (b *batch) sync() {
	for i := range b.temps {
		if t := &b.temps[i]; t.err == nil {
			t.err = b.before(StepSync, t.Name)
		}
	}
	if b.killed() {
		return
	}
	var wg sync.WaitGroup
	workers := min(batchSyncs, len(b.temps))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(b.temps); i += workers {
				if t := &b.temps[i]; t.err == nil {
					t.err = t.f.Sync()
				}
			}
		})
	}
	wg.Wait()
}

func (b *batch) killed() bool {
	for i := range b.temps {
		if errors.Is(b.temps[i].err, ErrKilled) {
			return true
		}
	}
	return false
}

// watched is what of a directory is told: a file that was written and closed, a name that was made, moved or removed.
const watched = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_ONLYDIR

// Watch opens one inotify instance.
func (d Direct) Watch(dirs []string) (*os.File, []int32, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, nil, &fs.PathError{Op: "inotify", Path: "", Err: err}
	}
	watches := make([]int32, len(dirs))
	for i, dir := range dirs {
		wd, err := unix.InotifyAddWatch(fd, dir, watched)
		if err != nil {
			wd = -1
		}
		watches[i] = int32(wd)
	}
	return os.NewFile(uintptr(fd), "inotify"), watches, nil
}
