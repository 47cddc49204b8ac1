package gatetest

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// CAOptions describe a CA. The zero value is an honest CA at https://ca.test that validates over the network of Dial.
type CAOptions struct {
	URL      string        // base of every URL, "https://ca.test" when empty
	Lifetime time.Duration // of certificates; 0: 90 days
	Backdate time.Duration // how long before now they begin

	// Dial reaches host:80 of a name to be validated, whatever the name resolves to elsewhere. nil: the CA refuses all validations.
	Dial func(ctx context.Context, host string) (net.Conn, error)
	// Validate replaces the whole validation when it is not nil.
	Validate func(ctx context.Context, host, token string) (string, error)

	// BadNonce is the share of POST requests, in percent, whose good nonce is refused.
	BadNonce int
	// Processing is for how many looks an order stays "processing" after finalize.
	Processing int
	// RetryAfter is sent with orders and authorizations that are not finished, in seconds; "" sends none.
	RetryAfter string
	// AuthzValid makes new authorizations valid at once, as a CA does that remembers.
	AuthzValid bool
	// NoAuthz leaves the authorizations of new orders out.
	NoAuthz bool
	// OtherIdentifiers makes the order object list another name than was asked for.
	OtherIdentifiers bool
	// OrderInvalid makes orders invalid at finalize.
	OrderInvalid bool
	// Wrong says what is wrong with issued certificates.
	Wrong Wrong
	// Fault is asked before each request is handled and may have it go wrong. nil: never.
	Fault func(r CARequest) Fault
}

// Wrong is what is wrong with a certificate the CA issues.
type Wrong string

// Kinds of wrong certificates.
const (
	WrongKey     Wrong = "key"     // for another key than the CSR's
	WrongNames   Wrong = "names"   // one more name
	WrongMissing Wrong = "missing" // one name less, or another one
	WrongExpired Wrong = "expired"
	WrongFuture  Wrong = "future"  // valid from tomorrow
	WrongChain   Wrong = "chain"   // the issuer belongs to another leaf
	WrongAlone   Wrong = "alone"   // no issuer at all
	WrongText    Wrong = "text"    // not PEM
	WrongPrivate Wrong = "private" // a private key among the certificates
	WrongCA      Wrong = "ca"      // a CA certificate
)

// CARequest is one request as Fault sees it.
type CARequest struct {
	N    int    // from 1, over all requests
	Kind string // directory, newNonce, newAccount, newOrder, order, authz, challenge, finalize or cert
	Of   int    // from 1, over requests of this kind
}

// Fault is how one request goes wrong. The zero value is that it does not.
type Fault struct {
	Status     int    // answer with this status and a problem document instead of handling the request
	Type       string // of the problem: "rateLimited"
	Detail     string
	RetryAfter string
	Silent     bool                     // never answer
	Kill       bool                     // close the connection without handling the request
	KillAfter  bool                     // handle the request, then close the connection instead of answering
	Huge       bool                     // answer with a body without an end
	Location   string                   // answer with a redirect
	Edit       func(body []byte) []byte // handle the request, then change the body of its answer
}

// CA is an ACME server (RFC 8555) in memory for tests. It verifies what a client sends as strictly as the RFC allows and can be told to go
// wrong at any step. It implements http.Handler; Transport reaches it without a network.
type CA struct {
	o      CAOptions
	root   *authority
	inter  *authority
	mu     sync.Mutex // guards all below
	nonces map[string]bool
	refuse int // running total for BadNonce, in percent
	seen   int
	kinds  map[string]int

	accounts map[string]crypto.PublicKey // by URL
	orders   map[string]*caOrder         // by URL
	authzs   map[string]*caAuthz         // by URL
	certs    map[string][]byte           // by URL
	issued   int
	contacts []string
}

type caOrder struct {
	account, url string
	ids          []identifier
	authzs       []string
	status       string
	polls        int
	cert         string
	problem      *problem
}

type caAuthz struct {
	account, url, token string
	id                  identifier
	status, challenge   string
	problem             *problem
}

type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
}

// NewCA makes a CA with a new root and intermediate.
func NewCA(o CAOptions) (*CA, error) {
	if o.URL == "" {
		o.URL = "https://ca.test"
	}
	if o.Lifetime == 0 {
		o.Lifetime = 90 * 24 * time.Hour
	}
	root, err := newAuthority("Gatehouse Test Root", nil)
	if err != nil {
		return nil, err
	}
	inter, err := newAuthority("Gatehouse Test Intermediate", root)
	if err != nil {
		return nil, err
	}
	return &CA{
		o: o, root: root, inter: inter, nonces: map[string]bool{}, kinds: map[string]int{}, accounts: map[string]crypto.PublicKey{},
		orders: map[string]*caOrder{}, authzs: map[string]*caAuthz{}, certs: map[string][]byte{},
	}, nil
}

// Directory is the URL of the directory.
func (ca *CA) Directory() string { return ca.o.URL + "/dir" }

// Change lets a test alter how the CA behaves from now on.
func (ca *CA) Change(f func(o *CAOptions)) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	f(&ca.o)
}

// Requests says how many requests of a kind there were; "" counts all.
func (ca *CA) Requests(kind string) int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if kind == "" {
		return ca.seen
	}
	return ca.kinds[kind]
}

