package proxy

import (
	"bytes"
	"fmt"
	"strconv"

	"gatehouse/internal/h1"
	"gatehouse/internal/stream"
)

// page is one answer of ours, ready to be sent.
type page struct {
	status int
	reason []byte
	fields []stream.Field
	body   []byte
	silent bool // an empty error file: close without an answer
	close  bool
}

// ErrorPages are the answers of one proxy to requests that fail, by status. It is immutable.
type ErrorPages struct {
	pages map[int]*page
}

// sentences are what HAProxy tells people, by status (surface 4.16).
var sentences = []struct {
	status           int
	reason, sentence string
}{
	{200, "OK", "Service ready."},
	{400, "Bad request", "Your browser sent an invalid request."},
	{401, "Unauthorized", "You need a valid user and password to access this content."},
	{403, "Forbidden", "Request forbidden by administrative rules."},
	{404, "Not Found", "The resource could not be found."},
	{405, "Method Not Allowed", "A request was made of a resource using a request method not supported by that resource."},
	{407, "Unauthorized", "You need a valid user and password to access this content."},
	{408, "Request Time-out", "Your browser didn't send a complete request in time."},
	{410, "Gone", "The resource is no longer available and will not be available again."},
	{413, "Payload Too Large", "The request entity exceeds the maximum allowed."},
	{414, "URI Too Long", "The URI provided was too long for the server to process."},
	{421, "Misdirected Request", "Request sent to a non-authoritative server."},
	{422, "Unprocessable Content", "The server cannot process the contained instructions."},
	{425, "Too Early", "Your browser sent early data."},
	{429, "Too Many Requests", "You have sent too many requests in a given amount of time."},
	{431, "Request Header Fields Too Large", "Request Header Fields Too Large."},
	{500, "Internal Server Error", "An internal server error occurred."},
	{501, "Not Implemented", "The server does not support the functionality required to fulfill the request."},
	{502, "Bad Gateway", "The server returned an invalid or incomplete response."},
	{503, "Service Unavailable", "No server is available to handle this request."},
	{504, "Gateway Time-out", "The server didn't respond in time."},
}

// builtin are the pages of a proxy that sets none.
var builtin = func() *ErrorPages {
	e := &ErrorPages{pages: map[int]*page{}}
	for _, s := range sentences {
		e.pages[s.status] = &page{
			status: s.status,
			reason: []byte(s.reason),
			fields: []stream.Field{
				{Name: []byte("cache-control"), Value: []byte("no-cache")},
				{Name: []byte("content-type"), Value: []byte("text/html")},
			},
			body:  fmt.Appendf(nil, "<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", s.status, s.reason, s.sentence),
			close: s.status == 400 || s.status == 408,
		}
	}
	return e
}()

// LoadErrorPages builds the pages of a proxy: files maps a status to the content of its errorfile, a whole response; statuses that
// are not named keep the built-in page. An empty file means that nothing is answered. The error names the status.
func LoadErrorPages(files map[int][]byte) (*ErrorPages, error) {
	e := &ErrorPages{pages: map[int]*page{}}
	for status, p := range builtin.pages {
		e.pages[status] = p
	}
	for status, data := range files {
		p, err := parsePage(status, data)
		if err != nil {
			return nil, fmt.Errorf("errorfile %d: %w", status, err)
		}
		e.pages[status] = p
	}
	return e, nil
}

// parsePage reads an error file. Files are often written with bare LF, which the parser takes.
func parsePage(status int, data []byte) (*page, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return &page{status: status, silent: true}, nil
	}
	head, body, err := h1.SplitResponse(bytes.Clone(data))
	if err != nil {
		return nil, err
	}
	p := &page{status: head.Status, reason: head.Reason, body: body, close: !head.KeepAlive}
	p.fields = append(p.fields, head.Fields...)
	if head.Body == stream.BodyLength {
		if head.Length > int64(len(body)) {
			return nil, fmt.Errorf("content-length %d is larger than the body of %d bytes", head.Length, len(body))
		}
		p.body = body[:head.Length]
	}
	return p, nil
}

// get returns the page of a status, and for one that has none an empty answer.
func (e *ErrorPages) get(status int) *page {
	if p := e.pages[status]; p != nil {
		return p
	}
	return &page{status: status, reason: []byte(reasonOf(status))}
}

// reasons of statuses that rules may send without a page (RFC 9110 section 15, HAProxy's spelling where it differs).
var reasons = map[int]string{
	100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
	204: "No Content", 205: "Reset Content", 206: "Partial Content", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Found",
	303: "See Other", 304: "Not Modified", 305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
	402: "Payment Required", 406: "Not Acceptable", 409: "Conflict", 411: "Length Required", 412: "Precondition Failed",
	415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed", 418: "I'm a teapot",
	426: "Upgrade Required", 428: "Precondition Required", 451: "Unavailable For Legal Reasons", 505: "HTTP Version Not Supported",
}

func reasonOf(status int) string {
	if r, ok := reasons[status]; ok {
		return r
	}
	for _, s := range sentences {
		if s.status == status {
			return s.reason
		}
	}
	return strconv.Itoa(status)
}
