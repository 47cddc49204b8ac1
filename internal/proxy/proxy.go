// Package proxy carries the traffic of one frontend: it reads requests, lets rules decide, gets a server connection from
// package backend and moves the bytes, in mode http message by message and in mode tcp as they come (HAProxy's configuration
// manual, chapters 4 and 8). It owns the access log line and the counters of requests; connections are counted by the listener.
//
// A Frontend and a Backend are immutable. A Handle is what a listener serves connections with: it points to the frontend's
// newest generation, and every request, also on a connection that lives, is handled by the generation that is current when
// its first byte arrives.
//
// What always holds: a message is forwarded in canonical form or not at all; a server connection is given back for reuse only
// after its response was read to the announced end with nothing behind it; hop-by-hop fields are gone before rules and our own
// fields are added; every wait has a deadline when the configuration gives one. An idle connection owns no buffer.
//
// One goroutine serves a connection. A second one runs while a request body that did not arrive with its head is forwarded, while a
// server takes long to answer (to notice the client's departure), and for the second direction of a tunnel; the serving
// goroutine waits for it.
package proxy

import (
	"net/netip"
	"sync/atomic"
	"time"

	"gatehouse/internal/backend"
	"gatehouse/internal/config"
	"gatehouse/internal/h1"
	"gatehouse/internal/log"
	"gatehouse/internal/rule"
	"gatehouse/internal/stats"
	"gatehouse/internal/stream"
)

// Timeouts of a frontend or a backend; 0 is none. Each side uses its own: Client, HTTPRequest, KeepAlive and Tarpit count in the
// frontend, Server and Tunnel in the backend (manual section 4.2). `timeout connect`, `queue` and `check` belong to
// backend.Options.
type Timeouts struct {
	Client      time.Duration
	HTTPRequest time.Duration // 0: Client
	KeepAlive   time.Duration // 0: HTTPRequest
	Tarpit      time.Duration // 0: `timeout connect`, which the caller fills in
	Connect     time.Duration // for rules that ask; the backend keeps it
	Queue       time.Duration // as Connect
	Server      time.Duration
	Tunnel      time.Duration // 0: Client and Server
	ClientFin   time.Duration // 0: Client
	ServerFin   time.Duration // 0: Server
}

// ForwardFor is option forwardfor.
type ForwardFor struct {
	Header string // lower case; "" is x-forwarded-for
	Except netip.Prefix
	IfNone bool
}

// Switch is one use_backend rule. Exactly one of Backend and Name is set.
type Switch struct {
	Cond    *rule.Cond // nil: always
	Backend *Backend
	Name    *rule.Format // dynamic: the name is made per request and looked up with FrontendOptions.Lookup
}

// AccessLog writes the line of each request or TCP session. Nil Format or nil Logger writes nothing.
type AccessLog struct {
	Format         *rule.Format
	SD             *rule.Format // log-format-sd, for targets of format rfc5424; nil: none
	Error          *rule.Format // error-log-format, for connections on which no request came; nil: Format
	Logger         *log.Logger
	DontLogNull    bool // option dontlognull
	DontLogNormal  bool // option dontlog-normal
	ASAP           bool // option logasap
	SeparateErrors bool // option log-separate-errors
}

// FrontendOptions are all that a frontend needs. New copies the struct; what it points to must not change any more.
type FrontendOptions struct {
	Name string
	HTTP bool

	Timeouts      Timeouts
	HTTPRequest   *rule.Set
	HTTPResponse  *rule.Set
	AfterResponse *rule.Set
	TCPConnection *rule.Set // tcp-request connection, session and content
	TCPSession    *rule.Set
	TCPContent    *rule.Set
	InspectDelay  time.Duration // how long TCPContent may wait for bytes; 0: not at all
	UseBackend    []Switch
	Lookup        func(name []byte) *Backend // for dynamic use_backend; nil finds nothing
	Default       *Backend                   // nil: 503

	Log           AccessLog
	Errors        *ErrorPages // nil: the built-in ones
	ForwardFor    *ForwardFor // nil: off
	OriginalTo    *ForwardFor // option originalto, nil: off
	RestrictNames RestrictNames
	DropTrailers  bool              // option http-drop-response-trailers
	Unsafe        bool              // option accept-unsafe-violations-in-http-request
	HeaderCase    map[string]string // how names of fields to clients are written (option h1-case-adjust-bogus-client); nil: in lower case
	ProxyHeader   bool              // option http-use-proxy-header
	NoLinger      bool              // option nolinger
	// IdleCloseOnResponse is the option of that name: at a soft stop an idle connection stays open for one more request.
	IdleCloseOnResponse bool
	Captures            *stream.CaptureSlots // nil: none
	UniqueID            *rule.Format         // nil: none
	UniqueIDHeader      string               // unique-id-header, lower case
	// Challenge answers HTTP-01 before any rule: the key authorisation of a token of our own open orders, nil otherwise.
	Challenge   func(token []byte) []byte
	Stats       *StatsPage // nil: none
	MonitorURI  string
	MonitorFail []*rule.Cond

	Filters       bool         // the section has filters that limit bandwidth
	HTTPClose     bool         // option httpclose
	ServerClose   bool         // option http-server-close
	BufferRequest bool         // option http-buffer-request
	IgnoreProbes  bool         // option http-ignore-probes
	Connect       bool         // CONNECT requests are forwarded instead of refused
	NoHostOK      bool         // HTTP/1.1 requests without Host are forwarded
	Compression   *Compression // nil: none
	UserOK        bool         // user information in a request's target is forwarded

	MaxHdr     int // tune.http.maxhdr, 0: 101
	BufSize    int // tune.bufsize, 0: 16384
	MaxRewrite int // tune.maxrewrite, 0: 1024

	Invalid func(Invalid) // keeps messages that could not be parsed; may be nil
	// ErrCodes and FailCodes are the statuses that count as a client's error and a server's failure; nil counts none.
	ErrCodes, FailCodes *config.StatusCodes
	Env                 rule.Env
	Counters            *stats.Counters // of the FRONTEND row; nil makes its own
}

