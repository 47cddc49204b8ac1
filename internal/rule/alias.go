package rule

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"gatehouse/internal/stream"
)

// formatAlias is one %NAME: an entry of the table.
type formatAlias struct {
	name string
	http bool // mode http only
	doc  string
	bind func(c *Compiler, o options) appender
}

type appender = func(dst []byte, s *stream.Stream, env Env) []byte

// formatAliases is the table of all aliases by name.
var formatAliases = index(func(a *formatAlias) string { return a.name }, []formatAlias{
	{"ci", false, "client's address", addrAlias(srcOf)},
	{"cp", false, "client's port", portAlias(srcOf)},
	{"fi", false, "address the client connected to", addrAlias(dstOf)},
	{"fp", false, "port the client connected to", portAlias(dstOf)},
	{"bi", false, "our address towards the server", addrAlias(func(s *stream.Stream) netip.AddrPort { return s.Log.SrvSrc })},
	{"bp", false, "our port towards the server", portAlias(func(s *stream.Stream) netip.AddrPort { return s.Log.SrvSrc })},
	{"si", false, "server's address", addrAlias(func(s *stream.Stream) netip.AddrPort { return s.Log.SrvDst })},
	{"sp", false, "server's port", portAlias(func(s *stream.Stream) netip.AddrPort { return s.Log.SrvDst })},

	{"t", false, "date of the accept", dateAlias(acceptDate, stream.LogDate, false)},
	{"T", false, "date of the accept, GMT", dateAlias(acceptDate, dateZone, true)},
	{"Tl", false, "date of the accept, local", dateAlias(acceptDate, dateZone, false)},
	{"tr", true, "date of the request's start", dateAlias(requestDate, stream.LogDate, false)},
	{"trg", true, "date of the request's start, GMT", dateAlias(requestDate, dateZone, true)},
	{"trl", true, "date of the request's start, local", dateAlias(requestDate, dateZone, false)},
	{"Ts", false, "seconds since 1970 of the accept", numberAlias(4, func(s *stream.Stream) int64 { return acceptDate(s).Unix() })},
	{"ms", false, "milliseconds of the accept", millisAlias},

	{"Th", false, "handshakes", spanAlias(func(s *stream.Stream) int64 { return millis(handshake(s)) })},
	{"Ti", true, "idle before the request", spanAlias(func(s *stream.Stream) int64 { return millis(s.Log.Idle) })},
	{"TR", true, "receiving the request head", spanAlias(func(s *stream.Stream) int64 { return between(s.Log.Start, s.Log.ReqDone) })},
	{"Tq", true, "handshakes, idle and receiving", spanAlias(timeToRequest)},
	{"Tw", false, "waiting in queues", spanAlias(timeWaiting)},
	{"Tc", false, "connecting to the server", spanAlias(func(s *stream.Stream) int64 { return between(s.Log.Queued, s.Log.Connected) })},
	{"Tr", true, "waiting for the response head", spanAlias(func(s *stream.Stream) int64 { return between(s.Log.Connected, s.Log.ResHead) })},
	{"Td", false, "transferring data", spanAlias(timeData)},
	{"Ta", true, "request active: all but handshakes and idle", totalAlias(func(s *stream.Stream) int64 { return between(s.Log.Start, s.Log.End) })},
	{"Tt", false, "all", totalAlias(timeTotal)},
	{"Tu", false, "as the user felt it: all but idle", totalAlias(func(s *stream.Stream) int64 { return timeTotal(s) - millis(s.Log.Idle) })},

	{"f", false, "frontend", textAlias(func(s *stream.Stream) string { return s.Frontend })},
	{"ft", false, "frontend, with ~ behind it for TLS", frontendAlias},
	{"b", false, "backend", textAlias(backendName)},
	{"s", false, "server", textAlias(serverName)},
	{"sslv", false, "TLS version", tlsAlias(tlsVersion)},
	{"sslc", false, "TLS cipher", tlsAlias(tlsCipher)},
	{"H", false, "name of this machine", func(c *Compiler, o options) appender {
		name := []byte(c.Hostname)
		return func(dst []byte, _ *stream.Stream, _ Env) []byte { return appendText(dst, name, o) }
	}},
	{"pid", false, "number of this process", func(c *Compiler, o options) appender {
		return numberAlias(4, func(*stream.Stream) int64 { return int64(c.Pid) })(c, o)
	}},
	{"OG", false, "where the line was written", textAlias(logOrigin)},
	{"ID", false, "unique-id", bytesAlias(func(s *stream.Stream) []byte {
		id, _ := s.UniqueID()
		return id
	})},

	{"ST", false, "status", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.Status) })},
	{"B", false, "bytes to the client", totalAlias(func(s *stream.Stream) int64 { return s.Log.BytesOut })},
	{"U", false, "bytes from the client", spanAlias(func(s *stream.Stream) int64 { return s.Log.BytesIn })},
	{"ts", false, "termination state", termAlias(false)},
	{"tsc", false, "termination state with cookies", termAlias(true)},
	{"ac", false, "connections of the process", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.ActConn) })},
	{"fc", false, "connections of the frontend", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.FeConn) })},
	{"bc", false, "connections of the backend", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.BeConn) })},
	{"sc", false, "connections of the server", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.SrvConn) })},
	{"rc", false, "retries, with + in front when redispatched", retriesAlias},
	{"sq", false, "place in the server's queue", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.SrvQueue) })},
	{"bq", false, "place in the backend's queue", spanAlias(func(s *stream.Stream) int64 { return int64(s.Log.BckQueue) })},
	{"rt", false, "request counter", numberAlias(4, func(s *stream.Stream) int64 { return int64(s.Log.RequestCount) })},
	{"lc", false, "log line counter", numberAlias(4, func(s *stream.Stream) int64 { return int64(s.Log.LogCount) })},

	{"CC", true, "captured request cookie", bytesAlias(func(s *stream.Stream) []byte { return s.Log.ClientCookie })},
	{"CS", true, "captured response cookie", bytesAlias(func(s *stream.Stream) []byte { return s.Log.ServerCookie })},
	{"hr", false, "captured request headers", captureAlias(true, false)},
	{"hrl", false, "captured request headers as a list", captureAlias(true, true)},
	{"hs", false, "captured response headers", captureAlias(false, false)},
	{"hsl", false, "captured response headers as a list", captureAlias(false, true)},
	{"r", true, "request line", lineAlias(func(line []byte) []byte { return line })},
	{"HM", true, "request method", lineAlias(func(line []byte) []byte { return lineWord(line, 0) })},
	{"HU", true, "request target", lineAlias(func(line []byte) []byte { return lineWord(line, 1) })},
	{"HP", true, "request target up to the query", lineAlias(func(line []byte) []byte { return beforeQuery(lineWord(line, 1)) })},
	{"HPO", true, "request path", lineAlias(linePath)},
	{"HQ", true, "query with its ?", queryAlias},
	{"HV", true, "HTTP version", lineAlias(func(line []byte) []byte { return lineWord(line, 2) })},
})

