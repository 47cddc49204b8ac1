package h1

import (
	"bytes"
	"io"

	"gatehouse/internal/stream"
)

// Reader takes messages off a connection: heads first, then the pieces of their bodies. Its memory is borrowed when bytes
// arrive and given back by Release.
type Reader struct {
	conn *Conn
	pool *Pool
	head *Buffer // holds the current head and, while there is room, what follows it
	buf  *Buffer // being received into: head, or a second buffer once the rest of head became too small
	base int     // first byte of buf that a body may use
	pos  int     // next byte not yet consumed
	end  int     // end of what was received

	body     stream.BodyKind // framing of the current body on the wire
	left     int64           // bytes left of it, or of the current chunk
	chunk    chunkState
	overhead int // bytes of chunk extensions seen
	trailers []stream.Field
	line     []byte
	size     int // of the current head
}

// minRoom is the least room worth receiving a body into.
const minRoom = 4096

// Init makes r read from c with buffers of pool.
func (r *Reader) Init(c *Conn, pool *Pool) {
	*r = Reader{conn: c, pool: pool, trailers: r.trailers[:0]}
}

// Conn returns the connection r reads from.
func (r *Reader) Conn() *Conn { return r.conn }

// Buffered returns how many bytes were received and not yet consumed.
func (r *Reader) Buffered() int { return r.end - r.pos }

// Unread returns those bytes; they stay unconsumed and are valid until the next call.
func (r *Reader) Unread() []byte {
	if r.buf == nil {
		return nil
	}
	return r.buf.B[r.pos:r.end]
}

// Line returns the request line of the current head as it was received, without its line end. Only a target's default port is
// missing from it.
func (r *Reader) Line() []byte { return r.line }

// More receives bytes behind what is buffered without consuming any: a way to wait for the peer to speak or to leave.
// io.ErrShortBuffer says that there is no room for more.
func (r *Reader) More() error {
	if r.buf == nil {
		return r.Wait()
	}
	if r.pos == r.end && r.body == stream.BodyNone {
		r.pos, r.end = r.base, r.base
	}
	r.room()
	if r.end == len(r.buf.B) {
		return io.ErrShortBuffer
	}
	return r.fill()
}

// Drop forgets the received bytes that were not consumed, and the rest of the body, but keeps the current head.
func (r *Reader) Drop() { r.pos, r.body = r.end, stream.BodyNone }

// Release gives the buffers back and forgets what was not consumed.
func (r *Reader) Release() {
	if r.buf != r.head {
		r.pool.Put(r.buf)
	}
	r.pool.Put(r.head)
	r.head, r.buf, r.line = nil, nil, nil
	r.base, r.pos, r.end = 0, 0, 0
	r.body, r.left, r.chunk, r.overhead = stream.BodyNone, 0, chunkSize, 0
	clear(r.trailers)
	r.trailers = r.trailers[:0]
}

// Wait returns when at least one byte is there, holding no buffer until then.
func (r *Reader) Wait() error {
	if r.pos < r.end {
		return nil
	}
	r.Release()
	b, n, err := r.conn.First(r.pool)
	if err != nil {
		return err
	}
	r.head, r.buf, r.end = b, b, n
	return nil
}

// begin moves what is left behind the previous message to the front of one buffer.
func (r *Reader) begin() {
	switch {
	case r.buf == nil:
		b := r.pool.Get()
		r.head, r.buf = b, b
	case r.buf != r.head:
		r.pool.Put(r.head)
		r.head = r.buf
	}
	if r.pos > 0 {
		r.end = copy(r.buf.B, r.buf.B[r.pos:r.end])
		r.pos = 0
	}
	r.base, r.size = 0, 0
	r.body, r.left, r.chunk, r.overhead = stream.BodyNone, 0, chunkSize, 0
	r.trailers = r.trailers[:0]
}

