package config

// StatusCodes is a set of HTTP status codes from 100 to 599.
type StatusCodes [8]uint64

// Has reports whether a status is in the set.
func (c *StatusCodes) Has(status int) bool {
	i := status - 100
	return i >= 0 && i < 500 && c[i/64]&(1<<(i%64)) != 0
}

// ErrCodes are the statuses that count as a client's errors, FailCodes those that count as a server's failures, when the
// configuration does not say otherwise (manual, "http-err-codes" and "http-fail-codes").
func ErrCodes() (c StatusCodes) {
	c.add(400, 499, true)
	return c
}

// FailCodes are 500 to 599 but for 501 and 505, which a client can cause.
func FailCodes() (c StatusCodes) {
	c.add(500, 599, true)
	c.add(501, 501, false)
	c.add(505, 505, false)
	return c
}

// add puts a range into the set, or takes it out.
func (c *StatusCodes) add(low, high int, in bool) {
	for i := low - 100; i <= high-100; i++ {
		if in {
			c[i/64] |= 1 << (i % 64)
		} else {
			c[i/64] &^= 1 << (i % 64)
		}
	}
}

// globalStatusCodes reads http-err-codes and http-fail-codes: ranges that replace the set, extend it (+) or reduce it (-).
func (p *parser) globalStatusCodes(s *statement) {
	set := &p.cfg.Global.ErrCodes
	if s.arg(0) == "http-fail-codes" {
		set = &p.cfg.Global.FailCodes
	}
	if s.arg(1) == "" {
		p.alert("Missing status codes range for '%s'.", s.arg(0))
		return
	}
	for _, word := range s.words[1:] {
		if !p.statusRanges(set, word, s.arg(0)) {
			return
		}
	}
}

// statusRanges reads one word: "[+-]low[-high][,...]". Without a sign each of its ranges replaces the set.
func (p *parser) statusRanges(set *StatusCodes, word, keyword string) bool {
	at := 0
	sign := byte(0)
	if word[0] == '+' || word[0] == '-' {
		sign, at = word[0], 1
	}
	number := func() (int, bool) {
		n, used := readDigits(word[at:])
		at += used
		return int(min(n, 9999)), used > 0
	}
	invalid := func() bool {
		p.alert("Invalid status codes range '%s' in '%s' at position %d. Ranges must be in the form [+-]{low[-{high}]}[,...].", word, keyword, at)
		return false
	}
	for {
		low, ok := number()
		if !ok {
			return invalid()
		}
		high := low
		if at < len(word) && word[at] == '-' {
			at++
			if high, ok = number(); !ok {
				return invalid()
			}
		}
		if at < len(word) && word[at] != ',' {
			return invalid()
		}
		if high < low || low < 100 || high > 599 {
			p.alert("Invalid status codes range '%s' in '%s'.\n Codes must be between 100 and 599 and ranges in ascending order.", word, keyword)
			return false
		}
		if sign == 0 {
			*set = StatusCodes{}
		}
		set.add(low, high, sign != '-')
		if at == len(word) {
			return true
		}
		at++ // the comma
	}
}
