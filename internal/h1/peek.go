package h1

import (
	"bytes"

	"gatehouse/internal/stream"
)

// PeekRequest looks for a request head at the start of b, which it leaves as it is, without reading from anywhere. whole reports that req was
// filled; it then points into what keep returned, which must be a copy. open reports that there is none yet, but that more bytes
// could make one.
func PeekRequest(b []byte, req *stream.Request, lim *Limits, keep func([]byte) []byte) (whole, open bool) {
	l := *lim
	if l.Head <= 0 {
		l.Head = DefaultHead
	}
	if l.Fields <= 0 {
		l.Fields = DefaultFields
	}
	start := 0
	for start < len(b) && (b[start] == '\r' || b[start] == '\n') {
		start++
	}
	_, err := parseRequestLine(b, start, req, lim)
	method := len(req.Method)
	req.Reset()
	if err == ErrMethodRefused { // a request, if one that nobody will serve
		req.Method = keep(b[start : start+method])
		return true, false
	}
	if err != nil {
		return false, err == errIncomplete && len(b) < l.Head
	}
	end := headEnd(b[start:])
	if end < 0 {
		return false, len(b) < l.Head
	}
	if start+end > l.Head {
		return false, false
	}
	if _, err := parseRequest(keep(b[:start+end]), req, &l); err != nil {
		req.Reset()
		return false, false
	}
	return true, false
}

// headEnd is the length of a head with its empty line, -1 when that has not come yet.
func headEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch rest := b[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}
