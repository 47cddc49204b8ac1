package app

import (
	"crypto/x509"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// identity is what a process becomes once it has everything it needs rights for. -1 leaves it as it is.
type identity struct {
	uid, gid int
	chroot   string
}

// identityOf looks up who the configuration wants the process to be.
func identityOf(h host.Host, g *config.Global) (identity, error) {
	id := identity{uid: -1, gid: -1, chroot: g.Chroot}
	if g.UID != nil {
		id.uid = *g.UID
	}
	if g.GID != nil {
		id.gid = *g.GID
	}
	if g.User != "" {
		uid, err := host.LookupUser(h, g.User)
		if err != nil {
			return id, fmt.Errorf("config : cannot find user id for '%s' (%w)", g.User, err)
		}
		id.uid = uid
	}
	if g.Group != "" {
		gid, err := host.LookupGroup(h, g.Group)
		if err != nil {
			return id, fmt.Errorf("config : cannot find group id for '%s' (%w)", g.Group, err)
		}
		id.gid = gid
	}
	return id, nil
}

// limits is done first, before any secret is read: no core files, no other process of the user may look into this one, and as
// many descriptors as the machine gives.
func limits() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	undumpable()
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil && files.Cur < files.Max {
		files.Cur = files.Max
		_ = syscall.Setrlimit(unix.RLIMIT_NOFILE, (*syscall.Rlimit)(&files))
	}
}

// openFiles is how many descriptors the process may have, 0 when that is not known or has no bound.
func openFiles() int {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil || files.Cur > 1<<30 {
		return 0
	}
	return int(files.Cur)
}

func undumpable() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// preload reads what the libraries would look for on disk later, when it cannot be reached any more.
func preload() {
	_, _ = x509.SystemCertPool()
	_ = time.Now().String() // the local time zone
}

// drop gives up rights: root directory, groups, group, user, in this order, and the right ever to gain any back. The error is
// HAProxy's text.
func (id identity) drop() error {
	preload()
	if id.chroot != "" {
		if err := enterRoot(id.chroot); err != nil {
			return fmt.Errorf("[haproxy.main()] Cannot chroot(%s).", id.chroot)
		}
	}
	if os.Geteuid() == 0 && (id.uid > 0 || id.gid > 0) {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("[haproxy.main()] Cannot drop supplementary groups: %w", err)
		}
	}
	if id.gid > 0 {
		if err := syscall.Setgid(id.gid); err != nil {
			return fmt.Errorf("[haproxy.main()] Cannot set gid %d.", id.gid)
		}
	}
	if id.uid > 0 {
		if err := syscall.Setuid(id.uid); err != nil {
			return fmt.Errorf("[haproxy.main()] Cannot set uid %d.", id.uid)
		}
	}
	// Per thread, hence for all threads; the program is built without cgo, so there is no thread that Go does not know.
	_, _, _ = syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	undumpable() // changing the user made the kernel forget
	return nil
}

// enterRoot changes the root directory. "auto" is an empty directory that nobody can write to or find.
func enterRoot(dir string) error {
	if dir == "auto" {
		tmp, err := os.MkdirTemp("", "gatehouse-root-")
		if err != nil {
			return err
		}
		if err := os.Chmod(tmp, 0o555); err != nil {
			return err
		}
		if err := os.Chdir(tmp); err != nil {
			return err
		}
		if err := os.Remove(tmp); err != nil {
			return err
		}
		dir = "."
	}
	if err := syscall.Chroot(dir); err != nil {
		return err
	}
	return os.Chdir("/")
}

// advise warns as HAProxy does of a process that keeps more rights than it needs. These come after the zero-warning check and
// never stop a start.
func (id identity) advise(p *Printer) {
	if os.Geteuid() != 0 {
		return
	}
	if id.chroot == "" {
		p.Warning("[haproxy.main()] started as root without any 'chroot' directive: a chroot limits what an intruder can reach to one, preferably empty, directory. Set 'chroot /' to say that this is intended.")
	}
	if id.uid < 0 {
		p.Warning("[haproxy.main()] started as the root user without 'user' nor 'uid' in the global section: rights that are not needed should be dropped. Set 'user root' to say that this is intended.")
	}
}
