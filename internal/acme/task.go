package acme

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/cert"
)

// Deadlines of an order. A CA that says nothing keeps a name busy for attemptLimit at most.
const (
	attemptLimit    = 55 * time.Minute
	authorizeLimit  = 15 * time.Minute
	processingLimit = 30 * time.Minute
	storeLimit      = time.Minute // storing goes on when the process is told to stop, for as long as this
)

// Retries of one step, as HAProxy has them: five tries, 3, 9, 27 and 81 seconds apart unless the CA says otherwise. A CA that asks for
// more than maxPatience ends the attempt, which then comes back when the CA said.
const (
	stepTries   = 5
	maxPatience = 5 * time.Minute
)

// task is one attempt to get one certificate. It belongs to the goroutine that runs it.
type task struct {
	m       *Manager
	name    string
	client  *client
	journal journal
	asks    asks
	ids     []acme.Identifier
	current *cert.Bundle // what is served now; nil when nothing is
	reuse   bool         // keep the current private key
	order   *openOrder   // from the journal, or made by this attempt; nil between orders

	account acme.Account
	after   time.Duration // Retry-After of the last answer
}

// run walks the steps of RFC 8555 section 7.1: account, order, authorizations, finalize, download; then check and store. Before it
// returns the journal says either what to come back to or nothing.
func (t *task) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	err := t.attempt(ctx)
	if f := (*failure)(nil); errors.As(err, &f) && f.kind == acme.ProblemTypeAccountDoesNotExist && ctx.Err() == nil {
		// The CA has lost the account, or is another one now: make it again, once.
		t.say(levelNotice, "%s, making a new account", f.text)
		if err = t.m.forget(ctx, t.client, t); err == nil {
			err = t.attempt(ctx)
		}
	}
	return err
}

func (t *task) attempt(ctx context.Context) error {
	account, err := t.m.login(ctx, t.client, t)
	if err != nil {
		return err
	}
	t.account = account
	order, done, err := t.resume(ctx)
	if err == nil && !done && order.Location == "" {
		order, err = t.begin(ctx)
	}
	if err == nil && !done {
		err = t.drive(ctx, order)
	}
	if err != nil && !asFailure(err).resumable() {
		err = errors.Join(err, t.drop(ctx))
	}
	return err
}

// resumable says whether the order behind a failure is worth coming back to: when it was the way to the CA that failed, or our own
// disk, and not the order.
func (f *failure) resumable() bool { return !f.over && (f.keep || f.transient || f.rateLimited) }

// drop gives the open order up.
func (t *task) drop(ctx context.Context) error {
	t.order = nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	return t.journal.removeOrder(ctx, t.name)
}

// resume looks at the order that the journal holds. It returns an order without Location when there is none to go on with, and done
// when that order's certificate is the one being served: the process ended between storing and forgetting.
func (t *task) resume(ctx context.Context) (order acme.Order, done bool, err error) {
	o := t.order
	if o == nil {
		return order, false, nil
	}
	if o.delivered(t.current) {
		return order, true, t.drop(ctx)
	}
	if !o.Asks.equal(t.asks) || o.Account != t.account.Location || o.URL == "" || o.stale(time.Now()) {
		return order, false, t.drop(ctx)
	}
	order, err = t.look(ctx)
	if err != nil && !asFailure(err).resumable() {
		t.say(levelNotice, "the order that was open cannot be resumed (%s), making a new one", asFailure(err).text)
		return acme.Order{}, false, t.drop(ctx)
	}
	return order, false, err
}

// delivered says whether the certificate that is served is the one this order was for.
func (o *openOrder) delivered(current *cert.Bundle) bool {
	if o.Reused || current == nil || current.Temporary() {
		return false
	}
	return samePublicKey(current.X509().PublicKey, o.signer.Public())
}

