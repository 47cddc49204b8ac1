package stream

import "time"

// Exchange is what a rule may ask of whoever carries the stream's messages. Its methods are called by the goroutine that runs the
// rules; those that wait say for how long at most.
type Exchange interface {
	// WaitBody waits until the body of the request, or of the response, is there, or atLeast bytes of it when that is not 0, or the
	// buffer is full, or the peer stopped sending. False says that limit passed before.
	WaitBody(response bool, limit time.Duration, atLeast int64) bool
	// Body returns what was received of a body, without its framing, and how long it is as far as is known.
	Body(response bool) (received []byte, size int64)
	// EarlyHints sends a 103 response with these fields.
	EarlyHints(fields []Field)
	// Pause waits, shorter when the client leaves.
	Pause(d time.Duration)
	// Timeout returns what the frontend or the backend configured; false when there is no such side yet.
	Timeout(backend bool, t Timeout) (time.Duration, bool)
	// Limit brings a bandwidth limit into force, in the stead of one of the same filter, and takes its budget over.
	Limit(t Throttle)
	// TCPInfo returns what the kernel knows of the connection to the client, or to the server; false when that is no TCP connection.
	TCPInfo(server bool) (TCPInfo, bool)
}

// Throttle is a bandwidth limit in force on one direction of a stream.
type Throttle struct {
	Of      any  // the filter, comparable
	Request bool // of what the client sends
	Coded   bool // it counts bodies as they leave compression
	Order   int  // among the filters of the stream
	Budget  Budget
}

// Budget says how much may pass. One goroutine at a time uses it.
type Budget interface {
	// Take takes as many of n bytes as may pass now. When that are fewer, wait says after which time to ask again.
	Take(n int64) (taken int64, wait time.Duration)
	// Release ends the budget.
	Release()
}

// TCPInfo is what the kernel knows of a TCP connection (tcp(7), TCP_INFO). Times are in microseconds.
type TCPInfo struct {
	RTT, RTTVar                                         int64
	Unacked, Sacked, Lost, Retrans, Fackets, Reordering uint32
}

// Timeout names one of the timeouts that a rule may change for its stream.
type Timeout uint8

// The timeouts of set-timeout (manual section 4.4).
const (
	TimeoutClient Timeout = iota
	TimeoutConnect
	TimeoutQueue
	TimeoutServer
	TimeoutTarpit
	TimeoutTunnel

	timeouts
)

// Limits are what rules changed of a stream's limits. The zero value changes nothing.
type Limits struct {
	timeouts   [timeouts]time.Duration // 0: as configured, below: none
	retries    int
	hasRetries bool
	Once       bool // retry-on does not hold (disable-l7-retry)
}

// SetTimeout makes t last d; 0 is for ever.
func (l *Limits) SetTimeout(t Timeout, d time.Duration) {
	if d <= 0 {
		d = -1
	}
	l.timeouts[t] = d
}

// Timeout returns how long t lasts when it was configured to last d.
func (l *Limits) Timeout(t Timeout, d time.Duration) time.Duration {
	if o := l.timeouts[t]; o != 0 {
		return max(o, 0)
	}
	return d
}

// SetRetries allows n retries.
func (l *Limits) SetRetries(n int) { l.retries, l.hasRetries = n, true }

// Retries returns how many retries are allowed when n are configured.
func (l *Limits) Retries(n int) int {
	if l.hasRetries {
		return l.retries
	}
	return n
}

// Room is how much rules may still add to a message's head: what the buffer that holds the message has left.
type Room struct {
	limit, used int
	bounded     bool
}

// Bound gives the head n more bytes.
func (r *Room) Bound(n int) { *r = Room{limit: n, bounded: true} }

// Take takes n bytes, or gives them back when n is negative. It takes nothing and reports false when there are not that many.
func (r *Room) Take(n int) bool {
	if r.bounded && n > 0 && r.used+n > r.limit {
		return false
	}
	r.used += n
	return true
}
