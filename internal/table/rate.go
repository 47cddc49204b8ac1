package table

import "math"

// A rate takes two words: the millisecond at which its current period began, and the events of that period (upper half) and of
// the one before (lower half). It is HAProxy's sliding counter: what is read is the current count plus the share of the last period
// that still lies within the window. A count stays at its end where HAProxy's begins anew, which would let whoever is counted go on.

func addRate(w []uint64, period uint32, now int64, n uint64) {
	p := int64(period)
	n = min(n, math.MaxUint32)
	since := now - int64(w[0])
	switch {
	case since < p:
		w[1] = min(w[1]>>32+n, math.MaxUint32)<<32 | w[1]&math.MaxUint32
		return
	case since < 2*p:
		w[0] += uint64(p)
		w[1] = w[1]>>32 | n<<32
	default:
		w[0] = uint64(now)
		w[1] = n << 32
	}
}

// readRate returns the events of the last period.
func readRate(w []uint64, period uint32, now int64) uint64 {
	p := int64(period)
	if p == 0 {
		return 0
	}
	curr, past := w[1]>>32, w[1]&0xffffffff
	remain := int64(w[0]) + p - now
	if remain < 0 {
		remain += p
		past, curr = curr, 0
		if remain < 0 {
			past = 0
		}
	}
	if curr == 0 && past <= 1 {
		return past // a lone event counts until its period is over, instead of flapping
	}
	return (past*uint64(max(remain, 0)) + curr*uint64(p)) / uint64(p)
}

// setRate makes a rate of n that holds for one period and then fades.
func setRate(w []uint64, now int64, n uint64) {
	w[0], w[1] = uint64(now), n<<32
}
