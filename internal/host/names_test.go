package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"
	"testing"

	"gatehouse/internal/host"
	"gatehouse/internal/host/hosttest"
)

func TestResolvePrefersIPv4UnlessAFamilyIsAsked(t *testing.T) {
	m := hosttest.NewMemory()
	six, four := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")
	m.Hosts = map[string][]netip.Addr{"both": {six, four}, "six": {six}, "four": {four}}
	for _, c := range []struct {
		name   string
		family int
		want   netip.Addr // the zero Addr: an error
	}{
		{"both", 0, four}, {"both", 4, four}, {"both", 6, six}, {"six", 0, six}, {"six", 4, netip.Addr{}}, {"four", 6, netip.Addr{}},
		{"none", 0, netip.Addr{}},
	} {
		got, err := host.Resolve(t.Context(), m, c.name, c.family)
		if got != c.want || (err == nil) != c.want.IsValid() {
			t.Errorf("%s, family %d: %v, %v, want %v", c.name, c.family, got, err, c.want)
		}
	}
}

func TestUsersAndGroupsComeFromTheMachinesFiles(t *testing.T) {
	m := hosttest.NewMemory()
	if err := m.MkdirAll("/etc"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"/etc/passwd": "root:x:0:0::/:\nwww:x:33:34::/:\n", "/etc/group": "broken\nwww:x:34:\n"} {
		if err := m.ReplaceFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := host.LookupUser(m, "www"); id != 33 || err != nil {
		t.Errorf("user www: %d, %v", id, err)
	}
	if id, err := host.LookupGroup(m, "www"); id != 34 || err != nil {
		t.Errorf("group www: %d, %v", id, err)
	}
	if _, err := host.LookupUser(m, "nobody"); err == nil {
		t.Error("a user that is not there was found")
	}
}

func TestStrerrorLeavesThePathToTheCaller(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}, "No such file or directory"},
		{fmt.Errorf("listening on x: %w", syscall.EADDRINUSE), "Address already in use"},
		{&fs.PathError{Op: "read", Path: "/x", Err: errors.New("too long")}, "too long"},
		{errors.New("refused"), "refused"},
	} {
		if got := host.Strerror(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
