package acme

import (
	"fmt"
	"net/netip"
	"strings"

	"gatehouse/internal/certstore"
	"gatehouse/internal/config"

	"golang.org/x/net/idna"
)

// Check says what of a configuration's acme sections, and of the certificates that a plan would manage with them, cannot work. It
// reads files and asks nobody; it is what `-c` runs.
func (m *Manager) Check(c *config.Config, managed []certstore.Managed) config.Diags {
	var diags config.Diags
	sections := map[string]*section{}
	for _, a := range c.ACMEs {
		s, err := newSection(c, a)
		if err != nil {
			diags.Alert(a.Pos, "acme: %s", err)
			continue
		}
		sections[a.Name] = s
		m.checkSection(&diags, a, s)
	}
	for _, crt := range managed {
		if sections[crt.Attrs.ACME] == nil && !declared(c, crt.Attrs.ACME) {
			diags.Add(config.LevelAlert, fmt.Sprintf("config : acme '%s' was used on a crt line [%s], but no '%s' section exists!",
				crt.Attrs.ACME, crt.Pos, crt.Attrs.ACME))
			continue
		}
		for _, text := range checkNames(crt) {
			diags.Add(config.LevelAlert, fmt.Sprintf("config : acme: certificate '%s': %s", crt.Name, text))
		}
	}
	return diags
}

func declared(c *config.Config, name string) bool {
	for _, a := range c.ACMEs {
		if a.Name == name {
			return true
		}
	}
	return false
}

// checkSection looks at what a section names: its challenge, key, files and map.
func (m *Manager) checkSection(diags *config.Diags, a *config.ACME, s *section) {
	if a.Challenge != "" && !strings.EqualFold(a.Challenge, "http-01") {
		diags.Alert(a.Pos, "acme: section '%s': challenge '%s' is not supported, only http-01 is.", a.Name, a.Challenge)
	}
	switch {
	case a.Map == "":
	case strings.HasPrefix(a.Map, "virt@"):
		diags.Notice(a.Pos, "acme: section '%s': map '%s' is not filled: challenges are answered before any rule.", a.Name, a.Map)
	default:
		diags.Alert(a.Pos, "acme: section '%s': map '%s' is not supported: challenges are answered before any rule, remove it.", a.Name, a.Map)
	}
	if err := (keySpec{Type: a.KeyType, Bits: a.Bits, Curves: a.Curves}).check(); err != nil {
		diags.Alert(a.Pos, "acme: section '%s': %s.", a.Name, err)
	}
	if s.insecure {
		diags.Notice(a.Pos, "acme: section '%s': the CA is not authenticated, httpclient.ssl.verify is none.", a.Name)
	}
	if _, err := s.roots(m.o.Host); err != nil {
		diags.Alert(a.Pos, "acme: section '%s': %s.", a.Name, err)
	}
	if data, err := m.o.Host.ReadFile(s.accountKey, maxKeyFile); err == nil {
		if _, err := decodeKey(data); err != nil {
			diags.Alert(a.Pos, "acme: '%s' is present but cannot be read or parsed.", s.accountKey)
		}
	}
}

// checkNames says which names of a certificate cannot be validated by http-01.
func checkNames(crt certstore.Managed) []string {
	var out []string
	if len(identifiers(crt.Attrs.Domains, crt.Attrs.IPs)) == 0 {
		out = append(out, "No 'domains' or 'ips' were configured for certificate.")
	}
	for _, domain := range crt.Attrs.Domains {
		domain = strings.TrimSpace(domain)
		if strings.Contains(domain, "*") {
			out = append(out, fmt.Sprintf("'%s' is a wildcard, which http-01 cannot validate.", domain))
			continue
		}
		if _, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, ".")); err != nil || !strings.Contains(domain, ".") {
			out = append(out, fmt.Sprintf("'%s' is not a domain name.", domain))
		}
	}
	for _, ip := range crt.Attrs.IPs {
		if _, err := netip.ParseAddr(strings.TrimSpace(ip)); err != nil {
			out = append(out, fmt.Sprintf("'%s' is not an address.", ip))
		}
	}
	key := keySpec{Type: crt.Attrs.KeyType, Bits: crt.Attrs.Bits, Curves: crt.Attrs.Curves}
	if err := key.check(); err != nil {
		out = append(out, err.Error()+".")
	}
	return out
}
