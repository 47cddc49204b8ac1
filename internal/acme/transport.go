package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// Bounds of one request to a CA.
const (
	requestTimeout = 30 * time.Second // one request with its whole answer
	callTimeout    = 2 * time.Minute  // one call with its fresh nonces
	maxAnswer      = 1 << 20          // bytes of one answer
)

// exchange is what really happened on the wire during one call of the acmez client, which retries by itself and hides status
// and headers. It belongs to the goroutine that makes the call.
type exchange struct {
	what   string // what is being fetched, in HAProxy's words: "newOrder URL"
	status int    // of the last answer
	after  time.Duration
	failed *failure // set: the call is over, whatever acmez thinks
	cancel context.CancelFunc
}

type exchangeKey struct{}

// end makes the call fail with f and keeps acmez from trying again: retries are ours to plan and to tell.
func (x *exchange) end(f *failure) error {
	x.failed = f
	x.cancel()
	return f
}

// transport stands between acmez and the network. It refuses addresses that the CA's directory did not name, bounds and reads
// whole answers, follows no redirect, remembers status and Retry-After, and ends a call at the first answer that is not a success
// or badNonce. It answers the request for the directory from the copy that was checked, because acmez keeps a lock of the whole
// process while it fetches one. Link headers are dropped: acmez would follow "up" and "alternate" without an end.
type transport struct {
	base      http.RoundTripper
	directory string   // URL without fragment
	copy      []byte   // the checked directory as JSON
	hosts     []string // host:port that may be asked
	plain     bool     // http:// is allowed, to loopback
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("acme request outside of a call")
	}
	if x.failed != nil {
		return nil, x.failed
	}
	if req.Method == http.MethodGet && withoutFragment(req.URL) == t.directory {
		return jsonAnswer(req, t.copy), nil
	}
	if err := t.allowed(req.URL); err != nil {
		return nil, x.end(refused("%s: %v", x.what, err))
	}
	return fetch(t.base, req, x)
}

// allowed says whether a URL that the CA gave us may be asked.
func (t *transport) allowed(u *url.URL) error {
	if err := checkScheme(u, t.plain); err != nil {
		return err
	}
	for _, host := range t.hosts {
		if hostPort(u) == host {
			return nil
		}
	}
	return fmt.Errorf("the URL's host %q is not one of the CA's directory", clean(u.Host, 100))
}

// checkScheme wants https, or http to this machine where plain allows it.
func checkScheme(u *url.URL, plain bool) error {
	switch {
	case u.Host == "" || u.User != nil:
		return fmt.Errorf("%q is not an address of a CA", clean(u.Redacted(), 200))
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && plain && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https", clean(u.Redacted(), 200))
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// hostPort is the origin of a URL without its scheme, which checkScheme looks at.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func withoutFragment(u *url.URL) string {
	text, _, _ := strings.Cut(u.String(), "#")
	return text
}

func jsonAnswer(req *http.Request, body []byte) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}
}

// fetch makes one request and reads its answer whole. What is not a success ends the exchange, except a rejected nonce.
func fetch(base http.RoundTripper, req *http.Request, x *exchange) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), requestTimeout)
	defer cancel()
	resp, err := base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, x.end(networkFailure(x.what, err))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	resp.Body.Close()
	switch {
	case err != nil:
		return nil, x.end(networkFailure(x.what, err))
	case len(body) > maxAnswer:
		return nil, x.end(refused("the answer when getting %s is longer than %d bytes", x.what, maxAnswer))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.Header.Del("Link")
	x.status, x.after = resp.StatusCode, retryAfter(resp.Header, time.Now())
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	f, badNonce := statusFailure(x, resp.Header, body)
	if badNonce && req.Method == http.MethodPost {
		return resp, nil // acmez takes the fresh nonce and asks again
	}
	return nil, x.end(f)
}

// networkFailure words an error of the network. A request that was never sent may be repeated whatever it was.
func networkFailure(what string, err error) *failure {
	f := &failure{text: fmt.Sprintf("no answer when getting %s: %s", what, clean(err.Error(), maxText)), transient: true}
	var op *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted): // seconds do not mend it; hours, and an operator, do
		f.transient, f.unsent, f.keep = false, true, true
	case errors.As(err, &op) && op.Op == "dial":
		f.unsent = true
	}
	return f
}

// statusFailure words an answer that is not a success, as HAProxy does.
func statusFailure(x *exchange, header http.Header, body []byte) (f *failure, badNonce bool) {
	f = &failure{status: x.status, after: x.after}
	f.text = fmt.Sprintf("invalid HTTP status code %d when getting %s", x.status, x.what)
	var p acme.Problem
	if mediaType(header) == "application/problem+json" && json.Unmarshal(body, &p) == nil {
		f.text += fmt.Sprintf(": \"%s\" (%s)", problemDetail(&p), clean(p.Type, 120))
		f.kind = p.Type
	}
	f.rateLimited = f.kind == acme.ProblemTypeRateLimited
	f.transient = x.status >= 500 || x.status == http.StatusTooManyRequests || x.status == http.StatusRequestTimeout
	return f, f.kind == acme.ProblemTypeBadNonce
}

func mediaType(header http.Header) string {
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind)
}

// retryAfter reads a Retry-After header, seconds or a date (RFC 9110 section 10.2.3), clamped. What is not understood is absent.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		if seconds < 0 {
			return 0
		}
		return clampRetryAfter(time.Duration(min(max(seconds, 1), int64(maxRetryAfter/time.Second))) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(clampRetryAfter(at.Sub(now)), minRetryAfter)
}
