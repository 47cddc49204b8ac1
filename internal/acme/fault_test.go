package acme_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
)

// TestBadNonceHalfOfTheTime: every second request is refused for its nonce, and nothing fails.
func TestBadNonceHalfOfTheTime(t *testing.T) {
	in(t, gatetest.CAOptions{BadNonce: 50}, func(t *testing.T, w *world) {
		w.check(w.issued("site.pem", time.Minute), "a.example", "www.a.example")
		if w.count(event.OrderFailed) != 0 || w.ca.Orders() != 1 {
			t.Errorf("%d failures, %d orders, want 0 and 1", w.count(event.OrderFailed), w.ca.Orders())
		}
	})
}

// TestBusyAtEveryStep: each kind of request is answered with 503 and Retry-After once; the CA is left alone for as long as it asked, the
// log says so as HAProxy does, and one order is enough.
func TestBusyAtEveryStep(t *testing.T) {
	for _, kind := range []string{"directory", "newNonce", "newAccount", "newOrder", "order", "authz", "challenge", "finalize", "cert"} {
		t.Run(kind, func(t *testing.T) {
			var at []time.Time
			fault := func(r gatetest.CARequest) gatetest.Fault {
				if r.Kind == kind {
					if at = append(at, time.Now()); len(at) == 1 {
						return gatetest.Fault{Status: 503, Type: "serverInternal", Detail: "maintenance", RetryAfter: "17"}
					}
				}
				return gatetest.Fault{}
			}
			in(t, gatetest.CAOptions{Fault: fault}, func(t *testing.T, w *world) {
				w.issued("site.pem", 2*time.Minute)
				if w.ca.Orders() != 1 || w.count(event.OrderFailed) != 0 {
					t.Errorf("%d orders, %d failures, want 1 and 0\n%s", w.ca.Orders(), w.count(event.OrderFailed), w.log())
				}
				if len(at) < 2 || at[1].Sub(at[0]) < 17*time.Second {
					t.Errorf("asked at %v, want 17 s between the first two", at)
				}
				w.wantLog("notice acme: site.pem: invalid HTTP status code 503 when getting ")
				w.wantLog(`"maintenance" (urn:ietf:params:acme:error:serverInternal), retrying in 17s (1/5 retries)...`)
			})
		})
	}
}

func TestProcessingForAWhile(t *testing.T) {
	in(t, gatetest.CAOptions{Processing: 20, RetryAfter: "5"}, func(t *testing.T, w *world) {
		begin := time.Now()
		w.issued("site.pem", 5*time.Minute)
		if took := time.Since(begin); took < 95*time.Second {
			t.Errorf("twenty looks five seconds apart took %s", took)
		}
		if w.ca.Orders() != 1 || w.count(event.OrderFailed) != 0 {
			t.Errorf("%d orders, %d failures, want 1 and 0", w.ca.Orders(), w.count(event.OrderFailed))
		}
	})
}

// TestProcessingForHours: a CA that asks for two hours of patience gets them, and the same order is then finished.
func TestProcessingForHours(t *testing.T) {
	in(t, gatetest.CAOptions{Processing: 2, RetryAfter: "7200"}, func(t *testing.T, w *world) {
		time.Sleep(time.Minute)
		w.ca.Change(func(o *gatetest.CAOptions) { o.AuthzValid = true })
		w.manage("other.pem", "b.example")
		w.m.Wake()
		time.Sleep(time.Hour)
		w.wantLog("and asks to come back in 2h0m0s")
		before := w.ca.Requests("order")
		time.Sleep(50 * time.Minute)
		if n := w.ca.Requests("order") - before; n != 0 {
			t.Errorf("%d looks at orders before the CA's time, want none", n)
		}
		w.issued("other.pem", 12*time.Hour)
		if w.ca.Orders() > 3 {
			t.Errorf("%d orders, want at most 3", w.ca.Orders())
		}
	})
}

func TestAuthorizationThatIsAlreadyValid(t *testing.T) {
	in(t, gatetest.CAOptions{AuthzValid: true}, func(t *testing.T, w *world) {
		w.issued("site.pem", time.Minute)
		if n := w.ca.Requests("challenge"); n != 0 {
			t.Errorf("%d challenges were answered, want none", n)
		}
	})
}

