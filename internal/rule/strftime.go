package rule

import (
	"strconv"
	"time"
)

// timeFormat is a compiled strftime(3) format in the locale "C".
type timeFormat []timePart

// timePart is text, or one conversion. Exactly one of layout, width and own is set behind text.
type timePart struct {
	text   string
	layout string                               // of package time
	nanos  int                                  // %N: so many digits
	own    func(dst []byte, t time.Time) []byte // what package time does not know
}

// layouts are the conversions that package time can write.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

var timeNumbers = map[byte]func(dst []byte, t time.Time) []byte{
	'C': func(dst []byte, t time.Time) []byte { return appendPadded(dst, t.Year()/100, 2, '0') },
	'g': func(dst []byte, t time.Time) []byte { y, _ := t.ISOWeek(); return appendPadded(dst, y%100, 2, '0') },
	'G': func(dst []byte, t time.Time) []byte { y, _ := t.ISOWeek(); return appendPadded(dst, y, 4, '0') },
	'k': func(dst []byte, t time.Time) []byte { return appendPadded(dst, t.Hour(), 2, ' ') },
	'l': func(dst []byte, t time.Time) []byte { return appendPadded(dst, (t.Hour()+11)%12+1, 2, ' ') },
	'n': func(dst []byte, _ time.Time) []byte { return append(dst, '\n') },
	's': func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.Unix(), 10) },
	't': func(dst []byte, _ time.Time) []byte { return append(dst, '\t') },
	'u': func(dst []byte, t time.Time) []byte { return append(dst, '1'+byte(t.Weekday()+6)%7) },
	'U': func(dst []byte, t time.Time) []byte {
		return appendPadded(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
	},
	'V': func(dst []byte, t time.Time) []byte { _, w := t.ISOWeek(); return appendPadded(dst, w, 2, '0') },
	'w': func(dst []byte, t time.Time) []byte { return append(dst, '0'+byte(t.Weekday())) },
	'W': func(dst []byte, t time.Time) []byte {
		return appendPadded(dst, (t.YearDay()+6-int(t.Weekday()+6)%7)/7, 2, '0')
	},
	'%': func(dst []byte, _ time.Time) []byte { return append(dst, '%') },
}

// compileTime reads a format; fraction allows %N with a width before the N. What it does not know is text.
func compileTime(format string, fraction bool) timeFormat {
	var f timeFormat
	lit := ""
	add := func(p timePart) {
		p.text = lit
		f, lit = append(f, p), ""
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			lit += format[i : i+1]
			continue
		}
		j := i + 1
		for fraction && j < len(format) && format[j] >= '0' && format[j] <= '9' {
			j++
		}
		switch {
		case fraction && j < len(format) && format[j] == 'N':
			width := 9
			if n, err := strconv.Atoi(format[i+1 : j]); err == nil {
				width = min(n, 9)
			}
			add(timePart{nanos: width})
			i = j
			continue
		case format[i+1] == 'E' || format[i+1] == 'O': // alternatives of other locales
			if i++; i+1 == len(format) {
				lit += "%" + format[i:]
				continue
			}
		}
		c := format[i+1]
		switch {
		case layouts[c] != "":
			add(timePart{layout: layouts[c]})
		case timeNumbers[c] != nil:
			add(timePart{own: timeNumbers[c]})
		default:
			lit += "%" + string(c)
		}
		i++
	}
	if lit != "" {
		add(timePart{})
	}
	return f
}

func (f timeFormat) append(dst []byte, t time.Time) []byte {
	for i := range f {
		p := &f[i]
		dst = append(dst, p.text...)
		switch {
		case p.layout != "":
			dst = t.AppendFormat(dst, p.layout)
		case p.own != nil:
			dst = p.own(dst, t)
		case p.nanos > 0:
			n := len(dst)
			dst = appendPadded(dst, t.Nanosecond(), 9, '0')[:n+p.nanos]
		}
	}
	return dst
}

// appendPadded writes a number of 0 or more with at least width characters.
func appendPadded(dst []byte, n, width int, pad byte) []byte {
	low := 1
	for range width - 1 {
		low *= 10
	}
	for ; low > 1 && n < low; low /= 10 {
		dst = append(dst, pad)
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
