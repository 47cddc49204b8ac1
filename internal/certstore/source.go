package certstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/cert"
)

// Origin is how a certificate was declared, which decides what a second declaration of the same name may say (surface 2.3).
type Origin uint8

const (
	FromCrt   Origin = iota // crt on a bind or server line, a file of a directory: no keywords
	FromList                // a crt-list line or ssl-f-use; counts as declared with keywords when it has some
	FromStore               // a load line of a crt-store section
)

// Source is one certificate as the configuration declares it. Paths are as they are opened: crt-base and key-base already in front.
type Source struct {
	Name string // in the store, see StoreName
	File string // the PEM
	Crt  string // File as written, without base; "" where it is the same
	// Explicit files. With any of them, or from a crt-store, no file is looked for beside File.
	Key, OCSP, Issuer, SCTL string
	From                    Origin
	Settings                []cert.LoadSetting // keywords as written, for comparison and `show ssl cert`
	Attrs                   *Attrs             // nil: none
	Persist                 bool               // write changes back
	Keyless                 bool               // it need not have a private key: it verifies tokens and serves nowhere
	Pos                     string             // "FILE:LINE" of the declaration
}

// Attrs are what the keywords of a load line say beyond file names.
type Attrs struct {
	ACME          string // acme section that issues it
	Domains, IPs  []string
	KeyType       string // "RSA", "ECDSA" or ""
	Bits          int
	Curves        string
	OCSPUpdate    string // "on", "off" or ""
	JWT           bool
	GenerateDummy bool
	ReuseKey      bool // ask for the renewal with the same key
}

// Bases are the directories put before relative paths of a load line.
type Bases struct{ Crt, Key string }

func (b Bases) crt(path string) string { return join(b.Crt, path) }
func (b Bases) key(path string) string { return join(b.Key, path) }

// join puts base and a slash before a relative path, as HAProxy does: without cleaning.
func join(base, path string) string {
	if base == "" || path == "" || path[0] == '/' {
		return path
	}
	return base + "/" + path
}

// WithBase puts crt-base before a certificate name of a crt-list or crt keyword, unless it is absolute or of a crt-store.
func WithBase(crtBase, name string) string {
	if strings.HasPrefix(name, "@") {
		return name
	}
	return join(crtBase, name)
}

// StoreName is the name of a load line's certificate (surface 2.1). section is the crt-store's name, crtBase the global crt-base.
func StoreName(section, crt, alias, crtBase string) string {
	switch {
	case alias != "":
		return "@" + section + "/" + alias
	case section == "":
		return join(crtBase, crt)
	case strings.HasPrefix(crt, "/"):
		return "@" + section + crt
	}
	return "@" + section + "/" + crt
}

// NewSource makes the Source of a certificate with load keywords. crt is as written in the configuration; settings hold the keywords
// except crt and alias.
func NewSource(name, crt string, from Origin, settings []cert.LoadSetting, bases Bases) (Source, error) {
	src := Source{Name: name, File: bases.crt(crt), Crt: crt, From: from, Settings: settings}
	var a Attrs
	var errs []error
	for _, s := range settings {
		if err := src.set(&a, s, bases); err != nil {
			errs = append(errs, err)
		}
	}
	if !a.GenerateDummy && a.ACME == "" && (a.KeyType != "" || a.Bits != 0 || a.Curves != "") {
		errs = append(errs, errors.New("keyword 'keytype', 'bits' and 'curves' require 'generate-dummy' set to 'on'"))
	}
	if len(settings) > 0 {
		src.Attrs = &a
	}
	return src, errors.Join(errs...)
}

