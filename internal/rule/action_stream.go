package rule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/stream"
)

// streamActions change how the stream goes on: its timeouts, retries, waits (manual section 4.4).
func streamActions() []action {
	return []action{
		{"wait-for-body", atRequest | atResponse, "wait until the body is there, or so much of it", bindWaitForBody},
		{"set-timeout", atRequest | atResponse, "change a timeout for this stream", bindSetTimeout},
		{"set-retries", atRequest | atContent, "change how often a connection is tried again", bindSetRetries},
		{"disable-l7-retry", atRequest, "send this request at most once, whatever retry-on says", bindNoRetry},
		{"early-hint", atRequest, "send a field in a 103 response", bindEarlyHint},
		{"normalize-uri", atRequest, "bring the target into a normal form; experimental", bindNormalizeURI},
		{"pause", atRequest | atResponse, "wait", bindPause},
		{"strict-mode", atAll, "whether a rewrite that does not fit is an error, within this set", bindStrictMode},
	}
}

func bindWaitForBody(p *ruleParser) (actionFunc, error) {
	const usage = "expects time <time> [ at-least <bytes> ]"
	limit, atLeast := time.Duration(-1), int64(0)
options:
	for len(p.words) > 0 {
		option := p.words[0]
		switch option {
		case "time", "at-least":
		case "use-large-buffer":
			return nil, fmt.Errorf("'use-large-buffer' is not supported")
		default:
			break options
		}
		p.next()
		value, ok := p.next()
		if !ok {
			return nil, fmt.Errorf("missing argument for '%s'", option)
		}
		var err error
		if option == "time" {
			limit, err = config.ParseTime(value, time.Millisecond)
		} else {
			atLeast, err = config.ParseSize(value)
		}
		if err != nil {
			return nil, timeError(err, value, "time overflow (maximum value is 2147483647 ms or ~24.8 days)", "time underflow (minimum non-null value is 1 ms)")
		}
	}
	if limit < 0 {
		return nil, errors.New(usage)
	}
	response := p.at == atResponse
	status := 408
	if response {
		status = 504
	}
	return func(s *stream.Stream, _ Env) Verdict {
		if s.Exchange == nil || s.Exchange.WaitBody(response, limit, atLeast) {
			return goOn
		}
		return Verdict{Kind: VerdictTimeout, Status: status}
	}, nil
}

// timeError words what is wrong with a time.
func timeError(err error, text, over, under string) error {
	var c *config.CharError
	switch {
	case err == config.ErrTimeOver:
		return errors.New(over)
	case err == config.ErrTimeUnder:
		return errors.New(under)
	case errors.As(err, &c) && c.At < len(text):
		return fmt.Errorf("unexpected character '%c'", text[c.At])
	}
	return err
}

// maxTime bounds a time that a rule computes, as HAProxy's timers do.
const maxTime = (1<<31 - 1) * time.Millisecond

// span is a time written in the rule, or milliseconds that an expression gives.
type span struct {
	fixed time.Duration
	expr  *Expr
}

// span reads one; what names the rule in messages.
func (p *ruleParser) span(what string) (span, error) {
	if len(p.words) == 0 {
		return span{}, fmt.Errorf("unexpected character '%c' in rule '%s'", 0, what)
	}
	word := p.words[0]
	d, err := config.ParseTime(word, time.Millisecond)
	switch {
	case err == config.ErrTimeOver:
		return span{}, fmt.Errorf("timer overflow in argument '%s' to rule '%s' (maximum value is 2147483647 ms or ~24.8 days)", word, what)
	case err == config.ErrTimeUnder:
		return span{}, fmt.Errorf("timer underflow in argument '%s' to rule '%s' (minimum value is 1 ms)", word, what)
	case err == nil && d == 0:
		return span{}, fmt.Errorf("null value is not valid for a '%s' rule", what)
	case err == nil:
		p.next()
		return span{fixed: d}, nil
	}
	x, exprErr := p.expr("")
	if exprErr != nil {
		return span{}, fmt.Errorf("%w in rule '%s'", timeError(err, word, "", ""), what)
	}
	if !p.in.has(x.need) {
		return span{}, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", word, x.need)
	}
	return span{expr: x}, nil
}

// value returns the time; false when there is none.
func (t span) value(s *stream.Stream, env Env) (time.Duration, bool) {
	if t.expr == nil {
		return t.fixed, true
	}
	v, ok := t.expr.Eval(s, env)
	if ok {
		v, ok = cast(s, v, stream.KindInt)
	}
	return time.Duration(max(min(v.Int, int64(maxTime/time.Millisecond)), 0)) * time.Millisecond, ok
}

