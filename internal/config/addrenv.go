package config

import "strings"

// expandAddr replaces $NAME and ${NAME} in an address, which HAProxy does there even outside of quotes. A variable that is not set is empty.
func (p *parser) expandAddr(text string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, braced := strings.CutPrefix(rest, "{")
		end := 0
		for end < len(name) && (name[end] == '_' || isAlnum(name[end])) {
			end++
		}
		out.WriteString(p.env[name[:end]])
		text = name[end:]
		if braced {
			text = strings.TrimPrefix(text, "}")
		}
	}
}
