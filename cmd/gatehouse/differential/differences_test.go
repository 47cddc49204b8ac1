package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// difference is what may differ: from haproxy of every version, or from versions older than until, because we do what until does.
type difference struct {
	until   string
	why     string
	message func(*message)      // brings both sides' messages to the same text
	line    func(string) string // the same for a log line
	again   string              // messages that begin so count once
	where   *regexp.Regexp      // only in configurations that have this; nil: in all
}

var differences = []difference{
	{why: "%B is what went out on the wire; haproxy's is the size of the server's message in its memory", line: noBytes},
	{why: "control characters in a log line would forge another one; haproxy copies those of expressions", line: codedControls},
	{why: "a bodyless answer whose status a rule changed has an explicit length", message: emptyBody},
	{why: "a request in chunks is sent on as one of HTTP/1.1, whatever its client spoke", message: chunkedRequest},
	{why: "blanks, control characters and bytes above 127 that rules put into a target are percent-encoded", message: encodedTarget},
	{until: "2.8", why: "option httpclose of a frontend was about servers too", message: closesServer},
	{until: "2.8", why: "compression wrote a vary field of its own beside the server's", message: joinVary},
	{until: "3.0", why: "an answer 204 of haproxy's own had no content-length", message: emptyHead},
	{until: "3.0", why: "control characters of expressions were percent-encoded in bodies", message: encodedBody},
	{until: "3.0", why: "an empty item of a log format kept the blanks on both its sides", line: oneBlank},
	{until: "3.0", why: "an answer in the stead of the server's had no %Tr", line: ownTr},
	{until: "3.4", why: "res.ver was empty in the text of an answer in the stead of the server's", message: noText,
		where: regexp.MustCompile(`http-response return .*lf-string .*%\[res\.ver`)},
	{why: "how many connections to a server requests of one client take is each program's own", again: "PROXY "},
	{why: "an HTTP/1.0 client gets no chunks: HAProxy sends chunks of 1.1", message: oldClient},
}

// noBytes removes %B from lines of the built-in formats.
func noBytes(text string) string {
	for _, re := range bytesFields {
		text = re.ReplaceAllString(text, "$1 BYTES$2")
	}
	return text
}

// bytesFields finds %B behind the timers and status of httplog, behind the timers of tcplog, and behind the status of the CLF form.
var bytesFields = []*regexp.Regexp{
	regexp.MustCompile(`( \+?-?N/-?N/-?N/-?N/\+?-?N \d+) \+?\d+( )`),
	regexp.MustCompile(`( -?N/-?N/\+?-?N) \+?\d+( [-A-Za-z]{2} )`),
	regexp.MustCompile(`(" \d+) \+?\d+( "" "" )`),
}

// codedControls writes them as we do.
func codedControls(text string) string {
	return controls.ReplaceAllStringFunc(text, func(c string) string { return fmt.Sprintf("#%02X", c[0]) })
}

var controls = regexp.MustCompile(`[\x01-\x09\x0b-\x1f\x7f]`)

// emptyBody takes the framing from an answer without a body that may have had none at the server.
func emptyBody(m *message) {
	if m.body != "" || m.asked.method == "" || m.asked.method == "HEAD" {
		return
	}
	m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return f == "content-length: 0" || f == "transfer-encoding: chunked" })
}

// oldClient takes the framing of what came in chunks to an HTTP/1.0 client.
func oldClient(m *message) {
	if m.asked.version == "HTTP/1.0" {
		m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return strings.HasPrefix(f, "transfer-encoding: ") })
	}
}

// chunkedRequest takes the version from a request line whose body is in chunks, and what follows from it.
func chunkedRequest(m *message) {
	if m.asked.method == "" && m.field("transfer-encoding") == "chunked" {
		m.start = strings.TrimSuffix(m.start, "0")
		m.start = strings.TrimSuffix(m.start, "1")
		m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return strings.HasPrefix(f, "connection: ") })
	}
}

// encodedTarget writes the target of a request as we do, also where a redirect repeats it.
func encodedTarget(m *message) {
	if m.asked.method != "" {
		for i, f := range m.fields {
			if strings.HasPrefix(f, "location: ") {
				m.fields[i] = "location: " + encoded(strings.TrimPrefix(f, "location: "))
			}
		}
		return
	}
	if strings.HasPrefix(m.start, "PROXY ") {
		return
	}
	method, rest, _ := strings.Cut(m.start, " ")
	end := max(strings.LastIndexByte(rest, ' '), 0)
	m.start = method + " " + encoded(rest[:end]) + rest[end:]
}

func encoded(target string) string {
	var b strings.Builder
	for _, c := range []byte(target) {
		if c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// closesServer takes the connection field from a request.
func closesServer(m *message) {
	if m.asked.method == "" {
		m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return strings.HasPrefix(f, "connection: ") })
	}
}

// joinVary writes the vary fields as one.
func joinVary(m *message) {
	at := -1
	for i := 0; i < len(m.fields); i++ {
		value, ok := strings.CutPrefix(m.fields[i], "vary: ")
		switch {
		case !ok:
		case at < 0:
			at = i
		default:
			m.fields[at] += "," + value
			m.fields = slices.Delete(m.fields, i, i+1)
			i--
		}
	}
}

// emptyHead takes the length from an answer that cannot have a body.
func emptyHead(m *message) {
	if strings.Contains(m.start, " 204 ") {
		m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return f == "content-length: 0" })
	}
}

// encodedBody undoes the encoding of control characters in an answer's text.
func encodedBody(m *message) {
	if m.asked.method == "" || m.field("content-type") != "text/plain" || m.asked.method != "HEAD" && !controlCode.MatchString(m.body) {
		return
	}
	m.body = controlCode.ReplaceAllStringFunc(m.body, func(code string) string {
		c, _ := strconv.ParseUint(strings.TrimPrefix(code, "%"), 16, 8)
		if !strings.HasPrefix(code, "%") {
			return code
		}
		return string([]byte{byte(c)})
	})
	m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return strings.HasPrefix(f, "content-length: ") })
}

var controlCode = regexp.MustCompile(`%([01][0-9A-F]|7F)|[\x00-\x1f\x7f]`)

// noText takes the text and its length from an answer of the program's own.
func noText(m *message) {
	if m.asked.method == "" || m.field("content-type") != "text/plain" {
		return
	}
	m.body = ""
	m.framing = slices.DeleteFunc(m.framing, func(f string) bool { return strings.HasPrefix(f, "content-length: ") })
}

// oneBlank makes one of two.
func oneBlank(text string) string { return strings.ReplaceAll(text, "  ", " ") }

// ownTr makes %Tr of an answer in the stead of the server's the same.
func ownTr(text string) string { return answeredForServer.ReplaceAllString(text, "${1}N$2") }

var answeredForServer = regexp.MustCompile(`( N/N/N/|" N N N )-?N([ /].*[LP]H)`)
