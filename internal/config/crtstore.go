package config

import (
	"net/netip"
	"strings"
)

// maxStoreName is the longest name of a crt-store.
const maxStoreName = 4095

func (p *parser) beginCrtStore(s *statement) {
	name := s.arg(1)
	switch {
	case len(name) > maxStoreName:
		p.alert("'crt-store' <name> argument is too long.")
		p.aborted = true
		return
	case s.arg(2) != "":
		p.alert("'crt-store' section only supports a <name> argument.")
		p.aborted = true
		return
	}
	p.store = &CrtStore{Pos: s.pos, Name: name, CrtBase: p.cfg.Global.CrtBase, KeyBase: p.cfg.Global.KeyBase}
	p.cfg.CrtStores = append(p.cfg.CrtStores, p.store)
}

func (p *parser) crtStoreBase(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if len(p.store.Loads) > 0 {
		p.alert("parsing [%s:%d] : '%s' can't be used after a load line, use it at the beginning of the section.", p.name, p.line, s.arg(0))
		return
	}
	if s.arg(1) == "" {
		p.alert("parsing [%s:%d] : '%s' requires a <path> argument.", p.name, p.line, s.arg(0))
		return
	}
	if s.arg(0) == "crt-base" {
		p.store.CrtBase = s.arg(1)
	} else {
		p.store.KeyBase = s.arg(1)
	}
}

func (p *parser) crtStoreLoad(s *statement) {
	l := Load{Pos: s.pos}
	for i := 1; i < len(s.words); i += 2 {
		word, v := s.arg(i), s.arg(i+1)
		k := p.t.load.by[word]
		switch {
		case k == nil:
			p.alert("parsing [%s:%d] : 'load %s' in section 'crt-store': unknown keyword '%s'.", p.name, p.line, word, word)
			return
		case k.State == Refused:
			p.alert("'load' in section 'crt-store': '%s' is not supported.", word)
			return
		case v == "":
			p.alert("'%s' expects an argument", word)
			return
		case word == "alias" && strings.HasPrefix(v, "/"):
			p.alert("parsing [%s:%d] : cannot parse '%s' value '%s', '/' is forbidden as the first character.", p.name, p.line, word, v)
			return
		}
		if !p.loadValue(word, v) {
			return
		}
		switch word {
		case "crt":
			l.Crt = v
		case "alias":
			l.Alias = v
		default:
			l.Settings = append(l.Settings, Setting{Name: word, Args: []string{v}, Pos: s.pos})
		}
	}
	if l.Crt == "" {
		p.alert("parsing [%s:%d] : '%s' in section 'crt-store': mandatory 'crt' parameter not found.", p.name, p.line, s.arg(0))
		return
	}
	if !p.duplicateLoad(s, l) {
		p.store.Loads = append(p.store.Loads, l)
	}
}

// loadValue checks the values whose shape is known without opening a certificate.
func (p *parser) loadValue(word, v string) bool {
	switch word {
	case "generate-dummy", "jwt", "ocsp-update":
		if v != "on" && v != "off" {
			p.alert("parsing [%s:%d] : cannot parse '%s' value '%s', 'on' or 'off' is expected.", p.name, p.line, word, v)
			return false
		}
	case "keytype":
		if v != "RSA" && v != "ECDSA" {
			p.alert("'%s': 'RSA' or 'ECDSA' is expected.", word)
			return false
		}
	case "bits":
		if n, used := strtol(v); used != len(v) || n <= 0 {
			p.alert("parsing [%s:%d] : cannot parse '%s' value '%s', an integer is expected.", p.name, p.line, word, v)
			return false
		}
	case "ips":
		for ip := range strings.SplitSeq(v, ",") {
			if _, err := netip.ParseAddr(ip); err != nil {
				p.alert("'%s': invalid IP address '%s'.", word, ip)
				return false
			}
		}
	}
	return true
}

// loadName is the name a load line gives its certificate.
func loadName(store *CrtStore, l Load) string {
	switch {
	case l.Alias != "":
		return "@" + store.Name + "/" + l.Alias
	case store.Name != "" && strings.HasPrefix(l.Crt, "/"):
		return "@" + store.Name + l.Crt
	case store.Name != "":
		return "@" + store.Name + "/" + l.Crt
	}
	return l.Crt
}

// duplicateLoad reports a name that a load line of any section took before.
func (p *parser) duplicateLoad(s *statement, l Load) bool {
	name := loadName(p.store, l)
	if p.loads[name] {
		p.alert("parsing [%s:%d] : '%s' in section 'crt-store': store '%s' was already defined.", p.name, p.line, s.arg(0), name)
		return true
	}
	p.loads[name] = true
	return false
}
