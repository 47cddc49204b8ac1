package h1

import (
	"math"

	"gatehouse/internal/stream"
)

// head is what the fields of a message say about its framing, collected while they are parsed.
type head struct {
	length                        int64 // of the first Content-Length
	hasLength, hasCoding, chunked bool
	otherCoding                   bool
	close, keepAlive, upgrade     bool
	nominated                     bool // Connection names other fields, which go no further
	websocket, websocketKey       bool
	host                          []byte
	hasHost                       bool
	expect100                     bool
	upgradeTo                     []byte
	lax                           bool // fields with bad names are dropped instead of refused
	framedAt                      int  // how many fields were kept before the one that delimits the body
}

// parseFields parses the field lines of b from at up to and including the empty line, appending to fields. It returns the
// position after the empty line. Fields that belong to this hop are taken into h and not kept.
func parseFields(b []byte, at int, fields []stream.Field, max int, h *head, response bool) ([]stream.Field, int, error) {
	for count := 0; ; count++ {
		if at >= len(b) {
			return fields, 0, errIncomplete
		}
		if b[at] == '\n' {
			return fields, at + 1, nil
		}
		if b[at] == '\r' {
			if at+1 >= len(b) {
				return fields, 0, errIncomplete
			}
			if b[at+1] != '\n' {
				return fields, 0, ErrSyntax
			}
			return fields, at + 2, nil
		}
		if count >= max {
			return fields, 0, ErrFieldCount
		}
		start := at
		for at < len(b) {
			c := lower[b[at]]
			if c == 0 {
				break
			}
			b[at] = c
			at++
		}
		if at >= len(b) {
			return fields, 0, errIncomplete
		}
		keep := true
		if h.lax && at > start && b[at] != ':' {
			for keep = false; at < len(b) && b[at] != ':'; at++ {
				if b[at] == '\n' || b[at] == '\r' {
					return fields, 0, ErrSyntax
				}
			}
			if at >= len(b) {
				return fields, 0, errIncomplete
			}
		}
		if b[at] != ':' || at == start {
			return fields, 0, ErrSyntax
		}
		name := b[start:at]
		value, next, err := parseValue(b, at+1)
		if err != nil {
			return fields, 0, err
		}
		at = next
		if keep && special(name) {
			if keep, err = h.take(name, value, response); err != nil {
				return fields, 0, err
			}
			if len(name) >= 14 && !keep { // content-length, transfer-encoding
				h.framedAt = len(fields)
			}
		}
		if keep {
			if string(name) == "te" {
				value = teTrailers
			}
			fields = append(fields, stream.Field{Name: name, Value: value})
		}
	}
}

// teTrailers is all of TE that goes further.
var teTrailers = []byte("trailers")

// parseValue returns the value that starts at b[at], trimmed, and the position of the next line. A folded line (obsolete in
// RFC 9112 section 5.2) is joined with spaces where it stands.
func parseValue(b []byte, at int) (value []byte, next int, err error) {
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	start := at
	for {
		at = nextControl(b, at)
		if at >= len(b) {
			return nil, 0, errIncomplete
		}
		end := at
		switch b[at] {
		case '\t':
			at++
			continue
		case '\r':
			at++
			if at >= len(b) {
				return nil, 0, errIncomplete
			}
			if b[at] != '\n' {
				return nil, 0, ErrSyntax
			}
		case '\n':
		default:
			return nil, 0, ErrSyntax
		}
		at++
		if at >= len(b) {
			return nil, 0, errIncomplete // the next line may continue this one
		}
		if !isSpace(b[at]) {
			return trim(b[start:end]), at, nil
		}
		for i := end; i < at; i++ {
			b[i] = ' '
		}
	}
}

// special reports whether the codec itself has to look at a field; most are not, so the length decides first.
func special(name []byte) bool {
	switch len(name) {
	case 2:
		return string(name) == "te"
	case 4:
		return string(name) == "host"
	case 6:
		return string(name) == "expect"
	case 7:
		return string(name) == "upgrade"
	case 10:
		return string(name) == "connection" || string(name) == "keep-alive"
	case 14:
		return string(name) == "content-length"
	case 16:
		return string(name) == "proxy-connection"
	case 17:
		return string(name) == "transfer-encoding" || string(name) == "sec-websocket-key"
	case 14 + 6: // sec-websocket-accept
		return string(name) == "sec-websocket-accept"
	}
	return false
}

// take notes what a special field says and reports whether it stays a field of the message.
func (h *head) take(name, value []byte, response bool) (keep bool, err error) {
	switch string(name) {
	case "te":
		// Only "trailers" means something to the next hop (RFC 9110 section 10.1.4).
		return !response && hasElement(value, "trailers"), nil
	case "host":
		if response {
			return true, nil
		}
		if h.hasHost {
			if !equalFoldBytes(h.host, value) {
				return false, ErrHost
			}
			return false, nil
		}
		if !validAuthority(value) {
			return false, ErrHost
		}
		h.hasHost, h.host = true, value
		return true, nil
	case "expect":
		h.expect100 = !response && equalFold(value, "100-continue")
		return true, nil
	case "upgrade":
		h.takeUpgrade(value)
		return false, nil
	case "connection":
		h.takeConnection(value)
		return false, nil
	case "keep-alive", "proxy-connection":
		return false, nil
	case "content-length":
		return false, h.takeLength(value)
	case "transfer-encoding":
		return false, h.takeCoding(value, response)
	case "sec-websocket-key", "sec-websocket-accept":
		h.websocketKey = true
	}
	return true, nil
}

