// Package h1 is HTTP/1.1 on the wire (RFC 9112): bytes to stream messages and back, for both sides of a proxy.
//
// A Conn is one connection with the deadlines of its phases. A Reader takes message heads and bodies from it, a Writer puts
// them on it; both borrow buffers from a Pool only while they hold bytes, so that an idle connection owns none. Heads are
// parsed in place: field names are lower-cased where they stand and every slice of a message points into the Reader's
// buffer until the next message is read.
//
// What always holds: what is ambiguous is refused (bare CR, whitespace before a colon, unequal Content-Length, an unknown
// transfer coding, control characters); where HAProxy 3.4 accepts a deviation (bare LF in a head, folded lines, several
// spaces in the request line, Transfer-Encoding beside Content-Length) it is accepted with the one meaning HAProxy gives
// it; and what a Writer emits is canonical, whatever was read: one framing, lower-case names, no hop-by-hop field but ours.
//
// The package starts no goroutine. A Reader and a Writer belong to one goroutine each.
package h1

// Limits bound the messages a Reader accepts.
type Limits struct {
	Head      int  // bytes of a head; 0: DefaultHead
	Fields    int  // fields of a head, and of a trailer section; 0: DefaultFields
	NoHostOK  bool // accept HTTP/1.1 requests that have no Host, or one that holds more than names and ports do
	Unsafe    bool // accept fragments and bytes above 127 in targets, and a Host that is not the target's
	ConnectOK bool // accept the CONNECT method
	UserOK    bool // accept user information in a target's authority; it is passed on and compared with nothing
}

// HAProxy's defaults: tune.bufsize, the same less tune.maxrewrite, and tune.http.maxhdr.
const (
	DefaultBuffer = 16384
	DefaultHead   = DefaultBuffer - 1024
	DefaultFields = 101
)

// Error is a message that may not be forwarded. Status is what a client that sent it is told; the same error in a response
// is answered with 502 whatever Status says.
type Error struct {
	Status int
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// What can be wrong with a message. They are values so that refusing costs no memory.
var (
	ErrSyntax          = &Error{400, "malformed message head"}
	ErrVersion         = &Error{400, "unsupported protocol version"}
	ErrTarget          = &Error{400, "invalid request target"}
	ErrHost            = &Error{400, "missing, repeated or invalid host"}
	ErrLength          = &Error{400, "invalid content-length"}
	ErrCoding          = &Error{400, "invalid transfer-encoding"}
	ErrUnknownCoding   = &Error{422, "unknown transfer coding"}
	ErrFieldCount      = &Error{400, "too many fields"}
	ErrTargetTooLong   = &Error{414, "request line too long"}
	ErrHeadTooLong     = &Error{431, "message head too long"}
	ErrMethodRefused   = &Error{405, "method not allowed"}
	ErrBodyNotAllowed  = &Error{413, "HTTP/1.0 request of this method with a body"}
	ErrChunk           = &Error{400, "invalid chunk"}
	ErrTrailer         = &Error{400, "invalid trailer section"}
	ErrTruncated       = &Error{400, "connection closed inside a message"}
	ErrStatus          = &Error{502, "invalid status code"}
	ErrField           = &Error{500, "field with a forbidden character"}
	ErrNoRoom          = &Error{500, "message head does not fit the buffer"}
	ErrBodyLength      = &Error{500, "body longer or shorter than announced"}
	errIncomplete      = &Error{400, "incomplete"}
	errWebSocketNoKey  = &Error{400, "websocket upgrade without a key"}
	errUpgradeWithBody = &Error{400, "upgrade with a body"}
)
