package rule

import (
	"bytes"
	"fmt"
	"slices"

	"gatehouse/internal/stream"
)

// normalizer appends the normal form of a path, a query or both to dst; false says that what it was given is malformed.
type normalizer func(dst, in []byte) ([]byte, bool)

// normalization is one of normalize-uri's: what it works on and how.
type normalization struct {
	part   func(*stream.Request) []byte
	set    setter
	option string // the one word that may follow
	plain  normalizer
	opted  normalizer // with the option
}

var normalizations = map[string]normalization{
	"path-merge-slashes":        {(*stream.Request).Path, setPath, "", mergeSlashes, nil},
	"path-strip-dot":            {(*stream.Request).Path, setPath, "", stripDot, nil},
	"path-strip-dotdot":         {(*stream.Request).Path, setPath, "full", stripDotDot(false), stripDotDot(true)},
	"percent-to-uppercase":      {(*stream.Request).PathQuery, setPathq, "strict", percent(false, false), percent(false, true)},
	"percent-decode-unreserved": {(*stream.Request).PathQuery, setPathq, "strict", percent(true, false), percent(true, true)},
	"query-sort-by-name":        {(*stream.Request).PathQuery, setPathq, "", sortQuery, nil},
	"fragment-strip": {(*stream.Request).PathQuery, setPathq, "", func(dst, in []byte) ([]byte, bool) {
		in, _, _ = bytes.Cut(in, []byte("#"))
		return append(dst, in...), true
	}, nil},
	"fragment-encode": {(*stream.Request).PathQuery, setPathq, "", func(dst, in []byte) ([]byte, bool) {
		for _, c := range in {
			if c == '#' {
				dst = append(dst, "%23"...)
			} else {
				dst = append(dst, c)
			}
		}
		return dst, true
	}, nil},
}

// bindNormalizeURI reads normalize-uri (manual section 4.4): the equivalences of RFC 3986 section 6.2, each a rule of its own.
func bindNormalizeURI(p *ruleParser) (actionFunc, error) {
	if !p.c.Experimental {
		return nil, fmt.Errorf("'normalize-uri' action is experimental, must be allowed via a global 'expose-experimental-directives'")
	}
	word, ok := p.next()
	if !ok {
		return nil, fmt.Errorf("missing argument <normalizer>")
	}
	n, ok := normalizations[word]
	if !ok {
		return nil, fmt.Errorf("unknown normalizer '%s'", word)
	}
	do := n.plain
	if n.option != "" && len(p.words) > 0 && !isCondWord(p.words[0]) {
		if p.words[0] != n.option {
			return nil, fmt.Errorf("unknown argument '%s' for '%s' normalizer", p.words[0], word)
		}
		p.next()
		do = n.opted
	}
	return func(s *stream.Stream, _ Env) Verdict {
		old := n.part(&s.Req)
		if old == nil {
			return goOn
		}
		b, ok := do(s.Work(), old)
		b = s.Return(b)
		switch {
		case !ok:
			return answer(s, VerdictError, Reply{Status: 400, ErrorFile: 400})
		case bytes.Equal(b, old):
			return goOn
		}
		return assignTarget(s, n.set, b)
	}, nil
}

func mergeSlashes(dst, in []byte) ([]byte, bool) {
	for i, c := range in {
		if c != '/' || i == 0 || in[i-1] != '/' {
			dst = append(dst, c)
		}
	}
	return dst, true
}

// stripDot leaves out the segments that are a dot.
func stripDot(dst, in []byte) ([]byte, bool) {
	for more := true; more; {
		var segment []byte
		segment, in, more = bytes.Cut(in, []byte("/"))
		if string(segment) == "." {
			continue
		}
		dst = append(dst, segment...)
		if more {
			dst = append(dst, '/')
		}
	}
	return dst, true
}

// stripDotDot lets every "/../" take the segment before it away, an empty one too. Those that have none left stay in front, unless
// full is set.
func stripDotDot(full bool) normalizer {
	return func(dst, in []byte) ([]byte, bool) {
		start := len(dst)
		if len(in) == 0 || in[0] != '/' {
			return append(dst, in...), true
		}
		floor := start // what lies before it are ".." that had nothing to take
		for rest := in; len(rest) > 0; {
			end := 1
			for end < len(rest) && rest[end] != '/' {
				end++
			}
			segment := rest[:end]
			rest = rest[end:]
			if string(segment) != "/.." {
				dst = append(dst, segment...)
				continue
			}
			switch {
			case len(dst) > floor:
				dst = dst[:floor+bytes.LastIndexByte(dst[floor:], '/')]
			case !full:
				dst = append(dst, segment...)
				floor = len(dst)
			}
			if len(rest) == 0 {
				dst = append(dst, '/')
			}
		}
		if len(dst) == start {
			dst = append(dst, '/')
		}
		return dst, true
	}
}

// percent writes percent-encoded octets with capital digits, or with decode as the unreserved characters that they are. strict
// refuses a "%" that encodes nothing.
func percent(decode, strict bool) normalizer {
	return func(dst, in []byte) ([]byte, bool) {
		for i := 0; i < len(in); i++ {
			if in[i] != '%' {
				dst = append(dst, in[i])
				continue
			}
			if i+2 >= len(in) || !isHex(in[i+1]) || !isHex(in[i+2]) {
				if strict {
					return dst, false
				}
				dst = append(dst, '%')
				continue
			}
			c := unhex(in[i+1])<<4 | unhex(in[i+2])
			switch {
			case !decode:
				dst = append(dst, '%', upperByte(in[i+1]), upperByte(in[i+2]))
			case isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~':
				dst = append(dst, c)
			default:
				dst = append(dst, in[i:i+3]...)
			}
			i += 2
		}
		return dst, true
	}
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// sortQuery orders the parameters by name; those of one name keep their order.
func sortQuery(dst, in []byte) ([]byte, bool) {
	path, query, ok := bytes.Cut(in, []byte("?"))
	dst = append(dst, path...)
	if !ok {
		return dst, true
	}
	var room [64][]byte
	params := room[:0]
	for more := true; more; {
		var one []byte
		one, query, more = bytes.Cut(query, []byte("&"))
		params = append(params, one)
	}
	slices.SortStableFunc(params, func(a, b []byte) int {
		a, _, _ = bytes.Cut(a, []byte("="))
		b, _, _ = bytes.Cut(b, []byte("="))
		return bytes.Compare(a, b)
	})
	for i, one := range params {
		if i == 0 {
			dst = append(dst, '?')
		} else {
			dst = append(dst, '&')
		}
		dst = append(dst, one...)
	}
	return dst, true
}