// stale says whether an order is too old to come back to: one that the CA never finished within an hour, or any after a day. A
// certificate that only could not be stored is worth any age: ordering again would not make room on the disk.
func (o *openOrder) stale(now time.Time) bool {
	switch age := now.Sub(o.Created); {
	case o.Stage == stageUnsaved:
		return false
	case age < 0, age > maxJournalAge: // below zero: the clock was set back
		return true
	case !o.Expires.IsZero() && now.After(o.Expires):
		return true
	default:
		return age > stuckAfter && o.Patience.Before(now)
	}
}

// begin makes a new order and writes it, with the private key its certificate will have, to the journal.
func (t *task) begin(ctx context.Context) (acme.Order, error) {
	key, reused, err := t.newKey()
	if err != nil {
		return acme.Order{}, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return acme.Order{}, err
	}
	order := acme.Order{Identifiers: t.ids, Profile: t.asks.Profile}
	err = t.retriedIf(ctx, repeatableOrder, func() error {
		return t.callOnce(ctx, "newOrder URL", func(ctx context.Context, z *acme.Client) (err error) {
			order, err = z.NewOrder(ctx, t.account, acme.Order{Identifiers: t.ids, Profile: t.asks.Profile})
			return err
		})
	})
	if err != nil {
		return order, err
	}
	if order.Location == "" {
		return order, refused("couldn't get an order Location during newOrder")
	}
	t.order = &openOrder{
		Cert: t.name, Asks: t.asks, Account: t.account.Location, URL: order.Location, Key: encoded,
		Stage: stageOrdered, Created: time.Now(), Expires: order.Expires, Reused: reused, signer: key, ids: t.ids,
	}
	return order, t.journal.putOrder(ctx, t.order)
}

// repeatableOrder: a newOrder request whose answer was lost may have made an order, so it is not sent again in the same attempt.
func repeatableOrder(f *failure) bool { return f.transient && (f.status != 0 || f.unsent) }

// newKey is the private key of the next certificate: a new one, or the current one where the configuration says reuse-key.
func (t *task) newKey() (key crypto.Signer, reused bool, err error) {
	if t.reuse && t.current != nil && !t.current.Temporary() && t.current.HasKey() {
		if key, err := decodeKey(t.current.PEM()); err == nil && t.asks.Key.fits(key) {
			return key, true, nil
		}
	}
	key, err = t.asks.Key.generate()
	return key, false, err
}

// drive takes an order from wherever it is to a stored certificate.
func (t *task) drive(ctx context.Context, order acme.Order) error {
	s := orderState{order: order, asked: t.ids}
	polls, until := 0, time.Now().Add(processingLimit)
	for {
		next, f := nextOrder(s)
		switch next {
		case abandon:
			f.over = true
			return f
		case authorize:
			if err := t.authorize(ctx, s.order); err != nil {
				return err
			}
			s.authorized = true
			polls, until = 0, time.Now().Add(processingLimit)
		case poll:
			polls++
			if err := t.pause(ctx, polls, until, "the CA is still processing the order"); err != nil {
				return err
			}
		case finalize:
			s.finalized++
			if err := t.finalize(ctx, s.order); err != nil {
				return err
			}
			polls, until = 0, time.Now().Add(processingLimit)
		case download:
			return t.collect(ctx, s.order)
		}
		fresh, err := t.look(ctx)
		if err != nil {
			return err
		}
		s.order = fresh
	}
}

// look fetches the order.
func (t *task) look(ctx context.Context) (acme.Order, error) {
	var order acme.Order
	err := t.call(ctx, t.client, "Order URL", func(ctx context.Context, z *acme.Client) (err error) {
		order, err = z.GetOrder(ctx, t.account, acme.Order{Location: t.order.URL})
		return err
	})
	order.Location = t.order.URL
	return order, err
}

