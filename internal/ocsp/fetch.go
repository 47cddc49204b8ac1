package ocsp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/cert"
)

// Status is how an attempt ended, with HAProxy's numbers.
type Status int

// The statuses of an attempt.
const (
	Unknown   Status = iota // none has ended yet
	OK                      // the response is sent with handshakes
	HTTPError               // no answer, or not 200
	NoHeader                // the answer is not of type application/ocsp-response
	BadCheck                // the response does not read, is an error, or its signature is wrong
	BadInsert               // the response is not for the certificate, has expired, or could not be kept
)

func (s Status) String() string {
	return [...]string{"Unknown", "Update successful", "HTTP error", `Missing "ocsp-response" header`, "OCSP response check failure", "Error during insertion"}[s]
}

// Failure is an attempt that came to nothing.
type Failure struct {
	Status Status
	Err    error
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Status.String()
	}
	return fmt.Sprintf("%s (%v)", f.Status, f.Err)
}

// Unwrap returns what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// Bounds of one attempt.
const (
	fetchTimeout = 15 * time.Second
	dialTimeout  = 5 * time.Second
	maxHeader    = 16 << 10
	maxGET       = 255 // RFC 6960 appendix A.1
)

// newTransport reaches responders: one connection per request, no redirects followed by it, and every wait bounded by the caller's context. A proxy, as
// "host:port", is sent the absolute URL of the request.
func newTransport(proxy string, lookup Lookup) *http.Transport {
	t := &http.Transport{
		DialContext:            lookup.dial,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
	if proxy != "" {
		t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
	}
	return t
}

// Lookup resolves a name; a process that gave up its rights and its root directory cannot do that itself.
type Lookup func(ctx context.Context, name string) ([]netip.Addr, error)

// dial connects to the first address of a name that answers; nil leaves names to the standard library.
func (l Lookup) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	name, port, err := net.SplitHostPort(address)
	if _, notIP := netip.ParseAddr(name); l == nil || err != nil || notIP == nil {
		return d.DialContext(ctx, network, address)
	}
	addrs, err := l(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", name, err)
	}
	err = fmt.Errorf("%s has no address", name)
	for _, a := range addrs {
		var c net.Conn
		if c, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// question is one request to one responder.
type question struct {
	server string // the responder's URL
	der    []byte
}

// ask sends the request, with GET if it is short and with POST if it is not or if the responder does not take GET, and returns the body of the answer.
func (q *question) ask(ctx context.Context, rt http.RoundTripper, agent string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	base, err := url.Parse(q.server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &Failure{HTTPError, errors.New("the certificate names no OCSP responder that can be asked")}
	}
	if len(q.der)+len(q.server) < maxGET {
		body, code, err := send(ctx, rt, agent, http.MethodGet, strings.TrimSuffix(q.server, "/")+"/"+url.QueryEscape(base64.StdEncoding.EncodeToString(q.der)), nil)
		if err == nil || code < 400 || code >= 500 {
			return body, err
		}
	}
	body, _, err := send(ctx, rt, agent, http.MethodPost, q.server, q.der)
	return body, err
}

// send makes one request. code is 0 when there was no answer.
func send(ctx context.Context, rt http.RoundTripper, agent, method, target string, body []byte) (answer []byte, code int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, 0, &Failure{HTTPError, errors.New("the responder's address is no URL")}
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/ocsp-request")
	}
	r.Header.Set("User-Agent", agent)
	res, err := rt.RoundTrip(r)
	if err != nil {
		return nil, 0, &Failure{HTTPError, plain(ctx, err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, res.StatusCode, &Failure{HTTPError, fmt.Errorf("status %d", res.StatusCode)}
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/ocsp-response" {
		return nil, res.StatusCode, &Failure{NoHeader, nil}
	}
	answer, err = io.ReadAll(io.LimitReader(res.Body, cert.MaxOCSP+1))
	switch {
	case err != nil:
		return nil, res.StatusCode, &Failure{HTTPError, plain(ctx, err)}
	case len(answer) > cert.MaxOCSP:
		return nil, res.StatusCode, &Failure{BadCheck, fmt.Errorf("longer than %d bytes", cert.MaxOCSP)}
	}
	return answer, res.StatusCode, nil
}

// plain is an error in a few words without line ends: what a responder sends must not make lines in logs.
func plain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", fetchTimeout)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '"' {
			return ' '
		}
		return r
	}, err.Error())
	const most = 200
	if len(text) > most {
		text = text[:most]
	}
	return errors.New(strings.ToValidUTF8(text, "?"))
}
