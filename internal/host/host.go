// Package host is the machine as the rest of the house sees it: read a file, replace a file crash-safely, open a listener,
// look up a name. Three hosts exist: Direct does it in this process; Remote asks the master, which kept its rights, over a
// socketpair; Faulty (in hosttest) fails on purpose at step n.
package host

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
)

// Host is the machine. Every method may be called by any goroutine. Errors are *fs.PathError or wrap syscall.Errno so that
// errors.Is(err, fs.ErrNotExist), fs.ErrPermission and syscall.ENOSPC hold, whichever host it is.
type Host interface {
	// ReadFile returns the whole file, at most limit bytes; a longer one is an error.
	ReadFile(name string, limit int64) ([]byte, error)
	// Stat follows symlinks. Lstat does not.
	Stat(name string) (Info, error)
	Lstat(name string) (Info, error)
	// ReadDir returns the names in a directory, sorted bytewise.
	ReadDir(name string) ([]string, error)
	// ReplaceFile makes name hold data, durably and atomically: temporary file in the same directory (0600 at open), write,
	// fsync, rename, fsync of the directory. When it returns nil the data survives power loss; when it returns an error the old
	// content is untouched and no temporary file is left. An existing file keeps its owner, group and mode less access for others;
	// a new one gets mode perm.
	ReplaceFile(name string, data []byte, perm fs.FileMode) error
	// ReplaceFiles replaces several files like ReplaceFile, waiting for the disk once for many. When it returns nil all of them are
	// durable; after an error each holds its old or its new content, whole, so the caller has a record from which it can finish. The error
	// joins one *fs.PathError per file that was not replaced.
	ReplaceFiles(files []File) error
	// Remove deletes one file durably (directory fsynced); a missing file is not an error.
	Remove(name string) error
	// MkdirAll makes a directory 0700 and its missing parents, durably.
	MkdirAll(name string) error
	// OpenFile opens or creates a file of ours (state database, lock).
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	// Listen opens a listening socket and returns it.
	Listen(spec ListenSpec) (*os.File, error)
	// Watch returns a descriptor of inotify(7) that tells of files in dirs that were written, renamed into place or removed, and the watch
	// descriptor of each directory, -1 for one that cannot be watched. Where that does not exist it is ENOSYS.
	Watch(dirs []string) (*os.File, []int32, error)
	// LookupIP resolves a host name with the machine's resolver.
	LookupIP(ctx context.Context, name string) ([]netip.Addr, error)
}

// File is one file to replace; Perm is the mode of a new one.
type File struct {
	Name string
	Data []byte
	Perm fs.FileMode
}

// Info is what Stat tells.
type Info struct {
	Name     string
	Size     int64
	Mode     fs.FileMode
	ModTime  int64 // unix nanoseconds
	UID, GID int
	Ino      uint64
}

// ListenSpec describes one listening socket.
type ListenSpec struct {
	Network     string         // "tcp" or "unix" or "abns"
	Addr        netip.AddrPort // tcp
	V6Only      bool
	V4V6        bool
	Path        string // unix: bound under a temporary name and renamed over, so that there is never a moment without it
	Mode        *uint32
	UID, GID    int // unix: -1 leaves it
	Backlog     int
	Interface   string
	TFO         bool
	DeferAccept bool
	MSS         int
	NoReusePort bool // -dR: without SO_REUSEPORT
}
