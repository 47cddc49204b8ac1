package pattern

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"gatehouse/internal/stream"
)

// regIndex tries expressions in their order. What an expression cannot do without is looked for first, which costs much less than
// running it.
type regIndex []regPattern

type regPattern struct {
	re     *regexp.Regexp
	entry  *Entry
	must   []byte // a text every match contains; nil for none known
	prefix bool   // must starts the value
}

func newRegIndex(v *View, entries []*Entry) regIndex {
	x := make(regIndex, len(entries))
	for i, e := range entries {
		x[i] = regPattern{re: e.regex(v.n), entry: e}
		if !v.use.Fold {
			x[i].must, x[i].prefix = literal(e.Key)
		}
	}
	return x
}

// literal finds a text that everything an expression matches contains, and whether it is at the start of it.
func literal(text string) (must []byte, prefix bool) {
	p, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, false
	}
	parts := []*syntax.Regexp{p}
	if p.Op == syntax.OpConcat {
		parts = p.Sub
	}
	for i, part := range parts {
		for part.Op == syntax.OpCapture {
			part = part.Sub[0]
		}
		if part.Op != syntax.OpLiteral || part.Flags&syntax.FoldCase != 0 {
			continue
		}
		t := string(part.Rune)
		if strings.ContainsRune(t, utf8.RuneError) { // stands for any byte that is not UTF-8
			continue
		}
		if i == 1 && parts[0].Op == syntax.OpBeginText {
			return []byte(t), true
		}
		if len(t) > len(must) {
			must = []byte(t)
		}
	}
	return must, false
}

func (x regIndex) find(v stream.Value, _ bool) (*Entry, uint32) {
	for i := range x {
		p := &x[i]
		switch {
		case p.must == nil:
		case p.prefix:
			if !bytes.HasPrefix(v.Bytes, p.must) {
				continue
			}
		case !bytes.Contains(v.Bytes, p.must):
			continue
		}
		if p.re.Match(v.Bytes) && !p.entry.dead.Load() {
			return p.entry, 0
		}
	}
	return nil, 0
}
