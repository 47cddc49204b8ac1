package cert

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Options are the TLS options of a bind line or of one crt-list line. Zero fields are unset. Bind says which keywords only a bind
// line may have. A nil *Options is the empty set.
type Options struct {
	ALPN           []string // alpn P,P
	NoALPN         bool     // no-alpn
	NPN            string   // read, kept for printing, never negotiated
	Verify         string   // "", "none", "optional", "required"
	NoCANames      bool
	Allow0RTT      bool
	CAFile         string // verifies and is named to clients
	CAVerifyFile   string // verifies, is not named
	CRLFile        string
	Ciphers        string
	Ciphersuites   string
	Curves         string
	ECDHE          string
	Sigalgs        string
	ClientSigalgs  string
	MinVer, MaxVer uint16 // protocol numbers of crypto/tls; 0x0300 for SSLv3; 0 unset

	// Bind lines only.
	NoVersions          []uint16 // no-sslv3, no-tlsv1x
	TLSTickets          *bool    // tls-tickets, no-tls-tickets
	TicketKeys          string   // tls-ticket-keys FILE
	PreferClientCiphers bool
	CAIgnoreErr         ErrorSet // verification errors above depth 0 that do not count
	CrtIgnoreErr        ErrorSet // at depth 0
	StrictSNI           *bool    // strict-sni, no-strict-sni
}

// ErrorSet is a set of OpenSSL's X509_V_ERR numbers.
type ErrorSet struct {
	All   bool
	Codes []int
}

// Has tells whether code is in the set.
func (s ErrorSet) Has(code int) bool { return s.All || slices.Contains(s.Codes, code) }

// keyword is one TLS keyword: how many arguments it takes, whether a crt-list line may have it, what it sets.
type keyword struct {
	args int
	list bool
	set  func(o *Options, name, arg string) error
}

var keywords = map[string]keyword{
	"allow-0rtt":     {0, true, func(o *Options, _, _ string) error { o.Allow0RTT = true; return nil }},
	"alpn":           {1, true, setALPN},
	"no-alpn":        {0, true, func(o *Options, _, _ string) error { o.NoALPN, o.ALPN = true, nil; return nil }},
	"npn":            {1, true, word("missing the comma-delimited NPN protocol suite", func(o *Options) *string { return &o.NPN })},
	"verify":         {1, true, setVerify},
	"no-ca-names":    {0, true, func(o *Options, _, _ string) error { o.NoCANames = true; return nil }},
	"ca-file":        {1, true, word("missing CAfile path", func(o *Options) *string { return &o.CAFile })},
	"ca-verify-file": {1, true, word("missing CAfile path", func(o *Options) *string { return &o.CAVerifyFile })},
	"crl-file":       {1, true, word("missing CRLfile path", func(o *Options) *string { return &o.CRLFile })},
	"ciphers":        {1, true, word("missing cipher suite", func(o *Options) *string { return &o.Ciphers })},
	"ciphersuites":   {1, true, word("missing cipher suite", func(o *Options) *string { return &o.Ciphersuites })},
	"curves":         {1, true, word("missing curve suite", func(o *Options) *string { return &o.Curves })},
	"ecdhe":          {1, true, word("missing named curve", func(o *Options) *string { return &o.ECDHE })},
	"sigalgs":        {1, true, word("missing signature algorithm list", func(o *Options) *string { return &o.Sigalgs })},
	"client-sigalgs": {1, true, word("missing signature algorithm list", func(o *Options) *string { return &o.ClientSigalgs })},
	"ssl-min-ver":    {1, true, setVersion},
	"ssl-max-ver":    {1, true, setVersion},
	"ktls":           {1, true, setKTLS},

	"force-sslv3": {0, false, forceVersion}, "force-tlsv10": {0, false, forceVersion}, "force-tlsv11": {0, false, forceVersion},
	"force-tlsv12": {0, false, forceVersion}, "force-tlsv13": {0, false, forceVersion},
	"no-sslv3": {0, false, noVersion}, "no-tlsv10": {0, false, noVersion}, "no-tlsv11": {0, false, noVersion},
	"no-tlsv12": {0, false, noVersion}, "no-tlsv13": {0, false, noVersion},
	"tls-tickets":           {0, false, func(o *Options, _, _ string) error { o.TLSTickets = new(true); return nil }},
	"no-tls-tickets":        {0, false, func(o *Options, _, _ string) error { o.TLSTickets = new(false); return nil }},
	"tls-ticket-keys":       {1, false, word("missing TLS ticket keys file path", func(o *Options) *string { return &o.TicketKeys })},
	"prefer-client-ciphers": {0, false, func(o *Options, _, _ string) error { o.PreferClientCiphers = true; return nil }},
	"ca-ignore-err":         {1, false, setIgnore},
	"crt-ignore-err":        {1, false, setIgnore},
	"strict-sni":            {0, false, func(o *Options, _, _ string) error { o.StrictSNI = new(true); return nil }},
	"no-strict-sni":         {0, false, func(o *Options, _, _ string) error { o.StrictSNI = new(false); return nil }},
}

