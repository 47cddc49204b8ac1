package rule

import (
	"errors"
	"fmt"
	"strconv"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// captureActions fill the slots that capture and declare capture lines, and capture rules themselves, declare (manual section 4.4).
func captureActions() []action {
	return []action{{"capture", atAll | atContent, "keep a value in a slot of its own (len), or in a declared one (id), for the log", bindCapture}}
}

// captureID is a slot that a rule names by its number.
type captureID struct {
	response bool
	id       int
	set      string // the keyword of its rule set
}

// What a frontend may capture in all.
const (
	maxCapture  = 16384
	maxCaptures = 256
)

// declareCaptures gives slots to the capture lines that stand before rule n of the section, so that slots are numbered in the
// order of the lines.
func (c *Compiler) declareCaptures(n int) {
	for ; c.declared < len(c.Captures) && c.Captures[c.declared].Before <= n; c.declared++ {
		line := c.Captures[c.declared]
		if _, err := c.addCapture(line.Response, line.Field, line.Len); err != nil {
			c.Diags.Alert(line.Pos, "%v.", err)
		}
	}
}

// addCapture declares one slot and returns its number.
func (c *Compiler) addCapture(response bool, field string, n int) (int, error) {
	list := &c.slots.Req
	if response {
		list = &c.slots.Res
	}
	if n > maxCapture || len(*list) == maxCaptures {
		return 0, fmt.Errorf("at most %d captures of %d bytes are supported", maxCaptures, maxCapture)
	}
	*list = append(*list, stream.CaptureSlot{Field: field, Len: n})
	return len(*list) - 1, nil
}

// CaptureSlots returns the slots that all sets compiled so far use, and reports rules that name one that is not there. It is
// called last; nil when nothing is captured.
func (c *Compiler) CaptureSlots() *stream.CaptureSlots {
	c.declareCaptures(1 << 30)
	for _, u := range c.ids {
		have := len(c.slots.Req)
		if u.response {
			have = len(c.slots.Res)
		}
		if u.id < 0 || u.id >= have {
			*c.Diags = append(*c.Diags, config.Diag{Level: config.LevelAlert, Text: fmt.Sprintf(
				"Proxy '%s': unable to find capture id '%d' referenced by %s capture rule.", c.Proxy, u.id, u.set)})
		}
	}
	if len(c.slots.Req) == 0 && len(c.slots.Res) == 0 {
		return nil
	}
	slots := c.slots
	return &slots
}

// bindCapture reads EXPRESSION followed by "len N", which declares a slot, or by "id N". Responses have declared slots only.
func bindCapture(p *ruleParser) (actionFunc, error) {
	response := p.at&(atResponse|atAfter) != 0
	usage := "expects <expression> [ 'len' <length> | id <idx> ]"
	if response {
		usage = "expects <expression> id <idx>"
	}
	if len(p.words) < 3 || isCondWord(p.words[0]) || isCondWord(p.words[1]) || isCondWord(p.words[2]) {
		return nil, errors.New(usage)
	}
	x, err := p.expr(usage)
	if err != nil {
		return nil, err
	}
	if !p.in.has(x.need) {
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", x.text, x.need)
	}
	p.warnNoDelay("capture", x)
	slot, err := p.captureSlot(response)
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		if b, ok := x.Text(s, env); ok {
			s.Capture(response, slot, b)
		}
		return goOn
	}, nil
}

func (p *ruleParser) captureSlot(response bool) (int, error) {
	word, ok := p.next()
	value, has := p.next()
	switch {
	case !ok && response:
		return 0, fmt.Errorf("expects 'id'")
	case !ok:
		return 0, fmt.Errorf("expects 'len' or 'id'")
	case word == "len" && !response:
		if p.c.Kind == "backend" {
			return 0, fmt.Errorf("proxy '%s' has no frontend capability", p.c.Proxy)
		}
		if !has {
			return 0, fmt.Errorf("missing length value")
		}
		n := leadingInt([]byte(value))
		if n <= 0 {
			return 0, fmt.Errorf("length must be > 0")
		}
		return p.c.addCapture(false, "", int(min(n, 1<<30)))
	case word == "id":
		if !has {
			return 0, fmt.Errorf("missing id value")
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, fmt.Errorf("cannot parse id '%s'", value)
		}
		if p.c.Kind != "backend" { // the frontend of a backend's requests is known only then
			p.c.ids = append(p.c.ids, captureID{response, n, p.in.name})
		}
		return n, nil
	case response:
		return 0, fmt.Errorf("expects 'id', found '%s'", word)
	}
	return 0, fmt.Errorf("expects 'len' or 'id', found '%s'", word)
}
