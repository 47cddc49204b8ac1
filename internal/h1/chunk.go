package h1

import (
	"gatehouse/internal/stream"
)

// chunkState is where a chunked body stands (RFC 9112 section 7.1):
//
//	chunkSize -> chunkData -> chunkEnd -> chunkSize ... -> chunkTrailer -> (body ends)
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailer
)

const (
	maxSizeDigits = 16        // more are refused even when they are zeros
	maxChunk      = 1<<52 - 1 // what every language counts exactly, HAProxy's limit
	maxSizeLine   = 1024      // size, extensions and line end of one chunk
	maxOverhead   = 16384     // all extensions of one body
)

// nextChunk returns the next piece of chunk data that is already there.
func (r *Reader) nextChunk() ([]byte, error) {
	for {
		b := r.buf.B[r.pos:r.end]
		switch r.chunk {
		case chunkSize:
			size, n, err := parseChunkSize(b)
			if err == errIncomplete {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			r.overhead += n
			if n <= 2+maxSizeDigits {
				r.overhead -= n
			}
			if r.overhead > maxOverhead {
				return nil, ErrChunk
			}
			r.pos += n
			r.left = size
			r.chunk = chunkData
			if size == 0 {
				r.chunk = chunkTrailer
			}
		case chunkData:
			if len(b) == 0 {
				return nil, nil
			}
			p := r.take()
			if r.left == 0 {
				r.chunk = chunkEnd
			}
			return p, nil
		case chunkEnd:
			if len(b) > 0 && b[0] != '\r' || len(b) > 1 && b[1] != '\n' {
				return nil, ErrChunk
			}
			if len(b) < 2 {
				return nil, nil
			}
			r.pos += 2
			r.chunk = chunkSize
		case chunkTrailer:
			return nil, r.parseTrailers(b)
		}
	}
}

// parseTrailers ends the body when the trailer section is complete.
func (r *Reader) parseTrailers(b []byte) error {
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		r.pos += 2
		r.body, r.chunk = stream.BodyNone, chunkSize
		return nil
	}
	var h head
	fields, n, err := parseFields(b, 0, r.trailers[:0], DefaultFields, &h, false)
	r.trailers = fields[:0]
	if err == errIncomplete {
		if len(b) >= len(r.buf.B)-2*minRoom || len(b) > DefaultHead/2 {
			return ErrTrailer
		}
		return nil
	}
	if err != nil {
		return ErrTrailer
	}
	// Fields that frame, route or authenticate a message have no business behind it (RFC 9110 section 6.5.1).
	w := 0
	for _, f := range fields {
		switch string(f.Name) {
		case "host", "trailer", "authorization", "cookie", "set-cookie", "expect", "te", "content-encoding", "content-type", "content-range":
		default:
			fields[w] = f
			w++
		}
	}
	r.trailers = fields[:w]
	r.pos += n
	r.body, r.chunk = stream.BodyNone, chunkSize
	return nil
}

// parseChunkSize parses one size line: 1*HEXDIG *WSP [ ";" extensions ] CRLF. It returns the size and the line's length.
// Extensions are dropped; one with a control character or an unclosed quote, behind which another parser might see a different
// line end, is refused.
func parseChunkSize(b []byte) (size int64, n int, err error) {
	i := 0
	for ; i < len(b); i++ {
		d := hexDigit(b[i])
		if d < 0 {
			break
		}
		size = size<<4 | int64(d)
		if i >= maxSizeDigits || size > maxChunk {
			return 0, 0, ErrChunk
		}
	}
	if i == 0 && len(b) > 0 {
		return 0, 0, ErrChunk
	}
	for i < len(b) && isSpace(b[i]) && i < maxSizeLine {
		i++
	}
	if i < len(b) && b[i] == ';' {
		if i, err = skipExtensions(b, i+1); err != nil {
			return 0, 0, err
		}
	}
	if i >= maxSizeLine {
		return 0, 0, ErrChunk
	}
	switch {
	case i >= len(b):
		return 0, 0, errIncomplete
	case b[i] != '\r':
		return 0, 0, ErrChunk
	case i+1 >= len(b):
		return 0, 0, errIncomplete
	case b[i+1] != '\n':
		return 0, 0, ErrChunk
	}
	return size, i + 2, nil
}

// skipExtensions returns the position of the control character that ends the extensions, or len(b).
func skipExtensions(b []byte, i int) (int, error) {
	quoted, escaped := false, false
	for ; i < len(b) && i < maxSizeLine; i++ {
		c := b[i]
		if c < 0x20 && c != '\t' || c == 0x7f {
			break
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			if !quoted {
				return 0, ErrChunk
			}
			escaped = true
		case c == '"':
			quoted = !quoted
		}
	}
	if i < len(b) && (quoted || escaped) {
		return 0, ErrChunk
	}
	return i, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
