package h1

import (
	"bytes"
	"slices"

	"gatehouse/internal/stream"
)

// parseRequest parses one request head at the start of b, which may hold more. It returns the length of the head, or
// errIncomplete, or an *Error. Calling it again with more bytes after errIncomplete is safe: what it changes in b (case,
// folds) it changes only once.
func parseRequest(b []byte, req *stream.Request, lim *Limits) (int, error) {
	req.Reset()
	at := 0
	// Empty lines before a request are skipped (RFC 9112 section 2.2).
	for at < len(b) && (b[at] == '\r' || b[at] == '\n') {
		if b[at] == '\r' {
			if at+1 >= len(b) {
				return 0, errIncomplete
			}
			if b[at+1] != '\n' {
				return 0, ErrSyntax
			}
			at++
		}
		at++
	}
	at, err := parseRequestLine(b, at, req, lim)
	if err != nil {
		return 0, err
	}
	h := head{lax: lim.Unsafe}
	from := at
	req.Fields, at, err = parseFields(b, at, req.Fields, lim.Fields, &h, false)
	if err != nil {
		return 0, err
	}
	if h.nominated {
		req.Fields = dropNominated(b, req.Fields, from, at)
	}
	if err := h.frameRequest(req); err != nil {
		return 0, err
	}
	return at, checkTarget(req, &h, lim)
}

// parseRequestLine parses method, target and version.
func parseRequestLine(b []byte, at int, req *stream.Request, lim *Limits) (int, error) {
	start := at
	for at < len(b) && lower[b[at]] != 0 {
		at++
	}
	if at >= len(b) {
		return 0, errIncomplete
	}
	if at == start || !isSpace(b[at]) {
		return 0, ErrSyntax
	}
	req.Method = b[start:at]
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	start = at
	for at < len(b) && b[at] > ' ' && (b[at] < 0x7f && b[at] != '#' || lim.Unsafe && b[at] != 0x7f) {
		at++
	}
	if at >= len(b) {
		return 0, errIncomplete
	}
	if at == start || !isSpace(b[at]) {
		return 0, ErrTarget
	}
	req.Target = b[start:at]
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	major, minor, next, err := parseVersion(b, at)
	if err == ErrVersion && string(req.Method) == "PRI" {
		return 0, ErrMethodRefused // the preface of HTTP/2 (RFC 9113 section 3.4), answered as HAProxy answers it
	}
	if err != nil {
		return 0, err
	}
	req.Major, req.Minor = major, minor
	return endLine(b, next)
}

// parseVersion parses HTTP/1.x.
func parseVersion(b []byte, at int) (major, minor, next int, err error) {
	const want = "HTTP/1."
	for i := 0; i < len(want); i++ {
		if at+i >= len(b) {
			return 0, 0, 0, errIncomplete
		}
		if b[at+i] != want[i] {
			return 0, 0, 0, ErrVersion
		}
	}
	at += len(want)
	if at >= len(b) {
		return 0, 0, 0, errIncomplete
	}
	if b[at] < '0' || b[at] > '9' {
		return 0, 0, 0, ErrVersion
	}
	return 1, int(b[at] - '0'), at + 1, nil
}

// endLine expects CRLF, or LF alone, at b[at].
func endLine(b []byte, at int) (int, error) {
	if at >= len(b) {
		return 0, errIncomplete
	}
	if b[at] == '\r' {
		at++
		if at >= len(b) {
			return 0, errIncomplete
		}
	}
	if b[at] != '\n' {
		return 0, ErrSyntax
	}
	return at + 1, nil
}

// frameRequest derives body and connection mode from the fields (RFC 9112 sections 6.3 and 9.3).
func (h *head) frameRequest(req *stream.Request) error {
	req.KeepAlive = !h.close && (req.Minor >= 1 || h.keepAlive)
	switch {
	case h.otherCoding && h.chunked:
		return ErrUnknownCoding
	case h.hasCoding:
		if !h.chunked {
			return ErrCoding
		}
		req.Body = stream.BodyChunked
		// Both framings, or a coding in a version that has none: the coding wins and the connection ends with this exchange, so
		// that whoever thought otherwise cannot add a second request.
		if h.hasLength || req.Minor == 0 {
			req.KeepAlive = false
		}
	case h.hasLength:
		req.Body, req.Length = stream.BodyLength, h.length
	}
	req.LengthAt = h.framedAt
	hasBody := req.Body == stream.BodyChunked || req.Length > 0
	if hasBody && req.Minor == 0 && (string(req.Method) == "GET" || string(req.Method) == "HEAD" || string(req.Method) == "DELETE") {
		return ErrBodyNotAllowed
	}
	req.Expect100 = h.expect100 && req.Minor >= 1
	if h.upgrade && h.upgradeTo != nil && req.Minor >= 1 {
		if h.websocket && !h.websocketKey && !h.lax {
			return errWebSocketNoKey
		}
		if hasBody {
			return errUpgradeWithBody
		}
		req.Upgrade = h.upgradeTo
	}
	return nil
}