// timeoutSides are the timeouts of set-timeout and which half of a proxy has them.
var timeoutSides = map[string]struct {
	t    stream.Timeout
	side string // "" both
}{
	"client": {stream.TimeoutClient, "frontend"}, "connect": {stream.TimeoutConnect, "backend"}, "queue": {stream.TimeoutQueue, "backend"},
	"server": {stream.TimeoutServer, "backend"}, "tarpit": {stream.TimeoutTarpit, ""}, "tunnel": {stream.TimeoutTunnel, "backend"},
}

func bindSetTimeout(p *ruleParser) (actionFunc, error) {
	if len(p.words) < 2 {
		return nil, fmt.Errorf("expects exactly 2 arguments")
	}
	name, _ := p.next()
	known, ok := timeoutSides[name]
	if !ok {
		return nil, fmt.Errorf("'set-timeout' rule supports 'client'/'connect'/'queue'/'server'/'tarpit'/'tunnel' (got '%s')", name)
	}
	if known.side != "" && p.c.Kind != "listen" && p.c.Kind != known.side {
		return nil, fmt.Errorf("'%s' has no %s capability", p.c.Proxy, known.side)
	}
	d, err := p.span("set-timeout " + name)
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		if d, ok := d.value(s, env); ok {
			s.Limits.SetTimeout(known.t, d)
		}
		return goOn
	}, nil
}

// maxRetries is what HAProxy allows.
const maxRetries = 100

func bindSetRetries(p *ruleParser) (actionFunc, error) {
	const usage = "expects exactly 1 argument (an expression or an integer between 1 and 100)"
	if len(p.words) == 0 {
		return nil, errors.New(usage)
	}
	if p.c.Kind == "frontend" {
		return nil, fmt.Errorf("'%s' only available in backend or listen section", p.in.name)
	}
	if n, err := strconv.ParseInt(p.words[0], 0, 64); err == nil {
		if n < 0 || n > maxRetries {
			return nil, fmt.Errorf("expects an expression or an integer between 1 and 100")
		}
		p.next()
		return func(s *stream.Stream, _ Env) Verdict {
			s.Limits.SetRetries(int(n))
			return goOn
		}, nil
	}
	x, err := p.expr(usage)
	if err != nil {
		return nil, err
	}
	if !p.in.has(x.need) {
		return nil, fmt.Errorf("fetch method '%s' extracts information from '%s', none of which is available here", x.text, x.need)
	}
	return func(s *stream.Stream, env Env) Verdict {
		v, ok := x.Eval(s, env)
		if ok {
			v, ok = cast(s, v, stream.KindInt)
		}
		if ok && v.Int >= 0 && v.Int <= maxRetries {
			s.Limits.SetRetries(int(v.Int))
		}
		return goOn
	}, nil
}

func bindNoRetry(*ruleParser) (actionFunc, error) {
	return func(s *stream.Stream, _ Env) Verdict {
		s.Limits.Once = true
		return goOn
	}, nil
}

// bindEarlyHint collects fields: rules that follow each other share one response, which the last of them sends.
func bindEarlyHint(p *ruleParser) (actionFunc, error) {
	w, err := p.take(2, "expects exactly 2 arguments")
	if err != nil {
		return nil, err
	}
	name, err := fieldName(w[0])
	if err != nil {
		return nil, err
	}
	f, err := p.fieldFormat(w[1])
	if err != nil {
		return nil, err
	}
	last := new(bool)
	p.hint = last
	return func(s *stream.Stream, env Env) Verdict {
		if s.Exchange == nil {
			return goOn
		}
		if crowded(s, s.Hints, 0) {
			return overflow(s)
		}
		s.Hints = append(s.Hints, stream.Field{Name: name, Value: fieldValue(f.bytes(s, env))})
		if *last {
			s.Exchange.EarlyHints(s.Hints)
			s.Hints = s.Hints[:0]
		}
		return goOn
	}, nil
}

// markHint tells the last rule whether it ends a row of early-hint rules: it does unless next is one that always runs.
func markHint(rules []compiled, next *compiled) {
	if n := len(rules); n > 0 && rules[n-1].hint != nil && (next == nil || next.hint == nil || next.cond != nil) {
		*rules[n-1].hint = true
	}
}

func bindPause(p *ruleParser) (actionFunc, error) {
	d, err := p.span("pause")
	if err != nil {
		return nil, err
	}
	return func(s *stream.Stream, env Env) Verdict {
		if d, ok := d.value(s, env); ok && d > 0 && s.Exchange != nil {
			s.Exchange.Pause(d)
		}
		return goOn
	}, nil
}

func bindStrictMode(p *ruleParser) (actionFunc, error) {
	word, ok := p.next()
	if !ok {
		return nil, fmt.Errorf("expects exactly 1 arguments")
	}
	lax := strings.EqualFold(word, "off")
	if !lax && !strings.EqualFold(word, "on") {
		return nil, fmt.Errorf("Unexpected value '%s'. Only 'on' and 'off' are supported", word)
	}
	return func(s *stream.Stream, _ Env) Verdict {
		s.Lax = lax
		return goOn
	}, nil
}