// authorize answers the http-01 challenges of all authorizations and waits until the CA has seen the answers. The answers stay
// visible until it returns.
func (t *task) authorize(ctx context.Context, order acme.Order) error {
	var open []string // in the CA's order, each once
	for _, url := range order.Authorizations {
		if !slices.Contains(open, url) {
			open = append(open, url)
		}
	}
	answered := map[string]error{} // challenge URL -> what the CA said when it was told
	var shown []string
	defer func() {
		for _, token := range shown {
			t.m.tokens.withdraw(token)
		}
	}()
	until := time.Now().Add(authorizeLimit)
	for round := 1; ; round++ {
		var left []string
		var after time.Duration
		for _, url := range open {
			var az acme.Authorization
			err := t.call(ctx, t.client, "Authorization URL", func(ctx context.Context, z *acme.Client) (err error) {
				az, err = z.GetAuthorization(ctx, t.account, url)
				return err
			})
			if err != nil {
				return err
			}
			next, ch, f := nextAuthorization(az, t.ids)
			switch next {
			case abandon:
				f.over = true
				return f
			case skip:
				continue
			case answer:
				said, before := answered[ch.URL]
				if said != nil {
					return said // it refused, and nothing has moved since
				}
				if !slices.Contains(shown, ch.Token) {
					t.m.tokens.present(ch.Token, ch.KeyAuthorization)
					shown = append(shown, ch.Token)
				}
				if !before {
					if err := t.respond(ctx, ch, answered); err != nil {
						return err
					}
				}
			}
			left = append(left, url)
			after = max(after, t.after)
		}
		if open = left; len(open) == 0 {
			return nil
		}
		t.after = after
		if err := t.pause(ctx, round, until, "the CA has not validated the challenges"); err != nil {
			return err
		}
	}
}

// respond tells the CA that a challenge is ready to be validated and notes in answered that it was told. What the CA refuses is noted and
// no error: a challenge that has moved on in the meantime refuses too, and the next look at its authorization tells. When the answer
// was lost nothing is noted, and the challenge is told again if it is still pending then.
func (t *task) respond(ctx context.Context, ch acme.Challenge, answered map[string]error) error {
	err := t.retriedIf(ctx, func(f *failure) bool { return f.transient && !f.lost() }, func() error {
		return t.callOnce(ctx, "challenge URL", func(ctx context.Context, z *acme.Client) error {
			_, err := z.InitiateChallenge(ctx, t.account, ch)
			return err
		})
	})
	if err == nil {
		answered[ch.URL] = nil
		return nil
	}
	switch f := asFailure(err); {
	case f.lost():
		return nil
	case f.status != 0 && !f.resumable():
		answered[ch.URL] = f
		return nil
	}
	return err
}

// lost says that a request may have reached the CA although no answer came back.
func (f *failure) lost() bool { return f.transient && f.status == 0 && !f.unsent }

// finalize writes down that the order is about to be finalized and sends the CSR. What came of it is seen at the order.
func (t *task) finalize(ctx context.Context, order acme.Order) error {
	t.order.Stage = stageFinalize
	if err := t.journal.putOrder(ctx, t.order); err != nil {
		return err
	}
	csr, err := request(t.order.signer, t.ids)
	if err != nil {
		return err
	}
	return t.retried(ctx, func() error {
		err := t.callOnce(ctx, "Finalize URL", func(ctx context.Context, z *acme.Client) error {
			_, err := z.FinalizeOrder(ctx, t.account, order, csr)
			if x := ctx.Value(exchangeKey{}).(*exchange); x.failed == nil && x.status/100 == 2 {
				return nil // acmez takes "processing" for an error when it is not the one that polls
			}
			return err
		})
		if err != nil && (asFailure(err).lost() || asFailure(err).kind == acme.ProblemTypeOrderNotReady) {
			return nil
		}
		return err
	})
}

// collect downloads the chain, checks it against the key and the names of the order, and stores it.
func (t *task) collect(ctx context.Context, order acme.Order) error {
	if t.order.Stage != stageUnsaved {
		t.order.Stage = stageDownload
		if err := t.journal.putOrder(ctx, t.order); err != nil {
			return err
		}
	}
	var chains []acme.Certificate
	err := t.call(ctx, t.client, "certificate URL", func(ctx context.Context, z *acme.Client) (err error) {
		chains, err = z.GetCertificateChain(ctx, t.account, order.Certificate)
		return err
	})
	if err != nil {
		return err
	}
	if len(chains) == 0 {
		return refused("no certificate in the CA's answer")
	}
	roots, err := t.client.section.roots(t.m.o.Host)
	if err != nil {
		return err
	}
	chain, err := checkChain(chains[0].ChainPEM, t.order.signer.Public(), t.ids, roots, time.Now())
	if err != nil {
		return err
	}
	bundle, err := cert.Parse(t.name, slices.Concat(t.order.Key, chain))
	if err != nil {
		return refused("the issued certificate: %s", clean(err.Error(), maxText))
	}
	return t.store(ctx, bundle)
}