// fill receives more bytes behind end; the caller has made room.
func (r *Reader) fill() error {
	n, err := r.conn.Read(r.buf.B[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// limits fills in the defaults.
func (r *Reader) limits(lim *Limits) Limits {
	l := *lim
	if l.Head <= 0 {
		l.Head = DefaultHead
	}
	if l.Head > len(r.buf.B) {
		l.Head = len(r.buf.B)
	}
	if l.Fields <= 0 {
		l.Fields = DefaultFields
	}
	return l
}

// ReadRequest reads the next request head into req, receiving as needed. An *Error says how to answer the client; any other
// error is the connection's: io.EOF when it closed before the first byte, ErrTruncated when inside the head.
func (r *Reader) ReadRequest(req *stream.Request, lim *Limits) error {
	r.begin()
	l := r.limits(lim)
	for {
		if r.end > 0 {
			n, err := parseRequest(r.buf.B[:r.end], req, &l)
			if err == nil {
				if n > l.Head {
					return ErrHeadTooLong
				}
				r.line = requestLine(r.buf.B[:n])
				r.startBody(n, req.Body, req.Length)
				return nil
			}
			if err != errIncomplete {
				return err
			}
			if r.end >= l.Head {
				return tooLong(r.buf.B[:r.end])
			}
		}
		if err := r.fill(); err != nil {
			return r.headError(err)
		}
	}
}

// requestLine cuts the request line out of a head that was parsed.
func requestLine(b []byte) []byte {
	start := 0
	for b[start] == '\r' || b[start] == '\n' {
		start++
	}
	end := start + bytes.IndexByte(b[start:], '\n')
	if b[end-1] == '\r' {
		end--
	}
	return b[start:end]
}

// tooLong tells a head without end: in its first line (414) or behind it (431).
func tooLong(b []byte) error {
	for i, c := range b {
		if c == '\n' && i > 1 {
			return ErrHeadTooLong
		}
	}
	return ErrTargetTooLong
}

func (r *Reader) headError(err error) error {
	if err == io.EOF && r.end > 0 {
		return ErrTruncated
	}
	return err
}

// ReadResponse reads the next response head into res. bodyless: the request was HEAD; connect: it was CONNECT. io.EOF means
// that the connection closed before the first byte.
func (r *Reader) ReadResponse(res *stream.Response, lim *Limits, bodyless, connect bool) error {
	if r.pos >= r.end {
		if err := r.Wait(); err != nil {
			return err
		}
	}
	r.begin()
	l := r.limits(lim)
	for {
		n, h, err := parseResponse(r.buf.B[:r.end], res, &l)
		if err == nil {
			if n > l.Head {
				return ErrHeadTooLong
			}
			kind, err := h.frameResponse(res, bodyless, connect)
			if err != nil {
				return err
			}
			r.startBody(n, kind, res.Length)
			return nil
		}
		if err != errIncomplete {
			return err
		}
		if r.end >= l.Head {
			return ErrHeadTooLong
		}
		if err := r.fill(); err != nil {
			return r.headError(err)
		}
	}
}

// startBody notes that a head of n bytes was consumed and what follows it.
func (r *Reader) startBody(n int, kind stream.BodyKind, length int64) {
	r.pos, r.base, r.size = n, n, n
	r.body, r.left = kind, length
	if kind != stream.BodyLength {
		r.left = 0
	} else if length == 0 {
		r.body = stream.BodyNone
	}
}

// Done reports whether the current message was consumed to its end.
func (r *Reader) Done() bool { return r.body == stream.BodyNone }

// Trailers returns the trailer fields of the body that ended, without those that could change its meaning.
func (r *Reader) Trailers() []stream.Field { return r.trailers }

// Body returns the next piece of the body, receiving when none is there, and io.EOF after the last one. The piece is valid
// until the next call. ErrTruncated says that the connection closed before the body's end.
func (r *Reader) Body() ([]byte, error) {
	for {
		p, err := r.Ready()
		if len(p) > 0 || err != nil {
			return p, err
		}
		if r.Done() {
			return nil, io.EOF
		}
		r.room()
		if err := r.fill(); err != nil {
			if err != io.EOF {
				return nil, err
			}
			if r.body == stream.BodyClose || r.body == stream.BodyTunnel {
				r.body = stream.BodyNone
				return nil, io.EOF
			}
			return nil, ErrTruncated
		}
	}
}

// room makes some behind end, without touching the head.
func (r *Reader) room() {
	if r.pos == r.end {
		r.pos, r.end = r.base, r.base
	}
	if len(r.buf.B)-r.end >= minRoom {
		return
	}
	if r.buf == r.head && len(r.buf.B)-r.base < 2*minRoom {
		b := r.pool.Get()
		r.end = copy(b.B, r.buf.B[r.pos:r.end])
		r.buf, r.base, r.pos = b, 0, 0
		return
	}
	if r.pos > r.base {
		r.end = r.base + copy(r.buf.B[r.base:], r.buf.B[r.pos:r.end])
		r.pos = r.base
	}
}

// Ready returns the next piece of the body that is already there, nil when more bytes must be received or the body ended.
func (r *Reader) Ready() ([]byte, error) {
	switch r.body {
	case stream.BodyLength:
		p := r.take()
		if r.left == 0 {
			r.body = stream.BodyNone
		}
		return p, nil
	case stream.BodyClose, stream.BodyTunnel:
		p := r.buf.B[r.pos:r.end]
		r.pos = r.end
		return p, nil
	case stream.BodyChunked:
		return r.nextChunk()
	}
	return nil, nil
}

// take consumes up to left bytes of what was received.
func (r *Reader) take() []byte {
	n := r.end - r.pos
	if int64(n) > r.left {
		n = int(r.left)
	}
	p := r.buf.B[r.pos : r.pos+n]
	r.pos += n
	r.left -= int64(n)
	return p
}

// Whole reports whether the rest of the current body lies in the buffer, without consuming any of it. A body that is malformed
// counts as whole: reading it shows the fault.
func (r *Reader) Whole() bool {
	switch r.body {
	case stream.BodyNone:
		return true
	case stream.BodyLength:
		return int64(r.end-r.pos) >= r.left
	case stream.BodyChunked:
		whole, err := r.probe()
		return whole || err != nil
	}
	return false
}

// Malformed reports whether what is buffered of a chunked body breaks its syntax, without consuming any of it.
func (r *Reader) Malformed() bool {
	if r.body != stream.BodyChunked || r.pos == r.end {
		return false
	}
	_, err := r.probe()
	return err != nil
}

// probe walks through what is buffered of a chunked body.
func (r *Reader) probe() (whole bool, err error) {
	p := r.copy()
	for p.body != stream.BodyNone {
		piece, err := p.nextChunk()
		if err != nil || len(piece) == 0 && p.body != stream.BodyNone {
			return false, err
		}
	}
	return true, nil
}
