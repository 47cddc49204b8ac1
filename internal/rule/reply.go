package rule

import (
	"fmt"
	"strings"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// Answer is a compiled reply of our own: an error page, or what an http-error line says. It is immutable.
type Answer struct {
	spec *replySpec
}

// Fixed makes an answer that is always r, which must not change any more. A zero LengthAt writes content-length first.
func Fixed(r *Reply) *Answer {
	return &Answer{&replySpec{status: r.Status, source: "errorfile", file: r}}
}

// FixedFor is Fixed for an answer that stands for a status, whatever its own is.
func FixedFor(status int, r *Reply) *Answer {
	return &Answer{&replySpec{status: status, source: "errorfile", file: r}}
}

// Status is the status that the answer has, or replaces.
func (a *Answer) Status() int { return a.spec.status }

// Reply makes the answer to the request of s; it lies in s until Reset, or until the next reply is made.
func (a *Answer) Reply(s *stream.Stream, env Env) *Reply { return a.spec.reply(s, env) }

// HTTPError compiles an http-error line. The answer is nil when the line is wrong, which Diags tells, or when it names the built-in
// page or that of an http-errors section: then section is its name, "" for the built-in one.
func (c *Compiler) HTTPError(line config.ErrorLine) (status int, answer *Answer, section string, ok bool) {
	in := anywhere
	in.name, in.place = line.Keyword, "HTTP error"
	in.knows = knowsRequest | knowsResponse
	p := &ruleParser{c: c, words: line.Words, pos: line.Pos, in: in, at: atAfter, word: line.Keyword}
	r := &replySpec{}
	err := r.parse(p)
	switch {
	case err != nil:
		c.Diags.Alert(line.Pos, "%s : %s", line.Keyword, Alone(err))
	case r.status == 0:
		c.Diags.Alert(line.Pos, "%s : expects at least a <status> as arguments.", line.Keyword)
	case !config.ErrorCode(r.status):
		c.Diags.Alert(line.Pos, "%s: status code '%d' not handled.", line.Keyword, r.status)
	case len(p.words) > 0:
		c.Diags.Alert(line.Pos, "%s : unknown keyword '%s'.", line.Keyword, p.words[0])
	case r.source == "default-errorfiles":
		return r.status, nil, "", true
	case r.source == "errorfiles":
		return r.status, nil, r.section, true
	default:
		return r.status, &Answer{r}, "", true
	}
	return 0, nil, "", false
}

// replySpec is what the arguments of return, deny, tarpit or http-error say.
type replySpec struct {
	status      int
	old         bool // deny_status is another word for status
	contentType []byte
	body        *Format // nil: raw, or the error page
	raw         []byte
	source      string // which argument gave the body, "" for none
	file        *Reply // a whole response read from a file
	section     string // of errorfiles
	fields      []replyField
}

type replyField struct {
	name  []byte
	value *Format
}

// replyArguments are the arguments that take one word, and how HAProxy calls that word.
var replyArguments = map[string]string{"status": "<status_code>", "deny_status": "<status_code>", "content-type": "<ctype>", "errorfile": "<fmt>",
	"errorfiles": "<name>", "file": "<file>", "string": "<str>", "lf-file": "<file>", "lf-string": "<fmt>"}

// parse reads arguments as long as they are ours, and checks what they make together.
func (r *replySpec) parse(p *ruleParser) error {
	for len(p.words) > 0 {
		used, err := r.argument(p)
		if err != nil {
			return err
		}
		if !used {
			break
		}
	}
	return r.check(p)
}

// argument reads one argument of the reply; false when the next word is none.
func (r *replySpec) argument(p *ruleParser) (bool, error) {
	word := p.words[0]
	expect := replyArguments[word]
	switch {
	case word == "default-errorfiles":
		p.next()
		return true, r.claim(word)
	case word == "hdr":
		p.next()
		w, err := p.take(2, "'hdr' expects <name> and <value> as arguments")
		if err == nil {
			err = r.addField(p, w[0], w[1])
		}
		return true, err
	case expect == "", word == "deny_status" && !r.old:
		return false, nil
	}
	p.next()
	body := word != "status" && word != "deny_status" && word != "content-type"
	if body {
		if err := r.claim(word); err != nil {
			return true, err
		}
	}
	w, err := p.take(1, fmt.Sprintf("'%s' expects %s as argument", strings.TrimPrefix(word, "deny_"), expect))
	switch {
	case err != nil:
	case body:
		err = r.setBody(p, word, w[0])
	case word == "content-type":
		r.contentType = []byte(w[0])
		if !headerSafe(r.contentType) {
			err = fmt.Errorf("a header value must not contain CR, LF or NUL")
		}
	default:
		err = r.setStatus(w[0])
	}
	return true, err
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

// addField takes a hdr argument. Three names are left out, as the reply has them anyway.
func (r *replySpec) addField(p *ruleParser, name, value string) error {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "content-type":
		p.c.Diags.Warning(p.pos, "header '%s' always ignored by the http reply.", name)
		return nil
	}
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
	var err error
	switch word {
	case "errorfiles":
		r.section = value
	case "errorfile":
		r.file, err = p.c.ErrorFile(value)
	case "file", "lf-file":
		if data, err = p.c.readFile(value); err != nil {
			return fmt.Errorf("error opening file '%s'", value)
		}
		if limit := p.c.bufSize(); len(data) > limit {
			return fmt.Errorf("file '%s' exceeds the buffer size (%d > %d)", value, len(data), limit)
		}
	}
	switch word {
	case "string", "file":
		r.raw = data
	case "lf-string", "lf-file":
		r.body, err = p.bodyFormat(string(data))
	}
	return err
}

// check holds the arguments against each other, as HAProxy does, and drops those that cannot matter.
func (r *replySpec) check(p *ruleParser) error {
	page := r.source == "errorfile" || r.source == "errorfiles" || r.source == "default-errorfiles"
	ignored := ""
	switch {
	case page && r.file == nil && !config.ErrorCode(r.status):
		return Sentence(fmt.Sprintf("status code '%d' not handled by default with '%s' argument", r.status, r.source))
	case page:
		ignored = "when used with an errorfile"
		if len(r.fields) > 0 {
			p.c.Diags.Warning(p.pos, "hdr parameters ignored by the http reply when used with an errorfile.")
			r.fields = nil
		}
	case r.source == "":
		ignored = "because neither errorfile nor payload defined"
	case (len(r.raw) > 0 || r.body != nil) && (r.status == 204 || r.status == 304):
		return fmt.Errorf("No body expected for %d responses", r.status) //nolint:staticcheck // HAProxy's text
	case r.body != nil && len(r.contentType) == 0:
		return fmt.Errorf("a content type must be defined with a log-format payload")
	case len(r.raw) > 0 && len(r.contentType) == 0:
		return fmt.Errorf("a content type must be defined when non-empty payload is configured")
	case r.body == nil && len(r.raw) == 0:
		ignored = "when used with an empty payload"
	}
	if ignored != "" && len(r.contentType) > 0 {
		p.c.Diags.Warning(p.pos, "content-type '%s' ignored by the http reply %s.", r.contentType, ignored)
		r.contentType = nil
	}
	if r.source == "errorfiles" && p.word != "http-error" {
		r.fromSection(p)
	}
	return nil
}

// fromSection takes the page of an http-errors section. A section without that status leaves an empty answer.
func (r *replySpec) fromSection(p *ruleParser) {
	c := p.c
	if c.Errors == nil {
		return
	}
	pages, ok := c.Errors(r.section)
	if !ok {
		*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Pos: p.pos, Text: fmt.Sprintf(
			"Proxy '%s': unknown http-errors section '%s' referenced by an http reply .", c.Proxy, r.section)})
		return
	}
	if a := pages[r.status]; a != nil {
		r.file = a.spec.file
		return
	}
	*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelWarning, Pos: p.pos, Text: fmt.Sprintf(
		"Proxy '%s': status '%d' referenced by an http reply not declared in http-errors section '%s'.", c.Proxy, r.status, r.section)})
}

// reply puts the answer into the stream.
func (r *replySpec) reply(s *stream.Stream, env Env) *Reply {
	fields := s.Reply.Fields[:0]
	if f := r.file; f != nil {
		s.Reply = *f
		s.Reply.Fields = append(fields, f.Fields...)
		return &s.Reply
	}
	reply := Reply{Status: r.status, Body: r.raw}
	if r.source == "default-errorfiles" {
		reply.ErrorFile = r.status
	}
	if r.body != nil {
		reply.Body = r.body.bytes(s, env)
	}
	for i := range r.fields {
		f := &r.fields[i]
		if v := fieldValue(f.value.bytes(s, env)); len(v) > 0 { // HAProxy leaves empty ones out
			fields = append(fields, stream.Field{Name: f.name, Value: v})
		}
	}
	reply.LengthAt = len(fields)
	if len(reply.Body) > 0 {
		fields = append(fields, stream.Field{Name: contentType, Value: r.contentType})
	}
	reply.Fields = fields
	s.Reply = reply
	return &s.Reply
}

var contentType = []byte("content-type")
