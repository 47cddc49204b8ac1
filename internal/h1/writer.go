package h1

import (
	"bytes"
	"strconv"

	"gatehouse/internal/stream"
)

// Writer puts messages on a connection. A head and the first bytes of its body leave in one write; the buffer is borrowed while
// it holds bytes. After an error of a write the connection is of no use any more; an *Error leaves it untouched.
type Writer struct {
	conn *Conn
	pool *Pool
	buf  *Buffer
	n    int

	kind stream.BodyKind // framing of the body being written
	left int64           // of BodyLength: bytes still owed
	head int             // bytes of the head last written, for the log
	sent int64           // bytes handed to the connection since Init

	// Case says how names of fields are written that a peer wants in another way than in lower case; nil: none. Keys are in lower case,
	// values as long as their keys. Set it after Init.
	Case map[string]string
}

// recase writes the names of the field lines in b as Case has them.
func (w *Writer) recase(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			return
		}
		if colon := bytes.IndexByte(b[:end], ':'); colon > 0 {
			if to, ok := w.Case[string(b[:colon])]; ok {
				copy(b[:colon], to)
			}
		}
		b = b[end:]
	}
}

// Init makes w write to c with buffers of pool.
func (w *Writer) Init(c *Conn, pool *Pool) { *w = Writer{conn: c, pool: pool} }

// Sent returns how many bytes were written since Init, framing included.
func (w *Writer) Sent() int64 { return w.sent }

// Pending returns how many bytes wait for Flush.
func (w *Writer) Pending() int { return w.n }

// Release drops what was not flushed and gives the buffer back.
func (w *Writer) Release() {
	w.pool.Put(w.buf)
	w.buf, w.n = nil, 0
}

// Flush writes what is pending and gives the buffer back.
func (w *Writer) Flush() error {
	if w.n == 0 {
		w.Release()
		return nil
	}
	n, err := w.conn.Write(w.buf.B[:w.n])
	w.sent += int64(n)
	w.Release()
	return err
}

// RequestOptions are what the hop decides about a request.
type RequestOptions struct {
	Close  bool // ask the server to close after its answer
	Unsafe bool // let bytes above 127 pass in the target
}

// Request writes a request head; its body follows through Body and End. The request's fields must not be changed before it
// returns; nothing is sent yet.
func (w *Writer) Request(req *stream.Request, o RequestOptions) error {
	a := w.appender()
	minor := byte('1')
	if req.Minor == 0 && req.Body != stream.BodyChunked {
		minor = '0'
	}
	if !isToken(req.Method) || !validTarget(req.Target, o.Unsafe) {
		return ErrField
	}
	a.bytes(req.Method)
	a.byte(' ')
	a.bytes(req.Target)
	a.text(" HTTP/1.")
	a.byte(minor)
	a.text("\r\n")
	wantClose, err := a.fields(req.Fields)
	if err != nil {
		return err
	}
	a.framing(req.Body, req.Length)
	switch {
	case req.Upgrade != nil:
		a.text("connection: upgrade\r\nupgrade: ")
		if !isValue(req.Upgrade) {
			return ErrField
		}
		a.bytes(req.Upgrade)
		a.text("\r\n")
	case o.Close || wantClose:
		if minor == '1' { // HTTP/1.0 means it
			a.text("connection: close\r\n")
		}
	case minor == '0':
		a.text("connection: keep-alive\r\n")
	}
	a.text("\r\n")
	return w.done(&a, req.Body, req.Length)
}

// validTarget holds a target, which rules may have made, against what a request line can carry.
func validTarget(t []byte, unsafe bool) bool {
	for _, c := range t {
		if c <= ' ' || c == 0x7f || c > 0x7f && !unsafe {
			return false
		}
	}
	return len(t) > 0
}

// ResponseOptions are what the hop decides about a response.
type ResponseOptions struct {
	Close    bool // tell the client that the connection ends
	HTTP10   bool // the client speaks HTTP/1.0: no chunks, keep-alive said aloud
	Bodyless bool // no body follows, whatever the head announces: HEAD, 304
}

