package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// globalTLSList reads the default cipher and curve lists.
func (p *parser) globalTLSList(s *statement) {
	g := &p.cfg.Global
	field := map[string]*string{
		"ssl-default-bind-ciphers": &g.DefaultBindCiphers, "ssl-default-bind-ciphersuites": &g.DefaultBindCiphersuites,
		"ssl-default-bind-curves": &g.DefaultBindCurves, "ssl-default-server-ciphers": &g.DefaultServerCiphers,
		"ssl-default-server-ciphersuites": &g.DefaultServerCiphersuites, "ssl-default-server-curves": &g.DefaultServerCurves,
	}[s.arg(0)]
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		what := "a cipher suite as an argument."
		if strings.HasSuffix(s.arg(0), "curves") {
			what = "a curves suite as an arguments."
		}
		p.alert("global statement '%s' expects %s", s.arg(0), what)
		return
	}
	*field = s.arg(1)
}

// tlsVersions are the values of ssl-min-ver and ssl-max-ver.
var tlsVersions = []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// defaultTLSOptions are the options of ssl-default-bind-options; those with false are not for servers.
var defaultTLSOptions = map[string]bool{
	"force-sslv3": true, "force-tlsv10": true, "force-tlsv11": true, "force-tlsv12": true, "force-tlsv13": true,
	"no-sslv3": true, "no-tlsv10": true, "no-tlsv11": true, "no-tlsv12": true, "no-tlsv13": true,
	"no-tls-tickets": true, "tls-tickets": true, "ssl-min-ver": true, "ssl-max-ver": true,
	"prefer-client-ciphers": false, "strict-sni": false, "no-strict-sni": false,
}

func (p *parser) globalTLSOptions(s *statement) {
	list, server := &p.cfg.Global.DefaultBindOptions, false
	if s.arg(0) == "ssl-default-server-options" {
		list, server = &p.cfg.Global.DefaultServerOptions, true
	}
	if s.arg(1) == "" {
		p.alert("global statement '%s' expects an option as an argument.", s.arg(0))
		return
	}
	for i := 1; i < len(s.words); i++ {
		set := Setting{Name: s.words[i], Pos: s.pos}
		forServer, known := defaultTLSOptions[set.Name]
		if !known || server && !forServer {
			p.alert("unknown option '%s' on global statement '%s'.", set.Name, s.arg(0))
			return
		}
		if set.Name == "ssl-min-ver" || set.Name == "ssl-max-ver" {
			i++
			if !slices.Contains(tlsVersions, s.arg(i)) {
				problem := fmt.Sprintf("'%s' : unknown ssl/tls version", s.arg(i))
				if s.arg(i) == "" {
					problem = fmt.Sprintf("'%s' : missing the ssl/tls version", set.Name)
				}
				p.alert("%s on global statement '%s'.", problem, s.arg(0))
				return
			}
			set.Args = []string{s.arg(i)}
		}
		*list = append(*list, set)
	}
}

func (p *parser) globalDelExt(s *statement) { p.cfg.Global.LoadExtraDelExt = true }

func (p *parser) globalSkipSelfIssued(s *statement) { p.cfg.Global.SkipSelfIssued = true }

// globalPassphrase reads the command that prints the passphrase of an encrypted key.
func (p *parser) globalPassphrase(s *statement) {
	if s.arg(1) == "" {
		p.alert("global statement '%s' expects a command line to a passphrase-providing tool (script/binary...) and its arguments.", s.arg(0))
		return
	}
	p.cfg.Global.PassphraseCmd = slices.Clone(s.words[1:])
}

// extraFiles are the kinds of files ssl-load-extra-files names.
var extraFiles = []string{"bundle", "sctl", "ocsp", "issuer", "key"}

func (p *parser) globalExtraFiles(s *statement) {
	kinds := []string{}
	for i, w := range s.words[1:] {
		switch {
		case slices.Contains(extraFiles, w):
			kinds = append(kinds, w)
		case w == "none" || w == "all":
			if i > 0 || len(s.words) > 2 {
				p.alert("'%s' 'none' and 'all' can be only used alone", s.arg(0))
				return
			}
		default:
			p.badExtraFiles(s)
			return
		}
	}
	switch s.arg(1) {
	case "":
		p.badExtraFiles(s)
	case "all":
		p.cfg.Global.LoadExtraFiles = nil
	default:
		p.cfg.Global.LoadExtraFiles = kinds
	}
}

func (p *parser) badExtraFiles(s *statement) {
	p.alert("'%s' expects one or multiple arguments (none, all, bundle, sctl, ocsp, issuer).", s.arg(0))
}

func (p *parser) globalServerVerify(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case "none":
		p.cfg.Global.ServerVerifyNone = true
	case "required":
		p.cfg.Global.ServerVerifyNone = false
	default:
		p.alert("'%s' expects 'none' or 'required' as argument.", s.arg(0))
	}
}

func (p *parser) globalLifetime(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects ssl sessions <lifetime> in seconds as argument.", s.arg(0))
		return
	}
	d, err := ParseTime(s.arg(1), time.Second)
	switch {
	case err == ErrTimeOver:
		p.alert("timer overflow in argument '%s' to <%s> (maximum value is 2147483647 s or ~68 years).", s.arg(1), s.arg(0))
	case err == ErrTimeUnder:
		p.alert("timer underflow in argument '%s' to <%s> (minimum non-null value is 1 s).", s.arg(1), s.arg(0))
	case err != nil:
		p.alert("unexpected character '%c' in argument to <%s>.", badChar(err), s.arg(0))
	default:
		p.cfg.Global.SSLLifetime = d
	}
}

func (p *parser) globalIssuers(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch {
	case s.arg(1) == "":
		p.alert("global statement '%s' expects a directory path as an argument.", s.arg(0))
	case p.cfg.Global.IssuersChain != "":
		p.softly("global statement '%s' already defined.", s.arg(0))
	default:
		p.cfg.Global.IssuersChain = s.arg(1)
	}
}

func (p *parser) globalClientCA(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	if s.arg(1) == "" {
		p.alert("'%s' expects a filename as argument.", s.arg(0))
		return
	}
	p.cfg.Global.HTTPClientCA = s.arg(1)
}

func (p *parser) globalClientVerify(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch s.arg(1) {
	case "none":
		p.cfg.Global.HTTPClientVerifyNone = true
	case "required":
		p.cfg.Global.HTTPClientVerifyNone = false
	default:
		p.alert("'%s' expects 'none' or 'required' as argument.", s.arg(0))
	}
}

func (p *parser) globalDHParam(s *statement) {
	if p.tooMany(s, 1, 0) {
		return
	}
	switch n := atol(s.arg(1)); {
	case s.arg(1) == "":
		p.alert("'%s' expects an integer argument.", s.arg(0))
	case n < 1024:
		p.alert("'%s' expects a value >= 1024.", s.arg(0))
	default:
		p.noEffect(s.arg(0))
	}
}
