package differential

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// message is one head and its body as it came over a connection.
type message struct {
	asked   sent     // of an answer: the request it belongs to
	start   string   // request line or status line
	fields  []string // "name: value", in order, without those of framing
	framing []string // the fields that say how the message ends and whether the connection goes on, sorted
	body    string   // without the frames of its chunks
}

// sent is what one needs to know of a request to read its answer.
type sent struct{ method, version string }

func (m message) String() string {
	return m.start + "\n" + strings.Join(slices.Concat(m.fields, m.framing), "\n") + "\n\n" + m.body + "\n"
}

func write(list []message) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(m.String())
	}
	return b.String()
}

func (m message) field(name string) string {
	for _, f := range slices.Concat(m.fields, m.framing) {
		if n, v, _ := strings.Cut(f, ": "); strings.EqualFold(n, name) {
			return v
		}
	}
	return ""
}

var framingField = regexp.MustCompile(`(?i)^(content-length|transfer-encoding|connection):`)

// newMessage reads the lines of a head.
func newMessage(head string, asked sent) message {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	m := message{asked: asked, start: lines[0]}
	for _, l := range lines[1:] {
		if framingField.MatchString(l) {
			m.framing = append(m.framing, l)
		} else {
			m.fields = append(m.fields, l)
		}
	}
	slices.Sort(m.framing)
	return m
}

// answersIn reads what a client received for its requests. What is no message stands in one without fields.
func answersIn(raw string, requests []sent) []message {
	var list []message
	for raw != "" {
		head, rest, whole := strings.Cut(raw, "\r\n\r\n")
		status := statusLine.FindStringSubmatch(head)
		if !whole || status == nil {
			return append(list, message{start: "not a message: " + raw})
		}
		asked := sent{"none", ""}
		if len(requests) > 0 {
			asked = requests[0]
		}
		m := newMessage(head, asked)
		if strings.HasPrefix(status[1], "1") {
			list, raw = append(list, m), rest
			continue
		}
		m.body, raw = m.takeBody(status[1], rest)
		list = append(list, m)
		requests = requests[min(1, len(requests)):]
	}
	return list
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] (\d{3}) `)

// takeBody cuts the body of an answer from what follows its head.
func (m message) takeBody(status, text string) (body, rest string) {
	if m.asked.method == "HEAD" || status == "204" || status == "304" {
		return "", text
	}
	if m.field("transfer-encoding") == "chunked" {
		in := strings.NewReader(text)
		r := bufio.NewReader(in)
		joined, err := readChunks(r)
		if err != nil {
			return "not chunks: " + text, ""
		}
		return m.plain(joined), text[len(text)-in.Len()-r.Buffered():]
	}
	n, err := strconv.Atoi(m.field("content-length"))
	if err != nil && strings.HasPrefix(text, "HTTP/1.") {
		return "", text // haproxy gives a bodyless answer no length, whatever its status has become
	}
	if err != nil || n > len(text) {
		return text, ""
	}
	return m.plain(text[:n]), text[n:]
}

// plain undoes a compression, whose bytes are the compressor's choice.
func (m message) plain(body string) string {
	if m.field("content-encoding") != "gzip" {
		return body
	}
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		return body
	}
	text, err := io.ReadAll(io.LimitReader(z, maxMessage))
	if err != nil {
		return fmt.Sprintf("%q, not gzip: %v", body, err)
	}
	return "gunzipped: " + string(text)
}
