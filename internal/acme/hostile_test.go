package acme

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mholt/acmez/v3/acme"
)

// FuzzOrderJSON: whatever order object a CA sends, the next step is one that makes sense for it and abandon comes with a reason fit for a
// log line.
func FuzzOrderJSON(f *testing.F) {
	for _, seed := range []string{
		`{"status":"pending","identifiers":[{"type":"dns","value":"a.example"}],"authorizations":["https://ca/1"],"finalize":"https://ca/f"}`,
		`{"status":"ready","identifiers":[{"type":"dns","value":"A.example"}],"finalize":"https://ca/f"}`,
		`{"status":"valid","identifiers":[{"type":"dns","value":"a.example"}],"certificate":"https://ca/c"}`,
		`{"status":"invalid","identifiers":[{"type":"dns","value":"a.example"}],"error":{"type":"x\n","detail":"\u0000","subproblems":[{"detail":"y"}]}}`,
		`{"status":"processing"}`, `null`, `[]`, `{"identifiers":[{}]}`,
	} {
		f.Add([]byte(seed), 0, false)
	}
	asked := []acme.Identifier{{Type: "dns", Value: "a.example"}}
	f.Fuzz(func(t *testing.T, data []byte, finalized int, authorized bool) {
		var o acme.Order
		if json.Unmarshal(data, &o) != nil {
			return
		}
		next, why := nextOrder(orderState{order: o, asked: asked, finalized: finalized, authorized: authorized})
		checkStep(t, next, why)
		switch {
		case next == finalize && (o.Finalize == "" || o.Status != "ready"),
			next == download && (o.Certificate == "" || o.Status != "valid"),
			next == authorize && (len(o.Authorizations) == 0 || len(o.Authorizations) > 2),
			next != abandon && !sameIdentifiers(o.Identifiers, asked):
			t.Errorf("%s for %s", next, data)
		}
	})
}

// FuzzAuthorizationJSON is the same for authorizations; a challenge to answer always has a token that is safe in a path.
func FuzzAuthorizationJSON(f *testing.F) {
	for _, seed := range []string{
		`{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"http-01","status":"pending","token":"abc","url":"https://ca/1"}]}`,
		`{"status":"invalid","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"http-01","status":"invalid","error":{"detail":"\u001b[2J"}}]}`,
		`{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"http-01","status":"pending","token":"../x"}]}`,
		`{"status":"valid"}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	asked := []acme.Identifier{{Type: "dns", Value: "a.example"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var az acme.Authorization
		if json.Unmarshal(data, &az) != nil {
			return
		}
		next, ch, why := nextAuthorization(az, asked)
		checkStep(t, next, why)
		if next == answer && (!validToken(ch.Token) || strings.ContainsAny(ch.Token, "/.%\\") || ch.Type != "http-01") {
			t.Errorf("the challenge %+v is answered", ch)
		}
	})
}

func checkStep(t *testing.T, next action, why *failure) {
	t.Helper()
	if (next == abandon) != (why != nil) {
		t.Fatalf("step %s with reason %v", next, why)
	}
	if why == nil {
		return
	}
	if strings.ContainsFunc(why.text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(why.text) > 3*maxText || why.text == "" {
		t.Fatalf("reason %q is not fit for a log line", why.text)
	}
}

// FuzzChain: no bytes make checkChain panic or accept what is not for our key.
func FuzzChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte(strings.Repeat("-----BEGIN X-----\n-----END X-----\n", 20)))
	key, err := keySpec{Curves: "P-256"}.generate()
	if err != nil {
		f.Fatal(err)
	}
	ids := []acme.Identifier{{Type: "dns", Value: "a.example"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := checkChain(data, key.Public(), ids, nil, time.Now()); err == nil {
			t.Fatalf("accepted %q as %q", data, out)
		}
	})
}

// answers is a CA's web server that says the same to everything.
type answers struct {
	status int
	body   string
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := jsonAnswer(req, []byte(a.body))
	resp.StatusCode = a.status
	return resp, nil
}

// FuzzDirectory: a directory that is accepted has three addresses over https, and no answer makes the client panic.
func FuzzDirectory(f *testing.F) {
	f.Add(200, `{"newNonce":"https://a/n","newAccount":"https://a/a","newOrder":"https://b/o"}`)
	f.Add(200, `{"newNonce":"file:///etc/passwd","newAccount":"https://a/a","newOrder":"https://b/o"}`)
	f.Add(200, `{"newNonce":"https://u:p@a/n","newAccount":"//a/a","newOrder":":"}`)
	f.Add(404, `{}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		c := newClient(&section{name: "le", directory: "https://ca.example/dir"}, answers{status, body}, "test")
		dir, err := c.fetchDirectory(context.Background())
		if err != nil {
			return
		}
		for _, text := range []string{dir.NewNonce, dir.NewAccount, dir.NewOrder} {
			if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("accepted %q", text)
			}
		}
	})
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 6, 3, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "17": 17 * time.Second, "0": time.Second, "-5": 0, "soon": 0, "99999999999": 24 * time.Hour, "99999999999999999999999": 0,
		"Wed, 03 Jun 2026 12:01:40 GMT": 100 * time.Second, "Wed, 03 Jun 2020 12:00:00 GMT": time.Second, "Wed, 03 Jun 2099 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

// TestTokensAreReadWithoutWork: an answer to a stranger's guess allocates nothing.
func TestTokensAreReadWithoutWork(t *testing.T) {
	var ts tokens
	ts.present("abc", "abc.thumb")
	guess, known := []byte("xyz"), []byte("abc")
	if n := testing.AllocsPerRun(100, func() { ts.lookup(guess); ts.lookup(known) }); n != 0 {
		t.Errorf("%v allocations for two lookups, want none", n)
	}
}

// TestTokenOfTwoOrders: a token that two orders show is answered until both are over.
func TestTokenOfTwoOrders(t *testing.T) {
	var ts tokens
	ts.present("abc", "abc.thumb")
	ts.present("abc", "abc.thumb")
	ts.withdraw("abc")
	if got := string(ts.lookup([]byte("abc"))); got != "abc.thumb" {
		t.Errorf("after the first order: %q", got)
	}
	ts.withdraw("abc")
	if got := ts.lookup([]byte("abc")); got != nil {
		t.Errorf("after the second: %q", got)
	}
}

func TestIdentifiers(t *testing.T) {
	got := identifiers([]string{" A.Example. ", "a.example", "bücher.example", "*.a.example", ""}, []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:DB8::1", "x"})
	want := []acme.Identifier{
		{Type: "dns", Value: "a.example"}, {Type: "dns", Value: "xn--bcher-kva.example"}, {Type: "dns", Value: "*.a.example"},
		{Type: "ip", Value: "192.0.2.1"}, {Type: "ip", Value: "2001:db8::1"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestKeyKinds(t *testing.T) {
	for _, k := range []keySpec{{}, {Type: "ECDSA", Curves: "P-256"}, {Curves: "P-521"}, {Type: "rsa"}, {Type: "RSA", Bits: 3072}} {
		t.Run(fmt.Sprintf("%+v", k), func(t *testing.T) {
			key, err := k.generate()
			if err != nil {
				t.Fatal(err)
			}
			data, err := encodeKey(key)
			if err != nil {
				t.Fatal(err)
			}
			back, err := decodeKey(data)
			if err != nil || !samePublicKey(back.Public(), key.Public()) {
				t.Fatalf("what is written is not read back: %v", err)
			}
			if !k.fits(back) || (keySpec{Type: "RSA", Bits: 4096}).fits(back) {
				t.Errorf("a key of %+v is not recognised", k)
			}
		})
	}
}
