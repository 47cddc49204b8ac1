package engine

import (
	"fmt"
	"strings"
	"sync"

	"gatehouse/internal/proxy"
	"gatehouse/internal/stream"
)

// Captured is one invalid message kept for show errors.
type Captured struct {
	Proxy    string
	Response bool
	Text     string // as printed, ending in a newline
}

// capturedRing keeps the last invalid request and response of each proxy, as HAProxy does.
type capturedRing struct {
	mu    sync.Mutex
	total uint64
	kept  map[string]Captured // by proxy and direction
	order []string
}

// maxDump bounds the bytes of one dump.
const maxDump = 16384

func (r *capturedRing) add(m proxy.Invalid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := fmt.Sprintf("%s %v", m.Proxy, m.Response)
	if _, ok := r.kept[key]; !ok {
		if r.kept == nil {
			r.kept = map[string]Captured{}
		}
		r.order = append(r.order, key)
	}
	r.kept[key] = Captured{Proxy: m.Proxy, Response: m.Response, Text: dump(&m, r.total)}
	r.total++
}

func (r *capturedRing) list() (uint64, []Captured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Captured, 0, len(r.order))
	for _, key := range r.order {
		out = append(out, r.kept[key])
	}
	return r.total, out
}

// dump prints a message as show errors does (management guide 9.3): facts, then the bytes by line with their offsets, what
// is not printable escaped.
func dump(m *proxy.Invalid, id uint64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n[%s] ", m.At.Format(stream.LogDate))
	if m.Response {
		fmt.Fprintf(&b, "backend %s (#-1): invalid response\n", m.Proxy)
	} else {
		fmt.Fprintf(&b, "frontend %s (#-1): invalid request\n", m.Proxy)
	}
	fmt.Fprintf(&b, "  backend %s (#-1), server %s (#-1), event #%d, src %s\n", none(m.Backend), none(m.Server), id, m.Src)
	fmt.Fprintf(&b, "  len %d, %s\n \n", len(m.Data), m.Reason)
	data := m.Data[:min(len(m.Data), maxDump)]
	for start := 0; start < len(data); {
		end := start
		for end < len(data) && end-start < 60 {
			end++
			if data[end-1] == '\n' {
				break
			}
		}
		fmt.Fprintf(&b, "  %05d  %s\n", start, escaped(data[start:end]))
		start = end
	}
	b.WriteByte('\n')
	return b.String()
}

func none(s string) string {
	if s == "" {
		return "<NONE>"
	}
	return s
}

func escaped(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		switch {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// CapturedErrors are how many invalid messages there were, and the last of each proxy and direction.
func (e *Engine) CapturedErrors() (uint64, []Captured) { return e.invalid.list() }
