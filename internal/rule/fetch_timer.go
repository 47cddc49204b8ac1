package rule

import (
	"net/netip"
	"time"

	"gatehouse/internal/stream"
)

// timerFetches are dates, spans and outcomes of the stream: what the log's aliases tell, as samples (manual 7.3.2 to 7.3.6).
func timerFetches() []fetch {
	const num, str, addr = stream.KindInt, stream.KindStr, stream.KindAddr
	list := []fetch{
		{"accept_date", takes(0, argStr), num, needClient, "when the connection was accepted, in s, ms or us", bindDateOf(func(s *stream.Stream) time.Time { return s.Conn.Accepted })},
		{"request_date", takes(0, argStr), num, needRequest, "when the request began, in s, ms or us", bindDateOf(requestDate)},
		{"date_us", noArgs, num, needNothing, "microseconds of the running second", plain(func(_ *stream.Stream, env Env) (Value, bool) {
			return integer(int64(now(env).Nanosecond() / 1000)), true
		})},
		{"proc", noArgs, num, needNothing, "1", plain(constant(integer(1)))},
		{"thread", noArgs, num, needNothing, "0: which thread runs is not known", plain(constant(integer(0)))},

		{"txn.conn_retries", noArgs, num, needServerAddr, "attempts to connect that were repeated", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(s.Log.Retries)), s.Backend != ""
		})},
		{"txn.redispatched", noArgs, stream.KindBool, needServerAddr, "sent to another server after a failure", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.Log.Redispatched), s.Backend != ""
		})},
		{"txn.id32", noArgs, num, needInternal, "number of the connection and request, 32 bits", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(uint32(s.Conn.ID)<<8 ^ uint32(s.Conn.Requests))), true
		})},
		{"txn.sess_term_state", noArgs, str, needInternal, "termination state", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return text(s.Scratch(s.Log.Term[:])), true
		})},
		{"bc_srv_queue", noArgs, num, needServerAddr, "place in the server's queue", plain(func(s *stream.Stream, _ Env) (Value, bool) { return integer(int64(s.Log.SrvQueue)), true })},
		{"bc_be_queue", noArgs, num, needServerAddr, "place in the backend's queue", plain(func(s *stream.Stream, _ Env) (Value, bool) { return integer(int64(s.Log.BckQueue)), true })},
	}
	for _, x := range []struct {
		name string
		need need
		doc  string
		of   func(*stream.Stream) int64
	}{
		{"bc.timer.connect", needServerAddr, "milliseconds of connecting to the server", func(s *stream.Stream) int64 { return between(s.Log.Queued, s.Log.Connected) }},
		{"fc.timer.handshake", needClient, "milliseconds of handshakes", func(s *stream.Stream) int64 { return millis(handshake(s)) }},
		{"fc.timer.total", needEnd, "milliseconds of all", timeTotal},
		{"req.timer.idle", needRequest, "milliseconds before the request", func(s *stream.Stream) int64 { return millis(s.Log.Idle) }},
		{"req.timer.hdr", needRequest, "milliseconds of receiving the request head", func(s *stream.Stream) int64 { return between(s.Log.Start, s.Log.ReqDone) }},
		{"req.timer.tq", needRequest, "milliseconds up to the complete request head", timeToRequest},
		{"req.timer.queue", needServerAddr, "milliseconds in queues", timeWaiting},
		{"res.timer.hdr", needResponse, "milliseconds of waiting for the response head", func(s *stream.Stream) int64 { return between(s.Log.Connected, s.Log.ResHead) }},
		{"res.timer.data", needEnd, "milliseconds of transferring data", timeData},
		{"txn.timer.total", needEnd, "milliseconds of the active request", func(s *stream.Stream) int64 { return between(s.Log.Start, s.Log.End) }},
		{"txn.timer.user", needEnd, "milliseconds that the user felt", func(s *stream.Stream) int64 { return timeTotal(s) - millis(s.Log.Idle) }},
	} {
		of := x.of
		list = append(list, fetch{x.name, noArgs, num, x.need, x.doc, plain(func(s *stream.Stream, _ Env) (Value, bool) {
			n := of(s)
			return integer(n), n >= 0
		})})
	}
	for _, x := range []struct {
		name string
		doc  string
		of   func(*stream.Stream) netip.AddrPort
	}{
		{"bc_src", "our address towards the server", func(s *stream.Stream) netip.AddrPort { return s.Log.SrvSrc }},
		{"bc_dst", "server's address", func(s *stream.Stream) netip.AddrPort { return s.Log.SrvDst }},
	} {
		list = append(list, fetch{x.name, noArgs, addr, needServerAddr, x.doc, plain(addrOf(x.of))},
			fetch{x.name + "_port", noArgs, num, needServerAddr, x.doc + ": port", plain(portOf(x.of))})
	}
	for _, x := range []struct{ name, doc string }{{"bytes_in", "bytes from the client"}, {"req.bytes_in", "bytes from the client"}, {"req.bytes_out", "bytes to the server"}} {
		list = append(list, fetch{x.name, noArgs, num, needEnd, x.doc, plain(func(s *stream.Stream, _ Env) (Value, bool) { return integer(s.Log.BytesIn), true })})
	}
	for _, x := range []struct{ name, doc string }{{"bytes_out", "bytes to the client"}, {"res.bytes_in", "bytes from the server"}, {"res.bytes_out", "bytes to the client"}} {
		list = append(list, fetch{x.name, noArgs, num, needEnd, x.doc, plain(func(s *stream.Stream, _ Env) (Value, bool) { return integer(s.Log.BytesOut), true })})
	}
	return list
}

func bindDateOf(of func(*stream.Stream) time.Time) func(args) (source, error) {
	return func(a args) (source, error) {
		div, ok := timeUnits[a.str(0)]
		if !ok {
			return source{}, errTimeUnit(a.str(0))
		}
		return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(of(s).UnixMicro() / div), true
		}}, nil
	}
}