// Response writes a response head; its body follows through Body and End. Nothing is sent yet. It reports whether the client
// will see the end of the connection as the end of the body or was told to close: then the connection cannot be kept.
func (w *Writer) Response(res *stream.Response, o ResponseOptions) (closes bool, err error) {
	if res.Status < 100 || res.Status > 999 || !isValue(res.Reason) {
		return true, ErrField
	}
	a := w.appender()
	kind, length := res.Body, res.Length
	switch {
	case res.Status < 200:
		kind = stream.BodyNone
	case kind == stream.BodyChunked && o.HTTP10:
		kind = stream.BodyClose
	case kind == stream.BodyNone && res.Status != 204 && res.Status != 304 && !o.Bodyless:
		kind, length = stream.BodyLength, 0
	}
	if kind == stream.BodyClose && o.Bodyless {
		kind = stream.BodyNone
	}
	old := res.Major == 1 && res.Minor == 0 && kind != stream.BodyChunked // HAProxy hands the server's version on
	a.text("HTTP/1.")
	if old {
		a.byte('0')
	} else {
		a.byte('1')
	}
	a.byte(' ')
	a.number(int64(res.Status), 10)
	a.byte(' ')
	a.bytes(res.Reason)
	a.text("\r\n")
	before := min(res.LengthAt, len(res.Fields))
	wantClose, err := a.fields(res.Fields[:before])
	if err != nil {
		return true, err
	}
	a.framing(kind, length)
	alsoClose, err := a.fields(res.Fields[before:])
	if err != nil {
		return true, err
	}
	wantClose = wantClose || alsoClose
	if res.Status < 200 {
		return w.interim(&a, res)
	}
	// A coding in a version that has none says that its sender does not know what it does.
	closes = o.Close || wantClose || kind == stream.BodyClose || res.Minor == 0 && kind == stream.BodyChunked
	switch {
	case kind == stream.BodyTunnel:
	case closes && old && !wantClose: // HTTP/1.0 means it
	case closes:
		a.text("connection: close\r\n")
	case o.HTTP10 || old:
		a.text("connection: keep-alive\r\n")
	}
	a.text("\r\n")
	if o.Bodyless || res.Status == 204 || res.Status == 304 {
		kind = stream.BodyNone
	}
	return closes, w.done(&a, kind, length)
}

// interim finishes a 1xx head: no framing, and for 101 the protocol that follows.
func (w *Writer) interim(a *appender, res *stream.Response) (bool, error) {
	kind := stream.BodyNone
	if res.Status == 101 {
		if !isValue(res.Upgrade) {
			return true, ErrField
		}
		a.text("connection: upgrade\r\nupgrade: ")
		a.bytes(res.Upgrade)
		a.text("\r\n")
		kind = stream.BodyTunnel
	}
	a.text("\r\n")
	return false, w.done(a, kind, 0)
}

// Raw appends bytes that are a whole message already, such as an error file.
func (w *Writer) Raw(p []byte) error {
	w.kind = stream.BodyNone
	return w.put(p)
}

// appender fills the writer's buffer and notes when it is full.
type appender struct {
	b    []byte
	n    int
	full bool
}

func (w *Writer) appender() appender {
	if w.buf == nil {
		w.buf = w.pool.Get()
	}
	return appender{b: w.buf.B, n: w.n}
}

func (w *Writer) done(a *appender, kind stream.BodyKind, length int64) error {
	if a.full {
		return ErrNoRoom
	}
	if w.Case != nil {
		w.recase(a.b[w.n+bytes.IndexByte(a.b[w.n:a.n], '\n')+1 : a.n])
	}
	w.head = a.n - w.n
	w.n = a.n
	w.kind, w.left = kind, 0
	if kind == stream.BodyLength {
		w.left = length
	}
	return nil
}

func (a *appender) bytes(p []byte) {
	if len(p) > len(a.b)-a.n {
		a.full = true
		return
	}
	a.n += copy(a.b[a.n:], p)
}

func (a *appender) text(s string) {
	if len(s) > len(a.b)-a.n {
		a.full = true
		return
	}
	a.n += copy(a.b[a.n:], s)
}

func (a *appender) byte(c byte) {
	if a.n >= len(a.b) {
		a.full = true
		return
	}
	a.b[a.n] = c
	a.n++
}

func (a *appender) number(v int64, base int) {
	var tmp [20]byte
	a.bytes(strconv.AppendInt(tmp[:0], v, base))
}

