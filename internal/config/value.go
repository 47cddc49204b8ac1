package config

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Errors of ParseTime whose wording HAProxy keeps per keyword; test with errors.Is.
var (
	ErrTimeOver  = errors.New("timer overflow")
	ErrTimeUnder = errors.New("timer underflow")
)

// CharError is an unexpected character in a time or a size; At is its offset.
type CharError struct {
	Text string
	At   int
}

// Char is the unexpected character, 0 at the end of the text.
func (e *CharError) Char() byte {
	if e.At >= len(e.Text) {
		return 0
	}
	return e.Text[e.At]
}

func (e *CharError) Error() string {
	return fmt.Sprintf("unexpected character '%c' in '%s'", e.Char(), e.Text)
}

var timeUnits = []struct {
	name string
	unit time.Duration
}{
	{"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second},
	{"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
}

// ParseTime reads a time such as "5s" (manual section 2.5): an integer and us, ms, s, m, h or d; without a suffix it
// counts unit. The result is rounded up to a multiple of unit, as HAProxy stores it. Errors are ErrTimeOver (more
// than 2^31 units), ErrTimeUnder (not zero, yet rounds to none) or a *CharError.
func ParseTime(s string, unit time.Duration) (time.Duration, error) {
	if s == "" || !isDigit(s[0]) {
		return 0, &CharError{s, 0}
	}
	n, i := readDigits(s)
	own := unit
	if i < len(s) {
		suffix := s[i:]
		own = 0
		for _, u := range timeUnits {
			if suffix == u.name {
				own = u.unit
			}
		}
		if own == 0 {
			return 0, &CharError{s, i + badSuffix(suffix)}
		}
	}
	if n > uint64(math.MaxInt64/int64(own)) {
		return 0, ErrTimeOver
	}
	d := time.Duration(n) * own
	units := d / unit
	if d%unit > 0 {
		units++
	}
	if units > math.MaxInt32 {
		return 0, ErrTimeOver
	}
	return units * unit, nil
}

// badSuffix finds the first character that no unit continues with.
func badSuffix(s string) int {
	known := 0
	for _, u := range timeUnits {
		n := 0
		for n < len(s) && n < len(u.name) && s[n] == u.name[n] {
			n++
		}
		known = max(known, n)
	}
	return known
}

// readDigits reads leading digits, saturating, and returns the offset after them.
func readDigits(s string) (uint64, int) {
	var n uint64
	i := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		if n > (math.MaxUint64-9)/10 {
			n = math.MaxUint64 / 10
			continue
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, i
}

// ParseSize reads a size such as "64k": an integer and k, m or g in any case, by 1024 (manual section 2.6).
// The limit is 2^32-1; errors are a *CharError.
func ParseSize(s string) (int64, error) {
	if s == "" || !isDigit(s[0]) {
		return 0, &CharError{s, 0}
	}
	n, i := readDigits(s)
	if n > math.MaxUint32 {
		return 0, &CharError{s, max(i-1, 0)}
	}
	shift := 0
	if i < len(s) {
		switch s[i] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		default:
			return 0, &CharError{s, i}
		}
		if n > math.MaxUint32>>shift {
			return 0, &CharError{s, i}
		}
		if i+1 < len(s) {
			return 0, &CharError{s, i + 1}
		}
	}
	return int64(n) << shift, nil
}

// atol reads a decimal integer as C's atol does: leading spaces, a sign, digits, and whatever follows is ignored.
func atol(s string) int {
	n, _ := strtol(s)
	return n
}

// strtol is atol with the offset of the first character that was not used.
func strtol(s string) (int, int) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	neg := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	n, used := readDigits(s[i:])
	if used == 0 {
		return 0, 0
	}
	v := int(min(n, math.MaxInt32))
	if neg {
		v = -v
	}
	return v, i + used
}
