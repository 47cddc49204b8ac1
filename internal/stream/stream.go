// Package stream is what is known of one connection and of one message on it: addresses, TLS facts, heads, variables
// and the facts a log line needs. Values only: no I/O, no goroutines. A Conn belongs to the goroutine that serves the
// connection; a Stream belongs to the goroutine that serves one request (mode http) or the whole connection (mode tcp)
// and is reused for the next request by Reset. Byte slices in a message point into the connection's buffer or into the
// stream's scratch space and die at Reset.
package stream

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"
)

// Conn is one client connection, filled by the listener and kept until it closes.
type Conn struct {
	ID uint64
	// Src and Dst are the session's ends (sess_src in HAProxy's terms): those of the socket, those that a PROXY header told, or what
	// tcp-request rules made of them. Zero for unix sockets.
	Src, Dst netip.AddrPort
	// FcSrc and FcDst are the ends of the connection itself (fc_src, fc_dst), whatever a PROXY header told.
	FcSrc, FcDst netip.AddrPort
	SrcUnix      bool
	ExpectProxy  bool     // the bind line or a tcp-request connection rule demands a PROXY header
	ExpectCIP    bool     // they demand NetScaler's client address header
	Proxied      bool     // the PROXY header came
	ProxyTLVs    ProxyTLV // what it told beyond addresses
	FcErr        int      // fc_err number of a connection that failed (surface 4.13)

	Accepted  time.Time
	Handshake time.Duration // accept to end of TLS handshake (%Th)
	TLS       *TLS          // nil for a clear connection
	Frontend  string
	BindName  string // the bind line's name, or its number
	BindID    int
	Requests  int      // requests begun on this connection, for http_first_req
	Vars      Vars     // scope sess
	Counters  Counters // what connection and session rules track, for all requests
}

// TLS is what the handshake settled.
type TLS struct {
	SNI        string // as received
	ALPN       string
	Version    uint16
	Cipher     uint16
	Curve      tls.CurveID
	Resumed    bool
	Crt        string              // name of the certificate that was served
	OwnCert    []byte              // DER of that certificate; its owner's, not to be changed
	ClientCert []*x509.Certificate // the peer's: in Stream.BackTLS the server's
	Names      Authority           // nil when all names ask for client certificates alike
	Against    string              // what the client certificate was verified against, as Authority names it
	ClientRoot []byte              // DER name of the authority that the client certificate led to
	Unique     []byte              // channel binding tls-unique (RFC 5929 section 3), TLS up to 1.2
	Hello      *Hello              // with tune.ssl.capture-buffer-size
	VerifyErr  int16               // OpenSSL number of the client certificate's verification, 0 OK: the last one found
	CrtErr     int16               // the first one at depth 0; like CAErr 0 on a resumed session
	CAErr      int16               // the first one above
	CAErrDepth int16
	Failed     bool // the handshake failed
	Err        int  // packed OpenSSL code of why (ssl_fc_err, ssl_bc_err)
}

// Hello is what the client's ClientHello offered, in the order and encoding of the wire but without lengths.
type Hello struct {
	Version      uint16 // legacy_version
	Ciphers      []byte
	Extensions   []byte // their types
	Groups       []byte
	PointFormats []byte
	Versions     []byte // of the extension supported_versions
	SigAlgs      []byte
}

// Authority tells how a bind line asks for client certificates, name by name.
type Authority interface {
	// Demands returns what client certificates are verified against where the name is served, and whether one is required there.
	Demands(name string) (against string, required bool)
}

// Misdirected reports whether a request for this name (of a Host field, without port) must not be served on the connection, because
// a handshake for the name would have demanded a client certificate that this one did not (threat model T03).
func (t *TLS) Misdirected(name string) bool {
	if t == nil || t.Names == nil || name == t.SNI {
		return false
	}
	against, required := t.Names.Demands(name)
	return required && (len(t.ClientCert) == 0 || against != t.Against)
}

// LogDate is the layout of dates in log lines and dumps (manual section 8.2, %t).
const LogDate = "02/Jan/2006:15:04:05.000"

