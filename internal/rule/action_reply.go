package rule

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/internal/stream"
)

func replyActions() []action {
	return []action{
		{"return", atRequest | atResponse, "answer in the server's stead", bindReply(VerdictReturn, 200, 200)},
		{"deny", atRequest | atResponse, "refuse with an error page or an answer of one's own", bindReply(VerdictDeny, 403, 502)},
		{"tarpit", atRequest, "refuse after timeout tarpit", bindReply(VerdictTarpit, 500)},
		{"redirect", atRequest | atResponse, "send the client elsewhere", bindRedirect},
	}
}

// errorFileCodes are the statuses that have an error page.
var errorFileCodes = map[int]bool{200: true, 400: true, 401: true, 403: true, 404: true, 405: true, 407: true, 408: true, 410: true,
	413: true, 414: true, 421: true, 422: true, 425: true, 429: true, 431: true, 500: true, 501: true, 502: true, 503: true, 504: true}

// reasons are the phrases HAProxy sends where they are not those of the IANA registry.
var reasons = map[int]string{
	210: "Content Different", 300: "Multiple Choices", 310: "Too many Redirects", 408: "Request Time-out", 414: "Request-URI Too Long",
	416: "Requested range unsatisfiable", 417: "Expectation failed", 422: "Unprocessable Content", 424: "Method failure", 449: "Retry With",
	450: "Blocked by Windows Parental Controls", 456: "Unrecoverable Error", 499: "client has closed connection",
	502: "Bad Gateway or Proxy Error", 504: "Gateway Time-out", 505: "HTTP Version not supported", 506: "Variant also negotiate",
	507: "Insufficient storage", 508: "Loop detected", 509: "Bandwidth Limit Exceeded", 510: "Not extended",
	511: "Network authentication required", 520: "Web server is returning an unknown error",
}

// ReasonOf returns the reason phrase that HAProxy sends with a status.
func ReasonOf(status int) string {
	if t := reasons[status]; t != "" {
		return t
	}
	if t := http.StatusText(status); t != "" && status != 208 {
		return t
	}
	return [...]string{"Informational", "Success", "Redirection", "Client Error", "Server Error"}[max(min(status/100, 5), 1)-1]
}

// answer puts a reply into the stream.
func answer(s *stream.Stream, kind VerdictKind, r Reply) Verdict {
	r.Fields = s.Reply.Fields[:0]
	s.Reply = r
	return Verdict{Kind: kind, Reply: &s.Reply, Status: r.Status}
}

// replySpec is a compiled return, deny or tarpit.
type replySpec struct {
	kind        VerdictKind
	status      int
	contentType []byte
	body        *Format // nil: raw, or the error page
	raw         []byte
	source      string // which argument gave the body, "" for none
	file        *Reply // a whole response read from a file
	fields      []replyField
}

type replyField struct {
	name  []byte
	value *Format
}

// bindReply makes return, deny and tarpit; usual is their status when the rule names none, on a request and on a response.
func bindReply(kind VerdictKind, usual ...int) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		r := &replySpec{kind: kind, status: usual[0]}
		if p.at == atResponse {
			r.status = usual[1]
		}
		if kind != VerdictReturn && plainDeny(p.words) {
			r.source = "default-errorfiles"
		}
		for len(p.words) > 0 {
			used, err := r.argument(p)
			if err != nil {
				return nil, err
			}
			if !used {
				break
			}
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		if len(r.contentType) > 0 && r.body == nil && len(r.raw) == 0 && r.file == nil {
			p.c.Diags.Warning(p.pos, "content-type '%s' ignored by the http reply because neither errorfile nor payload defined.", r.contentType)
		}
		return r.run, nil
	}
}

// plainDeny reports whether a deny rule says no more than its status the old way: the error page is sent then, and only then,
// without being asked for.
func plainDeny(words []string) bool {
	if len(words) > 1 && words[0] == "deny_status" {
		words = words[2:]
	}
	return len(words) == 0 || isCondWord(words[0])
}

// argument reads one argument of the reply; false when the next word is none.
func (r *replySpec) argument(p *ruleParser) (bool, error) {
	word := p.words[0]
	expect := map[string]string{"status": "<status_code>", "deny_status": "<status_code>", "content-type": "<ctype>", "errorfile": "<fmt>",
		"file": "<file>", "string": "<str>", "lf-file": "<file>", "lf-string": "<fmt>"}[word]
	switch {
	case word == "default-errorfiles":
		p.next()
		return true, r.claim(word)
	case word == "errorfiles":
		return true, fmt.Errorf("'errorfiles' is not supported")
	case word == "hdr":
		p.next()
		w, err := p.take(2, "'hdr' expects <name> and <value> as arguments")
		if err == nil {
			err = r.addField(p, w[0], w[1])
		}
		return true, err
	case expect == "", word == "deny_status" && r.kind == VerdictReturn:
		return false, nil
	}
	p.next()
	w, err := p.take(1, fmt.Sprintf("'%s' expects %s as argument", word, expect))
	if err != nil {
		return true, err
	}
	switch word {
	case "status", "deny_status":
		return true, r.setStatus(w[0])
	case "content-type":
		r.contentType = []byte(w[0])
		if !headerSafe([]byte(w[0])) {
			err = fmt.Errorf("a header value must not contain CR, LF or NUL")
		}
		return true, err
	}
	if err := r.claim(word); err != nil {
		return true, err
	}
	return true, r.setBody(p, word, w[0])
}

