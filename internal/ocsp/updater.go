package ocsp

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/event"
)

// Certificates is what an Updater needs of certstore.Store.
type Certificates interface {
	// Stapled lists the certificates with a response or with ocsp-update.
	Stapled() []certstore.Stapled
	// StapledOne is Stapled for one name.
	StapledOne(name string) (certstore.Stapled, bool)
	// Bundle is the certificate of this name, nil without one.
	Bundle(name string) *cert.Bundle
	// SetOCSP judges a response, makes it durable and then visible.
	SetOCSP(name string, r *cert.OCSPResponse, by string) error
}

// Settings are the ocsp-update.* keywords of a configuration.
type Settings struct {
	Delays
	Disable bool
	Proxy   string // "host:port", "": none
}

// Options say what an Updater works with. Store is required.
type Options struct {
	Store Certificates
	// Log receives the <OCSP-UPDATE> lines, with a syslog level. It must not block. nil: no log.
	Log func(level, text string)
	// Emit receives outages of responders and revocations. nil: nobody asks.
	Emit event.Sink
	// Transport reaches the responders instead of connections of our own. For tests; nil otherwise.
	Transport http.RoundTripper
	// Lookup resolves the names of responders and of the proxy. nil: the standard library does.
	Lookup Lookup
	// UserAgent is sent to responders, as "gatehouse/3.4.0".
	UserAgent string
	// Parallel bounds the requests at a time. 0: 16.
	Parallel int
}

// perResponder bounds the requests to one responder at a time, once it has answered.
const perResponder = 4

// Updater keeps responses fresh. All methods may be called by any goroutine.
type Updater struct {
	o    Options
	wake chan struct{} // capacity 1: something to look at

	mu         sync.Mutex
	settings   Settings
	transport  http.RoundTripper
	names      map[string]*name
	records    map[string]*record // by the DER of the CertID
	responders map[string]*responder
	queue      queue
	changed    map[string]bool // names to look at
	rescan     bool            // look at all names
	running    int
	seq        int
}

// name is what an Updater knows of one certificate. The Updater's mu guards it.
type name struct {
	bundle *cert.Bundle
	update bool
	record *record // nil: nothing to ask, for want of a responder or of the issuer
}

// record is one response: that of all certificates with one CertID. The Updater's mu guards it.
type record struct {
	id        []byte
	path      string // the first name
	names     map[string]bool
	question  question
	responder *responder

	seq     int
	at      int // in the queue
	next    time.Time
	waiting bool // for its responder
	asking  bool
	once    bool // asked for by hand, without ocsp-update
	update  bool // any of the names has ocsp-update on
	revoked bool // and told

	last      time.Time // of the last success
	successes int
	failures  int
	inARow    int
	wrong     bool // the last answer could not be used, which was told
	status    Status
	text      string // of the last failure, "" after a success
}

// responder is one server of responses. The Updater's mu guards it.
type responder struct {
	host    string
	running int
	limit   int
	waiting []*record // may hold some that do not wait any more
	inARow  int       // failures to answer
	until   time.Time // it is left alone, zero: answers
	records int
}

// New makes an Updater that asks nobody yet: Update announces a configuration and Run starts it.
func New(o Options) *Updater {
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.Log == nil {
		o.Log = func(string, string) {}
	}
	if o.Emit == nil {
		o.Emit = func(event.Event) {}
	}
	return &Updater{o: o, wake: make(chan struct{}, 1), names: map[string]*name{}, records: map[string]*record{}, responders: map[string]*responder{},
		changed: map[string]bool{}, settings: Settings{Delays: Delays{5 * time.Minute, time.Hour}}}
}

// Update announces a configuration whose certificates certstore has.
func (u *Updater) Update(s Settings) {
	u.mu.Lock()
	if u.transport == nil || s.Proxy != u.settings.Proxy {
		u.transport = u.o.Transport
		if u.transport == nil {
			u.transport = newTransport(s.Proxy, u.o.Lookup)
		}
	}
	u.settings, u.rescan = s, true
	u.mu.Unlock()
	u.wakeUp()
}

// Changed says that a certificate is another now, is used now, or is not used any more.
func (u *Updater) Changed(name string) {
	u.mu.Lock()
	u.changed[name] = true
	u.mu.Unlock()
	u.wakeUp()
}

func (u *Updater) wakeUp() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// lookEvery bounds how long Run sleeps: a certificate may have changed through another door, and timers stand still while a machine is suspended.
const lookEvery = 10 * time.Minute

