package rule

import (
	"time"

	"gatehouse/internal/stream"
)

// bodyFetches read what was received of a body: all of it after wait-for-body or option http-buffer-request (manual 7.3.6).
func bodyFetches() []fetch {
	return []fetch{
		{"req.body", noArgs, stream.KindBin, needReqHeaders, "body of the request, as far as it was received", bodyFetch(false, func(b []byte, _ int64) Value { return binval(b) })},
		{"req.body_len", noArgs, stream.KindInt, needReqHeaders, "bytes of the request's body that were received", bodyFetch(false, func(b []byte, _ int64) Value { return integer(int64(len(b))) })},
		{"req.body_size", noArgs, stream.KindInt, needReqHeaders, "bytes of the request's body as announced", bodyFetch(false, func(_ []byte, n int64) Value { return integer(n) })},
		{"req.body_param", takes(0, argStr, argStr), stream.KindBin, needReqHeaders, "parameter of a body like a query string; i for any case", bindBodyParam},
		{"res.body", noArgs, stream.KindBin, needResHeaders, "body of the response, as far as it was received", bodyFetch(true, func(b []byte, _ int64) Value { return binval(b) })},
		{"res.body_len", noArgs, stream.KindInt, needResHeaders, "bytes of the response's body that were received", bodyFetch(true, func(b []byte, _ int64) Value { return integer(int64(len(b))) })},
		{"res.body_size", noArgs, stream.KindInt, needResHeaders, "bytes of the response's body as announced", bodyFetch(true, func(_ []byte, n int64) Value { return integer(n) })},
	}
}

// maxBody is how much of a body one sample may hold, as HAProxy's buffer does.
const maxBody = maxValue

func bodyOf(s *stream.Stream, response bool) ([]byte, int64, bool) {
	if s.Exchange == nil || !s.HTTP || response && s.Res.Status == 0 {
		return nil, 0, false
	}
	b, n := s.Exchange.Body(response)
	return b[:min(len(b), maxBody)], n, true
}

func bodyFetch(response bool, value func(b []byte, size int64) Value) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		b, n, ok := bodyOf(s, response)
		return value(b, n), ok
	})
}

func bindBodyParam(a args) (source, error) {
	p := param{name: a.str(0), delim: '&', fold: a.str(1) != "" && a.str(1)[0] == 'i'}
	next := func(s *stream.Stream, at cursor) (Value, cursor, bool) {
		b, _, ok := bodyOf(s, false)
		if !ok {
			return Value{}, at, false
		}
		v, at, ok := p.from(b, at.offset)
		return binval(v), at, ok
	}
	return source{
		one: func(s *stream.Stream, _ Env) (Value, bool) {
			v, _, ok := next(s, cursor{})
			return v, ok
		},
		each: func(s *stream.Stream, _ Env, at cursor) (Value, cursor, bool) { return next(s, at) },
	}, nil
}

// timeoutFetches tell the timeouts in milliseconds: those of the sections, and those in force for the stream (manual 7.3.2).
func timeoutFetches() []fetch {
	var list []fetch
	add := func(name string, t stream.Timeout, backend bool, doc string) {
		side, need := "fe", needFrontend
		if backend {
			side, need = "be", needBackend
		}
		if name == "tarpit" && backend {
			list = append(list, fetch{"cur_tarpit_timeout", noArgs, stream.KindInt, needFrontend | needBackend, "timeout tarpit in force", timeoutFetch(t, false, true)})
		} else if name != "tarpit" {
			list = append(list, fetch{"cur_" + name + "_timeout", noArgs, stream.KindInt, need, doc + " in force", timeoutFetch(t, backend, true)})
		}
		list = append(list, fetch{side + "_" + name + "_timeout", noArgs, stream.KindInt, need, doc + " of the " + map[bool]string{false: "frontend", true: "backend"}[backend], timeoutFetch(t, backend, false)})
	}
	add("client", stream.TimeoutClient, false, "timeout client")
	add("tarpit", stream.TimeoutTarpit, false, "timeout tarpit")
	for name, t := range map[string]stream.Timeout{"connect": stream.TimeoutConnect, "queue": stream.TimeoutQueue, "server": stream.TimeoutServer,
		"tarpit": stream.TimeoutTarpit, "tunnel": stream.TimeoutTunnel} {
		add(name, t, true, "timeout "+name)
	}
	return list
}

func timeoutFetch(t stream.Timeout, backend, current bool) func(args) (source, error) {
	return plain(func(s *stream.Stream, _ Env) (Value, bool) {
		if s.Exchange == nil {
			return Value{}, false
		}
		d, ok := s.Exchange.Timeout(backend, t)
		if current {
			d = s.Limits.Timeout(t, d)
		}
		return integer(int64(d / time.Millisecond)), ok
	})
}