// store hands the certificate to certstore, which makes it durable and then visible, and forgets the order. A disk that is full leaves the
// order in the journal: the next attempt downloads the same certificate again instead of ordering another.
func (t *task) store(ctx context.Context, bundle *cert.Bundle) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if err := t.m.o.Store.Put(ctx, t.name, bundle, "acme"); err != nil {
		t.order.Stage = stageUnsaved
		f := &failure{text: "the issued certificate could not be stored: " + clean(err.Error(), maxText), keep: true}
		if err := t.journal.putOrder(ctx, t.order); err != nil {
			t.say(levelWarning, "%s", asFailure(err).text)
		}
		return f
	}
	if err := t.drop(ctx); err != nil { // the next start sees that it was delivered
		t.say(levelWarning, "removing the order from the journal: %s", asFailure(err).text)
	}
	return nil
}

// call is one call of acmez with HAProxy's retries.
func (t *task) call(ctx context.Context, c *client, what string, op func(context.Context, *acme.Client) error) error {
	return t.retried(ctx, func() error { return t.callVia(ctx, c, what, op) })
}

func (t *task) callOnce(ctx context.Context, what string, op func(context.Context, *acme.Client) error) error {
	return t.callVia(ctx, t.client, what, op)
}

func (t *task) callVia(ctx context.Context, c *client, what string, op func(context.Context, *acme.Client) error) error {
	x, err := c.call(ctx, what, op)
	t.after = x.after
	return err
}

func (t *task) retried(ctx context.Context, op func() error) error {
	return t.retriedIf(ctx, func(f *failure) bool { return f.transient }, op)
}

// retriedIf repeats a step while repeatable says that it may help and the CA's patience is short enough to wait for.
func (t *task) retriedIf(ctx context.Context, repeatable func(*failure) bool, op func() error) error {
	delay := time.Second
	for try := 1; ; try++ {
		err := op()
		if err == nil {
			return nil
		}
		f := asFailure(err)
		delay *= 3
		if !repeatable(f) || ctx.Err() != nil || try == stepTries || f.rateLimited || f.after > maxPatience {
			return f
		}
		wait := delay
		if f.after > 0 {
			wait = f.after
		}
		t.say(levelNotice, "%s, retrying in %ds (%d/%d retries)...", f.text, int(wait/time.Second), try, stepTries)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// pause waits before the n-th look at something the CA is working on: as long as it asked for, else 1, 2, 4, 8, then 10 seconds. When
// that is after until, the attempt ends with a failure that says what it waited for; an order whose CA asked for more time is kept.
func (t *task) pause(ctx context.Context, n int, until time.Time, waiting string) error {
	wait := min(time.Second<<min(n-1, 10), 10*time.Second)
	if t.after > 0 {
		wait = t.after
	}
	if time.Now().Add(wait).After(until) {
		f := &failure{text: waiting, after: t.after, keep: true}
		if t.after > 0 {
			f.text = fmt.Sprintf("%s and asks to come back in %s", waiting, t.after)
			t.order.Patience = time.Now().Add(t.after + attemptLimit)
			if err := t.journal.putOrder(ctx, t.order); err != nil {
				return err
			}
		}
		return f
	}
	return sleep(ctx, wait)
}

// sleep waits, or returns early with the failure of an order that was stopped.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}

// say logs one line about the certificate, as HAProxy begins it.
func (t *task) say(level, format string, args ...any) {
	t.m.log(level, "acme: "+t.name+": "+fmt.Sprintf(format, args...))
}
