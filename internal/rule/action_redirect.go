package rule

import (
	"bytes"
	"fmt"

	"gatehouse/internal/stream"
)

// redirect is a compiled redirect rule.
type redirect struct {
	kind        string // "location", "prefix" or "scheme"
	to          *Format
	code        int
	dropQuery   bool
	keepQuery   bool
	appendSlash bool
	ignoreEmpty bool
	cookie      *Format
}

const redirectUsage = "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'set-cookie-fmt', 'clear-cookie', 'drop-query', " +
	"'keep-query', 'ignore-empty' or 'append-slash' (was '%s')"

func bindRedirect(p *ruleParser) (actionFunc, error) {
	r := &redirect{code: 302}
	for len(p.words) > 0 && !isCondWord(p.words[0]) {
		if err := r.argument(p); err != nil {
			return nil, err
		}
	}
	if r.to == nil {
		return nil, fmt.Errorf("redirection type expected ('prefix', 'location', or 'scheme')")
	}
	if p.at == atResponse && r.kind != "location" {
		return nil, fmt.Errorf("response only supports redirect type 'location'")
	}
	return r.run, nil
}

func (r *redirect) argument(p *ruleParser) (err error) {
	word, _ := p.next()
	switch word {
	case "drop-query":
		r.dropQuery = true
		return nil
	case "keep-query":
		r.keepQuery = true
		return nil
	case "append-slash":
		r.appendSlash = true
		return nil
	case "ignore-empty":
		r.ignoreEmpty = true
		return nil
	case "location", "prefix", "scheme", "code", "set-cookie", "set-cookie-fmt", "clear-cookie":
	default:
		return fmt.Errorf(redirectUsage, word)
	}
	w, err := p.take(1, fmt.Sprintf("missing argument for '%s'", word))
	if err != nil {
		return err
	}
	switch word {
	case "code":
		n, _ := wholeInt(w[0])
		if n != 301 && n != 302 && n != 303 && n != 307 && n != 308 {
			return fmt.Errorf("'code': unsupported HTTP code '%s' (must be one of 301, 302, 303, 307 or 308)", w[0])
		}
		r.code = int(n)
	case "set-cookie":
		r.cookie, err = literal(w[0] + "; path=/;")
	case "clear-cookie":
		r.cookie, err = literal(w[0] + "; path=/; Max-Age=0;")
	case "set-cookie-fmt":
		r.cookie, err = p.fieldFormat(w[0] + "; path=/;")
	default:
		r.kind = word
		target := w[0]
		if word == "prefix" && target == "/" { // adds nothing, so that a site can redirect within itself
			target = ""
		}
		r.to, err = p.fieldFormat(target)
	}
	return err
}

// literal is a format of plain text.
func literal(t string) (*Format, error) {
	if !headerSafe([]byte(t)) {
		return nil, fmt.Errorf("a header value must not contain CR, LF or NUL")
	}
	return &Format{text: t, nodes: []node{{lit: t}}}, nil
}

var (
	locationName = []byte("location")
	cacheControl = stream.Field{Name: []byte("cache-control"), Value: []byte("no-cache")}
	setCookie    = []byte("set-cookie")
	hostHeader   = header{name: "host"}
)

func (r *redirect) run(s *stream.Stream, env Env) Verdict {
	if s.Size() > maxRewrite {
		return overflow(s)
	}
	to := r.to.bytes(s, env)
	if len(to) == 0 && r.ignoreEmpty && r.kind == "location" {
		return goOn
	}
	location := fieldValue(s.Return(r.appendLocation(s.Work(), s, to)))
	v := answer(s, VerdictRedirect, Reply{Status: r.code})
	fields := &s.Reply.Fields
	*fields = append(*fields, stream.Field{Name: locationName, Value: location})
	if r.code == 302 || r.code == 303 || r.code == 307 {
		*fields = append(*fields, cacheControl)
	}
	if r.cookie != nil {
		*fields = append(*fields, stream.Field{Name: setCookie, Value: fieldValue(r.cookie.bytes(s, env))})
	}
	return v
}

func (r *redirect) appendLocation(dst []byte, s *stream.Stream, to []byte) []byte {
	dst = append(dst, to...)
	if r.kind == "location" {
		if r.keepQuery {
			dst = appendQuery(dst, s.Req.PathQuery())
		}
		return dst
	}
	if r.kind == "scheme" {
		host, _, _ := hostHeader.next(s, cursor{})
		dst = append(append(dst, "://"...), host...)
	}
	path := s.Req.PathQuery()
	if r.dropQuery {
		path = s.Req.Path()
	}
	if path == nil {
		dst = append(dst, '/')
	}
	dst = append(dst, path...)
	if r.appendSlash && len(dst) > 0 && dst[len(dst)-1] != '/' {
		dst = append(dst, '/')
	}
	return dst
}

// appendQuery adds the request's query behind a location, which may have one of its own.
func appendQuery(location, path []byte) []byte {
	i := bytes.IndexByte(path, '?')
	if i < 0 || i+1 == len(path) {
		return location
	}
	switch own := bytes.IndexByte(location, '?'); {
	case own < 0:
		location = append(location, '?')
	case own+1 < len(location):
		location = append(location, '&')
	}
	return append(location, path[i+1:]...)
}