func (src *Source) set(a *Attrs, s cert.LoadSetting, bases Bases) (err error) {
	switch s.Name {
	case "key":
		src.Key = bases.key(s.Arg)
	case "ocsp":
		src.OCSP = bases.crt(s.Arg)
	case "issuer":
		src.Issuer = bases.crt(s.Arg)
	case "sctl":
		src.SCTL = bases.crt(s.Arg)
	case "acme":
		a.ACME = s.Arg
	case "domains":
		a.Domains = splitComma(s.Arg)
	case "ips":
		a.IPs = splitComma(s.Arg)
	case "keytype":
		a.KeyType = s.Arg
		if s.Arg != "RSA" && s.Arg != "ECDSA" {
			err = errors.New("keyword 'keytype' requires either 'RSA' or 'ECDSA'.")
		}
	case "curves":
		a.Curves = s.Arg
	case "bits":
		if a.Bits, err = strconv.Atoi(s.Arg); err != nil || a.Bits < 0 {
			err = fmt.Errorf("cannot parse '%s' value '%s', an integer is expected.", s.Name, s.Arg)
		}
	case "ocsp-update":
		a.OCSPUpdate = s.Arg
		_, err = onOff(s)
	case "jwt":
		a.JWT, err = onOff(s)
	case "generate-dummy":
		a.GenerateDummy, err = onOff(s)
	case "crt", "alias":
	default:
		err = fmt.Errorf("unknown keyword '%s'.", s.Name)
	}
	return err
}

func onOff(s cert.LoadSetting) (bool, error) {
	if s.Arg != "on" && s.Arg != "off" {
		return false, fmt.Errorf("cannot parse '%s' value '%s', 'on' or 'off' is expected.", s.Name, s.Arg)
	}
	return s.Arg == "on", nil
}

func splitComma(list string) (out []string) {
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// keyless tells that a private key may be absent, which a certificate for tokens does not need.
func (src *Source) keyless() bool { return src.Keyless || src.Attrs != nil && src.Attrs.JWT }

// explicit tells that no files are looked for beside File.
func (src *Source) explicit() bool {
	return src.From == FromStore || src.Key != "" || src.OCSP != "" || src.Issuer != "" || src.SCTL != ""
}

// kind is Origin with a crt-list line without keywords counted as plain.
func (src *Source) kind() Origin {
	if src.From == FromList && len(src.Settings) == 0 {
		return FromCrt
	}
	return src.From
}

// compared are the keywords that two declarations of one name must agree on.
var compared = []string{"key", "ocsp", "issuer", "sctl", "ocsp-update", "acme", "keytype", "curves"}

// incompatible lists why a second declaration of a name cannot stand beside the first, one line each; nil when it can. mode is ocsp-update.mode on, what
// a declaration means that does not say.
func incompatible(first, second *Source, mode bool) (lines []string) {
	a, b := first.kind(), second.kind()
	switch {
	case a == FromCrt && b == FromCrt, a == FromStore && b == FromCrt:
		return nil
	case a == FromCrt && b == FromList:
		lines = append(lines, "Can't use the certificate previously defined without any keyword with these keywords:")
	case a == FromList && b == FromCrt:
		lines = append(lines, "Can't use the certificate previously defined with keywords without these keywords:")
	}
	for _, name := range compared {
		x, y := setting(first, name), setting(second, name)
		if x == y || name == "ocsp-update" && updates(x, mode) == updates(y, mode) {
			continue
		}
		lines = append(lines, fmt.Sprintf("- different parameter '%s' : previously %s vs %s", name, printed(name, x, mode), printed(name, y, mode)))
	}
	return lines
}

func setting(src *Source, name string) string {
	i := slices.IndexFunc(src.Settings, func(s cert.LoadSetting) bool { return s.Name == name })
	if i < 0 {
		return ""
	}
	return src.Settings[i].Arg
}

// updates is what a value of ocsp-update, or none, comes to.
func updates(value string, mode bool) bool { return value == "on" || value == "" && mode }

func printed(name, value string, mode bool) string {
	switch {
	case value == "" && name == "ocsp-update" && mode:
		return "'default' (ocsp-update.mode on)"
	case value == "" && name == "ocsp-update":
		return "'default' (ocsp-update.mode off)"
	case value == "":
		return "'(null)'"
	}
	return "'" + value + "'"
}

// loadable tells whether a directory's loader takes a file of this name.
func loadable(base string) bool {
	if strings.HasPrefix(base, ".") {
		return false
	}
	return !slices.Contains([]string{".issuer", ".ocsp", ".sctl", ".key"}, filepath.Ext(base))
}
