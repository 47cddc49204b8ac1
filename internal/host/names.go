package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// resolveTimeout bounds the resolution of one host name.
const resolveTimeout = 5 * time.Second

// Resolve asks the machine for one address of a host: family is 4, 6, or 0 for IPv4 where there is some and IPv6 otherwise.
func Resolve(ctx context.Context, h Host, name string, family int) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	all, err := h.LookupIP(ctx, name)
	if err != nil {
		return netip.Addr{}, err
	}
	var other netip.Addr
	for _, ip := range all {
		switch {
		case ip.Is4() && family != 6, ip.Is6() && family == 6:
			return ip, nil
		case family == 0 && !other.IsValid():
			other = ip
		}
	}
	if !other.IsValid() {
		return other, errors.New("no address of the wanted family")
	}
	return other, nil
}

// LookupUser finds a user's number in /etc/passwd, as Go without cgo would.
func LookupUser(h Host, name string) (int, error) { return lookupID(h, "/etc/passwd", name) }

// LookupGroup finds a group's number in /etc/group.
func LookupGroup(h Host, name string) (int, error) { return lookupID(h, "/etc/group", name) }

func lookupID(h Host, file, name string) (int, error) {
	data, err := h.ReadFile(file, MaxFile)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) >= 3 && fields[0] == name {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("not in %s", file)
}

// Strerror words an error of the machine as strerror(3) does, without the path, which the caller's text has already.
func Strerror(err error) string {
	var errno syscall.Errno
	var path *fs.PathError
	switch {
	case errors.As(err, &errno):
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
