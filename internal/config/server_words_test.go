package config

import (
	"reflect"
	"strings"
	"testing"
)

// TestServersTakeBackOneVersionOfThePROXYHeader: as in HAProxy 3.4, each version is asked for and taken back by itself.
func TestServersTakeBackOneVersionOfThePROXYHeader(t *testing.T) {
	for words, want := range map[string]int{
		"send-proxy":                                        1,
		"send-proxy no-send-proxy":                          0,
		"send-proxy-v2 no-send-proxy":                       2,
		"send-proxy send-proxy-v2":                          2,
		"send-proxy send-proxy-v2 no-send-proxy-v2":         1,
		"send-proxy-v2 send-proxy":                          2,
		"send-proxy-v2-ssl-cn no-send-proxy-v2":             0,
		"send-proxy send-proxy-v2-ssl no-send-proxy-v2-ssl": 1,
	} {
		for _, text := range []string{"server s 127.0.0.1:1 " + words, "default-server " + words + "\n server s 127.0.0.1:1"} {
			c, diags := parseText(someTimeouts + "backend b\n " + text + "\n")
			if diags.HasErrors() {
				t.Fatal(printDiags(diags))
			}
			if got := c.Proxies[0].Servers[0].SendProxy; got != want {
				t.Errorf("%s: version %d, want %d", text, got, want)
			}
		}
	}
}

func TestServersThatAreLeftOutOrSendAway(t *testing.T) {
	c, diags := parseText("global\n maxcomprate 10\n maxcompcpuusage 50\n maxzlibmem 1\n" + someTimeouts + "backend b\n mode http\n server s 127.0.0.1:1 redir http://a non-stick check-alpn h2,http/1.1\n")
	if diags.HasErrors() {
		t.Fatal(printDiags(diags))
	}
	s := c.Proxies[0].Servers[0]
	if s.Redir != "http://a" || !s.NonStick || !reflect.DeepEqual(s.CheckALPN, []string{"h2", "http/1.1"}) {
		t.Errorf("got %+v", s)
	}
	if c.Global.CompRate != 10<<10 {
		t.Errorf("maxcomprate is %d", c.Global.CompRate)
	}
	for lines, want := range map[string]string{
		"backend b\n server s 127.0.0.1:1 redir":              "'redir' expects <prefix> as argument.",
		"backend b\n mode tcp\n server s 127.0.0.1:1 redir /": "backend 'b' : server cannot have cookie or redirect prefix in non-HTTP mode.",
		"backend b\n server s 127.0.0.1:1 check-alpn":         "'check-alpn' : missing the comma-delimited ALPN protocol suite",
		"backend b\n server s 127.0.0.1:1 check-alpn a,,b":    "'check-alpn' : a name between commas is missing",
		"global\n maxcomprate":                                "'maxcomprate' expects an integer argument in kb/s.",
		"frontend f\n bind :1 accept-netscaler-cip":           "'accept-netscaler-cip' : missing value",
		"frontend f\n bind :1 accept-netscaler-cip 0":         "'accept-netscaler-cip' : invalid value 0, must be >= 0",
	} {
		if _, diags := parseText(someTimeouts + lines + "\n"); !strings.Contains(printDiags(diags), want) {
			t.Errorf("%s: got %q, want %q", lines, printDiags(diags), want)
		}
	}
}
