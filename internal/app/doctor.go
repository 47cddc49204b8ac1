package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// Ailment is one thing that keeps, or will keep, a configuration from working on this machine.
type Ailment struct {
	Severity string `json:"severity"` // error: it does not work; warning: it works badly, or not for long; ok: what was looked at and is well
	Path     string `json:"path"`     // the file, directory, address or limit
	Problem  string `json:"problem"`
	Do       string `json:"do,omitempty"` // what to do next
}

// Severities of an Ailment.
const (
	AilmentError   = "error"
	AilmentWarning = "warning"
	AilmentNone    = "ok"
)

// DoctorOptions say what is examined.
type DoctorOptions struct {
	Files []string // of the configuration
	User  string   // who starts the process; "" is the user that asks
	Now   time.Time
	// Answers tells whether a process answers at an address of ControlSockets: then ports that are taken are its own.
	Answers func(addr string) bool
}

// doctor examines one configuration.
type doctor struct {
	*offline
	o       DoctorOptions
	starter someone // who starts the process and, with a master, reads and writes for it
	worker  someone // who the process is afterwards
	found   []Ailment
}

func (d *doctor) add(severity, path, problem, do string) {
	d.found = append(d.found, Ailment{severity, path, problem, do})
}

// Doctor examines whether a configuration can run on this machine, and names what to mend. It changes nothing. The error is that of the question itself, such as
// an unknown user.
func Doctor(ctx context.Context, o DoctorOptions) ([]Ailment, error) {
	d := &doctor{o: o}
	var err error
	if d.starter, err = whoIs(host.Direct{}, o.User); err != nil {
		return nil, err
	}
	d.configuration()
	if d.offline, err = loadOffline(ctx, o.Files); err != nil {
		d.add(AilmentError, strings.Join(o.Files, ", "), err.Error(), "name a configuration file that can be read, with -f")
		return d.found, nil
	}
	if d.diags.HasErrors() {
		d.add(AilmentError, strings.Join(o.Files, ", "), firstError(d.diags), "gatehouse -c -f "+strings.Join(o.Files, " -f ")+" tells every error")
	}
	d.identity()
	d.certificates()
	d.stateDirectory()
	d.sockets()
	d.ports(ctx)
	d.limits()
	d.clock()
	return d.found, nil
}

