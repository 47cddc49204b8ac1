package config

import (
	"net/netip"
	"time"
)

// Pos is where a statement stands: file as given on the command line and line number, from 1.
type Pos struct {
	File string
	Line int
}

// Setting is one keyword of a bind, server, stats socket, crt-list or load line with its arguments,
// kept as written because its meaning belongs to another room (TLS keywords mean something to cert).
type Setting struct {
	Name string
	Args []string
	Pos  Pos
}

// Config is one whole configuration: every file that was read, in order, as typed values.
type Config struct {
	Files      []string // names of the files that were read, in order
	Global     Global
	Proxies    []*Proxy // frontends, backends and listens, in the order they were written
	CrtStores  []*CrtStore
	HTTPErrors []*HTTPErrors
	Userlists  []*Userlist
	Rings      []*Ring
	ACMEs      []*ACME
	Gatehouse  Gatehouse
	Env        map[string]string // the environment after setenv, presetenv, unsetenv, resetenv
}

// Global is what the global sections say (manual section 3). Pointers and empty strings are unset.
type Global struct {
	Daemon          bool
	MasterWorker    bool
	NoExitOnFailure bool // master-worker no-exit-on-failure
	Chroot          string
	User, Group     string
	UID, GID        *int
	PidFile         string
	Vars            []GlobalVar
	Threads         int // nbthread: how many processors are used at a time; 0: all
	MaxConn         int // 0: chosen from the descriptor limit
	HardStop        time.Duration
	StatsSockets    []*Bind
	StatsTimeout    time.Duration // 0: 10 s
	StatsMaxConn    int           // 0: 10
	Logs            []Log
	LogTag          string
	LogSendHost     *string // log-send-hostname; "" means this machine's name
	Node            string
	Description     string
	CABase          string
	CrtBase         string
	KeyBase         string

	DefaultBindCiphers, DefaultBindCiphersuites, DefaultBindCurves       string
	DefaultServerCiphers, DefaultServerCiphersuites, DefaultServerCurves string
	DefaultBindOptions, DefaultServerOptions                             []Setting // ssl-default-*-options
	ServerVerifyNone                                                     bool      // ssl-server-verify none

	LoadExtraFiles  []string // ssl-load-extra-files; nil means all
	LoadExtraDelExt bool     // ssl-load-extra-del-ext
	IssuersChain    string   // issuers-chain-path
	SkipSelfIssued  bool     // ssl-skip-self-issued-ca
	PassphraseCmd   []string // ssl-passphrase-cmd: the program and its own arguments
	SSLCtxCache     *int     // tune.ssl.ssl-ctx-cache-size: certificates of generate-certificates that are kept

	OCSPUpdate OCSPUpdate // ocsp-update.*

	BufSize       int           // tune.bufsize, 0: 16384
	MaxRewrite    int           // tune.maxrewrite, 0: 1024
	MaxHdr        int           // tune.http.maxhdr, 0: 101
	CompLevel     int           // tune.comp.maxlevel, 0: 1
	LogURILen     int           // tune.http.logurilen, 0: 1024
	SSLCapture    int           // tune.ssl.capture-buffer-size
	CLIMaxPayload int           // tune.cli.max-payload-size, 0: 16 MiB
	SSLLifetime   time.Duration // tune.ssl.lifetime, 0 unset
	SSLCacheSize  *int          // tune.ssl.cachesize, in blocks; nil unset
	StickCounters *int          // tune.stick-counters, nil: 3
	ErrCodes      StatusCodes   // http-err-codes
	FailCodes     StatusCodes   // http-fail-codes

	ServerStateBase, ServerStateFile string // server-state-base, server-state-file

	ConnRate, SessRate, SSLRate int   // maxconnrate, maxsessrate, maxsslrate, a second; 0: no limit
	CompRate                    int64 // maxcomprate in bytes a second; 0: no limit

	ZeroWarning          bool
	Experimental         bool // expose-experimental-directives
	SpreadChecks         int
	ACMEScheduler        bool // acme.scheduler auto (default true)
	HTTPClientCA         string
	HTTPClientVerifyNone bool
	HeaderCase           map[string]string // h1-case-adjust: how a field's name, which is the key, is written
	HeaderCaseFile       string            // h1-case-adjust-file
}