// dateZone is the layout of the dates that name their zone.
const dateZone = "02/Jan/2006:15:04:05 -0700"

func addrAlias(of func(*stream.Stream) netip.AddrPort) func(*Compiler, options) appender {
	return func(_ *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			a := of(s).Addr().Unmap()
			if s.Conn.SrcUnix && !a.IsValid() {
				return append(dst, "unix"...)
			}
			if o.hex && a.IsValid() {
				return appendHexAddr(dst, a)
			}
			var room [64]byte
			return appendText(dst, appendAddr(room[:0], a), o)
		}
	}
}

func appendHexAddr(dst []byte, a netip.Addr) []byte {
	b := a.As16()
	octets := b[:]
	if a.Is4() {
		octets = b[12:]
	}
	for _, c := range octets {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

func portAlias(of func(*stream.Stream) netip.AddrPort) func(*Compiler, options) appender {
	return func(_ *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			a := of(s)
			switch {
			case !a.IsValid() && s.Conn.SrcUnix:
				return strconv.AppendInt(dst, int64(s.Conn.BindID), 10)
			case !a.IsValid():
				return appendText(dst, nil, o)
			case o.hex:
				return appendHex(dst, int64(a.Port()), 4)
			}
			return strconv.AppendInt(dst, int64(a.Port()), 10)
		}
	}
}

// appendHex writes n with at least width digits.
func appendHex(dst []byte, n int64, width int) []byte {
	digits := 1
	for v := uint64(n) >> 4; v != 0; v >>= 4 {
		digits++
	}
	for i := max(digits, width) - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[uint64(n)>>(4*i)&15])
	}
	return dst
}