// configuration looks at the files of -f.
func (d *doctor) configuration() {
	for _, name := range d.o.Files {
		if why := d.starter.cannot(name, mayRead); why != nil {
			d.add(AilmentError, why.path, fmt.Sprintf("%s cannot read %s: %s", d.starter, name, why), why.mend(d.starter, "r"))
			continue
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o002 != 0 {
			d.add(AilmentError, name, fmt.Sprintf("every user can change the configuration (mode %04o)", info.Mode().Perm()), "chmod o-w "+name)
			continue
		}
		d.add(AilmentNone, name, "the configuration can be read", "")
	}
}

// identity looks at user, group and chroot.
func (d *doctor) identity() {
	g := &d.cfg.Global
	d.worker = d.starter
	id, err := identityOf(d.host, g)
	if err != nil {
		d.add(AilmentError, "user, group", err.Error(), "make the user or group (useradd --system), or name one of /etc/passwd and /etc/group")
	}
	if d.starter.uid == 0 {
		if id.uid > 0 {
			d.worker = someone{name: g.User, uid: id.uid, gids: []int{id.gid}} // supplementary groups are dropped
		} else if g.UID == nil && g.User == "" {
			d.add(AilmentWarning, "user", "the process starts as root and stays root", "add `user` and `group` to the global section")
		}
	} else if id.uid > 0 && id.uid != d.starter.uid {
		d.add(AilmentError, "user", fmt.Sprintf("%s cannot become user %s: only root can", d.starter, g.User), "start as root, or remove `user` and `group` from the global section")
	}
	if g.Chroot == "" || g.Chroot == "auto" {
		return
	}
	info, err := os.Stat(g.Chroot)
	switch {
	case d.starter.uid != 0:
		d.add(AilmentError, g.Chroot, fmt.Sprintf("%s cannot chroot: only root can", d.starter), "start as root, or remove `chroot`")
	case err != nil:
		d.add(AilmentError, g.Chroot, "the chroot directory is missing: "+host.Strerror(err), "install -d -m 755 -o root -g root "+g.Chroot)
	case !info.IsDir():
		d.add(AilmentError, g.Chroot, "chroot names no directory", "name an empty directory")
	case d.worker.cannot(g.Chroot, mayWrite) == nil && d.worker.uid != 0:
		d.add(AilmentWarning, g.Chroot, fmt.Sprintf("%s can write into its chroot", d.worker), "chown root:root "+g.Chroot+" && chmod 755 "+g.Chroot)
	}
	if !g.MasterWorker {
		d.add(AilmentWarning, g.Chroot, "without a master, a process in a chroot reads no file outside of it: a reload and a change of a certificate need a master", "add `master-worker` to the global section, or start with -W or -Ws")
	}
}

// acts is who reads and writes files while the process runs: the master, where there is one.
func (d *doctor) acts() someone {
	if d.cfg.Global.MasterWorker {
		return d.starter
	}
	return d.worker
}

// certificates looks at every PEM and key that the configuration reads, and at the directories that persist writes into.
func (d *doctor) certificates() {
	plan := d.plan()
	if plan == nil {
		return
	}
	dirs := map[string]bool{}
	seen := map[string]bool{}
	for _, p := range plan.Planned() {
		for _, file := range []string{p.PEM, p.Key} {
			if file != "" && !seen[file] {
				seen[file] = true
				d.certificate(file, file == p.Key || p.Key == "", p.ACME != "")
			}
		}
		if p.Err != nil {
			d.add(AilmentError, p.Name, strings.TrimSpace(p.Err.Error()), "gatehouse cert install --to "+p.Name+" FILES...")
		}
		if p.Persist && p.PEM != "" {
			dirs[filepath.Dir(p.PEM)] = true
		}
	}
	for dir := range dirs {
		d.writable(dir)
	}
	d.add(AilmentNone, "certificates", fmt.Sprintf("%d files and %d directories were looked at", len(seen), len(dirs)), "")
}

func (d *doctor) certificate(file string, holdsKey, issued bool) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !issued {
			d.add(AilmentError, file, "the file is missing", "gatehouse cert install --to "+file+" FILES...")
		}
		return
	}
	for _, who := range []someone{d.starter, d.acts()} {
		if why := who.cannot(file, mayRead); why != nil {
			d.add(AilmentError, why.path, fmt.Sprintf("%s cannot read the certificate %s: %s", who, file, why), why.mend(who, "r"))
			return
		}
	}
	if err == nil && holdsKey && info.Mode().Perm()&0o007 != 0 {
		d.add(AilmentError, file, fmt.Sprintf("every user has access to the private key (mode %04o)", info.Mode().Perm()), "chmod o-rwx "+file)
	}
}

// writable looks at a directory into which changes of certificates go.
func (d *doctor) writable(dir string) {
	who := d.acts()
	if why := who.cannot(dir, mayWrite); why != nil {
		d.add(AilmentWarning, why.path, fmt.Sprintf("%s cannot write into %s, so changes of its certificates are kept in the state directory only: %s", who, dir, why), why.mend(who, "w"))
		return
	}
	d.space(dir)
}

// minSpace is what a directory should have left.
const minSpace = 50 << 20 // bytes

func (d *doctor) space(dir string) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return
	}
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		d.add(AilmentError, dir, "the file system is mounted read-only", "mount -o remount,rw "+dir+"; under systemd: ReadWritePaths="+dir)
	case st.Bavail*uint64(st.Bsize) < minSpace:
		d.add(AilmentWarning, dir, fmt.Sprintf("only %d MiB are left", st.Bavail*uint64(st.Bsize)>>20), "make room: what cannot be written serves from memory only")
	case st.Files > 0 && st.Ffree < 1000:
		d.add(AilmentWarning, dir, fmt.Sprintf("only %d inodes are left", st.Ffree), "remove files: what cannot be written serves from memory only")
	}
}