// Orders, Accounts and Issued say how many there are.
func (ca *CA) Orders() int   { ca.mu.Lock(); defer ca.mu.Unlock(); return len(ca.orders) }
func (ca *CA) Accounts() int { ca.mu.Lock(); defer ca.mu.Unlock(); return len(ca.accounts) }
func (ca *CA) Issued() int   { ca.mu.Lock(); defer ca.mu.Unlock(); return ca.issued }

// Contacts are the contact URLs of all newAccount requests that made an account.
func (ca *CA) Contacts() []string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return append([]string(nil), ca.contacts...)
}

// ForgetAccounts drops all accounts, as a test CA does that was started afresh.
func (ca *CA) ForgetAccounts() {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	clear(ca.accounts)
}

// kindOf names a request by its path.
func kindOf(p string) string {
	switch kind := strings.TrimPrefix(path.Dir(p), "/"); kind {
	case "order", "authz", "challenge", "finalize", "cert":
		return kind
	}
	switch p {
	case "/dir":
		return "directory"
	case "/nonce":
		return "newNonce"
	case "/account":
		return "newAccount"
	case "/new-order":
		return "newOrder"
	}
	return "unknown"
}

// ServeHTTP implements http.Handler.
func (ca *CA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := kindOf(r.URL.Path)
	ca.mu.Lock()
	ca.seen++
	ca.kinds[kind]++
	fault, info := ca.o.Fault, CARequest{N: ca.seen, Kind: kind, Of: ca.kinds[kind]}
	ca.mu.Unlock()
	var f Fault
	if fault != nil {
		f = fault(info)
	}
	if ca.misbehave(w, r, f) {
		return
	}
	answer := &answer{header: http.Header{}, status: http.StatusOK}
	ca.handle(answer, r, kind)
	if f.KillAfter {
		panic(http.ErrAbortHandler)
	}
	if f.Edit != nil {
		answer.body = f.Edit(answer.body)
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.Header().Set("Replay-Nonce", ca.newNonce())
	w.WriteHeader(answer.status)
	w.Write(answer.body)
}

// misbehave does what a fault says instead of handling the request; false: handle it.
func (ca *CA) misbehave(w http.ResponseWriter, r *http.Request, f Fault) bool {
	switch {
	case f.Silent:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Kill:
		panic(http.ErrAbortHandler)
	case f.Location != "":
		http.Redirect(w, r, f.Location, http.StatusTemporaryRedirect)
	case f.Huge:
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for range 1 << 8 { // 16 MiB: more than any reader should take
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.Header().Set("Replay-Nonce", ca.newNonce())
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(f.Status)
		json.NewEncoder(w).Encode(problem{Type: errorPrefix + f.Type, Detail: f.Detail, Status: f.Status})
	default:
		return false
	}
	return true
}

// answer is one answer while it is being made.
type answer struct {
	header http.Header
	status int
	body   []byte
}

const errorPrefix = "urn:ietf:params:acme:error:"

func (a *answer) json(status int, v any) {
	a.header.Set("Content-Type", "application/json")
	a.status = status
	a.body, _ = json.Marshal(v)
}

func (a *answer) problem(status int, kind, format string, args ...any) {
	a.json(status, problem{Type: errorPrefix + kind, Detail: fmt.Sprintf(format, args...), Status: status})
	a.header.Set("Content-Type", "application/problem+json")
}

// handle does what an honest CA does.
func (ca *CA) handle(a *answer, r *http.Request, kind string) {
	switch {
	case kind == "directory":
		a.json(http.StatusOK, map[string]any{
			"newNonce": ca.o.URL + "/nonce", "newAccount": ca.o.URL + "/account", "newOrder": ca.o.URL + "/new-order",
			"revokeCert": ca.o.URL + "/revoke", "keyChange": ca.o.URL + "/key",
			"meta": map[string]any{"profiles": map[string]string{"shortlived": "six days"}},
		})
		return
	case kind == "newNonce":
		return
	case r.Method != http.MethodPost:
		a.problem(http.StatusMethodNotAllowed, "malformed", "%s is for POST", r.URL.Path)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		a.problem(http.StatusBadRequest, "malformed", "the request was cut off")
		return
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	m, status, bad := ca.verifyLocked(body, ca.o.URL+r.URL.Path, kind == "newAccount")
	if bad != nil {
		a.problem(status, bad.Type, "%s", bad.Detail)
		return
	}
	switch kind {
	case "newAccount":
		ca.newAccountLocked(a, m)
	case "newOrder":
		ca.newOrderLocked(a, m)
	case "order":
		ca.orderLocked(a, m)
	case "authz":
		ca.authzLocked(a, m)
	case "challenge":
		ca.challengeLocked(a, m)
	case "finalize":
		ca.finalizeLocked(a, m)
	case "cert":
		ca.certLocked(a, m)
	default:
		a.problem(http.StatusNotFound, "malformed", "no such page")
	}
}

func (ca *CA) newNonce() string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	nonce := random()
	ca.nonces[nonce] = true
	return nonce
}

// takeNonceLocked spends a nonce; each is good once, and BadNonce percent of the good ones are refused, evenly.
func (ca *CA) takeNonceLocked(nonce string) bool {
	if !ca.nonces[nonce] {
		return false
	}
	delete(ca.nonces, nonce)
	ca.refuse += ca.o.BadNonce
	if ca.refuse >= 100 {
		ca.refuse -= 100
		return false
	}
	return true
}

func random() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
