package acme_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/acme"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"broken.key": "not a key", "empty.pem": "nothing"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pos := config.Pos{File: "t.cfg", Line: 7}
	good := func(change func(a *config.ACME)) []*config.ACME {
		a := &config.ACME{Pos: pos, Name: "le", Directory: "https://ca.example/dir"}
		change(a)
		return []*config.ACME{a}
	}
	for name, c := range map[string]struct {
		acmes []*config.ACME
		certs []certstore.Managed
		want  string // level and text; "" for no message
	}{
		"good":             {good(func(a *config.ACME) { a.Challenge = "HTTP-01" }), nil, ""},
		"no directory":     {good(func(a *config.ACME) { a.Directory = "" }), nil, "ALERT config : parsing [t.cfg:7] : acme: No directory defined in ACME section 'le'."},
		"in clear":         {good(func(a *config.ACME) { a.Directory = "http://ca.example/dir" }), nil, `ALERT config : parsing [t.cfg:7] : acme: the directory of ACME section 'le': "http://ca.example/dir" is not https`},
		"clear, loopback":  {good(func(a *config.ACME) { a.Directory = "http://127.0.0.1:14000/dir" }), nil, ""},
		"clear, localhost": {good(func(a *config.ACME) { a.Directory = "http://localhost/dir" }), nil, ""},
		"not a URL":        {good(func(a *config.ACME) { a.Directory = "ca.example" }), nil, `ALERT config : parsing [t.cfg:7] : acme: the directory of ACME section 'le': "ca.example" is not an address of a CA`},
		"password": {good(func(a *config.ACME) { a.Directory = "https://u:secret@ca.example/dir" }), nil,
			`ALERT config : parsing [t.cfg:7] : acme: the directory of ACME section 'le': "https://u:xxxxx@ca.example/dir" is not an address of a CA`},
		"dns-01":      {good(func(a *config.ACME) { a.Challenge = "dns-01" }), nil, "ALERT config : parsing [t.cfg:7] : acme: section 'le': challenge 'dns-01' is not supported, only http-01 is."},
		"map":         {good(func(a *config.ACME) { a.Map = "/etc/acme.map" }), nil, "ALERT config : parsing [t.cfg:7] : acme: section 'le': map '/etc/acme.map' is not supported: challenges are answered before any rule, remove it."},
		"virtual map": {good(func(a *config.ACME) { a.Map = "virt@acme" }), nil, "NOTICE config : parsing [t.cfg:7] : acme: section 'le': map 'virt@acme' is not filled: challenges are answered before any rule."},
		"curve":       {good(func(a *config.ACME) { a.Curves = "X25519" }), nil, "ALERT config : parsing [t.cfg:7] : acme: section 'le': unsupported curves 'X25519'."},
		"small RSA":   {good(func(a *config.ACME) { a.KeyType, a.Bits = "RSA", 512 }), nil, "ALERT config : parsing [t.cfg:7] : acme: section 'le': RSA keys have 2048 to 8192 bits, not 512."},
		"no roots":    {good(func(a *config.ACME) { a.CAFile = "empty.pem" }), nil, "ALERT config : parsing [t.cfg:7] : acme: section 'le': reading ca-file: no certificate in '" + dir + "/empty.pem'."},
		"broken key":  {good(func(a *config.ACME) { a.AccountKey = "broken.key" }), nil, "ALERT config : parsing [t.cfg:7] : acme: '" + dir + "/broken.key' is present but cannot be read or parsed."},
		"no section": {nil, []certstore.Managed{{Name: "a.pem", Pos: "t.cfg:9", Attrs: certstore.Attrs{ACME: "x", Domains: []string{"a.example"}}}},
			"ALERT config : acme 'x' was used on a crt line [t.cfg:9], but no 'x' section exists!"},
		"no names": {good(func(*config.ACME) {}), []certstore.Managed{{Name: "a.pem", Attrs: certstore.Attrs{ACME: "le"}}},
			"ALERT config : acme: certificate 'a.pem': No 'domains' or 'ips' were configured for certificate."},
		"wildcard": {good(func(*config.ACME) {}), []certstore.Managed{{Name: "a.pem", Attrs: certstore.Attrs{ACME: "le", Domains: []string{"*.a.example"}}}},
			"ALERT config : acme: certificate 'a.pem': '*.a.example' is a wildcard, which http-01 cannot validate."},
		"no name": {good(func(*config.ACME) {}), []certstore.Managed{{Name: "a.pem", Attrs: certstore.Attrs{ACME: "le", Domains: []string{"a b.example"}}}},
			"ALERT config : acme: certificate 'a.pem': 'a b.example' is not a domain name."},
		"no address": {good(func(*config.ACME) {}), []certstore.Managed{{Name: "a.pem", Attrs: certstore.Attrs{ACME: "le", Domains: []string{"a.example"}, IPs: []string{"1.2.3"}}}},
			"ALERT config : acme: certificate 'a.pem': '1.2.3' is not an address."},
	} {
		t.Run(name, func(t *testing.T) {
			m := acme.New(acme.Options{Host: host.Direct{}})
			var got []string
			for _, d := range m.Check(&config.Config{Global: config.Global{CrtBase: dir, CABase: dir}, ACMEs: c.acmes}, c.certs) {
				got = append(got, d.Level+" "+d.Text)
			}
			if all := strings.Join(got, "\n"); all != c.want {
				t.Errorf("got %q\nwant %q", all, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "le.account.key")); err == nil {
				t.Error("the check made an account key")
			}
		})
	}
}
