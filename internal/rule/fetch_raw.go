package rule

import (
	"fmt"
	"strconv"

	"gatehouse/internal/stream"
)

// rawFetches look at bytes that have arrived and were not passed on (manual 7.3.5). A value that more bytes could change sets
// Stream.Missing, upon which a tcp content rule waits.
func rawFetches() []fetch {
	wait := fetch{"wait_end", noArgs, stream.KindBool, needInternal, "true once no more bytes are waited for", plain(func(s *stream.Stream, _ Env) (Value, bool) {
		s.Missing = s.Waiting
		return boolean(true), !s.Waiting
	})}
	return join([]fetch{wait},
		alias(length("req.len", requestBytes, needReqBuffer), "req_len"),
		[]fetch{length("res.len", responseBytes, needResBuffer)},
		[]fetch{
			payload("req.payload", requestBytes, needReqBuffer), payload("res.payload", responseBytes, needResBuffer),
			payload("payload", eitherBytes, needReqBuffer|needResBuffer),
			payloadLV("req.payload_lv", requestBytes, needReqBuffer), payloadLV("res.payload_lv", responseBytes, needResBuffer),
			payloadLV("payload_lv", eitherBytes, needReqBuffer|needResBuffer),
		},
		alias(fetch{"req.rdp_cookie", takes(0, argStr), stream.KindStr, needReqBuffer, "value of an RDP cookie: the named one, else the first", bindRDPCookie}, "rdp_cookie"),
		alias(fetch{"req.rdp_cookie_cnt", takes(0, argStr), stream.KindInt, needReqBuffer, "whether there is an RDP cookie", bindRDPCount}, "rdp_cookie_cnt"),
		[]fetch{{"internal.strm.is_htx", noArgs, stream.KindBool, needInternal, "the stream is an HTTP one", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.HTTP && !s.Peeked), true
		})}},
	)
}

// rawBytes is one direction's bytes; more tells that others may follow. ok is false in mode http, where there are messages instead.
type rawBytes func(s *stream.Stream) (b []byte, ok bool)

func requestBytes(s *stream.Stream) ([]byte, bool)  { return s.ReqData, !s.HTTP || s.Peeked }
func responseBytes(s *stream.Stream) ([]byte, bool) { return s.ResData, !s.HTTP || s.Peeked }

// eitherBytes are those of the direction that rules look at now.
func eitherBytes(s *stream.Stream) ([]byte, bool) {
	if s.ResData != nil {
		return responseBytes(s)
	}
	return requestBytes(s)
}

// wanting notes that the value is not there yet, or is not the last word.
func wanting(s *stream.Stream) (Value, bool) {
	s.Missing = s.Waiting
	return Value{}, false
}

func length(name string, of rawBytes, n need) fetch {
	return fetch{name, noArgs, stream.KindInt, n, "bytes that have arrived and were not passed on", plain(func(s *stream.Stream, _ Env) (Value, bool) {
		b, _ := of(s)
		s.Missing = s.Waiting
		return integer(int64(len(b))), true
	})}
}

// maxPayload is the largest piece that can ever be there, as a buffer bounds it.
const maxPayload = maxValue

func payload(name string, of rawBytes, n need) fetch {
	return fetch{name, takes(2, argInt, argInt), stream.KindBin, n, "bytes at an offset; length 0: all that are there", func(a args) (source, error) {
		from, size := a.num(0, 0), a.num(1, 0)
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			b, ok := of(s)
			switch {
			case !ok || from < 0 || size < 0 || from > maxPayload || size > maxPayload-from:
				return Value{}, false
			case int64(len(b)) < from+size:
				return wanting(s)
			case size > 0:
				return binval(b[from : from+size]), true
			}
			s.Missing = s.Waiting
			return binval(b[from:]), true
		}}, nil
	}}
}

// payloadLV reads a piece whose length stands before it: offset and width of the length, and where the piece begins: right behind, at an
// offset, or, with a sign, so far from behind.
func payloadLV(name string, of rawBytes, n need) fetch {
	return fetch{name, takes(2, argInt, argInt, argStr), stream.KindBin, n, "bytes whose length stands before them", func(a args) (source, error) {
		at, width := a.num(0, 0), a.num(1, 0)
		switch {
		case at < 0:
			return source{}, fmt.Errorf("payload offset1 must be positive")
		case width <= 0:
			return source{}, fmt.Errorf("payload length must be > 0")
		}
		from := at + width
		if word := a.str(2); word != "" {
			off, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return source{}, fmt.Errorf("payload offset2 is not a number")
			}
			if at+width+off < 0 {
				return source{}, fmt.Errorf("payload offset2 too negative")
			}
			if word[0] == '+' || word[0] == '-' {
				from += off
			} else {
				from = off
			}
		}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			b, ok := of(s)
			switch {
			case !ok || at > maxPayload || width > maxPayload-at || from > maxPayload:
				return Value{}, false
			case int64(len(b)) < at+width:
				return wanting(s)
			}
			size := int64(0)
			for _, c := range b[at : at+width] {
				if size = size<<8 | int64(c); size > maxPayload {
					return Value{}, false
				}
			}
			switch {
			case size == 0 || size > maxPayload-from:
				return Value{}, false
			case int64(len(b)) < from+size:
				return wanting(s)
			}
			return binval(b[from : from+size]), true
		}}, nil
	}}
}

func bindRDPCookie(a args) (source, error) {
	name := a.str(0)
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		v, ok := rdpCookie(s, name)
		switch ok {
		case foundPart:
			return wanting(s)
		case foundNot:
			return Value{}, false
		}
		return text(v), true
	}}, nil
}

func bindRDPCount(a args) (source, error) {
	name := a.str(0)
	return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
		switch _, ok := rdpCookie(s, name); ok {
		case foundPart:
			return wanting(s)
		case foundWhole:
			return integer(1), true
		}
		return integer(0), true
	}}, nil
}

// rdpCookie finds the cookie of an RDP connection request: behind the 11 bytes of TPKT and X.224 headers stands the line
// "Cookie: NAME=VALUE" (MS-RDPBCGR section 2.2.1.1).
func rdpCookie(s *stream.Stream, name string) ([]byte, found) {
	const head, word = 11, "cookie:"
	b, ok := requestBytes(s)
	switch {
	case !ok:
		return nil, foundNot
	case len(b) <= head+len(word):
		return nil, foundPart
	case !foldEqual(b[head:head+len(word)], word):
		return nil, foundNot
	}
	b = b[head+len(word):]
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	eq := 0
	for eq < len(b) && b[eq] != '=' && b[eq] != '\r' && b[eq] != '\n' {
		eq++
	}
	switch {
	case eq == len(b):
		return nil, foundPart
	case b[eq] != '=' || name != "" && !foldEqual(b[:eq], name):
		return nil, foundNot
	}
	b = b[eq+1:]
	for i, c := range b {
		if c != '\r' {
			continue
		}
		switch {
		case i+1 == len(b):
			return nil, foundPart
		case b[i+1] != '\n':
			return nil, foundNot
		}
		return b[:i], foundWhole
	}
	return nil, foundPart
}
