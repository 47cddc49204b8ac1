package acme

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
	"gatehouse/internal/storage"
)

// Levels of log lines, syslog's words.
const (
	levelNotice  = "notice"
	levelWarning = "warning"
	levelError   = "err"
)

// Certificates is what a Manager needs of certstore.Store.
type Certificates interface {
	// Managed lists the certificates that carry an acme attribute.
	Managed() []certstore.Managed
	// Bundle is the certificate of this name as it is served, nil without one.
	Bundle(name string) *cert.Bundle
	// Put makes a checked certificate durable and then visible.
	Put(ctx context.Context, name string, b *cert.Bundle, by string) error
}

// Options say what a Manager works with.
type Options struct {
	// Store holds the certificates. Required.
	Store Certificates
	// State opens the state store, which keeps accounts, open orders and back-off counts. It is called when the first certificate is
	// managed, and again after an error. Required.
	State func() (storage.Store, string, error)
	// Host reads and writes the account keys. Required.
	Host host.Host
	// Emit receives what happened to orders. nil: nobody asks.
	Emit event.Sink
	// Log receives lines for the log, with a syslog level. It must not block. nil: no log.
	Log func(level, text string)
	// Transport reaches the CAs instead of connections made from a section's own settings. For tests; nil otherwise.
	Transport http.RoundTripper
	// UserAgent is sent to the CA, as "gatehouse/3.4.0".
	UserAgent string
	// Parallel bounds the orders that are open at the same time. 0: 8.
	Parallel int
}

// Manager gets and renews the certificates of a certstore. All methods may be called by any goroutine.
type Manager struct {
	o      Options
	tokens tokens
	keys   chan struct{} // capacity 1: held while an account key is read or made
	wake   chan struct{} // capacity 1: something to look at

	mu        sync.Mutex
	sections  map[string]*section
	scheduler bool
	clients   map[section]*client
	names     map[string]*record
	journal   journal // zero until the state store is open
	running   int
}

// record is what a Manager knows of one certificate name beside certstore. The Manager's mu guards it.
type record struct {
	order  *openOrder // left by an earlier attempt; nil when there is none
	retry  retry
	cancel context.CancelFunc // not nil while a task runs
	forced bool               // acme renew: due whatever the dates say
}

// New makes a Manager that knows no section yet; Update gives it some and Run starts it.
func New(o Options) *Manager {
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	return &Manager{
		o: o, keys: make(chan struct{}, 1), wake: make(chan struct{}, 1), scheduler: true,
		sections: map[string]*section{}, clients: map[section]*client{}, names: map[string]*record{},
	}
}

// KeyAuthorization is the answer to GET /.well-known/acme-challenge/TOKEN (RFC 8555 section 8.3) while one of our open orders shows
// that token, and nil for any other. It takes no lock. The bytes must not be changed.
func (m *Manager) KeyAuthorization(token []byte) []byte { return m.tokens.lookup(token) }

// Update announces a configuration: its acme sections and the global settings that concern them. Orders that are open go on as they
// began, unless their certificate is not managed any more. Sections that Check refuses are left out.
func (m *Manager) Update(c *config.Config) {
	sections := map[string]*section{}
	for _, a := range c.ACMEs {
		if s, err := newSection(c, a); err == nil {
			sections[s.name] = s
		}
	}
	m.mu.Lock()
	m.sections, m.scheduler = sections, c.Global.ACMEScheduler
	for s := range m.clients {
		if used := sections[s.name]; used == nil || *used != s {
			delete(m.clients, s) // its open orders keep it until they end
		}
	}
	m.mu.Unlock()
	m.Wake()
}

// Wake makes Run look at the certificates now. Whoever changes which certificates are managed calls it.
func (m *Manager) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// lookEvery bounds how long Run sleeps: a certificate may change through another door, and timers stand still while a machine is
// suspended.
const lookEvery = 10 * time.Minute

