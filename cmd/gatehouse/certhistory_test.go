package main

import (
	"strings"
	"testing"
)

func TestCertDiffTellsWhatDiffersAndNothingElse(t *testing.T) {
	older := strings.NewReplacer("DNS:b.test", "DNS:c.test", "RSA2048", "EC256", "Serial: 0A", "Serial: 09", "Filename: /c/a.pem\n", "Filename: /c/a.pem\nVersion: 1\n").Replace(answered)
	sock := socket(t, map[string]string{
		"show ssl cert-history /c/a.pem":   "# version when serial not-after sha256 by\n1 2020-10-01T00:00:00Z 09 2020-12-01T00:00:00Z ab file\n*2 2020-11-01T00:00:00Z 0A 2020-12-01T00:00:00Z cd stats socket, user 0\n",
		"show ssl cert-history /c/a.pem 1": older,
		"show ssl cert-history /c/a.pem 2": answered,
		"show ssl cert /c/a.pem":           answered,
		"rollback ssl cert /c/a.pem 1":     "Rolling back /c/a.pem to version 1.\nSuccess!\n",
		"rollback ssl cert /c/a.pem":       "Rolling back /c/a.pem to version 1.\nNo space left on device\n",
	})
	for _, c := range []struct {
		args, stdout, stderr string
		code                 int
	}{
		{"cert history /c/a.pem", "*2       2020-11-01T00:00:00Z  0A      2020-12-01T00:00:00Z  stats socket, user 0\n", "", 0},
		{"cert history /c/a.pem --json", `"current": true`, "", 0},
		{"cert diff /c/a.pem", "names\n  - a.test,c.test\n  + a.test,b.test\nkey\n  - EC256\n  + RSA2048\nserial\n  - 09\n  + 0A\n", "", 1},
		{"cert diff /c/a.pem 1", "serial\n  - 09\n  + 0A\n", "", 1},
		{"cert diff /c/a.pem 2", "nothing differs\n", "", 0},
		{"cert diff /c/a.pem 2 1 --json", `"what": "key"`, "", 1},
		{"cert diff /c/a.pem 7", "", "unexpected", 2},
		{"cert rollback /c/a.pem 1", "Success!", "", 0},
		{"cert rollback /c/a.pem", "", "No space left on device", 1},
	} {
		stdout, stderr, err := run(append(strings.Fields(c.args), "-s", sock)...)
		if !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || exit(err) != c.code {
			t.Errorf("gatehouse %s: exit code %d, stdout %q, stderr %q; want %d, %q, %q", c.args, exit(err), stdout, stderr, c.code, c.stdout, c.stderr)
		}
	}
}
