package main

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/app"
)

func TestDoctorNamesPathModeAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name   string
		global string
		harm   func(t *testing.T, dir string)
		code   int
		want   []string
	}{
		{"well", "", func(*testing.T, string) {}, 0, nil},
		{"key for all", "", func(t *testing.T, dir string) { chmod(t, dir+"/certs/a.pem", 0o644) }, 2, []string{"DIR/certs/a.pem: every user has access to the private key (mode 0644)", "do: chmod o-rwx DIR/certs/a.pem"}},
		{"configuration for all", "", func(t *testing.T, dir string) { chmod(t, dir+"/haproxy.cfg", 0o666) }, 2, []string{"do: chmod o-w DIR/haproxy.cfg"}},
		{"missing certificate", "", func(t *testing.T, dir string) {
			if err := os.Remove(dir + "/certs/a.pem"); err != nil {
				t.Fatal(err)
			}
		}, 2, []string{"DIR/certs/a.pem: the file is missing", "do: gatehouse cert install --to DIR/certs/a.pem FILES..."}},
		{"open state", "", func(t *testing.T, dir string) { chmod(t, dir+"/state", 0o755) }, 2, []string{"DIR/state: others have access to the state directory, which holds keys (mode 0755)", "do: chmod 700 DIR/state"}},
		{"socket without directory", "stats socket DIR/run/gatehouse/s.sock level admin", func(*testing.T, string) {}, 2, []string{"DIR/run: ", "RuntimeDirectory="}},
		{"socket for all", "stats socket DIR/s.sock mode 666 level admin", func(*testing.T, string) {}, 2, []string{"mode 666 at DIR/haproxy.cfg:4 gives every user level admin"}},
		{"admin over the network", "stats socket 192.0.2.1:9999 level admin", func(*testing.T, string) {}, 2, []string{"192.0.2.1:9999: level admin over the network"}},
		{"too many connections", "maxconn 1000000000", func(*testing.T, string) {}, 1, []string{"RLIMIT_NOFILE: maxconn 1000000000 needs 2000000100 open files", "LimitNOFILE=2000000100"}},
		{"unknown user", "user nobody-knows-me", func(*testing.T, string) {}, 2, []string{"cannot find user id for 'nobody-knows-me'"}},
		{"broken configuration", "nonsense", func(*testing.T, string) {}, 2, []string{"gatehouse -c -f DIR/haproxy.cfg tells every error"}},
	} {
		dir := t.TempDir()
		leaf := issue(t, &x509.Certificate{DNSNames: []string{"a.test"}}, nil, nil)
		put(t, dir+"/certs/a.pem", 0o600, leaf.keyPEM(t), leaf.certPEM())
		if err := os.Mkdir(dir+"/state", 0o700); err != nil {
			t.Fatal(err)
		}
		stay := "# as we are"
		if os.Geteuid() == 0 && !strings.HasPrefix(c.global, "user") {
			stay = "user root"
		}
		text := "global\n    " + stay + "\n    # more\n    " + c.global + "\n" +
			"gatehouse\n    state-dir DIR/state\ndefaults\n    mode http\nfrontend www\n    bind 127.0.0.1:44397 ssl crt DIR/certs/a.pem\n"
		text = strings.ReplaceAll(text, "DIR", dir)
		cfg := put(t, dir+"/haproxy.cfg", 0o644, []byte(text))
		c.harm(t, dir)
		stdout, stderr, err := run("doctor", "-f", cfg)
		code := exit(err)
		if strings.Contains(stdout, "clock: no time server") && code == exitSoon && c.code == 0 { // of this machine, not of the case
			code = 0
		}
		if code != c.code || stderr != "" {
			t.Errorf("%s: exit code %d, stderr %q, want %d\n%s", c.name, exit(err), stderr, c.code, stdout)
		}
		for _, want := range c.want {
			if want = strings.ReplaceAll(want, "DIR", dir); !strings.Contains(stdout, want) {
				t.Errorf("%s: got\n%s\nwant %q", c.name, stdout, want)
			}
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorLooksWithTheEyesOfTheUserThatStarts(t *testing.T) {
	dir := t.TempDir()
	chmod(t, filepath.Dir(dir), 0o755)
	chmod(t, dir, 0o755)
	leaf := issue(t, &x509.Certificate{DNSNames: []string{"a.test"}}, nil, nil)
	put(t, dir+"/private/a.pem", 0o600, leaf.keyPEM(t), leaf.certPEM())
	chmod(t, dir+"/private", 0o700)
	cfg := put(t, dir+"/haproxy.cfg", 0o644, []byte("gatehouse\n    state-dir "+dir+"/state\ndefaults\n    mode http\nfrontend www\n    bind 127.0.0.1:44398 ssl crt "+dir+"/private/a.pem\n"))
	stdout, _, err := run("doctor", "--json", "--user", "nobody", "-f", cfg)
	var found []app.Ailment
	if exit(err) != exitWrong || json.Unmarshal([]byte(stdout), &found) != nil {
		t.Fatalf("%d %s", exit(err), stdout)
	}
	told := ""
	for _, a := range found {
		if a.Path == dir+"/private" && a.Severity == "error" {
			told = a.Problem + " " + a.Do
		}
	}
	for _, want := range []string{"user nobody cannot read the certificate " + dir + "/private/a.pem", "has mode 0700", "chmod g+x " + dir + "/private"} {
		if !strings.Contains(told, want) {
			t.Errorf("got %q of %s, want %q", told, stdout, want)
		}
	}
	if _, stderr, err := run("doctor", "--user", "nobody-knows-me", "-f", cfg); exit(err) != exitWrong || !strings.Contains(stderr, "nobody-knows-me") {
		t.Errorf("an unknown user: %d %q", exit(err), stderr)
	}
}