// Keyword tells how many arguments a TLS keyword takes and whether it may stand in the brackets of a crt-list line.
func Keyword(name string) (args int, list, ok bool) {
	k, ok := keywords[name]
	return k.args, k.list, ok
}

// Set applies one keyword of a bind line with its arguments. What cannot be used (no known cipher, an unknown curve or version) is an error
// here, so that it is found when the configuration is read.
func (o *Options) Set(name string, args []string) error {
	k, ok := keywords[name]
	if !ok {
		return fmt.Errorf("unknown ssl keyword %s", name)
	}
	arg := ""
	if k.args > 0 && len(args) > 0 {
		arg = args[0]
	}
	return k.set(o, name, arg)
}

func word(missing string, field func(*Options) *string) func(*Options, string, string) error {
	return func(o *Options, name, arg string) error {
		if arg == "" {
			return fmt.Errorf("'%s' : %s", name, missing)
		}
		*field(o) = arg
		return checkWord(name, arg)
	}
}

func checkWord(name, arg string) (err error) {
	switch name {
	case "ciphers":
		_, err = CipherSuites(arg)
	case "ciphersuites":
		_, err = CipherSuites13(arg)
	case "curves":
		_, err = CurveIDs(arg)
	case "ecdhe":
		if _, err = CurveIDs(arg); err != nil {
			err = fmt.Errorf("unable to set elliptic named curve to '%s'", arg)
		}
	}
	return err
}

func setALPN(o *Options, name, arg string) error {
	if arg == "" {
		return fmt.Errorf("'%s' : missing the comma-delimited ALPN protocol suite", name)
	}
	list := strings.Split(arg, ",")
	for _, p := range list {
		if len(p) > 255 {
			return fmt.Errorf("'%s' : ALPN protocol name too long : '%s'", name, p)
		}
	}
	o.ALPN, o.NoALPN = list, false
	return nil
}

func setVerify(o *Options, name, arg string) error {
	switch arg {
	case "none", "optional", "required":
		o.Verify = arg
		return nil
	case "":
		return fmt.Errorf("'%s' : missing verify method", name)
	}
	return fmt.Errorf("'%s' : unknown verify method '%s', only 'none', 'optional', and 'required' are supported", name, arg)
}

func setVersion(o *Options, name, arg string) error {
	if arg == "" {
		return fmt.Errorf("'%s' : missing the ssl/tls version", name)
	}
	v, ok := VersionID(arg)
	if !ok {
		return fmt.Errorf("'%s' : unknown ssl/tls version", arg)
	}
	if name == "ssl-min-ver" {
		o.MinVer = v
	} else {
		o.MaxVer = v
	}
	return nil
}

func setKTLS(_ *Options, name, arg string) error {
	if arg != "on" && arg != "off" {
		return fmt.Errorf("'%s' expects \"on\" or \"off\" as an argument, got '%s'.", name, arg)
	}
	if arg == "on" {
		return fmt.Errorf("'%s on' is not implemented in this version", name)
	}
	return nil
}

// versionWords are the endings of force- and no- keywords.
var versionWords = map[string]uint16{"sslv3": versionSSL30, "tlsv10": tls.VersionTLS10, "tlsv11": tls.VersionTLS11,
	"tlsv12": tls.VersionTLS12, "tlsv13": tls.VersionTLS13}

func forceVersion(o *Options, name, _ string) error {
	v := versionWords[strings.TrimPrefix(name, "force-")]
	o.MinVer, o.MaxVer = v, v
	return nil
}

func noVersion(o *Options, name, _ string) error {
	o.NoVersions = append(o.NoVersions, versionWords[strings.TrimPrefix(name, "no-")])
	return nil
}

