package backend

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// HTTPCheck is option httpchk with its http-check lines, ready to run. It is immutable.
type HTTPCheck struct {
	request  []byte
	head     bool // HEAD: the answer has no body
	expect   expect
	on404    bool // disable-on-404
	needBody bool
}

// maxCheckBody bounds how much of an answer is searched, HAProxy's tune.bufsize.
const maxCheckBody = 16384

// expect is what a good answer looks like.
type expect struct {
	not    bool
	status [][2]int // ranges
	codes  *regexp.Regexp
	text   []byte
	body   *regexp.Regexp
}

// NewHTTPCheck prepares the request and the judgement. Errors name the word they are about.
func NewHTTPCheck(c *config.HTTPCheck) (*HTTPCheck, error) {
	h := &HTTPCheck{on404: c.DisableOn404, head: c.Method == "HEAD"}
	h.request = checkRequest(c)
	if err := h.expect.parse(c.Expect); err != nil {
		return nil, err
	}
	h.needBody = h.expect.text != nil || h.expect.body != nil
	return h, nil
}

// checkRequest writes the request as HAProxy does: OPTIONS / HTTP/1.0 by default, and closing the connection unless told
// otherwise. The version word may carry headers and a body of its own, the form that predates http-check send.
func checkRequest(c *config.HTTPCheck) []byte {
	method, uri, version := c.Method, c.URI, c.Version
	if method == "" {
		method = "OPTIONS"
	}
	if uri == "" {
		uri = "/"
	}
	version, rest, _ := strings.Cut(strings.ReplaceAll(version, "\r\n", "\n"), "\n")
	fields, body, _ := strings.Cut(rest, "\n\n")
	if version = strings.TrimSpace(version); version == "" {
		version = "HTTP/1.0"
	}
	if c.Body != "" {
		body = c.Body
	}
	b := fmt.Appendf(nil, "%s %s %s\r\n", method, uri, version)
	var host, connection bool
	add := func(name, value string) {
		name = strings.ToLower(strings.TrimSpace(name))
		host, connection = host || name == "host", connection || name == "connection"
		if name != "" && name != "content-length" && name != "transfer-encoding" {
			b = fmt.Appendf(b, "%s: %s\r\n", name, strings.TrimSpace(value))
		}
	}
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(line, ":")
		add(name, value)
	}
	for _, f := range c.Headers {
		add(f[0], f[1])
	}
	if !connection {
		add("connection", "close")
	}
	bodyless := method == "OPTIONS" || method == "GET" || method == "HEAD" || method == "DELETE"
	if !bodyless || body != "" {
		b = fmt.Appendf(b, "content-length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// parse reads the words of http-check expect. Options that only choose texts or statuses are refused, not ignored.
func (e *expect) parse(words []string) error {
	if len(words) > 0 && words[0] == "!" {
		e.not, words = true, words[1:]
	}
	if len(words) == 0 {
		if e.not {
			return errors.New("http-check expect: a match is missing after '!'")
		}
		e.status = [][2]int{{200, 399}}
		return nil
	}
	if len(words) != 2 {
		return fmt.Errorf("http-check expect: %q needs exactly one argument", words[0])
	}
	var err error
	switch words[0] {
	case "status":
		e.status, err = parseCodes(words[1])
	case "rstatus":
		e.codes, err = regexp.Compile(words[1])
	case "string":
		e.text = []byte(words[1])
	case "rstring":
		e.body, err = regexp.Compile(words[1])
	default:
		err = fmt.Errorf("%q is not supported", words[0])
	}
	if err != nil {
		return fmt.Errorf("http-check expect: %w", err)
	}
	return nil
}

// parseCodes reads "200-299,301".
func parseCodes(list string) (codes [][2]int, err error) {
	for word := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(word, "-")
		a, err := strconv.Atoi(low)
		z := a
		if err == nil && ranged {
			z, err = strconv.Atoi(high)
		}
		if err != nil || a < 100 || z > 999 || z < a {
			return nil, fmt.Errorf("invalid status codes %q", word)
		}
		codes = append(codes, [2]int{a, z})
	}
	return codes, nil
}

// checkBuffers are lent to checks while they read.
var checkBuffers = h1.NewPool(0)

// run asks on c and judges the answer.
func (h *HTTPCheck) run(nc net.Conn) outcome {
	if _, err := nc.Write(h.request); err != nil {
		return failed(err, false, SocketError, L7Timeout)
	}
	var c h1.Conn
	var r h1.Reader
	c.Init(nc)
	r.Init(&c, checkBuffers)
	defer r.Release()
	var res stream.Response
	if err := r.ReadResponse(&res, &h1.Limits{}, h.head, false); err != nil {
		return failedAnswer(err)
	}
	found := outcome{status: L7OK, code: res.Status}
	reason := string(res.Reason)
	if h.on404 && res.Status == 404 {
		found.status = L7OKConditional
		return found
	}
	if !h.needBody {
		if !h.expect.statusOK(res.Status) {
			found.status, found.info = L7Status, reason
		}
		return found
	}
	body, err := readBody(&r)
	if err != nil {
		return failedAnswer(err)
	}
	switch {
	case len(body) == 0:
		found.status, found.info = L7Response, "HTTP content check could not find a response body"
	case h.expect.bodyOK(body):
	case h.expect.not:
		found.status, found.info = L7Response, "HTTP check matched unwanted content"
	default:
		found.status, found.info = L7Response, "HTTP content check did not match"
	}
	return found
}

// failedAnswer is the outcome of an answer that did not come or was no HTTP.
func failedAnswer(err error) outcome {
	var malformed *h1.Error
	switch {
	case err == io.EOF: // closed without a word, which HAProxy counts as the socket's failure
		return outcome{status: SocketError}
	case errors.As(err, &malformed), errors.Is(err, h1.ErrTruncated):
		return outcome{status: L7Response}
	}
	return failed(err, false, SocketError, L7Timeout)
}

func readBody(r *h1.Reader) ([]byte, error) {
	var body []byte
	for len(body) < maxCheckBody {
		p, err := r.Body()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		body = append(body, p[:min(len(p), maxCheckBody-len(body))]...)
	}
	return body, nil
}

func (e *expect) statusOK(code int) bool {
	match := e.codes != nil && e.codes.MatchString(strconv.Itoa(code))
	for _, r := range e.status {
		match = match || (code >= r[0] && code <= r[1])
	}
	return match != e.not
}

func (e *expect) bodyOK(body []byte) bool {
	match := e.text != nil && bytes.Contains(body, e.text)
	if e.body != nil {
		match = e.body.Match(body)
	}
	return match != e.not
}

// sslHello asks whether a server speaks TLS at all: it sends a ClientHello and takes any handshake or alert-free record for a
// yes, without going on (manual, `option ssl-hello-chk`).
func sslHello(c net.Conn) outcome {
	if _, err := c.Write(clientHello()); err != nil {
		return failed(err, false, SocketError, L6Timeout)
	}
	var record [5]byte
	if _, err := io.ReadFull(c, record[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return outcome{status: L6Response}
		}
		return failed(err, false, L6Response, L6Timeout)
	}
	if record[0] != 22 { // handshake (RFC 8446 section 5.1)
		return outcome{status: L6Response}
	}
	return outcome{status: L6OK}
}

// clientHello is a TLS 1.2 ClientHello that offers what nearly every server accepts (RFC 5246 section 7.4.1.2). The answer is
// not used, so the random bytes protect nothing.
func clientHello() []byte {
	suites := []uint16{0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0x000a}
	hello := []byte{3, 3}
	hello = append(hello, make([]byte, 32)...)
	rand.Read(hello[2:34])
	hello = append(hello, 0) // no session
	hello = binary.BigEndian.AppendUint16(hello, uint16(2*len(suites)))
	for _, s := range suites {
		hello = binary.BigEndian.AppendUint16(hello, s)
	}
	hello = append(hello, 1, 0) // no compression
	extensions := []byte{
		0, 10, 0, 8, 0, 6, 0, 29, 0, 23, 0, 24, // supported_groups: x25519, secp256r1, secp384r1
		0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
		0, 13, 0, 16, 0, 14, 4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 5, 1, 2, 1, // signature_algorithms
	}
	hello = binary.BigEndian.AppendUint16(hello, uint16(len(extensions)))
	hello = append(hello, extensions...)
	message := append([]byte{1, 0, byte(len(hello) >> 8), byte(len(hello))}, hello...)
	record := append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
	return record
}