// TestFailureIsSaid: what a CA does wrong ends in an event and a log line with the reason, a row of the status table that names it, and no
// certificate.
func TestFailureIsSaid(t *testing.T) {
	edit := func(kind string, f func(v map[string]any)) func(gatetest.CARequest) gatetest.Fault {
		return func(r gatetest.CARequest) gatetest.Fault {
			if r.Kind != kind {
				return gatetest.Fault{}
			}
			return gatetest.Fault{Edit: func(body []byte) []byte {
				v := map[string]any{}
				if json.Unmarshal(body, &v) != nil {
					return body
				}
				f(v)
				out, _ := json.Marshal(v)
				return out
			}}
		}
	}
	at := func(kind string, f gatetest.Fault) func(gatetest.CARequest) gatetest.Fault {
		return func(r gatetest.CARequest) gatetest.Fault {
			if r.Kind == kind {
				return f
			}
			return gatetest.Fault{}
		}
	}
	challenges := func(f func(ch map[string]any)) func(map[string]any) {
		return func(v map[string]any) {
			for _, ch := range v["challenges"].([]any) {
				f(ch.(map[string]any))
			}
		}
	}
	for name, c := range map[string]struct {
		o    gatetest.CAOptions
		want string
	}{
		"wrong key":                {gatetest.CAOptions{Wrong: gatetest.WrongKey}, "not for the key of the order"},
		"one name more":            {gatetest.CAOptions{Wrong: gatetest.WrongNames}, "asked were a.example,www.a.example"},
		"another name":             {gatetest.CAOptions{Wrong: gatetest.WrongMissing}, "is for other.example"},
		"expired":                  {gatetest.CAOptions{Wrong: gatetest.WrongExpired}, "has expired at"},
		"not yet valid":            {gatetest.CAOptions{Wrong: gatetest.WrongFuture}, "is not valid before"},
		"chain of another":         {gatetest.CAOptions{Wrong: gatetest.WrongChain}, "chain is broken after certificate 1"},
		"no issuer":                {gatetest.CAOptions{Wrong: gatetest.WrongAlone}, "without its issuer"},
		"no certificate":           {gatetest.CAOptions{Wrong: gatetest.WrongText}, "no certificate in the CA's answer"},
		"a key in the chain":       {gatetest.CAOptions{Wrong: gatetest.WrongPrivate}, "something else than certificates"},
		"a CA's certificate":       {gatetest.CAOptions{Wrong: gatetest.WrongCA}, "is a CA's"},
		"order invalid":            {gatetest.CAOptions{OrderInvalid: true}, `order status: invalid: "CAA forbids it" (urn:ietf:params:acme:error:caa)`},
		"no authorizations":        {gatetest.CAOptions{NoAuthz: true}, "no authorizations found in newOrder response"},
		"order for others":         {gatetest.CAOptions{OtherIdentifiers: true}, "for other names than those asked for"},
		"huge directory":           {gatetest.CAOptions{Fault: at("directory", gatetest.Fault{Huge: true})}, "longer than 1048576 bytes"},
		"huge order":               {gatetest.CAOptions{Fault: at("order", gatetest.Fault{Huge: true})}, "longer than 1048576 bytes"},
		"huge chain":               {gatetest.CAOptions{Fault: at("cert", gatetest.Fault{Huge: true})}, "longer than 1048576 bytes"},
		"redirect":                 {gatetest.CAOptions{Fault: at("newOrder", gatetest.Fault{Location: "https://evil.test/"})}, "invalid HTTP status code 307 when getting newOrder URL"},
		"redirected directory":     {gatetest.CAOptions{Fault: at("directory", gatetest.Fault{Location: "https://evil.test/"})}, "invalid HTTP status code 307 when getting directory URL"},
		"directory without orders": {gatetest.CAOptions{Fault: edit("directory", func(v map[string]any) { delete(v, "newOrder") })}, "couldn't get newOrder URL from the directory URL"},
		"directory in clear":       {gatetest.CAOptions{Fault: edit("directory", func(v map[string]any) { v["newOrder"] = "http://ca.test/new-order" })}, `"http://ca.test/new-order" is not https`},
		"authorization elsewhere": {gatetest.CAOptions{Fault: edit("newOrder", func(v map[string]any) { v["authorizations"] = []string{"https://evil.test/authz/1"} })},
			`host "evil.test" is not one of the CA's directory`},
		"finalize elsewhere": {gatetest.CAOptions{Fault: edit("order", func(v map[string]any) { v["finalize"] = "https://169.254.169.254/latest" })},
			`host "169.254.169.254" is not one of the CA's directory`},
		"a thousand authorizations": {gatetest.CAOptions{Fault: edit("newOrder", func(v map[string]any) {
			v["authorizations"] = strings.Split(strings.Repeat("https://ca.test/authz/x ", 1000), " ")
		})}, "authorizations for 2 names"},
		"authorization for another": {gatetest.CAOptions{Fault: edit("authz", func(v map[string]any) { v["identifier"] = map[string]string{"type": "dns", "value": "evil.test"} })},
			"for a name that was not asked for"},
		"authorization revoked": {gatetest.CAOptions{Fault: edit("authz", func(v map[string]any) { v["status"] = "revoked" })}, "authorization of a.example is revoked"},
		"unknown status":        {gatetest.CAOptions{Fault: edit("order", func(v map[string]any) { v["status"] = "x\x1b[2J\ny" })}, "order status: x [2J y"},
		"token with a path": {gatetest.CAOptions{Fault: edit("authz", challenges(func(ch map[string]any) { ch["token"] = "../../etc/passwd" }))},
			"couldn't get a token"},
		"only dns-01": {gatetest.CAOptions{Fault: edit("authz", challenges(func(ch map[string]any) { ch["type"] = "dns-01" }))},
			"offers no http-01 challenge"},
		"rate limited": {gatetest.CAOptions{Fault: at("newOrder", gatetest.Fault{Status: 429, Type: "rateLimited", Detail: "too many", RetryAfter: "7200"})},
			`invalid HTTP status code 429 when getting newOrder URL: "too many" (urn:ietf:params:acme:error:rateLimited); the CA limits our rate`},
		"hostile text": {gatetest.CAOptions{Fault: at("newOrder", gatetest.Fault{Status: 403, Type: "x\r\ny", Detail: "bad\r\nalert forged line \x1b[31m" + strings.Repeat("z", 5000)})},
			`"bad alert forged line [31mzzzz`},
		"not JSON":   {gatetest.CAOptions{Fault: at("newOrder", gatetest.Fault{Edit: func([]byte) []byte { return []byte("{{{{") }})}, "unusable answer when getting newOrder URL"},
		"wrong JSON": {gatetest.CAOptions{Fault: at("order", gatetest.Fault{Edit: func([]byte) []byte { return []byte(`{"status":7,"identifiers":"x"}`) }})}, "unusable answer when getting Order URL"},
		"null":       {gatetest.CAOptions{Fault: at("order", gatetest.Fault{Edit: func([]byte) []byte { return []byte(`null`) }})}, "for other names than those asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, c.o, func(t *testing.T, w *world) {
				time.Sleep(30 * time.Second)
				if !w.shelf.Bundle("site.pem").Temporary() {
					t.Fatal("a certificate was stored")
				}
				if w.count(event.OrderFailed) != 1 {
					t.Fatalf("%d failures, want 1\n%s", w.count(event.OrderFailed), w.log())
				}
				w.wantLog(c.want)
				w.wantLog(" Aborting.")
				for _, line := range strings.Split(w.log(), "\n") {
					if !strings.HasPrefix(line, "notice acme: ") && !strings.HasPrefix(line, "err acme: site.pem: ") || len(line) > 900 {
						t.Errorf("a line of the CA's: %.1000q", line)
					}
				}
				row := w.m.Status()[0]
				if row.Failures != 1 || row.Reason == "" || row.State != "Scheduled" || !row.Scheduled.After(time.Now()) {
					t.Errorf("status %+v does not tell of the failure", row)
				}
			})
		})
	}
}