// VersionRange works out the lowest and highest protocol that MinVer, MaxVer and the no- keywords leave; min is TLS 1.2 when nothing says
// otherwise, as HAProxy's default. SSLv3 counts as TLS 1.0, the lowest that crypto/tls has. Holes are filled, as HAProxy does.
func (o *Options) VersionRange() (min, max uint16, err error) {
	min, max = tls.VersionTLS12, tls.VersionTLS13
	if o == nil {
		return min, max, nil
	}
	if o.MinVer != 0 {
		min = o.MinVer
	}
	if o.MaxVer != 0 {
		max = o.MaxVer
		if o.MinVer == 0 && max < min {
			min = max
		}
	}
	gone := func(v uint16) bool { return slices.Contains(o.NoVersions, v) }
	for gone(min) && min <= max {
		min++
	}
	for gone(max) && max >= min {
		max--
	}
	if min < tls.VersionTLS10 {
		min = tls.VersionTLS10
	}
	if max < min {
		return 0, 0, errors.New("all SSL/TLS versions are disabled")
	}
	return min, max, nil
}

func setIgnore(o *Options, name, arg string) error {
	set := &o.CrtIgnoreErr
	if name == "ca-ignore-err" {
		set = &o.CAIgnoreErr
	}
	if arg == "" {
		return fmt.Errorf("'%s' : missing error IDs list", name)
	}
	if arg == "all" {
		set.All = true
		return nil
	}
	for _, id := range strings.Split(arg, ",") {
		code, err := verifyCode(id)
		if err != nil {
			return fmt.Errorf("'%s' : %w in error IDs list '%s'", name, err, arg)
		}
		set.Codes = append(set.Codes, code)
	}
	return nil
}

func verifyCode(id string) (int, error) {
	if id != "" && id[0] >= '0' && id[0] <= '9' {
		n, err := strconv.Atoi(id)
		if err != nil || n <= 0 || n > maxVerifyCode {
			return 0, fmt.Errorf("ID '%s' out of range (1..%d)", id, maxVerifyCode)
		}
		return n, nil
	}
	if n, ok := VerifyCode(id); ok {
		return n, nil
	}
	return 0, fmt.Errorf("error constant '%s' unknown", id)
}

// Merge returns o with the values of the bind line where o has none. The protocol range is taken as one: a line that sets either end of it
// keeps the bind line's other end only when that is set too.
func (o *Options) Merge(bind *Options) Options {
	if bind == nil {
		bind = &Options{}
	}
	m := *bind
	if o == nil {
		return m
	}
	if o.NoALPN || o.ALPN != nil {
		m.ALPN, m.NoALPN = o.ALPN, o.NoALPN
	}
	m.NoCANames = m.NoCANames || o.NoCANames
	m.Allow0RTT = m.Allow0RTT || o.Allow0RTT
	for _, f := range []struct {
		dst *string
		own string
	}{{&m.NPN, o.NPN}, {&m.Verify, o.Verify}, {&m.CAFile, o.CAFile}, {&m.CAVerifyFile, o.CAVerifyFile}, {&m.CRLFile, o.CRLFile},
		{&m.Ciphers, o.Ciphers}, {&m.Ciphersuites, o.Ciphersuites}, {&m.Curves, o.Curves}, {&m.ECDHE, o.ECDHE},
		{&m.Sigalgs, o.Sigalgs}, {&m.ClientSigalgs, o.ClientSigalgs}} {
		if f.own != "" {
			*f.dst = f.own
		}
	}
	if o.MinVer != 0 {
		m.MinVer = o.MinVer
	}
	if o.MaxVer != 0 {
		m.MaxVer = o.MaxVer
	}
	return m
}

// Words prints the options of a crt-list line in the order in which HAProxy dumps them, "" when there are none.
func (o *Options) Words() string {
	if o == nil {
		return ""
	}
	var w []string
	add := func(name, value string) {
		if value != "" {
			w = append(w, name+" "+value)
		}
	}
	flag := func(on bool, name string) {
		if on {
			w = append(w, name)
		}
	}
	add("npn", o.NPN)
	add("alpn", strings.Join(o.ALPN, ","))
	flag(o.NoALPN, "no-alpn")
	add("verify", o.Verify)
	flag(o.NoCANames, "no-ca-names")
	flag(o.Allow0RTT, "allow-0rtt")
	add("ca-file", o.CAFile)
	add("ca-verify-file", o.CAVerifyFile)
	add("crl-file", o.CRLFile)
	add("ciphers", o.Ciphers)
	add("ciphersuites", o.Ciphersuites)
	add("curves", o.Curves)
	add("ecdhe", o.ECDHE)
	add("client-sigalgs", o.ClientSigalgs)
	add("sigalgs", o.Sigalgs)
	if o.MinVer != 0 {
		add("ssl-min-ver", VersionName(o.MinVer))
	}
	if o.MaxVer != 0 {
		add("ssl-max-ver", VersionName(o.MaxVer))
	}
	return strings.Join(w, " ")
}
