package config

import (
	"slices"
	"strings"
)

func (p *parser) beginACME(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	name := s.arg(1)
	if name == "" {
		p.alertTight("section 'acme' requires an ID argument.")
		return
	}
	for _, a := range p.cfg.ACMEs {
		if a.Name == name {
			p.alertTight("acme section '%s' already exists (%s:%d).", name, a.Pos.File, a.Pos.Line)
			return
		}
	}
	p.acme = &ACME{Pos: s.pos, Name: name, Challenge: "http-01"}
	p.cfg.ACMEs = append(p.cfg.ACMEs, p.acme)
}

// endACME checks a whole section.
func (p *parser) endACME() {
	if p.acme.Directory == "" {
		p.fatal++
		p.diags.at(LevelAlert, p.acme.Pos, "acme: No directory defined in ACME section '%s'.", p.acme.Name)
	}
	p.acme = nil
}

// acmeValue is the field of a keyword whose argument is kept as it is.
func acmeValue(a *ACME, name string) *string {
	switch name {
	case "account-key":
		return &a.AccountKey
	case "ca-file":
		return &a.CAFile
	case "contact":
		return &a.Contact
	case "curves":
		return &a.Curves
	case "directory":
		return &a.Directory
	case "keytype":
		return &a.KeyType
	case "map":
		return &a.Map
	case "profile":
		return &a.Profile
	}
	return nil
}

func (p *parser) acmeLine(s *statement) {
	a := p.acme
	if a == nil {
		return // the section's own line was wrong and said so
	}
	word, v := s.arg(0), s.arg(1)
	if v == "" {
		what := "an argument"
		if word == "account-key" || word == "ca-file" {
			what = "a filename argument"
		}
		p.alertTight("keyword '%s' in '%s' section requires %s", word, p.section.Name, what)
		return
	}
	if p.tooMany(s, 1, 0) || !p.acmeCheck(s, word, v) {
		return
	}
	switch word {
	case "bits":
		a.Bits = atol(v)
	case "challenge":
		a.Challenge = strings.ToLower(v)
	case "reuse-key":
		a.ReuseKey = v == "on"
	default:
		*acmeValue(a, word) = v
	}
}

func (p *parser) acmeCheck(s *statement, word, v string) bool {
	switch word {
	case "bits":
		if n, used := strtol(v); used != len(v) || n <= 0 {
			p.alert("cannot parse '%s' value '%s', an integer is expected.", word, v)
			return false
		}
	case "challenge":
		switch strings.ToLower(v) {
		case "http-01":
		case "dns-01", "dns-persist-01":
			p.alertTight("keyword '%s' in '%s' : challenge '%s' is not supported.", word, p.section.Name, v)
			return false
		default:
			p.alertTight("keyword '%s' in '%s' must be one of the following: http-01, dns-01, dns-persist-01", word, p.section.Name)
			return false
		}
	case "curves":
		if !slices.Contains([]string{"P-256", "P-384", "P-521"}, v) {
			p.alertTight("unsupported curves '%s'", v)
			return false
		}
	case "keytype":
		if v != "RSA" && v != "ECDSA" {
			p.alertTight("keyword '%s' in '%s' section requires either 'RSA' or 'ECDSA' argument", word, p.section.Name)
			return false
		}
	case "profile":
		for i := 0; i < len(v); i++ {
			if !isAlnum(v[i]) && v[i] != '-' && v[i] != '_' {
				p.alertTight("keyword '%s' in '%s' section contains unauthorized character '%c'", word, p.section.Name, v[i])
				return false
			}
		}
	case "reuse-key":
		if v != "on" && v != "off" {
			p.alertTight("keyword '%s' in '%s' section requires either the 'on' or 'off' parameter", word, p.section.Name)
			return false
		}
	}
	return true
}