// OCSPUpdate are the global keywords on how OCSP responses are refreshed (manual section 12.7.1).
type OCSPUpdate struct {
	Mode     bool          // ocsp-update.mode on: what certificates do that do not say
	Disable  bool          // ocsp-update.disable on: nothing is ever asked
	MinDelay time.Duration // ocsp-update.mindelay, 5 min unless set
	MaxDelay time.Duration // ocsp-update.maxdelay, 1 h unless set
	Proxy    *Addr         // ocsp-update.httpproxy, nil: none
}

// Gatehouse is our own section (design: what HAProxy has no word for).
type Gatehouse struct {
	Pos       Pos
	StateDir  string
	Persist   *bool           // persist on|off, nil: on
	PersistBy map[string]bool // persist on|off crt-store NAME
	WatchOff  bool            // watch off: edits of certificates' files wait for a reload
	History   *int            // history <versions>, 0 is off; nil: the default
	HistoryBy time.Duration   // history <versions> <age>; 0: the default
	HTTPLoose bool            // http-strict off: HTTP/1 requests are taken as HAProxy takes them
	AdminFrom []netip.Prefix  // admin-from NET,...: who may use level admin over TCP besides loopback
}

// Proxy is one frontend, backend or listen section after its defaults were applied. Frontend-only fields are zero in
// a backend and the other way round.
type Proxy struct {
	Pos         Pos
	Kind        string // "frontend", "backend" or "listen"
	Name        string
	ID          int
	Mode        string // "tcp" or "http"
	Disabled    bool
	Description string

	Binds             []*Bind
	SSLFUse           []CrtUse // ssl-f-use lines in the order written
	MaxConn           int
	Backlog           int
	UseBackend        []Rule // Words: target name or format, then the condition
	DefaultBackend    string
	DefaultBackendPos Pos

	Servers         []*Server
	Balance         string // "roundrobin" when unset
	BalanceArgs     []string
	Retries         *int // nil: 3
	Redispatch      *int // nil: off
	HTTPReuse       string
	Compression     *Compression     // nil: none
	BandwidthLimits []BandwidthLimit // filter bwlim-in and bwlim-out, in their order
	CompReq         bool             // filter comp-req, or compression
	CompRes         bool             // filter comp-res, or compression
	Cookie          *Cookie          // persistence cookie, nil: none
	CookieKey       string           // dynamic-cookie-key
	Persist         bool             // option persist
	PersistRule     []PersistRule
	LoadServerState string   // load-server-state-from-file: "", "none", "global" or "local"
	ServerStateFile string   // server-state-file-name; "" is the section's name
	UseServer       []Rule   // Words: server name or format, then the condition
	RetryOn         *RetryOn // nil: failed connections only

	// Timeouts; 0 is unset.
	TimeoutClient, TimeoutServer, TimeoutConnect, TimeoutHTTPRequest, TimeoutKeepAlive time.Duration
	TimeoutTunnel, TimeoutQueue, TimeoutCheck, TimeoutClientFin, TimeoutServerFin      time.Duration
	TimeoutTarpit, TimeoutClientHS                                                     time.Duration

	StickTable *StickTable
	Stick      []Rule // stick lines: Words start with on, match, store, store-request or store-response

	ACLs                                         []ACL
	HTTPRequest, HTTPResponse, HTTPAfterResponse []Rule // defaults' rules first; `redirect` lines stand in HTTPRequest
	TCPConnection, TCPSession, TCPContent        []Rule // tcp-request connection, session and content, defaults' rules first
	TCPResponse                                  []Rule // tcp-response content
	ClientProbes, ServerProbes                   Probes // clitcpka-* and srvtcpka-*
	SessionLimit                                 int    // rate-limit sessions, a second; 0: none
	InspectDelay, ResponseInspectDelay           time.Duration
	Logs                                         []Log // `log global` already replaced by the global targets
	LogGlobal                                    bool
	LogFormat, LogFormatSD, ErrorLogFormat       *Text
	LogTag                                       string
	HTTPLog, TCPLog, HTTPSLog, CLFLog            bool // option httplog [clf], tcplog [clf], httpslog
	DontLogNull, DontLogNormal, LogASAP          bool
	LogSeparateErrors, LogHealthChecks           bool

	Forwarded                             *Forwarded
	OriginalTo                            *ForwardFor
	RestrictNames                         string // option http-restrict-req-hdr-names: "" or "preserve", "delete", "reject"
	UnsafeRequests                        bool   // option accept-unsafe-violations-in-http-request
	UnsafeResponses                       bool   // option accept-unsafe-violations-in-http-response
	CaseForClients, CaseForServers        bool   // option h1-case-adjust-bogus-client and -server
	PretendKeepAlive, UseProxyHeader      bool   // option http-pretend-keepalive, http-use-proxy-header
	IdleCloseOnResponse, PreferLastServer bool   // option idle-close-on-response, prefer-last-server
	NoLinger                              bool   // option nolinger
	DropReqTrailers                       bool
	DropResTrailers                       bool

	Captures       []Capture // in the order of their lines
	CaptureCookie  *CaptureCookie
	UniqueIDFormat *Text
	UniqueIDHeader string // lower case

	ForwardFor      *ForwardFor
	HTTPServerClose bool
	HTTPClose       bool
	HTTPKeepAlive   bool
	HTTPBufferReq   bool
	AbortOnClose    bool
	NoAbortOnClose  bool // no option abortonclose: since 3.3 HAProxy aborts in mode http unless told not to
	AllBackups      bool
	SocketStats     bool
	TCPKeepAlive    bool // option tcpka
	ClientKeepAlive bool // option clitcpka or tcpka
	ServerKeepAlive bool // option srvtcpka or tcpka
	HTTPCheck       *HTTPCheck
	SSLHelloCheck   bool
	TCPCheck        bool

	Errors           []ErrorLine // what is answered to requests that fail, in the order written
	MonitorURI       string
	MonitorFail      []Rule // conditions of monitor fail
	HTTPIgnoreProbes bool
	Stats            *Stats // stats lines; nil when there is no page
}

