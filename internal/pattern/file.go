package pattern

import (
	"bytes"
	"iter"
)

// line is one entry of a file.
type line struct {
	key, value string
	number     int // from 1
}

// lines yields the entries of a file. Lines that start with # are left out, and so are those that hold nothing but blanks; blanks at
// the start do not count. With one column the rest of the line is the pattern, blanks at its end included. With two the first
// word is the key and what follows the blanks behind it is the value, blanks at its end not included. A line ends at CR or LF.
func lines(data []byte, twoColumns bool) iter.Seq[line] {
	return func(yield func(line) bool) {
		number := 0
		for text := range bytes.Lines(data) {
			number++
			if text[0] == '#' {
				continue
			}
			text = bytes.TrimLeft(text, " \t")
			if end := bytes.IndexAny(text, "\r\n\x00"); end >= 0 {
				text = text[:end]
			}
			if len(text) == 0 {
				continue
			}
			l := line{key: string(text), number: number}
			if twoColumns {
				l.key, l.value = splitColumns(text)
			}
			if !yield(l) {
				return
			}
		}
	}
}

func splitColumns(text []byte) (key, value string) {
	if i := bytes.IndexAny(text, " \t"); i >= 0 {
		return string(text[:i]), string(bytes.Trim(text[i:], " \t"))
	}
	return string(text), ""
}