// handshake is the time of the handshakes, which only the first request of a connection had to wait for.
func handshake(s *stream.Stream) time.Duration {
	if s.Conn.Requests > 1 {
		return 0
	}
	return s.Conn.Handshake
}

// acceptDate is when the connection was accepted, or for a later request when the one before it ended.
func acceptDate(s *stream.Stream) time.Time {
	if s.HTTP && !s.Log.Start.IsZero() {
		return s.Log.Start.Add(-s.Log.Idle - handshake(s))
	}
	return s.Conn.Accepted
}

func requestDate(s *stream.Stream) time.Time {
	if s.Log.Start.IsZero() {
		return s.Conn.Accepted
	}
	return s.Log.Start
}

func dateAlias(of func(*stream.Stream) time.Time, layout string, utc bool) func(*Compiler, options) appender {
	return func(*Compiler, options) appender {
		d := stream.NewDate(layout, utc)
		return func(dst []byte, s *stream.Stream, _ Env) []byte { return d.Append(dst, of(s)) }
	}
}

func millisAlias(_ *Compiler, o options) appender {
	return func(dst []byte, s *stream.Stream, _ Env) []byte {
		n := int64(acceptDate(s).Nanosecond()) / 1e6
		if o.hex {
			return appendHex(dst, n, 2)
		}
		for w := int64(100); w > n && w > 1; w /= 10 {
			dst = append(dst, '0')
		}
		return strconv.AppendInt(dst, n, 10)
	}
}

func millis(d time.Duration) int64 { return d.Milliseconds() }

// between is the span from one event to a later one, -1 when that has not come.
func between(from, to time.Time) int64 {
	if to.IsZero() || from.IsZero() {
		return -1
	}
	return millis(to.Sub(from))
}

func timeToRequest(s *stream.Stream) int64 {
	n := between(s.Log.Start, s.Log.ReqDone)
	if n < 0 {
		return n
	}
	return n + millis(handshake(s)+s.Log.Idle)
}

func timeWaiting(s *stream.Stream) int64 {
	if s.Log.ReqDone.IsZero() {
		return between(s.Log.Start, s.Log.Queued)
	}
	return between(s.Log.ReqDone, s.Log.Queued)
}

func timeData(s *stream.Stream) int64 {
	if s.HTTP {
		return between(s.Log.ResHead, s.Log.End)
	}
	return between(s.Log.Connected, s.Log.End)
}

// timeTotal runs from the accept, or the end of the request before.
func timeTotal(s *stream.Stream) int64 {
	n := between(s.Log.Start, s.Log.End)
	if n >= 0 && s.HTTP {
		n += millis(handshake(s) + s.Log.Idle)
	}
	return n
}

func spanAlias(of func(*stream.Stream) int64) func(*Compiler, options) appender {
	return func(*Compiler, options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte { return strconv.AppendInt(dst, of(s), 10) }
	}
}

// totalAlias puts a "+" before a number that may still grow.
func totalAlias(of func(*stream.Stream) int64) func(*Compiler, options) appender {
	return func(*Compiler, options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			if s.Log.Early || s.Log.Partial {
				dst = append(dst, '+')
			}
			return strconv.AppendInt(dst, of(s), 10)
		}
	}
}

// numberAlias writes a number, or with +X at least width hexadecimal digits.
func numberAlias(width int, of func(*stream.Stream) int64) func(*Compiler, options) appender {
	return func(_ *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			if o.hex {
				return appendHex(dst, of(s), width)
			}
			return strconv.AppendInt(dst, of(s), 10)
		}
	}
}

func textAlias(of func(*stream.Stream) string) func(*Compiler, options) appender {
	return bytesAlias(func(s *stream.Stream) []byte { return s.ScratchString(of(s)) })
}

func bytesAlias(of func(*stream.Stream) []byte) func(*Compiler, options) appender {
	return func(_ *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte { return appendText(dst, of(s), o) }
	}
}

// logOrigin is the step at which the line is written (manual 8.2.6).
func logOrigin(s *stream.Stream) string {
	switch {
	case s.Log.Origin != "":
		return s.Log.Origin
	case s.Log.Early && s.HTTP:
		return "txn_response"
	case s.Log.Early:
		return "txn_connect"
	}
	return "txn_close"
}

