package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// socket is a stats socket that answers each command with a recorded text.
func socket(t *testing.T, answers map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stats.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			line = strings.TrimSpace(strings.TrimPrefix(line, "set severity-output number -;"))
			answer, ok := answers[line]
			if !ok {
				answer = "[3]: unexpected: " + line + "\n"
			}
			_, _ = io.WriteString(c, answer+"\n")
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-served })
	return path
}

func run(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	root := newCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.Execute()
	return out.String(), errs.String(), err
}

func TestCommandsPrintWhatTheProcessAnswers(t *testing.T) {
	sock := socket(t, map[string]string{
		"acme status": "# certificate\tsection\tstate\texpiration date (UTC)\texpires in\tscheduled date (UTC)\tscheduled in\n" +
			"a.pem\tle\tScheduled\t2026-12-01T00:00:00Z\t10d 0h00m00s\t2026-11-28T00:00:00Z\t7d 0h00m00s\n",
		"acme renew a.pem":    "",
		"@1 acme renew a.pem": "",
		"acme renew b.pem":    "[3]: b.pem is not an ACME certificate\n",
		"show ssl cert":       "# transaction\n*b.pem\n# filename\na.pem\nb.pem\n",
		"show ssl cert a.pem": "Filename: a.pem\nStatus: Used\nSerial: 01\nChain Subject: /CN=x: y\nChain Issuer: /CN=r\nChain Subject: /CN=z\n",
	})
	for _, c := range []struct {
		args, stdout, stderr string
	}{
		{"cert list", "\na.pem", ""},
		{"cert list", "change not committed", ""},
		{"cert list --json", `"transaction": true`, ""},
		{"cert show a.pem", "Filename: a.pem\nStatus: Used\n", ""},
		{"cert show a.pem --json", `"subject": "/CN=x: y"`, ""},
		{"acme status", "# certificate\tsection\t", ""},
		{"acme status --json", `"expires_in": "10d 0h00m00s"`, ""},
		{"acme status --json", `"expiration_date_utc": "2026-12-01T00:00:00Z"`, ""},
		{"acme renew a.pem", "", ""},
		{"acme renew a.pem -m", "", ""},
		{"acme renew b.pem", "", "Error: b.pem is not an ACME certificate"},
		{"acme renew", "", "Error: accepts 1 arg(s), received 0"},
		{"acme reniew a.pem", "", "Error: unknown command \"reniew\" for \"gatehouse acme\""},
		{"certs", "", "Error: unknown command \"certs\" for \"gatehouse\""},
	} {
		stdout, stderr, err := run(append(strings.Fields(c.args), "-s", sock)...)
		if !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || (err == nil) != (c.stderr == "") {
			t.Errorf("gatehouse %s: stdout %q, stderr %q, %v\nwant stdout %q, stderr %q", c.args, stdout, stderr, err, c.stdout, c.stderr)
		}
	}
}

func TestCommandsSayWhomTheyCouldNotReach(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.sock")
	if _, stderr, err := run("cert", "list", "-s", missing); err == nil || !strings.Contains(stderr, missing) {
		t.Errorf("stderr %q, %v; want the socket's name", stderr, err)
	}
	if _, stderr, err := run("cert", "list", "-s", "carrier@pigeon"); err == nil || !strings.Contains(stderr, "carrier@pigeon") {
		t.Errorf("stderr %q, %v; want the address", stderr, err)
	}
}