// Frontend is one generation of a frontend.
type Frontend struct {
	o         FrontendOptions
	limits    h1.Limits // of requests
	resLimits h1.Limits // of responses
	resUnsafe h1.Limits // of responses, with option accept-unsafe-violations-in-http-response
	pool      *h1.Pool
	peeks     bool          // a use_backend rule of a frontend in mode tcp reads the head of a request
	logged    atomic.Uint64 // log lines written
	requests  atomic.Uint64
	newID     func(dst []byte, s *stream.Stream) []byte // unique-id-format; nil: none
}

// NewFrontend makes a frontend.
func NewFrontend(o FrontendOptions) *Frontend {
	if o.BufSize <= 0 {
		o.BufSize = h1.DefaultBuffer
	}
	if o.MaxRewrite <= 0 {
		o.MaxRewrite = min(1024, o.BufSize/2)
	}
	if o.Counters == nil {
		o.Counters = new(stats.Counters)
	}
	if o.Timeouts.HTTPRequest <= 0 {
		o.Timeouts.HTTPRequest = o.Timeouts.Client
	}
	if o.Timeouts.KeepAlive <= 0 {
		o.Timeouts.KeepAlive = o.Timeouts.HTTPRequest
	}
	f := &Frontend{
		o:         o,
		limits:    h1.Limits{Head: o.BufSize - o.MaxRewrite, Fields: o.MaxHdr, ConnectOK: o.Connect, NoHostOK: o.NoHostOK, UserOK: o.UserOK, Unsafe: o.Unsafe},
		resLimits: h1.Limits{Head: o.BufSize - o.MaxRewrite, Fields: o.MaxHdr},
		pool:      poolOf(o.BufSize),
	}
	f.resUnsafe = f.resLimits
	f.resUnsafe.Unsafe = true
	for i := range o.UseBackend {
		f.peeks = f.peeks || !o.HTTP && o.UseBackend[i].Cond.ReadsHead()
	}
	if o.UniqueID != nil {
		f.newID = func(dst []byte, s *stream.Stream) []byte { return o.UniqueID.Append(dst, s, o.Env) }
	}
	return f
}

// Name returns the frontend's name.
func (f *Frontend) Name() string { return f.o.Name }

// BackendOptions are all that the proxy needs of a backend.
type BackendOptions struct {
	Name    string
	HTTP    bool
	Servers *backend.Backend

	Timeouts      Timeouts
	HTTPRequest   *rule.Set
	HTTPResponse  *rule.Set
	AfterResponse *rule.Set
	TCPContent    *rule.Set // tcp-request content
	TCPResponse   *rule.Set // tcp-response content
	InspectDelay  time.Duration
	ResponseDelay time.Duration // tcp-response inspect-delay
	Stick         *rule.Stick   // stick rules; nil: none
	Errors        *ErrorPages   // nil: the frontend's
	Stats         *StatsPage    // nil: none
	ForwardFor    *ForwardFor
	OriginalTo    *ForwardFor
	Forwarded     *rule.Forwarded // option forwarded, nil: off
	RestrictNames RestrictNames
	DropTrailers  bool              // option http-drop-request-trailers
	HeaderCase    map[string]string // how names of fields to servers are written (option h1-case-adjust-bogus-server); nil: in lower case
	Unsafe        bool              // option accept-unsafe-violations-in-http-response
	NoLinger      bool              // option nolinger
	PreferLast    bool              // option prefer-last-server
	// PretendKeepAlive is option http-pretend-keepalive: servers whose connections are not kept are not told so.
	PretendKeepAlive bool

	Filters       bool // the section has filters that limit bandwidth
	HTTPClose     bool // option httpclose
	ServerClose   bool // option http-server-close
	BufferRequest bool // option http-buffer-request
	// NoAbortOnClose is `no option abortonclose`: a client that shuts its sending side while it waits still gets its answer. By
	// default it has left, as in HAProxy 3.4.
	NoAbortOnClose bool
	Compression    *Compression // nil: none
	RetryOn        *RetryOn     // nil: an answer is never asked for again
	Persistence    *Persistence // nil: the balance algorithm alone chooses servers

	Counters *stats.Counters // of the BACKEND row; nil: Servers' own
}

// Backend is one generation of a backend as the proxy sees it.
type Backend struct {
	o BackendOptions
}

// NewBackend makes a backend.
func NewBackend(o BackendOptions) *Backend {
	if o.Counters == nil && o.Servers != nil {
		o.Counters = o.Servers.Counters()
	}
	if o.Counters == nil {
		o.Counters = new(stats.Counters)
	}
	return &Backend{o: o}
}

// Name returns the backend's name.
func (b *Backend) Name() string { return b.o.Name }
