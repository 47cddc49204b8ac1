package pattern

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// span is an inclusive range of numbers.
type span struct{ lo, hi int64 }

// parseSpan reads "5", "1:5", "1:" or ":5"; a dash separates as well as a colon. number reads what stands at the ends, noun
// names it for the error.
func parseSpan(text string, number func(string) (int64, bool), noun string) (span, error) {
	i := strings.IndexAny(text, ":-")
	if i < 0 && text != "" {
		n, ok := number(text)
		if !ok {
			return span{}, fmt.Errorf("'%s' is not a %s", text, noun)
		}
		return span{n, n}, nil
	}
	wrong := fmt.Errorf("'%s' is not a valid %s range", text, noun)
	if text == "" || len(text) == 1 {
		return span{}, wrong
	}
	s, ok := span{math.MinInt64, math.MaxInt64}, true
	if i > 0 {
		s.lo, ok = number(text[:i])
	}
	if ok && i < len(text)-1 {
		s.hi, ok = number(text[i+1:])
	}
	if !ok || s.lo > s.hi {
		return span{}, wrong
	}
	return s, nil
}

// Number reads a whole number as HAProxy's configuration does: digits, with a minus before them or not.
func Number(text string) (int64, bool) {
	if text == "" || text[0] == '+' || text[0] == '-' && len(text) == 1 {
		return 0, text == "-"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// Version reads "3" or "3.1" as major<<16 | minor, each below 65536.
func Version(text string) (int64, bool) {
	major, minor, dotted := strings.Cut(text, ".")
	a, ok := Number(major)
	b, ok2 := int64(0), true
	if dotted {
		b, ok2 = Number(minor)
	}
	return a<<16 | b&0xffff, ok && ok2 && a < 65536 && b < 65536
}

// valueNumber reads a map's value: all of it must be digits behind an optional sign; what is too large stays at the end of the range,
// and nothing is 0.
func valueNumber(text string) (int64, bool) {
	neg := strings.HasPrefix(text, "-")
	digits := text
	if neg || strings.HasPrefix(text, "+") {
		digits = text[1:]
	}
	if strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil && neg:
		return math.MinInt64, true
	case neg:
		return -n, true
	}
	return n, true
}

// network is one ip pattern: a prefix, or an IPv4 address and a mask whose bits are not contiguous.
type network struct {
	prefix     netip.Prefix
	addr, mask uint32 // when prefix is not valid
}

func parseNetwork(text string) (network, error) {
	wrong := fmt.Errorf("'%s' is not a valid IPv4 or IPv6 address", text)
	host, mask, masked := text, "", false
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		host, mask, masked = text[:i], text[i+1:], true
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return network{}, wrong
	}
	bits := a.BitLen()
	switch {
	case !masked:
	case a.Is4() && strings.Contains(mask, "."):
		m, err := netip.ParseAddr(mask)
		if err != nil || !m.Is4() {
			return network{}, wrong
		}
		word := ipv4Word(m)
		if bits = prefixLength(word); bits < 0 {
			return network{addr: ipv4Word(a) & word, mask: word}, nil
		}
	default:
		n, err := strconv.Atoi(mask)
		if err != nil || n < 0 || n > bits {
			return network{}, wrong
		}
		bits = n
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return network{}, wrong
	}
	return network{prefix: p}, nil
}

func ipv4Word(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// prefixLength is how many leading bits of a mask are set, -1 when others are set too.
func prefixLength(mask uint32) int {
	for n := 0; n <= 32; n++ {
		if mask == ^uint32(0)<<(32-n) {
			return n
		}
	}
	return -1
}

// ParseHex reads the bytes that pairs of hexadecimal digits stand for. The errors are HAProxy's.
func ParseHex(text string) (string, error) {
	if len(text)%2 != 0 {
		return "", errors.New("an even number of hex digit is expected")
	}
	b := make([]byte, 0, len(text)/2)
	for i := 0; i < len(text); i += 2 {
		for j := i; j < i+2; j++ {
			if !isHex(text[j]) {
				return "", fmt.Errorf("an hex digit is expected (found '%c')", text[j])
			}
		}
		n, err := strconv.ParseUint(text[i:i+2], 16, 8)
		if err != nil {
			return "", err
		}
		b = append(b, byte(n))
	}
	return string(b), nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// maxRegex bounds the text of one regular expression; RE2 runs in linear time, its size still costs memory.
const maxRegex = 4096

// CompileRegex compiles RE2. HAProxy's text around the engine's own reason is kept.
func CompileRegex(text string, fold bool) (*regexp.Regexp, error) {
	if len(text) > maxRegex {
		return nil, fmt.Errorf("regex '%.32s...' is longer than %d bytes", text, maxRegex)
	}
	re, err := regexp.Compile(text) // without flags, so that the reason shows what was written
	if err != nil {
		return nil, fmt.Errorf("regex '%s' is invalid (error=%s)", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if fold {
		return regexp.Compile("(?i:" + text + ")")
	}
	return re, nil
}
