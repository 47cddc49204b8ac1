package proxy

import (
	"fmt"

	"gatehouse/internal/rule"
	"gatehouse/internal/stream"
)

// ErrorPages are the answers of one proxy to requests that fail, by status. It is immutable.
type ErrorPages struct {
	pages map[int]*rule.Answer
}

// NewErrorPages makes the pages of a proxy from those it sets itself; it must not change them any more. Nil without any.
func NewErrorPages(own map[int]*rule.Answer) *ErrorPages {
	if len(own) == 0 {
		return nil
	}
	return &ErrorPages{own}
}

// page finds the page of a status; nil when the proxy, which may be nil, has none.
func (e *ErrorPages) page(status int) *rule.Answer {
	if e == nil {
		return nil
	}
	return e.pages[status]
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
	e := &ErrorPages{pages: map[int]*rule.Answer{}}
	for _, s := range sentences {
		e.pages[s.status] = rule.Fixed(&stream.Reply{
			Status: s.status,
			Reason: s.reason,
			Fields: []stream.Field{
				{Name: []byte("cache-control"), Value: []byte("no-cache")},
				{Name: []byte("content-type"), Value: []byte("text/html")},
			},
			Body:  fmt.Appendf(nil, "<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", s.status, s.reason, s.sentence),
			Close: s.status == 400 || s.status == 408,
		})
	}
	return e
}()
