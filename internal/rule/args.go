package rule

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"gatehouse/internal/pattern"
)

// argKind is the type of one argument of a fetch or converter.
type argKind uint8

const (
	argInt argKind = iota
	argStr
	argReg
	argIPv4
	argIPv6
	argMask4
	argMask6
	argBackend
	argFrontend
	argUserlist
	argTable
)

var argNames = [...]string{"integer", "string", "regex", "IPv4 address", "IPv6 address", "IPv4 mask", "IPv6 mask", "backend", "frontend", "userlist", "table"}

// argSpec declares arguments: the first min of kinds are mandatory.
type argSpec struct {
	min   int
	kinds []argKind
}

func takes(min int, kinds ...argKind) argSpec { return argSpec{min, kinds} }

// arg is one parsed argument. str is always the unquoted text.
type arg struct {
	str  string
	num  int64
	re   *regexp.Regexp
	addr netip.Addr
}

// args are the parsed arguments of one fetch or converter and what compiling them may ask.
type args struct {
	list []arg
	c    *Compiler
}

func (a args) len() int { return len(a.list) }

// str returns the i-th argument, "" when it was not given.
func (a args) str(i int) string {
	if i < len(a.list) {
		return a.list[i].str
	}
	return ""
}

// num returns the i-th argument as a number, def when it was not given.
func (a args) num(i int, def int64) int64 {
	if i < len(a.list) {
		return a.list[i].num
	}
	return def
}

// parseArgs reads "(a,b)" at the start of text, if it is there, and returns what follows it. Quotes and backslashes inside the
// parentheses are read a second time, after those of the line (manual 2.2). The error texts are HAProxy's; at is the index
// of the argument that was at fault.
func parseArgs(c *Compiler, text string, spec argSpec) (list []arg, rest string, at int, err error) {
	in, empty := text, true
	if strings.HasPrefix(text, "(") {
		in, empty = text[1:], false
	}
	if len(spec.kinds) > 0 && !(empty && spec.min == 0) {
		for len(list) < len(spec.kinds) {
			word := ""
			if !empty {
				if word, in, err = argWord(in, spec.kinds[len(list)], len(list)); err != nil {
					return nil, in, len(list), err
				}
			}
			a, err := parseArg(word, spec.kinds[len(list)])
			if err == errEmptyArg {
				if len(list) >= spec.min {
					break
				}
				return nil, in, len(list), fmt.Errorf("expected type '%s' at position %d, but got nothing", argNames[spec.kinds[len(list)]], len(list)+1)
			}
			if err != nil {
				return nil, in, len(list), argError(err, word, spec.kinds[len(list)], len(list))
			}
			list = append(list, a)
			if empty || in == "" || in[0] == ')' || len(list) == len(spec.kinds) {
				break
			}
			in = in[1:] // the comma
		}
	}
	if len(list) < spec.min {
		return nil, in, len(list), fmt.Errorf("missing arguments (got %d/%d), type '%s' expected", len(list), spec.min, argNames[spec.kinds[len(list)]])
	}
	switch {
	case empty:
		return list, text, len(list), nil
	case strings.HasPrefix(in, ")"):
		return list, in[1:], len(list), nil
	case in != "":
		err = fmt.Errorf("expected ')' before '%s'", in)
	default:
		err = fmt.Errorf("expected ')'")
	}
	return nil, in, max(len(list)-1, 0), err
}

// argWord unquotes one argument and stops before the "," or ")" that ends it.
func argWord(in string, kind argKind, pos int) (word, rest string, err error) {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(in); i++ {
		switch ch := in[i]; {
		case ch == '"' && quote != '\'', ch == '\'' && quote != '"':
			if quote == ch {
				quote = 0
			} else {
				quote = ch
			}
		case ch == '\\' && quote != '\'':
			if i+1 >= len(in) {
				return "", in[i:], fmt.Errorf("failed to parse '%s' after '%s' as type '%s' at position %d", in[i:], out.String(), argNames[kind], pos+1)
			}
			if r, ok := argEscapes[in[i+1]]; ok {
				out.WriteByte(r)
				i++
			} else {
				out.WriteByte('\\')
			}
		case quote == 0 && (ch == ',' || ch == ')'):
			return out.String(), in[i:], nil
		default:
			out.WriteByte(ch)
		}
	}
	return out.String(), "", nil
}

var argEscapes = map[byte]byte{'\\': '\\', ' ': ' ', '"': '"', '\'': '\'', 'r': '\r', 'n': '\n', 't': '\t'}

var errEmptyArg = fmt.Errorf("empty argument")

func parseArg(word string, kind argKind) (a arg, err error) {
	a.str = word
	if word == "" && kind != argStr && kind != argReg && kind != argBackend && kind != argFrontend && kind != argUserlist && kind != argTable {
		return a, errEmptyArg
	}
	switch kind {
	case argInt:
		a.num, err = strconv.ParseInt(word, 10, 64)
	case argReg:
		a.re, err = compileRegex(word, false)
	case argIPv4, argIPv6:
		a.addr, err = netip.ParseAddr(word)
		if err == nil && a.addr.Is4() != (kind == argIPv4) {
			err = fmt.Errorf("wrong family")
		}
	case argMask4, argMask6:
		a.addr, err = parseMask(word, kind == argMask4)
	}
	return a, err
}

func argError(err error, word string, kind argKind, pos int) error {
	if kind == argReg {
		return err
	}
	return fmt.Errorf("failed to parse '%s' as type '%s' at position %d", word, argNames[kind], pos+1)
}

// parseMask reads a prefix length or a mask written as an address, whose bits may have gaps.
func parseMask(word string, four bool) (netip.Addr, error) {
	full := netip.IPv6Unspecified()
	if four {
		full = netip.IPv4Unspecified()
	}
	if n, err := strconv.Atoi(word); err == nil {
		if n < 0 || n > full.BitLen() {
			return netip.Addr{}, fmt.Errorf("mask length out of range")
		}
		return onesMask(full, n), nil
	}
	a, err := netip.ParseAddr(word)
	if err != nil || a.Is4() != four {
		return netip.Addr{}, fmt.Errorf("not a mask")
	}
	return a, nil
}

// onesMask returns an address of a's family whose first n bits are set.
func onesMask(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	for i := range b {
		b[i] = 0
		for bit := 7; bit >= 0 && n > 0; bit-- {
			b[i] |= 1 << bit
			n--
		}
	}
	r, _ := netip.AddrFromSlice(b)
	return r
}

// compileRegex compiles RE2; the errors are HAProxy's.
func compileRegex(text string, fold bool) (*regexp.Regexp, error) {
	return pattern.CompileRegex(text, fold)
}