// takeConnection reads the options of a Connection field; those that are neither ours nor known name fields to drop.
func (h *head) takeConnection(list []byte) {
	for more := true; more; {
		var option []byte
		option, list, more = nextElement(list)
		switch {
		case len(option) == 0:
		case equalFold(option, "close"):
			h.close = true
		case equalFold(option, "keep-alive"):
			h.keepAlive = true
		case equalFold(option, "upgrade"):
			h.upgrade = true
		case equalFold(option, "te"):
		default:
			h.nominated = true
		}
	}
}

// takeUpgrade keeps the first protocol that is not HTTP/2: nobody may switch to h2c through us, since the next bytes would
// then pass unseen (threat H10).
func (h *head) takeUpgrade(list []byte) {
	for more := true; more; {
		var protocol []byte
		protocol, list, more = nextElement(list)
		if len(protocol) == 0 || equalFold(protocol, "h2c") || equalFold(protocol, "h2") {
			continue
		}
		if equalFold(protocol, "websocket") {
			h.websocket = true
		}
		if h.upgradeTo == nil {
			h.upgradeTo = protocol
		}
	}
}

// takeLength reads Content-Length: digits, or a list of equal numbers as RFC 9110 section 8.6 lets a recipient accept.
func (h *head) takeLength(list []byte) error {
	for more := true; more; {
		var digits []byte
		digits, list, more = nextElement(list)
		n, ok := parseLength(digits)
		if !ok || h.hasLength && n != h.length {
			return ErrLength
		}
		h.hasLength, h.length = true, n
	}
	return nil
}

func parseLength(digits []byte) (int64, bool) {
	if len(digits) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// takeCoding reads Transfer-Encoding. Only chunked is understood, once and last (RFC 9112 section 6.1).
func (h *head) takeCoding(list []byte, response bool) error {
	h.hasCoding = true
	for more := true; more; {
		var coding []byte
		coding, list, more = nextElement(list)
		switch {
		case len(coding) == 0:
			return ErrCoding
		case equalFold(coding, "chunked"):
			if h.chunked {
				return ErrCoding
			}
			h.chunked = true
		default:
			if h.chunked && !response {
				return ErrCoding
			}
			h.otherCoding = true
		}
	}
	return nil
}

// dropNominated removes the fields that Connection named. Fields a message cannot do without are not droppable: naming Host
// or Cookie-like identity fields to lose them would be an attack (threat H08), but they are the sender's own to leave out.
func dropNominated(b []byte, fields []stream.Field, from, to int) []stream.Field {
	// The Connection fields themselves are gone from the list, so they are read again from the head's bytes.
	for at := from; at < to; {
		end := at
		for end < to && b[end] != '\n' {
			end++
		}
		line := b[at:end]
		at = end + 1
		if len(line) < 11 || string(line[:11]) != "connection:" {
			continue
		}
		list := line[11:]
		if n := len(list); n > 0 && list[n-1] == '\r' {
			list = list[:n-1]
		}
		for more := true; more; {
			var option []byte
			option, list, more = nextElement(list)
			fields = dropField(fields, option)
		}
	}
	return fields
}

func dropField(fields []stream.Field, name []byte) []stream.Field {
	if len(name) == 0 || equalFold(name, "host") || equalFold(name, "te") {
		return fields
	}
	w := 0
	for _, f := range fields {
		if !equalFoldBytes(f.Name, name) {
			fields[w] = f
			w++
		}
	}
	return fields[:w]
}

// validAuthority reports whether b may stand in Host or in the authority of a target: visible characters, no delimiter of another
// part, brackets only around an IP literal (RFC 3986 section 3.2). Empty is valid.
func validAuthority(b []byte) bool {
	open := false
	for i, c := range b {
		switch {
		case c < 0x21 || c > 0x7e:
			return false
		case c == ',' || c == '#' || c == '/' || c == '?' || c == '@' || c == '\\':
			return false
		case c == '[':
			if i != 0 {
				return false
			}
			open = true
		case c == ']':
			if !open || i+1 < len(b) && b[i+1] != ':' {
				return false
			}
			open = false
		}
	}
	return !open
}

// plainAuthority reports whether a valid authority holds only what a name or an address may hold, and digits behind the colon of a port.
func plainAuthority(b []byte) bool {
	open, port := false, false
	for _, c := range b {
		switch {
		case c == '"' || c == '<' || c == '>' || c == '^' || c == '`' || c == '{' || c == '|' || c == '}':
			return false
		case port && (c < '0' || c > '9'):
			return false
		case c == '[':
			open = true
		case c == ']':
			open = false
		case c == ':' && !open:
			port = true
		}
	}
	return true
}
