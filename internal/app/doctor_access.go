package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gatehouse/internal/host"
	"gatehouse/internal/listener"
)

// someone is a user as far as files are concerned.
type someone struct {
	name string
	uid  int
	gids []int
}

func (s someone) String() string {
	if s.name == "" {
		return fmt.Sprintf("user %d", s.uid)
	}
	return "user " + s.name
}

// whoIs looks a user up with its groups; "" is the user of this process.
func whoIs(h host.Host, name string) (someone, error) {
	if name == "" {
		groups, _ := os.Getgroups()
		s := someone{uid: os.Geteuid(), gids: append(groups, os.Getegid())}
		s.name = userName(h, s.uid)
		return s, nil
	}
	uid, err := host.LookupUser(h, name)
	if err != nil {
		return someone{}, fmt.Errorf("--user %s: %w", name, err)
	}
	s := someone{name: name, uid: uid}
	for _, words := range table(h, "/etc/passwd") {
		if words[0] == name && len(words) > 3 {
			if gid, err := strconv.Atoi(words[3]); err == nil {
				s.gids = append(s.gids, gid)
			}
		}
	}
	for _, words := range table(h, "/etc/group") {
		if len(words) > 3 && slices.Contains(strings.Split(words[3], ","), name) {
			if gid, err := strconv.Atoi(words[2]); err == nil {
				s.gids = append(s.gids, gid)
			}
		}
	}
	return s, nil
}

func userName(h host.Host, uid int) string {
	for _, words := range table(h, "/etc/passwd") {
		if len(words) > 2 && words[2] == strconv.Itoa(uid) {
			return words[0]
		}
	}
	return ""
}

// table reads the lines of a file such as /etc/passwd.
func table(h host.Host, file string) (rows [][]string) {
	data, err := h.ReadFile(file, host.MaxFile)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(data) {
		rows = append(rows, strings.Split(strings.TrimSpace(string(line)), ":"))
	}
	return rows
}

// Permission bits as in the lowest three bits of a mode.
const (
	mayRead  = 4
	mayWrite = 2 // into a directory, with the right to search it
	maySee   = 1
)

// obstacle is the first place on the way to a file that keeps somebody out.
type obstacle struct {
	path     string
	mode     fs.FileMode
	uid, gid int
	want     uint32
	dir      bool
	missing  bool
	text     string
}

func (o *obstacle) Error() string { return o.text }

// mend is the command that opens the way without opening it for all.
func (o *obstacle) mend(who someone, right string) string {
	switch {
	case o.missing:
		return "make it, or name another path in the configuration"
	case o.want == maySee:
		right = "x"
	case o.dir:
		right += "x"
	}
	if slices.Contains(who.gids, o.gid) {
		return fmt.Sprintf("chmod g+%s %s", right, o.path)
	}
	group := "GROUP"
	if len(who.gids) > 0 {
		group = strconv.Itoa(who.gids[0])
	}
	return fmt.Sprintf("chgrp %s %s && chmod g+%s %s (it belongs to %d:%d, mode %04o), or setfacl -m u:%s:%s %s", group, o.path, right, o.path, o.uid, o.gid, o.mode.Perm(), orNumber(who), right, o.path)
}

func orNumber(who someone) string {
	if who.name == "" {
		return strconv.Itoa(who.uid)
	}
	return who.name
}

// cannot tells what keeps a user from a path, nil for nothing. The mode bits decide; access lists are not read, so where there is one, the answer errs on the
// side of a finding. Root is kept out by nothing.
func (s someone) cannot(path string, want uint32) *obstacle {
	full, err := filepath.Abs(path)
	if err != nil {
		return &obstacle{path: path, text: err.Error(), missing: true}
	}
	if real, err := filepath.EvalSymlinks(full); err == nil {
		full = real
	}
	parts := strings.Split(strings.TrimPrefix(full, "/"), "/")
	at := "/"
	for i := -1; i < len(parts); i++ {
		need := uint32(maySee)
		if i >= 0 {
			at = filepath.Join(at, parts[i])
		}
		info, err := os.Stat(at)
		if err != nil {
			return &obstacle{path: at, missing: errors.Is(err, fs.ErrNotExist), text: at + ": " + host.Strerror(err)}
		}
		if i == len(parts)-1 {
			if need = want; info.IsDir() && want == mayWrite {
				need |= maySee
			}
		}
		if o := s.kept(at, info, need); o != nil {
			return o
		}
	}
	return nil
}

func (s someone) kept(at string, info fs.FileInfo, need uint32) *obstacle {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.uid == 0 {
		return nil
	}
	mode := uint32(info.Mode().Perm())
	switch {
	case int(st.Uid) == s.uid:
		mode >>= 6
	case slices.Contains(s.gids, int(st.Gid)):
		mode >>= 3
	}
	if mode&need == need {
		return nil
	}
	return &obstacle{path: at, mode: info.Mode(), uid: int(st.Uid), gid: int(st.Gid), want: need, dir: info.IsDir(),
		text: fmt.Sprintf("%s has mode %04o and belongs to %d:%d", at, info.Mode().Perm(), st.Uid, st.Gid)}
}

// ports tries to open every address of a bind line and closes it at once. Where the process runs already, its own are taken rightly.
func (d *doctor) ports(ctx context.Context) {
	addrs, _ := ControlSockets(d.o.Files)
	for _, addr := range addrs {
		if d.o.Answers != nil && d.o.Answers(addr) {
			d.add(AilmentNone, addr, "a process answers: its addresses are not tried", "")
			return
		}
	}
	tried := 0
	for _, px := range d.cfg.Proxies {
		for _, line := range px.Binds {
			for _, a := range line.Addrs {
				addr, err := listener.NewAddress(ctx, d.host, line, a)
				if err != nil || a.Network != "tcp" || px.Disabled {
					continue
				}
				tried++
				addr.Spec.NoReusePort = true
				f, err := d.host.Listen(addr.Spec)
				if err == nil {
					f.Close()
					if d.starter.uid != 0 && os.Geteuid() == 0 && a.Port < lowestPort() {
						err = syscall.EACCES
					}
				}
				if err != nil {
					d.add(AilmentError, a.Text, fmt.Sprintf("it cannot be opened, at %s:%d: %s", line.Pos.File, line.Pos.Line, host.Strerror(err)), listenAdvice(err, a.Port))
				}
			}
		}
	}
	d.add(AilmentNone, "addresses", fmt.Sprintf("%d were tried", tried), "")
}

// lowestPort is the first that everybody may bind.
func lowestPort() int {
	data, err := host.Direct{}.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", 64)
	n, bad := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || bad != nil {
		return 1024
	}
	return n
}

func listenAdvice(err error, port int) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Sprintf("ss -ltnp 'sport = :%d' names the process that has it", port)
	case errors.Is(err, syscall.EACCES):
		return "start as root with `user`, or give the right: AmbientCapabilities=CAP_NET_BIND_SERVICE under systemd, setcap cap_net_bind_service=+ep on the program"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have the address (ip address); sysctl net.ipv4.ip_nonlocal_bind=1 lets one bind it all the same"
	}
	return "see ip address, and ss -ltnp"
}
