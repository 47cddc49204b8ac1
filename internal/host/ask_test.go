package host

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script writes a program that prints what text says.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ask")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestThePassphraseCommandGetsTheFileFirst(t *testing.T) {
	out, err := Direct{}.AskPassphrase(t.Context(), []string{script(t, `printf %s "$1 $2 $3"`), "one", "two"}, "/a.pem")
	if err != nil || string(out) != "/a.pem one two" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAPassphraseCommandThatFailsOrPrintsWithoutEndIsAnError(t *testing.T) {
	for _, text := range []string{"exit 3", "cat /dev/zero"} {
		if out, err := (Direct{}).AskPassphrase(t.Context(), []string{script(t, text)}, "/a.pem"); err == nil {
			t.Errorf("%s: got %d bytes", text, len(out))
		}
	}
	if _, err := (Direct{}).AskPassphrase(t.Context(), []string{"/does/not/exist"}, "/a.pem"); err == nil {
		t.Error("a program that is not there: no error")
	}
}

// A worker must not be able to make its master run anything else.
func TestAWorkerGetsTheAnswerOfTheMastersCommandOnly(t *testing.T) {
	here, there, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	other, err := UnixConn(there)
	if err != nil {
		t.Fatal(err)
	}
	guard := NewGuard(Direct{})
	serve := func(conn *net.UnixConn) { _ = Serve(t.Context(), conn, guard) }
	go serve(other)
	worker := NewRemote(here)
	go worker.Run(t.Context())

	evil := []string{script(t, "printf evil")}
	if _, err := worker.AskPassphrase(t.Context(), evil, "/a.pem"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("without a command in the configuration: %v", err)
	}
	p := NewPolicy()
	p.Passphrase = []string{script(t, `printf "for $1"`)}
	guard.SetPolicy(p)
	out, err := worker.AskPassphrase(t.Context(), evil, "/a.pem")
	if err != nil || strings.TrimSpace(string(out)) != "for /a.pem" {
		t.Errorf("got %q, %v", out, err)
	}
}
