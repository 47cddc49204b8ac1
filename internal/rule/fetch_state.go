package rule

import (
	"fmt"
	"strconv"

	"gatehouse/internal/stream"
)

// stateFetches tell what became of the stream so far and of the two connections it lives on (manual 7.3.2 to 7.3.4 and 7.3.6).
func stateFetches() []fetch {
	const num, str, yes = stream.KindInt, stream.KindStr, stream.KindBool
	list := []fetch{
		{"server_status", noArgs, num, needResponse, "status that the server sent", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(s.Log.ServerStatus)), s.HTTP && (s.Res.Status > 0 || !s.Log.End.IsZero())
		})},
		{"txn.status", noArgs, num, needResponse, "status that the client gets", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			n := s.Log.Status
			if n == 0 {
				n = s.Res.Status
			}
			return integer(int64(n)), n > 0
		})},

		{"last_rule_file", noArgs, str, needInternal, "file of the rule that ended the last set", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Log.RuleFile), s.Log.RuleFile != ""
		})},
		{"last_rule_line", noArgs, num, needInternal, "line of the rule that ended the last set", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(int64(s.Log.RuleLine)), s.Log.RuleFile != ""
		})},
		{"last_entity", noArgs, str, needInternal, "file and line of the rule that ended the last set", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			if s.Log.RuleFile == "" {
				return Value{}, false
			}
			b := append(append(s.Work(), s.Log.RuleFile...), ':')
			return text(s.Return(strconv.AppendInt(b, int64(s.Log.RuleLine), 10))), true
		})},
		{"waiting_entity", noArgs, str, needInternal, "what the stream waited for when it ended: http-buffer-request", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Log.Waiting), s.Log.Waiting != ""
		})},

		{"fc_http_major", noArgs, num, needClient, "major version of HTTP that the client speaks", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(1), s.HTTP && !s.Peeked
		})},
		{"bc_http_major", noArgs, num, needServerAddr, "major version of HTTP that the server is spoken to in", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return integer(1), s.HTTP && connected(s)
		})},
		{"bc_reused", noArgs, yes, needServerAddr, "the server connection has served before", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.Log.Reused), true
		})},
		{"res.comp", noArgs, yes, needResponse, "the response is being compressed", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return boolean(s.Log.Compression != ""), true
		})},
		{"res.comp_algo", noArgs, str, needResponse, "how the response is being compressed", plain(func(s *stream.Stream, _ Env) (Value, bool) {
			return textOf(s, s.Log.Compression), s.Log.Compression != ""
		})},
		{"res.cache_hit", noArgs, yes, needResHeaders | needResponse, "false: there is no cache", plain(constant(boolean(false)))},
		{"res.cache_name", noArgs, str, needResHeaders | needResponse, "nothing: there is no cache", plain(never)},
		{"ssl_fc_has_early", noArgs, yes, needTLS, "false: early data is not accepted", plain(constant(boolean(false)))},
		{"ssl_fc_early_rcvd", noArgs, yes, needTLS, "false: early data is not accepted", plain(constant(boolean(false)))},
		{"quic_enabled", noArgs, yes, needNothing, "false: there is no QUIC", plain(constant(boolean(false)))},
		{"tgroup", noArgs, num, needNothing, "1", plain(constant(integer(1)))},
	}
	// One stream at a time is what an HTTP/1 connection carries, and what it counts no glitches on.
	for _, side := range []struct {
		prefix string
		need   need
		there  func(*stream.Stream) bool
	}{{"fc_", needClient, func(s *stream.Stream) bool { return s.HTTP }}, {"bc_", needServerAddr, func(s *stream.Stream) bool { return s.HTTP && connected(s) }}} {
		for _, x := range []struct {
			name, doc string
			n         int64
		}{{"nb_streams", "streams on the connection", 1}, {"settings_streams_limit", "streams that the connection may carry", 1}, {"glitches", "oddities of the protocol on the connection", 0}} {
			there, n := side.there, x.n
			list = append(list, fetch{side.prefix + x.name, noArgs, num, side.need, x.doc, plain(func(s *stream.Stream, _ Env) (Value, bool) {
				return integer(n), there(s)
			})})
		}
	}
	return append(list, kernelFetches()...)
}

func connected(s *stream.Stream) bool { return !s.Log.Connected.IsZero() }

// kernelFetches tell what the kernel knows of a TCP connection (manual 7.3.3).
func kernelFetches() []fetch {
	var list []fetch
	for _, x := range []struct {
		name, doc string
		server    bool
		of        func(*stream.TCPInfo) int64
	}{
		{"fc_rtt", "round trip time to the client, in ms or us", false, func(t *stream.TCPInfo) int64 { return t.RTT }},
		{"fc_rttvar", "variance of the round trip time to the client, in ms or us", false, func(t *stream.TCPInfo) int64 { return t.RTTVar }},
		{"bc_rtt", "round trip time to the server, in ms or us", true, func(t *stream.TCPInfo) int64 { return t.RTT }},
		{"bc_rttvar", "variance of the round trip time to the server, in ms or us", true, func(t *stream.TCPInfo) int64 { return t.RTTVar }},
	} {
		list = append(list, fetch{x.name, takes(0, argStr), stream.KindInt, needClient, x.doc, func(a args) (source, error) {
			micro := a.str(0) == "us"
			if !micro && a.str(0) != "" && a.str(0) != "ms" {
				return source{}, fmt.Errorf("expects 'us' or 'ms', got '%s'", a.str(0))
			}
			return source{one: func(s *stream.Stream, _ Env) (Value, bool) {
				info, ok := kernelInfo(s, x.server)
				n := x.of(&info)
				if !micro {
					n = (n + 500) / 1000
				}
				return integer(n), ok
			}}, nil
		}})
	}
	for _, x := range []struct {
		name, doc string
		of        func(*stream.TCPInfo) uint32
	}{
		{"fc_unacked", "segments that the client has not acknowledged", func(t *stream.TCPInfo) uint32 { return t.Unacked }},
		{"fc_sacked", "segments that the client has acknowledged selectively", func(t *stream.TCPInfo) uint32 { return t.Sacked }},
		{"fc_retrans", "segments sent again", func(t *stream.TCPInfo) uint32 { return t.Retrans }},
		{"fc_fackets", "forward acknowledgements", func(t *stream.TCPInfo) uint32 { return t.Fackets }},
		{"fc_lost", "segments lost", func(t *stream.TCPInfo) uint32 { return t.Lost }},
		{"fc_reordering", "how far segments got out of order", func(t *stream.TCPInfo) uint32 { return t.Reordering }},
	} {
		list = append(list, fetch{x.name, takes(0, argStr), stream.KindInt, needClient, x.doc, plain(func(s *stream.Stream, _ Env) (Value, bool) {
			info, ok := kernelInfo(s, false)
			return integer(int64(x.of(&info))), ok
		})})
	}
	return list
}

func kernelInfo(s *stream.Stream, server bool) (stream.TCPInfo, bool) {
	if s.Exchange == nil {
		return stream.TCPInfo{}, false
	}
	return s.Exchange.TCPInfo(server)
}