// checkTarget holds the target against the method and the Host field (RFC 9112 sections 3.2 and 3.3).
func checkTarget(req *stream.Request, h *head, lim *Limits) error {
	t := req.Target
	if string(req.Method) == "CONNECT" {
		if !lim.ConnectOK {
			return ErrMethodRefused
		}
		return checkConnect(req, h, lim)
	}
	if !lim.NoHostOK && (!h.hasHost && req.Minor >= 1 || !plainAuthority(h.host)) {
		return ErrHost
	}
	switch {
	case t[0] == '/':
		return nil
	case t[0] == '*':
		if len(t) != 1 || string(req.Method) != "OPTIONS" {
			return ErrTarget
		}
		return nil
	}
	return normaliseAbsolute(req, h, lim)
}

// checkConnect holds the authority of a CONNECT against Host.
func checkConnect(req *stream.Request, h *head, lim *Limits) error {
	target := req.Target[lim.user(req.Target):]
	name, port := splitPort(target)
	if !validAuthority(target) || len(name) == 0 || len(port) == 0 {
		return ErrTarget
	}
	if h.hasHost {
		hostName, hostPort := splitPort(h.host)
		standard := string(port) == "80" || string(port) == "443"
		same := string(hostPort) == string(port) || len(hostPort) == 0 && standard
		if !equalFoldBytes(hostName, name) || !same {
			return ErrHost
		}
		if len(hostPort) > 0 && standard {
			setHost(req.Fields, hostName)
		}
	}
	req.Body, req.Length = stream.BodyNone, 0
	req.Upgrade = nil
	return nil
}

// normaliseAbsolute checks an absolute-form target: its authority and Host must name the same place once the scheme's default
// port is left out. An authority that carries that port loses it, and Host with it.
func normaliseAbsolute(req *stream.Request, h *head, lim *Limits) error {
	t := req.Target
	i := 0
	for i < len(t) && lower[t[i]] != 0 && t[i] != ':' {
		i++
	}
	if i == 0 || i+3 > len(t) || string(t[i:i+3]) != "://" || !isAlpha(t[0]) {
		return ErrTarget
	}
	scheme, start := t[:i], i+3
	end := start
	for end < len(t) && t[end] != '/' && t[end] != '?' {
		end++
	}
	start += lim.user(t[start:end])
	authority := t[start:end]
	if len(authority) == 0 || !validAuthority(authority) || !lim.NoHostOK && !plainAuthority(authority) {
		return ErrTarget
	}
	defaultPort := ""
	switch {
	case equalFold(scheme, "http"):
		defaultPort = "80"
	case equalFold(scheme, "https"):
		defaultPort = "443"
	}
	name := withoutPort(authority, defaultPort)
	if h.hasHost && !lim.Unsafe && !equalFoldBytes(withoutPort(h.host, defaultPort), name) {
		return ErrHost
	}
	if h.hasHost {
		if len(name) < len(authority) {
			setHost(req.Fields, name)
		}
	} else {
		req.Fields = append(req.Fields, stream.Field{Name: hostName, Value: name})
	}
	if gap := len(authority) - len(name); gap > 0 {
		// The rest of the line moves over the port; the buffer behind the target holds it.
		rest := t[:cap(t)]
		eol := len(t) + bytes.IndexByte(rest[len(t):], '\n')
		copy(rest[start+len(name):], rest[end:eol+1])
		req.Target = t[:len(t)-gap]
	}
	if end == len(t) { // no path is the root (RFC 9110 section 4.2.3)
		req.Target = append(slices.Clip(req.Target), '/')
	}
	return nil
}

func setHost(fields []stream.Field, name []byte) {
	for i := range fields {
		if string(fields[i].Name) == "host" {
			fields[i].Value = name
		}
	}
}

// user returns how many bytes of an authority are user information that is to be skipped.
func (lim *Limits) user(authority []byte) int {
	if !lim.UserOK {
		return 0 // and validAuthority refuses it
	}
	return bytes.LastIndexByte(authority, '@') + 1
}

var hostName = []byte("host")

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// splitPort cuts ":port" off an authority; port is nil when there is none or it is not a number.
func splitPort(a []byte) (name, port []byte) {
	i := len(a)
	for i > 0 && a[i-1] >= '0' && a[i-1] <= '9' {
		i--
	}
	if i == 0 || a[i-1] != ':' {
		return a, nil
	}
	return a[:i-1], a[i:]
}

// withoutPort leaves out an empty port and the scheme's default one.
func withoutPort(a []byte, defaultPort string) []byte {
	name, port := splitPort(a)
	if port != nil && (len(port) == 0 || defaultPort != "" && string(port) == defaultPort) {
		return name
	}
	return a
}
