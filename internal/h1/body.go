package h1

import "gatehouse/internal/stream"

// Peek returns what was received of the current body, without its framing and without consuming it. One piece is returned where it
// lies, valid until the reader is used again; chunks are appended to dst.
func (r *Reader) Peek(dst []byte) []byte {
	switch r.body {
	case stream.BodyNone:
		return nil
	case stream.BodyChunked:
		return r.peekChunks(dst)
	case stream.BodyLength:
		return r.buf.B[r.pos:min(r.end, r.pos+int(min(r.left, int64(len(r.buf.B)))))]
	}
	return r.buf.B[r.pos:r.end]
}

// Chunked reports whether the current body comes in chunks.
func (r *Reader) Chunked() bool { return r.body == stream.BodyChunked }

// BodyReceived returns how long Peek's answer is.
func (r *Reader) BodyReceived() int {
	if r.body != stream.BodyChunked {
		return len(r.Peek(nil))
	}
	n := 0
	p := r.copy()
	for p.body != stream.BodyNone {
		piece, err := p.nextChunk()
		if err != nil || len(piece) == 0 && p.body != stream.BodyNone {
			break
		}
		n += len(piece)
	}
	return n
}

func (r *Reader) peekChunks(dst []byte) []byte {
	p := r.copy()
	for p.body != stream.BodyNone {
		piece, err := p.nextChunk()
		if err != nil || len(piece) == 0 && p.body != stream.BodyNone {
			break
		}
		dst = append(dst, piece...)
	}
	return dst
}

// copy makes a reader that walks through what is buffered and leaves r where it is.
func (r *Reader) copy() Reader {
	return Reader{buf: r.buf, pos: r.pos, end: r.end, body: r.body, left: r.left, chunk: r.chunk, overhead: r.overhead}
}

// HeadSize returns how many bytes the current head took.
func (r *Reader) HeadSize() int { return r.size }