// Run keeps responses fresh until ctx ends, and returns when every request it made has ended.
func (u *Updater) Run(ctx context.Context) error {
	var requests sync.WaitGroup
	defer requests.Wait()
	looked := time.Now()
	for {
		if time.Since(looked) >= lookEvery {
			u.mu.Lock()
			u.rescan, looked = true, time.Now()
			u.mu.Unlock()
		}
		u.look()
		timer := time.NewTimer(u.start(ctx, &requests))
		select {
		case <-timer.C:
		case <-u.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// look takes over what changed in certstore.
func (u *Updater) look() {
	u.mu.Lock()
	rescan, changed := u.rescan, u.changed
	u.rescan = false
	if len(changed) > 0 {
		u.changed = map[string]bool{}
	}
	u.mu.Unlock()
	if rescan {
		list := u.o.Store.Stapled()
		seen := make(map[string]bool, len(list))
		for _, st := range list {
			seen[st.Name] = true
			u.follow(st)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		for name := range u.names {
			if !seen[name] {
				u.forgetLocked(name)
			}
		}
		return
	}
	for name := range changed {
		if st, ok := u.o.Store.StapledOne(name); ok {
			u.follow(st)
			continue
		}
		u.mu.Lock()
		u.forgetLocked(name)
		u.mu.Unlock()
	}
}

// follow takes over one certificate as it is now.
func (u *Updater) follow(st certstore.Stapled) {
	u.mu.Lock()
	n := u.names[st.Name]
	if n != nil && n.bundle == st.Bundle && n.update == st.Update {
		u.settleLocked(n.record)
		u.mu.Unlock()
		return
	}
	u.mu.Unlock()
	id := st.Bundle.OCSPKey() // parses certificates, which takes a while
	q := question{st.Bundle.OCSPServer(), st.Bundle.OCSPRequest()}
	u.mu.Lock()
	defer u.mu.Unlock()
	if n != nil && n.record != nil && !bytes.Equal(n.record.id, id) {
		u.forgetLocked(st.Name)
		n = nil
	}
	if n == nil {
		n = &name{}
		u.names[st.Name] = n
	}
	n.bundle, n.update = st.Bundle, st.Update && q.server != ""
	if id == nil || q.server == "" && !st.Bundle.Stapling() {
		return
	}
	r := u.records[string(id)]
	if r == nil {
		u.seq++
		r = &record{id: id, path: st.Name, names: map[string]bool{}, question: q, seq: u.seq, at: waitsNot, responder: u.responderLocked(q.server)}
		u.records[string(id)] = r
		r.responder.records++
	}
	r.names[st.Name] = true
	n.record = r
	u.settleLocked(r)
}

// responderLocked finds or makes the responder of a URL.
func (u *Updater) responderLocked(server string) *responder {
	host := server
	if parsed, err := url.Parse(server); err == nil && parsed.Host != "" {
		host = parsed.Scheme + "://" + parsed.Host
	}
	p := u.responders[host]
	if p == nil {
		p = &responder{host: host, limit: 1}
		u.responders[host] = p
	}
	return p
}

// forgetLocked drops a name, and its response when no other name has it.
func (u *Updater) forgetLocked(of string) {
	n := u.names[of]
	if n == nil {
		return
	}
	delete(u.names, of)
	r := n.record
	if r == nil {
		return
	}
	delete(r.names, of)
	if len(r.names) > 0 {
		if r.path == of {
			r.path = slices.Min(keys(r.names))
		}
		u.settleLocked(r)
		return
	}
	delete(u.records, string(r.id))
	u.queue.remove(r)
	r.waiting = false
	if r.responder.records--; r.responder.records == 0 {
		delete(u.responders, r.responder.host)
	}
}

func keys(set map[string]bool) []string {
	list := make([]string, 0, len(set))
	for k := range set {
		list = append(list, k)
	}
	return list
}

// settleLocked makes r wait for its time if it is to be asked for, and not otherwise.
func (u *Updater) settleLocked(r *record) {
	if r == nil {
		return
	}
	r.update = false
	var until time.Time
	for name := range r.names {
		n := u.names[name]
		r.update = r.update || n.update && !u.settings.Disable
		if n.bundle.OCSPUntil().After(until) {
			until = n.bundle.OCSPUntil()
		}
	}
	switch now := time.Now(); {
	case r.asking || r.once:
	case !r.update:
		u.queue.remove(r)
		r.waiting = false
	case r.waiting:
	case r.at == waitsNot:
		u.queue.put(r, u.settings.next(now, until))
	case r.next.After(now.Add(u.settings.Max)): // the delay has become shorter
		u.queue.put(r, now.Add(u.settings.Max))
	}
}

// start makes the requests that are due, as far as there is room, and says how long nothing else will be.
func (u *Updater) start(ctx context.Context, requests *sync.WaitGroup) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	for len(u.queue) > 0 && u.running < u.o.Parallel && ctx.Err() == nil {
		r := u.queue[0]
		if r.next.After(now) {
			return min(r.next.Sub(now), lookEvery)
		}
		heap.Pop(&u.queue)
		p := r.responder
		switch {
		case p.until.After(now) && !r.once:
			u.queue.put(r, p.until)
		case p.running >= p.limit:
			r.waiting = true
			p.waiting = append(p.waiting, r)
		default:
			u.askLocked(ctx, requests, r)
		}
	}
	return lookEvery // the end of any request wakes Run
}

// askLocked makes one request in its own goroutine.
func (u *Updater) askLocked(ctx context.Context, requests *sync.WaitGroup, r *record) {
	r.asking, r.status = true, Unknown
	r.responder.running++
	u.running++
	q, rt := r.question, u.transport
	names := keys(r.names)
	slices.Sort(names)
	requests.Go(func() {
		revoked, until, err := u.fetch(ctx, rt, &q, names)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.running--
		r.responder.running--
		r.asking = false
		if ctx.Err() == nil && u.records[string(r.id)] == r { // nobody forgot it
			u.finishLocked(r, revoked, until, err)
		}
		u.admitLocked(r.responder)
		u.wakeUp()
	})
}

// fetch asks, judges, and gives the response to the certificates.
func (u *Updater) fetch(ctx context.Context, rt http.RoundTripper, q *question, names []string) (revoked bool, until time.Time, err error) {
	defer func() {
		if p := recover(); p != nil { // what a responder sends must not end the process
			err = &Failure{BadCheck, fmt.Errorf("internal error: %v", p)}
		}
	}()
	der, err := q.ask(ctx, rt, u.o.UserAgent)
	if err != nil {
		return false, until, err
	}
	r, err := cert.ParseOCSP(der)
	if err != nil {
		return false, until, &Failure{BadCheck, err}
	}
	var errs []error
	done := 0
	for _, name := range names {
		b := u.o.Store.Bundle(name)
		if b == nil {
			continue
		}
		if err := b.SignedFor(r, time.Now()); err != nil {
			return false, until, &Failure{BadCheck, err}
		}
		if err := u.o.Store.SetOCSP(name, r, "OCSP responder "+q.server); err != nil {
			errs = append(errs, err)
			continue
		}
		done++
	}
	if done == 0 && len(errs) > 0 {
		return false, until, &Failure{BadInsert, plain(ctx, errs[0])}
	}
	return r.Revoked(), r.NextUpdate.Add(-cert.OCSPSkew), nil
}

// finishLocked writes down how an attempt ended, tells it, and says when the next is.
func (u *Updater) finishLocked(r *record, revoked bool, until time.Time, err error) {
	now := time.Now()
	f := failure(err)
	answered := f == nil || f.Status >= BadCheck
	told := f != nil && !r.once && (r.wrong && answered || r.responder.inARow > 0 && !answered)
	if f == nil {
		r.successes++
		r.inARow, r.last, r.status, r.text = 0, now, OK, ""
	} else {
		r.failures++
		r.inARow++
		r.status, r.text = f.Status, ""
		if f.Err != nil {
			r.text = f.Err.Error()
		}
	}
	r.wrong = f != nil && answered
	u.judgeLocked(r, answered, now)
	if !told {
		u.o.Log("notice", r.line())
	}
	if f == nil && revoked && !r.revoked {
		u.emit(event.OCSPRevoked, "alert", r.path, fmt.Sprintf("certificate '%s' is revoked, says its OCSP responder %s", r.path, r.responder.host))
	}
	if f == nil {
		r.revoked = revoked
	}
	r.once = false
	if !r.update {
		return
	}
	at := u.settings.next(now, u.untilLocked(r, until))
	if f != nil {
		if soonest := now.Add(u.settings.retry(r.inARow)); at.Before(soonest) {
			at = soonest
		}
	}
	u.queue.put(r, at)
}

func failure(err error) *Failure {
	var f *Failure
	if err != nil && !errors.As(err, &f) {
		f = &Failure{BadCheck, err}
	}
	return f
}

// untilLocked is how long the response that serves is sent.
func (u *Updater) untilLocked(r *record, fetched time.Time) time.Time {
	for name := range r.names {
		b, n := u.o.Store.Bundle(name), u.names[name]
		if b == nil || n == nil || b.Fingerprint != n.bundle.Fingerprint {
			continue // another certificate by now, which Changed tells
		}
		if n.bundle = b; b.OCSPUntil().After(fetched) {
			fetched = b.OCSPUntil()
		}
	}
	return fetched
}

// judgeLocked keeps what is known of a record's responder: one that does not answer is left alone for a while, and told of once.
func (u *Updater) judgeLocked(r *record, answered bool, now time.Time) {
	p := r.responder
	if answered {
		if p.inARow > 0 {
			u.emit(event.OCSPUp, "notice", p.host, fmt.Sprintf("OCSP responder %s answers again", p.host))
		}
		p.inARow, p.until = 0, time.Time{}
		p.limit = min(2*p.limit, perResponder)
		return
	}
	if p.inARow == 0 {
		u.emit(event.OCSPDown, "warning", p.host, fmt.Sprintf("OCSP responder %s gives no responses: %s%s; what is stapled is sent until it expires",
			p.host, r.status, parens(r.text)))
	}
	p.inARow++
	p.limit = 1
	p.until = now.Add(u.settings.retry(p.inARow))
}

// admitLocked lets as many as there is room for at a responder take their turn; all of them, to be put off, when it does not answer.
func (u *Updater) admitLocked(p *responder) {
	room := p.limit - p.running
	if !p.until.IsZero() {
		room = len(p.waiting)
	}
	for ; room > 0 && len(p.waiting) > 0; p.waiting = p.waiting[1:] {
		if r := p.waiting[0]; r.waiting {
			r.waiting = false
			u.queue.put(r, r.next)
			room--
		}
	}
}

func parens(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// line is HAProxy's log line: proxy, path, status, its text with the last error, failures, successes.
func (r *record) line() string {
	return fmt.Sprintf("<OCSP-UPDATE> %s %d \"%s%s\" %d %d", r.path, r.status, r.status, parens(r.text), r.failures, r.successes)
}

func (u *Updater) emit(kind event.Kind, level, subject, text string) {
	u.o.Emit(event.Event{Time: time.Now(), Kind: kind, Level: level, Subject: subject, Text: text})
}

// Ask fetches the response of a certificate now (`update ssl ocsp-response`). It does not wait for the answer. Errors are HAProxy's texts.
func (u *Updater) Ask(of string) error {
	last := fmt.Sprintf("\nCan't send ocsp request for %s!", of)
	if u.o.Store.Bundle(of) == nil {
		return errors.New("Unknown certificate! 'update ssl ocsp-response' expects an already known certificate file name." + last)
	}
	st, ok := u.o.Store.StapledOne(of)
	if ok {
		u.follow(st)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.names[of]
	if !ok || n == nil || n.record == nil {
		return errors.New("'update ssl ocsp-response' only works on certificates that already have a known OCSP response." + last)
	}
	r := n.record
	if r.asking {
		return nil
	}
	r.once, r.waiting = true, false
	u.queue.put(r, time.Time{})
	u.wakeUp()
	return nil
}

// Row is one line of `show ssl ocsp-updates`.
type Row struct {
	ID        []byte
	Path      string
	Next      time.Time // now, when it is being asked for
	Last      time.Time // zero: never
	Successes int
	Failures  int
	Status    Status
	Text      string // of the last failure
}

// RowsHeader is the head of the table of rows.
const RowsHeader = "OCSP Certid | Path | Next Update | Last Update | Successes | Failures | Last Update Status | Last Update Status (str)"

// Line prints the row as HAProxy does, with dates as in logs.
func (r *Row) Line() string {
	const date = "02/Jan/2006:15:04:05 -0700"
	last := "-"
	if !r.Last.IsZero() {
		last = r.Last.Format(date)
	}
	return fmt.Sprintf("%x | %s | %s | %s | %d | %d | %d | %s%s", r.ID, r.Path, r.Next.Format(date), last, r.Successes, r.Failures, r.Status, r.Status, parens(r.Text))
}

// Rows lists the responses that are fetched, those that are being asked for first and then by time.
func (u *Updater) Rows() []Row {
	u.look()
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	var list []Row
	for _, r := range u.records {
		if !r.update && !r.once {
			continue
		}
		row := Row{r.id, r.path, r.next, r.last, r.successes, r.failures, r.status, r.text}
		if r.asking || row.Next.Before(now) {
			row.Next = now
		}
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b Row) int {
		return cmp.Or(a.Next.Compare(b.Next), u.records[string(a.ID)].seq-u.records[string(b.ID)].seq)
	})
	return list
}