// claim notes which argument gives the body; a second one is refused.
func (r *replySpec) claim(word string) error {
	if r.source != "" {
		return fmt.Errorf("unexpected '%s' argument, '%s' already defined", word, r.source)
	}
	r.source = word
	return nil
}

func (r *replySpec) setStatus(word string) error {
	n := leadingInt([]byte(word))
	if n < 200 || n > 599 {
		return fmt.Errorf("Unexpected status code '%d'", n)
	}
	r.status = int(n)
	return nil
}

func (r *replySpec) addField(p *ruleParser, name, value string) error {
	n, err := fieldName(name)
	if err != nil {
		return err
	}
	f, err := p.fieldFormat(value)
	if err != nil {
		return err
	}
	r.fields = append(r.fields, replyField{n, f})
	return nil
}

func (r *replySpec) setBody(p *ruleParser, word, value string) error {
	data := []byte(value)
	if strings.HasSuffix(word, "file") {
		var err error
		if data, err = p.c.readFile(value); err != nil {
			return fmt.Errorf("error opening file '%s'", value)
		}
		if len(data) > maxFormat {
			return fmt.Errorf("file '%s' exceeds the buffer size (%d > %d)", value, len(data), maxFormat)
		}
	}
	var err error
	switch word {
	case "string", "file":
		r.raw = data
	case "lf-string", "lf-file":
		r.body, err = p.bodyFormat(string(data))
	case "errorfile":
		if r.file, err = ParseReply(data); err != nil {
			err = fmt.Errorf("'%s': %w", value, err)
		}
	}
	return err
}

func (r *replySpec) check() error {
	switch {
	case r.source == "default-errorfiles" && !errorFileCodes[r.status]:
		return fmt.Errorf("status code '%d' not handled by default with 'default-errorfiles' argument", r.status)
	case (len(r.raw) > 0 || r.body != nil) && len(r.contentType) == 0:
		if r.body != nil {
			return fmt.Errorf("a content type must be defined with a log-format payload")
		}
		return fmt.Errorf("a content type must be defined when non-empty payload is configured")
	case (len(r.raw) > 0 || r.body != nil) && (r.status == 204 || r.status == 304):
		return fmt.Errorf("No body expected for %d responses", r.status)
	}
	return nil
}

func (r *replySpec) run(s *stream.Stream, env Env) Verdict {
	reply := Reply{Status: r.status}
	switch {
	case r.file != nil:
		reply.Status, reply.Reason, reply.Body = r.file.Status, r.file.Reason, r.file.Body
	case r.source == "default-errorfiles":
		reply.ErrorFile = r.status
	case r.body != nil:
		reply.Body = r.body.bytes(s, env)
	default:
		reply.Body = r.raw
	}
	v := answer(s, r.kind, reply)
	fields := &s.Reply.Fields
	if r.file != nil {
		*fields = append(*fields, r.file.Fields...)
	}
	for i := range r.fields {
		f := &r.fields[i]
		*fields = append(*fields, stream.Field{Name: f.name, Value: fieldValue(f.value.bytes(s, env))})
	}
	if r.file == nil && len(reply.Body) > 0 {
		*fields = append(*fields, stream.Field{Name: contentType, Value: r.contentType})
	}
	return v
}

var contentType = []byte("content-type")

// ParseReply reads a whole HTTP/1 response, as an errorfile holds it. Its framing fields are left out: the codec writes them.
func ParseReply(data []byte) (*Reply, error) {
	head, body, ok := cutHead(data)
	if !ok {
		return nil, fmt.Errorf("unable to parse headers (error offset: 0)")
	}
	r := &Reply{Body: body}
	for i, line := range strings.Split(head, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if i == 0 {
			if r.Status, r.Reason, ok = statusLine(line); !ok {
				return nil, fmt.Errorf("unable to parse headers (error offset: 0)")
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken([]byte(name)) || !headerSafe([]byte(value)) {
			return nil, fmt.Errorf("unable to parse headers (error at '%.32s')", line)
		}
		if name = strings.ToLower(name); framingFields[name] {
			r.Close = r.Close || name == "connection" && strings.EqualFold(strings.TrimSpace(value), "close")
			continue
		}
		r.Fields = append(r.Fields, stream.Field{Name: []byte(name), Value: []byte(strings.Trim(value, " \t"))})
	}
	return r, nil
}

// cutHead splits a response at its empty line.
func cutHead(data []byte) (head string, body []byte, ok bool) {
	for _, sep := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(data, []byte(sep)); i >= 0 {
			return string(data[:i]), data[i+len(sep):], true
		}
	}
	return "", nil, false
}

func statusLine(line string) (status int, reason string, ok bool) {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	return status, reason, strings.HasPrefix(version, "HTTP/") && err == nil && status >= 200 && status <= 599 && headerSafe([]byte(reason))
}