// Text is one string argument with its place, compiled by another room.
type Text struct {
	Pos  Pos
	Text string
}

// Rule is one rule line: everything after the keyword that names its set.
type Rule struct {
	Pos   Pos
	Words []string
	ACLs  []ACL // the ACLs a rule inherited from a defaults section sees; nil: those of its own proxy
	Apart bool  // a `redirect` line: an allow of the rules before does not pass it
}

// ACL is one `acl NAME CRITERION ...` line; Words starts with the criterion.
type ACL struct {
	Pos   Pos
	Name  string
	Words []string
}

// Addr is one address a socket can be bound to or connected to (manual section 2.9).
type Addr struct {
	Text       string     // as written, after expansion of lists and ranges
	Network    string     // "tcp", "unix", "abns", "fd", "udp", "unixgram", "stdout", "stderr"
	Host       string     // a name or "" when IP is set or any
	IP         netip.Addr // invalid: any address (bind) or not yet resolved (server)
	Family     int        // 0 any, 4 or 6
	Port       int
	PortOffset bool   // server: +N or -N relative to the client's destination port
	NoPort     bool   // server: no port written, the client's destination port is used
	Path       string // unix and abns
	FD         int    // fd@N
}

// Bind is one bind or stats socket line.
type Bind struct {
	Pos              Pos
	Text             string // the address word as written
	Addrs            []Addr
	Name             string
	ID               int
	SSL              bool
	AcceptProxy      bool
	CIPMagic         uint32    // accept-netscaler-cip: the number that its headers begin with; 0 without
	Crts             []CrtUse  // crt, crt-list and default-crt in the order written
	TLS              []Setting // every other TLS keyword, for cert.Options
	StrictSNI        bool
	NoStrictSNI      bool     // no-strict-sni was written: it wins over ssl-default-bind-options
	GenerateCerts    bool     // generate-certificates
	CASignFile       string   // ca-sign-file
	CASignPass       string   // ca-sign-pass: secret
	ECH              string   // directory of ECH keys
	ACME             string   // acme NAME: our extension on bind lines
	Domains          []string // domains a,b with it
	MaxConn, Backlog int
	Mode             *uint32 // unix socket permissions
	User, Group      string
	UID, GID         *int
	Level            string // stats socket: user, operator (default) or admin
	ExposeFD         bool
	Severity         string
	V4V6, V6Only     bool
	Interface        string
	TFO              bool
	DeferAccept      bool
	MSS              int
	Proto            string
}

// CrtUse is one way a line names certificates.
type CrtUse struct {
	Pos  Pos
	Kind string // "crt", "crt-list", "default-crt" (bind, server) or "ssl-f-use"
	Path string
	Load []Setting // ssl-f-use: load keywords (acme, domains, ...) and TLS keywords
}

