package socket_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"gatehouse/internal/face/socket"
)

func TestCommandsOnServersAnswerAsHAProxy(t *testing.T) {
	p := newFakeProcess()
	for _, row := range [][2]string{
		{"add server", "Require 'backend/server'.\n\n"},
		{"add server be1", "Require 'backend/server'.\n\n"},
		{"add server nope/n 127.0.0.1:1", "No such backend.\n\n"},
		{"add server be1/n", "'server' expects <name> and <addr>[:<port>] as arguments.\n\n"},
		{"add server be1/n 127.0.0.1:1 wei", "unknown keyword 'wei'.\n\n"},
		{"add server be1/n 127.0.0.1:1 weight 5", "New server registered.\n\n"},
		{"add server be1/n 127.0.0.1:1", "Already exists a server with the same name in backend.\n\n"},
		{"get weight be1/n", "5 (initial 5)\n\n"},
		{"del server", "Require 'backend/server'.\n\n"},
		{"del server be1/nope", "No such server.\n\n"},
		{"del server be1/s1", "Only servers in maintenance mode can be deleted.\n\n"},
		{"wait 5 srv-removable", "Missing server name (<backend>/<server>).\n\n"},
		{"wait 5 srv-removable be1", "Require 'backend/server'.\n\n"},
		{"wait 5 srv-removable be1/nope", "Failed. No such server.\n\n"},
		{"wait 5 srv-removable be1/s1", "Failed. Only servers in maintenance mode can be deleted.\n\n"},
		{"wait 5 srv-removable be1/n", "Done.\n\n"},
		{"wait 5 be-removable", "Missing backend name.\n\n"},
		{"wait 5 be-removable nope", "Failed. No such backend.\n\n"},
		{"wait 5 be-removable be1", "Failed. This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n\n"},
		{"del server be1/n", "Server deleted.\n\n"},
		{"wait", "Expects a duration in milliseconds.\n\n"},
		{"wait x", "Invalid duration.\n\n"},
		{"wait 0", "Invalid duration.\n\n"},
		{"set server be1/s1 agent up", "agent checks are not enabled on this server.\n\n"},
		{"set server be1/s1 agent-addr", "set server <b>/<s> agent-addr requires an address and optionally a port.\n\n"},
		{"set server be1/s1 agent-addr bad", "invalid addr 'bad'\n\n"},
		{"set server be1/s1 agent-port", "set server <b>/<s> agent-port requires a port.\n\n"},
		{"set server be1/s1 agent-port x", "provided port is not an integer\n\n"},
		{"set server be1/s1 agent-port 99999", "provided port is invalid\n\n"},
		{"set server be1/s1 agent-send x", "agent checks are not enabled on this server.\n\n"},
		{"set server be1/s1 check-addr 127.0.0.1", "health checks are not enabled on this server\n\n"},
		{"set server be1/s1 check-port 81", "health checks are not enabled on this server\n\n"},
		{"set server be1/s1 fqdn", "set server <b>/<s> fqdn requires a FQDN.\n\n"},
		{"set server be1/s1 fqdn x", "set server <b>/<s> fqdn failed because no resolution is configured.\n\n"},
		{"set server be1/s1 addr 127.0.0.1 port", "problem converting port '' to an int\n\n"},
		{"enable agent be1/s1", "Agent was not configured on this server, cannot enable.\n\n"},
		{"disable agent be1/s1", "\n"},
	} {
		if got := ask(t, p, row[0]); got != row[1] {
			t.Errorf("%s is answered %q, want %q", row[0], got, row[1])
		}
	}
	if got := ask(t, p, "add server help"); !strings.HasPrefix(got, "List of keywords supported for dynamic server:\n") || !strings.Contains(got, "\ntrack\n") {
		t.Errorf("add server help is answered %q", got)
	}
	if got := ask(t, p, "wait -h"); !strings.HasPrefix(got, "Usage: wait {-h|<duration>} [condition [args...]]\n") || !strings.Contains(got, "srv-removable <px>/<sv>") {
		t.Errorf("wait -h is answered %q", got)
	}
}

func TestWaitWaitsForAServerToBeRemovable(t *testing.T) {
	p := newFakeProcess()
	s2 := p.proxies[2].servers[1] // in maintenance
	sock := serveUnix(t, newWorkerWith(t, socket.Options{Process: p}), t.TempDir(), "admin")
	tell := func(text string) string {
		nc, err := net.Dial("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprint(nc, text)
		got, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	s2.busy.Store(3)
	if got := tell("wait 1m srv-removable be1/s2\n"); got != "Done.\n\n" {
		t.Errorf("waiting for it: %q", got)
	}
	s2.busy.Store(1 << 40)
	if got := tell("wait 20 srv-removable be1/s2\n"); got != "Wait delay expired. Server still has connections attached to it, cannot remove it.\n\n" {
		t.Errorf("waiting too short: %q", got)
	}
	if got := exchange(t, "unix", sock, "wait 1m srv-removable be1/s2\n"); got != "Interrupted. Server still has connections attached to it, cannot remove it.\n\n" {
		t.Errorf("a client that goes: %q", got)
	}
}