// Run keeps the managed certificates fresh until ctx ends, and returns when every order it started has stopped.
func (m *Manager) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		wait := m.schedule(ctx, &tasks)
		timer := time.NewTimer(min(max(wait, 0), lookEvery))
		select {
		case <-timer.C:
		case <-m.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// candidate is one managed certificate with when it is due.
type candidate struct {
	certstore.Managed
	section *section
	asks    asks
	record  *record
	due     time.Time
}

// schedule starts what is due, as far as there is room, and says how long nothing else will be.
func (m *Manager) schedule(ctx context.Context, tasks *sync.WaitGroup) time.Duration {
	managed := m.o.Store.Managed()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopOrphansLocked(managed)
	if len(managed) == 0 || ctx.Err() != nil {
		return lookEvery
	}
	if err := m.openLocked(ctx); err != nil {
		text := "acme: no certificate can be ordered: " + clean(err.Error(), maxText)
		m.log(levelError, text)
		m.emit(event.OrderFailed, "alert", "", text)
		return time.Minute
	}
	now := time.Now()
	wait := lookEvery
	var ready []*candidate
	for _, c := range m.candidatesLocked(managed, now) {
		switch until := c.due.Sub(now); {
		case c.record.cancel != nil || c.due.Equal(never):
		case until <= 0:
			ready = append(ready, c)
		default:
			wait = min(wait, until)
		}
	}
	slices.SortStableFunc(ready, moreUrgent)
	for _, c := range ready {
		if m.running >= m.o.Parallel {
			break // the end of any task wakes the scheduler
		}
		m.startLocked(ctx, tasks, c)
	}
	return wait
}

// moreUrgent orders what is due: asked for by hand, then what did not fail before, then what ends first. A name that keeps failing does
// not hold up the others.
func moreUrgent(a, b *candidate) int {
	rank := func(c *candidate) int {
		if c.record.forced {
			return -1
		}
		return min(c.record.retry.Failures, 1)
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return ending(a.Bundle).Compare(ending(b.Bundle))
}

func ending(b *cert.Bundle) time.Time {
	if b == nil || b.Temporary() {
		return time.Time{}
	}
	return b.NotAfter
}

// stopOrphansLocked stops the orders of certificates that the configuration does not name any more.
func (m *Manager) stopOrphansLocked(managed []certstore.Managed) {
	for name, r := range m.names {
		if r.cancel != nil && !slices.ContainsFunc(managed, func(c certstore.Managed) bool { return c.Name == name }) {
			r.cancel()
		}
	}
}

// openLocked opens the state store once and reads what an earlier process left.
func (m *Manager) openLocked(ctx context.Context) error {
	if m.journal.store != nil {
		return nil
	}
	store, _, err := m.o.State()
	if err != nil {
		return err
	}
	j := journal{store: store}
	orders, err := j.orders(ctx)
	if orders == nil {
		return err
	}
	if err != nil {
		m.log(levelWarning, "acme: "+clean(err.Error(), maxText))
	}
	retries, err := j.retries(ctx)
	if err != nil {
		return err
	}
	for name, o := range orders {
		m.recordLocked(name).order = o
	}
	for name, r := range retries {
		m.recordLocked(name).retry = *r
	}
	m.journal = j
	return nil
}

func (m *Manager) recordLocked(name string) *record {
	r := m.names[name]
	if r == nil {
		r = &record{retry: retry{Cert: name}}
		m.names[name] = r
	}
	return r
}

// candidatesLocked are the managed certificates whose section exists, with when they are due.
func (m *Manager) candidatesLocked(managed []certstore.Managed, now time.Time) []*candidate {
	var out []*candidate
	for _, c := range managed {
		s := m.sections[c.Attrs.ACME]
		if s == nil {
			continue
		}
		k := &candidate{Managed: c, section: s, asks: wishes(s, c.Attrs), record: m.recordLocked(c.Name)}
		if len(identifiers(k.asks.Domains, k.asks.IPs)) == 0 {
			continue
		}
		k.due = k.record.dueAt(k.asks, c.Bundle, m.scheduler, now)
		out = append(out, k)
	}
	return out
}

// wishes is what a certificate with these attributes is asked to be: what its line says, else what its section says.
func wishes(s *section, attrs certstore.Attrs) asks {
	key := keySpec{Type: attrs.KeyType, Bits: attrs.Bits, Curves: attrs.Curves}
	if key.Type == "" {
		key.Type = s.keyType
	}
	if key.Bits == 0 {
		key.Bits = s.bits
	}
	if key.Curves == "" {
		key.Curves = s.curves
	}
	return asks{Directory: s.directory, Domains: attrs.Domains, IPs: attrs.IPs, Profile: s.profile, Key: key.resolve()}
}

// startLocked runs one attempt in its own goroutine.
func (m *Manager) startLocked(ctx context.Context, tasks *sync.WaitGroup, c *candidate) {
	cl, err := m.clientLocked(c.section)
	if err != nil {
		m.finishLocked(ctx, c, nil, err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &task{
		m: m, name: c.Name, client: cl, journal: m.journal, asks: c.asks, ids: identifiers(c.asks.Domains, c.asks.IPs),
		current: c.Bundle, reuse: c.section.reuseKey || c.Attrs.ReuseKey,
	}
	if left := c.record.order; left != nil {
		own := *left // Status reads the record's while the task changes its own
		t.order = &own
	}
	c.record.cancel, c.record.forced = cancel, false
	m.running++
	t.say(levelNotice, "Starting update of the certificate.")
	m.emit(event.OrderStarted, "info", c.Name, "ordering a certificate for "+listNames(t.ids)+" from "+c.section.name)
	tasks.Go(func() {
		err := guard(func() error { return t.run(ctx) })
		stopped := ctx.Err() != nil
		cancel()
		m.mu.Lock()
		m.running--
		c.record.cancel = nil
		if stopped && err != nil {
			c.record.order = t.order
		} else {
			m.finishLocked(ctx, c, t.order, err)
		}
		m.mu.Unlock()
		m.Wake()
	})
}

// guard turns a panic into an error: what a CA sends must not end the process.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return f()
}

// clientLocked gives the client of a section, made at its first order.
func (m *Manager) clientLocked(s *section) (*client, error) {
	if c := m.clients[*s]; c != nil {
		return c, nil
	}
	base := m.o.Transport
	if base == nil {
		network, err := s.network(m.o.Host)
		if err != nil {
			return nil, err
		}
		base = network
	}
	c := newClient(s, base, m.o.UserAgent)
	m.clients[*s] = c
	return c, nil
}

// finishLocked tells how an attempt ended and writes down when the next may begin.
func (m *Manager) finishLocked(ctx context.Context, c *candidate, left *openOrder, err error) {
	now := time.Now()
	r := c.record
	r.order, r.forced = left, false
	if !r.retry.Asks.equal(c.asks) {
		r.retry = retry{Cert: c.Name, Asks: c.asks}
	}
	if err == nil {
		r.retry = retry{Cert: c.Name, Asks: c.asks, Issued: now}
		m.log(levelNotice, "acme: "+c.Name+": Successful update of the certificate.")
		m.emit(event.OrderDone, "info", c.Name, "new certificate for "+listNames(identifiers(c.asks.Domains, c.asks.IPs)))
	} else {
		f := asFailure(err)
		text := f.text
		r.retry.Failures++
		delay := retryDelay(r.retry.Failures, needsSoon(c.Bundle, now), f.after, jitter())
		r.retry.Last, r.retry.Next, r.retry.Text = now, now.Add(delay), text
		if f.rateLimited {
			text += "; the CA limits our rate"
		}
		m.log(levelError, "acme: "+c.Name+": "+text+" Aborting.")
		m.emit(event.OrderFailed, "alert", c.Name, fmt.Sprintf("%s; failure %d in a row, next try at %s",
			text, r.retry.Failures, r.retry.Next.UTC().Format(time.RFC3339)))
	}
	if m.journal.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err := m.journal.putRetry(ctx, &r.retry); err != nil {
		m.log(levelWarning, "acme: "+c.Name+": writing the retry journal: "+clean(err.Error(), maxText))
	}
}

func (m *Manager) log(level, text string) {
	if m.o.Log != nil {
		m.o.Log(level, text)
	}
}

func (m *Manager) emit(kind event.Kind, level, subject, text string) {
	if m.o.Emit != nil {
		m.o.Emit(event.Event{Time: time.Now(), Kind: kind, Level: level, Subject: subject, Text: text})
	}
}
