package config

import (
	"strings"
	"testing"
)

// A condition without terms is one that nothing satisfies, not an error, as in HAProxy 3.4.
func TestConditionsMayBeEmpty(t *testing.T) {
	c, diags := parseText(someTimeouts + "backend b\n server s 127.0.0.1:80\n use-server s if\n use-server s unless\n ignore-persist if\n force-persist unless\nfrontend f\n bind :1\n use_backend b if\n")
	if diags.HasErrors() {
		t.Fatal(printDiags(diags))
	}
	if n := len(c.Proxies[0].UseServer) + len(c.Proxies[0].PersistRule) + len(c.Proxies[1].UseBackend); n != 5 {
		t.Errorf("%d rules of 5", n)
	}
	for _, line := range []string{"use-server s", "ignore-persist", "force-persist { always_true }"} {
		if _, diags := parseText(someTimeouts + "backend b\n " + line + "\n"); !strings.Contains(printDiags(diags), "requires either 'if' or 'unless' followed by a condition.") {
			t.Errorf("%s: %s", line, printDiags(diags))
		}
	}
}

func TestCookiesThatNobodyReadsAreTold(t *testing.T) {
	for mode, want := range map[string]bool{"tcp": true, "http": false} {
		_, diags := parseText(someTimeouts + "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n mode " + mode + "\nbackend b\n cookie SRV insert\n server s 127.0.0.1:80 cookie a\nlisten l\n cookie SRV insert\n bind :1\n")
		for _, text := range []string{"cookie will be ignored for backend 'b' (needs 'mode http').", "backend 'b' : ignoring cookie for server 's' as HTTP mode is disabled.", "cookie will be ignored for proxy 'l' (needs 'mode http')."} {
			if strings.Contains(printDiags(diags), text) != want {
				t.Errorf("mode %s: %s\nwith %q: %v", mode, printDiags(diags), text, want)
			}
		}
	}
}
