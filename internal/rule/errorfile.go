package rule

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// defaultBufSize is tune.bufsize when the configuration does not say it.
const defaultBufSize = 16384

func (c *Compiler) bufSize() int {
	if c.BufSize > 0 {
		return c.BufSize
	}
	return defaultBufSize
}

// Sentence is an error that HAProxy ends with a full stop where it says it alone. Its text has none.
type Sentence string

func (s Sentence) Error() string { return string(s) }

// Alone is how an error reads behind the keyword of its line.
func Alone(err error) string {
	if s := Sentence(""); errors.As(err, &s) {
		return err.Error() + "."
	}
	return err.Error()
}

// ErrorFile reads an error file: a whole response, or nothing at all, which closes the connection without an answer. What is longer
// than a buffer is cut off with a warning. Errors have HAProxy's texts.
func (c *Compiler) ErrorFile(name string) (*Reply, error) {
	data, err := c.readFile(name)
	if err != nil {
		return nil, Sentence(fmt.Sprintf("error opening file '%s'", name))
	}
	if limit := c.bufSize(); len(data) > limit {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelWarning, Text: fmt.Sprintf(
			"config : custom error message file '%s' larger than %d bytes. Truncating.", name, limit)})
		data = data[:limit]
	}
	r, err := ParseReply(data)
	if err != nil {
		return nil, fmt.Errorf("'%s': %w", name, err)
	}
	return r, nil
}

// ParseReply reads a whole HTTP/1 response, as an errorfile holds it; lines may end in LF alone. Its framing fields are left out: the
// codec writes them. No data at all is the silent reply.
func ParseReply(data []byte) (*Reply, error) {
	if len(data) == 0 {
		return &Reply{Silent: true}, nil
	}
	head, body, ok := cutHead(data)
	if bad := firstBad(data, len(data)-len(body)); bad >= 0 || !ok {
		return nil, fmt.Errorf("unable to parse headers (error offset: %d)", bad)
	}
	r := &Reply{Body: body, LengthAt: -1}
	length, chunked := int64(-1), false
	for i, line := range strings.Split(head, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if i == 0 {
			if err := statusLine(r, line); err != nil {
				return nil, err
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case name == "content-length":
			n, err := strconv.ParseInt(value, 10, 63)
			if err != nil || length >= 0 && n != length {
				return nil, fmt.Errorf("unable to parse headers (error offset: %d)", strings.Index(string(data), line)+len(name)+1)
			}
			length = n
			r.LengthAt = len(r.Fields)
		case name == "transfer-encoding":
			chunked = true
		case name == "connection" && strings.EqualFold(value, "close"):
			r.Close = true
			r.Fields = append(r.Fields, stream.Field{Name: []byte(name), Value: []byte("close")})
		case framingFields[name]:
		default:
			r.Fields = append(r.Fields, stream.Field{Name: []byte(name), Value: []byte(value)})
		}
	}
	return r, checkPayload(r, length, chunked)
}

// checkPayload holds the body against what the head announces.
func checkPayload(r *Reply, length int64, chunked bool) error {
	empty := r.Status == 204 || r.Status == 304
	if empty {
		r.LengthAt = max(r.LengthAt, 0)
	}
	switch n := int64(len(r.Body)); {
	case chunked && !empty:
		return fmt.Errorf("chunk-encoded payload not supported")
	case n > 0 && (empty || length == 0):
		return fmt.Errorf("message payload not expected")
	case length >= 0 && n != length && !empty:
		return fmt.Errorf("payload size does not match the announced content-length (%d != %d)", n, length)
	}
	return nil
}

// cutHead splits a response at its empty line.
func cutHead(data []byte) (head string, body []byte, ok bool) {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return "", nil, false
		}
		at += i + 1
		for _, end := range []string{"\n", "\r\n"} {
			if bytes.HasPrefix(data[at:], []byte(end)) {
				return strings.TrimRight(string(data[:at]), "\r\n"), data[at+len(end):], true
			}
		}
	}
}

// firstBad is the offset of the first byte of a head that no response has there, -1 when there is none.
func firstBad(data []byte, end int) int {
	at := 0
	for i := range min(end, len(data)) {
		switch c := data[i]; {
		case c == '\n':
			if i > 0 && at == 0 && bytes.IndexByte(data[:i], ' ') < 0 {
				return i
			}
			at = i + 1
		case at == 0 && i < 8:
			if want := "HTTP/"; i < len(want) && c != want[i] || i >= len(want) && c != '.' && (c < '0' || c > '9') {
				return i
			}
		case at == 0 && i > 8 && i < 12 && (c < '0' || c > '9'), c == 0:
			return i
		case at > 0 && c != '\r' && !bytes.ContainsRune(data[at:i], ':') && c != ':' && !isToken(data[i:i+1]):
			return i
		case c == '\r' && i+1 < len(data) && data[i+1] != '\n':
			return i + 1
		}
	}
	return -1
}

// statusLine reads "HTTP/1.1 403 Forbidden".
func statusLine(r *Reply, line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	switch {
	case len(version) != 8:
		return fmt.Errorf("invalid http version (%s)", version)
	case err != nil || status > 599 || !headerSafe([]byte(reason)):
		return fmt.Errorf("unable to parse headers (error offset: %d)", len(version)+1)
	case status < 200: // 101 makes no sense of a page either
		return fmt.Errorf("invalid http status code for an error message (%d)", status)
	}
	r.Status, r.Reason, r.HTTP10 = status, reason, version == "HTTP/1.0"
	return nil
}
