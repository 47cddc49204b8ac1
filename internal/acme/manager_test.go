package acme_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/event"
	"gatehouse/internal/gatetest"
)

func TestFirstCertificate(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		b := w.issued("site.pem", time.Minute)
		w.check(b, "a.example", "www.a.example")
		if w.ca.Orders() != 1 || w.ca.Accounts() != 1 || w.ca.Issued() != 1 {
			t.Errorf("%d orders, %d accounts, %d certificates, want one each", w.ca.Orders(), w.ca.Accounts(), w.ca.Issued())
		}
		info, err := os.Stat(w.keyFile())
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("account key has mode %o, want 600", info.Mode().Perm())
		}
		if got := w.ca.Contacts(); len(got) != 1 || got[0] != "mailto:admin@a.example" {
			t.Errorf("contacts %q, want mailto:admin@a.example", got)
		}
		w.wantLog("notice acme: site.pem: Starting update of the certificate.")
		w.wantLog("notice acme: site.pem: Successful update of the certificate.")
		if w.count(event.OrderStarted) != 1 || w.count(event.OrderDone) != 1 || w.count(event.OrderFailed) != 0 {
			t.Errorf("events %v", w.events)
		}
	})
}

// TestRenewsForAYear: renewals of ordinary certificates come by themselves, at two thirds of each life, with one account.
func TestRenewsForAYear(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		time.Sleep(365 * 24 * time.Hour)
		if n := w.ca.Orders(); n < 6 || n > 7 { // 365 / 60 days
			t.Errorf("%d orders in a year of 90-day certificates, want 6 or 7", n)
		}
		if w.ca.Accounts() != 1 {
			t.Errorf("%d accounts, want 1", w.ca.Accounts())
		}
		if b := w.shelf.Bundle("site.pem"); !b.NotAfter.After(time.Now().Add(25 * 24 * time.Hour)) {
			t.Errorf("the certificate ends at %s, now is %s", b.NotAfter, time.Now())
		}
	})
}

// TestSixDayCertificatesAreNotRenewedDaily: 30 days of a 160-hour profile cost at most 12 orders.
func TestSixDayCertificatesAreNotRenewedDaily(t *testing.T) {
	in(t, gatetest.CAOptions{Lifetime: 160 * time.Hour}, func(t *testing.T, w *world) {
		time.Sleep(30 * 24 * time.Hour)
		if n := w.ca.Orders(); n < 9 || n > 12 {
			t.Errorf("%d orders, want 9 to 12", n)
		}
	})
}

// TestCertificatesDueAtOnceDoNotStorm: a CA that backdates until a new certificate is already past its renewal time.
func TestCertificatesDueAtOnceDoNotStorm(t *testing.T) {
	in(t, gatetest.CAOptions{Lifetime: 100 * time.Hour, Backdate: 90 * time.Hour}, func(t *testing.T, w *world) {
		time.Sleep(24 * time.Hour)
		if n := w.ca.Orders(); n < 2 || n > 6 {
			t.Errorf("%d orders in a day of certificates that last ten hours, want 2 to 6", n)
		}
	})
}

func TestAccountIsKeptAcrossRestarts(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.issued("site.pem", time.Minute)
		w.stop()
		accounts := w.ca.Requests("newAccount")
		w.manage("other.pem", "b.example")
		w.start()
		w.check(w.issued("other.pem", time.Minute), "b.example")
		if n := w.ca.Requests("newAccount"); n != accounts {
			t.Errorf("%d more newAccount requests after a restart, want none", n-accounts)
		}
		if w.ca.Orders() != 2 {
			t.Errorf("%d orders, want 2: the restart ordered again", w.ca.Orders())
		}
	})
}

func TestAccountThatTheCAForgotIsMadeAgain(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.issued("site.pem", time.Minute)
		w.ca.ForgetAccounts()
		w.manage("other.pem", "b.example")
		w.m.Wake()
		w.issued("other.pem", time.Minute)
		if w.count(event.OrderFailed) != 0 {
			t.Errorf("an order failed:\n%s", w.log())
		}
	})
}

func TestManyNamesShareOneAccountAndTheBound(t *testing.T) {
	in(t, gatetest.CAOptions{Processing: 3}, func(t *testing.T, w *world) {
		for i := range 30 {
			w.manage(string(rune('a'+i%26))+strings.Repeat("x", i/26)+".pem", string(rune('a'+i%26))+strings.Repeat("x", i/26)+".example")
		}
		w.m.Wake()
		running := 0
		for range 600 {
			time.Sleep(time.Second)
			now := 0
			for _, row := range w.m.Status() {
				if row.State == "Running" {
					now++
				}
			}
			running = max(running, now)
		}
		if running > 8 || running < 2 {
			t.Errorf("%d orders open at a time, want 2 to 8", running)
		}
		if w.ca.Accounts() != 1 || w.ca.Issued() != 31 {
			t.Errorf("%d accounts, %d certificates, want 1 and 31\n%s", w.ca.Accounts(), w.ca.Issued(), w.log())
		}
	})
}

func TestDiskFullIsRetriedWithoutAnotherOrder(t *testing.T) {
	in(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		w.shelf.fill(errors.New("no space left on device"))
		time.Sleep(5 * time.Hour)
		if w.count(event.OrderFailed) < 3 {
			t.Errorf("%d events that the order failed, want at least 3", w.count(event.OrderFailed))
		}
		w.wantLog("the issued certificate could not be stored: no space left on device Aborting.")
		if row := w.m.Status()[0]; row.Stage != "store" || !strings.Contains(row.Reason, "no space left") {
			t.Errorf("status row %+v does not say what is wrong", row)
		}
		w.shelf.fill(nil)
		w.issued("site.pem", 2*time.Hour)
		if w.ca.Orders() != 1 || w.ca.Issued() != 1 {
			t.Errorf("%d orders, %d certificates, want one each", w.ca.Orders(), w.ca.Issued())
		}
	})
}

// TestJournalIsDurableBeforeFinalize: when the CA is asked to finalize, the state store holds the order's URL and the private key whose
// certificate comes back; afterwards it holds neither.
func TestJournalIsDurableBeforeFinalize(t *testing.T) {
	before(t, gatetest.CAOptions{}, func(t *testing.T, w *world) {
		type record struct{ URL, Key, Stage string }
		var seen []record
		w.ca.Change(func(o *gatetest.CAOptions) {
			o.Fault = func(r gatetest.CARequest) gatetest.Fault {
				if r.Kind == "finalize" {
					for _, item := range w.journal() {
						var rec struct {
							URL, Stage string
							Key        []byte
						}
						if err := json.Unmarshal(item.Value, &rec); err != nil {
							t.Error(err)
						}
						seen = append(seen, record{rec.URL, string(rec.Key), rec.Stage})
					}
				}
				return gatetest.Fault{}
			}
		})
		w.start()
		b := w.issued("site.pem", time.Minute)
		if len(seen) != 1 || !strings.HasPrefix(seen[0].URL, "https://ca.test/order/") || seen[0].Stage != "finalize" {
			t.Fatalf("at finalize the journal held %d orders, want one with its URL", len(seen))
		}
		if seen[0].Key != string(b.KeyPEM()) {
			t.Error("the key in the journal is not that of the certificate")
		}
		time.Sleep(time.Second)
		if left := w.journal(); len(left) != 0 {
			t.Errorf("%d orders are left in the journal", len(left))
		}
		if strings.Contains(w.log(), "PRIVATE") {
			t.Error("a private key is in the log")
		}
	})
}
