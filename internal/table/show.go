package table

import (
	"fmt"
	"strconv"
	"strings"
)

// AppendData writes what the entry stores as " name=value" in the order of the types, with the period of a rate in milliseconds
// behind its name; elements of arrays carry their number: gpc0=1 gpc1=5 gpc0_rate(10000)=0.
func (e *Entry) AppendData(b []byte) []byte {
	for d := range numTypes {
		c := &e.table.cells[d]
		if c.off < 0 {
			continue
		}
		for i := range int(c.n) {
			b = append(append(b, ' '), elementName(d, i)...)
			if types[d].form == formRate {
				b = fmt.Appendf(b, "(%d)", c.period)
			}
			b = append(b, '=')
			if types[d].form == formText {
				key, _ := e.Server()
				if key == "" {
					key = "-"
				}
				b = append(b, key...)
				continue
			}
			v, _ := e.Value(d, i)
			b = strconv.AppendInt(b, v, 10)
		}
	}
	return b
}

// elementName is how an element is shown, without the period.
func elementName(d DataType, index int) string {
	info := &types[d]
	if !info.array {
		return info.name
	}
	head, tail, found := strings.Cut(info.name, "_")
	if found {
		tail = "_" + tail
	}
	return fmt.Sprintf("%s%d%s", head, index, tail)
}