// TestSilentCA: whichever request is never answered, the attempt is over within an hour and said, other names go on, and the CA is asked
// again when it speaks again.
func TestSilentCA(t *testing.T) {
	for _, kind := range []string{"directory", "newNonce", "newAccount", "newOrder", "order", "authz", "challenge", "finalize", "cert"} {
		t.Run(kind, func(t *testing.T) {
			fault := func(r gatetest.CARequest) gatetest.Fault { return gatetest.Fault{Silent: r.Kind == kind} }
			in(t, gatetest.CAOptions{Fault: fault}, func(t *testing.T, w *world) {
				longest := time.Duration(0)
				since := time.Now()
				for range 3 * 3600 {
					time.Sleep(time.Second)
					if w.m.Status()[0].State != "Running" {
						since = time.Now()
					}
					longest = max(longest, time.Since(since))
				}
				if longest > time.Hour {
					t.Errorf("one attempt lasted %s", longest)
				}
				if n := w.count(event.OrderFailed); n < 2 {
					t.Errorf("%d failures in three hours, want at least 2\n%s", n, w.log())
				}
				if n := w.ca.Orders(); n > 5 {
					t.Errorf("%d orders for one name, want at most 5", n)
				}
				w.ca.Change(func(o *gatetest.CAOptions) { o.Fault = nil })
				w.issued("site.pem", 2*time.Hour)
			})
		})
	}
}

