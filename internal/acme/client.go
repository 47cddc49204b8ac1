package acme

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// directoryLife is how long a directory is used before it is fetched again.
const directoryLife = 12 * time.Hour

// badNonceCalls is how often a call is made in which acmez has used up its own ten fresh nonces. A request whose nonce was rejected
// was not processed, so repeating it is always safe.
const badNonceCalls = 4

// client talks to one CA as one section describes it. It is shared by the orders of that section.
type client struct {
	section   *section
	base      http.RoundTripper
	userAgent string

	turn    chan struct{} // capacity 1: held while the directory or the account is being made
	acmez   *acme.Client
	fetched time.Time
	account acme.Account // Location "" until it is known
	thumb   string

	down   *failure // why the last attempt to get the directory or the account failed, and when
	downAt time.Time
}

// downFor is how long orders that waited for their turn share the failure of the one before them, instead of asking a silent CA again one
// after the other.
const downFor = 30 * time.Second

func newClient(section *section, base http.RoundTripper, userAgent string) *client {
	return &client{section: section, base: base, userAgent: userAgent, turn: make(chan struct{}, 1)}
}

// lock waits for the client's turn; unlock gives it back. A channel and not a mutex, so that a stopped order does not wait for a
// silent CA.
func (c *client) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}

func (c *client) unlock() { <-c.turn }

// call runs one operation of acmez and says what came of it in our own terms.
func (c *client) call(ctx context.Context, what string, op func(context.Context, *acme.Client) error) (*exchange, error) {
	for try := 1; ; try++ {
		x := &exchange{what: what}
		inner, cancel := context.WithTimeout(ctx, callTimeout)
		x.cancel = cancel
		err := op(context.WithValue(inner, exchangeKey{}, x), c.acmez)
		late := inner.Err() != nil
		cancel()
		var problem acme.Problem
		switch {
		case x.failed != nil && ctx.Err() == nil:
			return x, x.failed
		case err == nil:
			return x, nil
		case ctx.Err() != nil:
			return x, stopped(ctx)
		case errors.As(err, &problem) && problem.Type == acme.ProblemTypeBadNonce && try < badNonceCalls:
			continue
		case problem.Type == acme.ProblemTypeBadNonce:
			f := problemFailure(fmt.Sprintf("invalid HTTP status code %d when getting %s", x.status, what), &problem)
			f.transient, f.status = true, x.status
			return x, f
		case late:
			return x, &failure{text: "no answer when getting " + what + " in time", transient: true}
		}
		return x, refused("unusable answer when getting %s: %s", what, clean(err.Error(), maxText))
	}
}

// stopped is the failure of an order whose time was up or that was told to stop.
func stopped(ctx context.Context) *failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &failure{text: "the order took too long", transient: true, keep: true}
	}
	return &failure{text: "stopped", keep: true}
}

// prepare makes sure that there is a directory that is not too old. The caller holds the turn.
func (c *client) prepare(ctx context.Context) error {
	if c.acmez != nil && time.Since(c.fetched) < directoryLife {
		return nil
	}
	dir, err := c.fetchDirectory(ctx)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(dir)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(encoded)
	rt := &transport{base: c.base, directory: c.section.directory, copy: encoded, plain: c.section.plain, hosts: c.section.hosts(dir)}
	c.acmez = &acme.Client{
		// acmez keeps directories in a table of the process, by this text and for 12 hours; the fragment, which is never
		// sent, makes another directory another entry.
		Directory:   c.section.directory + "#" + hex.EncodeToString(sum[:]),
		HTTPClient:  &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		UserAgent:   c.userAgent,
		PollTimeout: -1, // FinalizeOrder must not poll: polling is ours
	}
	c.fetched = time.Now()
	return nil
}

// fetchDirectory gets and checks the directory (RFC 8555 section 7.1.1). Only what we use is kept.
func (c *client) fetchDirectory(ctx context.Context) (acme.Directory, error) {
	var dir acme.Directory
	inner, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	x := &exchange{what: "directory URL", cancel: cancel}
	req, err := http.NewRequestWithContext(inner, http.MethodGet, c.section.directory, nil)
	if err != nil {
		return dir, refused("directory URL: %s", clean(err.Error(), maxText))
	}
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := fetch(c.base, req, x)
	if err != nil {
		if ctx.Err() != nil {
			return dir, stopped(ctx)
		}
		return dir, err
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return dir, err
	}
	if err := json.Unmarshal(body.Bytes(), &dir); err != nil {
		return dir, refused("couldn't read the directory: %s", clean(err.Error(), maxText))
	}
	for _, endpoint := range [...]struct{ name, url string }{
		{"newNonce", dir.NewNonce}, {"newAccount", dir.NewAccount}, {"newOrder", dir.NewOrder},
	} {
		u, err := url.Parse(endpoint.url)
		if err != nil || endpoint.url == "" {
			return dir, refused("couldn't get %s URL from the directory URL", endpoint.name)
		}
		if err := checkScheme(u, c.section.plain); err != nil {
			return dir, refused("%s URL of the directory: %v", endpoint.name, err)
		}
	}
	kept := acme.Directory{NewNonce: dir.NewNonce, NewAccount: dir.NewAccount, NewOrder: dir.NewOrder}
	if dir.Meta != nil {
		kept.Meta = &acme.DirectoryMeta{Profiles: dir.Meta.Profiles}
	}
	return kept, nil
}

// hosts are the origins a section's CA may send us to: that of the directory and those it names.
func (c *section) hosts(dir acme.Directory) []string {
	var hosts []string
	for _, text := range []string{c.directory, dir.NewNonce, dir.NewAccount, dir.NewOrder} {
		if u, err := url.Parse(text); err == nil && !slices.Contains(hosts, hostPort(u)) {
			hosts = append(hosts, hostPort(u))
		}
	}
	return hosts
}

// newTransport is the network side of a client: its own connections, TLS 1.2 or newer, the roots of the section, no proxy but the
// environment's.
func newTransport(roots *x509.CertPool, insecure bool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, InsecureSkipVerify: insecure, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxConnsPerHost:        8,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
}