// Stream is one request and its response, or one TCP session.
type Stream struct {
	Conn      *Conn
	Req       Request
	Res       Response
	Txn       Vars // scope txn
	ReqVars   Vars // scope req
	ResVars   Vars // scope res
	Answering bool // the request is on its way: scope req is gone, and scope res has come
	Frontend  string
	Backend   string // "" until one is chosen
	Server    string // "" until one is chosen
	Log       Log
	HTTP      bool // mode http
	BackTLS   *TLS // of the connection to the server; nil without one or without TLS
	BackErr   int  // bc_err number of the last connection to a server that was tried
	BackConn  bool // one was tried
	// NewSrc and NewDst are what set-src and set-dst made of the addresses of this stream; invalid where none did.
	NewSrc, NewDst netip.AddrPort

	// What tcp content rules look at. ReqData are the bytes that came from the client and were not passed on, ResData those from the
	// server. Waiting says that more may come; a fetch that could then have another value sets Missing.
	ReqData, ResData []byte
	Waiting, Missing bool
	// Peeked says that Req is the copy of a request head found in ReqData of a stream in mode tcp, which has HTTP set as long as rules may
	// look at it. HeadOpen says that there is none yet, but could be with more bytes.
	Peeked, HeadOpen bool

	Exchange Exchange // nil: whatever is asked of it fails
	Limits   Limits
	Room     Room    // of the message whose rules run
	Lax      bool    // strict-mode off: rewrites that do not fit are left out
	Hints    []Field // of early-hint rules, until the last of a row sends them

	Slots *CaptureSlots // of the frontend; nil captures nothing
	// NewID appends unique-id-format's text to dst; nil when the frontend has none.
	NewID func(dst []byte, s *Stream) []byte

	// FrontPackets and BackPackets are what rules ask of the packets to the client and to the server.
	FrontPackets, BackPackets Packets
	Counters                  Counters // what content and http rules track

	Reply Reply // room for the answer a rule decided on; rule owns it

	scratch []byte
	work    []byte
}

// Reply is an answer that a rule makes in the server's stead.
type Reply struct {
	Status    int
	Reason    string // "" is the status's own
	Fields    []Field
	Body      []byte
	Close     bool   // the connection ends after it
	Silent    bool   // nothing is sent: an empty error file
	ErrorFile int    // send the proxy's page of this status instead
	Challenge []byte // put into www-authenticate of the error page
	LengthAt  int    // how many of Fields stand before content-length; -1: there is none, the body ends with the connection
	HTTP10    bool   // the status line says HTTP/1.0
}

// Src is the client's address as rules, logs and servers see it (manual, fetch src): what set-src made of it for this stream, else the
// session's. Invalid for unix sockets.
func (s *Stream) Src() netip.AddrPort {
	if s.NewSrc.IsValid() {
		return s.NewSrc
	}
	return s.Conn.Src
}

// Dst is the address the client connected to (manual, fetch dst), in the same way.
func (s *Stream) Dst() netip.AddrPort {
	if s.NewDst.IsValid() {
		return s.NewDst
	}
	return s.Conn.Dst
}

// Timers of a log line. A zero Time means "did not happen"; the log writes -1 for the span.
type Log struct {
	Start                            time.Time     // first byte of the request expected (%tr base) or accept in tcp mode
	Idle                             time.Duration // %Ti: keep-alive idle before the first byte
	ReqDone                          time.Time     // head complete
	Queued                           time.Time     // left the queue
	Connected                        time.Time
	ResHead                          time.Time // response head complete
	End                              time.Time
	BytesIn                          int64 // %U, from client
	BytesOut                         int64 // %B, to client
	Status                           int
	Term                             [2]byte // termination cause and session state, '-' when normal (surface 4.19)
	TermCookie                       [2]byte
	Retries                          int
	Redispatched                     bool
	SrvQueue, BckQueue               int // positions
	ActConn, FeConn, BeConn, SrvConn int
	Level                            string         // set-log-level; "silent" drops the line
	UniqueID                         []byte         // made at its first use by Stream.UniqueID; nil before
	Origin                           string         // %OG when it is not the usual one: "sess_error"
	LogCount                         uint64         // %lc
	RequestCount                     uint64         // %rt
	RequestLine                      []byte         // %r as received; nil: <BADREQ>
	SrvSrc, SrvDst                   netip.AddrPort // %bi %bp, %si %sp: the connection to the server
	ClientCookie, ServerCookie       []byte         // %CC, %CS
	ReqCaptures, ResCaptures         [][]byte
	ServerStatus                     int    // status of the server's answer, before rules; 0: it gave none
	Reused                           bool   // the connection to the server had served before
	Compression                      string // algorithm that the response is compressed with; "" is none
	RuleFile                         string // where the rule stands that ended the last set; "": none did
	RuleLine                         int
	Waiting                          string // what the stream waited for when it ended (waiting_entity)
	Partial                          bool   // the frontend has option logasap: totals get a "+" on every line
	Early                            bool   // logged before the end (logasap): sizes and totals get a "+"
}