// TestFailedValidation: a name that does not point here costs at most five failed validations in any hour, the reason is that of the CA, and
// neither it nor its token disturbs another name.
func TestFailedValidation(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.issued("site.pem", time.Minute)
		var at []time.Time
		w.ca.Change(func(o *gatetest.CAOptions) { o.Validate = nil })
		w.manage("lost.pem", "lost.example")
		w.m.Wake()
		for range 24 * 60 {
			before := w.ca.Requests("challenge")
			time.Sleep(time.Minute)
			for range w.ca.Requests("challenge") - before {
				at = append(at, time.Now())
			}
		}
		for i := range at {
			n := 0
			for _, other := range at[i:] {
				if other.Sub(at[i]) < time.Hour {
					n++
				}
			}
			if n > 5 {
				t.Fatalf("%d failed validations within an hour from %s", n, at[i])
			}
		}
		if len(at) < 10 {
			t.Errorf("%d validations in a day, want at least 10: a name without certificate is tried every hour", len(at))
		}
		w.wantLog(`challenge error of lost.example: "lost.example: no way to reach lost.example" (urn:ietf:params:acme:error:unauthorized) Aborting.`)
	})
}

// TestForgedTokensAreNotAnswered: only tokens of open orders are.
func TestForgedTokensAreNotAnswered(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.issued("site.pem", time.Minute)
		for _, token := range []string{"", "x", "../", strings.Repeat("a", 43)} {
			if got := w.m.KeyAuthorization([]byte(token)); got != nil {
				t.Errorf("token %q is answered with %q", token, got)
			}
		}
	})
}

// TestStoppedAnywhere: the process ends before or after each single request, or right after the answer was lost, and starts again: there
// is a certificate in the end, and it cost at most one order more.
func TestStoppedAnywhere(t *testing.T) {
	for _, when := range []string{"before", "after", "lost"} {
		for n := 1; ; n++ {
			reached := false
			t.Run(fmt.Sprintf("%s request %d", when, n), func(t *testing.T) {
				before(t, gatetest.CAOptions{Processing: 1}, func(t *testing.T, w *world) {
					stop := make(chan struct{}, 1)
					w.ca.Change(func(o *gatetest.CAOptions) {
						o.Fault = func(r gatetest.CARequest) gatetest.Fault {
							if r.N != n {
								return gatetest.Fault{}
							}
							reached = true
							stop <- struct{}{}
							return gatetest.Fault{Silent: when == "before", KillAfter: when == "lost"}
						}
					})
					w.start()
					select {
					case <-stop:
						if when == "after" {
							synctest.Wait() // the CA's answer is on its way, or has been worked on
						}
						w.stop()
						time.Sleep(time.Second)
						w.start()
					case <-time.After(time.Minute):
					}
					w.check(w.issued("site.pem", time.Hour), "a.example", "www.a.example")
					if w.ca.Orders() > 2 || w.ca.Accounts() != 1 {
						t.Errorf("%d orders, %d accounts, want at most 2 and 1\n%s", w.ca.Orders(), w.ca.Accounts(), w.log())
					}
				})
			})
			if t.Failed() || !reached {
				break
			}
			if n > 60 {
				t.Fatal("an order takes more than 60 requests")
			}
		}
	}
}

// TestKilledConnections: every connection breaks at a certain request, before or after the CA has seen it.
func TestKilledConnections(t *testing.T) {
	for _, kind := range []string{"directory", "newNonce", "newAccount", "newOrder", "order", "authz", "challenge", "finalize", "cert"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s after=%v", kind, after), func(t *testing.T) {
				fault := func(r gatetest.CARequest) gatetest.Fault {
					if r.Kind == kind && r.Of == 1 {
						return gatetest.Fault{Kill: !after, KillAfter: after}
					}
					return gatetest.Fault{}
				}
				in(t, gatetest.CAOptions{Fault: fault}, func(t *testing.T, w *world) {
					w.check(w.issued("site.pem", 10*time.Minute), "a.example", "www.a.example")
					if w.ca.Orders() > 2 || w.ca.Accounts() != 1 {
						t.Errorf("%d orders, %d accounts, want at most 2 and 1\n%s", w.ca.Orders(), w.ca.Accounts(), w.log())
					}
				})
			})
		}
	}
}
