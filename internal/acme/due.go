package acme

import (
	"slices"
	"strings"
	"time"

	"gatehouse/internal/cert"
)

// never is when a certificate is due that only `acme renew` renews.
var never = time.Unix(1<<40, 0)

// dueAt is when the next order of a certificate begins: at once for one that is missing, temporary, for other names, or whose order
// is open; else where its dates say; and after a failure not before the back-off's end. Nothing here is remembered that the
// certificate, the clock and the back-off do not say.
func (r *record) dueAt(wanted asks, b *cert.Bundle, scheduler bool, now time.Time) time.Time {
	if r.forced {
		return time.Time{}
	}
	if !scheduler {
		return never
	}
	due := time.Time{}
	if usable := b != nil && !b.Temporary() && covers(b, wanted); usable && !r.openFor(wanted, b) {
		due = RenewAt(b.NotBefore, b.NotAfter, b.Fingerprint)
	}
	if !r.retry.Asks.equal(wanted) {
		return due
	}
	due = later(due, r.issueFloor(b, now))
	if r.retry.Failures > 0 {
		due = later(due, r.backOff(now))
	}
	return due
}

// openFor says whether an earlier attempt left an order to come back to.
func (r *record) openFor(wanted asks, b *cert.Bundle) bool {
	return r.order != nil && r.order.Asks.equal(wanted) && !r.order.delivered(b)
}

// issueFloor keeps a CA whose certificates are due as soon as they are issued, or a certificate that goes missing again and again, from
// turning into a storm of orders: after an issuance nothing is due before half of what is then left of that certificate, at least a
// minute and at most an hour when there is no such certificate.
func (r *record) issueFloor(b *cert.Bundle, now time.Time) time.Time {
	issued := r.retry.Issued
	if issued.IsZero() || issued.After(now) {
		return time.Time{}
	}
	if b == nil || b.Temporary() || !covers(b, r.retry.Asks) {
		return issued.Add(time.Hour)
	}
	if !RenewAt(b.NotBefore, b.NotAfter, b.Fingerprint).Before(issued) {
		return time.Time{}
	}
	return issued.Add(max(b.NotAfter.Sub(issued)/2, time.Minute))
}

// backOff is when a failed certificate may be tried again. A clock that was set back, or a record of another age, never stops a name
// for longer than a day from now.
func (r *record) backOff(now time.Time) time.Time {
	if r.retry.Last.After(now) {
		return now
	}
	return earlier(r.retry.Next, now.Add(maxRetryAfter+maxRetryAfter/8))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// covers says whether a certificate is good for every name that is wanted of it.
func covers(b *cert.Bundle, wanted asks) bool {
	leaf := b.X509()
	for _, id := range identifiers(wanted.Domains, wanted.IPs) {
		if strings.HasPrefix(id.Value, "*.") {
			if !slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, id.Value) }) {
				return false
			}
			continue
		}
		if leaf.VerifyHostname(id.Value) != nil {
			return false
		}
	}
	return true
}

func needsSoon(b *cert.Bundle, now time.Time) bool {
	return b == nil || b.Temporary() || urgent(b.NotBefore, b.NotAfter, now)
}
