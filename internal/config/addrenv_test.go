package config

import (
	"strings"
	"testing"
)

func TestAddressesHaveTheirVariablesReplaced(t *testing.T) {
	for _, c := range []struct{ addr, host, ip string }{
		{"${IP}:80", "", "192.0.2.1"}, {"$IP:80", "", "192.0.2.1"}, {"${none}:${none}", "", "0.0.0.0"}, {"w${N_1}.example:80", "w7.example", ""},
	} {
		text := "defaults\n\ttimeout connect 1s\n\ttimeout server 1s\nbackend b\n\tserver s " + c.addr + "\n"
		cfg, diags := Parse([]Source{{Name: "F", Data: []byte(text)}}, ParseOptions{Env: map[string]string{"IP": "192.0.2.1", "N_1": "7"}})
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.addr, diags)
			continue
		}
		got := cfg.Proxies[0].Servers[0].Addr
		if got.Host != c.host || c.ip != "" && got.IP.String() != c.ip {
			t.Errorf("%s: host %q, IP %v, want %q and %q", c.addr, got.Host, got.IP, c.host, c.ip)
		}
	}
	_, diags := Parse([]Source{{Name: "F", Data: []byte("backend b\n\tserver s ${none}\n")}}, ParseOptions{})
	if !diags.HasErrors() || !strings.Contains(diags[0].Text, "resolves to an empty address (environment variable missing?)") {
		t.Errorf("an address that is empty: %v", diags)
	}
}

func TestOCSPUpdateKeywords(t *testing.T) {
	cfg, diags := Parse([]Source{{Name: "F", Data: []byte("global\n\tocsp-update.mode on\n\tocsp-update.mindelay 7\n\ttune.ssl.ocsp-update.maxdelay 70\n" +
		"\tocsp-update.disable on\n\tocsp-update.httpproxy 192.0.2.1:3128\n")}}, ParseOptions{})
	o := cfg.Global.OCSPUpdate
	if len(diags) > 0 || !o.Mode || !o.Disable || o.MinDelay.Seconds() != 7 || o.MaxDelay.Seconds() != 70 || o.Proxy == nil || o.Proxy.Port != 3128 {
		t.Errorf("%+v, %v", o, diags)
	}
	cfg, _ = Parse(nil, ParseOptions{})
	if o := cfg.Global.OCSPUpdate; o.Mode || o.Disable || o.MinDelay.Seconds() != 300 || o.MaxDelay.Seconds() != 3600 || o.Proxy != nil {
		t.Errorf("defaults: %+v", o)
	}
	for line, want := range map[string]string{
		"ocsp-update.mode maybe":                                     "'ocsp-update.mode' : expecting <on|off>",
		"ocsp-update.disable":                                        "'ocsp-update.disable' : expecting <on|off>",
		"ocsp-update.maxdelay":                                       "'ocsp-update.maxdelay' expects an integer argument.",
		"ocsp-update.mindelay -1":                                    "'ocsp-update.mindelay' expects a positive numeric value.",
		"ocsp-update.mindelay 3601":                                  "'ocsp-update.mindelay' can not be higher than tune.ssl.ocsp-update.maxdelay.",
		"tune.ssl.ocsp-update.maxdelay 299":                          "'tune.ssl.ocsp-update.maxdelay' can not be lower than tune.ssl.ocsp-update.mindelay.",
		"ocsp-update.httpproxy unix@/a":                              "ocsp-update: Failed to parse destination address in 'unix@/a': only TCP addresses are possible",
		"ocsp-update.httpproxy 192.0.2.1:x":                          "ocsp-update: Failed to parse destination address in invalid character 'x' in port number 'x' in '192.0.2.1:x'",
		"ocsp-update.mode on\ncrt-store\n\tload crt a ocsp-update x": "cannot parse 'ocsp-update' value 'x', 'on' or 'off' is expected.",
	} {
		_, diags := Parse([]Source{{Name: "F", Data: []byte("global\n\t" + line + "\n")}}, ParseOptions{})
		if len(diags) != 1 || !strings.HasSuffix(diags[0].Text, want) {
			t.Errorf("%s: %v, want %q", line, diags, want)
		}
	}
}
