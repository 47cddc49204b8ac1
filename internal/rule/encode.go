package rule

import "strings"

// byteSet marks bytes.
type byteSet [256]bool

func bytesOf(marks string, ranges ...[2]int) (set byteSet) {
	for _, r := range ranges {
		for i := r[0]; i <= r[1]; i++ {
			set[i] = true
		}
	}
	for i := range len(marks) {
		set[marks[i]] = true
	}
	return set
}

// What must be encoded, by where a value came from: captured headers, request lines, and values that go into a message,
// where anything but control characters is let pass. encodeLog is ours: HAProxy copies control characters of an
// expression into the log line, where a line break would forge a second line.
var (
	encodeHeader  = bytesOf("\"#{|}", [2]int{0, 31}, [2]int{127, 255})
	encodeURL     = bytesOf("\"#", [2]int{0, 31}, [2]int{127, 255})
	encodeHTTP    = bytesOf("\x7f", [2]int{0, 8}, [2]int{10, 31})
	encodeNothing byteSet
	encodeLog     = bytesOf("\x7f", [2]int{0, 8}, [2]int{10, 31})
)

// escaped bytes get a backslash with +E (RFC 5424 section 6.3.3).
const escaped = "\"\\]"

// appendEncoded writes b with the bytes of set as mark and two hexadecimal digits.
func appendEncoded(dst, b []byte, mark byte, set *byteSet, escape bool) []byte {
	for _, c := range b {
		switch {
		case set[c]:
			dst = append(dst, mark, hexDigits[c>>4], hexDigits[c&15])
		case escape && strings.IndexByte(escaped, c) >= 0:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendText writes a text value as the options ask.
func appendText(dst, b []byte, o options) []byte {
	if len(b) == 0 && o.mandatory && !o.quote {
		return append(dst, '-')
	}
	if o.quote {
		dst = append(dst, '"')
	}
	set := &encodeNothing
	if o.line {
		set = &encodeLog
	}
	dst = appendEncoded(dst, b, '#', set, o.escape)
	if o.quote {
		dst = append(dst, '"')
	}
	return dst
}

// appendQuoted writes what came from the wire: b encoded by mark and set, between quotes when asked for.
func appendQuoted(dst, b []byte, mark byte, set *byteSet, o options) []byte {
	if o.quote {
		dst = append(dst, '"')
	}
	dst = appendEncoded(dst, b, mark, set, o.escape)
	if o.quote {
		dst = append(dst, '"')
	}
	return dst
}

// headerSafe reports whether b may be a field value: no CR, LF or NUL (RFC 9110 section 5.5).
func headerSafe(b []byte) bool {
	for _, c := range b {
		if c == '\r' || c == '\n' || c == 0 {
			return false
		}
	}
	return true
}
