package acme

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/storage"
)

// Keys of the state store. Certificate names are paths of any length, so they stand as hashes; the value says the name.
const (
	accountPrefix = "acme/account/"
	orderPrefix   = "acme/order/"
	retryPrefix   = "acme/retry/"
)

// openOrder is the journal's record of one order that is under way: written before the order is finalized, removed once its
// certificate is stored or the order is given up.
type openOrder struct {
	Cert     string            `json:"cert"`
	Asks     asks              `json:"asks"`
	Account  string            `json:"account"` // URL
	URL      string            `json:"url"`
	Key      []byte            `json:"key"` // PEM of the private key the certificate will be for
	Stage    string            `json:"stage"`
	Created  time.Time         `json:"created"`
	Expires  time.Time         `json:"expires,omitzero"`
	Reused   bool              `json:"reused,omitempty"`  // the key is that of the certificate before
	Patience time.Time         `json:"patience,omitzero"` // the CA asked to come back by then: not stuck before
	signer   crypto.Signer     // of Key
	ids      []acme.Identifier // of Asks
}

// Stages of an open order as the journal and `acme status` readers see them.
const (
	stageOrdered   = "ordered"
	stageFinalize  = "finalize"
	stageDownload  = "download"
	stageUnsaved   = "store" // issued, but could not be stored yet
	maxJournalAge  = 24 * time.Hour
	stuckAfter     = time.Hour
	maxJournalSize = 1 << 20
)

// asks is what a certificate is asked to be. An open order and a back-off count belong to what was asked: another question starts
// afresh.
type asks struct {
	Directory string   `json:"directory"`
	Domains   []string `json:"domains,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Profile   string   `json:"profile,omitempty"`
	Key       keySpec  `json:"key"`
}

func (a asks) equal(b asks) bool {
	return a.Directory == b.Directory && a.Profile == b.Profile && a.Key == b.Key &&
		sameIdentifiers(identifiers(a.Domains, a.IPs), identifiers(b.Domains, b.IPs))
}

// retry is the back-off record of one certificate name.
type retry struct {
	Cert     string    `json:"cert"`
	Asks     asks      `json:"asks"`
	Failures int       `json:"failures"`        // in a row
	Last     time.Time `json:"last"`            // when the last of them was
	Next     time.Time `json:"next"`            // when to try again
	Text     string    `json:"text"`            // why
	Issued   time.Time `json:"issued,omitzero"` // when a certificate was last issued
}

// knownAccount is an account at one directory under one key.
type knownAccount struct {
	Directory string `json:"directory"`
	Thumb     string `json:"thumb"`
	URL       string `json:"url"`
	Contact   string `json:"contact,omitempty"`
}

// journal keeps accounts, open orders and back-off counts in the state store. Every write is durable when it returns.
type journal struct {
	store storage.Store
}

func hashed(prefix string, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return prefix + hex.EncodeToString(h.Sum(nil))
}

func (j journal) put(ctx context.Context, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if len(data) > maxJournalSize {
		return fmt.Errorf("journal record of %d bytes is too long", len(data))
	}
	_, err = j.store.Put(ctx, key, data, -1)
	return err
}

// remove deletes a record; one that is not there is fine.
func (j journal) remove(ctx context.Context, key string) error {
	if err := j.store.Delete(ctx, key, -1); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return nil
}

func (j journal) putOrder(ctx context.Context, o *openOrder) error {
	if err := j.put(ctx, hashed(orderPrefix, o.Cert), o); err != nil {
		return fmt.Errorf("writing the order journal: %w", err)
	}
	return nil
}

func (j journal) removeOrder(ctx context.Context, name string) error {
	return j.remove(ctx, hashed(orderPrefix, name))
}

// orders reads every open order. A record that cannot be read is as good as lost, and said.
func (j journal) orders(ctx context.Context) (map[string]*openOrder, error) {
	items, err := j.store.List(ctx, orderPrefix)
	if err != nil {
		return nil, fmt.Errorf("reading the order journal: %w", err)
	}
	out := map[string]*openOrder{}
	var lost error
	for _, item := range items {
		o := &openOrder{}
		err := json.Unmarshal(item.Value, o)
		if err == nil {
			o.signer, err = decodeKey(o.Key)
		}
		if err != nil {
			lost = errors.Join(lost, fmt.Errorf("reading the order journal: record %s: unreadable", item.Key))
			continue
		}
		o.ids = identifiers(o.Asks.Domains, o.Asks.IPs)
		out[o.Cert] = o
	}
	return out, lost
}

func (j journal) putRetry(ctx context.Context, r *retry) error {
	return j.put(ctx, hashed(retryPrefix, r.Cert), r)
}

func (j journal) retries(ctx context.Context) (map[string]*retry, error) {
	items, err := j.store.List(ctx, retryPrefix)
	if err != nil {
		return nil, fmt.Errorf("reading the retry journal: %w", err)
	}
	out := map[string]*retry{}
	for _, item := range items {
		r := &retry{}
		if json.Unmarshal(item.Value, r) == nil { // a lost count costs one early try
			out[r.Cert] = r
		}
	}
	return out, nil
}

func (j journal) accountURL(ctx context.Context, directory, thumb string) (string, error) {
	item, err := j.store.Get(ctx, hashed(accountPrefix, directory, thumb))
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the account: %w", err)
	}
	var a knownAccount
	if json.Unmarshal(item.Value, &a) != nil {
		return "", nil // asking the CA for it costs one request
	}
	return a.URL, nil
}

func (j journal) putAccount(ctx context.Context, a knownAccount) error {
	if err := j.put(ctx, hashed(accountPrefix, a.Directory, a.Thumb), a); err != nil {
		return fmt.Errorf("writing the account: %w", err)
	}
	return nil
}

func (j journal) removeAccount(ctx context.Context, directory, thumb string) error {
	return j.remove(ctx, hashed(accountPrefix, directory, thumb))
}
