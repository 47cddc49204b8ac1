package table

import (
	"sync"
	"time"
)

// BudgetOptions of a Budget.
type BudgetOptions struct {
	Limit   int64         // bytes that may pass within Period, at least 1
	MinSize int64         // bytes that pass at a time at least, but for the last ones
	Period  time.Duration // whole milliseconds, at least 1; without Entry
	// Entry is what all streams share that count on it, held for the budget, whose Release gives it up; nil: the stream has its own count.
	Entry *Entry
	Rate  DataType // BytesInRate or BytesOutRate: the rate of Entry's table to count in, whose period holds
}

// Budget says how many bytes of a stream may pass at a time, so that a limit is kept within every period: evenly over the period and
// without a burst at its beginning. What is shared is divided equally among those that hold the entry. It counts as the filters
// bwlim-in and bwlim-out of HAProxy's manual section 9.7. One goroutine at a time may use a Budget.
type Budget struct {
	o     BudgetOptions
	own   [2]uint64 // a rate, as in an entry
	epoch time.Time // of own
	until int64     // nothing passes before
}

var budgets = sync.Pool{New: func() any { return new(Budget) }}

// NewBudget begins a budget, which ends with Release.
func NewBudget(o BudgetOptions) *Budget {
	b := budgets.Get().(*Budget)
	*b = Budget{o: o, epoch: time.Now()}
	return b
}

// Release ends the budget.
func (b *Budget) Release() {
	if b.o.Entry != nil {
		b.o.Entry.Touch()
		b.o.Entry.Release()
	}
	b.o.Entry = nil
	budgets.Put(b)
}

// Take takes as many of n bytes as may pass now. When that are fewer, wait says after which time to ask again.
func (b *Budget) Take(n int64) (taken int64, wait time.Duration) {
	e := b.o.Entry
	if e == nil {
		now := farPast + int64(time.Since(b.epoch)/time.Millisecond)
		taken, wait = b.takeFrom(b.own[:], now, b.o.Period.Milliseconds(), n, 1, 1)
		return taken, wait
	}
	i := e.table.find(b.o.Rate, 0)
	if i < 0 {
		return n, 0
	}
	now, users := e.table.now(), int64(max(e.Holders(), 1))
	e.mu.Lock()
	taken, wait = b.takeFrom(e.data[i:i+2], now, int64(e.table.period(b.o.Rate)), n, users, int64(e.table.o.BratesFactor))
	e.mu.Unlock()
	return taken, wait
}

// takeFrom takes from a rate that users share and that counts every factor bytes as one event. now and period are milliseconds.
func (b *Budget) takeFrom(rate []uint64, now, period, n, users, factor int64) (int64, time.Duration) {
	if n == 0 {
		return 0, 0
	}
	if now < b.until {
		return 0, ms(b.until - now)
	}
	limit, minSize := b.o.Limit, b.o.MinSize
	if over := overshoot(rate, now, period, limit); over > 0 {
		return 0, b.pause(now, (minSize+over)*period*users/limit)
	}
	remain := max(limit-int64(readRate(rate, uint32(period), now)), 0) * factor
	tokens := (remain + users - 1) / users
	taken, wait := n, int64(0)
	if tokens < n {
		taken = tokens
		if tokens < minSize { // a small burst, which is paid for by waiting longer
			taken = min(n, minSize)
			switch {
			case taken <= remain:
				wait = ((taken-tokens)*period*users + limit*factor - 1) / (limit * factor)
			case limit*factor < taken:
				taken = remain
			default:
				taken = 0
			}
		}
	}
	addRate(rate, uint32(period), now, uint64((taken+factor-1)/factor))
	if taken < n {
		return taken, b.pause(now, wait+delay(rate, now, period, limit, min(n-taken, minSize*users)))
	}
	return taken, 0
}

// pause lets nothing pass for so many milliseconds.
func (b *Budget) pause(now, wait int64) time.Duration {
	wait = max(wait, 1)
	b.until = now + wait
	return ms(wait)
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// overshoot is by how much the current period's events exceed what an even flow would have had by now.
func overshoot(rate []uint64, now, period, limit int64) int64 {
	since := now - int64(rate[0])
	if since < 0 || since > period {
		return 0
	}
	return max(int64(rate[1]>>32)-since*limit/period, 0)
}

// delay is how long events still to come have to wait, in milliseconds.
func delay(rate []uint64, now, period, limit, pending int64) int64 {
	over := int64(readRate(rate, uint32(period), now)) + pending - limit
	if over < 0 {
		return 0
	}
	return max(over*period/limit, 1)
}
