package stream

import (
	"strings"
	"sync/atomic"
	"time"
)

// Date writes times in one layout. What it wrote last serves for the rest of that second: most lines of a busy process bear the
// date of the line before. Any goroutine may use it.
type Date struct {
	layout string
	millis bool
	utc    bool
	last   atomic.Pointer[second]
}

// second is a second of time, written out.
type second struct {
	unix int64
	text []byte
}

// NewDate takes a layout of package time without parts of seconds, but for milliseconds at its end (".000"). Times are of the
// machine's zone, or of UTC.
func NewDate(layout string, utc bool) *Date {
	layout, millis := strings.CutSuffix(layout, ".000")
	return &Date{layout: layout, millis: millis, utc: utc}
}

// Append writes t behind dst.
func (d *Date) Append(dst []byte, t time.Time) []byte {
	known, unix := d.last.Load(), t.Unix()
	if known == nil || known.unix != unix {
		at := t.Local()
		if d.utc {
			at = t.UTC()
		}
		known = &second{unix: unix, text: at.AppendFormat(nil, d.layout)}
		d.last.Store(known)
	}
	dst = append(dst, known.text...)
	if d.millis {
		ms := t.Nanosecond() / 1e6
		dst = append(dst, '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10))
	}
	return dst
}