func tlsAlias(of func(*stream.TLS) string) func(*Compiler, options) appender {
	return textAlias(func(s *stream.Stream) string {
		if s.Conn.TLS == nil {
			return ""
		}
		return of(s.Conn.TLS)
	})
}

func serverName(s *stream.Stream) string {
	if s.Server == "" {
		return "<NOSRV>"
	}
	return s.Server
}

func frontendAlias(_ *Compiler, o options) appender {
	return func(dst []byte, s *stream.Stream, _ Env) []byte {
		if o.quote {
			dst = append(dst, '"')
		}
		dst = append(dst, s.Frontend...)
		if s.Conn.TLS != nil {
			dst = append(dst, '~')
		}
		if o.quote {
			dst = append(dst, '"')
		}
		return dst
	}
}

func termAlias(cookies bool) func(*Compiler, options) appender {
	letter := func(b byte) byte {
		if b == 0 {
			return '-'
		}
		return b
	}
	return func(*Compiler, options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			dst = append(dst, letter(s.Log.Term[0]), letter(s.Log.Term[1]))
			if cookies {
				dst = append(dst, letter(s.Log.TermCookie[0]), letter(s.Log.TermCookie[1]))
			}
			return dst
		}
	}
}

func retriesAlias(*Compiler, options) appender {
	return func(dst []byte, s *stream.Stream, _ Env) []byte {
		if s.Log.Redispatched {
			dst = append(dst, '+')
		}
		return strconv.AppendInt(dst, int64(s.Log.Retries), 10)
	}
}

// captureAlias writes {a|b}, or with list one item after the other; nothing when the proxy captures nothing.
func captureAlias(request, list bool) func(*Compiler, options) appender {
	return func(c *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			if s.Slots == nil {
				return dst
			}
			caps, n := s.Log.ResCaptures, len(s.Slots.Res)
			if request {
				caps, n = s.Log.ReqCaptures, len(s.Slots.Req)
			}
			if n == 0 {
				return dst
			}
			if list {
				return appendCaptureList(dst, caps, n, o)
			}
			if o.quote {
				dst = append(dst, '"')
			}
			dst = append(dst, '{')
			for i := range n {
				if i > 0 {
					dst = append(dst, '|')
				}
				if i < len(caps) {
					dst = appendEncoded(dst, caps[i], '#', &encodeHeader, o.escape)
				}
			}
			dst = append(dst, '}')
			if o.quote {
				dst = append(dst, '"')
			}
			return dst
		}
	}
}

func appendCaptureList(dst []byte, caps [][]byte, n int, o options) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		switch {
		case i < len(caps) && caps[i] != nil:
			dst = appendQuoted(dst, caps[i], '#', &encodeHeader, o)
		case o.quote:
			dst = append(dst, '"', '"')
		default:
			dst = append(dst, '-')
		}
	}
	return dst
}

var badRequest = []byte("<BADREQ>")

// lineAlias writes a part of the request line as the client sent it.
func lineAlias(part func(line []byte) []byte) func(*Compiler, options) appender {
	return func(_ *Compiler, o options) appender {
		return func(dst []byte, s *stream.Stream, _ Env) []byte {
			b := badRequest
			if s.Log.RequestLine != nil {
				b = part(s.Log.RequestLine)
			}
			return appendQuoted(dst, b, '#', &encodeURL, o)
		}
	}
}

func queryAlias(_ *Compiler, o options) appender {
	return func(dst []byte, s *stream.Stream, _ Env) []byte {
		b := badRequest
		if line := s.Log.RequestLine; line != nil {
			if b = nil; bytes.IndexByte(line, '?') >= 0 {
				b = line[bytes.IndexByte(line, '?'):]
				if i := bytes.IndexByte(b, ' '); i >= 0 {
					b = b[:i]
				}
			}
		}
		return appendQuoted(dst, b, '#', &encodeURL, o)
	}
}

// lineWord returns the n-th word of a request line.
func lineWord(line []byte, n int) []byte {
	for ; n > 0; n-- {
		i := bytes.IndexByte(line, ' ')
		if i < 0 {
			return badRequest
		}
		line = line[i+1:]
	}
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i]
	}
	return line
}

func beforeQuery(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i]
	}
	return target
}

func linePath(line []byte) []byte {
	r := stream.Request{Target: lineWord(line, 1)}
	return r.Path()
}