// Server is one server line with its default-server settings applied.
type Server struct {
	Pos                        Pos
	Name                       string
	ID                         int
	Addr                       Addr
	Weight                     int // 1 when unset
	Backup, Disabled           bool
	MaxConn, MinConn, MaxQueue int

	Check                       bool
	Inter, FastInter, DownInter time.Duration // 0: 2 s, Inter, Inter
	Rise, Fall                  int           // 2 and 3 when unset
	CheckPort                   int
	CheckAddr                   string
	CheckSSL                    *bool
	CheckSNI                    string
	CheckALPN                   []string // protocols offered by checks; nil: the server's
	SlowStart                   time.Duration
	AgentCheck                  bool
	AgentAddr, AgentSend        string // "": the server's own address; nothing is sent
	AgentPort                   int
	AgentInter                  time.Duration // 0: 2 s
	Track                       string        // [backend/]server whose state this one follows
	OnMarkedDown                string        // "" or "shutdown-sessions"

	SSL                  bool
	NoSSL                bool
	DefaultSSL           bool   // a default-server line said ssl: no-ssl can be undone at run time
	SNI                  string // expression text
	SNIAuto              *bool  // sni-auto, no-sni-auto; nil: as HAProxy, on for TLS servers of HTTP backends without sni
	Verify               string // "", "none" or "required"
	VerifyHost           string
	CAFile, CRLFile, Crt string
	TLS                  []Setting // other TLS keywords

	Cookie      string
	NonStick    bool          // stick tables do not remember it
	Redir       string        // redir: prefix of the Location that GET and HEAD get in the server's stead
	PoolMaxConn *int          // nil: unlimited
	PoolPurge   time.Duration // 0: 5 s
	MaxReuse    *int
	InitAddr    string
	PoolLowConn int    // connections kept beyond what was lately needed
	PoolName    string // pool-conn-name: expression text

	SendProxy      int        // 0, 1 or 2
	sendV1, sendV2 bool       // what SendProxy comes from
	ProxyV2        ProxyV2    // what a version 2 header tells beyond addresses
	ProxyTLVs      []ProxyTLV // set-proxy-v2-tlv-fmt
	CheckSendProxy bool       // check-send-proxy
}

// ProxyV2 is a set of proxy-v2-options.
type ProxyV2 uint8

// The options. CertCN, CertKey, CertSig and SSLCipher imply SSL.
const (
	ProxySSL ProxyV2 = 1 << iota
	ProxyCertCN
	ProxyCertKey
	ProxyCertSig
	ProxySSLCipher
	ProxyAuthority
	ProxyCRC32C
	ProxyUniqueID
)

// ProxyTLV is one field of a version 2 header: its type and the log-format of its value.
type ProxyTLV struct {
	Pos    Pos
	Type   byte
	Format string
}

// CrtStore is one crt-store section (manual section 12.7).
type CrtStore struct {
	Pos              Pos
	Name             string
	CrtBase, KeyBase string
	Loads            []Load
}

// Load is one load line; settings other than crt and alias stay as written for certstore.
type Load struct {
	Pos      Pos
	Crt      string
	Alias    string
	Settings []Setting // key, ocsp, issuer, sctl, acme, domains, ips, keytype, bits, curves, ...
}

// ACME is one acme section (manual section 12.8).
type ACME struct {
	Pos        Pos
	Name       string
	Directory  string
	AccountKey string // "" means NAME.account.key
	Contact    string
	Challenge  string // "http-01"
	KeyType    string // "RSA" or "ECDSA" ("" = ECDSA)
	Bits       int
	Curves     string
	Map        string
	Profile    string
	ReuseKey   bool
	CAFile     string // our extension: ca-file of the CA's own HTTPS, for private CAs
}

// Log is one log line.
type Log struct {
	Pos      Pos
	Global   bool // `log global`, before it is replaced
	Addr     Addr
	Len      int    // 0: 1024
	Format   string // "" rfc3164 (raw for nothing), rfc5424, short, raw, timed, iso, local, priority
	Sample   string // "1,3:5", see SampleSlots; "" sends all
	Facility string
	Level    string // "" = debug: everything
	MinLevel string

	FromGlobal bool // copied from the global section by `log global`
}

// ForwardFor is option forwardfor.
type ForwardFor struct {
	Header string // x-forwarded-for
	Except *netip.Prefix
	IfNone bool
}

// HTTPCheck is option httpchk with the http-check lines that belong to it.
type HTTPCheck struct {
	Method, URI, Version string
	Headers              [][2]string
	Body                 string
	Expect               []string // words of the one http-check expect line, nil for 2xx and 3xx
	Pos                  Pos
	DisableOn404         bool
}
