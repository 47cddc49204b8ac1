package rule

import (
	"bytes"
	"iter"
	"strconv"

	"gatehouse/internal/stream"
)

// message says whose fields are meant.
type message uint8

const (
	ofRequest message = iota
	ofResponse
	ofEither // the response once there is one, as "hdr" does
)

// header finds the values of one field name.
type header struct {
	name string // lower case; "" is any
	of   message
	full bool // whole lines instead of comma-separated values
}

func (h header) response(s *stream.Stream) bool {
	return h.of == ofResponse || h.of == ofEither && s.Res.Status != 0
}

// next returns the value at the cursor and where the following one starts.
func (h header) next(s *stream.Stream, at cursor) ([]byte, cursor, bool) {
	fields := s.Req.Fields
	if h.response(s) {
		fields = s.Res.Fields
	}
	for ; at.field < len(fields); at = (cursor{at.field + 1, 0}) {
		if f := &fields[at.field]; h.name == "" || string(f.Name) == h.name {
			return h.value(f.Value, at)
		}
	}
	if at.field > len(fields) || at.field == len(fields) && at.offset > 0 {
		return nil, at, false
	}
	if h.name == "" {
		return nil, at, false
	}
	v := h.framing(s)
	return v, cursor{len(fields) + 1, 0}, v != nil
}

func (h header) body(s *stream.Stream) stream.BodyKind {
	if h.response(s) {
		return s.Res.Body
	}
	return s.Req.Body
}

// value cuts the comma-separated value at the cursor out of a line.
func (h header) value(line []byte, at cursor) ([]byte, cursor, bool) {
	next := cursor{at.field + 1, 0}
	if h.full {
		return bytes.Trim(line, " \t"), next, true
	}
	rest := line[at.offset:]
	end := valueEnd(rest)
	if end < len(rest) {
		next = cursor{at.field, at.offset + end + 1}
	}
	return bytes.Trim(rest[:end], " \t"), next, true
}

// valueEnd returns the index of the comma that ends the first value; commas within quotes do not.
func valueEnd(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(b)
}

// framing answers for the fields that the codec turned into facts of the message.
func (h header) framing(s *stream.Stream) []byte {
	body, length, upgrade := s.Req.Body, s.Req.Length, s.Req.Upgrade
	if h.response(s) {
		body, length, upgrade = s.Res.Body, s.Res.Length, s.Res.Upgrade
	}
	switch h.name {
	case "content-length":
		if body == stream.BodyLength {
			var room [20]byte
			return s.Scratch(strconv.AppendInt(room[:0], length, 10))
		}
	case "transfer-encoding":
		if body == stream.BodyChunked {
			return s.ScratchString("chunked")
		}
	case "upgrade":
		return upgrade
	case "connection":
		if upgrade != nil {
			return s.ScratchString("upgrade")
		}
	}
	return nil
}

// allLines are the lines of a head, with the one that delimits the body in the place where it came.
func allLines(s *stream.Stream, response bool) iter.Seq[stream.Field] {
	fields, at, body := s.Req.Fields, s.Req.LengthAt, s.Req.Body
	h := header{of: ofRequest}
	if response {
		fields, at, body = s.Res.Fields, s.Res.LengthAt, s.Res.Body
		h.of = ofResponse
	}
	return func(yield func(stream.Field) bool) {
		for i := range len(fields) + 1 {
			if i == min(at, len(fields)) {
				h.name = framingNames[body]
				if v := h.framing(s); v != nil && !yield(stream.Field{Name: []byte(h.name), Value: v}) {
					return
				}
			}
			if i < len(fields) && !yield(fields[i]) {
				return
			}
		}
	}
}

var framingNames = map[stream.BodyKind]string{stream.BodyLength: "content-length", stream.BodyChunked: "transfer-encoding"}

// count returns how many values there are; every field counts when the name is empty.
func (h header) count(s *stream.Stream) int {
	n := 0
	if h.name == "" && framingNames[h.body(s)] != "" {
		n++
	}
	for at := (cursor{}); ; n++ {
		_, next, ok := h.next(s, at)
		if !ok {
			return n
		}
		at = next
	}
}

// occurrence returns the n-th value, counted from 1 at the front or from -1 at the end.
func (h header) occurrence(s *stream.Stream, n int) ([]byte, bool) {
	if n < 0 {
		if n += h.count(s) + 1; n <= 0 {
			return nil, false
		}
	}
	at := cursor{}
	for {
		v, next, ok := h.next(s, at)
		if !ok {
			return nil, false
		}
		if n--; n == 0 {
			return v, true
		}
		at = next
	}
}