// stateDirectory looks at where history, accounts and what has no file are kept.
func (d *doctor) stateDirectory() {
	dir, who := d.stateDir(d.cfg), d.acts()
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		parent := filepath.Dir(dir)
		for parent != "/" {
			if _, err := os.Stat(parent); err == nil {
				break
			}
			parent = filepath.Dir(parent)
		}
		if why := who.cannot(parent, mayWrite); why != nil {
			d.add(AilmentError, dir, fmt.Sprintf("the state directory is missing and %s cannot make it: %s", who, why), fmt.Sprintf("install -d -m 700 -o %s %s; under systemd: StateDirectory=gatehouse", who.name, dir))
			return
		}
		d.add(AilmentNone, dir, "the state directory will be made at the first write", "")
		d.space(parent)
		return
	}
	if why := who.cannot(dir, mayWrite); why != nil {
		d.add(AilmentError, why.path, fmt.Sprintf("%s cannot write into the state directory %s: %s", who, dir, why), why.mend(who, "w"))
		return
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		d.add(AilmentError, dir, fmt.Sprintf("others have access to the state directory, which holds keys (mode %04o)", info.Mode().Perm()), "chmod 700 "+dir)
	}
	d.space(dir)
	db, err := openToCheck(d.host, filepath.Join(dir, "state.db"), false)
	switch {
	case err == nil:
		db.Close()
		d.add(AilmentNone, dir, "no process holds the state directory", "")
	case errors.Is(err, storage.ErrLocked):
		d.add(AilmentNone, dir, "a running process holds the state directory", "")
	case !errors.Is(err, fs.ErrNotExist):
		d.add(AilmentError, filepath.Join(dir, "state.db"), err.Error(), "gatehouse store check --repair -f "+strings.Join(d.o.Files, " -f "))
	}
}

// sockets looks at the stats sockets.
func (d *doctor) sockets() {
	for _, line := range d.cfg.Global.StatsSockets {
		for _, a := range line.Addrs {
			switch {
			case a.Network == "unix":
				d.unixSocket(line, a.Path)
			case a.Network == "tcp" && line.Level == "admin" && !a.IP.IsLoopback() && a.Host != "localhost":
				d.add(AilmentError, a.Text, fmt.Sprintf("level admin over the network, at %s:%d: whoever reaches it can read private keys", line.Pos.File, line.Pos.Line), "bind it to 127.0.0.1, or use a unix socket with mode 660")
			}
		}
	}
}

func (d *doctor) unixSocket(line *config.Bind, path string) {
	dir := filepath.Dir(path)
	if why := d.starter.cannot(dir, mayWrite); why != nil {
		do := why.mend(d.starter, "w")
		if why.missing {
			do = "install -d -m 755 " + dir + "; under systemd: RuntimeDirectory=" + strings.TrimPrefix(strings.TrimPrefix(dir, "/run/"), "/var/run/")
		}
		d.add(AilmentError, why.path, fmt.Sprintf("%s cannot make the stats socket %s: %s", d.starter, path, why), do)
		return
	}
	if line.Mode != nil && *line.Mode&0o002 != 0 && line.Level == "admin" {
		d.add(AilmentError, path, fmt.Sprintf("mode %o at %s:%d gives every user level admin, which reads private keys", *line.Mode, line.Pos.File, line.Pos.Line), "write mode 660 and group NAME")
	}
}

// limits compares the limit of open files with maxconn.
func (d *doctor) limits() {
	var files unix.Rlimit
	max := d.cfg.Global.MaxConn
	if max == 0 || unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return
	}
	const besides = 100 // listeners, logs, state
	if need := uint64(2*max + besides); files.Max < need {
		d.add(AilmentWarning, "RLIMIT_NOFILE", fmt.Sprintf("maxconn %d needs %d open files, this shell may have %d", max, need, files.Max),
			fmt.Sprintf("under systemd: LimitNOFILE=%d; in a shell: ulimit -n %d", need, need))
		return
	}
	d.add(AilmentNone, "RLIMIT_NOFILE", fmt.Sprintf("%d open files are enough for maxconn %d", files.Max, max), "")
}

// clock looks for signs that the time is wrong: certificates would count as expired, or as not valid yet.
func (d *doctor) clock() {
	now := d.o.Now
	for _, file := range d.cfg.Files {
		if info, err := os.Stat(file); err == nil && info.ModTime().Sub(now) > 10*time.Minute {
			d.add(AilmentError, "clock", fmt.Sprintf("it is %s here, but %s was changed at %s", now.UTC().Format(time.RFC3339), file, info.ModTime().UTC().Format(time.RFC3339)), "timedatectl set-ntp true")
			return
		}
	}
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil && state == unix.TIME_ERROR {
		d.add(AilmentWarning, "clock", "no time server keeps this clock right, as far as the kernel knows", "timedatectl set-ntp true (in a container: on the machine around it)")
	}
}