// Reset makes s ready for the next request on the same connection, keeping its buffers.
func (s *Stream) Reset() {
	s.Req.Reset()
	s.Res.Reset()
	s.Txn.Clear()
	s.ReqVars.Clear()
	s.ResVars.Clear()
	s.Answering = false
	s.Backend, s.Server = "", ""
	s.ReqData, s.ResData = nil, nil
	s.FrontPackets, s.BackPackets = Packets{}, Packets{}
	s.Waiting, s.Missing, s.Peeked, s.HeadOpen = false, false, false, false
	s.BackTLS, s.BackErr, s.BackConn = nil, 0, false
	s.NewSrc, s.NewDst = netip.AddrPort{}, netip.AddrPort{}
	s.Slots, s.NewID = nil, nil
	s.Exchange, s.Limits, s.Room, s.Lax, s.Hints = nil, Limits{}, Room{}, false, s.Hints[:0]
	s.Counters.Leave()
	s.Log = Log{ReqCaptures: s.Log.ReqCaptures[:0], ResCaptures: s.Log.ResCaptures[:0], Term: [2]byte{'-', '-'}, TermCookie: [2]byte{'-', '-'}}
	s.Reply = Reply{Fields: s.Reply.Fields[:0]}
	s.scratch = s.scratch[:0]
}

// EndRequest ends the life of the variables of scope req and begins that of scope res.
func (s *Stream) EndRequest() {
	if !s.Answering {
		s.Answering = true
		s.ReqVars.Clear()
	}
}

// Received is the method the client sent when it is one of RFC 9110's, whatever rules made of it; else the one the request has now.
// So does HAProxy, where rules and cookies see the former.
func (s *Stream) Received() []byte {
	for i, c := range s.Log.RequestLine {
		if c == ' ' {
			if m := s.Log.RequestLine[:i]; standard(m) {
				return m
			}
			break
		}
	}
	return s.Req.Method
}

func standard(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return true
	}
	return false
}

// ScratchString is Scratch for a string.
func (s *Stream) ScratchString(t string) []byte {
	n := len(s.scratch)
	s.scratch = append(s.scratch, t...)
	return s.scratch[n:len(s.scratch):len(s.scratch)]
}

// maxUniqueID is how much of a unique-id is kept, as in HAProxy.
const maxUniqueID = 127

// UniqueID returns the stream's identifier, made at its first use; false when the frontend makes none. A format that asks for the
// identifier itself finds it empty.
func (s *Stream) UniqueID() ([]byte, bool) {
	if s.Log.UniqueID == nil {
		if s.NewID == nil {
			return nil, false
		}
		s.Log.UniqueID = []byte{}
		var room [256]byte
		id := s.NewID(room[:0], s)
		s.Log.UniqueID = s.Scratch(id[:min(len(id), maxUniqueID)])
	}
	return s.Log.UniqueID, true
}

// Size returns how many bytes of scratch memory the stream has used since Reset.
func (s *Stream) Size() int { return len(s.scratch) }

// Work lends out an empty buffer for building one value while Scratch may be used by what is asked on the way.
// It is one buffer: give it back with Return before the next Work.
func (s *Stream) Work() []byte {
	b := s.work[:0]
	s.work = nil
	return b
}

// Return takes the buffer that Work lent, grown or not, and copies b, its content, to scratch memory.
func (s *Stream) Return(b []byte) []byte {
	s.work = b
	return s.Scratch(b)
}

// Scratch copies b into memory that lives until Reset and returns the copy. Growing leaves earlier copies valid.
func (s *Stream) Scratch(b []byte) []byte {
	n := len(s.scratch)
	s.scratch = append(s.scratch, b...)
	return s.scratch[n:len(s.scratch):len(s.scratch)]
}

// Build runs f, which appends to the slice it is given, and returns what it appended, valid until Reset.
func (s *Stream) Build(f func(dst []byte) []byte) []byte {
	n := len(s.scratch)
	s.scratch = f(s.scratch)
	return s.scratch[n:len(s.scratch):len(s.scratch)]
}