// fields writes the field lines. Fields that frame the message or belong to one hop are skipped, whoever added them, so that no
// rule can contradict the framing; a Connection field that says close is heeded. Every byte is checked here, once, on the way
// out (threat H13).
func (a *appender) fields(fields []stream.Field) (wantClose bool, err error) {
	for i := range fields {
		f := &fields[i]
		if hop(f.Name) {
			if string(f.Name) == "connection" && hasElement(f.Value, "close") {
				wantClose = true
			}
			continue
		}
		need := len(f.Name) + len(f.Value) + 4
		if need > len(a.b)-a.n {
			a.full = true
			return false, ErrNoRoom
		}
		at := a.n
		for _, c := range f.Name {
			l := lower[c]
			if l == 0 {
				return false, ErrField
			}
			a.b[at] = l
			at++
		}
		if at == a.n || !isValue(f.Value) {
			return false, ErrField
		}
		a.b[at], a.b[at+1] = ':', ' '
		at += 2
		at += copy(a.b[at:], f.Value)
		a.b[at], a.b[at+1] = '\r', '\n'
		a.n = at + 2
	}
	return wantClose, nil
}

// hop reports whether the codec alone writes this field.
func hop(name []byte) bool {
	switch len(name) {
	case 7:
		return equalFold(name, "upgrade")
	case 10:
		return equalFold(name, "connection") || equalFold(name, "keep-alive")
	case 14:
		return equalFold(name, "content-length")
	case 16:
		return equalFold(name, "proxy-connection")
	case 17:
		return equalFold(name, "transfer-encoding")
	}
	return false
}

func hasElement(list []byte, word string) bool {
	for more := true; more; {
		var e []byte
		e, list, more = nextElement(list)
		if equalFold(e, word) {
			return true
		}
	}
	return false
}

func (a *appender) framing(kind stream.BodyKind, length int64) {
	switch kind {
	case stream.BodyLength:
		a.text("content-length: ")
		a.number(length, 10)
		a.text("\r\n")
	case stream.BodyChunked:
		a.text("transfer-encoding: chunked\r\n")
	}
}

// chunkLine is the most a chunk's size line and end take.
const chunkLine = 16 + 4

// Body writes a piece of the body in the framing of the last head. Small pieces wait for Flush.
func (w *Writer) Body(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	switch w.kind {
	case stream.BodyLength:
		if int64(len(p)) > w.left {
			return ErrBodyLength
		}
		w.left -= int64(len(p))
		return w.put(p)
	case stream.BodyChunked:
		return w.putChunk(p)
	case stream.BodyClose, stream.BodyTunnel:
		return w.put(p)
	}
	return ErrBodyLength
}

// put appends p when it fits and otherwise writes what is pending, then p itself, without copying it.
func (w *Writer) put(p []byte) error {
	if w.buf == nil {
		if len(p) >= w.pool.Size()/2 {
			return w.direct(p)
		}
		w.buf = w.pool.Get()
	}
	if len(p) <= len(w.buf.B)-w.n {
		w.n += copy(w.buf.B[w.n:], p)
		return nil
	}
	// Fill the write that has to happen anyway, then the rest.
	k := copy(w.buf.B[w.n:], p)
	w.n += k
	if err := w.Flush(); err != nil {
		return err
	}
	return w.put(p[k:])
}

func (w *Writer) direct(p []byte) error {
	n, err := w.conn.Write(p)
	w.sent += int64(n)
	return err
}

// putChunk writes p as one or more chunks, each within the buffer with its framing.
func (w *Writer) putChunk(p []byte) error {
	for len(p) > 0 {
		a := w.appender()
		room := len(a.b) - a.n - chunkLine
		if room < 64 && room < len(p) {
			if err := w.Flush(); err != nil {
				return err
			}
			continue
		}
		part := p
		if len(part) > room {
			part = part[:room]
		}
		a.number(int64(len(part)), 16)
		a.text("\r\n")
		a.bytes(part)
		a.text("\r\n")
		w.n = a.n
		p = p[len(part):]
	}
	return nil
}

// End finishes the body: the last chunk with its trailers, or the check that all announced bytes were written. It does not
// flush.
func (w *Writer) End(trailers []stream.Field) error {
	kind := w.kind
	w.kind = stream.BodyNone
	switch kind {
	case stream.BodyLength:
		if w.left != 0 {
			return ErrBodyLength
		}
	case stream.BodyChunked:
		a := w.appender()
		if len(a.b)-a.n < 64 {
			if err := w.Flush(); err != nil {
				return err
			}
			a = w.appender()
		}
		a.text("0\r\n")
		if _, err := a.fields(trailers); err != nil {
			// A trailer that may not be sent is dropped with the others: the body itself is complete.
			a = w.appender()
			a.text("0\r\n")
		}
		a.text("\r\n")
		if w.Case != nil {
			w.recase(a.b[w.n:a.n])
		}
		w.n = a.n
	}
	return nil
}
