package pattern

import "bytes"

// Path is the file that the set was read from, "" when it has none.
func (r *Ref) Path() string {
	if r.name == "" {
		return ""
	}
	name, file, _ := refName(r.name)
	if !file {
		return ""
	}
	return name
}

// File is the set's file with the entries of the current version: old with its comments, its order and the spacing of lines that stay, without
// the lines of entries that are gone, values changed in place, and new entries at the end.
func (r *Ref) File(old []byte) []byte {
	current, _ := r.Versions()
	left := map[string][]*Entry{} // entries that no line stands for yet, by key
	var order []*Entry
	for e := range r.Entries(current) {
		left[e.Key] = append(left[e.Key], e)
		order = append(order, e)
	}
	var out bytes.Buffer
	out.Grow(len(old) + 64)
	written := map[*Entry]bool{}
	for text := range bytes.Lines(old) {
		entry, isEntry := line{}, false
		for l := range lines(text, r.twoColumns) {
			entry, isEntry = l, true
		}
		if !isEntry {
			out.Write(text)
			continue
		}
		list := left[entry.key]
		if len(list) == 0 {
			continue
		}
		left[entry.key], written[list[0]] = list[1:], true
		if value, _ := list[0].Text(); r.twoColumns && value != entry.value {
			r.writeEntry(&out, list[0])
			continue
		}
		out.Write(text)
	}
	if b := out.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		out.WriteByte('\n')
	}
	for _, e := range order {
		if !written[e] {
			r.writeEntry(&out, e)
		}
	}
	return out.Bytes()
}

func (r *Ref) writeEntry(out *bytes.Buffer, e *Entry) {
	out.WriteString(e.Key)
	if value, has := e.Text(); has && r.twoColumns {
		out.WriteString(" " + value)
	}
	out.WriteByte('\n')
}
