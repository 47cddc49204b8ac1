package rule

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/stream"
)

// dateConverters write and read dates (manual 7.3.1).
func dateConverters() []converter {
	const str, num = stream.KindStr, stream.KindInt
	layout := takes(1, argStr, argInt)
	return []converter{
		{"date", takes(0, argInt, argStr), str, num, false, "HTTP date as seconds since 1970", pure(parseHTTPDate)},
		{"http_date", takes(0, argInt, argStr), num, str, false, "HTTP date of a time since 1970, plus an offset, in s, ms or us", bindHTTPDate},
		{"ltime", layout, num, str, false, "seconds since 1970 as strftime writes them, local", bindTime(1, false)},
		{"utime", layout, num, str, false, "seconds since 1970 as strftime writes them, GMT", bindTime(1, true)},
		{"ms_ltime", layout, num, str, false, "milliseconds since 1970 as strftime writes them, with %N, local", bindTime(1e3, false)},
		{"ms_utime", layout, num, str, false, "milliseconds since 1970 as strftime writes them, with %N, GMT", bindTime(1e3, true)},
		{"us_ltime", layout, num, str, false, "microseconds since 1970 as strftime writes them, with %N, local", bindTime(1e6, false)},
		{"us_utime", layout, num, str, false, "microseconds since 1970 as strftime writes them, with %N, GMT", bindTime(1e6, true)},
	}
}

// parseHTTPDate reads the three forms of RFC 9110 section 5.6.7.
func parseHTTPDate(_ *stream.Stream, v Value) (Value, bool) {
	if len(v.Bytes) > 64 {
		return Value{}, false
	}
	t, err := http.ParseTime(string(v.Bytes))
	return integer(t.Unix()), err == nil
}

func bindHTTPDate(a args) (convFunc, error) {
	div, ok := timeUnits[a.str(1)]
	if !ok {
		return nil, errTimeUnit(a.str(1))
	}
	offset, fraction, unit := a.num(0, 0), a.str(1) == "ms" || a.str(1) == "us", 1e6/div
	return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
		n := addCapped(v.Int, offset)
		b := time.Unix(bounded(n/unit), 0).UTC().AppendFormat(s.Work(), "Mon, 02 Jan 2006 15:04:05")
		if fraction { // not padded, as HAProxy has it
			b = strconv.AppendInt(append(b, '.'), n%unit, 10)
		}
		return text(s.Return(append(b, " GMT"...))), true
	}, nil
}

func errTimeUnit(word string) error {
	return fmt.Errorf("expects 's', 'ms' or 'us', got '%s'", word)
}

// bounded keeps a count of seconds within the 55 bits that HAProxy gives a date.
func bounded(sec int64) int64 { return sec & (1<<55 - 1) }

// bindTime makes the converters of times that count unit to a second.
func bindTime(unit int64, utc bool) func(args) (convFunc, error) {
	return func(a args) (convFunc, error) {
		f, offset := compileTime(a.str(0), unit > 1), a.num(1, 0)
		return func(s *stream.Stream, _ Env, v Value) (Value, bool) {
			sec, ns := v.Int, int64(0)
			if unit > 1 {
				sec, ns = v.Int/unit, v.Int%unit*(1e9/unit)
			} else {
				sec = bounded(sec)
			}
			t := time.Unix(addCapped(sec, offset), ns)
			if utc {
				t = t.UTC()
			} else {
				t = t.Local()
			}
			if y := t.Year(); y < 0 || y > 9999 {
				return text(nil), true // strftime has no room for it either
			}
			return text(s.Return(f.append(s.Work(), t))), true
		}, nil
	}
}
