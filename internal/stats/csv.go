package stats

import (
	"strconv"
	"strings"
)

// AppendHeader appends the CSV's first line: "# ", the names, each followed by a comma, LF.
func AppendHeader(dst []byte) []byte {
	dst = append(dst, "# "...)
	for c := Column(0); c < NumColumns; c++ {
		if c == firstModuleColumn {
			dst = append(dst, "-,"...)
		}
		dst = append(append(dst, columns[c].name...), ',')
	}
	return append(dst, '\n')
}

// AppendCSV appends the row as one CSV line, each cell followed by a comma.
func (r *Row) AppendCSV(dst []byte) []byte {
	for c := Column(0); c < NumColumns; c++ {
		if c == firstModuleColumn {
			dst = append(dst, "-,"...)
		}
		dst = append(appendCell(dst, r.Text(c)), ',')
	}
	return append(dst, '\n')
}

// appendCell quotes a text that holds a comma, quote or line end; line ends become a space or nothing, and blanks at the end go.
func appendCell(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(dst, strings.TrimRight(s, " ")...)
	}
	s = strings.NewReplacer("\n", " ", "\r", "", `"`, `""`).Replace(s)
	dst = append(dst, '"')
	dst = append(dst, strings.TrimRight(s, " ")...)
	return append(dst, '"')
}

// AppendTyped appends the filled cells, one line each: KIND.IID.SID.POS.NAME.PROCESS:TAGS:TYPE:VALUE, with desc and a description
// behind it.
func (r *Row) AppendTyped(dst []byte, desc bool) []byte {
	for c := Column(0); c < NumColumns; c++ {
		if !r.cells[c].set {
			continue
		}
		dst = append(dst, r.Kind.letter(), '.')
		dst = append(strconv.AppendInt(dst, r.cells[ColIID].n, 10), '.')
		dst = append(strconv.AppendInt(dst, r.cells[ColSID].n, 10), '.')
		dst = append(strconv.AppendInt(dst, int64(c), 10), '.')
		dst = append(append(dst, columns[c].name...), ".1:"...)
		dst = appendTypedValue(dst, c.tagsOn(r.Kind), columns[c].typ, r.Text(c))
		dst = appendDesc(dst, columns[c].desc, desc)
	}
	return dst
}

func appendTypedValue(dst []byte, tags string, t Type, value string) []byte {
	dst = append(append(dst, tags...), ':')
	dst = append(append(dst, t.String()...), ':')
	return append(dst, oneLine(value)...)
}

func appendDesc(dst []byte, text string, wanted bool) []byte {
	if wanted {
		dst = append(append(append(dst, `:"`...), text...), '"')
	}
	return append(dst, '\n')
}

func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\n", " ", "\r", "").Replace(s)
}

// AppendJSON appends the row as one JSON array of its filled cells.
func (r *Row) AppendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	for c := Column(0); c < NumColumns; c++ {
		if !r.cells[c].set {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, `{"objType":"`...), r.Kind.String()...)
		dst = strconv.AppendInt(append(dst, `","proxyId":`...), r.cells[ColIID].n, 10)
		dst = strconv.AppendInt(append(dst, `,"id":`...), r.cells[ColSID].n, 10)
		dst = appendJSONField(append(dst, ','), int(c), columns[c].name, c.tagsOn(r.Kind), columns[c].typ, r.Text(c))
	}
	return append(dst, ']')
}

// appendJSONField appends what fields of show stat and show info share, up to the closing brace.
func appendJSONField(dst []byte, pos int, name, tags string, t Type, value string) []byte {
	dst = strconv.AppendInt(append(dst, `"field":{"pos":`...), int64(pos), 10)
	dst = append(appendJSONText(append(dst, `,"name":`...), name), `},"processNum":1,"tags":{`...)
	dst = append(append(dst, `"origin":"`...), originNames[tags[0]]...)
	dst = append(append(dst, `","nature":"`...), natureNames[tags[1]]...)
	dst = append(append(dst, `","scope":"`...), scopeNames[tags[2]]...)
	dst = append(append(dst, `"},"value":{"type":"`...), t.String()...)
	dst = append(dst, `","value":`...)
	if t == STR {
		dst = appendJSONText(dst, value)
	} else {
		dst = append(dst, value...)
	}
	return append(dst, `}}`...)
}

// What the letters of the tags mean in JSON.
var (
	originNames = map[byte]string{'M': "Metric", 'S': "Status", 'K': "Key", 'C': "Config", 'P': "Product"}
	natureNames = map[byte]string{'A': "Age", 'a': "Avg", 'C': "Counter", 'D': "Duration", 'G': "Gauge", 'L': "Limit", 'M': "Max",
		'm': "Min", 'N': "Name", 'O': "Output", 'R': "Rate", 'T': "Time"}
	scopeNames = map[byte]string{'C': "Cluster", 'P': "Process", 'S': "Service", 's': "System"}
)

// appendJSONText appends s quoted (RFC 8259 section 7). Bytes that are not UTF-8 become the replacement character.
func appendJSONText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, string(c)...)
		}
	}
	return append(dst, '"')
}
