package rule

import (
	"bytes"

	"gatehouse/internal/stream"
)

// captureFetches read what was kept of the messages for the log (manual 7.3.6).
func captureFetches() []fetch {
	return []fetch{
		{"capture.req.hdr", takes(1, argInt), stream.KindStr, needRequest, "content of a request capture slot", bindCaptured(false)},
		{"capture.res.hdr", takes(1, argInt), stream.KindStr, needResponse, "content of a response capture slot", bindCaptured(true)},
		{"capture.req.method", noArgs, stream.KindStr, needRequest, "method of the request as it was received", receivedLine(func(line []byte) []byte { return lineWord(line, 0) })},
		{"capture.req.uri", noArgs, stream.KindStr, needRequest, "path and query of the request as it was received", receivedLine(func(line []byte) []byte {
			r := stream.Request{Target: lineWord(line, 1)}
			return r.PathQuery()
		})},
		{"capture.req.ver", noArgs, stream.KindStr, needRequest, "HTTP/1.0 or HTTP/1.1, as the request was received", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return versionName(s, s.Req.Major, s.Req.Minor)
		})},
		{"capture.res.ver", noArgs, stream.KindStr, needResponse, "HTTP/1.0 or HTTP/1.1, as the response was received", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return versionName(s, s.Res.Major, s.Res.Minor)
		})},
	}
}

func bindCaptured(response bool) func(args) (source, error) {
	return func(a args) (source, error) {
		slot := a.num(0, 0)
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			kept := s.Log.ReqCaptures
			if response {
				kept = s.Log.ResCaptures
			}
			if slot < 0 || slot >= int64(len(kept)) || kept[slot] == nil {
				return Value{}, false
			}
			return text(kept[slot]), true
		}}, nil
	}
}

// receivedLine makes the fetch of a part of the request line, which rules do not change.
func receivedLine(part func(line []byte) []byte) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		if bytes.IndexByte(s.Log.RequestLine, ' ') < 0 {
			return Value{}, false
		}
		b := part(s.Log.RequestLine)
		return text(b), b != nil
	})
}

func versionName(s *stream.Stream, major, minor int) (Value, bool) {
	switch {
	case major == 0:
		return Value{}, false
	case major == 1 && minor == 0:
		return text(s.ScratchString("HTTP/1.0")), true
	}
	return text(s.ScratchString("HTTP/1.1")), true
}

// captureConverters put a value into a slot and pass it on.
func captureConverters() []converter {
	return []converter{
		{"capture-req", takes(1, argInt), stream.KindStr, stream.KindStr, false, "kept in a request capture slot and passed on", bindCaptureConv(false)},
		{"capture-res", takes(1, argInt), stream.KindStr, stream.KindStr, false, "kept in a response capture slot and passed on", bindCaptureConv(true)},
	}
}

func bindCaptureConv(response bool) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		slot := int(a.num(0, 0))
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			if s.Slots == nil {
				return Value{}, false
			}
			n := len(s.Slots.Req)
			if response {
				n = len(s.Slots.Res)
			}
			if slot < 0 || slot >= n {
				return Value{}, false
			}
			s.Capture(response, slot, v.Bytes)
			return v, true
		}, nil
	}
}
