package rule

import (
	"fmt"
	"regexp"
	"strings"

	"gatehouse/internal/stream"
)

// checkTemplate reports what is wrong with a replacement text: \\0 to \\9 stand for groups, \\xHH for a byte, and a backslash
// before any other character for that character.
func checkTemplate(t string) error {
	for i := 0; i < len(t); i++ {
		if t[i] != '\\' {
			continue
		}
		if i++; i == len(t) {
			return fmt.Errorf("invalid replacement string: nothing behind the last backslash")
		}
		if t[i] != 'x' {
			continue
		}
		if _, ok := templateByte([]byte(t), i+1); !ok {
			return fmt.Errorf("invalid replacement string: \\x needs two hexadecimal digits")
		}
		i += 2
	}
	return nil
}

// templateByte reads the two hexadecimal digits at i.
func templateByte(t []byte, i int) (byte, bool) {
	if i+1 >= len(t) {
		return 0, false
	}
	hi, ok1 := hexDigit(t[i])
	lo, ok2 := hexDigit(t[i+1])
	return hi<<4 | lo, ok1 && ok2
}

// expand appends the replacement tpl for the match m (as of FindSubmatchIndex) in b. What checkTemplate refuses is copied. It
// stops when dst has become too large to be a value.
func expand(dst, tpl, b []byte, m []int) []byte {
	for i := 0; i < len(tpl) && len(dst) <= 2*maxValue; i++ {
		c := tpl[i]
		if c != '\\' || i+1 == len(tpl) {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = tpl[i]; {
		case c >= '0' && c <= '9':
			if g := 2 * int(c-'0'); g+1 < len(m) && m[g] >= 0 {
				dst = append(dst, b[m[g]:m[g+1]]...)
			}
		case c == 'x':
			if v, ok := templateByte(tpl, i+1); ok {
				dst = append(dst, v)
				i += 2
			}
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// maxMatches bounds the replacements in one value.
const maxMatches = 1024

// substitute appends b with its matches replaced: the first one, or all.
func substitute(dst, b []byte, re *regexp.Regexp, tpl []byte, all bool) []byte {
	n := 1
	if all {
		n = maxMatches
	}
	from := 0
	for _, m := range re.FindAllSubmatchIndex(b, n) {
		dst = append(dst, b[from:m[0]]...)
		dst = expand(dst, tpl, b, m)
		if from = m[1]; len(dst) > maxValue {
			break // the value fails anyway
		}
	}
	return append(dst, b[from:]...)
}

func bindRegsub(a args) (convFunc, error) {
	flags := a.str(2)
	if strings.Trim(flags, "gi") != "" {
		return nil, fmt.Errorf("invalid regex flag '%s', only 'i' and 'g' are supported", flags)
	}
	re, err := compileRegex(a.str(0), strings.Contains(flags, "i"))
	if err != nil {
		return nil, err
	}
	tpl := []byte(a.str(1))
	if err := checkTemplate(a.str(1)); err != nil {
		return nil, err
	}
	all := strings.Contains(flags, "g")
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		if !re.Match(v.Bytes) {
			return v, true
		}
		return text(s.Return(substitute(s.Work(), v.Bytes, re, tpl, all))), true
	}, nil
}
