package stream

// Field is one header or trailer line. Name is lower case, as everything that leaves us is.
type Field struct {
	Name, Value []byte
}

// BodyKind says how a message's body is delimited (RFC 9112 section 6.3).
type BodyKind uint8

// The ways a body can end.
const (
	BodyNone    BodyKind = iota
	BodyLength           // Length bytes
	BodyChunked          // chunks and trailers
	BodyClose            // response only: until the server closes
	BodyTunnel           // after 101 or a 2xx to CONNECT
)

// Request is a request head. Fields never holds content-length, transfer-encoding, or hop-by-hop fields the codec consumed:
// Body and Length say the framing, Upgrade and KeepAlive say the rest, and the codec writes them canonically.
type Request struct {
	Method       []byte
	Target       []byte // as it will be forwarded: origin-form, absolute-form, "*" or authority
	Major, Minor int
	Fields       []Field
	LengthAt     int // how many of Fields stood before the field that delimits the body
	Body         BodyKind
	Length       int64
	KeepAlive    bool   // the client will keep the connection
	Expect100    bool   // Expect: 100-continue
	Upgrade      []byte // protocol named by Upgrade when Connection lists it, else nil
	ViaProxy     bool   // the client takes us for its proxy, and authenticates as towards one (option http-use-proxy-header)
}

// Response is a response head; the same rules hold for Fields.
type Response struct {
	Status       int
	LengthAt     int // how many of Fields stand before content-length or transfer-encoding
	Reason       []byte
	Major, Minor int
	Fields       []Field
	Body         BodyKind
	Length       int64
	KeepAlive    bool // the server will keep the connection
	Upgrade      []byte
}

// Reset clears r and keeps the room of its fields.
func (r *Request) Reset() { *r = Request{Fields: r.Fields[:0]} }

// Reset clears r and keeps the room of its fields.
func (r *Response) Reset() { *r = Response{Fields: r.Fields[:0]} }

// Path returns the path of the target without its query: from the first "/" (after the authority of an absolute-form target)
// up to "?"; nil when the target has none ("*", authority-form).
func (r *Request) Path() []byte {
	p := r.PathQuery()
	for i, c := range p {
		if c == '?' {
			return p[:i]
		}
	}
	return p
}

// PathQuery returns path and query as they stand in the target.
func (r *Request) PathQuery() []byte {
	t := r.Target
	if len(t) == 0 {
		return nil
	}
	if t[0] == '/' {
		return t
	}
	for i := 0; i+2 < len(t); i++ {
		if t[i] == ':' && t[i+1] == '/' && t[i+2] == '/' {
			for j := i + 3; j < len(t); j++ {
				if t[j] == '/' || t[j] == '?' {
					return t[j:]
				}
			}
			return nil
		}
		if !schemeByte(t[i], i == 0) {
			return nil
		}
	}
	return nil
}

// schemeByte reports whether c may be in the name of a scheme (RFC 3986 section 3.1).
func schemeByte(c byte, first bool) bool {
	if l := c | 0x20; l >= 'a' && l <= 'z' {
		return true
	}
	return !first && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')
}

// Get returns the value of the last field called name (lower case), nil when there is none.
func Get(fields []Field, name string) []byte {
	for i := len(fields) - 1; i >= 0; i-- {
		if string(fields[i].Name) == name {
			return fields[i].Value
		}
	}
	return nil
}

// Has reports whether a field called name (lower case) is present.
func Has(fields []Field, name string) bool {
	for i := range fields {
		if string(fields[i].Name) == name {
			return true
		}
	}
	return false
}

// Del removes every field called name (lower case), keeping the order of the others.
func Del(fields []Field, name string) []Field {
	w := 0
	for _, f := range fields {
		if string(f.Name) != name {
			fields[w] = f
			w++
		}
	}
	return fields[:w]
}
