package rule

import (
	"bytes"
	"errors"
	"fmt"

	"gatehouse/internal/stream"
)

// targetActions change the request line, and the status line of responses.
func targetActions() []action {
	return []action{
		{"set-method", atRequest, "replace the method", bindSetMethod},
		{"set-path", atRequest, "replace the path, keep the query", bindSetTarget(setPath)},
		{"set-pathq", atRequest, "replace path and query", bindSetTarget(setPathq)},
		{"set-query", atRequest, "replace the query", bindSetTarget(setQuery)},
		{"set-uri", atRequest, "replace the request target", bindSetTarget(setURI)},
		{"replace-path", atRequest, "replace the path if it matches a regular expression", bindReplaceTarget((*stream.Request).Path, setPath)},
		{"replace-pathq", atRequest, "replace path and query if they match", bindReplaceTarget((*stream.Request).PathQuery, setPathq)},
		{"replace-uri", atRequest, "replace the request target if it matches", bindReplaceTarget(func(r *stream.Request) []byte { return r.Target }, setURI)},
		{"set-status", atResponse | atAfter, "replace the status, and its reason", bindSetStatus},
	}
}

func (p *ruleParser) oneFormat() (*Format, error) {
	const usage = "expects exactly 1 argument <format>"
	w, err := p.take(1, usage)
	if err != nil {
		return nil, err
	}
	if len(p.words) > 0 && !isCondWord(p.words[0]) {
		return nil, errors.New(usage)
	}
	return p.httpFormat(w[0])
}

func bindSetMethod(p *ruleParser) (actionFunc, error) {
	f, err := p.oneFormat()
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		m := f.bytes(s, env)
		if !isToken(m) {
			return overflow(s)
		}
		s.Req.Method = m
		return goOn
	}, nil
}

func isToken(b []byte) bool {
	for _, c := range b {
		if !isAlnum(c) && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// setter appends the new target made from the old one and a value.
type setter func(dst, target, value []byte) []byte

func setURI(dst, _, value []byte) []byte { return append(dst, value...) }

// pathBounds delimit the path in a target; one that has none is a path as a whole, as rules may have made it.
func pathBounds(target []byte) (start, end int) {
	path := target
	if p := (&stream.Request{Target: target}).PathQuery(); p != nil {
		path = p
	}
	start = len(target) - len(path)
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	return start, start + len(path)
}

func setPath(dst, target, value []byte) []byte {
	start, end := pathBounds(target)
	return append(append(append(dst, target[:start]...), value...), target[end:]...)
}

func setPathq(dst, target, value []byte) []byte {
	start, _ := pathBounds(target)
	return append(append(dst, target[:start]...), value...)
}

// setQuery keeps a "?" that is there, and adds one only before something.
func setQuery(dst, target, value []byte) []byte {
	i := bytes.IndexByte(target, '?')
	if i >= 0 {
		return append(append(dst, target[:i+1]...), value...)
	}
	dst = append(dst, target...)
	if len(value) > 0 {
		dst = append(append(dst, '?'), value...)
	}
	return dst
}

func bindSetTarget(set setter) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		f, err := p.oneFormat()
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env) Verdict {
			return assignTarget(s, set, f.bytes(s, env))
		}, nil
	}
}

func bindReplaceTarget(part func(*stream.Request) []byte, set setter) func(*ruleParser) (actionFunc, error) {
	return func(p *ruleParser) (actionFunc, error) {
		w, err := p.take(2, "expects exactly 2 arguments <match-regex> and <replace-format>")
		if err != nil {
			return nil, err
		}
		re, f, err := p.replacement(w[0], w[1])
		if err != nil {
			return nil, err
		}
		return func(s *stream.Stream, env Env) Verdict {
			old := part(&s.Req)
			if old == nil || !re.Match(old) { // a target of authority form has no path
				return goOn
			}
			return assignTarget(s, set, replaceWhole(s, env, old, re, f))
		}, nil
	}
}

// assignTarget writes the new target. What would break the request line apart (blanks, control characters) is percent-encoded, and so are
// bytes above 127 (url_dec makes some), which no request line may have, unless the client's target was let pass with such bytes.
func assignTarget(s *stream.Stream, set setter, value []byte) Verdict {
	if s.Size() > maxRewrite {
		return overflow(s)
	}
	t := s.Return(set(s.Work(), s.Req.Target, value))
	encode := &encodeTarget
	if hasHigh(t) && !hasHigh(s.Req.Target) {
		encode = &encodeHigh
	}
	for _, c := range t {
		if encode[c] {
			t = s.Return(appendEncoded(s.Work(), t, '%', encode, false))
			break
		}
	}
	if len(t) == 0 || len(t) > maxFormat || !s.Room.Take(len(t)-len(s.Req.Target)) {
		return overflow(s)
	}
	s.Req.Target = t
	if host := authority(t); host != nil {
		setHost(s, host)
	}
	return goOn
}

var hostName = []byte("host")

// setHost replaces the Host field where it stands.
func setHost(s *stream.Stream, host []byte) {
	for i := range s.Req.Fields {
		if string(s.Req.Fields[i].Name) == "host" {
			s.Req.Fields[i].Value = host
			return
		}
	}
	s.Req.Fields = append(s.Req.Fields, stream.Field{Name: hostName, Value: host})
}

// authority returns the host of a target in absolute form, with which the Host field must agree (RFC 9112 section 3.2.2); nil
// for any other form.
func authority(target []byte) []byte {
	i := bytes.Index(target, []byte("://"))
	if i <= 0 || !isToken(target[:i]) {
		return nil
	}
	rest := target[i+3:]
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[bytes.LastIndexByte(rest, '@')+1:]
}

var (
	encodeTarget = bytesOf("\x7f", [2]int{0, 32})
	encodeHigh   = bytesOf("", [2]int{0, 32}, [2]int{127, 255})
)

func hasHigh(b []byte) bool {
	for _, c := range b {
		if c > 0x7f {
			return true
		}
	}
	return false
}

func bindSetStatus(p *ruleParser) (actionFunc, error) {
	const usage = "expects 1 argument: <status>; or 3 arguments: <status> reason <fmt>"
	w, err := p.take(1, usage)
	if err != nil {
		return nil, err
	}
	n, ok := wholeInt(w[0])
	if !ok || n < 100 || n > 999 {
		return nil, fmt.Errorf("expects an integer status code between 100 and 999")
	}
	var reason *Format
	if len(p.words) > 0 && p.words[0] == "reason" {
		if w, err = p.take(2, usage); err != nil {
			return nil, err
		}
		if reason, err = p.fieldFormat(w[1]); err != nil {
			return nil, err
		}
	}
	return func(s *stream.Stream, env Env) Verdict {
		phrase := s.ScratchString(ReasonOf(int(n)))
		if reason != nil {
			phrase = fieldValue(reason.bytes(s, env))
		}
		s.Res.Status, s.Res.Reason = int(n), phrase
		return goOn
	}, nil
}
