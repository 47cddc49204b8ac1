package acme

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// shortLife is the lifetime under which a certificate is renewed at its half instead of its two thirds, as Let's Encrypt's
// integration guide asks.
const shortLife = 10 * 24 * time.Hour

// RenewAt says when the certificate with these dates and this fingerprint should be replaced: two thirds into its life, half for
// lives under ten days, less up to a fortieth of its life so that certificates issued together are not renewed together. The
// share comes from the fingerprint: the same leaf always gives the same moment, in any process and after any restart, and it is
// never later than the rule says. Dates that make no sense give the zero time, which is long past.
func RenewAt(notBefore, notAfter time.Time, fingerprint [32]byte) time.Time {
	life := notAfter.Sub(notBefore)
	if life <= 0 {
		return time.Time{}
	}
	at := notBefore.Add(life / 3 * 2)
	if life < shortLife {
		at = notBefore.Add(life / 2)
	}
	spread := uint64(life / 40)
	if spread == 0 {
		return at
	}
	return at.Add(-time.Duration(binary.BigEndian.Uint64(fingerprint[:8]) % spread))
}

// Bounds of a retry. A CA may ask for more patience than the plan has, never for more than a day.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
	urgentRetry   = time.Hour
)

// retryDelay is how long to wait after the failures-th failure in a row (from 1): one, ten, a hundred minutes, then a day, with up
// to a tenth more by spread (0 to 1). A certificate in the last quarter of its life, or without any, waits an hour at most. A
// Retry-After of the CA (0: none) is a lower bound.
func retryDelay(failures int, urgent bool, after time.Duration, spread float64) time.Duration {
	delay := 24 * time.Hour
	switch failures {
	case 0, 1:
		delay = time.Minute
	case 2:
		delay = 10 * time.Minute
	case 3:
		delay = 100 * time.Minute
	}
	delay += time.Duration(float64(delay) / 10 * spread)
	if urgent {
		delay = min(delay, urgentRetry)
	}
	return max(delay, clampRetryAfter(after))
}

// clampRetryAfter keeps a Retry-After between one second and one day; 0 (there was none) stays 0.
func clampRetryAfter(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return min(max(d, minRetryAfter), maxRetryAfter)
}

// urgent says whether less than a quarter of the life is left; a certificate that cannot be used is always urgent.
func urgent(notBefore, notAfter, now time.Time) bool {
	life := notAfter.Sub(notBefore)
	return life <= 0 || notAfter.Sub(now) < life/4
}

// jitter is the random part of a retry, 0 to 1.
func jitter() float64 { return rand.Float64() }
