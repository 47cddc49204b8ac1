package listener

import (
	"net/netip"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/host/hosttest"
)

// socketLine parses one stats socket line.
func socketLine(t *testing.T, words string) *config.Bind {
	t.Helper()
	text := "global\n stats socket " + words + "\n"
	cfg, diags := config.Parse([]config.Source{{Name: "t.cfg", Data: []byte(text)}}, config.ParseOptions{})
	if diags.HasErrors() || len(cfg.Global.StatsSockets) != 1 {
		t.Fatalf("%q: %v", words, diags)
	}
	return cfg.Global.StatsSockets[0]
}

func TestAddressesAreSpelledAsTheRuntimeAPIDoes(t *testing.T) {
	m := hosttest.NewMemory()
	m.Hosts = map[string][]netip.Addr{"edge.test": {netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}}
	if err := m.MkdirAll("/etc"); err != nil {
		t.Fatal(err)
	}
	if err := m.ReplaceFile("/etc/passwd", []byte("root:x:0:0::/:\nwww:x:33:34::/:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ words, want string }{
		{"/run/admin.sock", "unix@/run/admin.sock"},
		{"abns@admin", "abns@admin"},
		{":9999", "ipv4@0.0.0.0:9999"},
		{"ipv6@:9999", "ipv6@[::]:9999"},
		{"127.0.0.1:9999", "ipv4@127.0.0.1:9999"},
		{"edge.test:9999", "ipv4@192.0.2.1:9999"},
		{"ipv6@edge.test:9999", "ipv6@[2001:db8::1]:9999"},
		{"nowhere.test:9999", "could not resolve address 'nowhere.test'"},
		{"/run/admin.sock user www", "unix@/run/admin.sock"},
		{"/run/admin.sock user nobody", "unknown user name 'nobody'"},
		{"/run/admin.sock group www", "unknown group name 'www'"},
	} {
		line := socketLine(t, c.words)
		a, err := NewAddress(t.Context(), m, line, line.Addrs[0])
		got := a.String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.words, got, c.want)
		}
	}
}

func TestKeysTellSocketsApartByHowTheyAreOpened(t *testing.T) {
	m := hosttest.NewMemory()
	key := func(words string) string {
		line := socketLine(t, words)
		a, err := NewAddress(t.Context(), m, line, line.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		return a.Key()
	}
	seen := map[string]string{}
	for _, words := range []string{
		"/run/a.sock", "/run/b.sock", "/run/a.sock mode 660", "/run/a.sock mode 600", "/run/a.sock uid 7", "/run/a.sock gid 7", "abns@/run/a.sock",
		":9999", ":9998", "127.0.0.1:9999", ":9999 interface lo", "fd@7", "fd@8",
	} {
		k := key(words)
		if k != key(words+" level admin") {
			t.Errorf("%q: another key after it was read again: %s", words, k)
		}
		if other, taken := seen[k]; taken {
			t.Errorf("%q and %q have the same key %s", words, other, k)
		}
		seen[k] = words
		if strings.Contains(k, "0x") {
			t.Errorf("%q: key %s holds a pointer", words, k)
		}
	}
}
