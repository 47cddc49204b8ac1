package h1

import (
	"gatehouse/internal/stream"
)

// parseResponse parses one response head at the start of b. bodyless is set for the answer to HEAD. It returns the length of
// the head, or errIncomplete, or an *Error.
func parseResponse(b []byte, res *stream.Response, lim *Limits) (int, head, error) {
	res.Reset()
	h := head{lax: lim.Unsafe}
	major, minor, at, err := parseVersion(b, 0)
	if err != nil {
		return 0, h, err
	}
	res.Major, res.Minor = major, minor
	if at, err = parseStatus(b, at, res); err != nil {
		return 0, h, err
	}
	from := at
	res.Fields, at, err = parseFields(b, at, res.Fields, lim.Fields, &h, true)
	if err != nil {
		return 0, h, err
	}
	if h.nominated {
		res.Fields = dropNominated(b, res.Fields, from, at)
	}
	return at, h, nil
}

// parseStatus parses SP, three digits, and the reason, which may be absent.
func parseStatus(b []byte, at int, res *stream.Response) (int, error) {
	start := at
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	if at >= len(b) {
		return 0, errIncomplete
	}
	if at == start {
		return 0, ErrSyntax
	}
	for i := 0; i < 3; i++ {
		if at >= len(b) {
			return 0, errIncomplete
		}
		if b[at] < '0' || b[at] > '9' {
			return 0, ErrStatus
		}
		res.Status = res.Status*10 + int(b[at]-'0')
		at++
	}
	if res.Status < 100 {
		return 0, ErrStatus
	}
	if at >= len(b) {
		return 0, errIncomplete
	}
	if !isSpace(b[at]) {
		return endLine(b, at)
	}
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	start = at
	for {
		at = nextControl(b, at)
		if at >= len(b) {
			return 0, errIncomplete
		}
		if b[at] != '\t' {
			break
		}
		at++
	}
	res.Reason = b[start:at]
	return endLine(b, at)
}

// frameResponse derives body and connection mode (RFC 9112 section 6.3). bodyless says that the request was HEAD; connect that
// it was CONNECT. The kind it returns is what follows on the wire; res.Body and res.Length are what the head announces, which
// for HEAD and 304 is the body that is not sent.
func (h *head) frameResponse(res *stream.Response, bodyless, connect bool) (stream.BodyKind, error) {
	res.KeepAlive = !h.close && (res.Minor >= 1 || h.keepAlive)
	if h.otherCoding {
		return 0, ErrUnknownCoding
	}
	if h.hasCoding && !h.chunked {
		return 0, ErrCoding
	}
	switch {
	case res.Status == 101:
		if h.upgradeTo == nil {
			return 0, ErrSyntax
		}
		if h.websocket && !h.websocketKey && !h.lax {
			return 0, errWebSocketNoKey
		}
		res.Upgrade = h.upgradeTo
		res.Body = stream.BodyTunnel
		return stream.BodyTunnel, nil
	case connect && res.Status/100 == 2:
		res.Body = stream.BodyTunnel
		return stream.BodyTunnel, nil
	case res.Status < 200 || res.Status == 204:
		if h.hasCoding { // whoever codes a body where none can be might send it
			res.KeepAlive = false
		}
		return stream.BodyNone, nil
	}
	res.LengthAt = h.framedAt
	switch {
	case h.chunked:
		res.Body = stream.BodyChunked
		if h.hasLength || res.Minor == 0 {
			res.KeepAlive = false
		}
	case h.hasLength:
		res.Body, res.Length = stream.BodyLength, h.length
	case bodyless || res.Status == 304:
		return stream.BodyNone, nil
	default:
		res.Body = stream.BodyClose
		res.KeepAlive = false
	}
	if bodyless || res.Status == 304 {
		return stream.BodyNone, nil
	}
	return res.Body, nil
}
